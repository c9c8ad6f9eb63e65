# SPDX-License-Identifier: Apache-2.0
"""publish-consume-ack, 4: prefetch per consumer and per channel."""

from harness import eq, ok


def stocked(broker, n=20, ch=None):
    """A channel and a queue with N messages numbered from 0."""
    ch = ch or broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for i in range(n):
        ch.publish("", queue, str(i))
    ch.sync()
    return ch, queue


def held(ch, queue, n):
    """Exactly N deliveries are out; returns them."""
    got = ch.deliveries(n)
    ch.no_delivery(queue)
    return got


def test_prefetch_size_is_not_implemented(broker):
    broker.channel().kills("basic.qos", 540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", prefetch_size=1)


def test_per_consumer_limit_is_for_later_consumers_each(broker):
    ch, queue = stocked(broker)
    ch.qos(2)
    ch.consume(queue, "a")
    eq({m.consumer_tag for m in held(ch, queue, 2)}, {"a"})
    ch.qos(3)
    ch.consume(queue, "b")
    got = held(ch, queue, 3)
    eq({m.consumer_tag for m in got}, {"b"})
    ch.qos(0)
    ch.consume(queue, "c")
    eq({m.consumer_tag for m in held(ch, queue, 15)}, {"c"})


def test_existing_consumers_keep_their_limit(broker):
    ch, queue = stocked(broker)
    ch.qos(1)
    ch.consume(queue)
    first = held(ch, queue, 1)[0]
    ch.qos(10)
    ch.ack(first.delivery_tag)
    held(ch, queue, 1)


def test_settling_frees_the_slot(broker):
    ch, queue = stocked(broker)
    ch.qos(1)
    ch.consume(queue)
    ch.ack(held(ch, queue, 1)[0].delivery_tag)
    ch.nack(held(ch, queue, 1)[0].delivery_tag, requeue=False)
    ch.reject(held(ch, queue, 1)[0].delivery_tag, requeue=False)
    got = held(ch, queue, 1)[0]
    eq(got.body, b"3")
    ch.nack(got.delivery_tag, requeue=True)
    again = held(ch, queue, 1)[0]
    eq((again.body, again.redelivered), (b"3", True))


def test_unlimited_by_default(broker):
    ch, queue = stocked(broker, 1000)
    ch.consume(queue)
    held(ch, queue, 1000)


def test_global_limit_is_shared_and_acts_at_once(broker):
    ch, queue = stocked(broker)
    ch.consume(queue, "early")
    got = held(ch, queue, 20)
    ch.ack(got[-1].delivery_tag, multiple=True)
    ch.qos(3, global_=True)
    ch.consume(queue, "late")
    for i in range(10):
        ch.publish("", queue, str(i))
    out = held(ch, queue, 3)
    ch.ack(out[0].delivery_tag)
    held(ch, queue, 1)
    ch.qos(5, global_=True)
    held(ch, queue, 2)
    ch.qos(0, global_=True)
    held(ch, queue, 4)


def test_consumers_take_turns_at_the_room_of_a_global_limit(broker):
    for same_queue in (True, False):
        ch, queue = stocked(broker)
        queues = [queue] if same_queue else [queue] + [stocked(broker, ch=ch)[1] for _ in range(2)]
        ch.qos(1, global_=True)
        served = {f"{i}": 0 for i in range(3)}
        for i, tag in enumerate(served):
            ch.consume(queues[i % len(queues)], tag)
        for _ in range(12):
            m = ch.delivery()
            served[m.consumer_tag] += 1
            ch.ack(m.delivery_tag)
        ok(all(served.values()), f"somebody starves: {served}")


def test_lowering_the_global_limit_stops_until_enough_acks(broker):
    ch, queue = stocked(broker)
    ch.qos(5, global_=True)
    ch.consume(queue)
    out = held(ch, queue, 5)
    ch.qos(2, global_=True)
    for m in out[:3]:
        ch.ack(m.delivery_tag)
        ch.no_delivery(queue)
    ch.ack(out[3].delivery_tag)
    held(ch, queue, 1)


def test_both_limits_apply(broker):
    ch, queue = stocked(broker)
    ch.qos(2)
    ch.qos(3, global_=True)
    ch.consume(queue, "a")
    held(ch, queue, 2)
    ch.consume(queue, "b")
    held(ch, queue, 1)
    ch.consume(queue, "c")
    ch.no_delivery(queue)


def test_per_consumer_qos_lifts_the_global_limit(broker):
    ch, queue = stocked(broker)
    ch.qos(3, global_=True)
    ch.consume(queue)
    held(ch, queue, 3)
    ch.qos(1)
    held(ch, queue, 17)


def test_global_qos_does_not_touch_the_per_consumer_default(broker):
    ch, queue = stocked(broker)
    ch.qos(2)
    ch.qos(10, global_=True)
    ch.qos(0, global_=True)
    ch.consume(queue)
    held(ch, queue, 2)


def test_get_is_not_counted(broker):
    ch, queue = stocked(broker)
    ch.qos(2)
    for _ in range(3):
        ch.get(queue, no_ack=False)
    ch.consume(queue)
    held(ch, queue, 2)
    ch.get(queue, no_ack=False)
    other, second = stocked(broker)
    other.qos(2, global_=True)
    for _ in range(3):
        other.get(second, no_ack=False)
    other.consume(second)
    held(other, second, 2)


def test_switching_to_a_global_limit_counts_what_is_unacked(broker):
    ch, queue = stocked(broker)
    for _ in range(2):
        ch.get(queue, no_ack=False)
    ch.qos(3, global_=True)
    ch.consume(queue)
    held(ch, queue, 1)


def test_no_ack_consumers_are_not_limited_by_the_per_consumer_count(broker):
    ch, queue = stocked(broker)
    ch.qos(1)
    ch.consume(queue, no_ack=True)
    held(ch, queue, 20)


def test_no_ack_consumers_are_not_counted_but_stalled_by_the_global_limit(broker):
    ch, queue = stocked(broker)
    ch.qos(1, global_=True)
    ch.consume(queue, "free", no_ack=True)
    eq(len(held(ch, queue, 20)), 20)
    other = broker.name("other")
    ch.declare(other, exclusive=True)
    ch.consume(other, "acking")
    ch.publish("", other, b"fills the limit")
    out = held(ch, other, 1)[0]
    ch.publish("", queue, b"stalled")
    ch.no_delivery(queue)
    ch.ack(out.delivery_tag)
    eq(held(ch, queue, 1)[0].body, b"stalled")


def test_each_channel_has_its_own_limits(broker):
    ch, queue = stocked(broker)
    ch.qos(2)
    second = ch.connection.channel()
    second.consume(queue)
    held(second, queue, 20)


def test_unacked_never_exceed_the_limit_under_load(broker):
    ch, queue = stocked(broker, 0)
    ch.qos(7)
    ch.consume(queue)
    out, seen = [], 0
    for i in range(500):
        ch.publish("", queue, str(i))
    while seen < 500:
        out.append(ch.delivery())
        seen += 1
        ok(len(out) + ch.queued("basic.deliver") <= 7, "%d unacked" % (len(out) + ch.queued("basic.deliver")))
        if len(out) == 7 or seen == 500:
            ch.ack(out[-1].delivery_tag, multiple=True)
            out = []


def test_prefetch_of_65535(broker):
    ch, queue = stocked(broker, 100)
    ch.qos(65535)
    ch.consume(queue)
    held(ch, queue, 100)


def test_quorum_queue_refuses_consumers_under_a_global_limit(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-queue-type": "quorum"}, durable=True)
    ch.qos(5, global_=True)
    ch.publish("", queue, b"x")
    ch.kills("basic.consume", 540, "NOT_IMPLEMENTED - queue '%s' in vhost '/' does not support global qos" % queue,
             queue=queue)
