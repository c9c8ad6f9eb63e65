# SPDX-License-Identifier: Apache-2.0
"""connection-and-channel, 7: the connection ends, by the client, the server, the network or an operator."""

import signal
import time

import amqp_raw
from amqp_raw import decode_method, method_frame, publish_frames
from harness import between, differs, eq, ok, settings, slow, wait_until


# --- 7.1 by the client

def test_close_is_answered_with_close_ok(broker):
    c = broker.connect()
    c.channel()
    c.send(0, "connection.close", reply_code=200, reply_text="bye")
    c.wait_control("connection.close-ok")


def test_reply_code_of_the_clients_close_is_ignored(broker):
    c = broker.connect()
    c.send(0, "connection.close", reply_code=541, reply_text="x" * 255, class_id=99, method_id=99)
    c.wait_control("connection.close-ok")


def test_publishes_before_close_are_stored(broker):
    c = broker.connect()
    queue, other = broker.name(), broker.channel()
    other.declare(queue, exclusive=True)
    c.channel()
    c.wire.send(b"".join(publish_frames(1, "", queue, str(i)) for i in range(200))
                + method_frame(0, "connection.close"))
    c.wait_control("connection.close-ok")
    eq(other.drain(queue), [str(i).encode() for i in range(200)])


def test_unacked_are_requeued_before_close_ok(broker):
    c = broker.connect()
    queue, other = broker.name(), broker.channel()
    other.declare(queue, exclusive=False)
    for i in range(3):
        other.publish("", queue, str(i))
    other.sync()
    ch = c.channel()
    ch.consume(queue)
    ch.deliveries(3)
    c.close()
    other.expect_count(queue, 3, 0)
    eq([m.redelivered for m in [other.get(queue) for _ in range(3)]], [True] * 3)


def test_exclusive_queues_are_gone_at_close_ok(broker):
    for _ in range(20):
        c = broker.connect()
        queue, other = broker.name(), broker.connect()
        c.channel().declare(queue, exclusive=True)
        c.close()
        other.channel().fails("queue.declare", 404, queue=queue, passive=True)
        other.channel().declare(queue, exclusive=True)
        other.close()


def test_auto_delete_queues_are_gone_at_close_ok(broker):
    c = broker.connect()
    queue, other = broker.name(), broker.channel()
    ch = c.channel()
    ch.declare(queue, auto_delete=True)
    ch.consume(queue)
    c.close()
    other.fails("queue.declare", 404, queue=queue, passive=True)


def test_replies_come_before_close_ok_and_nothing_is_done_after_close(broker):
    c = broker.connect()
    c.channel()
    before, after = broker.name("before"), broker.name("after")
    c.wire.send(method_frame(1, "queue.declare", queue=before) + method_frame(1, "queue.declare", queue=before)
                + method_frame(0, "connection.close") + method_frame(1, "queue.declare", queue=after))
    got = [c.wire.read_frame() for _ in range(3)]
    eq([decode_method(f.channel, f.payload).name for f in got],
       ["queue.declare-ok", "queue.declare-ok", "connection.close-ok"])
    other = broker.channel()
    other.count(before)
    other.fails("queue.declare", 404, queue=after, passive=True)


def test_server_waits_for_the_client_to_close_tcp(broker):
    c = broker.connect()
    c.send(0, "connection.close")
    c.wait_control("connection.close-ok")
    c.wire.silent_for(0.05)
    c.wire.half_close()
    c.wire.expect_drop(5)


@slow
def test_server_closes_tcp_when_the_client_does_not(broker):
    """After H seconds if 0 < H < 30."""
    c = broker.connect(heartbeat=1)
    c.send(0, "connection.close")
    began = time.monotonic()
    data = c.wire.read_to_end(8)
    between(time.monotonic() - began, 0.9, 4, "seconds until closed")
    ok(method_frame(0, "connection.close-ok") in data, "no close-ok in %r" % data)


# --- 7.2 by the server

def killed(broker, heartbeat=0):
    """A connection that has received the server's close (530), close-ok not sent."""
    c = broker.connect(heartbeat=heartbeat)
    ch = c.channel()
    ch.send("basic.qos", prefetch_size=1)
    return c, c.wait_close()


def test_exclusive_queues_are_gone_when_the_servers_close_arrives(broker):
    c = broker.connect()
    queue, other = broker.name(), broker.channel()
    ch = c.channel()
    ch.declare(queue, exclusive=True)
    ch.send("basic.qos", prefetch_size=1)
    c.wait_close()
    other.fails("queue.declare", 404, queue=queue, passive=True)


