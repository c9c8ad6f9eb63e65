# SPDX-License-Identifier: Apache-2.0
"""Peers that are logged in and misbehave: broken frames in numbers, half messages, deep tables, many channels."""

import random
import struct

import amqp_raw
from amqp_raw import (BODY, HEADER, HEARTBEAT, METHOD, METHODS, Channel, ChannelClosed, ConnectionClosed, Dropped,
                      body_frame, frame, header_frame, method_frame, method_payload, publish_frames)
from harness import eq, ok, settings, slow, wait_until

SEED = 20240229
PUBLISH = method_frame(1, "basic.publish", routing_key="nowhere")


def close_code(connection):
    """The code of the server's close, or None if the connection just ended."""
    try:
        return connection.wait_close().reply_code
    except Dropped:
        return None


def test_frames_of_every_type_on_channel_0(broker):
    for kind in range(256):
        for payload in (b"", b"\0" * 14):
            if kind == HEARTBEAT and not payload:
                continue
            c = broker.connect()
            c.wire.send(frame(kind, 0, payload))
            code = close_code(c)
            ok(code in (501, 503, 504, 505) or not broker.is_coney, "type %d: %r" % (kind, code))
            c.wire.close()
        if kind == 12:
            break
    broker.is_up()


def test_every_method_on_channel_0_and_on_a_closed_channel(broker):
    for name, spec in METHODS.items():
        for channel in (0, 7):
            c = broker.connect()
            named = {"queue": "q"} if any(f.name == "queue" for f in spec.fields) else {}
            c.wire.send(method_frame(channel, name, **named) + (header_frame(channel, 0) if spec.content else b""))
            if name == "connection.close" and channel == 0:
                c.wait_control("connection.close-ok")
            elif name == "connection.update-secret" and channel == 0:
                c.wait_control("connection.update-secret-ok")
            elif name == "channel.open" and channel == 7:
                eq(c.wire.read_frame().channel, 7)
            else:
                code = close_code(c)
                ok(code in (503, 504, 505) or not broker.is_coney, "%s on %d: %r" % (name, channel, code))
            c.wire.close()
    broker.is_up()


@slow
def test_oversize_lengths_in_frames_and_arguments(broker):
    for size in (0xffffffff, 0x80000000, 0x7fffffff, 131081, 1 << 20):
        for kind in (METHOD, HEADER, BODY, HEARTBEAT):
            c = broker.connect()
            c.channel()
            c.wire.send(struct.pack(">BHI", kind, 1, size) + b"\0" * 20)
            eq(close_code(c), 501, "type %d size %d" % (kind, size))
            c.wire.close()
    for length in (0xffffffff, 0x80000000, 0x7fffffff, 1000):
        payload = method_payload("queue.declare", queue="q")[:-4] + struct.pack(">I", length)
        c = broker.connect()
        c.channel()
        c.wire.send(frame(METHOD, 1, payload))
        ok(close_code(c) in ((501, 502) if broker.is_coney else (501, 502, None)), "table of %d octets" % length)
        c.wire.close()
    broker.is_up()


def test_header_without_body_then_leave(broker):
    """The message is not there, whichever way the publisher goes."""
    keeper = broker.channel()
    queue = broker.name()
    keeper.declare(queue)
    head = method_frame(1, "basic.publish", routing_key=queue) + header_frame(1, 1000)
    for how in ("close", "abort", "connection.close", "half_close"):
        for part in (b"", body_frame(1, b"x" * 999)):
            c = broker.connect()
            c.channel()
            c.wire.send(head + part)
            if how == "connection.close":
                c.close()
            else:
                getattr(c.wire, how)()
    broker.is_up()
    eq(keeper.get(queue), None)


