# SPDX-License-Identifier: Apache-2.0
"""publish-consume-ack, 1: basic.publish, its checks in order, returns, properties passed through."""

import hashlib

import amqp_raw
from amqp_raw import Pairs, V, body_frame, header_frame, method_frame, publish_frames
from harness import differs, eq, ok, settings, slow


def refused(broker, code, text, exchange="", key="nowhere", body=b"", props=None, ch=None, **kw):
    ch = ch or broker.channel()
    ch.publish(exchange, key, body, props, **kw)
    return ch.expect_close(code, text, 60, 40)


# --- 1.1 checks in order

def test_immediate_is_not_implemented(broker):
    ch = broker.channel()
    ch.publish("no such exchange", "", b"", immediate=True)
    ch.connection.expect_close(540, "NOT_IMPLEMENTED - immediate=true", 60, 40)


@settings(max_message_size=1000)
def test_message_larger_than_the_configured_maximum(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"x" * 1000, {"headers": {"not": "counted" * 100}})
    eq(len(ch.get(queue).body), 1000)
    refused(broker, 406, "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000",
            "no such exchange", body=b"x" * 1001)


@slow
@settings()
def test_body_of_exactly_the_default_maximum_goes_through(broker):
    """128 MiB, which the broker holds once. Neither side has more than a frame of it here."""
    ch = broker.channel()
    queue, size, part = broker.name(), 134217728, ch.connection.chunk()
    ch.declare(queue, exclusive=True)
    ch.confirm()
    before = broker.rss()
    sent, got = hashlib.sha256(), hashlib.sha256()
    ch.raw(method_frame(1, "basic.publish", routing_key=queue), header_frame(1, size))
    for at in range(0, size, part):
        chunk = (at.to_bytes(8, "big") * (part // 8 + 1))[:min(part, size - at)]
        sent.update(chunk)
        ch.raw(body_frame(1, chunk))
    eq(ch.next("basic.ack", timeout=60).delivery_tag, 1)
    broker.grew_less(before, 160, "a body of 128 MiB is queued")
    ch.send("basic.get", queue=queue, no_ack=True)
    wire = ch.connection.wire
    eq(amqp_raw.decode_method(1, wire.read_frame(60).payload).name, "basic.get-ok")
    eq(int.from_bytes(wire.read_frame().payload[4:12], "big"), size)
    left = size
    while left > 0:
        kind, _, payload = wire.read_frame(60)
        eq(kind, amqp_raw.BODY)
        got.update(payload)
        left -= len(payload)
    eq((left, got.digest()), (0, sent.digest()))
    ch.expect_count(queue, 0)
    broker.grew_less(before, 32, "it is gone again")


@differs("134217728 is the default; a message of that size is not sent here in 3.10's test")
def test_default_maximum_is_128_mib(broker):
    """One octet too many, sent in full; the refusal names the limit."""
    ch = broker.channel()
    size, part = 134217729, b"\0" * 131064
    ch.raw(method_frame(1, "basic.publish", routing_key="nowhere"), header_frame(1, size))
    sent = 0
    while sent < size:
        chunk = part[:size - sent]
        ch.raw(body_frame(1, chunk))
        sent += len(chunk)
        ch.connection.poll()
        if ch.inbox:
            break
    ch.expect_close(406, "PRECONDITION_FAILED - message size 134217729 is larger than configured max size 134217728",
                    60, 40)
    broker.is_up()


def test_missing_exchange(broker):
    for mandatory in (False, True):
        refused(broker, 404, "NOT_FOUND - no exchange 'nox' in vhost '/'", "nox", mandatory=mandatory)


def test_internal_exchange(broker):
    name = broker.name()
    broker.channel().exchange(name, "fanout", internal=True)
    refused(broker, 403, "ACCESS_REFUSED - cannot publish to internal exchange '%s' in vhost '/'" % name, name)


def test_message_is_handled_with_its_last_body_octet(broker):
    """Errors of the method and of the header come only then."""
    ch = broker.channel()
    ch.raw(method_frame(1, "basic.publish", exchange="nox"), header_frame(1, 4), body_frame(1, b"abc"))
    other = ch.connection.channel()
    other.sync()
    eq(list(ch.inbox), [])
    ch.raw(body_frame(1, b"d"))
    ch.expect_close(404)


def test_user_id_must_be_the_login_name(broker):
    text = "PRECONDITION_FAILED - user_id property set to '%s' but authenticated user was 'guest'"
    refused(broker, 406, text % "other", props={"user_id": "other"})
    refused(broker, 406, text % "", props={"user_id": ""})
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"", {"user_id": "guest"})
    eq(ch.get(queue).props, {"user_id": "guest"})


EXPIRATIONS = [("abc", "no_integer"), ("", "no_integer"), (" 10", "no_integer"), ("-1", "{value_negative,-1}"),
               ("1.5", '{leftover_string,".5"}'), ("10 ", '{leftover_string," "}'),
               ("315360000001", "{value_too_large,315360000001}"), ("12abc", '{leftover_string,"abc"}'),
               ("9999999999999", "{value_too_large,9999999999999}"),
               ("+", "no_integer"), ("-", "no_integer"), ("0x10", '{leftover_string,"x10"}')]


def test_bad_expirations(broker):
    for value, tail in EXPIRATIONS:
        refused(broker, 406, "PRECONDITION_FAILED - invalid expiration '%s': %s" % (value, tail),
                props={"expiration": value})


def test_expiration_beyond_64_bits(broker):
    close = refused(broker, 406, None, props={"expiration": "9" * 40})
    ok("invalid expiration '%s': {value_too_large," % ("9" * 40) in close.reply_text, close.reply_text)


def test_expiration_is_checked_before_routing_on_any_exchange(broker):
    refused(broker, 406, None, "amq.fanout", props={"expiration": "soon"})
    refused(broker, 404, None, "nox", props={"expiration": "soon"})


def test_good_expirations(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for value in ("60000", "+60000", "00060000", "315360000000"):
        ch.publish("", queue, b"", {"expiration": value})
        eq(ch.get(queue).props, {"expiration": value})


def test_cc_that_is_no_array(broker):
    refused(broker, 406, 'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
            props={"headers": {"CC": "key"}})


def test_order_of_the_later_checks(broker):
    """reply-to, then user-id, then expiration, then CC; each test breaks one and all later ones."""
    wrong = {"reply_to": "amq.rabbitmq.reply-to", "user_id": "x", "expiration": "y", "headers": {"CC": 1}}
    for prop, text in (("reply_to", "fast reply consumer does not exist"), ("user_id", "user_id property set to"),
                       ("expiration", "invalid expiration"), ("headers", "invalid message")):
        close = refused(broker, 406, None, props=wrong)
        ok(text in close.reply_text, "%s: %s" % (prop, close.reply_text))
        wrong.pop(prop)


@differs("3.10 refuses unknown delivery modes")
def test_any_delivery_mode_is_accepted(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for mode in (0, 1, 2, 3, 255):
        ch.publish("", queue, b"", {"delivery_mode": mode})
        eq(ch.get(queue).props, {"delivery_mode": mode})


def test_pipelined_publishes_behind_an_error_vanish(broker):
    ch = broker.channel()
    queue = broker.name()
    other = ch.connection.channel()
    other.declare(queue, exclusive=True)
    ch.raw(publish_frames(1, "", queue, b"before"), publish_frames(1, "nox", queue, b"error"),
           publish_frames(1, "", queue, b"after"), publish_frames(1, "", queue, b"after"))
    ch.expect_close(404)
    ch.connection.channel(1).sync()
    eq(other.drain(queue), [b"before"])


# --- 1.2 routing outcome

def test_unroutable_is_dropped_or_returned(broker):
    ch = broker.channel()
    props = {"message_id": "m", "headers": {"a": 1}, "delivery_mode": 2}
    ch.publish("amq.direct", "nowhere", b"dropped")
    ch.publish("amq.direct", "nowhere", b"returned", props, mandatory=True)
    got = ch.next("basic.return")
    eq((got.reply_code, got.reply_text, got.exchange, got.routing_key), (312, "NO_ROUTE", "amq.direct", "nowhere"))
    eq((got.body, got.flags, got.props_raw), (b"returned",) + amqp_raw.encode_properties(props))
    ch.sync()
    eq(list(ch.inbox), [])


def test_routed_mandatory_is_not_returned(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"x", mandatory=True)
    eq(ch.get(queue).body, b"x")
    eq(list(ch.inbox), [])


def test_returns_come_in_publish_order(broker):
    ch = broker.channel()
    for i in range(100):
        ch.publish("", "nowhere", str(i) * (i * 50), mandatory=True)
    eq([ch.next("basic.return").body for _ in range(100)], [(str(i) * (i * 50)).encode() for i in range(100)])


def test_big_returned_bodies_are_cut_into_frames(broker):
    ch = broker.channel(frame_max=4096)
    ch.publish("", "nowhere", b"b" * 10000, mandatory=True)
    eq(ch.next("basic.return").body_frames, [4088, 4088, 1824])


# --- 1.3, 1.4 properties

ALL_PROPS = {"content_type": "text/plain", "content_encoding": "utf-8", "headers": {"k": "v"}, "delivery_mode": 2,
             "priority": 200, "correlation_id": "c" * 255, "reply_to": "some queue", "expiration": "100000",
             "message_id": "", "timestamp": 2**63 + 5, "type": "t", "user_id": "guest", "app_id": "\u00e4",
             "cluster_id": "deprecated"}


def echo(broker, flags, raw, body=b"body"):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, body, flags=flags, raw=raw)
    got = ch.get(queue)
    eq((got.flags, got.props_raw, got.body), (flags, raw, body))
    ch.consume(queue)
    ch.publish("", queue, body, flags=flags, raw=raw)
    got = ch.delivery()
    eq((got.flags, got.props_raw, got.body), (flags, raw, body), "delivered")


def test_all_properties_pass_octet_for_octet(broker):
    echo(broker, *amqp_raw.encode_properties(ALL_PROPS))


def test_each_property_alone_passes(broker):
    for name, value in ALL_PROPS.items():
        echo(broker, *amqp_raw.encode_properties({name: value}))


def test_no_properties_stay_no_properties(broker):
    echo(broker, 0, b"")
    echo(broker, 0, b"", b"")


def test_unusual_properties_pass_octet_for_octet(broker):
    headers = Pairs([("z", 1), ("a", 2), ("z", 3), ("b", V("t", True)), ("c", V("b", 7)), ("e", Pairs())])
    for props in ({"headers": {}}, {"headers": headers}, {"content_type": b"\xff\xfe"}, {"message_id": b"\0\0"},
                  {"correlation_id": "", "type": ""}, {"priority": 0}, {"timestamp": 0}):
        echo(broker, *amqp_raw.encode_properties(props))
    odd_bool = amqp_raw.encode_table(Pairs([("b", V("t", True))]))[:-1] + b"\x05"
    echo(broker, 0x2000, odd_bool)


def test_bodies_are_never_touched(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    every = bytes(range(256))
    for size in (0, 1, 255, 4096, 16383, 16384, 16385, 131063, 131064, 131065, 262144, 1000000, 5000000):
        body = (every * (size // 256 + 1))[:size]
        ch.publish("", queue, body)
        ok(ch.get(queue).body == body, "%d octets" % size)


def test_body_of_a_megabyte_in_tiny_frames(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    body = b"0123456789" * 100000
    ch.publish("", queue, body, chunk=997)
    ok(ch.get(queue).body == body, "changed")
