# SPDX-License-Identifier: Apache-2.0
"""queue-features, 5 and 6: priority queues, consumer priorities on them, single active consumer extras."""

from amqp_raw import publish_frames
from harness import Skip, between, eq, settings, wait_until


def levels(broker, n, *priorities, **args):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, dict({"x-max-priority": n}, **args))
    for i, priority in enumerate(priorities):
        ch.publish("", queue, "%d:%s" % (i, priority), {} if priority is None else {"priority": priority})
    ch.sync()
    ch.expect_count(queue, len(priorities))
    return ch, queue


def order(ch, queue):
    return [b.decode().split(":")[1] for b in ch.drain(queue)]


def test_highest_first_and_clamped(broker):
    ch, queue = levels(broker, 5, None, 0, 1, 5, 9, 255, 3, 2)
    eq(order(ch, queue), ["5", "9", "255", "3", "2", "1", "None", "0"])


def test_priority_property_is_the_original_value(broker):
    ch, queue = levels(broker, 5, 255, 9)
    eq([ch.get(queue).props["priority"] for _ in range(2)], [255, 9])


def test_fifo_inside_a_level(broker):
    ch, queue = levels(broker, 10, *[i % 3 for i in range(60)])
    got = [b.decode() for b in ch.drain(queue)]
    eq(got, ["%d:%d" % (i, p) for p in (2, 1, 0) for i in range(60) if i % 3 == p])


def test_every_level_up_to_255(broker):
    ch, queue = levels(broker, 255, *range(256))
    eq(order(ch, queue), [str(p) for p in range(255, -1, -1)])


def test_zero_behaves_as_a_normal_queue(broker):
    ch, queue = levels(broker, 0, 1, 9, 5)
    eq(order(ch, queue), ["1", "9", "5"])


def test_ordinary_queue_ignores_priorities(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue)
    for i, priority in enumerate((1, 200, 5)):
        ch.publish("", queue, str(i), {"priority": priority})
    eq([(m.body, m.props["priority"]) for m in [ch.get(queue) for _ in range(3)]],
       [(b"0", 1), (b"1", 200), (b"2", 5)])


@settings()
def test_a_level_costs_memory_only_when_it_is_used(broker):
    """An empty queue with 256 levels costs 2 KiB more than one without; each level in use less than 4 KiB."""
    if broker.server.sanitized():
        raise Skip("a sanitizer's shadow memory is counted too")
    ch = broker.channel()

    def declare(count, args):
        before, names = broker.rss(), [broker.name() for _ in range(count)]
        for name in names:
            ch.send("queue.declare", queue=name, exclusive=True, arguments=args)
        for _ in names:
            ch.next("queue.declare-ok")
        return names, (broker.rss() - before) / count

    def publish(names, priorities):
        before = broker.rss()
        for name in names:
            ch.raw(*[publish_frames(1, "", name, b"x", {"priority": p}) for p in priorities])
        ch.sync()
        return (broker.rss() - before) / len(names)

    # The login's hash has left free memory behind, and tables grow by doubling: both are used up first.
    ch.declare(broker.name(), exclusive=True)
    for _ in range(600):
        ch.publish("", broker.names[-1], b"x" * 65536)
    declare(2000, {})
    _, plain = declare(4000, {})
    empty, with_levels = declare(4000, {"x-max-priority": 255})
    between(with_levels - plain, 0, 3072, "octets of an empty queue with 256 levels")
    one = publish(empty[:400], [7] * 16)
    sixteen = publish(empty[400:800], range(1, 17))
    between((sixteen - one) / 15, 512, 4096, "octets of a level")


def test_requeued_messages_go_back_to_their_place_at_their_level(broker):
    ch, queue = levels(broker, 5, 1, 3, 1, 3, 5)
    tags = [ch.get(queue, no_ack=False).delivery_tag for _ in range(4)]
    ch.publish("", queue, "5:3", {"priority": 3}), ch.publish("", queue, "6:5", {"priority": 5})
    for tag in reversed(tags):
        ch.nack(tag)
    eq([b.decode() for b in ch.drain(queue)], ["4:5", "6:5", "1:3", "3:3", "5:3", "0:1", "2:1"])


