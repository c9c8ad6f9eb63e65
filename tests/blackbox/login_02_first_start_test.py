# SPDX-License-Identifier: Apache-2.0
"""What a new node begins with: who can log in from where, and what it says about it."""

import os
import subprocess
import tempfile

from connection_03_handshake_test import own_address
from harness import Coneyd, Skip, differs, eq, ok, settings
from login_01_passwords_test import REFUSED, answer, begin

program = differs("about coneyd's first start")


def start(folder, *more):
    """Start with a data directory; the process, and what it printed."""
    command = [os.environ["CONEYD"], "--data", folder, "--set", "journal_window=16MiB"]
    for setting in ("listeners.tcp.1=127.0.0.1:0", *more):
        command += ["--set", setting]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    said, line = "", None
    while line not in (b"ready\n", b""):
        line = process.stdout.readline()
        said += line.decode()
    return process, said


def stop(process):
    """End it, and return what was logged."""
    process.terminate()
    _, log = process.communicate(timeout=20)
    eq(process.returncode, 0, log)
    return log.decode()


@program
def test_first_start_says_who_can_log_in_and_how_to_make_an_administrator(broker):
    for more, expected in (((), "user 'guest' is made and can log in from this machine only"),
                           (("default_user=me",), "user 'me' is made and can log in from this machine only"),
                           (("default_user=me", "default_pass=secret"),
                            "user 'me' is made with the password of default_pass and can log in from anywhere"),
                           (("loopback_users=none",), "can log in from anywhere with the password that everybody knows"),
                           (("default_user=",), "there are no users, so nobody can log in")):
        with tempfile.TemporaryDirectory() as folder:
            log = stop(start(folder, *more)[0])
            ok("first start: " in log and expected in log, log)
            ok("to make an administrator" in log, log)
            ok("secret" not in log, log)
            again = stop(start(folder, *more)[0])
            if more != ("default_user=",):
                ok("first start" not in again and "administrator" not in again, again)


@settings(listeners__tcp__1="0.0.0.0:0", default_user="me")
def test_default_user_with_the_built_in_password_is_local(broker):
    eq(answer(begin(broker, "me", "guest")), "connection.tune")
    broker.host = own_address()
    if broker.host is None:
        raise Skip("this machine has loopback addresses only")
    eq(answer(begin(broker, "me", "guest")), REFUSED % "PLAIN")


@settings(listeners__tcp__1="0.0.0.0:0", default_user="me", default_pass="secret")
def test_default_user_with_a_password_of_its_own_comes_from_anywhere(broker):
    broker.host = own_address()
    if broker.host is None:
        raise Skip("this machine has loopback addresses only")
    eq(answer(begin(broker, "me", "secret")), "connection.tune")


@program
def test_users_with_new_hashes_are_there_after_a_restart(broker):
    with tempfile.TemporaryDirectory() as folder:
        stop(start(folder, "default_user=me", "default_pass=secret")[0])
        process, said = start(folder)
        broker.host, broker.port = Coneyd.address(said)
        try:
            eq(answer(begin(broker, "me", "secret")), "connection.tune")
            eq(answer(begin(broker, "me", "guest")), REFUSED % "PLAIN")
        finally:
            stop(process)
