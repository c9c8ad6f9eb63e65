# SPDX-License-Identifier: Apache-2.0
"""publish-consume-ack, 2 and 3: confirm and transactional channels, when and how messages are confirmed."""

from amqp_raw import publish_frames
from harness import differs, eq, ok


class Ledger:
    """Follows acks and nacks of one channel; each number must be settled exactly once."""

    def __init__(self, ch):
        self.ch, self.acked, self.nacked, self.settled_up_to = ch, set(), set(), 0
        self.published = 0

    def publish(self, *args, **kw):
        self.ch.publish(*args, **kw)
        self.published += 1

    def collect(self):
        while len(self.acked) + len(self.nacked) < self.published:
            got = self.ch.take_any("basic.ack", "basic.nack")
            ok(got.delivery_tag > 0, "tag 0 in a confirm")
            side = self.acked if got.name == "basic.ack" else self.nacked
            open_tags = set(range(1, got.delivery_tag + 1)) - self.acked - self.nacked
            tags = open_tags if got.multiple else {got.delivery_tag}
            ok(tags and got.delivery_tag in open_tags, "%r settles nothing new" % got)
            side |= tags
        ok(max(self.acked | self.nacked) == self.published, "confirmed more than published")


def confirming(broker, **kw):
    ch = broker.channel(**kw)
    ch.confirm()
    return ch


# --- 2 modes

def test_confirm_select_twice_goes_on_numbering(broker):
    ch = confirming(broker)
    eq(ch.publish_confirmed("", "nowhere").delivery_tag, 1)
    ch.confirm()
    eq(ch.publish_confirmed("", "nowhere").delivery_tag, 2)


