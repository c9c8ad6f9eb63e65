# SPDX-License-Identifier: Apache-2.0
"""coneyd as scripts see it: its lines on standard output, its exit statuses (sysexits.h), its signals."""

import ctypes
import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time

import amqp_raw
from daemon import NO_HTTP
from harness import Coneyd, Skip, at_once, differs, eq, ok

ANY_PORT = ["--ephemeral", "--set", "listeners.tcp.1=127.0.0.1:0"]
EX_USAGE, EX_DATAERR, EX_OSERR, EX_CONFIG = 64, 65, 71, 78

program = differs("about coneyd's command line")


def run(*arguments):
    """(exit status, standard output, standard error) of a coneyd that ends by itself."""
    done = subprocess.run([os.environ["CONEYD"], *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


def start(*arguments, **how):
    return subprocess.Popen([os.environ["CONEYD"], *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, **how)


def stop(process, sign=signal.SIGTERM):
    """What it still says on standard output, and its exit status."""
    process.send_signal(sign)
    rest = process.stdout.read()
    process.stdout.close()
    return rest, process.wait(20)


def file_of(text):
    out = tempfile.NamedTemporaryFile("w", suffix=".test")
    out.write(text)
    out.flush()
    return out


@program
def test_ready_lines_and_signals(broker):
    for sign in (signal.SIGTERM, signal.SIGINT):
        process = start("--ephemeral", "--set", "listeners.tcp.a=127.0.0.1:0",
                        "--set", "listeners.tcp.b=127.0.0.2:0", *NO_HTTP)
        lines = [process.stdout.readline() for _ in range(3)]
        eq(stop(process, sign), ("", 0), "silent and clean end")
        eq([Coneyd.address(line)[0] for line in lines[:2]], ["127.0.0.1", "127.0.0.2"])
        ok(all(Coneyd.address(line)[1] > 0 for line in lines[:2]), lines)
        eq(lines[2], "ready\n")


def threads_that_take(pid, sign):
    """The ids of the threads of a process that do not block a signal."""
    found = set()
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, thread), encoding="ascii") as status:
            blocked = next(int(line.split()[1], 16) for line in status if line.startswith("SigBlk:"))
        if not blocked >> sign - 1 & 1:
            found.add(int(thread))
    return found


@program
def test_signals_are_the_first_threads(broker):
    with tempfile.TemporaryDirectory() as folder:
        process = start("--data", folder, "--set", "journal_window=16MiB", "--set", "listeners.tcp.1=127.0.0.1:0")
        while process.stdout.readline() != "ready\n":
            pass
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
            eq(threads_that_take(process.pid, sign), {process.pid}, sign.name)
        eq(stop(process), ("", 0))


CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def leave_network():
    """Give this thread, and what it starts, a network of its own with nothing but loopback; false if not allowed."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        eq(ctypes.get_errno(), errno.EPERM, "unshare")
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = struct.unpack("16xH", fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))[:18])[0]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    return True


def need_free(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as why:
        raise Skip("[%s]:%d: %s" % (host, port, why.strerror)) from None


@program
def test_default_listeners(broker):
    """Nobody but this machine is listened to, on AMQP's port of both protocols, and HTTP's."""
    def check(_):
        leave_network()
        for host in ("127.0.0.1", "::1"):
            need_free(host, 5672)
        process = start("--ephemeral")
        lines = [process.stdout.readline() for _ in range(5)]
        for host in ("127.0.0.1", "::1"):
            amqp_raw.Connection(host, 5672).close()
        eq((lines, stop(process)), (["listening amqp 127.0.0.1:5672\n", "listening amqp [::1]:5672\n",
                                     "listening http 127.0.0.1:15672\n", "listening metrics 127.0.0.1:15692\n",
                                     "ready\n"], ("", 0)))

    at_once(check, 1)       # in a thread of its own, which keeps that network


@program
def test_wrong_command_lines(broker):
    eq(run("--bogus")[0], EX_USAGE)
    eq(run("surplus")[0], EX_USAGE)
    eq(run("--set")[0], EX_USAGE)
    status, said, complained = run("--help")
    eq((status, complained), (0, ""))
    ok("--config FILE" in said, said)


@program
def test_check_config(broker):
    with file_of("heartbeat = 30\n") as good, file_of("heartbeet = 30\n") as bad:
        eq(run("--config", good.name, "--check-config"), (0, "", ""))
        status, said, complained = run("--config", bad.name, "--check-config")
        eq((status, said), (EX_CONFIG, ""))
        ok("%s:1: unknown key 'heartbeet'" % bad.name in complained, complained)
    eq(run("--check-config", "--set", "heartbeat")[0], EX_CONFIG)
    eq(run("--check-config", "--set", "heartbeat=soon")[0], EX_CONFIG)


@program
def test_what_keeps_it_from_starting(broker):
    with socket.create_server(("127.0.0.1", 0)) as taken, tempfile.TemporaryDirectory() as data:
        port = taken.getsockname()[1]
        for options in (["--ephemeral", "--set", "listeners.tcp.1=127.0.0.1:%d" % port],
                        [*ANY_PORT, "--set", "management.tcp.port=%d" % port],
                        ["--data", data, *ANY_PORT[1:], "--set", "management.tcp.port=%d" % port]):
            status, said, complained = run(*options)
            eq((status, said), (EX_OSERR, ""), options)
            ok("cannot listen on 127.0.0.1" in complained, complained)
    with file_of("{") as broken:
        eq(run(*ANY_PORT, "--set", "load_definitions=" + broken.name)[:2], (EX_DATAERR, ""))


@program
def test_descriptor_limit_is_raised(broker):
    """Ten thousand connections need more than a login shell's 1,024 descriptors."""
    process = start(*ANY_PORT, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 3000)))
    while process.stdout.readline() != "ready\n":
        pass
    limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    eq(stop(process), ("", 0))
    eq(limits, (3000, 3000))


@program
def test_stop_is_bounded_whatever_clients_do(broker):
    """One that reads nothing of much that waits for it, one that is silent, one that publishes on, one that has not
    logged in, one that never ends its close."""
    process = start(*ANY_PORT, "--set", "threads=2")
    address = Coneyd.address(process.stdout.readline())
    while process.stdout.readline() != "ready\n":
        pass
    deaf = amqp_raw.Connection(*address, rcvbuf=4096).channel()
    deaf.declare("q")
    publisher = amqp_raw.Connection(*address).channel()
    for _ in range(200):
        publisher.publish("", "q", b"x" * 100000)
    publisher.call("channel.close", reply_code=200, reply_text="")
    deaf.send("basic.consume", queue="q", no_ack=True)
    silent = amqp_raw.Connection(*address)
    early = amqp_raw.Wire(*address)
    early.send(amqp_raw.PROTOCOL_HEADER)
    early.read_frame()
    busy = amqp_raw.Connection(*address)
    busy.channel().declare("other")
    busy.wire.sock.setblocking(False)
    try:
        while True:
            busy.wire.sock.send(amqp_raw.publish_frames(1, "", "other", b"y" * 50000))
    except BlockingIOError:
        pass
    closing = amqp_raw.Connection(*address)
    closing.send(0, "connection.close", reply_code=200, reply_text="bye")
    began = time.monotonic()
    eq(stop(process), ("", 0))
    ok(time.monotonic() - began < 10, "%g s" % (time.monotonic() - began))
    silent.expect_close(320)
    for one in (deaf.connection, publisher.connection, silent, busy, closing):
        one.wire.close()
    early.close()
