# SPDX-License-Identifier: Apache-2.0
"""Brokers that are killed and come back on the same port, and shovels between them (tests/shovel/drive)."""

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(TOP, "tests", folder) for folder in ("blackbox", "crash", "api")]

import amqp_raw  # noqa: E402
from api_harness import Client  # noqa: E402
from certificates import Authority  # noqa: E402,F401 pylint: disable=unused-import
from node import Node, die_with_parent  # noqa: E402

PATIENCE = 60.0


def wait_until(condition, what, patience=PATIENCE):
    """What CONDITION() gives once it is true; an exception counts as false."""
    deadline = time.monotonic() + patience
    last = None
    while time.monotonic() < deadline:
        try:
            found = condition()
            if found:
                return found
            last = found
        except (OSError, AssertionError) as error:
            last = error
        time.sleep(0.01)
    raise AssertionError("not within %d s: %s (%r)" % (patience, what, last))


class Broker:
    """Has `port`; start() and kill() alternate."""

    def uri(self, vhost="", query=""):
        return "amqp://guest:guest@127.0.0.1:%d%s%s" % (self.port, vhost and "/" + vhost, query and "?" + query)

    def connect(self, **how):
        return amqp_raw.Connection("127.0.0.1", self.port, **how)

    def channel(self):
        return self.connect().channel()

    def count(self, name):
        """Ready messages of a queue."""
        connection = self.connect()
        try:
            return connection.channel().count(name)[0]
        finally:
            connection.close()

    @staticmethod
    def last_words():
        """What one that has ended by itself said at the end; nothing while it runs."""
        return ""


class Coney(Broker, Node):
    """A coneyd with a data directory, always on the port that it had at first."""

    def __init__(self, program, settings=()):
        self.folder = tempfile.mkdtemp(prefix="shovel-coney-")
        Node.__init__(self, program, os.path.join(self.folder, "data"), os.path.join(self.folder, "log"),
                      ("journal_window=16MiB",) + tuple(settings))
        self.start()

    def command(self):
        words = Node.command(self)
        if self.port:
            words[words.index("listeners.tcp.1=127.0.0.1:0")] = "listeners.tcp.1=127.0.0.1:%d" % self.port
        return words

    def api(self):
        return Client("unix:%s.control" % self.data)

    def last_words(self):
        if self.process.poll() is None:
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "%s ended with %s:\n%s" % (self.data, self.process.returncode, log.read()[-8000:])

    def end(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder)


class Rabbit(Broker):
    """A rabbitmq-server of its own (interop/rabbitmq-node)."""

    program = os.path.join(TOP, "interop", "rabbitmq-node")

    def __init__(self):
        said = subprocess.run([self.program, "start"], check=True, stdout=subprocess.PIPE, text=True).stdout
        facts = dict(line.split(" ", 1) for line in said.splitlines())
        self.port, self.folder = int(facts["port"]), facts["dir"]

    def kill(self):
        with open(os.path.join(self.folder, "pid"), encoding="ascii") as file:
            os.kill(int(file.read()), 9)

    def start(self):
        subprocess.run([self.program, "again", self.folder], check=True, stdout=subprocess.DEVNULL)

    def end(self):
        subprocess.run([self.program, "stop", self.folder], check=True)


class Drive:
    """Shovels of a process of their own."""

    def __init__(self, program, self_address=None, log=None):
        self.log = tempfile.NamedTemporaryFile("w+") if log is None else log
        self.process = subprocess.Popen([program] + ([self_address] if self_address else []), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1,
                                        preexec_fn=die_with_parent)
        self.answers, self.ended = queue.Queue(), []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            if line.startswith("ended "):
                self.ended.append(line.split()[2])
            else:
                self.answers.put(line.rstrip("\n"))

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        return self.answers.get(timeout=PATIENCE)

    def put(self, name, source, dest, **value):
        """Underscores in the keys stand for dashes."""
        value = {key.replace("_", "-"): what for key, what in value.items()}
        value.update({"src-uri": source, "dest-uri": dest})
        said = self.ask("put / %s %s" % (name, json.dumps(value)))
        assert said == "ok", said

    def remove(self, name):
        assert self.ask("remove / " + name) == "ok"

    def status(self, name):
        """What is said of one; None when there is none."""
        return {one["name"]: one for one in json.loads(self.ask("status"))}.get(name)

    def wait(self, name, what, **values):
        """Wait until its status has VALUES; strings are patterns."""
        def look():
            status = self.status(name) or {}
            good = all(re.search(value, status.get(key) or "") if isinstance(value, str)
                       else status.get(key) == value for key, value in values.items())
            return status if good else None
        return wait_until(look, "%s: %s" % (what, values))

    def said(self):
        """Its log."""
        with open(self.log.name, encoding="utf-8") as file:
            return file.read()

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE)
        assert status == 0, "drive ended with %d" % status

    def kill(self):
        self.process.kill()
        self.process.wait()


def publish(channel, key, bodies, exchange="", props=None):
    """Publish with confirms, and wait for all of them."""
    channel.call("confirm.select")
    channel.raw(*(amqp_raw.publish_frames(channel.number, exchange, key, body, props or {"delivery_mode": 2})
                  for body in bodies))
    confirmed = set()
    while len(confirmed) < len(bodies):
        ack = channel.take("basic.ack", 60)
        confirmed.update(range(min(set(range(1, ack.delivery_tag + 1)) - confirmed, default=1)
                               if ack.multiple else ack.delivery_tag, ack.delivery_tag + 1))


def drain(broker, name):
    """The bodies of all messages that are ready in a queue, in order."""
    connection = broker.connect()
    channel = connection.channel()
    ready, found = channel.count(name)[0], []
    if ready:
        channel.qos(ready)  # not one more comes, and is lost
        channel.consume(name)
        found = channel.deliveries(ready)
        channel.ack(found[-1].delivery_tag, multiple=True)
    connection.close()
    return [message.body for message in found]
