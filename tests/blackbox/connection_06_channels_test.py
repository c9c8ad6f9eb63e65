# SPDX-License-Identifier: Apache-2.0
"""connection-and-channel, 6: opening, dispatch, error levels, and both close handshakes of a channel."""

import struct

import amqp_raw
from amqp_raw import METHOD, METHODS, content_frames, frame, method_frame
from harness import differs, eq, ok, settings, wait_until


# --- 6.1 opening and dispatch

def test_open_ok_carries_an_empty_channel_id(broker):
    c = broker.connect()
    c.channels[9] = ch = amqp_raw.Channel(c, 9)
    eq(ch.call("channel.open", out_of_band="ignored").channel_id, "")


def test_second_open(broker):
    ch = broker.channel()
    ch.kills("channel.open", 504, "CHANNEL_ERROR - second 'channel.open' seen")


def with_content(channel, name):
    """A method's frame, and an empty content behind those that carry one."""
    return method_frame(channel, name) + (content_frames(channel) if METHODS[name].content else b"")


def test_any_method_on_a_channel_not_open(broker):
    for name in ("queue.declare", "basic.publish", "basic.ack", "tx.select", "channel.flow", "channel.close",
                 "channel.close-ok", "basic.deliver", "access.request"):
        c = broker.connect()
        c.wire.send(with_content(3, name))
        c.expect_close(504, "CHANNEL_ERROR - expected 'channel.open'", METHODS[name].cls, METHODS[name].meth)


def test_close_after_close_ok_is_a_channel_not_open(broker):
    c = broker.connect()
    ch = c.channel()
    ch.close()
    c.send(1, "channel.close")
    c.expect_close(504, "CHANNEL_ERROR - expected 'channel.open'", 20, 40)


def test_class_other_than_connection_on_channel_0(broker):
    for name in ("channel.open", "queue.declare", "basic.publish", "tx.select", "basic.ack"):
        c = broker.connect()
        c.send(0, name)
        c.expect_close(504, "CHANNEL_ERROR - unexpected method in connection state running",
                       METHODS[name].cls, METHODS[name].meth)


UNIMPLEMENTED = "COMMAND_INVALID - unimplemented method"


def test_connection_class_on_a_channel(broker):
    for name in ("connection.close", "connection.open", "connection.start-ok", "connection.close-ok",
                 "connection.update-secret"):
        broker.channel().kills(name, 503, UNIMPLEMENTED)


def test_connection_class_on_a_channel_not_open(broker):
    for name in ("connection.close", "connection.unblocked", "connection.update-secret-ok"):
        c = broker.connect()
        c.send(7, name)
        c.expect_close(504, "CHANNEL_ERROR - expected 'channel.open'", METHODS[name].cls, METHODS[name].meth)


def test_methods_only_the_server_may_send(broker):
    for name in ("basic.deliver", "basic.return", "basic.get-ok", "basic.get-empty", "queue.declare-ok",
                 "exchange.bind-ok", "basic.consume-ok", "tx.commit-ok", "confirm.select-ok", "channel.open-ok",
                 "access.request-ok", "basic.recover-ok"):
        ch = broker.channel()
        ch.raw(with_content(1, name))
        ch.connection.expect_close(503, UNIMPLEMENTED, METHODS[name].cls, METHODS[name].meth)


def test_flow_ok_from_the_client(broker):
    broker.channel().kills("channel.flow-ok", 503, UNIMPLEMENTED)


def test_close_ok_without_a_close(broker):
    broker.channel().kills("channel.close-ok", 503, UNIMPLEMENTED, 20, 41)


@differs("3.10 answers 503")
def test_cancel_ok_from_the_client_is_accepted(broker):
    ch = broker.channel()
    ch.send("basic.cancel-ok", consumer_tag="any")
    ch.sync()


