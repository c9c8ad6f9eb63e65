# SPDX-License-Identifier: Apache-2.0
"""The log from outside: outputs, levels, forms, and what strangers can make it say."""

import json
import os
import re
import signal
import socket
import subprocess

import amqp_raw
from daemon import Daemon
from harness import differs, eq, matches, ok, readable, wait_until

program = differs("about coneyd's log")
LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d \[(debug|info|warning|error|critical)\] [ -~]+$")


def knock(daemon, octets):
    wire = amqp_raw.Wire(*daemon.address())
    wire.send(octets)
    wire.read_to_end()
    wire.close()


def fail_login(daemon, user):
    try:
        daemon.connect(user=user, password="wrong")
    except amqp_raw.ConnectionClosed as closed:
        eq(closed.code, 403)


@program
def test_lines_and_the_one_that_others_wait_for(broker):
    with Daemon() as daemon:
        daemon.wait_log(r"\[info\] Server startup complete; 0 plugins started\.$")
        for line in daemon.log().splitlines():
            ok(LINE.match(line), line)


@program
def test_json_lines(broker):
    with Daemon("--set", "log.console.formatter=json") as daemon:
        knock(daemon, b"\"\\\n\x00nothing of AMQP")
        wait_until(lambda: "protocol header" in daemon.log())
        lines = [json.loads(line) for line in daemon.log().splitlines()]
        knocked = next(line for line in lines if "protocol header" in line["msg"])
        eq((knocked["level"], knocked["domain"], knocked["pid"]),
           ("info", "coney.connection", daemon.process.pid))


@program
def test_what_strangers_send_stays_in_its_line(broker):
    """A user name with a line of its own, an escape of the terminal and bytes that are no text."""
    evil = "eve\n2026-01-01 00:00:00.000000+00:00 [critical] all is lost\r\x1b[2J\u202e"
    with Daemon() as daemon:
        fail_login(daemon, evil)
        daemon.wait_log("login of user 'eve.*refused")
        for line in daemon.log().splitlines():
            ok(LINE.match(line), line)
        ok("[critical] all is lost" not in [line.partition(" ")[2][16:] for line in daemon.log().splitlines()], "forged")
        matches(daemon.log(), r"'eve\\x0a2026-01-01")


@program
def test_file_beside_the_console_with_levels_of_their_own(broker):
    with Daemon("--set", "log.dir=@", "--set", "log.file=out.log", "--set", "log.file.level=warning",
                "--set", "log.file.formatter=json", "--set", "heartbeat=1", "--set", "mqtt.x=1") as daemon:
        daemon.wait_log("Server startup complete")
        lines = [json.loads(line) for line in daemon.read("out.log").splitlines()]
        eq([line["level"] for line in lines], ["warning"])
        matches(lines[0]["msg"], "mqtt.x is ignored")
        eq(os.stat(daemon.path("out.log")).st_mode & 0o007, 0, "others may not read it")


@program
def test_no_console(broker):
    with Daemon("--set", "log.console=false", "--set", "log.file=@/out.log") as daemon:
        wait_until(lambda: "Server startup complete" in daemon.read("out.log"))
        eq(daemon.log(), "")


@program
def test_levels_by_category(broker):
    with Daemon("--set", "log.connection.level=none") as daemon:
        knock(daemon, b"GET / HTTP/1.1\r\n\r\n")
        daemon.wait_log("Server startup complete")
        eq(daemon.stop(), 0)
        ok("protocol header" not in daemon.log(), daemon.log())
    with Daemon("--set", "log.level=error", "--set", "log.connection.level=info") as daemon:
        knock(daemon, b"GET / HTTP/1.1\r\n\r\n")
        daemon.wait_log("protocol header")
        ok("startup" not in daemon.log(), daemon.log())


@program
def test_a_reload_changes_level_and_file(broker):
    with Daemon(config="log.level = warning\n") as daemon:
        eq(daemon.log(), "")
        daemon.write("coney.conf", "log.level = info\nlog.file = @/first.log\n")
        daemon.reload()
        wait_until(lambda: "reloaded" in daemon.read("first.log"))
        daemon.write("coney.conf", "log.level = info\nlog.file = @/second.log\n")
        daemon.reload()
        wait_until(lambda: "reloaded" in daemon.read("second.log"))


