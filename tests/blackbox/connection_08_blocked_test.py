# SPDX-License-Identifier: Apache-2.0
"""connection-and-channel, 8: what the memory alarm does to publishers, and to nobody else.

Each test has a broker of its own with a small memory limit, fills it, sees the publisher blocked, drains, and
sees it go on.
"""

import fcntl
import socket
import struct
import termios
import time

import amqp_raw
from amqp_raw import CAPABILITIES
from harness import between, eq, ok, settings, slow, wait_until

LIMIT = "64MB"
BODY = b"m" * 200000
MOST = 800          # messages: far over the limit, so a broker that never blocks fails the test

# With a data directory messages would be written out before the alarm.
limited = settings(vm_memory_high_watermark__absolute=LIMIT, memory_window="1GiB")


def unsent(connection):
    """Octets in the socket's send queue."""
    return struct.unpack("i", fcntl.ioctl(connection.wire.sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def fill(broker, queue, **kw):
    """Publish until connection.blocked comes; returns the blocked connection. A message is sent only when the one
    before has left the socket, which has room for a whole one: so sending never waits for a peer that does
    not read, and none is sent by halves."""
    c = broker.connect(**kw)
    c.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(BODY))
    ch = c.channel()
    ch.declare(queue)
    for _ in range(MOST):
        ch.publish("", queue, BODY)
        wait_until(lambda: c.poll() or c.has("connection.blocked") or unsent(c) == 0, what="message taken",
                   pause=0.0001)
        if c.has("connection.blocked"):
            return c, ch
    wait_until(lambda: c.poll() or c.has("connection.blocked"), what="connection.blocked")
    return c, ch


@limited
def test_publisher_is_blocked_and_unblocked(broker):
    queue = broker.name()
    c, ch = fill(broker, queue)
    eq(c.wait_control("connection.blocked").reason, "low on memory")
    before = broker.channel().count(queue)[0]
    ok(before > 0, "nothing stored")
    ch.publish("", queue, b"pent up")
    ch.send("channel.flow", active=True)
    broker.is_up()
    c.poll()
    eq((c.control, list(ch.inbox)), (amqp_raw.collections.deque(), []), "blocked once, and not read")
    reader = broker.channel()
    reader.call("queue.purge", queue=queue)
    eq(c.wait_control("connection.unblocked").name, "connection.unblocked")
    ch.take("channel.flow-ok")
    ok(ch.count(queue)[0] >= 1, "pent-up message lost")
    eq(broker.channel().drain(queue)[-1], b"pent up")


@limited
def test_the_alarm_ends_well_below_the_limit(broker):
    """The band keeps it from going on and off with every message: a tenth of the limit has to be freed."""
    queue = broker.name()
    c, _ = fill(broker, queue)
    c.wait_control("connection.blocked")
    reader = broker.channel()
    freed = sum(len(reader.get(queue).body) for _ in range(3))
    c.wire.silent_for(0.5)
    while not c.has("connection.unblocked"):
        got = reader.get(queue)
        freed += len(got.body) if got else 0
        c.poll()
    ok(freed > 0.02 * 64e6, "unblocked when %d octets were freed" % freed)


@limited
def test_consumers_and_new_connections_work_under_the_alarm(broker):
    queue = broker.name()
    c, _ = fill(broker, queue)
    total = broker.channel().count(queue)[0]
    reader = broker.channel()
    reader.qos(10)
    reader.consume(queue)
    for _ in range(total):
        reader.ack(reader.delivery().delivery_tag)
    eq(c.wait_control("connection.blocked").reason, "low on memory")
    c.wait_control("connection.unblocked")


@limited
def test_other_publishers_are_blocked_by_their_first_content(broker):
    queue = broker.name()
    fill(broker, queue)
    second = broker.channel()
    broker.is_up()
    second.connection.poll()
    eq(second.connection.has("connection.blocked"), False, "blocked before it published")
    mine = broker.name()
    second.declare(mine)
    second.publish("", mine, b"first")
    second.connection.wait_control("connection.blocked")
    eq(broker.channel().count(mine)[0], 0, "its body is behind the frame that blocks")
    broker.channel().call("queue.purge", queue=queue)
    second.connection.wait_control("connection.unblocked")
    wait_until(lambda: broker.channel().count(mine)[0] == 1, what="the message")


@limited
def test_client_without_the_capability_is_blocked_silently(broker):
    queue = broker.name()
    fill(broker, queue)
    old = broker.channel(capabilities={k: v for k, v in CAPABILITIES.items() if k != "connection.blocked"})
    old.publish("", queue, b"quiet")

    def unanswered():
        old.send("channel.flow", active=True)
        try:
            old.take("channel.flow-ok", timeout=0.3)
        except amqp_raw.Timeout:
            return True
    wait_until(unanswered, 5, "not read any more")
    broker.channel().call("queue.purge", queue=queue)
    old.take("channel.flow-ok")
    eq(len(old.connection.control), 0, "methods on channel 0")


@limited
def test_close_of_a_blocked_connection_waits_for_the_end_of_the_alarm(broker):
    queue = broker.name()
    c, _ = fill(broker, queue)
    c.wait_control("connection.blocked")
    c.send(0, "connection.close")
    broker.is_up()
    c.poll()
    eq(len(c.control), 0, "close-ok while blocked")
    broker.channel().call("queue.purge", queue=queue)
    c.wait_control("connection.unblocked")
    c.wait_control("connection.close-ok")


@slow
@limited
def test_heartbeats_are_sent_and_not_expected_while_blocked(broker):
    queue = broker.name()
    c, _ = fill(broker, queue, heartbeat=1)
    began = time.monotonic()
    wait_until(lambda: c.poll() or time.monotonic() - began > 4.5, 8, what="4.5 s under the alarm")
    between(len([t for t in c.heartbeats if t > began]), 3, 12, "heartbeats in 4.5 s")
    c.wait_control("connection.blocked")
    broker.channel().call("queue.purge", queue=queue)
    c.wait_control("connection.unblocked")


@limited
def test_blocked_connection_still_receives_deliveries(broker):
    queue, other = broker.name(), broker.name("other")
    reader = broker.channel()
    reader.declare(other)
    c = broker.connect()
    ch = c.channel()
    ch.consume(other)
    filler, _ = fill(broker, queue)
    ch.publish("", queue, b"blocks me")
    c.wait_control("connection.blocked")
    reader.count(other)
    broker.channel().call("queue.purge", queue=queue)
    filler.wait_control("connection.blocked")
    filler.wait_control("connection.unblocked")
    c.wait_control("connection.unblocked")


@limited
def test_lost_blocked_connection_frees_what_it_held(broker):
    queue = broker.name()
    c, _ = fill(broker, queue)
    c.abort()
    reader = broker.channel()
    reader.call("queue.delete", queue=queue)
    again, ch = fill(broker, queue)
    ok(ch.connection is again, "")
    reader.call("queue.purge", queue=queue)
    again.wait_control("connection.blocked")
    again.wait_control("connection.unblocked")


@limited
def test_shutdown_under_the_alarm(broker):
    """A blocked publisher that has gone, and one that is still there, hold nothing up."""
    queue = broker.name()
    gone, _ = fill(broker, queue)
    gone.wire.close()
    other = broker.channel()
    other.publish("", queue, b"x")
    other.connection.wait_control("connection.blocked")
    eq(broker.server.stop(), 0, "exit status")


test_shutdown_under_the_alarm.ends_broker = True
