# SPDX-License-Identifier: Apache-2.0
"""coneyd as scripts see it: its lines on standard output, its exit statuses (sysexits.h), its signals."""

import os
import resource
import signal
import socket
import subprocess
import tempfile

from harness import Coneyd, differs, eq, ok

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
                        "--set", "listeners.tcp.b=127.0.0.2:0")
        lines = [process.stdout.readline() for _ in range(3)]
        eq(stop(process, sign), ("", 0), "silent and clean end")
        eq([Coneyd.address(line)[0] for line in lines[:2]], ["127.0.0.1", "127.0.0.2"])
        ok(all(Coneyd.address(line)[1] > 0 for line in lines[:2]), lines)
        eq(lines[2], "ready\n")


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
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said, complained = run("--ephemeral", "--set", "listeners.tcp.1=127.0.0.1:%d" % port)
    eq((status, said), (EX_OSERR, ""))
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
