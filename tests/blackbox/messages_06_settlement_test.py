# SPDX-License-Identifier: Apache-2.0
"""publish-consume-ack, 6: delivery tags, redelivered, get, ack, nack, reject, requeue, recover, ack timeout."""

import re

from harness import eq, lasts, ok, settings, wait_until

METHOD_ID = {"basic.ack": 80, "basic.reject": 90, "basic.nack": 120}


def stocked(broker, n, ch=None, args=None, **flags):
    ch = ch or broker.channel()
    queue = broker.name()
    ch.declare(queue, args, **(flags or {"exclusive": True}))
    for i in range(n):
        ch.publish("", queue, str(i))
    ch.sync()
    return ch, queue


def unknown(ch, name, tag, **fields):
    ch.fails(name, 406, "PRECONDITION_FAILED - unknown delivery tag %d" % tag, 60, METHOD_ID[name], delivery_tag=tag,
             **fields)


# --- 6.1 delivery tags

def test_tags_count_deliveries_and_gets_together(broker):
    ch, queue = stocked(broker, 6)
    eq(ch.get(queue).delivery_tag, 1)
    eq(ch.get(queue, no_ack=False).delivery_tag, 2)
    ch.consume(queue, no_ack=True)
    eq([m.delivery_tag for m in ch.deliveries(4)], [3, 4, 5, 6])
    ch.publish("", queue, b"x")
    eq(ch.delivery().delivery_tag, 7)


def test_no_ack_deliveries_cannot_be_acked(broker):
    ch, queue = stocked(broker, 1)
    ch.get(queue)
    unknown(ch, "basic.ack", 1)
    ch, queue = stocked(broker, 1)
    ch.consume(queue, no_ack=True)
    ch.delivery()
    unknown(ch, "basic.ack", 1)


# --- 6.2 redelivered

def test_redelivered_after_every_kind_of_return(broker):
    c = broker.connect()
    keeper, queue = stocked(broker, 1, c.channel())

    def take():
        ch = c.channel()
        return ch, wait_until(lambda: ch.get(queue, no_ack=False), 5)

    ch, got = take()
    eq(got.redelivered, False)
    ch.nack(got.delivery_tag)
    ch.close()
    for how in ("nack", "reject", "recover", "recover-async", "channel close", "server close"):
        ch, got = take()
        eq(got.redelivered, True, "before " + how)
        if how == "nack":
            ch.nack(got.delivery_tag)
        elif how == "reject":
            ch.reject(got.delivery_tag)
        elif how == "recover":
            ch.call("basic.recover", requeue=True)
        elif how == "recover-async":
            ch.send("basic.recover-async", requeue=True)
        elif how == "server close":
            ch.fails("queue.purge", 404, queue="missing")
            continue
        ch.close()
    eq(wait_until(lambda: keeper.get(queue), 5).redelivered, True)


def test_fresh_messages_are_not_redelivered(broker):
    """Waiting in the queue behind others that were returned does not count as delivered."""
    ch, queue = stocked(broker, 3)
    got = ch.get(queue, no_ack=False)
    ch.nack(got.delivery_tag)
    eq([ch.get(queue).redelivered for _ in range(3)], [True, False, False])


def test_classic_queues_add_no_counter(broker):
    ch, queue = stocked(broker, 1)
    ch.nack(ch.get(queue, no_ack=False).delivery_tag)
    got = ch.get(queue)
    eq((got.redelivered, got.flags), (True, 0))


# --- 6.3 get

def test_get_ok_fields_and_empty(broker):
    ch, queue = stocked(broker, 2)
    ch.bind(queue, "amq.direct", broker.unique)
    ch.publish("amq.direct", broker.unique, b"2")
    got = ch.get(queue)
    eq((got.delivery_tag, got.redelivered, got.exchange, got.routing_key, got.message_count), (1, False, "", queue, 2))
    ch.get(queue, no_ack=False)
    got = ch.get(queue)
    eq((got.exchange, got.routing_key, got.message_count), ("amq.direct", broker.unique, 0))
    reply = ch.call("basic.get", queue=queue)
    eq((reply.name, reply.cluster_id), ("basic.get-empty", ""))


def test_get_of_a_missing_or_locked_queue(broker):
    queue = broker.name()
    broker.channel().fails("basic.get", 404, "NOT_FOUND - no queue '%s' in vhost '/'" % queue, queue=queue)
    broker.channel().declare(queue, exclusive=True)
    close = broker.channel().fails("basic.get", 405, queue=queue)
    ok(close.reply_text.startswith("RESOURCE_LOCKED - cannot obtain exclusive access"), close.reply_text)


