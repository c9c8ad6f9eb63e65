# SPDX-License-Identifier: Apache-2.0
"""coneyd and its service manager: readiness, status, the watchdog, sockets passed at start; draining."""

import ctypes
import errno
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import amqp_raw
from harness import Coneyd, Skip, differs, eq, lasts, ok, readable

PATIENCE = 20.0
# The shell's process becomes coneyd, so that its id is known to the environment.
AS_ITSELF = 'LISTEN_PID=$$ WATCHDOG_PID=${WATCHDOG_PID-$$} exec "$0" "$@"'


class Manager:
    """A service manager's side: the socket it is notified on, and the process it started."""

    def __init__(self, environment=(), sockets=(), values=(), abstract=False, wrapper=(), log=None):
        self.folder = tempfile.TemporaryDirectory(prefix="coney-service-")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(self.folder.name, "notify")
        self.notify.bind("\0" + path if abstract else path)
        command = list(wrapper or ("sh", "-c", AS_ITSELF))
        command += [os.environ.get("CONEYD", "./coneyd"), "--ephemeral", "--set", "threads=2"]
        for value in values or ("listeners.tcp.1=127.0.0.1:0",):
            command += ["--set", value]
        environment = dict(os.environ, NOTIFY_SOCKET="@" + path if abstract else path, **dict(environment))
        self.sockets = sockets
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
            stderr=open(os.path.join(self.folder.name, "log"), "wb"), preexec_fn=self.pass_sockets,
            pass_fds=range(3, 3 + len(sockets)))
        self.said, self.open = [], []

    def pass_sockets(self):
        """Those after the third are moved out of the way first."""
        kept = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(self.sockets)]
        for i, fd in enumerate(kept):
            os.dup2(fd, 3 + i)

    def hear(self, wanted, patience=PATIENCE):
        """Read what is said until a line is WANTED, or a function of it is true: that line."""
        deadline = time.monotonic() + patience
        if not callable(wanted):
            word = wanted
            wanted = lambda line: line == word
        while True:
            if not readable(self.notify, deadline - time.monotonic()):
                raise AssertionError("not said in %g s; but %r; log: %s" % (patience, self.said, self.log()))
            lines = self.notify.recv(4096).decode().split("\n")
            self.said += lines
            for line in lines:
                if wanted(line):
                    return line

    def listen_up(self):
        """Take in what has been said already."""
        while readable(self.notify, 0):
            self.said += self.notify.recv(4096).decode().split("\n")

    def open_socket(self):
        self.open.append(socket.create_connection((self.host, self.port)))

    def log(self):
        with open(os.path.join(self.folder.name, "log"), encoding="utf-8") as log:
            return log.read()

    def ready(self):
        self.hear("READY=1")
        seen = b""
        while b"ready\n" not in seen:
            seen += os.read(self.process.stdout.fileno(), 4096)
        self.host, self.port = Coneyd.address(seen.decode())
        return self

    def connect(self, **kw):
        return amqp_raw.Connection(self.host, self.port, **kw)

    def tell(self, number):
        self.process.send_signal(number)

    def ended(self):
        """The exit status."""
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        for one in self.open + [self.notify]:
            one.close()
        self.folder.cleanup()


# --- words ------------------------------------------------------------------------------------------------------

@differs("starts coneyd itself")
def test_says_when_it_is_ready_and_when_it_stops(broker):
    with Manager() as manager:
        manager.ready()
        manager.hear("STATUS=0 connections")
        manager.connect().close()
        manager.tell(signal.SIGTERM)
        manager.hear("STOPPING=1")
        eq(manager.ended(), 0)
        ok("WATCHDOG_USEC=0" not in manager.said, "no watchdog was asked for")


@differs("starts coneyd itself")
def test_says_so_to_an_abstract_socket_too(broker):
    with Manager(abstract=True) as manager:
        manager.ready()
        manager.tell(signal.SIGTERM)
        manager.hear("STOPPING=1")
        eq(manager.ended(), 0)


