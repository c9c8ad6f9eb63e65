# SPDX-License-Identifier: Apache-2.0
"""queue-features, 1.2, 1.3 and 7: what a client can tell a quorum queue by, on one node."""

from harness import differs, eq, ok, wait_until


def quorum(broker, ch=None, dead=None, **args):
    ch = ch or broker.channel()
    queue = broker.name()
    table = {"x-queue-type": "quorum"}
    table.update({"x-" + k.replace("_", "-"): v for k, v in args.items()})
    if dead:
        table.update({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    ch.declare(queue, table, durable=True)
    return ch, queue


def put(ch, queue, *bodies, **props):
    """Publish and see each confirmed, so that a foreign broker has them in the queue."""
    if not getattr(ch, "confirming", False):
        ch.confirm()
        ch.confirming = True
    for body in bodies:
        eq(ch.publish_confirmed("", queue, body, props).name, "basic.ack")


# --- declare

def test_properties_that_a_quorum_queue_cannot_have(broker):
    for flags, name in (({}, "non-durable"), ({"durable": True, "exclusive": True}, "exclusive-owner"),
                        ({"durable": True, "auto_delete": True}, "auto-delete"),
                        ({"exclusive": True, "auto_delete": True}, "auto-delete"),
                        ({"exclusive": True}, "exclusive-owner")):
        queue = broker.name()
        broker.channel().fails("queue.declare", 406, "PRECONDITION_FAILED - invalid property '%s' for queue '%s' in "
                               "vhost '/'" % (name, queue), queue=queue, arguments={"x-queue-type": "quorum"}, **flags)


def test_arguments_of_a_quorum_queue(broker):
    quorum(broker, expires=100000, message_ttl=1000, max_length=5, max_length_bytes=500, overflow="reject-publish",
           dead_letter_exchange="x", dead_letter_routing_key="k", dead_letter_strategy="at-least-once",
           single_active_consumer=True, delivery_limit=5, quorum_initial_group_size=3, max_in_memory_length=1,
           max_in_memory_bytes=1, queue_leader_locator="balanced", consumer_timeout=60000, foo="bar")


def test_arguments_that_a_quorum_queue_refuses(broker):
    for key, value in (("x-max-priority", 5), ("x-queue-mode", "lazy"), ("x-queue-version", 1),
                       ("x-queue-master-locator", "min-masters"), ("x-max-age", "1h"),
                       ("x-stream-max-segment-size-bytes", 100), ("x-initial-cluster-size", 1)):
        queue = broker.name()
        broker.channel().fails("queue.declare", 406, "PRECONDITION_FAILED - invalid arg '%s' for queue '%s' in vhost "
                               "'/' of queue type rabbit_quorum_queue" % (key, queue), queue=queue, durable=True,
                               arguments={"x-queue-type": "quorum", key: value})


def test_bad_values_of_quorum_arguments(broker):
    for key, value, tail in (("x-dead-letter-strategy", "sometimes", "invalid_dlx_strategy"),
                             ("x-quorum-initial-group-size", 0, "{value_zero,0}"),
                             ("x-queue-leader-locator", "nowhere", "invalid_queue_locator_arg"),
                             ("x-max-in-memory-length", -1, "{value_negative,-1}")):
        close = broker.channel().fails("queue.declare", 406, queue=broker.name(), durable=True,
                                       arguments={"x-queue-type": "quorum", key: value})
        ok("invalid arg '%s'" % key in close.reply_text and tail in close.reply_text, close.reply_text)


def test_delivery_limit_is_not_validated(broker):
    quorum(broker, delivery_limit="a string")


@differs("negative limits are 4.x's")
def test_negative_delivery_limit_is_unlimited(broker):
    ch, queue = quorum(broker, delivery_limit=-1)
    put(ch, queue, b"x")
    for n in range(30):
        got = ch.get(queue, no_ack=False)
        eq(got.body, b"x", "return %d" % n)
        ch.nack(got.delivery_tag)


@differs("coney goes beyond the 406 of the type table")
def test_delivery_limit_on_a_classic_queue_is_honoured(broker):
    ch = broker.channel()
    queue, dead = broker.name(), broker.name("dead")
    ch.declare(dead)
    ch.declare(queue, {"x-delivery-limit": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    ch.publish("", queue, b"x")
    for _ in range(3):
        ch.nack(ch.get(queue, no_ack=False).delivery_tag)
    eq(ch.get(queue), None)
    eq(ch.get(dead).headers["x-death"][0]["reason"], "delivery_limit")


# --- operations

def test_delete_with_if_unused_or_if_empty_is_not_implemented(broker):
    for flag, shown in (("if_unused", "if-unused"), ("if_empty", "if-empty")):
        ch, queue = quorum(broker)
        ch.kills("queue.delete", 540, "NOT_IMPLEMENTED - cannot delete queue '%s' in vhost '/'. queue.delete "
                 "operations with %s flag set are not supported by quorum queues" % (queue, shown), queue=queue, **{flag: True})


def test_plain_delete_and_purge(broker):
    ch, queue = quorum(broker)
    put(ch, queue, b"1", b"2", b"3")
    eq(ch.call("queue.purge", queue=queue).message_count, 3)
    put(ch, queue, b"4")
    eq(ch.call("queue.delete", queue=queue).message_count, 1)


def test_exclusive_consume_is_not_enforced(broker):
    ch, queue = quorum(broker)
    ch.consume(queue, "a", exclusive=True), ch.consume(queue, "b", exclusive=True), ch.consume(queue, "c")
    ch.expect_count(queue, 0, 3)


def test_no_ack_consume_and_get(broker):
    ch, queue = quorum(broker)
    put(ch, queue, b"1", b"2")
    eq(ch.get(queue).body, b"1")
    ch.consume(queue, no_ack=True)
    eq(ch.delivery().body, b"2")
    ch.expect_count(queue, 0)


def test_transient_messages_keep_their_delivery_mode(broker):
    ch, queue = quorum(broker)
    put(ch, queue, b"x", delivery_mode=1)
    eq(ch.get(queue).props["delivery_mode"], 1)
    put(ch, queue, b"x")
    ok("delivery_mode" not in ch.get(queue).props, "delivery-mode invented")


def test_global_limit_after_consuming_does_not_bind_that_consumer(broker):
    ch, queue = quorum(broker)
    ch.consume(queue)
    ch.qos(1, global_=True)
    sender = ch.connection.channel()
    put(sender, queue, b"1", b"2", b"3")
    eq([m.body for m in ch.deliveries(3)], [b"1", b"2", b"3"])


def test_get_and_settle_under_a_global_limit(broker):
    ch, queue = quorum(broker)
    ch.qos(1, global_=True)
    put(ch, queue, b"1", b"2")
    got = [ch.get(queue, no_ack=False) for _ in range(2)]
    eq([m.body for m in got], [b"1", b"2"])
    ch.ack(got[-1].delivery_tag, multiple=True)
    ch.sync()


def test_prefetch_and_round_robin_as_classic(broker):
    ch, queue = quorum(broker)
    ch.qos(2)
    ch.consume(queue, "a"), ch.consume(queue, "b")
    sender = ch.connection.channel()
    put(sender, queue, *[b"%d" % i for i in range(6)])
    got = ch.deliveries(4)
    eq(sorted(m.consumer_tag for m in got), ["a", "a", "b", "b"])
    ch.no_delivery(queue)
    ch.ack(got[0].delivery_tag)
    eq(ch.delivery().body, b"4")


def test_consumers_are_told_when_the_queue_is_deleted(broker):
    ch, queue = quorum(broker)
    ch.consume(queue, "t")
    ch.connection.channel().call("queue.delete", queue=queue)
    eq(ch.take("basic.cancel").consumer_tag, "t")


# --- counters and limit

def count_of(message):
    return (message.headers or {}).get("x-delivery-count", 0)


def test_delivery_count_grows_with_every_return(broker):
    ch, queue = quorum(broker)
    keeper = ch.connection.channel()
    put(keeper, queue, b"x")
    returns = ["nack", "reject", "recover", "close"]
    for n, how in enumerate(returns):
        taker = ch.connection.channel()
        got = wait_until(lambda: taker.get(queue, no_ack=False), 5)
        eq((count_of(got), got.redelivered), (n, n > 0), "before " + how)
        if how == "nack":
            taker.nack(got.delivery_tag)
        elif how == "reject":
            taker.reject(got.delivery_tag)
        elif how == "recover":
            taker.call("basic.recover", requeue=True)
        taker.close()
    got = wait_until(lambda: keeper.get(queue), 5)
    eq(count_of(got), len(returns))
    eq(dict(got.props["headers"])["x-delivery-count"].type, "l")


@differs("3.10 shows 0 on the first delivery")
def test_no_count_on_the_first_delivery(broker):
    ch, queue = quorum(broker)
    put(ch, queue, b"x")
    eq(ch.get(queue).flags, 0)
    ch.publish("", queue, b"x", {"headers": {"mine": 1}})
    eq(ch.get(queue).headers, {"mine": 1})


@differs("the publisher's own header of that name, as 3.13")
def test_count_replaces_the_publishers_header_on_redelivery(broker):
    ch, queue = quorum(broker)
    put(ch, queue, b"x", headers={"x-delivery-count": 77, "mine": 1})
    got = ch.get(queue, no_ack=False)
    eq(got.headers, {"x-delivery-count": 77, "mine": 1})
    ch.nack(got.delivery_tag)
    eq(ch.get(queue).headers, {"x-delivery-count": 1, "mine": 1})


def test_cancel_does_not_count(broker):
    ch, queue = quorum(broker)
    put(ch, queue, b"x")
    ch.consume(queue, "t")
    tag = ch.delivery().delivery_tag
    ch.cancel("t")
    ch.nack(tag)
    eq(count_of(wait_until(lambda: ch.get(queue), 5)), 1)


def test_limit_lets_a_message_out_limit_plus_one_times(broker):
    ch = broker.channel()
    dead = broker.name("dead")
    ch.declare(dead)
    _, queue = quorum(broker, ch, dead, delivery_limit=2)
    put(ch, queue, b"poison")
    counts = []
    for _ in range(3):
        got = wait_until(lambda: ch.get(queue, no_ack=False), 5)
        counts.append(count_of(got))
        ch.nack(got.delivery_tag)
    eq(counts, [0, 1, 2])
    got = wait_until(lambda: ch.get(dead), 8)
    eq([(d["reason"], d["queue"]) for d in got.headers["x-death"]], [("delivery_limit", queue)])
    ok("x-delivery-count" not in got.headers, "carried into the target queue")
    ch.expect_count(queue, 0)


def test_limit_without_dlx_drops(broker):
    ch, queue = quorum(broker, delivery_limit=0)
    put(ch, queue, b"x")
    ch.nack(ch.get(queue, no_ack=False).delivery_tag)
    ch.expect_count(queue, 0)
    eq(ch.get(queue), None)


def test_unlimited_when_unset(broker):
    ch, queue = quorum(broker)
    put(ch, queue, b"x")
    for n in range(30):
        got = wait_until(lambda: ch.get(queue, no_ack=False), 5)
        eq(count_of(got), n)
        ch.nack(got.delivery_tag)


@differs("3.10 puts a returned message at the end")
def test_returned_messages_go_to_their_original_place(broker):
    ch, queue = quorum(broker)
    put(ch, queue, *[b"%d" % i for i in range(4)])
    tags = [ch.get(queue, no_ack=False).delivery_tag for _ in range(3)]
    for tag in (tags[2], tags[0], tags[1]):
        ch.nack(tag)
    eq(ch.drain(queue), [b"0", b"1", b"2", b"3"])


def test_dead_letters_as_classic(broker):
    ch = broker.channel()
    dead = broker.name("dead")
    ch.declare(dead)
    for args, reason in (({}, "rejected"), ({"message_ttl": 20}, "expired"), ({"max_length": 0}, "maxlen")):
        _, queue = quorum(broker, ch, dead, **args)
        put(ch, queue, b"x")
        if reason == "rejected":
            ch.reject(ch.get(queue, no_ack=False).delivery_tag, requeue=False)
        got = wait_until(lambda: ch.get(dead), 8)
        eq((got.headers["x-death"][0]["reason"], got.headers["x-death"][0]["queue"]), (reason, queue))


def test_commit_covers_a_quorum_queue(broker):
    ch, queue = quorum(broker)
    tx = ch.connection.channel()
    tx.call("tx.select")
    tx.publish("", queue, b"x", {"delivery_mode": 1})
    tx.call("tx.commit")
    eq(wait_until(lambda: ch.get(queue), 5).body, b"x")
