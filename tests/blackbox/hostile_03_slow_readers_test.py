# SPDX-License-Identifier: Apache-2.0
"""Peers that never read: whatever is due to them, the broker's memory stays bounded, and they can go on later.

Resident memory is read from /proc, so these tests are for a coneyd of their own.
"""

import select
import time

from amqp_raw import method_frame, publish_frames
from harness import eq, ok, settings, slow, wait_until

MIB = 1 << 20
own = settings(log__console__level="error")


def settle_down(broker, what):
    """Wait until the broker's cpu time stands still: it has done all it can do."""
    pid = broker.server.process.pid

    def ticks():
        with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    state = {"ticks": -1, "since": time.monotonic()}

    def quiet():
        now = ticks()
        if now > state["ticks"] + 1:
            state.update(ticks=now, since=time.monotonic())
        return time.monotonic() - state["since"] > 0.5
    wait_until(quiet, 40, what + ": broker at rest", pause=0.05)


def push(connection, octets, limit):
    """Write as much as the peer takes, up to LIMIT octets; stops when it has taken nothing for a second."""
    sock, sent, view = connection.wire.sock, 0, memoryview(octets)
    writable = select.poll()
    writable.register(sock, select.POLLOUT)
    sock.setblocking(False)
    while sent < limit:
        if not writable.poll(1000):
            break
        at = sent % len(octets)
        try:
            sent += sock.send(view[at:])
        except BlockingIOError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            break
    sock.setblocking(True)
    sock.settimeout(connection.timeout)
    return sent


@slow
@own
def test_consumer_that_never_reads_a_million_messages(broker):
    sender = broker.channel()
    queue = broker.name()
    sender.declare(queue)
    one = publish_frames(1, "", queue, b"0123456789abcdef")
    sender.connection.wire.sock.settimeout(60)
    for _ in range(100):
        sender.raw(one * 10000)
    wait_until(lambda: sender.count(queue)[0] == 1000000, 60, "a million messages")
    before = broker.rss()
    stuck = []
    for no_ack in (True, False):
        ch = broker.connect(rcvbuf=4096).channel()
        ch.send("basic.consume", queue=queue, no_ack=no_ack)
        stuck.append(ch)
    settle_down(broker, "consumers attached")
    broker.grew_less(before, 24, "two consumers that never read")
    ok(sender.count(queue)[0] > 900000, "the queue was emptied into the void")
    ch = stuck[1]
    ch.take("basic.consume-ok")
    got = ch.deliveries(2000, timeout=20)
    eq([m.delivery_tag for m in got], list(range(1, 2001)), "goes on when it reads")
    ch.ack(2000, multiple=True)
    for ch in stuck:
        ch.connection.abort()
    wait_until(lambda: sender.count(queue)[1] == 0, 15, "consumers gone")
    sender.call("queue.purge", queue=queue, timeout=30)


@slow
@own
def test_big_bodies_for_a_consumer_that_never_reads(broker):
    sender = broker.channel()
    queue = broker.name()
    sender.declare(queue)
    body = b"x" * 100000
    for _ in range(500):
        sender.publish("", queue, body)
    sender.sync()
    before = broker.rss()
    ch = broker.connect(rcvbuf=4096).channel()
    ch.send("basic.consume", queue=queue, no_ack=True)
    settle_down(broker, "consumer attached")
    broker.grew_less(before, 16)


@slow
@own
def test_replies_that_nobody_reads(broker):
    """Reading stops when too many replies wait; all come once the peer reads."""
    c = broker.connect(rcvbuf=4096)
    ch = c.channel()
    before = broker.rss()
    one = method_frame(1, "channel.flow", active=True)
    sent = push(c, one * 1000, 400 * MIB)
    settle_down(broker, "replies pending")
    broker.grew_less(before, 24)
    ok(sent < 400 * MIB, "all requests were taken although no reply was read")
    whole = sent // len(one)
    for _ in range(min(whole, 20000)):
        ch.take("channel.flow-ok")
    broker.is_up()


@slow
@own
def test_returns_that_nobody_reads(broker):
    c = broker.connect(rcvbuf=4096)
    ch = c.channel()
    before = broker.rss()
    one = publish_frames(1, "", "nowhere", b"r" * 50000, mandatory=True)
    sent = push(c, one, 400 * MIB)
    settle_down(broker, "returns pending")
    broker.grew_less(before, 48)
    ok(sent < 400 * MIB, "all publishes were taken although no return was read")
    for _ in range(min(sent // len(one), 20)):
        ch.take("basic.return")


@slow
@own
def test_confirms_that_nobody_reads(broker):
    c = broker.connect(rcvbuf=4096)
    ch = c.channel()
    ch.confirm()
    before = broker.rss()
    push(c, publish_frames(1, "", "nowhere", b"") * 1000, 100 * MIB)
    settle_down(broker, "confirms pending")
    broker.grew_less(before, 48)
    broker.is_up()


@slow
@own
def test_direct_replies_that_nobody_reads_are_dropped(broker):
    requester = broker.connect(rcvbuf=4096)
    ch = requester.channel()
    ch.consume("amq.rabbitmq.reply-to", no_ack=True)
    ch.publish("", "nowhere", b"", {"reply_to": "amq.rabbitmq.reply-to"}, mandatory=True)
    name = ch.take("basic.return").props["reply_to"]
    responder = broker.channel()
    before = broker.rss()
    for _ in range(2000):
        responder.publish("", name, b"x" * 50000)
    responder.sync()
    settle_down(broker, "replies pending")
    broker.grew_less(before, 48)
    eq(ch.delivery().body, b"x" * 50000)


@slow
@own
def test_many_readers_that_never_read(broker):
    """Two hundred stuck consumers of one fanout: the bound is per connection and small."""
    sender = broker.channel()
    exchange = broker.name()
    sender.exchange(exchange, "fanout", auto_delete=True)
    stuck = []
    for _ in range(200):
        ch = broker.connect(rcvbuf=4096).channel()
        queue = ch.declare(exclusive=True, args={"x-max-length": 10}).queue
        ch.bind(queue, exchange)
        ch.consume(queue, no_ack=True)
        stuck.append(ch)
    before = broker.rss()
    for _ in range(1000):
        sender.publish(exchange, "", b"f" * 2000)
    sender.sync()
    settle_down(broker, "fanout")
    broker.grew_less(before, 200)
    for ch in stuck:
        ch.connection.abort()
    broker.is_up()


@own
def test_reader_that_stops_in_the_middle_of_a_big_body(broker):
    sender = broker.channel()
    queue = broker.name()
    sender.declare(queue)
    sender.publish("", queue, b"b" * 20000000)
    sender.sync()
    for _ in range(5):
        ch = broker.connect(rcvbuf=4096).channel()
        ch.send("basic.get", queue=queue)
        ch.connection.wire.need(100000, time.monotonic() + 10)
        ch.connection.abort()
        wait_until(lambda: sender.count(queue)[0] == 1, 10, "requeued")
    eq(len(sender.get(queue).body), 20000000)
