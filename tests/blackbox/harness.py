# SPDX-License-Identifier: Apache-2.0
"""What the test files share: brokers, marks that say where a test applies, and checks that explain themselves.

A test is a function `test_...(broker)` of a file `*_test.py`. It gets a `Broker` of its own view: connections
and child brokers made through it end with the test. The broker process behind it is shared by the tests of a file,
unless the test is marked with settings or definitions. Names come from `broker.name()`, so tests of one
file do not meet, not even on a foreign broker (AMQP_URL) that outlives them.

Marks:
    @differs("why")        what coney does on purpose and RabbitMQ 3.10 does not: skipped against AMQP_URL
    @settings(key=value)   needs a coneyd of its own with these settings: skipped against AMQP_URL
    @definitions(make)     needs users, vhosts, policies: loaded from a definitions file, also into RabbitMQ when
                           RABBITMQCTL names the command that controls it
    @slow, @lasts(s)       waits for so many seconds (slow: some): started first
"""

import base64
import functools
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse

import amqp_raw

START_TIMEOUT = 20.0


class Skip(Exception):
    """Raised by a test that does not apply here; the reason is shown with --verbose."""


class BrokerDied(AssertionError):
    """coneyd ended while a test used it."""


# --- marks ------------------------------------------------------------------------------------------------------

def differs(reason):
    def mark(function):
        function.coney_only = reason
        return function
    return mark


def settings(**values):
    """Underscores stand for themselves, double underscores for dots: vm_memory_high_watermark__absolute."""
    def mark(function):
        function.settings = {key.replace("__", "."): value for key, value in values.items()}
        return function
    return mark


def definitions(make):
    """MAKE() returns the definitions as a dict; all tests of a file with the same MAKE share the broker."""
    def mark(function):
        function.definitions = make
        return function
    return mark


def slow(function):
    return lasts(5)(function)


def lasts(seconds):
    """How long a test waits in the worst case; the longest are started first."""
    def mark(function):
        function.seconds = seconds
        return function
    return mark


# --- definitions ------------------------------------------------------------------------------------------------

