# SPDX-License-Identifier: Apache-2.0
"""queue-features, 3: messages and queues that expire."""

import time

from amqp_raw import ChannelClosed
from harness import between, differs, eq, wait_until


def mortal(broker, args=None, ch=None, **flags):
    """A queue whose dead go to a second one; returns channel, queue, second."""
    ch = ch or broker.channel()
    queue, dead = broker.name("q"), broker.name("dead")
    ch.declare(dead)
    ch.declare(queue, dict({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}, **(args or {})), **flags)
    return ch, queue, dead


def died(ch, dead, timeout=8):
    """Wait for the next dead letter."""
    return wait_until(lambda: ch.get(dead), timeout, "dead letter")


# --- 3.1 messages

def test_the_smaller_of_queue_ttl_and_expiration_counts(broker):
    for queue_ttl, expiration in ((60000, "60"), (60, "60000"), (60, None), (None, "60")):
        ch, queue, dead = mortal(broker, {"x-message-ttl": queue_ttl} if queue_ttl else None)
        began = time.monotonic()
        ch.publish("", queue, b"x", {"expiration": expiration} if expiration else {})
        died(ch, dead)
        between(time.monotonic() - began, 0.055, 5, "seconds alive")
        ch.connection.close()


def test_expiry_is_close_to_the_deadline_with_nobody_looking(broker):
    ch, queue, dead = mortal(broker, {"x-message-ttl": 300})
    ch.consume(dead, no_ack=True)
    began = time.monotonic()
    ch.publish("", queue, b"x")
    ch.delivery()
    between(time.monotonic() - began, 0.295, 1.5, "seconds alive")


def test_expired_messages_are_never_delivered(broker):
    ch, queue, dead = mortal(broker, {"x-message-ttl": 50})
    for i in range(50):
        ch.publish("", queue, str(i))
    eq(died(ch, dead).body, b"0")
    wait_until(lambda: ch.count(dead)[0] == 49, 8, "all dead")
    eq(ch.get(queue), None)
    eq([int(b) for b in ch.drain(dead)], list(range(1, 50)))


def test_unacked_messages_never_expire_and_requeue_kills_them(broker):
    ch, queue, dead = mortal(broker, {"x-message-ttl": 50})
    ch.publish("", queue, b"held")
    got = wait_until(lambda: ch.get(queue, no_ack=False), 5)
    ch.publish("", queue, b"witness")
    eq(died(ch, dead).body, b"witness")
    ch.nack(got.delivery_tag, requeue=True)
    eq(died(ch, dead).body, b"held")


def test_requeue_keeps_the_deadline(broker):
    ch, queue, dead = mortal(broker, {"x-message-ttl": 400})
    began = time.monotonic()
    ch.publish("", queue, b"x")
    for _ in range(3):
        ch.nack(wait_until(lambda: ch.get(queue, no_ack=False), 5).delivery_tag)
    died(ch, dead)
    between(time.monotonic() - began, 0.39, 2, "seconds alive")


def test_ttl_zero_without_a_consumer_expires_at_once(broker):
    for args, props in (({"x-message-ttl": 0}, {}), ({}, {"expiration": "0"})):
        ch, queue, dead = mortal(broker, args)
        ch.publish("", queue, b"x", props)
        eq(died(ch, dead).body, b"x")
        ch.expect_count(queue, 0)
        ch.connection.close()


def test_ttl_zero_is_delivered_to_a_ready_consumer(broker):
    ch, queue, dead = mortal(broker, {"x-message-ttl": 0})
    ch.qos(1)
    ch.consume(queue)
    ch.publish("", queue, b"taken"), ch.publish("", queue, b"no room")
    got = ch.delivery()
    eq(got.body, b"taken")
    eq(died(ch, dead).body, b"no room")
    ch.nack(got.delivery_tag, requeue=True)
    eq(died(ch, dead).body, b"taken")


def test_expiration_stays_visible(broker):
    ch, queue, _ = mortal(broker)
    ch.publish("", queue, b"x", {"expiration": "60000"})
    eq(ch.get(queue).props["expiration"], "60000")


