# SPDX-License-Identifier: Apache-2.0
"""connection-and-channel, 5: each way to break the order or the shape of frames, and its answer."""

import re
import struct
import time

import amqp_raw
from amqp_raw import (BODY, HEADER, HEARTBEAT, METHOD, METHODS, body_frame, frame, header_frame, method_frame,
                      method_payload)
from harness import between, differs, eq, ok, slow


def broken(broker, octets, code, text, cls=0, meth=0):
    """Send these octets on a connection with channel 1 open and expect this close."""
    ch = broker.channel()
    ch.raw(octets)
    return ch.connection.expect_close(code, text, cls, meth)


PUBLISH = method_frame(1, "basic.publish", routing_key="nowhere")


def test_wrong_frame_end(broker):
    broken(broker, frame(METHOD, 1, method_payload("channel.flow", active=True), end=170), 501,
           re.compile(r"^FRAME_ERROR - type 1, .*\{invalid_frame_end_marker,170\}$"))


@slow
def test_after_a_broken_frame_input_is_ignored_and_the_socket_closed_in_3_s(broker):
    ch = broker.channel()
    ch.raw(frame(METHOD, 1, b"\0\x14\0\x14\1", end=0), method_frame(0, "connection.close"),
           method_frame(2, "channel.open"))
    eq(ch.connection.wait_close().reply_code, 501)
    began = time.monotonic()
    ch.connection.wire.expect_drop(8)
    between(time.monotonic() - began, 0, 5, "seconds until closed")


def test_frame_too_large(broker):
    broken(broker, struct.pack(">BHI", HEADER, 1, 0xffffffff), 501,
           "FRAME_ERROR - type 2, all octets = <<>>: {frame_too_large,4294967295,131064}")


def test_unknown_frame_type(broker):
    for kind in (0, 4, 5, 6, 7, 9, 65, 255):
        broken(broker, frame(kind, 1, b""), 501, "FRAME_ERROR - type %d, all octets = <<>>: unknown_frame" % kind)


def test_unknown_frame_type_on_channel_0(broker):
    broken(broker, frame(4, 0, b""), 501, "FRAME_ERROR - type 4, all octets = <<>>: unknown_frame")


def test_method_frame_of_less_than_four_octets(broker):
    for payload in (b"", b"\0", b"\0\x14\0"):
        broken(broker, frame(METHOD, 1, payload), 501,
               re.compile(r"^FRAME_ERROR - type 1, all octets = .*unknown_frame$"))


def test_header_frame_of_less_than_twelve_octets(broker):
    for size in (0, 1, 11):
        broken(broker, PUBLISH + frame(HEADER, 1, b"\0" * size), 501,
               re.compile(r"^FRAME_ERROR - type 2, all octets = .*unknown_frame$"))


def test_heartbeat_with_payload_is_an_unknown_frame(broker):
    broken(broker, frame(HEARTBEAT, 0, b"beat"), 501, re.compile(r"^FRAME_ERROR - type 8, .*unknown_frame$"))


def test_arguments_too_short(broker):
    for name in ("channel.flow", "queue.declare", "basic.ack", "exchange.bind", "basic.consume"):
        spec, payload = METHODS[name], method_payload(name)
        broken(broker, frame(METHOD, 1, payload[:-1]), 501, re.compile("^FRAME_ERROR - cannot decode "),
               spec.cls, spec.meth)


def test_arguments_too_long(broker):
    for name in ("channel.flow", "queue.declare", "tx.select", "confirm.select", "basic.publish"):
        spec, payload = METHODS[name], method_payload(name)
        broken(broker, frame(METHOD, 1, payload + b"\0"), 501, re.compile("^FRAME_ERROR - cannot decode "),
               spec.cls, spec.meth)


def test_arguments_cut_at_every_octet(broker):
    """None of the cuts is taken for a whole method, and none hurts."""
    payload = method_payload("queue.bind", queue="q", exchange="x", routing_key="k", arguments={"a": 1, "b": "c"})
    for cut in range(4, len(payload)):
        ch = broker.channel()
        ch.raw(frame(METHOD, 1, payload[:cut]))
        try:
            close = ch.connection.wait_close()
        except amqp_raw.Dropped:
            ok(not broker.is_coney, "dropped without a close at %d" % cut)
            continue
        ok(close.reply_code in (501, 502), "cut at %d: %d %s" % (cut, close.reply_code, close.reply_text))
        ch.connection.wire.close()
    broker.is_up()


