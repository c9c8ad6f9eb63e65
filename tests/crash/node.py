# SPDX-License-Identifier: Apache-2.0
"""A coneyd on a data directory that outlives it (or none: ephemeral)."""

import ctypes
import os
import re
import select
import signal
import subprocess
import time

READY_TIMEOUT = 30.0
STOP_TIMEOUT = 30.0
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class StartFailed(Exception):
    """coneyd did not become ready; `status` is how it ended (None: it was still trying)."""

    def __init__(self, text, status):
        super().__init__(text)
        self.status = status


class NotRefused(Exception):
    """A second coneyd on the same data directory was not turned away as it must be."""


class Node:
    """One data directory; start() and an end alternate. What coneyd logs is appended to LOG."""

    def __init__(self, program, data, log, settings=()):
        self.program, self.data, self.log, self.settings = program, data, log, settings
        self.process = self.port = self.said = None     # said: its lines up to "ready"

    def command(self):
        words = [self.program] + (["--data", self.data] if self.data else ["--ephemeral"])
        words += ["--set", "listeners.tcp.1=127.0.0.1:0"]
        for setting in self.settings:
            words += ["--set", setting]
        return words + os.environ.get("CONEYD_ARGS", "").split()

    def spawn(self, environment=None):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=log, env=dict(os.environ, **(environment or {})),
                                            preexec_fn=die_with_parent)

    def start(self, environment=None):
        """Returns the seconds until ready."""
        began, seen = time.monotonic(), b""
        self.spawn(environment)
        out = self.process.stdout.fileno()
        while b"ready\n" not in seen:
            left = began + READY_TIMEOUT - time.monotonic()
            if not select.select([out], [], [], max(0, left))[0]:
                self.kill()
                raise StartFailed("coneyd is not ready after %d s" % READY_TIMEOUT, None)
            data = os.read(out, 4096)
            if not data:
                status = self.wait()
                raise StartFailed("coneyd ended with status %s at start" % status, status)
            seen += data
        self.said = seen.decode()
        self.port = self.port_of("amqp")
        return time.monotonic() - began

    def port_of(self, protocol):
        return int(re.search(r"^listening %s \S+:(\d+)$" % protocol, self.said, re.M).group(1))

    def wait(self, timeout=None):
        status = self.process.wait(timeout)
        self.process.stdout.close()
        return status

    def died(self):
        """The status it ended with within a moment, or None."""
        try:
            return self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        self.process.kill()
        return self.wait()

    def terminate(self, meanwhile):
        """A clean stop, during which MEANWHILE() is called: the exit status, or None if it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        meanwhile()
        try:
            return self.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def refuses_another(self):
        """While this one runs a second one must end by itself and name the pid of the first."""
        try:
            done = subprocess.run(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, timeout=READY_TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            raise NotRefused("a second coneyd runs on the data directory of the first") from None
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode <= 0 or str(self.process.pid) not in said:
            raise NotRefused("a second coneyd ended with status %d and said: %s" % (done.returncode, said))

    def tail(self, lines=30):
        with open(self.log, "rb") as log:
            return b"".join(log.readlines()[-lines:]).decode("utf-8", "replace")
