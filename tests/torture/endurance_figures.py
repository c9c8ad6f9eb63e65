# SPDX-License-Identifier: Apache-2.0
"""What a coneyd takes, looked at when it is at rest, and whether that grows."""

import collections
import math
import os
import re
import statistics
import time

STABLE_LOOKS, LOOK_EVERY_S, STABLE_WITHIN_S = 3, 0.5, 8.0
MIB = 1 << 20
ERRORS = 3.0         # standard errors that a slope is to exceed


class Sample:
    """What is taken at one moment. `used`: octets that are allocated, as the broker counts them; `rss`: what the kernel
    says; `files` and `others`: descriptors of files, and of all else; `threads`: by name; `disk`: octets of the data
    directory."""

    __slots__ = ("boot", "at", "used", "rss", "files", "others", "threads", "disk")


def rss_of(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.M).group(1)) * 1024


def threads_of(pid):
    names = collections.Counter()
    for thread in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/comm" % (pid, thread), encoding="ascii") as comm:
                names[comm.read().strip()] += 1
        except (FileNotFoundError, ProcessLookupError):     # ended meanwhile
            pass
    return names


def descriptors_of(pid):
    files, others = 0, 0
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except FileNotFoundError:       # closed meanwhile
            continue
        if target.startswith("/"):
            files += 1
        else:
            others += 1
    return files, others


def octets_below(folder):
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def look(node, client, boot):
    """A Sample, once what is allocated has stopped to shrink (or after a while)."""
    deadline, lowest, unchanged = time.monotonic() + STABLE_WITHIN_S, float("inf"), 0
    while unchanged < STABLE_LOOKS and time.monotonic() < deadline:
        used = client.get("coney/status")["memory"]["total"]
        unchanged = unchanged + 1 if used >= lowest else 0
        lowest = min(lowest, used)
        time.sleep(LOOK_EVERY_S)
    sample = Sample()
    sample.boot, sample.at, sample.used = boot, time.monotonic(), lowest
    sample.rss, sample.threads = rss_of(node.process.pid), threads_of(node.process.pid)
    sample.files, sample.others = descriptors_of(node.process.pid)
    sample.disk = octets_below(node.data)
    return sample


def slope(values):
    """Theil and Sen's, on which single outliers have no effect: the median of the slopes between all pairs; and its
    standard error, from how far the values lie from that line."""
    count = len(values)
    steep = statistics.median((values[j] - values[i]) / (j - i) for i in range(count) for j in range(i + 1, count))
    rests = [value - steep * at for at, value in enumerate(values)]
    middle = statistics.median(rests)
    noise = 1.4826 * statistics.median(abs(rest - middle) for rest in rests)
    return steep, noise * math.sqrt(12 / count ** 3)


def grows(what, values, least):
    """(what, whether it holds) of values of which at most LEAST a step, or what noise can look like, is no growth."""
    steep, error = slope(values)
    limit = max(least, ERRORS * error)
    return "%s: %s, slope %+.1f KiB a step (standard error %.1f, limit %.1f)" % (
        what, spread(values), steep / 1024, error / 1024, limit / 1024), steep <= limit


def spread(values):
    return "%.2f to %.2f MiB" % (min(values) / MIB, max(values) / MIB)
