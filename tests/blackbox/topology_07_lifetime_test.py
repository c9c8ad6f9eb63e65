# SPDX-License-Identifier: Apache-2.0
"""exchanges-queues-bindings, 7: how queues end: delete, purge, auto-delete, exclusive."""

from amqp_raw import ChannelClosed
from harness import eq, ok, wait_until

LOCKED = ("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'. It could be originally "
          "declared on another connection or the exclusive property value does not match that of the original "
          "declaration.")


def exists(broker, queue):
    try:
        broker.channel().count(queue)
        return True
    except ChannelClosed as closed:
        eq(closed.code, 404)
        return False


# --- 7.1 delete

def test_deleting_a_missing_queue_succeeds(broker):
    ch = broker.channel()
    for flags in ({}, {"if_unused": True}, {"if_empty": True}, {"if_unused": True, "if_empty": True}):
        eq(ch.call("queue.delete", queue=broker.name(), **flags).message_count, 0)


def test_exclusive_queue_of_another_connection(broker):
    queue = broker.name()
    broker.channel().declare(queue, exclusive=True)
    broker.channel().fails("queue.delete", 405, LOCKED % queue, queue=queue)


def test_if_empty_looks_at_ready_messages(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"x")
    text = "PRECONDITION_FAILED - queue '%s' in vhost '/' not empty" % queue
    ch.expect_count(queue, 1)
    ch.connection.channel().fails("queue.delete", 406, text, queue=queue, if_empty=True)
    ch.get(queue, no_ack=False)
    eq(ch.call("queue.delete", queue=queue, if_empty=True).message_count, 0)


def test_if_unused_looks_at_consumers(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.consume(queue, "t")
    ch.connection.channel().fails("queue.delete", 406, "PRECONDITION_FAILED - queue '%s' in vhost '/' in use" % queue,
                                  queue=queue, if_unused=True)
    ch.cancel("t")
    ch.call("queue.delete", queue=queue, if_unused=True)


def test_emptiness_is_checked_first(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.qos(1)
    ch.consume(queue)
    ch.publish("", queue, b"1"), ch.publish("", queue, b"2")
    ch.delivery()
    ch.expect_count(queue, 1)
    close = ch.connection.channel().fails("queue.delete", 406, queue=queue, if_unused=True, if_empty=True)
    ok(close.reply_text.endswith("not empty"), close.reply_text)


def test_delete_counts_ready_messages_and_forgets_unacked(broker):
    ch = broker.channel()
    queue, dead = broker.name(), broker.name("dead")
    ch.declare(dead, exclusive=True)
    ch.declare(queue, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}, exclusive=True)
    for _ in range(5):
        ch.publish("", queue, b"x")
    tag = [ch.get(queue, no_ack=False).delivery_tag for _ in range(2)][-1]
    ch.expect_count(queue, 3)
    eq(ch.call("queue.delete", queue=queue).message_count, 3)
    ch.ack(tag - 1)
    ch.nack(tag, requeue=False)
    ch.sync()
    ch.expect_count(dead, 0)


def test_delete_removes_bindings(broker):
    ch = broker.channel()
    queue, exchange = broker.name(), broker.name("x")
    ch.exchange(exchange, "fanout")
    ch.declare(queue, exclusive=True)
    ch.bind(queue, exchange)
    ch.call("queue.delete", queue=queue)
    ch.declare(queue, exclusive=True)
    ch.publish(exchange, "", b"", mandatory=True)
    ch.take("basic.return")
    ch.call("exchange.delete", exchange=exchange, if_unused=True)


def test_consumers_of_a_deleted_queue_are_told(broker):
    owner, other = broker.channel(), broker.channel()
    queue = broker.name()
    owner.declare(queue)
    owner.consume(queue, "mine"), other.consume(queue, "theirs")
    owner.call("queue.delete", queue=queue)
    for ch, tag in ((owner, "mine"), (other, "theirs")):
        got = ch.take("basic.cancel")
        eq((got.consumer_tag, got.nowait), (tag, True))


# --- 7.2 purge

def test_purge_removes_ready_messages_only(broker):
    ch = broker.channel()
    queue, dead = broker.name(), broker.name("dead")
    ch.declare(dead, exclusive=True)
    ch.declare(queue, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}, exclusive=True)
    for i in range(5):
        ch.publish("", queue, str(i))
    tag = ch.get(queue, no_ack=False).delivery_tag
    eq(ch.call("queue.purge", queue=queue).message_count, 4)
    eq(ch.call("queue.purge", queue=queue).message_count, 0)
    ch.nack(tag)
    got = ch.get(queue)
    eq((got.body, got.redelivered), (b"0", True))
    ch.expect_count(dead, 0)


def test_purge_of_a_missing_or_locked_queue(broker):
    queue = broker.name()
    broker.channel().fails("queue.purge", 404, "NOT_FOUND - no queue '%s' in vhost '/'" % queue, queue=queue)
    broker.channel().declare(queue, exclusive=True)
    broker.channel().fails("queue.purge", 405, LOCKED % queue, queue=queue)


# --- 7.3 auto-delete

def test_auto_delete_queue_stays_until_first_consumed(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, auto_delete=True)
    ch.publish("", queue, b"x")
    ch.get(queue)
    eq(exists(broker, queue), True)


def test_auto_delete_queue_goes_with_its_last_consumer(broker):
    for how in ("cancel", "channel", "connection", "loss"):
        one, two = broker.channel(), broker.channel()
        queue = broker.name()
        one.declare(queue, auto_delete=True)
        for _ in range(3):
            one.publish("", queue, b"x")
        one.qos(1)
        one.consume(queue, "t"), two.consume(queue, "t")
        one.delivery()
        two.cancel("t")
        eq(exists(broker, queue), True, "one consumer left")
        if how == "cancel":
            one.cancel("t")
        elif how == "channel":
            one.close()
        elif how == "connection":
            one.connection.close()
        else:
            one.connection.wire.abort()
            wait_until(lambda: not exists(broker, queue), 5, "queue gone")
        eq(exists(broker, queue), False, how)
        eq(one.queued("basic.cancel"), 0)


# --- 7.4 exclusive

def test_exclusive_queue_is_for_its_connection_only(broker):
    owner, other = broker.connect(), broker.connect()
    queue = broker.name()
    ch = owner.channel()
    ch.declare(queue, exclusive=True)
    ch.bind(queue, "amq.direct", queue)
    for method, fields in (("queue.declare", {}), ("queue.declare", {"passive": True}),
                           ("queue.declare", {"exclusive": True}),
                           ("queue.bind", {"exchange": "amq.direct", "routing_key": "k"}),
                           ("queue.unbind", {"exchange": "amq.direct", "routing_key": queue}),
                           ("queue.purge", {}), ("queue.delete", {}), ("basic.get", {}), ("basic.consume", {})):
        other.channel().fails(method, 405, LOCKED % queue, queue=queue, **fields)
    sender = other.channel()
    sender.publish("", queue, b"by name"), sender.publish("amq.direct", queue, b"by binding")
    sender.sync()
    second = owner.channel()
    eq(second.drain(queue), [b"by name", b"by binding"])
    second.consume(queue)
    second.close()
    eq(ch.declare(queue, exclusive=True).consumer_count, 0)


def test_exclusive_queue_ends_with_its_connection_not_its_channel(broker):
    owner = broker.connect()
    queue = broker.name()
    ch = owner.channel()
    ch.declare(queue, exclusive=True)
    ch.close()
    owner.channel().count(queue)
    owner.close()
    eq(exists(broker, queue), False)