def test_shortstr_that_is_not_utf8(broker):
    for octets in (b"\xff", b"ok\x80", b"\xc0\x80", b"\xe2\x82", b"a\xc3", b"\xe2\x28\xa1"):
        broken(broker, method_frame(1, "queue.declare", queue=octets), 501,
               "FRAME_ERROR - Malformed UTF-8 in shortstr")


def test_names_of_a_publish_need_not_be_utf8(broker):
    key = b"caf\xe9"
    ch = broker.channel()
    exchange, queue = broker.name("x"), broker.name()
    ch.declare(queue, exclusive=True)
    ch.exchange(exchange, "fanout", auto_delete=True)
    ch.bind(queue, exchange)
    ch.publish(exchange, key, b"x")
    got = ch.get(queue, no_ack=False)
    eq((got.routing_key, got.body), (key, b"x"))
    ch.nack(got.delivery_tag)
    ch.sync()
    ch.publish(b"\xff", key, b"x")
    ch.expect_close(404, None, 60, 40)
    broker.is_up()


def test_shortstr_of_valid_utf8(broker):
    ch = broker.channel()
    name = broker.name("\u00e4\u20ac\U0001f407\0 \t")
    eq(ch.declare(name, exclusive=True).queue, name)


@differs("3.10 crashes the reader and drops the socket")
def test_unknown_method(broker):
    for cls, meth in ((60, 99), (99, 10), (0, 0), (20, 12), (65535, 65535), (40, 50)):
        for channel in (1, 0):
            close = broken(broker, frame(METHOD, channel, struct.pack(">HH", cls, meth)), 503, None, None, None)
            eq(close.reply_text, "COMMAND_INVALID - unknown method", "%d.%d on %d" % (cls, meth, channel))


def test_content_frames_on_channel_0(broker):
    broken(broker, frame(HEADER, 0, b"\0" * 14), 505, re.compile("^UNEXPECTED_FRAME - type 2, "))
    broken(broker, frame(BODY, 0, b"abc"), 505, re.compile("^UNEXPECTED_FRAME - type 3, "))


def test_content_frames_on_a_channel_that_is_not_open(broker):
    c = broker.connect()
    c.wire.send(header_frame(5, 3))
    eq(c.wait_close().reply_code, 505)
    c = broker.connect()
    c.wire.send(body_frame(5, b"abc"))
    eq(c.wait_close().reply_code, 505)


def test_any_frame_on_one_channel_too_many(broker):
    """A channel begins with the first frame on its number, so that there is no room for it comes before what is wrong."""
    for octets in (header_frame(33, 1), body_frame(33, b"x"), method_frame(33, "queue.declare", queue="q"),
                   method_frame(33, "basic.ack", delivery_tag=1),
                   frame(METHOD, 33, method_payload("queue.declare", queue="q")[:-3]),
                   method_frame(33, "basic.publish", exchange="", routing_key="q") + header_frame(33, 1, cls=50)):
        c = broker.connect(channel_max=1)
        c.channel(7)
        c.wire.send(octets)
        c.expect_close(530, "NOT_ALLOWED - number of channels opened (1) has reached the negotiated channel_max (1)", 0, 0)


NOT_METHOD = "UNEXPECTED_FRAME - expected method frame, got non method frame instead"
NOT_HEADER = ("UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead")
NOT_BODY = "UNEXPECTED_FRAME - expected content body, got non content body frame instead"


def test_header_when_a_method_is_expected(broker):
    close = broken(broker, header_frame(1, 0), 505, NOT_METHOD, 0, None)
    eq(close.class_id, 0)


def test_body_when_a_method_is_expected(broker):
    broken(broker, body_frame(1, b"body"), 505, NOT_METHOD, 0, None)