def test_connection_methods_of_the_server_from_the_client(broker):
    for name in ("connection.blocked", "connection.unblocked", "connection.close-ok", "connection.tune",
                 "connection.update-secret-ok"):
        c = broker.connect()
        c.send(0, name)
        c.expect_close(504, "CHANNEL_ERROR - unexpected method in connection state running",
                       METHODS[name].cls, METHODS[name].meth)


def test_access_request(broker):
    ch = broker.channel()
    eq(ch.call("access.request", realm="/data", exclusive=True, passive=True, active=True, write=True,
               read=True).ticket, 1)


def test_reserved_arguments_are_ignored(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.call("queue.declare", queue=queue, ticket=4711, exclusive=True)
    ch.raw(method_frame(1, "basic.publish", ticket=65535, routing_key=queue), content_frames(1, b"x"))
    eq(ch.call("basic.get", queue=queue, ticket=7, no_ack=True).body, b"x")


def test_flow_active_has_no_effect(broker):
    ch = broker.channel()
    eq(ch.call("channel.flow", active=True).active, True)


def test_flow_inactive_is_not_implemented(broker):
    broker.channel().kills("channel.flow", 540, "NOT_IMPLEMENTED - active=false", active=False)


@differs("a private extension in 3.x")
def test_basic_credit_is_refused(broker):
    ch = broker.channel()
    ch.raw(frame(METHOD, 1, struct.pack(">HHBQB", 60, 200, 1, 10, 0)))
    eq(ch.connection.wait_close().reply_code, 503)


def test_nowait_suppresses_success_and_not_errors(broker):
    ch = broker.channel()
    queue, exchange = broker.name(), broker.name("x")
    ch.send("queue.declare", queue=queue, exclusive=True, nowait=True)
    ch.send("exchange.declare", exchange=exchange, type="fanout", auto_delete=True, nowait=True)
    ch.send("queue.bind", queue=queue, exchange=exchange, nowait=True)
    ch.send("exchange.bind", destination=exchange, source="amq.fanout", nowait=True)
    ch.send("exchange.unbind", destination=exchange, source="amq.fanout", nowait=True)
    ch.send("basic.consume", queue=queue, consumer_tag="t", nowait=True)
    ch.send("basic.cancel", consumer_tag="t", nowait=True)
    ch.send("queue.purge", queue=queue, nowait=True)
    ch.send("confirm.select", nowait=True)
    ch.sync()
    eq(list(ch.inbox), [], "answered in spite of nowait")
    ch.expect_count(queue, 0, 0)
    ch.send("queue.delete", queue=queue, nowait=True)
    ch.fails("queue.declare", 404, queue=queue, passive=True, nowait=True)


def test_errors_with_nowait_for_every_method_that_has_it(broker):
    missing = broker.name("missing")
    for name, code, fields in (
            ("queue.bind", 404, {"queue": missing, "exchange": "amq.direct"}),
            ("queue.purge", 404, {"queue": missing}),
            ("exchange.bind", 404, {"destination": missing, "source": "amq.direct"}),
            ("exchange.declare", 404, {"exchange": missing, "type": "direct", "passive": True}),
            ("exchange.delete", 403, {"exchange": "amq.direct"}),
            ("basic.consume", 404, {"queue": missing})):
        broker.channel().fails(name, code, nowait=True, **fields)


def test_replies_come_in_request_order(broker):
    ch = broker.channel()
    queues = [broker.name(str(i)) for i in range(20)]
    for queue in queues:
        ch.send("queue.declare", queue=queue, exclusive=True)
        ch.send("basic.get", queue=queue)
        ch.send("basic.qos", prefetch_count=1)
    for queue in queues:
        eq(ch.next().queue, queue)
        eq(ch.next().name, "basic.get-empty")
        eq(ch.next().name, "basic.qos-ok")


# --- 6.2 and 6.3 levels and texts

def test_soft_error_leaves_connection_and_other_channels_alone(broker):
    c = broker.connect()
    one, two = c.channel(), c.channel()
    one.fails("queue.purge", 404, "NOT_FOUND - no queue 'missing' in vhost '/'", queue="missing")
    two.sync()
    c.channel(1).sync()


def test_hard_error_ends_all_channels(broker):
    c = broker.connect()
    one, two = c.channel(), c.channel()
    two.consume(two.declare(exclusive=True).queue, "t")
    one.raw(method_frame(2, "basic.consume", queue="", consumer_tag="t"))
    c.expect_close(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", 60, 20)


def test_long_reply_texts_are_cut_to_255_octets(broker):
    ch = broker.channel()
    close = ch.fails("queue.purge", 404, queue="n" * 255)
    eq(close.reply_text, ("NOT_FOUND - no queue '" + "n" * 255)[:252] + "...")


def test_long_reply_text_is_not_cut_inside_a_character(broker):
    name = "\u20ac" * 85
    close = broker.channel().fails("queue.purge", 404, queue=name)
    text = close.reply_text
    if broker.is_coney:
        ok(isinstance(text, str), "cut inside a character: %r" % text)
        eq(text[-3:], "...")
    ok(len(amqp_raw._octets(text)) <= 255, "too long")


def test_names_print_raw_between_quotes(broker):
    broker.channel().fails("queue.purge", 404, "NOT_FOUND - no queue 'it's \u00fc' in vhost '/'", queue="it's \u00fc")


# --- 6.4 server closes a channel

def broken_channel(broker):
    """A channel that the server has closed, close-ok not yet sent; and its connection."""
    c = broker.connect()
    ch = c.channel()
    ch.send("queue.purge", queue="missing")
    eq(ch.wait(lambda m: m.name == "channel.close").reply_code, 404)
    return c, ch


def test_methods_are_swallowed_until_close_ok(broker):
    c, ch = broken_channel(broker)
    queue = broker.name()
    ch.send("queue.declare", queue=queue)
    ch.publish("", "nowhere", b"whole content is parsed and dropped", mandatory=True)
    ch.send("basic.qos", prefetch_count=1)
    ch.send("queue.purge", queue="missing")
    other = c.channel(2)
    eq(list(ch.inbox), [], "answered before close-ok")
    ch.send("channel.close-ok")
    other.fails("queue.declare", 404, queue=queue, passive=True)


def test_crossing_close_is_answered(broker):
    c, ch = broken_channel(broker)
    ch.send("channel.close", reply_code=200)
    eq(ch.next().name, "channel.close-ok")
    ch.send("channel.close", reply_code=200)
    other = c.channel(2)
    ch.send("channel.close-ok")
    ch.inbox.clear()
    other.sync()
    ch.call("channel.open")
    ch.sync()


def test_open_before_close_ok(broker):
    c, ch = broken_channel(broker)
    ch.send("channel.open")
    c.expect_close(504, "CHANNEL_ERROR - second 'channel.open' seen", 20, 10)


def test_content_frames_are_still_parsed_until_close_ok(broker):
    c, ch = broken_channel(broker)
    ch.raw(method_frame(1, "basic.publish"), amqp_raw.body_frame(1, b"no header"))
    eq(c.wait_close().reply_code, 505)


def test_number_is_free_after_close_ok_and_starts_afresh(broker):
    c = broker.connect()
    ch = c.channel()
    queue = broker.name()
    ch.declare(queue, auto_delete=True)
    ch.confirm()
    ch.qos(1)
    ch.publish_confirmed("", queue, b"a")
    ch.publish_confirmed("", queue, b"b")
    ch.consume(queue, "t")
    eq(ch.delivery().delivery_tag, 1)
    keeper = c.channel(2)
    keeper.consume(queue, "keeper")
    ch.fails("queue.purge", 404, queue="missing")
    ch = c.channel(1)
    ch.fails("queue.purge", 404, "NOT_FOUND - no previously declared queue", queue="")
    ch = c.channel(1)
    ch.call("tx.select")
    ch.publish("", queue, b"c")
    ch.call("tx.commit")
    keeper.settled(queue)
    for m in list(keeper.inbox):
        keeper.nack(m.delivery_tag)
    keeper.cancel("nobody")
    ch.consume(queue, "t")
    keeper.send("basic.cancel", consumer_tag="keeper")
    keeper.close()
    got = ch.deliveries(3)
    eq([m.delivery_tag for m in got], [1, 2, 3], "tags from 1, prefetch unlimited")


def test_unacked_are_requeued_when_the_server_closes(broker):
    """Before close-ok is sent; they go to their old places."""
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = broker.name()
    other.declare(queue, exclusive=True)
    for i in range(4):
        other.publish("", queue, str(i))
    ch.qos(2)
    ch.consume(queue)
    ch.deliveries(2)
    ch.send("queue.purge", queue="missing")
    ch.wait(lambda m: m.name == "channel.close")
    wait_until(lambda: other.count(queue) == (4, 0), what="requeued")
    got = [other.get(queue) for _ in range(4)]
    eq([(m.body, m.redelivered) for m in got], [(b"0", True), (b"1", True), (b"2", False), (b"3", False)])


def test_consumers_are_removed_and_nothing_follows_the_close(broker):
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = broker.name()
    other.declare(queue, exclusive=True)
    ch.consume(queue)
    ch.send("queue.purge", queue="missing")
    ch.wait(lambda m: m.name == "channel.close")
    for _ in range(100):
        other.publish("", queue, b"x")
    other.settled(queue)
    eq(list(ch.inbox), [], "came after channel.close")
    other.expect_count(queue, 100, 0)


def test_uncommitted_transaction_is_dropped_when_the_server_closes(broker):
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.call("tx.select")
    ch.publish("", queue, b"held")
    ch.fails("queue.purge", 404, queue="missing")
    other.expect_count(queue, 0, 0)


# --- 6.5 client closes a channel

def test_close_requeues_and_removes_consumers_before_close_ok(broker):
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for i in range(5):
        ch.publish("", queue, str(i))
    ch.qos(3)
    ch.consume(queue)
    ch.deliveries(3)
    ch.close()
    other.expect_count(queue, 5, 0)
    eq(other.drain(queue), [b"0", b"1", b"2", b"3", b"4"])


def test_publishes_before_close_are_routed_before_close_ok(broker):
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for _ in range(200):
        ch.publish("", queue, b"x")
    ch.close()
    other.expect_count(queue, 200)


def test_methods_after_close_are_swallowed(broker):
    c = broker.connect()
    ch, other = c.channel(), c.channel()
    queue = broker.name()
    ch.raw(method_frame(1, "channel.close"), method_frame(1, "queue.declare", queue=queue),
           amqp_raw.publish_frames(1, "", "nowhere", mandatory=True), method_frame(1, "channel.close"))
    ch.take("channel.close-ok")
    other.fails("queue.declare", 404, queue=queue, passive=True)


def test_reply_code_of_the_clients_close_is_ignored(broker):
    c = broker.connect()
    ch = c.channel()
    ch.call("channel.close", reply_code=541, reply_text="for no reason", class_id=60, method_id=40)
    c.channel(1).sync()


def test_number_may_be_reused_at_once(broker):
    c = broker.connect()
    for _ in range(300):
        c.channel(1).close()


@settings(channel_max=0)
def test_several_thousand_channels_work(broker):
    c = broker.connect(channel_max=0)
    numbers = range(1, 65536, 16)
    c.wire.send(b"".join(method_frame(n, "channel.open") for n in numbers))
    for n in numbers:
        c.channels[n] = amqp_raw.Channel(c, n)
    for n in numbers:
        c.channels[n].take("channel.open-ok")
    queue = broker.name()
    c.channels[1].declare(queue, exclusive=True)
    for n in numbers:
        c.channels[n].publish("", queue, str(n))
    for n in numbers:
        c.channels[n].sync()
    eq(sorted(int(b) for b in c.channels[65521].drain(queue)), list(numbers))
