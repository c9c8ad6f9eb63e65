# SPDX-License-Identifier: Apache-2.0
"""What the Python clients share: scenarios by name, the output protocol of ../run, the address, expectations."""
import asyncio
import inspect
import os
import socket
import ssl
import sys
import time
import traceback

HOST = os.environ["AMQP_HOST"]
PORT = int(os.environ["AMQP_PORT"])
URL = os.environ["AMQP_URL"]
PROXY_PORT = int(os.environ["PROXY_PORT"])
PREFIX = os.environ["AMQP_PREFIX"]
DEADLINE_S = 30
BODY_10MB = bytes(i * 31 % 251 for i in range(251)) * (10_000_000 // 251 + 1)

_scenarios = {}


class Skip(Exception):
    """This client cannot do it; the message says why."""


def scenario(name):
    def register(function):
        _scenarios[name] = function
        return function

    return register


def unavailable(name, reason):
    def refuse():
        raise Skip(reason)

    _scenarios[name] = refuse


def tls_context():
    """What to connect with when the address is an amqps one: verifies the broker, shows a certificate. Else None."""
    if "TLS_CA" not in os.environ:
        return None
    context = ssl.create_default_context(cafile=os.environ["TLS_CA"])
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    return context


def cut_connections():
    """Cut everything that goes through PROXY_PORT; done when this returns."""
    with socket.create_connection(("127.0.0.1", int(os.environ["CUT_PORT"]))) as s:
        while s.recv(100):
            pass


def expect(actual, expected, what="value"):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}"[:600])


def eventually(condition, what, step=lambda: time.sleep(0.02)):
    """Wait until condition() holds, calling step() in between."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {DEADLINE_S} s for {what}")
        step()


def main():
    failed = False
    for name in sys.argv[1:]:
        started = time.monotonic()
        try:
            result = _scenarios[name]()
            if inspect.isawaitable(result):
                asyncio.run(result)
            print(f"ok {name}", flush=True)
        except Skip as skip:
            print(f"skip {name}: {skip}", flush=True)
        except Exception as error:  # whatever the library raises is this scenario's failure
            failed = True
            traceback.print_exc()
            print(f"not ok {name}: {type(error).__name__} {error}".replace("\n", " "), flush=True)
        print(f"# {name} took {time.monotonic() - started:.1f} s", flush=True)
    sys.exit(failed)
