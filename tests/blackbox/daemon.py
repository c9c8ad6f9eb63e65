# SPDX-License-Identifier: Apache-2.0
"""A coneyd of a test's own, started with any arguments: files to configure it by, its log, its signals."""

import os
import re
import signal
import subprocess
import tempfile

import amqp_raw
from harness import eq, wait_until

# Unless a test asks for it: its ports would be those of whoever comes first.
NO_HTTP = ["--set", "management.tcp.port=none", "--set", "prometheus.tcp.port=none"]


class Daemon:
    """Runs until the `with` ends, and must then end cleanly on SIGTERM, unless it was stopped before."""

    def __init__(self, *arguments, config=None, listen="127.0.0.1:0", data=False, environment=None, files=None):
        """CONFIG is the text of its configuration file, FILES are further ones beside it. @ in an argument or text
        stands for the folder of all of them."""
        self.folder = tempfile.TemporaryDirectory(prefix="coney-daemon-")
        for name, text in (files or {}).items():
            self.write(name, text)
        command = [os.environ.get("CONEYD", "./coneyd"), *NO_HTTP]
        if config is not None:
            self.write("coney.conf", config)
            command += ["--config", self.path("coney.conf")]
        command += ["--data", self.path("data"), "--set", "journal_window=16MiB"] if data else ["--ephemeral"]
        if listen:
            command += ["--set", "listeners.tcp.1=" + listen]
        command += [argument.replace("@", self.folder.name) for argument in arguments]
        self.command, self.environment = command, dict(os.environ, **(environment or {}))
        self.start()

    def start(self):
        """Again, after stop(): with the same arguments and folder."""
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                            text=True, env=self.environment)
        self.listening = []
        for line in self.process.stdout:
            if line == "ready\n":
                break
            self.listening.append(line.rstrip("\n"))
        else:
            self.process.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        status = self.stop()
        if kind is None:
            eq(status, 0, "exit status; it said %s" % self.log())
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        """In one step, as an operator's tool would."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as out:
            out.write(text.replace("@", self.folder.name))
        os.rename(path + ".new", path)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def log(self):
        return self.read("log")

    def wait_log(self, pattern, after=0):
        """Wait for a line with PATTERN behind the log's first AFTER characters; the match."""
        found = wait_until(lambda: re.compile(pattern, re.M).search(self.log(), after), 15, "log line %r in %s" % (
            pattern, self.log()))
        return found

    def reload(self):
        """SIGHUP, and what it logs until it is done."""
        before = len(self.log())
        self.process.send_signal(signal.SIGHUP)
        self.wait_log(r"\] (reloaded|the configuration stays as it was)$", before)
        return self.log()[before:]

    def address(self, number=0):
        host, port = re.search(r" (\S+):(\d+)$", self.listening[number]).groups()
        return host.strip("[]"), int(port)

    def connect(self, **how):
        return amqp_raw.Connection(*self.address(), **how)

    def stop(self, sign=signal.SIGTERM, patience=20):
        """The exit status; who does not end in time is killed."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        return self.process.returncode
