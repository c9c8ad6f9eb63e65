# SPDX-License-Identifier: Apache-2.0
"""publish-consume-ack, 7: what a transaction holds back, commits, rolls back, and what it never covers."""

from amqp_raw import method_frame, publish_frames
from harness import differs, eq, wait_until


def transactional(broker, n=0):
    """A tx channel, an ordinary channel of the same connection, and a queue with N messages."""
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = broker.name()
    other.declare(queue, exclusive=True)
    for i in range(n):
        other.publish("", queue, str(i))
    other.sync()
    ch.call("tx.select")
    return ch, other, queue


def test_publishes_are_held_until_commit(broker):
    ch, other, queue = transactional(broker)
    for i in range(5):
        ch.publish("", queue, str(i), {"delivery_mode": 1 + i % 2})
    ch.sync()
    other.expect_count(queue, 0)
    ch.call("tx.commit")
    eq(other.drain(queue), [b"0", b"1", b"2", b"3", b"4"])


def test_commit_starts_the_next_transaction(broker):
    ch, other, queue = transactional(broker)
    for n in range(1, 4):
        ch.publish("", queue, b"x")
        other.expect_count(queue, n - 1)
        ch.call("tx.commit")
        other.expect_count(queue, n)
    ch.call("tx.commit"), ch.call("tx.rollback")


def test_rollback_drops_held_publishes(broker):
    ch, other, queue = transactional(broker)
    ch.publish("", queue, b"dropped")
    ch.call("tx.rollback")
    ch.publish("", queue, b"kept")
    ch.call("tx.commit")
    eq(other.drain(queue), [b"kept"])


def test_publish_errors_are_immediate(broker):
    for exchange, props, code in (("nox", {}, 404), ("", {"user_id": "other"}, 406), ("", {"expiration": "x"}, 406)):
        ch, other, queue = transactional(broker)
        ch.publish("", queue, b"held")
        ch.publish(exchange, queue, b"bad", props)
        ch.expect_close(code, None, 60, 40)
        other.expect_count(queue, 0)


def test_returns_come_before_commit_ok(broker):
    ch, _, queue = transactional(broker)
    for i in range(3):
        ch.publish("", "nowhere", str(i), mandatory=True)
    ch.sync()
    eq(list(ch.inbox), [], "returned before the commit")
    ch.send("tx.commit")
    eq([ch.next().name for _ in range(4)], ["basic.return"] * 3 + ["tx.commit-ok"])


def test_routing_is_decided_at_publish_time(broker):
    ch, other, queue = transactional(broker)
    exchange = broker.name("x")
    other.exchange(exchange, "fanout")
    other.bind(queue, exchange)
    ch.publish(exchange, "", b"routed while bound")
    ch.sync()
    other.unbind(queue, exchange)
    ch.publish(exchange, "", b"not bound any more")
    ch.sync()
    other.bind(queue, exchange)
    ch.call("tx.commit")
    eq(other.drain(queue), [b"routed while bound"])


def test_commit_looks_queues_up_again(broker):
    ch, other, queue = transactional(broker)
    ch.publish("", queue, b"returned", mandatory=True)
    ch.publish("", queue, b"dropped")
    ch.sync()
    other.call("queue.delete", queue=queue)
    ch.send("tx.commit")
    returned = ch.next()
    eq((returned.name, returned.reply_code, returned.reply_text), ("basic.return", 312, "NO_ROUTE"))
    eq(ch.next().name, "tx.commit-ok")
    other.declare(queue, exclusive=True)
    ch.publish("", queue, b"to the queue of that name", mandatory=True)
    ch.sync()
    other.call("queue.delete", queue=queue)
    other.declare(queue, exclusive=True)
    ch.call("tx.commit")
    eq(other.drain(queue), [b"to the queue of that name"])


def test_acks_are_held_until_commit(broker):
    ch, other, queue = transactional(broker, 4)
    for _ in range(4):
        ch.get(queue, no_ack=False)
    ch.ack(1), ch.nack(2, requeue=True), ch.reject(3, requeue=False)
    ch.sync()
    other.expect_count(queue, 0)
    ch.call("tx.commit")
    eq(wait_until(lambda: other.get(queue), 5).body, b"1")
    ch.close()
    eq(other.drain(queue), [b"3"])