def test_drop_head_drops_from_the_delivery_head(broker):
    ch = broker.channel()
    for limit, published, left in ((2, ("a5", "b1", "c1"), ["b1", "c1"]),
                                   (3, ("a1", "b5", "c3", "d2", "e5"), ["c3", "d2", "a1"])):
        queue = broker.name()
        ch.declare(queue, {"x-max-priority": 5, "x-max-length": limit})
        for body in published:
            ch.publish("", queue, body, {"priority": int(body[1])})
        ch.sync()
        eq([b.decode() for b in ch.drain(queue)], left)


def test_new_high_priority_message_overtakes_at_the_consumer(broker):
    ch, queue = levels(broker, 5, *[0] * 10)
    ch.qos(1)
    ch.consume(queue)
    first = ch.delivery()
    ch.publish("", queue, "10:5", {"priority": 5})
    ch.settled(queue)
    ch.ack(first.delivery_tag)
    eq(ch.delivery().body, b"10:5")


def test_ttl_in_a_priority_queue(broker):
    ch = broker.channel()
    queue, dead = broker.name(), broker.name("dead")
    ch.declare(dead)
    ch.declare(queue, {"x-max-priority": 5, "x-message-ttl": 50, "x-dead-letter-exchange": "",
                       "x-dead-letter-routing-key": dead})
    for priority in (1, 5, 3):
        ch.publish("", queue, str(priority), {"priority": priority})
    eq(sorted(wait_until(lambda: ch.get(dead), 8).body for _ in range(3)), [b"1", b"3", b"5"])


def test_purge_and_counts_span_all_levels(broker):
    ch, queue = levels(broker, 5, 1, 2, 3, 4, 5, 0)
    eq(ch.call("queue.purge", queue=queue).message_count, 6)
    ch.expect_count(queue, 0)


def test_quorum_refuses_max_priority_and_is_plain_fifo(broker):
    broker.channel().fails("queue.declare", 406, queue=broker.name(), durable=True,
                           arguments={"x-queue-type": "quorum", "x-max-priority": 5})
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-queue-type": "quorum"}, durable=True)
    ch.confirm()
    for i, priority in enumerate((1, 9, 5)):
        ch.publish_confirmed("", queue, str(i), {"priority": priority})
    eq([(m.body, m.props["priority"]) for m in [ch.get(queue) for _ in range(3)]],
       [(b"0", 1), (b"1", 9), (b"2", 5)])


def test_consumer_priority_on_quorum(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-queue-type": "quorum"}, durable=True)
    ch.qos(1)
    ch.consume(queue, "low"), ch.consume(queue, "high", {"x-priority": 5})
    ch.publish("", queue, b"1")
    first = ch.delivery()
    ch.publish("", queue, b"2")
    second = ch.delivery()
    eq((first.consumer_tag, second.consumer_tag), ("high", "low"))


# --- 6 single active consumer, what messages_05 does not show

def test_get_is_allowed_on_a_classic_single_active_consumer_queue(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-single-active-consumer": True})
    ch.publish("", queue, b"x")
    eq(ch.get(queue).body, b"x")


def test_get_is_refused_on_a_quorum_one(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-single-active-consumer": True, "x-queue-type": "quorum"}, durable=True)
    ch.fails("basic.get", 405, "RESOURCE_LOCKED - cannot obtain access to locked queue '%s' in vhost '/'. "
             "basic.get operations are not supported by quorum queues with single active consumer" % queue, queue=queue)


def test_exclusive_consumer_on_a_quorum_single_active_consumer_queue(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-single-active-consumer": True, "x-queue-type": "quorum"}, durable=True)
    ch.consume(queue, "a", exclusive=True), ch.consume(queue, "b", exclusive=True)
    ch.confirm()
    for _ in range(5):
        ch.publish_confirmed("", queue, b"x")
    eq({m.consumer_tag for m in ch.deliveries(5)}, {"a"})