def password_hash(password, salt=b"\x90\x8d\xc6\x0a"):
    """RabbitMQ's rabbit_password_hashing_sha256: base64(salt + sha256(salt + password))."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def user(name, password=None, tags=(), **more):
    return dict({"name": name, "password_hash": password_hash(password or name), "tags": list(tags),
                 "hashing_algorithm": "rabbit_password_hashing_sha256", "limits": {}}, **more)


def permission(name, vhost, configure=".*", write=".*", read=".*"):
    return {"user": name, "vhost": vhost, "configure": configure, "write": write, "read": read}


def topic_permission(name, vhost, exchange, write=".*", read=".*"):
    return {"user": name, "vhost": vhost, "exchange": exchange, "write": write, "read": read}


def policy(name, vhost, pattern, definition, apply_to="all", priority=0):
    return {"name": name, "vhost": vhost, "pattern": pattern, "definition": definition, "apply-to": apply_to,
            "priority": priority}


def operator_policy(name, vhost, pattern, definition, apply_to="queues", priority=0):
    """Operator policies travel as parameters in a definitions file."""
    value = {"pattern": pattern, "definition": definition, "apply-to": apply_to, "priority": priority}
    return {"vhost": vhost, "component": "operator_policy", "name": name, "value": value}


def with_guest(defs):
    """A definitions file decides about users alone, so guest is written into each."""
    full = {"rabbit_version": "3.13.7", "users": [], "vhosts": [], "permissions": [], "topic_permissions": [],
            "parameters": [], "policies": [], "queues": [], "exchanges": [], "bindings": []}
    full.update(defs)
    vhosts = {v["name"] for v in full["vhosts"]} | {"/"}
    full["vhosts"] = [{"name": name} if not any(v["name"] == name for v in full["vhosts"]) else
                      next(v for v in full["vhosts"] if v["name"] == name) for name in sorted(vhosts)]
    if not any(u["name"] == "guest" for u in full["users"]):
        full["users"] = full["users"] + [user("guest", tags=["administrator"])]
    have = {(p["user"], p["vhost"]) for p in full["permissions"]}
    full["permissions"] = full["permissions"] + [permission("guest", v) for v in sorted(vhosts)
                                                 if ("guest", v) not in have]
    return full


# --- brokers ----------------------------------------------------------------------------------------------------

class Coneyd:
    """A coneyd process on a port of the kernel's choice, with an end of its own."""

    kind = "coney"

    def __init__(self, values=None, defs=None):
        self.folder = tempfile.TemporaryDirectory(prefix="coney-blackbox-")
        self.log = open(os.path.join(self.folder.name, "log"), "w+b")
        command = [os.environ.get("CONEYD", "./coneyd"), "--set", "listeners.tcp.1=127.0.0.1:0"]
        command += (["--data", os.path.join(self.folder.name, "data"), "--set", "journal_window=16MiB"]
                    if os.environ.get("CONEY_DATA") else ["--ephemeral"])
        command += os.environ.get("CONEYD_ARGS", "").split()
        for key, value in (values or {}).items():
            command += ["--set", "%s=%s" % (key, value)]
        if defs is not None:
            path = os.path.join(self.folder.name, "definitions.json")
            with open(path, "w", encoding="utf-8") as out:
                json.dump(with_guest(defs), out)
            command += ["--set", "load_definitions=" + path]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log,
                                        stdin=subprocess.DEVNULL)
        self.host = self.port = self.last_words = None
        self.read_ready()

    def read_ready(self):
        deadline, seen = time.monotonic() + START_TIMEOUT, b""
        out = self.process.stdout.fileno()
        poll = select.poll()
        poll.register(out, select.POLLIN)
        while b"ready\n" not in seen:
            if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
                self.stop()
                raise BrokerDied("coneyd not ready in %d s; it said %r" % (START_TIMEOUT, seen))
            data = os.read(out, 4096)
            if not data:
                self.process.wait()
                raise BrokerDied("coneyd ended with %d at start: %r %r" % (self.process.returncode, seen,
                                                                           self.tail()))
            seen += data
        self.said = seen.decode()
        self.host, self.port = self.address(self.said)
        self.tls_port = self.address(self.said, "amqps")[1] if b"listening amqps " in seen else None

    @staticmethod
    def address(text, protocol="amqp"):
        host, port = re.search(r"^listening %s (\S+):(\d+)$" % protocol, text, re.M).groups()
        return host.strip("[]"), int(port)

    def tail(self):
        if self.last_words is not None:
            return self.last_words
        self.log.flush()
        self.log.seek(0)
        said = self.log.read().decode("utf-8", "replace")
        finding = re.search(r"^(==|WARNING: ThreadSanitizer|\S+ runtime error)", said, re.M)
        return said[finding.start():][:6000] if finding else said[-2000:]

    def alive(self, wait=0.0):
        """Runs (and goes on for WAIT seconds: one that is dying has that long to be dead)."""
        try:
            self.process.wait(wait)
        except subprocess.TimeoutExpired:
            return True
        return False

    def death(self):
        return "coneyd ended with status %s: %s" % (self.process.returncode, self.tail())

    def rss(self):
        """Resident memory in bytes, as the kernel says."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as status:
            return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.M).group(1)) * 1024

    @staticmethod
    @functools.lru_cache(None)
    def sanitized():
        """Built with a sanitizer, whose shadow memory makes the kernel's figures meaningless."""
        with open(os.environ.get("CONEYD", "./coneyd"), "rb") as program:
            octets = program.read()
        return b"__asan_init" in octets or b"__tsan_init" in octets

    def stop(self):
        """End with SIGTERM and return the exit status; a broker that does not end is killed."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.last_words is not None:
            return self.process.returncode
        self.last_words = self.tail()
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()
        return self.process.returncode


def check_end(server):
    """Stop a broker; one that was still alive ends in time and with status 0 (a sanitizer may say otherwise)."""
    was_alive = server.alive()
    status = server.stop()
    if was_alive and status != 0:
        raise BrokerDied("coneyd ended with status %s at SIGTERM; it said %s" % (status, server.last_words))


class Foreign:
    """Whatever AMQP_URL points to; started and stopped by somebody else."""

    kind = "rabbitmq"

    def __init__(self, url):
        parts = urllib.parse.urlparse(url)
        self.host, self.port = parts.hostname, parts.port or 5672
        self.loaded = set()
        self.lock = threading.Lock()

    def load(self, make):
        """Import definitions once; the entities of others stay."""
        control = os.environ.get("RABBITMQCTL")
        if not control:
            raise Skip("needs RABBITMQCTL to import definitions")
        with self.lock:
            if make in self.loaded:
                return
            with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
                json.dump(with_guest(make()), out)
                out.flush()
                os.chmod(out.name, 0o644)
                subprocess.run(control.split() + ["import_definitions", out.name], check=True,
                               stdout=subprocess.DEVNULL)
            self.loaded.add(make)

    @staticmethod
    def alive(wait=0.0):
        return True

    def stop(self):
        return 0


class Pool:
    """The brokers of one test file: one per definitions, the plain one included, restarted when it has died."""

    def __init__(self):
        self.lock = threading.Lock()
        self.shared = {}
        self.all = []
        url = os.environ.get("AMQP_URL")
        self.foreign = Foreign(url) if url else None

    start = staticmethod(Coneyd)

    def for_test(self, function):
        wanted, make = getattr(function, "settings", None), getattr(function, "definitions", None)
        if self.foreign:
            if getattr(function, "coney_only", None):
                raise Skip(function.coney_only)
            if wanted is not None:
                raise Skip("needs a broker with settings of its own")
            if make:
                self.foreign.load(make)
            return self.foreign, False
        if wanted is not None:
            return self.start(wanted, make() if make else None), True
        with self.lock:
            broker = self.shared.get(make)
            if broker is None or not broker.alive():
                broker = self.start({}, make() if make else None)
                self.shared[make] = broker
                self.all.append(broker)
            return broker, False

    @staticmethod
    def view(server, test_name, own):
        """What the test is given."""
        return Broker(server, test_name, own)

    def stop(self):
        for broker in self.all:
            check_end(broker)


class Broker:
    """A test's view of a broker: connects, makes names, and cleans up behind the test."""

    def __init__(self, server, test_name, own):
        self.server, self.own = server, own
        self.host, self.port, self.kind = server.host, server.port, server.kind
        self.prefix = re.sub(r"^test_", "", test_name)[:60]
        self.unique = os.urandom(3).hex()
        self.connections, self.wires, self.names = [], [], []

    @property
    def is_coney(self):
        return self.kind == "coney"

    def name(self, label="q"):
        """A name nobody else uses; each call makes a new one."""
        name = "%s.%s.%s%d" % (self.prefix, label, self.unique, len(self.names))
        self.names.append(name)
        return name

    def connect(self, **kw):
        connection = amqp_raw.Connection(self.host, self.port, **kw)
        self.connections.append(connection)
        return connection

    def channel(self, **kw):
        """The usual start: a new connection's first channel."""
        return self.connect(**kw).channel()

    def wire(self, **kw):
        wire = amqp_raw.Wire(self.host, self.port, **kw)
        self.wires.append(wire)
        return wire

    def rss(self):
        """The broker's resident memory in octets; 0 where it cannot be told."""
        return self.server.rss() if self.is_coney else 0

    def grew_less(self, before, mib, what=""):
        """Since BEFORE (an rss()) the broker has grown by less than so many MiB."""
        grown = (self.rss() - before) / (1 << 20)
        if self.is_coney and not self.server.sanitized():
            ok(grown < mib, "%s: %.1f MiB more, %g allowed" % (what or "memory", grown, mib))

    def is_up(self):
        """A new client can log in and open a channel: the broker survived what the test did. If that was many
        bad logins, others from here wait behind those, and only so many may."""
        def comes_in():
            try:
                return self.channel().connection
            except amqp_raw.ConnectionClosed as closed:
                if "too many logins" not in str(closed):
                    raise
                return None
        wait_until(comes_in, timeout=60, what="a place for a login").close()

    def finish(self):
        for connection in self.connections:
            connection.wire.close()
        for wire in self.wires:
            wire.close()
        if self.own:
            check_end(self.server)
        elif not self.is_coney:
            self.sweep()

    def sweep(self):
        """Leave nothing on a foreign broker. Exclusive queues of closing connections answer 405 and go anyway."""
        connection = None
        for name in self.names:
            for method, field in (("queue.delete", "queue"), ("exchange.delete", "exchange")):
                try:
                    connection = connection or amqp_raw.Connection(self.host, self.port)
                    connection.channel().call(method, **{field: name})
                except AssertionError:
                    connection.wire.close()
                    connection = None
        if connection:
            connection.wire.close()


