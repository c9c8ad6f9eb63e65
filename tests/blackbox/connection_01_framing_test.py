# SPDX-License-Identifier: Apache-2.0
"""connection-and-channel, 1: frames, their sizes and order, tables on the wire."""

import struct

import amqp_raw
from amqp_raw import HEADER, METHOD, BODY, METHODS, Pairs, V, frame, header_frame, method_frame
from harness import differs, eq, ok, settings, slow


def test_frames_arrive_octet_by_octet(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.connection.wire.dribble(amqp_raw.publish_frames(1, "", queue, b"drip", {"message_id": "m"}))
    got = ch.get(queue)
    eq((got.body, got.props), (b"drip", {"message_id": "m"}))


def test_many_frames_in_one_segment(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.raw(*[amqp_raw.publish_frames(1, "", queue, str(i)) for i in range(500)])
    eq(ch.drain(queue), [str(i).encode() for i in range(500)])


def raw_declare(ch, queue, bits):
    spec = METHODS["queue.declare"]
    payload = struct.pack(">HHH", spec.cls, spec.meth, 0) + amqp_raw.shortstr(queue) + bytes([bits]) + b"\0\0\0\0"
    ch.raw(frame(METHOD, ch.number, payload))


def test_bits_share_an_octet_first_bit_lowest(broker):
    """queue.declare's octet: passive 1, durable 2, exclusive 4, auto-delete 8, nowait 16."""
    c = broker.connect()
    durable, auto, exclusive = broker.name("durable"), broker.name("auto"), broker.name("exclusive")
    ch = c.channel()
    for queue, bits in ((durable, 2), (auto, 8), (exclusive, 4)):
        raw_declare(ch, queue, bits)
        ch.take("queue.declare-ok")
    ch.declare(durable, durable=True)
    ch.declare(auto, auto_delete=True)
    ch.declare(exclusive, exclusive=True)
    raw_declare(ch, durable, 1)
    eq(ch.take("queue.declare-ok").queue, durable, "passive")
    raw_declare(ch, durable, 2 | 16)
    ch.sync()
    ok(not ch.inbox, "nowait is answered")
    ch.fails("queue.declare", 406, queue=durable, durable=False)


def test_bits_after_another_field_start_a_new_octet(broker):
    """basic.nack: tag, then multiple 1 and requeue 2 in one octet."""
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"a")
    tag = ch.get(queue, no_ack=False).delivery_tag
    ch.raw(frame(METHOD, 1, struct.pack(">HHQB", 60, 120, tag, 2)))
    got = ch.get(queue, no_ack=False)
    ok(got is not None and got.redelivered, "requeue bit not seen")
    ch.raw(frame(METHOD, 1, struct.pack(">HHQB", 60, 120, got.delivery_tag, 0)))
    eq(ch.get(queue), None, "without the requeue bit")


def test_empty_body_has_no_body_frame(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"")
    got = ch.get(queue)
    eq((got.size, got.body_frames, got.body), (0, [], b""))


def test_server_cuts_bodies_at_frame_max_less_overhead(broker):
    ch = broker.channel(frame_max=4096)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    body = bytes(range(250)) * 40
    ch.publish("", queue, body)
    got = ch.get(queue)
    eq(got.body_frames, [4088, 4088, 1824])
    eq(got.body, body)


def test_body_of_exactly_one_frame_and_one_more(broker):
    ch = broker.channel(frame_max=4096)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for size, frames in ((4087, [4087]), (4088, [4088]), (4089, [4088, 1]), (8176, [4088, 4088])):
        ch.publish("", queue, b"x" * size)
        eq(ch.get(queue).body_frames, frames, "%d octets" % size)


@settings(frame_max=0)
def test_frame_max_zero_sends_one_body_frame(broker):
    ch = broker.channel(frame_max=0)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    body = b"y" * 1000000
    ch.publish("", queue, body, chunk=len(body))
    got = ch.get(queue)
    eq((got.body_frames, got.body == body), ([1000000], True))


def test_header_larger_than_frame_max_is_sent_whole(broker):
    sender, receiver = broker.channel(), broker.channel(frame_max=4096)
    queue = broker.name()
    sender.declare(queue)
    headers = {"big": "z" * 20000}
    sender.publish("", queue, b"b", {"headers": headers})
    sender.sync()
    got = receiver.get(queue)
    eq((got.headers, got.body), (headers, b"b"))
    receiver.call("queue.delete", queue=queue)


def test_contents_of_two_channels_may_interleave(broker):
    c = broker.connect()
    one, two = c.channel(), c.channel()
    queue = broker.name()
    one.declare(queue, exclusive=True)
    one.raw(method_frame(1, "basic.publish", routing_key=queue), method_frame(2, "basic.publish", routing_key=queue),
            header_frame(2, 4), header_frame(1, 4), frame(BODY, 1, b"on"), frame(BODY, 2, b"tw"),
            amqp_raw.HEARTBEAT_FRAME, frame(BODY, 2, b"o2"), frame(BODY, 1, b"e1"))
    eq(sorted(one.drain(queue)), [b"one1", b"two2"])


def test_server_never_interleaves_frames_of_one_channel(broker):
    """Replies pipelined behind large deliveries of the same channel; Channel.feed asserts the order."""
    ch = broker.channel(frame_max=4096)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for _ in range(20):
        ch.publish("", queue, b"q" * 50000)
    ch.consume(queue, no_ack=True)
    for _ in range(50):
        ch.send("channel.flow", active=True)
    eq([len(m.body) for m in ch.deliveries(20)], [50000] * 20)
    for _ in range(50):
        ch.take("channel.flow-ok")


def test_large_start_ok_is_read(broker):
    """3.10 and coney read at least 4096 octets there; coney 8192, for large tokens."""
    wire = broker.wire()
    wire.send(amqp_raw.PROTOCOL_HEADER)
    wire.read_frame()
    filler = "x" * (8000 if broker.is_coney else 3900)
    wire.send(method_frame(0, "connection.start-ok", client_properties={"filler": filler}, mechanism="PLAIN",
                           response=b"\0guest\0guest", locale="en_US"))
    eq(amqp_raw.decode_method(0, wire.read_frame().payload).name, "connection.tune")


@slow
def test_giant_frame_before_tune_is_dropped_silently(broker):
    wire = broker.wire()
    wire.send(amqp_raw.PROTOCOL_HEADER)
    wire.read_frame()
    wire.send(struct.pack(">BHI", METHOD, 0, 64 * 1024 * 1024) + b"\0\x0a\0\x0b")
    wire.expect_drop(8)


def test_payload_of_exactly_frame_max_is_accepted(broker):
    ch = broker.channel(frame_max=4096)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"f" * 4096, chunk=4096)
    eq(ch.get(queue).body, b"f" * 4096)


