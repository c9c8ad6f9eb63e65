# SPDX-License-Identifier: Apache-2.0
"""publish-consume-ack, 5: consuming, who gets the next message, single active consumers, cancel both ways."""

from amqp_raw import CAPABILITIES, V
from harness import differs, eq, matches, ok

LOCKED = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'"


def in_use(queue):
    return "ACCESS_REFUSED - queue '%s' in vhost '/' in exclusive use" % queue


def queue_of(broker, ch, args=None, n=0, **flags):
    queue = broker.name()
    ch.declare(queue, args, **flags)
    for i in range(n):
        ch.publish("", queue, str(i))
    ch.sync()
    return queue


# --- 5.1 basic.consume

def test_missing_or_locked_queue(broker):
    queue = broker.name()
    broker.channel().fails("basic.consume", 404, "NOT_FOUND - no queue '%s' in vhost '/'" % queue, queue=queue)
    broker.channel().declare(queue, exclusive=True)
    close = broker.channel().fails("basic.consume", 405, queue=queue)
    ok(close.reply_text.startswith(LOCKED % queue), close.reply_text)


def test_tag_reuse_on_one_channel_kills_the_connection(broker):
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = queue_of(broker, ch, auto_delete=True)
    ch.consume(queue, "t1")
    other.consume(queue, "t1")
    ch.kills("basic.consume", 530, "NOT_ALLOWED - attempt to reuse consumer tag 't1'", queue=queue,
             consumer_tag="t1")


def test_tag_reuse_is_found_ahead_of_a_missing_queue(broker):
    ch = broker.channel()
    ch.consume(queue_of(broker, ch, auto_delete=True), "t1")
    ch.kills("basic.consume", 530, "NOT_ALLOWED - attempt to reuse consumer tag 't1'", queue=broker.name("none"),
             consumer_tag="t1")


def test_tag_reuse_is_found_behind_a_queue_without_a_name(broker):
    c = broker.connect()
    ch, queue = c.channel(), broker.name()
    c.channel().declare(queue, exclusive=True)
    ch.consume(queue, "t1")
    ch.fails("basic.consume", 404, "NOT_FOUND - no previously declared queue", consumer_tag="t1")


def test_tag_is_free_after_cancel_and_channel_close(broker):
    c = broker.connect()
    ch = c.channel()
    queue = queue_of(broker, ch, exclusive=True)
    for _ in range(3):
        ch.consume(queue, "t")
        ch.cancel("t")
    ch.consume(queue, "t")
    ch.close()
    c.channel(1).consume(queue, "t")


def test_exclusive_consumers(broker):
    c = broker.connect()
    ch = c.channel()
    queue = queue_of(broker, ch, exclusive=True)
    ch.consume(queue, "first")
    c.channel().fails("basic.consume", 403, in_use(queue), queue=queue, exclusive=True)
    ch.cancel("first")
    ch.consume(queue, "alone", exclusive=True)
    c.channel().fails("basic.consume", 403, in_use(queue), queue=queue)
    c.channel().fails("basic.consume", 403, in_use(queue), queue=queue, exclusive=True)
    ch.publish("", queue, b"x")
    ch.delivery()
    eq(c.channel().get(queue), None, "basic.get by others still works")
    ch.cancel("alone")
    c.channel().consume(queue, exclusive=True)


def test_exclusive_consumer_of_a_closed_channel_makes_room(broker):
    c = broker.connect()
    ch = c.channel()
    queue = queue_of(broker, ch, auto_delete=False)
    ch.consume(queue, exclusive=True)
    ch.close()
    other = broker.connect()
    other.channel().consume(queue, exclusive=True)
    other.close()
    c.channel().consume(queue, exclusive=True)


def test_exclusive_on_a_single_active_consumer_queue(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, {"x-single-active-consumer": True}, exclusive=True)
    ch.fails("basic.consume", 403, in_use(queue), queue=queue, exclusive=True)