def test_get_beside_consumers_and_prefetch(broker):
    ch, queue = stocked(broker, 5)
    ch.qos(1)
    ch.consume(queue)
    eq(ch.delivery().body, b"0")
    eq([ch.get(queue, no_ack=False).body for _ in range(4)], [b"1", b"2", b"3", b"4"])


# --- 6.4 ack, nack, reject

def test_ack_single_and_multiple(broker):
    ch, queue = stocked(broker, 10)
    for _ in range(10):
        ch.get(queue, no_ack=False)
    ch.ack(5)
    ch.ack(3, multiple=True)
    ch.ack(10)
    ch.nack(7, multiple=True)
    ch.call("basic.recover", requeue=True)
    eq(ch.drain(queue), [b"3", b"5", b"6", b"7", b"8"])


def test_tag_zero_with_multiple_means_all(broker):
    ch, queue = stocked(broker, 4)
    ch.ack(0, multiple=True)
    ch.nack(0, multiple=True, requeue=True)
    ch.sync()
    for _ in range(4):
        ch.get(queue, no_ack=False)
    ch.nack(0, multiple=True, requeue=True)
    for _ in range(4):
        ch.get(queue, no_ack=False)
    ch.ack(0, multiple=True)
    ch.ack(0, multiple=True)
    ch.call("basic.recover", requeue=True)
    ch.expect_count(queue, 0)


def test_tag_zero_without_multiple(broker):
    for name in ("basic.ack", "basic.nack", "basic.reject"):
        unknown(broker.channel(), name, 0)


def test_unknown_tags(broker):
    for name in ("basic.ack", "basic.nack", "basic.reject"):
        unknown(broker.channel(), name, 82)
        ch, queue = stocked(broker, 1)
        unknown(ch.connection.channel(), name, 1)
        ch.get(queue, no_ack=False)
        unknown(ch.connection.channel(), name, 1)
        ch.ack(1)
        unknown(ch, name, 1)
    unknown(broker.channel(), "basic.ack", 2**64 - 1)


def test_multiple_needs_an_outstanding_tag_and_else_settles_nothing(broker):
    for name in ("basic.ack", "basic.nack"):
        for tag in (2, 4):
            ch, queue = stocked(broker, 3)
            keeper = ch.connection.channel()
            for _ in range(3):
                ch.get(queue, no_ack=False)
            ch.ack(2)
            unknown(ch, name, tag, multiple=True)
            eq([keeper_get(keeper, queue), keeper_get(keeper, queue)], [b"0", b"2"], "%s %d" % (name, tag))


def keeper_get(ch, queue):
    return wait_until(lambda: ch.get(queue), 5).body


def test_settling_in_any_order_across_consumers_and_queues(broker):
    ch, one = stocked(broker, 3)
    _, two = stocked(broker, 3, ch)
    ch.consume(one, "one"), ch.consume(two, "two")
    got = {m.delivery_tag: m for m in ch.deliveries(6)}
    eq(sorted(got), [1, 2, 3, 4, 5, 6])
    for tag in (4, 1, 6):
        ch.ack(tag)
    ch.cancel("one"), ch.cancel("two")
    ch.nack(5, multiple=True)
    eq(len(ch.drain(one)) + len(ch.drain(two)), 3)


def test_ack_of_a_gone_queue_is_silent(broker):
    ch, queue = stocked(broker, 3)
    tags = [ch.get(queue, no_ack=False).delivery_tag for _ in range(3)]
    ch.call("queue.delete", queue=queue)
    ch.ack(tags[0]), ch.nack(tags[1]), ch.reject(tags[2])
    ch.sync()
    unknown(ch, "basic.ack", tags[0])


# --- 6.5 where a requeued message goes

def test_requeued_messages_keep_their_places(broker):
    for order in ([3, 1, 4, 2], [1, 2, 3, 4], [4, 3, 2, 1]):
        ch, queue = stocked(broker, 6)
        for _ in range(4):
            ch.get(queue, no_ack=False)
        for tag in order:
            ch.nack(tag) if tag % 2 else ch.reject(tag)
        eq(ch.drain(queue), [b"0", b"1", b"2", b"3", b"4", b"5"])