def test_payload_over_frame_max_is_refused_on_its_header(broker):
    """The check needs the seven octets only; the payload is never sent."""
    ch = broker.channel()
    ch.raw(method_frame(1, "basic.publish", routing_key="nowhere"), header_frame(1, 131073),
           struct.pack(">BHI", BODY, 1, 131073))
    ch.connection.expect_close(501, "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}", 0, 0)


def test_negotiated_frame_max_rules_the_check(broker):
    ch = broker.channel(frame_max=4096)
    ch.raw(struct.pack(">BHI", METHOD, 1, 4097))
    ch.connection.expect_close(501, "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,4097,4088}", 0, 0)


# --- tables

EVERY_TYPE = Pairs([
    ("t", V("t", True)), ("b", V("b", -5)), ("B", V("B", 200)), ("s", V("s", -300)), ("u", V("u", 60000)),
    ("I", V("I", -70000)), ("i", V("i", 4000000000)), ("l", V("l", -2**40)), ("f", V("f", 1.5)),
    ("d", V("d", -2.25)), ("D", V("D", (2, 12345))), ("S", V("S", "text")), ("S bytes", V("S", b"\xff\x00\xfe")),
    ("A", V("A", [V("I", 1), V("S", "two"), V("F", {"three": 3}), V("A", [])])), ("T", V("T", 1700000000)),
    ("F", V("F", Pairs([("x", V("V", None)), ("y", V("F", Pairs()))]))), ("V", V("V", None)), ("x", V("x", b"\0\1"))])