def test_consume_arguments(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, exclusive=True)
    c = ch.connection
    c.channel().fails("basic.consume", 406, "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '%s' in "
                      """vhost '/': "expected integer, got longstr\"""" % queue, queue=queue,
                      arguments={"x-priority": "high"})
    c.channel().fails("basic.consume", 406, "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '%s' in "
                      "vhost '/' of queue type rabbit_classic_queue" % queue, queue=queue,
                      arguments={"x-stream-offset": "first"})
    for args in ({"x-priority": V("b", -5)}, {"x-priority": 2**40}, {"x-foo": 1}, {"x-cancel-on-ha-failover": True},
                 {"x-consumer-timeout": 60000}):
        ch.cancel(ch.consume(queue, args=args))


def test_server_made_tags(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, exclusive=True)
    tags = [ch.consume(queue) for _ in range(20)]
    eq(len(set(tags)), 20)
    for tag in tags:
        matches(tag, r"^amq\.ctag-[A-Za-z0-9_-]{22}$")


def test_server_made_tag_with_nowait(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, n=1, exclusive=True)
    ch.send("basic.consume", queue=queue, nowait=True)
    matches(ch.delivery().consumer_tag, r"^amq\.ctag-")


def test_long_and_strange_tags(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, exclusive=True)
    for tag in ("t" * 255, "\u20ac\0 \n", "amq.mine"):
        eq(ch.consume(queue, tag), tag)
        ch.publish("", queue, b"x")
        got = ch.delivery()
        eq(got.consumer_tag, tag)
        ch.ack(got.delivery_tag)
        eq(ch.cancel(tag).consumer_tag, tag)


def test_no_local_is_ignored(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, exclusive=True)
    ch.consume(queue, no_local=True)
    ch.publish("", queue, b"own")
    eq(ch.delivery().body, b"own")


def test_consume_ok_precedes_the_first_delivery(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, n=100, exclusive=True)
    ch.send("basic.consume", queue=queue, consumer_tag="t")
    eq(ch.next().name, "basic.consume-ok")
    eq(ch.next().name, "basic.deliver")


def test_delivery_fields(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, exclusive=True)
    ch.bind(queue, "amq.topic", "k.%s" % broker.unique)
    ch.consume(queue, "t")
    ch.publish("amq.topic", "k.%s" % broker.unique, b"x")
    got = ch.delivery()
    eq((got.consumer_tag, got.delivery_tag, got.redelivered, got.exchange, got.routing_key),
       ("t", 1, False, "amq.topic", "k.%s" % broker.unique))


# --- 5.2 who gets the next message

def bodies_by_tag(deliveries):
    out = {}
    for m in deliveries:
        out.setdefault(m.consumer_tag, []).append(m.body)
    return out


def test_round_robin(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, exclusive=True)
    for tag in "abc":
        ch.consume(queue, tag)
    for i in range(9):
        ch.publish("", queue, str(i))
    eq("".join(m.consumer_tag for m in ch.deliveries(9)), "abcabcabc")


def test_new_consumer_drains_the_backlog_first(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, n=4, exclusive=True)
    ch.qos(2)
    ch.send("basic.consume", queue=queue, consumer_tag="a")
    ch.send("basic.consume", queue=queue, consumer_tag="b")
    eq(bodies_by_tag(ch.deliveries(4)), {"a": [b"0", b"1"], "b": [b"2", b"3"]})


def test_shares_are_equal(broker):
    c = broker.connect()
    chs = [c.channel() for _ in range(4)]
    queue = queue_of(broker, chs[0], exclusive=True)
    for ch in chs:
        ch.consume(queue, no_ack=True)
    for i in range(400):
        chs[0].publish("", queue, str(i))
    eq([len(ch.deliveries(100)) for ch in chs], [100] * 4)


def test_higher_priority_first_until_blocked(broker):
    c = broker.connect()
    ch = c.channel()
    queue = queue_of(broker, ch, exclusive=True)
    ch.qos(2)
    for tag, priority in (("low", -1), ("default", None), ("high", 10), ("higher", 11)):
        ch.consume(queue, tag, None if priority is None else {"x-priority": priority})
    for i in range(8):
        ch.publish("", queue, str(i))
    got = ch.deliveries(8)
    eq(bodies_by_tag(got), {"higher": [b"0", b"1"], "high": [b"2", b"3"], "default": [b"4", b"5"],
                            "low": [b"6", b"7"]})
    ch.publish("", queue, b"8")
    ch.no_delivery(queue)
    ch.ack(got[2].delivery_tag)
    eq(ch.delivery().consumer_tag, "high")