@program
def test_sigusr1_opens_the_file_that_logrotate_moved(broker):
    with Daemon("--set", "log.file=@/out.log") as daemon:
        wait_until(lambda: "Server startup complete" in daemon.read("out.log"))
        os.rename(daemon.path("out.log"), daemon.path("out.log.1"))
        daemon.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(daemon.path("out.log")) and "opened again" in daemon.read("out.log"))
        ok("stopped" not in daemon.read("out.log.1"), "the old one")


@program
def test_a_file_that_cannot_be_opened_keeps_it_from_starting(broker):
    daemon = Daemon("--set", "log.file=/nonexistent/log")
    eq(daemon.stop(), 73)
    matches(daemon.log(), "log.file: /nonexistent/log cannot be opened")


@program
def test_floods_are_summed_up(broker):
    """Of a stranger who comes again and again five lines are written in each period of ten seconds, then how many more there were;
    what was not yet told when the broker ends is told then."""
    with Daemon() as daemon:
        for _ in range(200):
            knock(daemon, b"GET / HTTP/1.1\r\n\r\n")
        eq(daemon.stop(), 0)
        said = [line for line in daemon.log().splitlines() if "an HTTP client?" in line]
        repeated = [int(times) for times in re.findall(r"an HTTP client\?\) \.\.\. repeated (\d+) times", daemon.log())]
        ok(len(said) < 100, "%d lines" % len(said))
        eq(len(said) - len(repeated) + sum(repeated), 200, repr(said))


@program
def test_an_output_that_nobody_reads_does_not_stop_clients(broker):
    """Standard error is a full pipe: clients are served, and SIGTERM ends the broker all the same."""
    full, end = os.pipe()
    os.set_blocking(end, False)
    try:
        while True:
            os.write(end, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(end, True)
    with Daemon() as plain:
        command = [plain.process.args[0], "--ephemeral", "--set", "listeners.tcp.1=127.0.0.1:0", "--set", "log.level=debug"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=end, text=True)
    try:
        host, port = re.search(r"(\S+):(\d+)$", process.stdout.readline()).groups()
        for _ in range(20):
            amqp_raw.Connection(host, int(port)).channel().connection.close()
        process.send_signal(signal.SIGTERM)
        eq(process.wait(20), 0)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        os.close(full)
        os.close(end)


@program
def test_the_journal_gets_priorities_and_no_times(broker):
    ours, theirs = socket.socketpair()
    found = os.fstat(theirs.fileno())
    process = subprocess.Popen([os.environ["CONEYD"], "--ephemeral", "--set", "listeners.tcp.1=127.0.0.1:0", "--set",
                                "mqtt.x=1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
                               env=dict(os.environ, JOURNAL_STREAM="%d:%d" % (found.st_dev, found.st_ino)))
    theirs.close()
    for line in process.stdout:
        if line == b"ready\n":
            break
    process.send_signal(signal.SIGTERM)
    said = b""
    while readable(ours, 20):
        data = ours.recv(65536)
        if not data:
            break
        said += data
    eq(process.wait(20), 0)
    process.stdout.close()
    ours.close()
    lines = said.decode().splitlines()
    matches(lines[0], r"^<4>--set: mqtt.x is ignored")
    ok("<6>Server startup complete; 0 plugins started." in lines, lines)


@program
def test_the_life_of_a_connection(broker):
    with Daemon() as daemon:
        connection = daemon.connect()
        port = connection.wire.sock.getsockname()[1]
        daemon.wait_log(r"\[info\] connection 127.0.0.1:%d: user 'guest' authenticated and granted access to vhost '/'$" % port)
        connection.close()
        daemon.wait_log(r"\[info\] closing connection 127.0.0.1:%d \(vhost: '/', user: 'guest'\)$" % port)
        rude = daemon.connect()
        rude.abort()
        daemon.wait_log(r"\[warning\] closing connection 127.0.0.1:\d+ .*: client unexpectedly closed TCP connection$")


@program
def test_errors_that_close_channels_and_connections(broker):
    with Daemon("--set", "log.console.formatter=json") as daemon:
        channel = daemon.connect().channel()
        channel.fails("queue.declare", 404, queue="none\n\x1b", passive=True)
        found = daemon.wait_log(r"channel error on connection .*, channel 1: 404 NOT_FOUND - no queue 'none.*' in vhost '/'")
        eq(json.loads(daemon.log()[daemon.log().rfind("\n", 0, found.start()) + 1:].splitlines()[0])["domain"], "coney.channel")
        daemon.connect().channel().kills("channel.open", 504)
        daemon.wait_log(r"\"level\":\"error\".*\"msg\":\"error on connection .*: 504 CHANNEL_ERROR - ")