def test_unfinished_bodies_cost_what_was_sent_not_what_was_announced(broker):
    c = broker.connect()
    for number in range(1, 1001):
        c.channels[number] = Channel(c, number)
    c.wire.send(b"".join(method_frame(n, "channel.open") for n in range(1, 1001)))
    for number in range(1, 1001):
        c.channels[number].take("channel.open-ok")
    before = broker.rss()
    c.wire.send(b"".join(method_frame(n, "basic.publish", routing_key="q") + header_frame(n, 134217728)
                         + body_frame(n, b"x") for n in range(1, 1001)))
    c.send(0, "connection.update-secret", new_secret="", reason="round trip")
    c.wait_control("connection.update-secret-ok")
    broker.grew_less(before, 64, "a thousand announced bodies")
    c.abort()
    broker.is_up()


def nested(kind, depth):
    """A table whose only value is a table (or array) of one value, and so on, DEPTH times; encoded by hand."""
    value = b"V"
    for _ in range(depth):
        if kind == "F":
            value = b"F" + amqp_raw.longstr(b"\x01k" + value)
        else:
            value = b"A" + amqp_raw.longstr(value)
    return amqp_raw.longstr(b"\x01k" + value)


def test_tables_nested_a_little_are_fine(broker):
    ch = broker.channel()
    queue = broker.name()
    for kind in "FA":
        table = nested(kind, 10)
        ch.declare(queue, table, exclusive=True)
        ch.publish("", queue, b"x", flags=0x2000, raw=table)
        eq(ch.get(queue).props_raw, table)


def test_tables_nested_a_thousand_deep_and_deeper(broker):
    """Accepted or refused, in a message, in a method, in a headers binding; never a crash."""
    for kind in "FA":
        for depth in (100, 1000, 10000):
            table = nested(kind, depth)
            ch = broker.channel()
            queue = broker.name()
            ch.declare(queue, auto_delete=True)
            ch.publish("", queue, b"x", flags=0x2000, raw=table)
            try:
                got = ch.get(queue)
                eq(got.props_raw, table)
            except ConnectionClosed as closed:
                ok(closed.code in (501, 502, 541), "message: %d" % closed.code)
            for method, fields in (("queue.declare", {"queue": broker.name()}),
                                   ("queue.bind", {"queue": queue, "exchange": "amq.headers"}),
                                   ("basic.consume", {"queue": queue})):
                ch = broker.channel()
                try:
                    ch.call(method, arguments=table, **fields)
                except ConnectionClosed as closed:
                    ok(closed.code in (501, 502, 541), "%s: %d" % (method, closed.code))
                except ChannelClosed:
                    pass
                except Dropped:
                    ok(not broker.is_coney, "%s: dropped without a close" % method)
                ch.connection.wire.close()
    broker.is_up()


@slow
@settings(channel_max=0)
def test_65535_channels_on_one_connection(broker):
    c = broker.connect(channel_max=0)
    before = broker.rss()
    step = 4096
    for first in range(1, 65536, step):
        numbers = range(first, min(first + step, 65536))
        c.wire.send(b"".join(method_frame(n, "channel.open") for n in numbers))
        for _ in numbers:
            got = c.wire.read_frame()
            eq(got.payload[:4], b"\0\x14\0\x0b", "open-ok")
    broker.grew_less(before, 256, "65535 channels")
    queue = broker.name()
    c.channels[65535] = last = Channel(c, 65535)
    last.declare(queue, exclusive=True)
    last.publish("", queue, b"through the last")
    eq(last.get(queue).body, b"through the last")
    c.wire.send(method_frame(0, "connection.close"))
    c.wait_control("connection.close-ok", timeout=20)
    broker.is_up()