def test_without_prefetch_the_highest_takes_all(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, exclusive=True)
    ch.consume(queue, "low")
    ch.consume(queue, "high1", {"x-priority": 1})
    ch.consume(queue, "high2", {"x-priority": 1})
    for i in range(100):
        ch.publish("", queue, str(i))
    eq({tag: len(b) for tag, b in bodies_by_tag(ch.deliveries(100)).items()}, {"high1": 50, "high2": 50})


def test_a_blocked_consumer_rejoins_at_the_back(broker):
    c = broker.connect()
    chs = {tag: c.channel() for tag in "xyz"}
    queue = queue_of(broker, chs["x"], exclusive=True)
    chs["x"].qos(1)
    for tag, ch in chs.items():
        ch.consume(queue, tag)

    def served():
        chs["y"].publish("", queue, b"m")
        while True:
            for tag, ch in chs.items():
                if ch.queued("basic.deliver"):
                    return tag, ch.delivery()
            c.pump()

    got = [served() for _ in range(4)]
    eq("".join(tag for tag, _ in got), "xyzy", "x is found blocked at the fourth")
    chs["x"].ack(got[0][1].delivery_tag)
    chs["x"].settled(queue)
    eq("".join(served()[0] for _ in range(3)), "zyx")


# --- 5.3 single active consumer

def sac(broker, ch, **args):
    return queue_of(broker, ch, dict({"x-single-active-consumer": True}, **args), auto_delete=False, durable=True)


def test_first_consumer_is_active_whatever_its_priority(broker):
    ch = broker.channel()
    queue = sac(broker, ch)
    ch.consume(queue, "a"), ch.consume(queue, "b", {"x-priority": 10})
    for i in range(20):
        ch.publish("", queue, str(i))
    eq(bodies_by_tag(ch.deliveries(20)).keys(), {"a"})
    eq(ch.count(queue)[1], 2, "waiting consumers count")


def test_successor_is_by_priority_then_age(broker):
    ch = broker.channel()
    queue = sac(broker, ch)
    for tag, priority in (("a", 0), ("b", 0), ("c", 5), ("d", 5)):
        ch.consume(queue, tag, {"x-priority": priority})
    order = []
    for active in ("a", "c", "d", "b"):
        ch.publish("", queue, b"x")
        got = ch.delivery()
        order.append(got.consumer_tag)
        ch.ack(got.delivery_tag)
        ch.cancel(active)
    eq(order, ["a", "c", "d", "b"])


def test_requeued_messages_go_to_the_successor(broker):
    c = broker.connect()
    one, two = c.channel(), c.channel()
    queue = sac(broker, one)
    one.consume(queue, "one"), two.consume(queue, "two")
    for i in range(3):
        one.publish("", queue, str(i))
    one.deliveries(3)
    one.close()
    eq([(m.body, m.redelivered, m.consumer_tag) for m in two.deliveries(3)],
       [(b"0", True, "two"), (b"1", True, "two"), (b"2", True, "two")])


def test_cancelled_active_consumer_keeps_its_unacked(broker):
    ch = broker.channel()
    queue = sac(broker, ch)
    ch.consume(queue, "a"), ch.consume(queue, "b")
    ch.publish("", queue, b"1")
    first = ch.delivery()
    ch.cancel("a")
    ch.publish("", queue, b"2")
    second = ch.delivery()
    eq((second.consumer_tag, second.body), ("b", b"2"))
    ch.ack(first.delivery_tag), ch.ack(second.delivery_tag)
    ch.sync()


def test_blocked_active_consumer_is_not_replaced(broker):
    ch = broker.channel()
    queue = sac(broker, ch)
    ch.qos(1)
    ch.consume(queue, "a"), ch.consume(queue, "b")
    for i in range(5):
        ch.publish("", queue, str(i))
    eq(ch.delivery().consumer_tag, "a")
    ch.no_delivery(queue)