@differs("starts coneyd itself")
def test_serves_also_when_nobody_can_be_told(broker):
    for address in ("nonsense", "/nonexistent/socket", "@", "/" + "x" * 200):
        server = subprocess.Popen([os.environ.get("CONEYD", "./coneyd"), "--ephemeral", "--set",
                                   "listeners.tcp.1=127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  env=dict(os.environ, NOTIFY_SOCKET=address))
        seen = b""
        while b"ready\n" not in seen:
            data = os.read(server.stdout.fileno(), 4096)
            ok(data, "ended at start with NOTIFY_SOCKET=%s" % address)
            seen += data
        amqp_raw.Connection(*Coneyd.address(seen.decode())).close()
        server.send_signal(signal.SIGTERM)
        eq(server.wait(PATIENCE), 0)
        server.stdout.close()


@differs("starts coneyd itself")
def test_says_when_it_reloads_and_when_that_is_over(broker):
    with Manager() as manager:
        manager.ready()
        for _ in range(2):
            manager.said.clear()
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            manager.tell(signal.SIGHUP)
            manager.hear("RELOADING=1")
            ok(any(line.startswith("MONOTONIC_USEC=") and
                   before <= int(line[15:]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                   for line in manager.said), "no time, or a wrong one: %r" % manager.said)
            manager.hear("READY=1")
            manager.hear("STATUS=0 connections")


@lasts(6)
@differs("starts coneyd itself")
def test_status_counts_connections(broker):
    with Manager() as manager:
        manager.ready()
        connection = manager.connect()
        manager.hear("STATUS=1 connections")
        connection.close()
        manager.hear("STATUS=0 connections")


# --- the watchdog -----------------------------------------------------------------------------------------------

@differs("starts coneyd itself")
def test_feeds_the_watchdog_while_idle_and_not_while_it_ends(broker):
    with Manager({"WATCHDOG_USEC": "300000"}) as manager:
        manager.ready()
        for _ in range(8):
            manager.hear("WATCHDOG=1", 2)
        manager.tell(signal.SIGTERM)
        manager.hear("WATCHDOG_USEC=0")
        eq(manager.ended(), 0)


@lasts(6)
@differs("starts coneyd itself")
def test_leaves_the_watchdog_of_another_process_alone(broker):
    with Manager({"WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"}) as manager:
        manager.ready()
        with_one = manager.connect()
        manager.hear("STATUS=1 connections")
        ok("WATCHDOG=1" not in manager.said, "fed: %r" % manager.said)
        with_one.close()


PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


def ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), None, None) < 0:
        error = ctypes.get_errno()
        if request == PTRACE_SEIZE:
            raise Skip("threads cannot be stopped here: " + os.strerror(error))
        raise OSError(error, os.strerror(error))


def other_loops(pid):
    """The threads of all loops but the first."""
    found = []
    for path in glob.glob("/proc/%d/task/*" % pid):
        with open(path + "/comm", encoding="ascii") as name:
            if name.read().strip() == "coney-loop":
                found.append(int(os.path.basename(path)))
    return sorted(found)


@lasts(3)
@differs("starts coneyd itself")
def test_one_stuck_loop_stops_the_feeding(broker):
    with Manager({"WATCHDOG_USEC": "150000"}) as manager:
        manager.ready()
        manager.hear("WATCHDOG=1")
        stuck, = other_loops(manager.process.pid)
        ptrace(PTRACE_SEIZE, stuck)
        ptrace(PTRACE_INTERRUPT, stuck)
        eq(os.waitpid(stuck, 0x40000000)[0], stuck)
        try:
            hear_of_a_stuck_loop(manager)
        finally:
            ptrace(PTRACE_DETACH, stuck)
        manager.hear("WATCHDOG=1")


def hear_of_a_stuck_loop(manager):
    deadline = time.monotonic() + PATIENCE
    while "loop 1 has not turned" not in manager.log():
        ok(time.monotonic() < deadline, "not noticed: " + manager.log())
    manager.listen_up()
    fed = manager.said.count("WATCHDOG=1")
    # The first loop still turns: it accepts, and says so as often as it would feed.
    for count in range(1, 5):
        manager.open_socket()
        manager.hear("STATUS=%d connections" % count)
    eq(manager.said.count("WATCHDOG=1"), fed, "fed although a loop is stuck")


# --- sockets ----------------------------------------------------------------------------------------------------

def listening():
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(10)
    return made


@differs("starts coneyd itself")
def test_serves_on_sockets_that_were_passed(broker):
    made = [listening(), listening()]
    with Manager({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "amqp:more"}, made) as manager:
        manager.ready()
        for one in made:
            amqp_raw.Connection(*one.getsockname()).close()
        eq(manager.port, made[0].getsockname()[1])
        eq(os.readlink("/proc/%d/fd/3" % manager.process.pid)[:7], "socket:")
        manager.tell(signal.SIGTERM)
        eq(manager.ended(), 0)
    # Whoever connects between the end of one coneyd and the start of the next waits in the backlog.
    waiting = amqp_raw.Wire(*made[0].getsockname())
    with Manager({"LISTEN_FDS": "2"}, made) as manager:
        manager.ready()
        waiting.send(b"AMQP\x00\x00\x09\x01")
        eq(waiting.read_frame()[0], 1, "connection.start")
        waiting.close()
    for one in made:
        one.close()


@differs("starts coneyd itself")
def test_passed_sockets_of_another_process_are_left_alone(broker):
    with Manager({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, [listening()],
                 wrapper=("sh", "-c", 'exec "$0" "$@"')) as manager:
        manager.ready()
        ok(manager.port != manager.sockets[0].getsockname()[1], "took it")


@differs("starts coneyd itself")
def test_what_is_no_listening_socket_is_not_used(broker):
    idle, datagrams = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with Manager({"LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b:c"}, [idle, datagrams, listening()]) as manager:
        manager.ready()
        manager.connect().close()
        eq(manager.port, manager.sockets[2].getsockname()[1])
        eq(manager.log().count("no listening stream socket"), 2)


@differs("starts coneyd itself")
def test_starts_under_systemd_socket_activate(broker):
    if not shutil.which("systemd-socket-activate"):
        raise Skip("systemd-socket-activate is not installed")
    with tempfile.TemporaryDirectory() as folder:
        probe = listening()
        port = probe.getsockname()[1]
        probe.close()
        starter = subprocess.Popen(
            ["systemd-socket-activate", "-l", "127.0.0.1:%d" % port, "--fdname=amqp",
             os.environ.get("CONEYD", "./coneyd"), "--ephemeral"],
            stdout=subprocess.DEVNULL, stderr=open(os.path.join(folder, "log"), "wb"))
        try:
            deadline = time.monotonic() + PATIENCE
            while True:  # until systemd-socket-activate listens
                try:
                    wire = socket.create_connection(("127.0.0.1", port))
                    break
                except ConnectionRefusedError:
                    ok(time.monotonic() < deadline and starter.poll() is None, "does not listen")
            wire.close()
            amqp_raw.Connection("127.0.0.1", port).close()
        finally:
            starter.send_signal(signal.SIGTERM)
            eq(starter.wait(PATIENCE), 0)


# --- draining ---------------------------------------------------------------------------------------------------

MAINTENANCE = "CONNECTION_FORCED - broker forced connection closure with reason 'maintenance'"
SHUTDOWN = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"


@differs("starts coneyd itself")
def test_drains_on_sigusr2(broker):
    with Manager() as manager:
        manager.ready()
        publisher, consumer, idle = manager.connect(), manager.connect(), manager.connect()
        channel = consumer.channel()
        channel.call("queue.declare", queue="q")
        channel.call("basic.consume", queue="q", consumer_tag="t")
        idle_channel = idle.channel()
        idle_channel.call("basic.consume", queue="q", consumer_tag="idle", arguments={"x-priority": -1})
        sender = publisher.channel()
        sender.call("confirm.select")
        sender.publish("", "q", b"one")
        tag = channel.delivery().delivery_tag
        manager.tell(signal.SIGUSR2)
        manager.hear("STATUS=draining")
        idle.expect_close(320, MAINTENANCE, 0, 0)
        eq(socket.socket().connect_ex((manager.host, manager.port)), errno.ECONNREFUSED, "a new connection")
        manager.hear("STATUS=draining: 1 connections have deliveries to settle")
        channel.send("basic.ack", delivery_tag=tag)
        consumer.expect_close(320, MAINTENANCE, 0, 0)
        publisher.expect_close(320, SHUTDOWN, 0, 0)
        manager.hear("STOPPING=1")
        eq(manager.ended(), 0)


@differs("starts coneyd itself")
def test_sigterm_ends_the_draining(broker):
    with Manager() as manager:
        manager.ready()
        channel = manager.connect().channel()
        channel.call("queue.declare", queue="q")
        channel.call("basic.consume", queue="q", consumer_tag="t")
        channel.publish("", "q", b"one")
        manager.tell(signal.SIGUSR2)
        manager.hear(lambda line: line.startswith("STATUS=draining: 1 "))
        manager.tell(signal.SIGTERM)
        manager.hear("STOPPING=1")
        eq(manager.ended(), 0)