@slow
def test_mutated_traffic_of_a_logged_in_peer(broker):
    """Seeded mutations of a valid conversation; a sentinel on another connection sees nothing of it."""
    sentinel = broker.channel()
    mine = broker.name("sentinel")
    sentinel.declare(mine, exclusive=True)
    sentinel.consume(mine, no_ack=True)
    rng = random.Random(SEED)
    queue = broker.name()
    valid = b"".join([
        method_frame(1, "queue.declare", queue=queue, auto_delete=True, arguments={"x-max-length": 5}),
        method_frame(1, "queue.bind", queue=queue, exchange="amq.headers", arguments={"x-match": "any", "a": 1}),
        method_frame(1, "basic.qos", prefetch_count=3), method_frame(1, "basic.consume", queue=queue, consumer_tag="t"),
        publish_frames(1, "amq.headers", "", b"body" * 10, {"headers": {"a": 1, "l": [1, "x"]}, "expiration": "1000"}),
        method_frame(1, "basic.ack", delivery_tag=1), method_frame(1, "tx.select"),
        publish_frames(1, "", queue, b"", {"message_id": "m"}), method_frame(1, "tx.commit"),
        method_frame(1, "basic.recover", requeue=True), method_frame(1, "basic.cancel", consumer_tag="t"),
        method_frame(1, "channel.close")])
    for n in range(300):
        broken = bytearray(valid)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(broken))
            what = rng.randrange(4)
            if what == 0:
                broken[at] ^= 1 << rng.randrange(8)
            elif what == 1:
                broken[at] = rng.choice((0, 1, 127, 128, 255, 0xce))
            elif what == 2:
                del broken[at:at + rng.randrange(1, 9)]
            else:
                broken[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        c = broker.connect()
        c.channel()
        c.wire.send(bytes(broken))
        (c.wire.abort if n % 2 else c.wire.close)()
        if n % 50 == 49:
            sentinel.publish("", mine, str(n))
            eq(sentinel.delivery().body, str(n).encode())
    broker.is_up()


def test_shuffled_frames(broker):
    """Valid frames in any order; each connection ends with a clean close or works on."""
    rng = random.Random(SEED)
    pieces = [method_frame(1, "basic.publish", routing_key="q"), header_frame(1, 4), body_frame(1, b"abcd"),
              body_frame(1, b""), header_frame(1, 0), method_frame(1, "channel.flow", active=True),
              method_frame(1, "channel.close"), method_frame(1, "channel.open"), method_frame(1, "channel.close-ok"),
              amqp_raw.HEARTBEAT_FRAME, method_frame(1, "confirm.select"), method_frame(1, "tx.select")]
    for _ in range(200):
        c = broker.connect()
        c.channel()
        c.wire.send(b"".join(rng.choice(pieces) for _ in range(12)))
        c.wire.half_close()
        c.wire.read_to_end(15)
        c.wire.close()
    broker.is_up()


def test_twenty_megabytes_of_tiny_frames_in_one_write(broker):
    c = broker.connect()
    ch = c.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    one = publish_frames(1, "", queue, b"")
    c.wire.sock.settimeout(60)
    c.wire.send(one * (20000000 // len(one)))
    ch.wait_count = 20000000 // len(one)
    wait_until(lambda: ch.count(queue)[0] == ch.wait_count, 40, "all enqueued")
    ch.call("queue.purge", timeout=30, queue=queue)


def test_ten_thousand_consumers_and_bindings_of_one_connection_go_with_it(broker):
    c = broker.connect()
    ch = c.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    n = 10000 if broker.is_coney else 500
    ch.raw(*[method_frame(1, "basic.consume", queue=queue, consumer_tag="t%d" % i, nowait=True) for i in range(n)])
    ch.raw(*[method_frame(1, "queue.bind", queue=queue, exchange="amq.direct", routing_key="%s.%d" % (broker.unique, i),
                          nowait=True) for i in range(n)])
    eq(ch.call("queue.declare", timeout=30, queue=queue, passive=True).consumer_count, n)
    c.abort()
    other = broker.connect()

    def gone():
        try:
            other.channel().count(queue)
        except ChannelClosed as closed:
            return closed.code == 404
    wait_until(gone, 15, "queue gone")
