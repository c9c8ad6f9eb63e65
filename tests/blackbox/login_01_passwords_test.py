# SPDX-License-Identifier: Apache-2.0
"""Logins as such: which hashes are taken, what happens off the loops, and who is slowed.

Tests that fail on purpose come from loopback addresses of their own: failures are counted for each address.
"""

import base64
import hashlib
import select
import time

import amqp_raw
from amqp_raw import PROTOCOL_HEADER, decode_method, method_frame
from harness import definitions, differs, eq, ok, permission, settings, user

REFUSED = "ACCESS_REFUSED - Login was refused using authentication mechanism %s. For details see the broker logfile."


def scrypt_hash(password, log_n=10, r=8, p=1, salt=b"sixteen octets .."):
    salt = salt[:16]
    key = hashlib.scrypt(password.encode(), salt=salt, n=1 << log_n, r=r, p=p, maxmem=1 << 27, dklen=32)
    return base64.b64encode(bytes([log_n, r, p]) + salt + key).decode()


def scrypt_user(name, password, **more):
    return user(name, password_hash=scrypt_hash(password, **more),
                hashing_algorithm="coney_password_hashing_scrypt")


def many_hashes():
    def salted(digest, password):
        return base64.b64encode(b"salt" + digest(b"salt" + password).digest()).decode()

    users = [scrypt_user("scrypt", "pw"), scrypt_user("larger", "pw", log_n=12, r=4, p=2),
             user("sha512", password_hash=salted(hashlib.sha512, b"pw"),
                  hashing_algorithm="rabbit_password_hashing_sha512"),
             user("md5", password_hash=salted(hashlib.md5, b"pw"),
                  hashing_algorithm="rabbit_password_hashing_md5"),
             user("blank", password_hash=""), {"name": "plain", "password": "pw", "tags": ""}]
    return {"users": users, "permissions": [permission(u["name"], "/") for u in users]}


def begin(broker, who, password, source=None, mechanism="PLAIN", header=PROTOCOL_HEADER):
    """All that has to be said up to the answer of a login, without waiting for any of it."""
    wire = broker.wire(source=source)
    wire.send(header + method_frame(
        0, "connection.start-ok", client_properties={"capabilities": {"authentication_failure_close": True}},
        mechanism=mechanism, response=amqp_raw.plain_response(who, password), locale="en_US"))
    return wire


def answer(wire):
    """"connection.tune", or the text of the refusal."""
    eq(decode_method(0, wire.read_frame().payload).name, "connection.start")
    method = decode_method(0, wire.read_frame().payload)
    return method.reply_text if method.name == "connection.close" else method.name


@definitions(many_hashes)
@differs("knows scrypt")
def test_hashes_of_every_kind(broker):
    for name in ("scrypt", "larger", "sha512", "md5", "plain"):
        broker.connect(user=name, password="pw")
        broker.connect(user=name, password="pw")
        eq(answer(begin(broker, name, "pw2", source="127.0.2.1")), REFUSED % "PLAIN", name)
    eq(answer(begin(broker, "blank", "", source="127.0.2.1")), REFUSED % "PLAIN")
    eq(answer(begin(broker, "blank", "pw", source="127.0.2.1")), REFUSED % "PLAIN")
    eq(answer(begin(broker, "scrypt", "", source="127.0.2.1")), REFUSED % "PLAIN")


def round_trips(channel, count):
    took = []
    for _ in range(count):
        began = time.monotonic()
        channel.sync()
        took.append(time.monotonic() - began)
    return took


@settings(handshake_timeout=60000)
def test_a_hundred_wrong_passwords_stall_nobody(broker):
    """Hashing them on the loop took seconds, and nobody was answered meanwhile."""
    channel = broker.channel()
    quiet = sorted(round_trips(channel, 200))
    wires = [begin(broker, "guest", "wrong%d" % i, source="127.0.1.%d" % (i % 50 + 1)) for i in range(100)]
    busy, refused = [], 0
    poll = select.poll()
    for wire in wires:
        eq(decode_method(0, wire.read_frame().payload).name, "connection.start")
        poll.register(wire.sock, select.POLLIN)
    deadline = time.monotonic() + 10
    while refused < 100 and time.monotonic() < deadline:
        busy += round_trips(channel, 1)
        for fd, _ in poll.poll(0):
            poll.unregister(fd)
            refused += 1
    ok(refused >= 10, "only %d were refused in 10 s" % refused)
    busy.sort()
    allowed = max(0.1, 20 * quiet[len(quiet) * 99 // 100])
    ok(busy[len(busy) * 99 // 100] < allowed, "p99 of a round trip %.1f ms, quiet %.1f ms; %.1f allowed" % (
        busy[len(busy) * 99 // 100] * 1e3, quiet[len(quiet) * 99 // 100] * 1e3, allowed * 1e3))
    eq(answer(begin(broker, "guest", "guest", source="127.0.1.99")), "connection.tune", "who is known comes in at once")


test_a_hundred_wrong_passwords_stall_nobody.seconds = 10


def seconds_of(broker, password, source, expected):
    wire = begin(broker, "guest", password, source=source)
    began = time.monotonic()
    eq(answer(wire), expected)
    return time.monotonic() - began


@differs("slows nobody")
def test_failures_slow_their_own_address_only(broker):
    """Ten are free, then waiting doubles from 100 ms; what is slow for another reason can only forgive some."""
    broker.connect().close()  # who has this password is known from now on
    for _ in range(11):
        seconds_of(broker, "wrong", "127.0.3.1", REFUSED % "PLAIN")
    ok(any(seconds_of(broker, "wrong", "127.0.3.1", REFUSED % "PLAIN") > 1.5 for _ in range(12)), "nothing is slowed")
    slowed = seconds_of(broker, "guest", "127.0.3.1", "connection.tune")
    ok(slowed > 0.4, "who may have guessed it waits as well, not %.2f s" % slowed)
    other = min(seconds_of(broker, "guest", "127.0.3.2", "connection.tune") for _ in range(3))
    ok(other < 0.4, "another address waits %.2f s" % other)


test_failures_slow_their_own_address_only.seconds = 8


@settings(auth_mechanisms__1="PLAIN", auth_mechanisms__2="EXTERNAL")
def test_external_without_a_certificate_is_refused_like_a_wrong_password(broker):
    eq(broker.connect().start.mechanisms, "PLAIN", "it is offered over TLS only")
    eq(answer(begin(broker, "guest", "guest", mechanism="EXTERNAL")), REFUSED % "EXTERNAL")


def test_what_is_sent_behind_a_login_waits_for_it(broker):
    """The whole handshake in one go, right and wrong, in pieces of any size."""
    rest = (method_frame(0, "connection.tune-ok", channel_max=2047, frame_max=131072, heartbeat=0)
            + method_frame(0, "connection.open", virtual_host="/") + method_frame(1, "channel.open"))
    for size in (1, 7, 100000):
        wire = broker.wire(source="127.0.4.1")
        octets = PROTOCOL_HEADER + method_frame(0, "connection.start-ok", client_properties={}, mechanism="PLAIN",
                                                response=b"\0guest\0guest", locale="en_US") + rest
        for at in range(0, len(octets), size):
            wire.send(octets[at:at + size])
        names = [decode_method(0, wire.read_frame().payload).name for _ in range(4)]
        eq(names, ["connection.start", "connection.tune", "connection.open-ok", "channel.open-ok"])
    wire = begin(broker, "guest", "wrong", source="127.0.4.1")
    wire.send(rest)
    eq(answer(wire), REFUSED % "PLAIN")