def test_tx_select_twice_has_no_effect(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.call("tx.select")
    ch.publish("", queue, b"held")
    ch.call("tx.select")
    ch.expect_count(queue, 0)
    ch.call("tx.commit")
    ch.expect_count(queue, 1)


def test_modes_exclude_each_other(broker):
    ch = broker.channel()
    ch.call("tx.select")
    ch.fails("confirm.select", 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode")
    ch = confirming(broker)
    ch.fails("tx.select", 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode")


def test_commit_and_rollback_need_a_transactional_channel(broker):
    for method in ("tx.commit", "tx.rollback"):
        broker.channel().fails(method, 406, "PRECONDITION_FAILED - channel is not transactional")
        confirming(broker).fails(method, 406, "PRECONDITION_FAILED - channel is not transactional")


def test_confirm_select_nowait(broker):
    ch = broker.channel()
    ch.send("confirm.select", nowait=True)
    eq(ch.publish_confirmed("", "nowhere").delivery_tag, 1)
    eq(list(ch.inbox), [])


# --- 3.1 numbering

def test_numbering_starts_after_confirm_select_on_each_channel(broker):
    ch = broker.channel()
    for _ in range(3):
        ch.publish("", "nowhere", b"")
    ch.confirm()
    eq(ch.publish_confirmed("", "nowhere").delivery_tag, 1)
    other = ch.connection.channel()
    other.confirm()
    eq(other.publish_confirmed("", "nowhere").delivery_tag, 1)


def test_numbers_are_apart_from_delivery_tags(broker):
    ch = confirming(broker)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for n in range(1, 4):
        eq(ch.publish_confirmed("", queue).delivery_tag, n)
    eq(ch.get(queue).delivery_tag, 1)
    eq(ch.publish_confirmed("", queue).delivery_tag, 4)
    eq(ch.get(queue).delivery_tag, 2)


# --- 3.2 when

def test_unroutable_is_confirmed_after_its_return(broker):
    ch = confirming(broker)
    ch.publish("", "nowhere", b"1")
    eq(ch.next("basic.ack").delivery_tag, 1)
    ch.publish("", "nowhere", b"2", mandatory=True)
    eq([ch.next().name, ch.next().name], ["basic.return", "basic.ack"])
    # Read at once, so that the acks could share a frame: what came before is settled before the return.
    ch.raw(publish_frames(ch.number, "", "nowhere", b"3") + publish_frames(ch.number, "", "nowhere", b"4", mandatory=True))
    eq([(m.name, getattr(m, "delivery_tag", None), getattr(m, "multiple", None)) for m in (ch.next() for _ in range(3))],
       [("basic.ack", 3, False), ("basic.return", None, None), ("basic.ack", 4, False)])


def test_all_kinds_of_messages_and_queues_are_confirmed(broker):
    ch = confirming(broker)
    durable, transient, quorum = broker.name("d"), broker.name("t"), broker.name("quorum")
    ch.declare(durable, durable=True), ch.declare(transient)
    ch.declare(quorum, {"x-queue-type": "quorum"}, durable=True)
    ledger = Ledger(ch)
    for queue in (durable, transient, quorum, "nowhere"):
        for props in ({}, {"delivery_mode": 1}, {"delivery_mode": 2}):
            ledger.publish("", queue, b"x", props)
            ledger.publish("", queue, b"", props)
    for _ in range(20):
        ledger.publish("", "nowhere", b"all", {"headers": {"CC": [durable, transient, quorum]}, "delivery_mode": 2})
    ledger.collect()
    eq(len(ledger.acked), 44)
    eq([len(ch.drain(q)) for q in (durable, transient, quorum)], [26, 26, 26])


def test_delivered_and_acknowledged_messages_are_confirmed(broker):
    ch = confirming(broker)
    queue = broker.name()
    ch.declare(queue, durable=True)
    for no_ack in (True, False):
        tag = ch.consume(queue, no_ack=no_ack)
        ledger = Ledger(ch)
        ledger.acked, ledger.published = set(), 0
        base = 0 if no_ack else 50
        ledger.acked |= set(range(1, base + 1))
        ledger.published = base
        for _ in range(50):
            ledger.publish("", queue, b"x", {"delivery_mode": 2})
        for _ in range(50):
            got = ch.delivery()
            if not no_ack:
                ch.ack(got.delivery_tag)
        ledger.collect()
        ch.cancel(tag)


def test_dropped_and_expired_messages_are_confirmed(broker):
    ch = confirming(broker)
    short, none, ttl0 = broker.name("short"), broker.name("none"), broker.name("ttl0")
    ch.declare(short, {"x-max-length": 1}, exclusive=True)
    ch.declare(none, {"x-max-length": 0}, exclusive=True)
    ch.declare(ttl0, {"x-message-ttl": 0}, exclusive=True)
    ledger = Ledger(ch)
    for queue in (short, none, ttl0):
        for _ in range(5):
            ledger.publish("", queue, b"x", {"delivery_mode": 2})
            ledger.publish("", queue, b"x", {"expiration": "0"})
    ledger.collect()
    eq(len(ledger.acked), 30)


def test_messages_of_a_queue_deleted_meanwhile_are_confirmed(broker):
    ch = confirming(broker)
    queue = broker.name()
    other = ch.connection.channel()
    ch.declare(queue, durable=True)
    ledger = Ledger(ch)
    for _ in range(300):
        ledger.publish("", queue, b"x" * 100, {"delivery_mode": 2})
    other.call("queue.delete", queue=queue)
    ledger.collect()
    eq(len(ledger.acked), 300)


def test_full_reject_publish_queue_nacks(broker):
    for overflow in ("reject-publish", "reject-publish-dlx"):
        ch = confirming(broker)
        queue = broker.name()
        ch.declare(queue, {"x-max-length": 2, "x-overflow": overflow}, exclusive=True)
        kinds = [ch.publish_confirmed("", queue, b"x").name for _ in range(2)]
        got = ch.publish_confirmed("", queue, b"x")
        eq((kinds, got.name, got.delivery_tag), (["basic.ack"] * 2, "basic.nack", 3), overflow)
        ch.get(queue)
        eq(ch.publish_confirmed("", queue, b"x").name, "basic.ack")


def test_one_full_queue_nacks_although_others_keep_the_message(broker):
    ch = confirming(broker)
    full, roomy = broker.name("full"), broker.name("roomy")
    ch.declare(full, {"x-max-length": 1, "x-overflow": "reject-publish"}, exclusive=True)
    ch.declare(roomy, exclusive=True)
    ch.publish_confirmed("", full, b"fills")
    eq(ch.publish_confirmed("", full, b"both", {"headers": {"CC": [roomy]}}).name, "basic.nack")
    eq((ch.drain(full), ch.drain(roomy)), ([b"fills"], [b"both"]))


def test_rejected_mandatory_message_is_not_returned(broker):
    ch = confirming(broker)
    full = broker.name()
    ch.declare(full, {"x-max-length": 0, "x-overflow": "reject-publish"}, exclusive=True)
    eq(ch.publish_confirmed("", full, b"x", mandatory=True).name, "basic.nack")
    eq(ch.queued("basic.return"), 0)


def test_publish_that_kills_the_channel_gets_neither(broker):
    ch = confirming(broker)
    ch.publish_confirmed("", "nowhere")
    ch.publish("nox", "", b"")
    ch.expect_close(404)
    eq(list(ch.inbox), [])


# --- 3.3 batching

def test_thousands_of_confirms_settle_each_number_once(broker):
    ch = confirming(broker)
    durable, full = broker.name("durable"), broker.name("full")
    ch.declare(durable, durable=True)
    ch.declare(full, {"x-max-length": 100, "x-overflow": "reject-publish"}, exclusive=True)
    ledger = Ledger(ch)
    for i in range(3000):
        queue = (durable, full, "nowhere")[i % 3]
        ledger.publish("", queue, b"x", {"delivery_mode": 2 if i % 2 else 1})
        if i % 500 == 0:
            ch.connection.poll()
    ledger.collect()
    eq(len(ledger.nacked), 900)


@differs("how many are gathered is the server's choice")
def test_confirms_of_a_burst_share_frames(broker):
    """Of what is read at once, what is settled goes out as multiple acks: a frame for each would be waste."""
    ch = confirming(broker)
    queue, count, frames, settled = broker.name(), 5000, 0, 0
    ch.declare(queue, exclusive=True)
    ch.raw(publish_frames(ch.number, "", queue, b"x") * count)
    while settled < count:
        ack = ch.take("basic.ack")
        ok(ack.delivery_tag > settled, "tag %d after %d" % (ack.delivery_tag, settled))
        ok(ack.multiple or ack.delivery_tag == settled + 1, "%d is no multiple and skips" % ack.delivery_tag)
        settled, frames = ack.delivery_tag, frames + 1
    eq(settled, count)
    ok(frames <= count // 10, "%d acks for %d publishes" % (frames, count))


def test_confirms_arrive_without_further_publishes(broker):
    ch = confirming(broker)
    queue = broker.name()
    ch.declare(queue, durable=True)
    for n in (1, 7, 100):
        ledger = Ledger(ch.connection.channel())
        ledger.ch.confirm()
        for _ in range(n):
            ledger.publish("", queue, b"x", {"delivery_mode": 2})
        ledger.collect()