def echo_headers(broker, headers):
    """Publish with these headers, get them back as raw octets."""
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"", {"headers": headers})
    got = ch.get(queue)
    eq(got.flags, 0x2000)
    return got.props_raw


def test_every_field_type_comes_back_octet_for_octet(broker):
    eq(echo_headers(broker, EVERY_TYPE), amqp_raw.encode_table(EVERY_TYPE))


def test_names_may_be_empty_repeat_and_be_no_utf8(broker):
    headers = Pairs([("", 1), ("twice", 1), ("twice", 2), (b"\xff\xfe", 3), ("n" * 255, 4)])
    eq(echo_headers(broker, headers), amqp_raw.encode_table(headers))


def test_every_field_type_is_read_in_a_method_argument(broker):
    ch = broker.channel()
    ch.declare(broker.name(), args=EVERY_TYPE, exclusive=True)


@differs("3.10 hands the type octet L on, which five clients cannot decode (field-types)")
def test_type_octet_L_is_rewritten_to_l(broker):
    eq(echo_headers(broker, Pairs([("n", V("L", -2**40))])), amqp_raw.encode_table(Pairs([("n", V("l", -2**40))])))


@differs("3.10 drops the socket on U in a method and on NaN")
def test_U_is_read_as_a_short(broker):
    ch = broker.channel()
    ch.declare(broker.name(), args={"x-max-length": V("U", 5)}, exclusive=True)
    ch.fails("queue.declare", 406, queue=broker.name(), arguments={"x-max-length": V("U", -1)})


@differs("3.10 answers NaN and infinity with 541")
def test_nan_and_infinity_pass_through(broker):
    headers = Pairs([("nan", V("d", float("nan"))), ("inf", V("f", float("inf"))), ("-inf", V("d", float("-inf")))])
    eq(echo_headers(broker, headers), amqp_raw.encode_table(headers))


BROKEN_TABLES = {
    "unknown type octet": amqp_raw.longstr(amqp_raw.shortstr("k") + b"Z\0\0\0\1"),
    "value truncated": amqp_raw.longstr(amqp_raw.shortstr("k") + b"I\0\0"),
    "name without value": amqp_raw.longstr(amqp_raw.shortstr("k")),
    "name truncated": amqp_raw.longstr(b"\x05ab"),
    "inner table too long": amqp_raw.longstr(amqp_raw.shortstr("k") + b"F\0\0\0\x63"),
    "inner array too long": amqp_raw.longstr(amqp_raw.shortstr("k") + b"A\xff\xff\xff\xff"),
    "longstr too long": amqp_raw.longstr(amqp_raw.shortstr("k") + b"S\xff\xff\xff\xffx"),
}


@differs("3.10 crashes the reader and drops the socket")
def test_broken_table_in_a_method_is_a_syntax_error(broker):
    for what, table in BROKEN_TABLES.items():
        ch = broker.channel()
        ch.send("queue.declare", queue=broker.name(), arguments=table)
        close = ch.connection.wait_close()
        ok(close.reply_code == 502 and close.reply_text.startswith("SYNTAX_ERROR"), "%s: %d %s" % (
            what, close.reply_code, close.reply_text))


@differs("3.10 answers 541")
def test_broken_table_in_headers_is_a_syntax_error(broker):
    for what, table in BROKEN_TABLES.items():
        ch = broker.channel()
        ch.publish("", broker.name(), b"", {"headers": table})
        close = ch.connection.wait_close()
        ok(close.reply_code == 502 and close.reply_text.startswith("SYNTAX_ERROR"), "%s: %d %s" % (
            what, close.reply_code, close.reply_text))


def test_frame_type_of_content_header_is_checked_per_channel(broker):
    """A method on one channel between method and header of another is no error."""
    c = broker.connect()
    one, two = c.channel(), c.channel()
    queue = broker.name()
    one.declare(queue, exclusive=True)
    one.raw(method_frame(1, "basic.publish", routing_key=queue))
    two.sync()
    one.raw(frame(HEADER, 1, struct.pack(">HHQH", 60, 0, 0, 0)))
    ok(one.get(queue) is not None, "message lost")
