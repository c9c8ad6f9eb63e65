# SPDX-License-Identifier: Apache-2.0
"""publish-consume-ack, 8 and 10: order guarantees, and a slow reader between queue and socket."""

from harness import eq, ok, wait_until


def test_publish_order_is_delivery_order(broker):
    sender, reader = broker.channel(), broker.channel()
    queue = broker.name()
    sender.declare(queue)
    sender.bind(queue, "amq.topic", broker.unique + ".#")
    reader.consume(queue, no_ack=True)
    for i in range(2000):
        sender.publish("amq.topic", "%s.%d" % (broker.unique, i % 7), str(i),
                       {"headers": {"CC": [queue]}} if i % 5 == 0 else {})
    eq([int(m.body) for m in reader.deliveries(2000)], list(range(2000)))


def test_each_of_several_consumers_sees_an_ordered_part(broker):
    c = broker.connect()
    sender = broker.channel()
    queue = broker.name()
    sender.declare(queue)
    chs = [c.channel() for _ in range(5)]
    for ch in chs:
        ch.qos(3)
        ch.consume(queue)
    for i in range(500):
        sender.publish("", queue, str(i))
    parts, total = [[] for _ in chs], 0
    while total < 500:
        c.pump()
        for part, ch in zip(parts, chs):
            while ch.queued("basic.deliver"):
                got = ch.delivery()
                part.append(int(got.body))
                ch.ack(got.delivery_tag)
                total += 1
    for part in parts:
        eq(part, sorted(part))
    eq(sorted(sum(parts, [])), list(range(500)))


def test_requeued_messages_come_back_in_place(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.qos(5)
    ch.consume(queue, "t")
    for i in range(20):
        ch.publish("", queue, str(i))
    first = ch.deliveries(5)
    ch.cancel("t")
    ch.nack(first[-1].delivery_tag, multiple=True)
    eq([int(b) for b in ch.drain(queue)], list(range(20)))


def test_confirmed_publish_is_visible_to_another_connection(broker):
    ch, other = broker.channel(), broker.channel()
    queue = broker.name()
    ch.declare(queue)
    ch.confirm()
    for i in range(100):
        ch.publish_confirmed("", queue, str(i))
        eq(other.get(queue).body, str(i).encode())


def test_other_consumers_go_on_beside_one_that_does_not_read(broker):
    """The stuck one gets what its socket takes; the others get the rest."""
    stuck, sender, reader = broker.connect(rcvbuf=4096), broker.channel(), broker.channel()
    queue = broker.name()
    sender.declare(queue)
    stuck.channel().consume(queue, no_ack=True)
    reader.consume(queue, no_ack=True)
    body, total = b"x" * 20000, 3000
    for _ in range(total):
        sender.publish("", queue, body)
        reader.connection.poll()
    sender.sync()
    wait_until(lambda: reader.connection.poll() or sender.count(queue)[0] == 0, 20, "queue drained by the reader")
    reader.settled(queue)
    got = reader.queued("basic.deliver")
    ok(got > total * 0.5, "the reading consumer got %d of %d" % (got, total))


def test_stuck_consumers_unacked_messages_come_back(broker):
    stuck, ch = broker.connect(rcvbuf=4096), broker.channel()
    queue = broker.name()
    ch.declare(queue)
    stuck.channel().consume(queue)
    for i in range(500):
        ch.publish("", queue, b"%03d" % i + b"x" * 20000)
    ch.sync()
    stuck.abort()
    wait_until(lambda: ch.count(queue) == (500, 0), 15, "all requeued")
    eq([int(b[:3]) for b in ch.drain(queue)], list(range(500)))


def test_publisher_and_consumer_of_one_connection_do_not_deadlock(broker):
    """A client that only writes for a while: deliveries never stop the server's reading."""
    c = broker.connect()
    ch = c.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.consume(queue, no_ack=True)
    c.wire.sock.settimeout(30)
    for _ in range(300):
        ch.publish("", queue, b"x" * 50000)
    eq(len(ch.deliveries(300, timeout=30)), 300)
