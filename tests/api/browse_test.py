# SPDX-License-Identifier: Apache-2.0
"""What coney adds (doc/API.md): messages seen and moved without a consumer: peek, unacked, move."""

import signal

from api_harness import Node, differs, eq, ok, path, wait_until
from connections_test import name_of

coney = differs("coney's own")


def peek(broker, queue, **query):
    words = "&".join("%s=%s" % pair for pair in query.items())
    return broker.get(path("queues", "/", queue) + "/peek?" + words)


def bodies(messages):
    return [message["payload"] for message in messages]


def move(broker, queue, **what):
    answer = broker.post(path("queues", "/", queue) + "/move", what, status=200).json
    return answer["moved"], answer["skipped"]


@coney
def test_peek_takes_nothing_and_marks_nothing(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    for i in range(5):
        ch.publish("", q, b"%d" % i, {"headers": {"n": i}, "priority": 1})
    ch.expect_count(q, 5)
    eq(bodies(peek(broker, q, count=3)), ["0", "1", "2"])
    eq(bodies(peek(broker, q, count=3, offset=3)), ["3", "4"])
    first = peek(broker, q, count=1)[0]
    eq((first["routing_key"], first["exchange"], first["redelivered"]), (q, "", False))
    eq(first["properties"], {"headers": {"n": 0}, "priority": 1})
    eq((first["payload_bytes"], first["payload_encoding"]), (1, "string"))
    got = ch.get(q)
    eq((got.body, got.redelivered), (b"0", False))


@coney
def test_peek_goes_by_priority_and_shows_octets(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q, args={"x-max-priority": 5})
    ch.publish("", q, b"low", {"priority": 1})
    ch.publish("", q, b"\xff\x00", {"priority": 4})
    ch.expect_count(q, 2)
    high, low = peek(broker, q)
    eq((high["payload"], high["payload_encoding"]), ("/wA=", "base64"))
    eq(low["payload"], "low")
    eq(peek(broker, q, count=1, truncate=1)[0]["payload"], "/w==")


@coney
def test_peek_leaves_out_what_is_unacked(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    for i in range(3):
        ch.publish("", q, b"%d" % i)
    ch.expect_count(q, 3)
    ch.get(q, no_ack=False)
    eq(bodies(peek(broker, q)), ["1", "2"])


@coney
def test_unacked_tells_who_holds_what(broker):
    ch, other, q = broker.channel(), broker.channel(), broker.name()
    ch.declare(q)
    ch.publish("", q, b"a")
    ch.publish("", q, b"b")
    ch.consume(q, "me")
    ch.deliveries(2)
    ch.call("basic.cancel", consumer_tag="me")
    other.consume(q, "me")
    ch.publish("", q, b"c")
    other.delivery()
    rows = broker.get(path("queues", "/", q) + "/unacked")
    eq(sorted((row["connection"], row["delivery_tag"], row["consumer_tag"], row["channel"]) for row in rows),
       sorted([(name_of(ch.connection), 1, "me", 1), (name_of(ch.connection), 2, "me", 1),
               (name_of(other.connection), 1, "me", 1)]))
    ok(all(0 <= row["age_ms"] < 60000 for row in rows), rows)
    eq(len(broker.get(path("queues", "/", q) + "/unacked?count=1")), 1)
    broker.refused("GET", path("queues", "/", "no." + q) + "/unacked", status=404)


@coney
def test_move_to_a_queue(broker):
    ch, q, target = broker.channel(), broker.name(), broker.name()
    ch.declare(q)
    ch.declare(target)
    for i in range(250):
        ch.publish("", q, b"%d" % i, {"message_id": str(i)})
    ch.expect_count(q, 250)
    eq(move(broker, q, to_queue=target, count=10), (10, 0))
    eq(move(broker, q, to_queue=target), (240, 0))
    ch.expect_count(q, 0)
    eq([ch.get(target).body for _ in range(250)], [b"%d" % i for i in range(250)])


@coney
def test_dead_letters_go_back_to_where_they_came_from(broker):
    ch, q, dead = broker.channel(), broker.name(), broker.name()
    ch.declare(dead)
    ch.declare(q, args={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    for i in range(3):
        ch.publish("", q, b"%d" % i)
    ch.consume(q)
    for delivery in ch.deliveries(3):
        ch.send("basic.reject", delivery_tag=delivery.delivery_tag, requeue=False)
    ch.expect_count(dead, 3)
    ch.call("basic.cancel", consumer_tag=delivery.consumer_tag)
    eq(move(broker, dead, reason="expired"), (0, 3))
    eq(move(broker, dead, reason="rejected", original_queue="no." + q), (0, 3))
    eq(move(broker, dead, reason="rejected", original_queue=q, count=2), (2, 0))
    eq(move(broker, dead), (1, 0))
    ch.expect_count(q, 3)
    eq([ch.get(q).body for _ in range(3)], [b"0", b"1", b"2"])


@coney
def test_move_by_header_to_an_exchange(broker):
    ch, q, x, bound = broker.channel(), broker.name(), broker.name("x"), broker.name()
    ch.declare(q)
    ch.declare(bound)
    ch.exchange(x, "topic")
    ch.bind(bound, x, "again.#")
    for i in range(4):
        ch.publish("", q, b"%d" % i, {"headers": {"kind": "odd" if i % 2 else "even"}})
    ch.expect_count(q, 4)
    eq(move(broker, q, to_exchange=x, routing_key="nowhere"), (0, 4))
    eq(move(broker, q, to_exchange=x, routing_key="again.x", header={"kind": "odd"}), (2, 2))
    eq([ch.get(bound).body for _ in range(2)], [b"1", b"3"])
    eq(bodies(peek(broker, q)), ["0", "2"])


@coney
def test_a_header_is_what_it_reads_as(broker):
    ch, q, other = broker.channel(), broker.name(), broker.name()
    ch.declare(q)
    ch.declare(other)
    for value in (42, "42", True, "true", 43, [42], -1):
        ch.publish("", q, repr(value).encode(), {"headers": {"n": value}})
    ch.expect_count(q, 7)
    for value, wanted in ((42, ["42", "'42'"]), ("true", ["True", "'true'"]), (-1, ["-1"])):
        eq(move(broker, q, to_queue=other, header={"n": value}), (len(wanted), len(bodies(peek(broker, q)))))
        eq([body.decode() for body in ch.drain(other)], wanted)
    eq(bodies(peek(broker, q)), ["43", "[42]"])


@coney
def test_move_to_itself_ends(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    for i in range(3):
        ch.publish("", q, b"%d" % i)
    ch.expect_count(q, 3)
    eq(move(broker, q, to_queue=q), (3, 0))
    ch.expect_count(q, 3)


@coney
def test_a_full_target_keeps_them_where_they_are(broker):
    ch, q, full = broker.channel(), broker.name(), broker.name()
    ch.declare(q)
    ch.declare(full, args={"x-max-length": 1, "x-overflow": "reject-publish"})
    for i in range(3):
        ch.publish("", q, b"%d" % i)
    ch.expect_count(q, 3)
    eq(move(broker, q, to_queue=full), (1, 2))
    eq(bodies(peek(broker, q)), ["1", "2"])


@coney
def test_what_is_no_request(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    for body in ({"count": -1}, {"count": "x"}, {"to_queue": 1}, {"to_queue": "a", "to_exchange": "b"},
                 {"header": {"a": "b", "c": "d"}}, {"header": {"a": [1]}}, {"header": {}}, {"header": "a"}):
        broker.refused("POST", path("queues", "/", q) + "/move", body, status=400, error="bad_request")
    for query in ("count=x", "count=1001", "offset=-1"):
        broker.refused("GET", path("queues", "/", q) + "/peek?" + query, status=400)
    broker.refused("GET", path("queues", "/", "no." + q) + "/peek", status=404)


@coney
def test_what_is_on_disk_is_seen_and_moved(broker):
    with Node("--set", "memory_window=1MiB") as node:
        ch = node.connect().channel()
        for name in ("from", "to"):
            ch.declare(name, durable=True)
        ch.confirm()
        for i in range(6000):
            ch.publish("", "from", b"%05d" % i + b"." * 1000, {"delivery_mode": 2})
        ch.expect_count("from", 6000)
        seen = peek(node, "from", count=3, offset=3000)
        eq([m["payload"][:5] for m in seen], ["03000", "03001", "03002"])
        eq(move(node, "from", to_queue="to"), (6000, 0))
        node.restart()
        ch = node.connect().channel()
        ch.expect_count("from", 0)
        ch.expect_count("to", 6000)
        eq(ch.get("to").body[:5], b"00000")


@coney
def test_what_is_said_to_be_moved_survives_a_kill(broker):
    with Node() as node:
        for _ in range(8):
            ch = node.connect().channel()
            for name in ("from", "to"):
                ch.declare(name, durable=True)
                ch.call("queue.purge", queue=name)
            ch.confirm()
            for i in range(200):
                ch.publish("", "from", b"%d" % i, {"delivery_mode": 2})
            ch.expect_count("from", 200)
            eq(move(node, "from", to_queue="to"), (200, 0))
            node.restart(signal.SIGKILL)
            ch = node.connect().channel()
            ch.expect_count("to", 200)
            ch.expect_count("from", 0)


def ages(broker, queue):
    shown = broker.get(path("queues", "/", queue))
    return shown["oldest_message_age_ms"], shown["oldest_unacked_age_ms"]


@coney
def test_how_old_the_oldest_message_is(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    eq(ages(broker, q), (None, None))
    for _ in range(3):
        ch.publish("", q, b"old")
    ch.expect_count(q, 3)
    wait_until(lambda: ages(broker, q)[0] >= 2500, what="a message that is that old")
    ch.publish("", q, b"young")
    ch.expect_count(q, 4)
    ok(ages(broker, q)[0] >= 2500, "the oldest counts")
    for _ in range(3):
        ch.get(q)
    ok(ages(broker, q)[0] < 2500, "the young one is the oldest now")
    ch.get(q)
    eq(ages(broker, q), (None, None))


@coney
def test_how_long_the_oldest_delivery_is_out(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    ch.publish("", q)
    ch.consume(q)
    tag = ch.delivery().delivery_tag
    wait_until(lambda: ages(broker, q)[1] >= 1000, what="a delivery that old")
    ch.send("basic.ack", delivery_tag=tag)
    wait_until(lambda: ages(broker, q) == (None, None), what="nothing left")
