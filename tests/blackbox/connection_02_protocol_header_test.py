# SPDX-License-Identifier: Apache-2.0
"""connection-and-channel, 2: the eight octets that open a connection, and their refusal."""

import time

import amqp_raw
from amqp_raw import PROTOCOL_HEADER, decode_method
from harness import between, differs, eq, settings, slow, wait_until


def starts(broker, octets):
    wire = broker.wire()
    wire.send(octets)
    start = decode_method(0, wire.read_frame().payload)
    eq((start.name, start.version_major, start.version_minor), ("connection.start", 0, 9))


def refused(broker, octets):
    wire = broker.wire()
    wire.send(octets)
    eq(wire.read_to_end(5), PROTOCOL_HEADER, repr(octets))


def test_0_9_1_starts(broker):
    starts(broker, b"AMQP\0\0\x09\x01")


def test_0_9_is_served_as_0_9_1(broker):
    starts(broker, b"AMQP\x01\x01\x00\x09")


def test_header_may_come_octet_by_octet(broker):
    wire = broker.wire()
    wire.dribble(PROTOCOL_HEADER)
    eq(decode_method(0, wire.read_frame().payload).name, "connection.start")


@differs("3.10 still serves 0-8")
def test_0_8_is_refused(broker):
    refused(broker, b"AMQP\x01\x01\x08\x00")
    refused(broker, b"AMQP\x01\x01\x09\x01")


def test_amqp_1_0_is_refused(broker):
    refused(broker, b"AMQP\0\x01\0\0")
    refused(broker, b"AMQP\x03\x01\0\0")


def test_other_0_9_and_later_are_refused(broker):
    for tail in (b"\0\0\x09\x00", b"\0\0\x09\x02", b"\0\0\x0a\x00", b"\0\0\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff"):
        refused(broker, b"AMQP" + tail)


def test_other_protocols_are_refused(broker):
    refused(broker, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    refused(broker, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    refused(broker, b"SSH-2.0-OpenSSH\r\n")
    refused(broker, b"\0" * 8)
    refused(broker, b"amqp\0\0\x09\x01")


@slow
def test_who_is_refused_has_three_seconds_to_leave(broker):
    """Then the socket is closed, though the other side never does: what is sent to it is answered by a reset."""
    wire = broker.wire()
    wire.send(b"GET / HTTP/1.1\r\n\r\n")
    eq(wire.read_to_end(5), PROTOCOL_HEADER)
    began = time.monotonic()

    def is_closed():
        wire.send(b"x")
        return wire.reset

    wait_until(is_closed, 40, "reset", pause=0.1)
    between(time.monotonic() - began, 0, 6, "seconds until closed")


def test_nothing_is_answered_before_the_eighth_octet(broker):
    """Seven octets of another protocol, and then the rest: the answer comes only then."""
    wire = broker.wire()
    wire.send(b"AMQP\0\0\x09")
    broker.is_up()
    wire.silent_for(0.05)
    wire.send(b"\x01")
    eq(decode_method(0, wire.read_frame().payload).name, "connection.start")


@settings(handshake_timeout=400)
def test_header_dribble_waits_for_the_handshake_timeout(broker):
    for octets in (b"AMQP\0\0\x09", b"XYZ"):
        wire = broker.wire()
        wire.send(octets)
        wire.expect_drop(5)


def test_health_check_connects_and_leaves(broker):
    for _ in range(50):
        broker.wire().close()
    for _ in range(10):
        broker.wire().abort()
    broker.is_up()


def test_peer_that_half_closes_before_the_header_is_let_go(broker):
    wire = broker.wire()
    wire.half_close()
    wire.expect_drop(5)


def test_pipelined_handshake_in_one_segment(broker):
    """Header, start-ok, tune-ok, open, channel.open and a declare without waiting for anything."""
    wire = broker.wire()
    queue = broker.name()
    wire.send(PROTOCOL_HEADER + b"".join([
        amqp_raw.method_frame(0, "connection.start-ok", mechanism="PLAIN", response=b"\0guest\0guest"),
        amqp_raw.method_frame(0, "connection.tune-ok", channel_max=10, frame_max=131072, heartbeat=0),
        amqp_raw.method_frame(0, "connection.open", virtual_host="/"),
        amqp_raw.method_frame(5, "channel.open"),
        amqp_raw.method_frame(5, "queue.declare", queue=queue, exclusive=True)]))
    names = []
    while "queue.declare-ok" not in names:
        got = wire.read_frame()
        names.append(decode_method(got.channel, got.payload).name)
    eq(names, ["connection.start", "connection.tune", "connection.open-ok", "channel.open-ok", "queue.declare-ok"])