def test_frames_after_the_servers_close_are_ignored(broker):
    c, close = killed(broker)
    eq(close.reply_code, 540)
    queue = broker.name()
    c.wire.send(method_frame(1, "queue.declare", queue=queue) + method_frame(1, "basic.qos", prefetch_size=1)
                + method_frame(0, "connection.open", virtual_host="/") + amqp_raw.HEARTBEAT_FRAME
                + publish_frames(1, "", "nowhere") + method_frame(9, "channel.close"))
    c.send(0, "connection.close-ok")
    c.wire.expect_drop(5)
    broker.channel().fails("queue.declare", 404, queue=queue, passive=True)


def test_crossing_close_is_answered_and_close_ok_still_awaited(broker):
    c, _ = killed(broker)
    c.send(0, "connection.close")
    c.wait_control("connection.close-ok")
    c.wire.silent_for(0.05)
    c.send(0, "connection.close-ok")
    c.wire.expect_drop(5)


@slow
def test_without_close_ok_the_socket_is_closed_after_the_heartbeat(broker):
    c, _ = killed(broker, heartbeat=1)
    began = time.monotonic()
    data = c.wire.read_to_end(8)
    eq(data, amqp_raw.HEARTBEAT_FRAME * (len(data) // 8), "only heartbeats follow the close")
    between(time.monotonic() - began, 0, 4, "seconds until closed")


@differs("RabbitMQ closes abortively and the close may be lost to an RST")
def test_close_frame_survives_unread_input(broker):
    """A megabyte pipelined behind the error; the close must still be readable."""
    for _ in range(10):
        c = broker.connect()
        ch = c.channel()
        ch.raw(method_frame(1, "basic.qos", prefetch_size=1), publish_frames(1, "", "nowhere", b"x" * 1000000))
        eq(c.wait_close().reply_code, 540)
        c.send(0, "connection.close-ok")
        c.wire.read_to_end(5)


# --- 7.3 TCP loss

def test_tcp_loss_requeues_and_deletes_exclusive_queues(broker):
    for leave in ("close", "abort"):
        c = broker.connect()
        queue, exclusive, other = broker.name(), broker.name("excl"), broker.channel()
        other.declare(queue)
        other.publish("", queue, b"a")
        other.sync()
        ch = c.channel()
        ch.declare(exclusive, exclusive=True)
        ch.consume(queue)
        ch.delivery()
        getattr(c.wire, leave)()
        got = wait_until(lambda: other.get(queue), 5, "requeued after TCP loss")
        eq((got.body, got.redelivered), (b"a", True))

        def redeclared():
            try:
                other.connection.channel().declare(exclusive, exclusive=True)
                return True
            except amqp_raw.ChannelClosed as closed:
                eq(closed.code, 405)
        wait_until(redeclared, 5, "exclusive queue gone")
        other.connection.close()


def test_half_closed_client_loses_its_connection(broker):
    """A FIN is a loss: consumers and exclusive queues go, whatever the client could still read."""
    c = broker.connect()
    queue = broker.name()
    ch = c.channel()
    ch.declare(queue, auto_delete=True)
    ch.consume(queue)
    c.wire.half_close()
    c.wire.read_to_end(5)
    other = broker.connect()

    def gone():
        try:
            other.channel().count(queue)
        except amqp_raw.ChannelClosed as closed:
            return closed.code == 404
    wait_until(gone, 5, "auto-delete queue gone")


def test_publishes_read_before_a_reset_count(broker):
    """Whatever was acknowledged by a confirm is in the queue although the publisher died right after."""
    queue, other = broker.name(), broker.channel()
    other.declare(queue, exclusive=False)
    c = broker.connect()
    ch = c.channel()
    ch.confirm()
    for i in range(50):
        ch.publish("", queue, str(i))
    seen = 0
    while seen < 50:
        got = ch.take("basic.ack")
        seen = max(seen, got.delivery_tag) if got.multiple else seen + 1
    c.abort()
    other.expect_count(queue, 50)


# --- 7.4 forced closes

@settings(log__console__level="error")
def test_shutdown_closes_connections_with_320(broker):
    c = broker.connect()
    c.channel()
    broker.server.process.send_signal(signal.SIGTERM)
    c.expect_close(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", 0, 0)
    broker.server.process.wait(10)
    eq(broker.server.process.returncode, 0, "exit status")


test_shutdown_closes_connections_with_320.ends_broker = True


@settings(log__console__level="error")
def test_shutdown_does_not_wait_for_clients_that_do_not_answer(broker):
    """RabbitMQ closes the socket right after the close frame; a client that sleeps must not hold up a restart."""
    for _ in range(3):
        broker.channel()
    broker.server.process.send_signal(signal.SIGTERM)
    broker.server.process.wait(8)
    eq(broker.server.process.returncode, 0, "exit status")


test_shutdown_does_not_wait_for_clients_that_do_not_answer.ends_broker = True
