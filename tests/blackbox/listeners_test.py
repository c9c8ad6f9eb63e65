# SPDX-License-Identifier: Apache-2.0
"""Where coneyd listens: IPv4, IPv6, both at once, UNIX sockets; what it does with sockets that are there already."""

import os
import re
import socket
import stat
import subprocess
import tempfile

import amqp_raw
from daemon import Daemon
from harness import Skip, differs, eq, matches, ok, wait_until

EX_OSERR = 71
program = differs("about coneyd's listeners")


def run(*arguments):
    done = subprocess.run([os.environ["CONEYD"], "--ephemeral", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20)
    return done.returncode, done.stderr


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        return True
    except OSError:
        return False


@program
def test_addresses_of_both_families(broker):
    with Daemon("--set", "listeners.tcp.2=127.0.0.2:0", *(["--set", "listeners.tcp.3=[::1]:0"] if has_ipv6() else [])) as d:
        eq([d.address(i)[0] for i in range(len(d.listening))], ["127.0.0.1", "127.0.0.2", "::1"][:len(d.listening)])
        for i in range(len(d.listening)):
            amqp_raw.Connection(*d.address(i)).close()


@program
def test_a_port_alone_takes_both_families(broker):
    if not has_ipv6():
        raise Skip("no IPv6 here")
    with Daemon(listen="0") as daemon:
        eq(len(daemon.listening), 1)
        port = int(re.search(r"\[::\]:(\d+)$", daemon.listening[0]).group(1))
        for host in ("127.0.0.1", "::1"):
            amqp_raw.Connection(host, port).close()     # guest: an IPv4 loopback address stays one within IPv6


@program
def test_no_listener_at_all(broker):
    with Daemon("--set", "listeners.tcp=none", listen=None) as daemon:
        eq(daemon.listening, [])


@program
def test_unix_socket(broker):
    """The ready line names it, guest may come, anybody on the machine may connect, and it goes with the broker."""
    for prefix in ("", "unix:"):
        with Daemon("--set", "listeners.tcp.1=%s@/amqp" % prefix, listen=None) as daemon:
            path = daemon.path("amqp")
            eq(daemon.listening, ["listening amqp " + path])
            eq(stat.S_IMODE(os.stat(path).st_mode), 0o666)
            channel = amqp_raw.Connection(path, None).channel()
            channel.declare("q")
            channel.publish("", "q", b"by a path" * 100000)
            eq(len(channel.get("q").body), 900000)
            eq(daemon.stop(), 0)
            ok(not os.path.exists(path), "left behind")


@program
def test_unix_and_tcp_at_once(broker):
    with Daemon("--set", "listeners.tcp.2=@/amqp") as daemon:
        amqp_raw.Connection(daemon.path("amqp"), None).channel().declare("q")
        daemon.connect().channel().declare("q", passive=True)


@program
def test_a_socket_of_a_dead_broker_is_replaced(broker):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "amqp")
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        with Daemon("--set", "listeners.tcp.1=" + path, listen=None):
            amqp_raw.Connection(path, None).close()


@program
def test_a_socket_of_a_living_program_is_left_alone(broker):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "amqp")
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(path)
            taken.listen()
            status, said = run("--set", "listeners.tcp.1=" + path)
            eq(status, EX_OSERR)
            matches(said, "cannot listen on %s: Address already in use" % path)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)


@program
def test_a_file_that_is_no_socket_is_left_alone(broker):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"precious")
        file.flush()
        status, said = run("--set", "listeners.tcp.1=" + file.name)
        eq(status, EX_OSERR)
        matches(said, "cannot listen on %s" % file.name)
        with open(file.name, "rb") as again:
            eq(again.read(), b"precious")


@program
def test_a_path_that_is_too_long_or_impossible(broker):
    status, said = run("--set", "listeners.tcp.1=/" + "x" * 200)
    eq(status, 78)
    eq(run("--set", "listeners.tcp.1=/nonexistent/amqp")[0], EX_OSERR)


@program
def test_socket_options_are_set(broker):
    """Seen from outside: a small receive buffer bounds what a client can put in before it must wait."""
    with Daemon("--set", "tcp_listen_options.sndbuf=8192", "--set", "tcp_listen_options.recbuf=8192",
                "--set", "tcp_listen_options.keepalive=true", "--set", "tcp_listen_options.linger.on=true") as daemon:
        if not os.path.exists("/usr/bin/ss"):
            raise Skip("no ss here")
        daemon.connect().channel().declare("q")
        command = ["ss", "-tnomH", "state", "established", "sport", "=", ":%d" % daemon.address()[1]]
        said = wait_until(lambda: re.search("timer:.keepalive(.|\n)*", subprocess.run(
            command, capture_output=True, text=True, check=True).stdout), what="the keepalive timer")
        matches(said.group(), r"skmem:\(r\d+,rb16384,t\d+,tb16384")