def test_settling_checks_are_immediate(broker):
    ch, _, queue = transactional(broker, 2)
    ch.get(queue, no_ack=False)
    ch.fails("basic.ack", 406, "PRECONDITION_FAILED - unknown delivery tag 7", delivery_tag=7)
    ch, _, queue = transactional(broker, 2)
    ch.get(queue, no_ack=False)
    ch.ack(1)
    ch.fails("basic.ack", 406, "PRECONDITION_FAILED - unknown delivery tag 1", delivery_tag=1)


def test_rollback_makes_tags_outstanding_again(broker):
    ch, other, queue = transactional(broker, 3)
    for _ in range(3):
        ch.get(queue, no_ack=False)
    ch.ack(2, multiple=True), ch.nack(3)
    ch.call("tx.rollback")
    other.expect_count(queue, 0)
    eq(ch.get(queue), None, "nothing is redelivered")
    ch.ack(1), ch.nack(2), ch.ack(3)
    ch.call("tx.commit")
    eq([wait_until(lambda: other.get(queue), 5).body], [b"1"])
    eq(other.get(queue), None)


def test_close_without_commit_drops_and_requeues(broker):
    ch, other, queue = transactional(broker, 3)
    for _ in range(3):
        ch.get(queue, no_ack=False)
    ch.ack(1), ch.ack(2)
    ch.publish("", queue, b"dropped")
    ch.close()
    eq(other.drain(queue), [b"0", b"1", b"2"])


def test_other_methods_are_not_transactional(broker):
    ch, other, queue = transactional(broker, 1)
    ch.declare(broker.name("immediate"), exclusive=True)
    ch.bind(queue, "amq.direct", broker.unique)
    eq(ch.get(queue).body, b"0")
    ch.qos(1)
    ch.consume(queue, no_ack=True)
    ch.call("tx.rollback")
    other.publish("amq.direct", broker.unique, b"bound")
    eq(ch.delivery().body, b"bound")


def test_prefetch_slots_are_freed_at_commit(broker):
    ch, other, queue = transactional(broker, 3)
    ch.qos(1)
    ch.consume(queue)
    ch.ack(ch.delivery().delivery_tag)
    ch.no_delivery(queue)
    ch.call("tx.commit")
    eq(ch.delivery().body, b"1")


def test_recover_acts_at_once_on_what_is_not_acked(broker):
    ch, other, queue = transactional(broker, 2)
    for _ in range(2):
        ch.get(queue, no_ack=False)
    ch.ack(1)
    ch.call("basic.recover", requeue=True)
    eq(wait_until(lambda: other.get(queue), 5).body, b"1")
    ch.call("tx.commit")
    eq(other.get(queue), None)


def test_reject_publish_at_commit_is_a_partial_completion(broker):
    ch, other, queue = transactional(broker, 1)
    full, roomy = broker.name("full"), broker.name("roomy")
    other.declare(full, {"x-max-length": 0, "x-overflow": "reject-publish"}, exclusive=True)
    other.declare(roomy, exclusive=True)
    ch.get(queue, no_ack=False)
    ch.publish("", roomy, b"taken"), ch.publish("", full, b"refused")
    ch.ack(1)
    ch.fails("tx.commit", 406, "PRECONDITION_FAILED - partial tx completion", 90, 20)
    eq(other.drain(roomy), [b"taken"])
    eq(other.get(queue), None, "the settlement is done")


def test_settlement_and_publish_in_one_transaction(broker):
    ch, other, queue = transactional(broker, 1)
    answer = broker.name("answer")
    other.declare(answer, exclusive=True)
    ch.get(queue, no_ack=False)
    ch.publish("", answer, b"answer", {"delivery_mode": 2})
    ch.ack(1)
    ch.call("tx.commit")
    ch.close()
    eq((other.drain(answer), other.drain(queue)), ([b"answer"], []))


@differs("3.10 answers 504 if the commit has not completed yet")
def test_methods_behind_a_pending_commit_are_queued(broker):
    ch, other, _ = transactional(broker)
    queue = broker.name("durable")
    other.declare(queue, durable=True)
    octets = b""
    for _ in range(20):
        octets += publish_frames(1, "", queue, b"x", {"delivery_mode": 2}) + method_frame(1, "tx.commit")
    octets += method_frame(1, "basic.qos", prefetch_count=1)
    ch.raw(octets)
    eq([ch.next().name for _ in range(21)], ["tx.commit-ok"] * 20 + ["basic.qos-ok"])
    other.expect_count(queue, 20)


def test_many_messages_in_one_transaction(broker):
    ch, other, queue = transactional(broker)
    for i in range(5000):
        ch.publish("", queue, str(i))
    ch.call("tx.commit")
    other.expect_count(queue, 5000)