def test_requeued_at_once_and_before_newer(broker):
    ch, queue = stocked(broker, 4)
    for _ in range(4):
        ch.get(queue, no_ack=False)
    ch.publish("", queue, b"new")
    ch.nack(4, multiple=True)
    eq(ch.drain(queue), [b"0", b"1", b"2", b"3", b"new"])


def test_sole_consumer_gets_its_rejected_message_again(broker):
    ch, queue = stocked(broker, 2)
    ch.qos(1)
    ch.consume(queue)
    for n in range(20):
        got = ch.delivery()
        eq((got.body, got.redelivered), (b"0", n > 0))
        ch.reject(got.delivery_tag, requeue=True)


def test_partial_multiple_requeue_keeps_order_with_acks_between(broker):
    ch, queue = stocked(broker, 100)
    for _ in range(100):
        ch.get(queue, no_ack=False)
    for tag in range(1, 101):
        if tag % 3 == 0:
            ch.ack(tag)
    ch.nack(0, multiple=True)
    eq([int(b) for b in ch.drain(queue)], [i for i in range(100) if (i + 1) % 3])


def test_requeue_over_the_length_limit_drops_the_oldest(broker):
    ch, queue = stocked(broker, 2, args={"x-max-length": 2}, exclusive=True)
    got = ch.get(queue, no_ack=False)
    ch.publish("", queue, b"2")
    ch.sync()
    ch.nack(got.delivery_tag)
    ch.sync()
    ch.expect_count(queue, 2)
    eq(ch.drain(queue), [b"1", b"2"])


# --- 6.7 recover

def test_recover_requeues_all_and_is_answered(broker):
    ch, queue = stocked(broker, 5)
    ch.call("basic.recover", requeue=True)
    ch.consume(queue, "t")
    ch.deliveries(5)
    ch.send("basic.recover", requeue=True)
    ch.take("basic.recover-ok")
    again = ch.deliveries(5)
    eq([(m.body, m.redelivered) for m in again], [(b"%d" % i, True) for i in range(5)])
    ch.send("basic.recover-async", requeue=True)
    ch.deliveries(5)
    ch.sync()
    eq(ch.queued("basic.recover-ok"), 0)


def test_recovered_messages_may_go_to_another_consumer(broker):
    ch, queue = stocked(broker, 4)
    ch.consume(queue, "a")
    ch.deliveries(4)
    ch.consume(queue, "b")
    ch.call("basic.recover", requeue=True)
    eq({m.consumer_tag for m in ch.deliveries(4)}, {"a", "b"})


def test_recover_without_requeue_is_not_implemented(broker):
    broker.channel().kills("basic.recover", 540, "NOT_IMPLEMENTED - requeue=false", requeue=False)
    broker.channel().kills("basic.recover-async", 540, "NOT_IMPLEMENTED - requeue=false", requeue=False)


# --- 6.8 ack timeout

TIMED_OUT = re.compile(r"^PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out\. Timeout value used: "
                       r"(\d+) ms\. This timeout value can be configured, see consumers doc guide to learn more$")


@lasts(2)
@settings(consumer_timeout=500)
def test_unacked_delivery_times_out(broker):
    c = broker.connect()
    ch, queue = stocked(broker, 2, c.channel(), exclusive=True)
    ch.consume(queue)
    ch.ack(ch.delivery().delivery_tag)
    ch.delivery()
    ch.expect_close(406, TIMED_OUT, 0, 0)
    other = c.channel()
    got = wait_until(lambda: other.get(queue), 5)
    eq((got.body, got.redelivered), (b"1", True))


@lasts(2)
@settings(consumer_timeout=500)
def test_unacked_get_times_out_and_acked_does_not(broker):
    ch, queue = stocked(broker, 1)
    ch.get(queue, no_ack=False)
    ch.expect_close(406, TIMED_OUT, 0, 0)


@lasts(2)
@settings(consumer_timeout=3600000)
def test_timeout_of_the_queue_replaces_the_global_one(broker):
    waiting = []
    for kind in ("classic", "quorum"):
        ch, queue = stocked(broker, 1, args={"x-consumer-timeout": 400, "x-queue-type": kind}, durable=True)
        ch.consume(queue)
        ch.delivery()
        waiting.append(ch)
    for ch in waiting:
        close = ch.expect_close(406, TIMED_OUT, 0, 0)
        eq(TIMED_OUT.search(close.reply_text).group(1), "400")
