# SPDX-License-Identifier: Apache-2.0
"""What the programs of this folder share: counted checks, and what the kernel tells of a process."""

import os


class Checks:
    """Counts what holds and what does not, and says so at once."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, holds, seen=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
        print("%s %s%s" % ("  ok   " if holds else "  FAILED", what, ": %s" % seen if seen else ""), flush=True)
        return holds

    def between(self, what, low, value, high, unit=""):
        return self.check(what, low <= value <= high, "%.3f%s, expected %.3f to %.3f" % (value, unit, low, high))

    def end(self):
        """Prints the last line; the exit status."""
        print("%d passed, %d failed" % (self.passed, self.failed), flush=True)
        return 1 if self.failed or not self.passed else 0


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def rss_mib(pid):
    with open("/proc/%d/statm" % pid, encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def descriptors(pid, kind=""):
    """How many the process has; KIND: those that begin with it, as /proc names them ("socket:")."""
    folder, number = "/proc/%d/fd" % pid, 0
    for name in os.listdir(folder):
        try:
            number += os.readlink(os.path.join(folder, name)).startswith(kind)
        except FileNotFoundError:       # closed meanwhile
            pass
    return number


def cpu_seconds(pid):
    """Of user and system, all threads."""
    with open("/proc/%d/stat" % pid, encoding="utf-8") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
