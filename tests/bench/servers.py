# SPDX-License-Identifier: Apache-2.0
"""What compare measures: coneyd, RabbitMQ, the limit and the bare acceptor.

Each has a name; between start() and stop() it runs, with a fresh state, and has a port, a pid and a uri.
"""
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RABBITMQ_NODE = HERE.parent.parent / "interop" / "rabbitmq-node"
START_S = 30  # a server that is not ready by then has failed


class Server:
    """A program that prints "listening amqp HOST:PORT" and "ready", and ends on SIGTERM."""

    def __init__(self, name, command):
        self.name, self.command, self.process = name, command, None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        signal.alarm(START_S)
        for line in self.process.stdout:
            if line.startswith("listening amqp "):
                self.port = int(line.rsplit(":", 1)[1])
            if line == "ready\n":
                break
        else:
            sys.exit(f"{self.name} did not start: {' '.join(map(str, self.command))}")
        signal.alarm(0)
        self.pid = self.process.pid
        self.uri = f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process.stdout.close()


class Coney(Server):
    """coneyd; "--data auto" among its options becomes a new folder below FOLDER at each start."""

    def __init__(self, name, program, words, folder):
        super().__init__(name, None)
        self.program, self.words, self.folder, self.data = program, words, folder, None

    def start(self):
        words = list(self.words)
        if "--data" in words and words[words.index("--data") + 1] == "auto":
            self.data = tempfile.mkdtemp(prefix="data-", dir=self.folder)
            words[words.index("--data") + 1] = self.data
        self.command = [self.program, "--set", "listeners.tcp.1=127.0.0.1:0", *words]
        super().start()

    def stop(self):
        super().stop()
        if self.data:
            shutil.rmtree(self.data)


class SyncedLimit:
    """wirelimit with a journal that it syncs."""

    name = "limit"

    def __init__(self, program, folder):
        self.program, self.journal, self.process = program, folder / "limit-journal", None

    def start(self):
        self.process = subprocess.Popen([self.program, "--port", "0", "--journal", self.journal, "--sync"],
                                        stdout=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().split()[1]
        self.pid, self.uri = self.process.pid, f"amqp://127.0.0.1:{self.port}/"

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process.stdout.close()
        self.journal.unlink(missing_ok=True)


class RabbitMQ:
    name, dir = "rabbitmq", None

    def start(self):
        out = subprocess.run([RABBITMQ_NODE, "start"], check=True, stdout=subprocess.PIPE, text=True).stdout
        facts = dict(line.split(" ", 1) for line in out.splitlines())
        self.uri, self.port, self.pid, self.dir = facts["uri"], facts["port"], facts["pid"], facts["dir"]

    def stop(self):
        if self.dir:
            subprocess.run([RABBITMQ_NODE, "stop", self.dir], check=True)
        self.dir = None


@contextlib.contextmanager
def running(brokers):
    """BROKERS run inside the with block."""
    with contextlib.ExitStack() as stack:
        for broker in brokers:
            stack.callback(broker.stop)
            broker.start()
        yield brokers