# --- checks -----------------------------------------------------------------------------------------------------

def eq(got, want, what=""):
    if got != want:
        raise AssertionError("%sexpected %r, got %r" % (what and what + ": ", want, got))


def ok(condition, what):
    if not condition:
        raise AssertionError(what)


def matches(text, pattern):
    if not re.search(pattern, text):
        raise AssertionError("%r does not match %r" % (text, pattern))


def between(value, low, high, what="value"):
    if not low <= value <= high:
        raise AssertionError("%s %r is not between %r and %r" % (what, value, low, high))


def readable(stream, patience):
    """Wait for something to read. select() would take no descriptor beyond 1,023, which other tests may hold."""
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(max(0, patience) * 1000))


def wait_until(condition, timeout=15.0, what="condition", pause=0.01):
    """Poll until CONDITION() is true and return its value. The pause grows, so long waits stay cheap."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise amqp_raw.Timeout("%s not met in %g s" % (what, timeout))
        select.select([], [], [], pause)
        pause = min(pause * 1.5, 0.2)


def at_once(function, count, jobs=16):
    """Run FUNCTION(i) for many i in threads, raise the first failure."""
    failures, numbers, lock = [], iter(range(count)), threading.Lock()

    def work():
        while not failures:
            with lock:
                i = next(numbers, None)
            if i is None:
                return
            try:
                function(i)
            except BaseException as failure:
                failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(min(jobs, count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
