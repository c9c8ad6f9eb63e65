# SPDX-License-Identifier: Apache-2.0
"""Bounds that the configuration sets: at each a clear refusal, and nobody else notices."""

import struct

import amqp_raw
from amqp_raw import PROTOCOL_HEADER, decode_method, frame, method_frame
from harness import BrokerDied, Coneyd, definitions, eq, ok, permission, settings, user
from hostile_03_slow_readers_test import settle_down


def refusal(broker, source=None, **kw):
    """The close that answers the whole handshake."""
    connection = amqp_raw.Connection(broker.host, broker.port, open_vhost=False, source=source, **kw)
    broker.connections.append(connection)
    connection.send(0, "connection.open", virtual_host=kw.get("vhost", "/"))
    close = connection.wait_control("connection.close", "connection.open-ok")
    return (close.reply_code, close.reply_text) if close.name == "connection.close" else None


def two_users():
    return {"users": [user("a"), user("b"), user("c", limits={"max-connections": 3})],
            "permissions": [permission(u, "/") for u in "abc"]}


@settings(connection_max_per_user=2)
@definitions(two_users)
def test_connections_of_a_user(broker):
    def text(who, most):
        return (530, "NOT_ALLOWED - connection refused for user '%s': user connection limit (%d) is reached" % (
            who, most))
    first = broker.connect(user="a", password="a")
    broker.connect(user="a", password="a")
    eq(refusal(broker, user="a", password="a"), text("a", 2))
    eq(refusal(broker, user="b", password="b"), None, "another user")
    for _ in range(3):
        broker.connect(user="c", password="c")
    eq(refusal(broker, user="c", password="c"), text("c", 3), "a limit of one's own")
    first.close()
    eq(refusal(broker, user="a", password="a"), None, "one has left")


@settings(connection_max_per_vhost=2)
@definitions(lambda: {"vhosts": [{"name": "other"}, {"name": "own", "limits": {"max-connections": 1}}]})
def test_connections_of_a_vhost(broker):
    text = "NOT_ALLOWED - access to vhost '%s' refused for user 'guest': connection limit (%d) is reached"
    broker.connect(), broker.connect()
    eq(refusal(broker), (530, text % ("/", 2)))
    eq(refusal(broker, vhost="other"), None)
    eq(refusal(broker, vhost="own"), None)
    eq(refusal(broker, vhost="own"), (530, text % ("own", 1)))


@settings(channel_max_per_node=3)
def test_channels_of_the_node(broker):
    first, second = broker.connect(), broker.connect()
    first.channel(), first.channel(), second.channel()
    second.send(2, "channel.open")
    second.expect_close(530, "NOT_ALLOWED - number of channels opened on this node has reached the maximum allowed "
                             "limit of (3)", 0, 0)
    channel = first.channel()   # the other connection's are gone
    channel.close()
    first.channel()


@settings(vhost_max=2)
@definitions(lambda: {"vhosts": [{"name": "other"}]})
def test_vhosts_up_to_the_limit(broker):
    broker.connect(), broker.connect(vhost="other")


@settings()
def test_one_vhost_more_than_the_limit(broker):
    if broker.is_coney:
        try:
            Coneyd({"vhost_max": 2}, {"vhosts": [{"name": "one"}, {"name": "two"}]}).stop()
        except BrokerDied as end:
            ok("vhost 'two' cannot be made" in str(end), str(end))
        else:
            raise AssertionError("it started")


@settings(connection_max_per_address=2)
def test_connections_of_an_address(broker):
    text = "NOT_ALLOWED - connection refused: address connection limit (2) is reached"
    broker.connect(source="127.0.5.1")
    kept = broker.connect(source="127.0.5.1")
    eq(refusal(broker, source="127.0.5.1"), (530, text))
    broker.connect(source="127.0.5.2")
    wires = [broker.wire(source="127.0.5.1") for _ in range(30)]
    answered = 0
    for wire in wires:
        try:
            wire.send(PROTOCOL_HEADER)
            wire.read_frame()
            answered += 1
        except (amqp_raw.Dropped, OSError):
            pass
    ok(15 <= answered <= 20, "%d of 30 were answered: far beyond the limit sockets are closed at once" % answered)
    broker.connect(source="127.0.5.3")
    eq(kept.channel().number, 1, "who is there stays")