def test_body_right_after_publish(broker):
    broken(broker, PUBLISH + body_frame(1, b"body"), 505, NOT_HEADER, 60, 40)


def test_method_right_after_publish(broker):
    broken(broker, PUBLISH + method_frame(1, "channel.flow", active=True), 505, NOT_HEADER, 60, 40)


def test_header_of_another_class(broker):
    broken(broker, PUBLISH + header_frame(1, 0, cls=50), 505,
           "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead", 60, 40)


def test_header_with_weight(broker):
    broken(broker, PUBLISH + header_frame(1, 0, weight=1), 505, re.compile("^UNEXPECTED_FRAME - "), None, None)


def test_method_inside_a_body(broker):
    broken(broker, PUBLISH + header_frame(1, 10) + body_frame(1, b"half")
           + method_frame(1, "channel.flow", active=True), 505, NOT_BODY, None, None)


def test_header_inside_a_body(broker):
    broken(broker, PUBLISH + header_frame(1, 10) + header_frame(1, 10), 505, NOT_BODY, None, None)


def test_channel_close_inside_a_body(broker):
    broken(broker, PUBLISH + header_frame(1, 10) + method_frame(1, "channel.close"), 505, NOT_BODY, None, None)


@differs("3.10 swallows the surplus frame")
def test_more_body_than_announced(broker):
    surplus = "FRAME_ERROR - content body frame exceeds remaining content size"
    broken(broker, PUBLISH + header_frame(1, 3) + body_frame(1, b"four"), 501, surplus, None, None)
    broken(broker, PUBLISH + header_frame(1, 3) + body_frame(1, b"tw") + body_frame(1, b"three"), 501, surplus,
           None, None)


@differs("3.10 waits for the announced octets")
def test_announced_body_size_above_the_hard_cap(broker):
    for size in (536870913, 2**63, 2**64 - 1):
        broken(broker, PUBLISH + header_frame(1, size), 501,
               "FRAME_ERROR - content body size %d exceeds maximum allowed size 536870912" % size, None, None)


def test_body_frame_after_an_empty_body(broker):
    broken(broker, PUBLISH + header_frame(1, 0) + body_frame(1, b""), 505, NOT_METHOD, 0, None)


def test_empty_body_frames_while_octets_are_missing(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.raw(method_frame(1, "basic.publish", routing_key=queue), header_frame(1, 4), body_frame(1, b""),
           body_frame(1, b"ab"), body_frame(1, b""), body_frame(1, b""), body_frame(1, b"cd"))
    eq(ch.get(queue).body, b"abcd")


def test_property_flag_bits_0_and_1_with_nothing_following(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for flags in (1, 2):
        ch.publish("", queue, b"x", flags=flags, raw=b"")
        eq(ch.get(queue).body, b"x", "flags %d" % flags)


def test_broken_properties_are_an_internal_error(broker):
    cases = {"truncated string": (0x8000, b"\x05ab"), "missing value": (0x1000, b""),
             "octets left over": (0x1000, b"\x02\x00"), "no flags but octets": (0, b"abc"),
             "timestamp cut": (0x0040, b"\0" * 7), "header table cut": (0x2000, b"\0\0\0\x09"),
             "second flag word": (0x1001, b"\x80\x00\x02\x01x")}
    for what, (flags, raw) in cases.items():
        ch = broker.channel()
        ch.raw(PUBLISH, header_frame(1, 0, flags=flags, raw=raw))
        close = ch.connection.wait_close()
        codes = (541, 502) if "table" in what else (541,)
        ok(close.reply_code in codes and close.class_id == 0, "%s: %d %s class %d" % (
            what, close.reply_code, close.reply_text, close.class_id))
        if close.reply_code == 541:
            eq(close.reply_text, "INTERNAL_ERROR", what)


def test_errors_come_after_the_replies_to_what_was_before(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.raw(method_frame(1, "queue.declare", queue=queue, auto_delete=True),
           amqp_raw.publish_frames(1, "", queue, b"kept"), frame(4, 1, b""))
    eq(ch.next("queue.declare-ok").queue, queue)
    eq(ch.connection.wait_close().reply_code, 501)
    eq(broker.channel().drain(queue), [b"kept"])
