# SPDX-License-Identifier: Apache-2.0
"""queue-features, 4: length limits in messages and octets, and the three overflow behaviours."""

from harness import differs, eq, wait_until


def limited(broker, args, dead=False, **flags):
    ch = broker.channel()
    queue = broker.name()
    if dead:
        graveyard = broker.name("dead")
        ch.declare(graveyard)
        args = dict(args, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard})
    ch.declare(queue, args, **flags)
    return (ch, queue, graveyard) if dead else (ch, queue)


def fill(ch, queue, *bodies):
    for body in bodies:
        ch.publish("", queue, body)
    ch.sync()


def test_max_length_drops_the_oldest(broker):
    ch, queue = limited(broker, {"x-max-length": 3})
    fill(ch, queue, *"abcdef")
    eq(ch.drain(queue), [b"d", b"e", b"f"])


def test_max_length_bytes_counts_bodies_only(broker):
    ch, queue = limited(broker, {"x-max-length-bytes": 10})
    for body in ("aaaa", "bbbb"):
        ch.publish("", queue, body, {"headers": {"big": "h" * 1000}})
    ch.expect_count(queue, 2)
    ch.publish("", queue, "cc")
    ch.expect_count(queue, 3)
    ch.publish("", queue, "d")
    eq(ch.drain(queue), [b"bbbb", b"cc", b"d"])


def test_both_limits_whichever_is_hit_first(broker):
    ch, queue = limited(broker, {"x-max-length": 3, "x-max-length-bytes": 10})
    fill(ch, queue, *"abcd")
    eq(ch.drain(queue), [b"b", b"c", b"d"])
    fill(ch, queue, "a", "bbbbbbbbb", "c")
    eq(ch.drain(queue), [b"bbbbbbbbb", b"c"])


def test_unacked_messages_do_not_count(broker):
    ch, queue = limited(broker, {"x-max-length": 2})
    fill(ch, queue, "a", "b")
    ch.get(queue, no_ack=False), ch.get(queue, no_ack=False)
    fill(ch, queue, "c", "d")
    ch.expect_count(queue, 2)
    eq(ch.drain(queue), [b"c", b"d"])


def test_message_larger_than_the_limit_empties_the_queue_and_goes(broker):
    ch, queue, dead = limited(broker, {"x-max-length-bytes": 10}, dead=True)
    fill(ch, queue, "a", "b", "x" * 11)
    ch.expect_count(queue, 0)
    eq([wait_until(lambda: ch.get(dead), 5).body for _ in range(3)], [b"a", b"b", b"x" * 11])


def test_dropped_messages_are_dead_lettered_in_order(broker):
    ch, queue, dead = limited(broker, {"x-max-length": 1}, dead=True)
    fill(ch, queue, *"abcd")
    eq([wait_until(lambda: ch.get(dead), 5).body for _ in range(3)], [b"a", b"b", b"c"])
    eq(ch.drain(queue), [b"d"])


def test_max_length_zero_hands_to_an_idle_consumer_or_drops(broker):
    ch, queue, dead = limited(broker, {"x-max-length": 0}, dead=True)
    fill(ch, queue, "nobody")
    eq(wait_until(lambda: ch.get(dead), 5).body, b"nobody")
    ch.qos(1)
    ch.consume(queue)
    fill(ch, queue, "taken")
    eq(ch.delivery().body, b"taken")
    fill(ch, queue, "no room")
    eq(wait_until(lambda: ch.get(dead), 5).body, b"no room")


def test_max_length_zero_with_reject_publish_nacks_even_with_an_idle_consumer(broker):
    ch, queue = limited(broker, {"x-max-length": 0, "x-overflow": "reject-publish"})
    ch.consume(queue)
    ch.confirm()
    eq(ch.publish_confirmed("", queue, b"x").name, "basic.nack")


def test_reject_publish_by_octets(broker):
    """8 octets in a queue of 10: 10 more are refused, 1 more fits."""
    ch, queue = limited(broker, {"x-max-length-bytes": 10, "x-overflow": "reject-publish"})
    ch.confirm()
    eq([ch.publish_confirmed("", queue, body).name for body in ("x" * 8, "y" * 10, "z", "w" * 2, "v")],
       ["basic.ack", "basic.nack", "basic.ack", "basic.nack", "basic.ack"])
    eq(ch.drain(queue), [b"x" * 8, b"z", b"v"])
    eq(ch.publish_confirmed("", queue, "o" * 11).name, "basic.nack")


def test_reject_publish_counts_ready_messages(broker):
    ch, queue = limited(broker, {"x-max-length": 1, "x-overflow": "reject-publish"})
    ch.confirm()
    eq(ch.publish_confirmed("", queue, b"1").name, "basic.ack")
    eq(ch.publish_confirmed("", queue, b"2").name, "basic.nack")
    tag = ch.get(queue, no_ack=False).delivery_tag
    eq(ch.publish_confirmed("", queue, b"3").name, "basic.ack")
    ch.nack(tag, requeue=True)
    ch.expect_count(queue, 2)
    eq(ch.publish_confirmed("", queue, b"4").name, "basic.nack")
    eq(ch.drain(queue), [b"1", b"3"])


def test_reject_publish_without_confirms_discards_silently(broker):
    ch, queue = limited(broker, {"x-max-length": 1, "x-overflow": "reject-publish"})
    for body in "abc":
        ch.publish("", queue, body, mandatory=True)
    ch.expect_count(queue, 1)
    eq(ch.queued("basic.return"), 0)
    eq(ch.drain(queue), [b"a"])


@differs("3.10's quorum queues enforce the limit late")
def test_limits_of_quorum_queues_are_exact(broker):
    ch, queue = limited(broker, {"x-max-length": 2, "x-overflow": "reject-publish", "x-queue-type": "quorum"},
                        durable=True)
    ch.confirm()
    eq([ch.publish_confirmed("", queue, b"x").name for _ in range(4)], ["basic.ack"] * 2 + ["basic.nack"] * 2)
    ch, queue = limited(broker, {"x-max-length": 2, "x-queue-type": "quorum"}, durable=True)
    fill(ch, queue, *"abcd")
    eq(ch.drain(queue), [b"c", b"d"])


@differs("drop-head on 3.10's quorum queues is asynchronous")
def test_reject_publish_dlx_on_quorum_acts_as_drop_head(broker):
    ch, queue, dead = limited(broker, {"x-max-length": 1, "x-overflow": "reject-publish-dlx",
                                       "x-queue-type": "quorum"}, dead=True, durable=True)
    ch.confirm()
    eq([ch.publish_confirmed("", queue, body).name for body in "ab"], ["basic.ack"] * 2)
    eq(wait_until(lambda: ch.get(dead), 5).body, b"a")
    eq(ch.drain(queue), [b"b"])


def test_limit_holds_under_many_publishers(broker):
    ch, queue = limited(broker, {"x-max-length": 100})
    c = broker.connect()
    chs = [c.channel() for _ in range(10)]
    for i in range(100):
        for other in chs:
            other.publish("", queue, str(i))
    for other in chs:
        other.sync()
    ch.expect_count(queue, 100)