def test_without_dlx_the_expired_are_dropped(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-message-ttl": 20})
    for _ in range(10):
        ch.publish("", queue, b"x")
    wait_until(lambda: ch.count(queue)[0] == 0, 8, "dropped")


@differs("3.10 looks at the head only; here a message leaves when its time comes, wherever it stands")
def test_short_lived_message_behind_a_long_lived_one_leaves_in_time(broker):
    for kind in ("classic", "quorum"):
        ch, queue, dead = mortal(broker, {"x-queue-type": kind}, durable=kind == "quorum")
        ch.publish("", queue, b"long", {"expiration": "60000"})
        ch.publish("", queue, b"short", {"expiration": "50"})
        ch.publish("", queue, b"forever")
        eq(died(ch, dead, 3).body, b"short")
        ch.expect_count(queue, 2)
        eq(ch.drain(queue), [b"long", b"forever"])


@differs("3.10 looks at the head only")
def test_many_ttls_in_any_order(broker):
    ch, queue, dead = mortal(broker)
    ch.consume(dead, no_ack=True)
    order = [7, 3, 9, 1, 5, 8, 2, 6, 4, 10]
    for n in order:
        ch.publish("", queue, str(n), {"expiration": str(n * 60)})
    eq([int(m.body) for m in ch.deliveries(10)], sorted(order))


def test_head_expiry_unblocks_nothing_it_should_not(broker):
    """Mixed ttls with the shortest in front: only that one leaves."""
    ch, queue, dead = mortal(broker)
    ch.publish("", queue, b"short", {"expiration": "30"})
    ch.publish("", queue, b"long", {"expiration": "60000"})
    eq(died(ch, dead).body, b"short")
    eq(ch.drain(queue), [b"long"])


def test_huge_ttls_are_fine(broker):
    ch, queue, dead = mortal(broker, {"x-message-ttl": 315360000000})
    ch.publish("", queue, b"x", {"expiration": "315360000000"})
    ch.expect_count(queue, 1)


# --- 3.2 queues

def gone(connection, queue):
    try:
        connection.channel().count(queue)
        return False
    except ChannelClosed as closed:
        eq(closed.code, 404)
        return True


def expires_after(broker, ch, queue, expected, began, keep=None):
    """The queue is deleted about EXPECTED seconds after BEGAN. Looking renews the lease, so the end is seen
    through an alternate route: a mandatory publish is returned once the queue has gone."""
    def returned():
        if keep:
            keep()
        ch.publish("", queue, b"probe", mandatory=True)
        ch.sync()
        return ch.queued("basic.return")
    wait_until(returned, expected + 5, "queue expired", pause=0.02)
    between(time.monotonic() - began, expected * 0.95, expected + 2, "seconds until expiry")
    ch.inbox.clear()


def test_unused_queue_expires_with_its_messages(broker):
    ch, queue, dead = mortal(broker, {"x-expires": 300}, durable=True)
    expires_after(broker, ch, queue, 0.3, time.monotonic())
    eq(gone(broker.connect(), queue), True)
    ch.expect_count(dead, 0)


def test_publishing_is_no_use(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-expires": 400})
    expires_after(broker, ch, queue, 0.4, time.monotonic(), keep=lambda: ch.publish("", queue, b"x"))


def test_get_and_declares_renew_the_lease(broker):
    lease = 1500
    ch = broker.channel()
    got, passive, active = queues = [broker.name(renew) for renew in ("get", "passive", "active")]
    for queue in queues:
        ch.declare(queue, {"x-expires": lease})
    began = time.monotonic()

    def used():
        ch.get(got)
        ch.count(passive)
        ch.declare(active, {"x-expires": lease})
        return time.monotonic() - began > 2 * lease / 1000
    wait_until(used, 10, "two leases of use")
    ended = time.monotonic()
    for queue in queues:
        expires_after(broker, ch, queue, 0.8 * lease / 1000, ended)
    ch.connection.close()


test_get_and_declares_renew_the_lease.seconds = 6


def test_consumer_holds_the_queue_and_the_lease_starts_with_its_end(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-expires": 200})
    ch.consume(queue, "t", no_ack=True)
    began = time.monotonic()
    wait_until(lambda: ch.sync() or time.monotonic() - began > 0.8, 5)
    ch.publish("", queue, b"alive")
    eq(ch.delivery().body, b"alive")
    began = time.monotonic()
    ch.cancel("t")
    expires_after(broker, ch, queue, 0.2, began)


def test_no_cancel_notification_arises(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-expires": 50})
    ch.consume(queue, "t"), ch.cancel("t")
    expires_after(broker, ch, queue, 0.05, time.monotonic())
    eq(ch.queued("basic.cancel"), 0)


@differs("3.10's quorum queues do not renew on redeclare")
def test_quorum_queues_expire_by_the_same_rule(broker):
    ch = broker.channel()
    queue = broker.name()
    args = {"x-expires": 500, "x-queue-type": "quorum"}
    ch.declare(queue, args, durable=True)
    began = time.monotonic()
    wait_until(lambda: ch.declare(queue, args, durable=True) and time.monotonic() - began > 1.2, 5)
    expires_after(broker, ch, queue, 0.4, time.monotonic())