@settings(consumer_max_per_channel=1, unacked_max_per_channel=2, bindings_max_per_exchange=1, name_size_max=20,
          table_depth_max=4, table_size_max=4096)
def test_bounds_of_a_channel_and_of_names(broker):
    def refused(code, text, method, **fields):
        broker.connect().channel().fails(method, code, text, **fields)

    connection = broker.connect()
    channel = connection.channel()
    channel.call("queue.declare", queue="q")
    for body in (b"1", b"2", b"3"):
        channel.publish("", "q", body)
    channel.consume("q", "c")
    got = [m.body for m in channel.deliveries(2)]
    eq(got, [b"1", b"2"])
    channel.no_delivery("q")
    channel.ack(1)
    eq(channel.delivery().body, b"3")
    channel.call("queue.bind", queue="q", exchange="amq.fanout", routing_key="")
    broker.connect().channel().fails(
        "queue.bind", 406, "PRECONDITION_FAILED - cannot bind to exchange 'amq.fanout' in vhost '/': binding limit "
        "(1) is reached", queue="q", exchange="amq.fanout", routing_key="2")
    refused(406, "PRECONDITION_FAILED - name of queue is longer than the maximum of 20 octets: '%s'" % ("n" * 21),
            "queue.declare", queue="n" * 21)
    refused(406, "PRECONDITION_FAILED - arguments are nested deeper than the maximum of 4", "queue.declare",
            queue="deep", arguments={"a": {"a": {"a": {"a": {}}}}})
    refused(406, "PRECONDITION_FAILED - arguments of 4108 octets are larger than the maximum of 4096",
            "queue.declare", queue="large", arguments={"a23456": "x" * 4096})
    channel.send("basic.consume", queue="q", consumer_tag="d")
    connection.expect_close(530, "NOT_ALLOWED - reached maximum (1) of consumers per channel", 60, 20)
    broker.is_up()


def begin_message(channel, announced, sent):
    """A publish with SENT octets of a body of ANNOUNCED."""
    wire = channel.connection.wire
    wire.send(method_frame(channel.number, "basic.publish", exchange="", routing_key="q")
              + frame(2, channel.number, struct.pack(">HHQH", 60, 0, announced, 0)))
    for size in [100000] * (sent // 100000) + [sent % 100000]:
        wire.send(frame(3, channel.number, bytes(size)))


@settings(max_message_size=1048576)
def test_unfinished_messages_of_a_connection(broker):
    """Each channel may have one on its way; together they are bounded."""
    connection = broker.connect()
    channels = [connection.channel() for _ in range(3)]
    for channel in channels[:2]:
        begin_message(channel, 1048576, 1048575)
    channels[2].sync()
    begin_message(channels[2], 1048576, 10)
    close = connection.wait_control("connection.close")
    eq((close.reply_code, close.reply_text),
       (506, "RESOURCE_ERROR - unfinished messages of the connection take more than 2097152 octets"))
    connection = broker.connect()
    first, second, third = [connection.channel() for _ in range(3)]
    third.call("queue.declare", queue="q")
    for _ in range(4):
        begin_message(first, 1048576, 1048575)
        begin_message(second, 1048576, 1048575)
        for channel in (first, second):
            connection.wire.send(frame(3, channel.number, b"x"))
            channel.sync()
    eq(third.count("q")[0], 8, "what is complete counts no more")


@settings(connection_buffer_max=65536, tcp_listen_options__sndbuf=4096)
def test_octets_that_wait_for_the_socket_of_a_connection(broker):
    """Of what is due to one that does not read, so much leaves the queue, and what the kernel's buffers hold."""
    sender, queue = broker.channel(), broker.name()
    sender.declare(queue)
    for _ in range(400):
        sender.publish("", queue, bytes(10000))
    stuck = broker.connect(rcvbuf=4096).channel()
    stuck.send("basic.consume", queue=queue, no_ack=True)
    settle_down(broker, "a consumer that does not read")
    left = 10000 * (400 - sender.count(queue)[0])
    ok(65536 <= left <= 65536 + 10000 + 65536, "%d octets have left the queue" % left)
    stuck.take("basic.consume-ok")
    eq(len(stuck.deliveries(400, timeout=20)), 400, "goes on when it reads")