def test_connection_loss_activates_the_successor(broker):
    c = broker.connect()
    one, two = c.channel(), broker.channel()
    queue = sac(broker, two)
    one.consume(queue, "one"), two.consume(queue, "two")
    two.publish("", queue, b"x")
    one.delivery()
    c.abort()
    got = two.delivery()
    eq((got.body, got.redelivered), (b"x", True))


@differs("3.10's quorum queues ignore the priority")
def test_quorum_queues_keep_the_classic_rule(broker):
    ch = broker.channel()
    queue = sac(broker, ch, **{"x-queue-type": "quorum"})
    ch.consume(queue, "a"), ch.consume(queue, "b"), ch.consume(queue, "c", {"x-priority": 5})
    ch.publish("", queue, b"1")
    got = ch.delivery()
    eq(got.consumer_tag, "a")
    ch.ack(got.delivery_tag)
    ch.cancel("a")
    ch.publish("", queue, b"2")
    eq(ch.delivery().consumer_tag, "c")


# --- 5.4 cancel from the client

def test_cancel_is_idempotent(broker):
    ch = broker.channel()
    eq(ch.cancel("never was").consumer_tag, "never was")
    queue = queue_of(broker, ch, exclusive=True)
    ch.consume(queue, "t")
    ch.cancel("t"), ch.cancel("t")
    ch.send("basic.cancel", consumer_tag="t", nowait=True)
    ch.sync()
    eq(list(ch.inbox), [])


def test_cancel_does_not_requeue(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, n=3, exclusive=True)
    ch.consume(queue, "t")
    got = ch.deliveries(3)
    ch.cancel("t")
    ch.expect_count(queue, 0, 0)
    ch.ack(got[0].delivery_tag)
    ch.nack(got[1].delivery_tag)
    eq(ch.get(queue).body, b"1")


def test_tag_of_another_channel_is_not_cancelled(broker):
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = queue_of(broker, ch, exclusive=True)
    ch.consume(queue, "t")
    other.cancel("t")
    ch.expect_count(queue, 0, 1)


# --- 5.5 cancel from the server

def test_cancel_notification_comes_after_the_deliveries(broker):
    ch = broker.channel()
    other = ch.connection.channel()
    queue = queue_of(broker, ch, n=50, exclusive=True)
    ch.consume(queue, "t")
    other.call("queue.delete", queue=queue)
    names = [ch.next().name for _ in range(51)]
    eq(names, ["basic.deliver"] * 50 + ["basic.cancel"])


def test_tag_is_free_and_acks_are_fine_after_a_cancel_notification(broker):
    ch = broker.channel()
    queue = queue_of(broker, ch, n=3, exclusive=True)
    ch.consume(queue, "t")
    got = ch.deliveries(3)
    ch.call("queue.delete", queue=queue)
    eq(ch.take("basic.cancel").consumer_tag, "t")
    for m in got:
        ch.ack(m.delivery_tag)
    ch.sync()
    ch.declare(queue, exclusive=True)
    ch.consume(queue, "t")
    ch.publish("", queue, b"again")
    eq(ch.delivery().body, b"again")


def test_crossing_cancel_gets_cancel_ok(broker):
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = queue_of(broker, ch, exclusive=True)
    ch.consume(queue, "t")
    other.call("queue.delete", queue=queue)
    ch.cancel("t")


def test_client_without_the_capability_is_not_told(broker):
    ch = broker.channel(capabilities={k: v for k, v in CAPABILITIES.items() if k != "consumer_cancel_notify"})
    queue = queue_of(broker, ch, exclusive=True)
    ch.consume(queue, "t")
    ch.call("queue.delete", queue=queue)
    ch.sync(), ch.sync()
    eq(list(ch.inbox), [])
    ch.declare(queue, exclusive=True)
    ch.expect_count(queue, 0, 0)
    ch.consume(queue, "t")


def test_no_notification_on_own_cancel_or_channel_close(broker):
    c = broker.connect()
    ch = c.channel()
    queue = queue_of(broker, ch, auto_delete=True)
    ch.consume(queue, "t")
    ch.cancel("t")
    ch.sync()
    eq(list(ch.inbox), [])
    queue = queue_of(broker, ch, auto_delete=True)
    ch.consume(queue, "t")
    ch.close()
    eq(list(ch.inbox), [])
