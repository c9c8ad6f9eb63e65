# SPDX-License-Identifier: Apache-2.0
"""amq.rabbitmq.event, which tells what happens in a node, and amq.rabbitmq.trace, which tells what goes through."""

from api_harness import differs, eq, ok, path

EVENTS, TRACE = "amq.rabbitmq.event", "amq.rabbitmq.trace"


def listen(broker, key, exchange=EVENTS, vhost="/"):
    """A channel that is given what EXCHANGE tells with KEY from now on."""
    ch = broker.channel(vhost=vhost)
    q = broker.name("told")
    ch.declare(q)
    ch.bind(q, exchange, key)
    ch.consume(q, no_ack=True)
    return ch


def told(ch, key, timeout=10, **wanted):
    """The headers of the next event KEY that has what is WANTED."""
    while True:
        delivery = ch.delivery(timeout)
        headers = delivery.headers
        if delivery.routing_key == key and all(headers.get(name) == value for name, value in wanted.items()):
            return headers


@differs("RabbitMQ has them with a plugin")
def test_queues_exchanges_and_bindings(broker):
    ch, q, x = listen(broker, "#"), broker.name(), broker.name("x")
    other = broker.channel()
    other.declare(q, durable=True, args={"x-max-length": 5})
    other.exchange(x, "topic")
    other.bind(q, x, "a.#")
    other.call("queue.delete", queue=q)
    other.call("exchange.delete", exchange=x)
    made = told(ch, "queue.created", name=q)
    eq((made["vhost"], made["durable"], made["user_who_performed_action"]), ("/", True, "guest"))
    eq(made["arguments"], {"x-max-length": 5})
    ok(made["timestamp_in_ms"] > 10 ** 12, made)
    eq(told(ch, "exchange.created", name=x)["type"], "topic")
    bound = told(ch, "binding.created", source_name=x)
    eq((bound["destination_name"], bound["destination_kind"], bound["routing_key"]), (q, "queue", "a.#"))
    told(ch, "queue.deleted", name=q)
    told(ch, "binding.deleted", source_name=x)
    told(ch, "exchange.deleted", name=x)


@differs("RabbitMQ has them with a plugin")
def test_clients(broker):
    ch, q = listen(broker, "*.*"), broker.name()
    c = broker.connect()
    told(ch, "connection.created", user="guest")
    other = c.channel(7)
    told(ch, "channel.created", number=7)
    other.declare(q)
    other.consume(q, "tag." + q)
    eq(told(ch, "consumer.created", consumer_tag="tag." + q)["queue"], q)
    c.close()
    told(ch, "consumer.deleted", consumer_tag="tag." + q)
    told(ch, "channel.closed", number=7)
    told(ch, "connection.closed")


@differs("RabbitMQ has them with a plugin")
def test_other_vhosts_tell_too(broker):
    ch, name = listen(broker, "*.created"), broker.name("v")
    broker.put(path("vhosts", name))
    told(ch, "vhost.created", name=name)
    broker.channel(vhost=name).declare("there")
    told(ch, "queue.created", name="there", vhost=name)
    ch = listen(broker, "vhost.deleted")
    broker.delete(path("vhosts", name))
    told(ch, "vhost.deleted", name=name)


@differs("RabbitMQ has it with a plugin")
def test_nobody_publishes_to_it(broker):
    ch = broker.channel()
    ch.publish(EVENTS, "queue.created", b"")
    ch.connection.channel()
    ch.expect_close(403, "ACCESS_REFUSED - cannot publish to internal exchange '%s' in vhost '/'" % EVENTS)


def test_the_firehose(broker):
    name = broker.new_vhost()
    broker.put(path("vhosts", name), {"tracing": True})
    ch = listen(broker, "#", TRACE, vhost=name)
    other = broker.channel(vhost=name)
    other.declare("q")
    other.exchange("x", "direct")
    other.bind("q", "x", "k")
    other.publish("x", "k", b"body", {"message_id": "1", "headers": {"a": "b"}})
    published = ch.delivery()
    eq((published.routing_key, published.body), ("publish.x", b"body"))
    headers = published.headers
    eq((headers["exchange_name"], headers["routing_keys"], headers["routed_queues"]), ("x", ["k"], ["q"]))
    eq((headers["properties"]["message_id"], headers["properties"]["headers"]), ("1", {"a": "b"}))
    eq((headers["vhost"], headers["user"]), (name, "guest"))
    eq(headers["node"], broker.get("overview")["node"])
    eq(other.get("q").body, b"body")
    delivered = ch.delivery()
    eq((delivered.routing_key, delivered.body, delivered.headers["redelivered"]), ("deliver.q", b"body", 0))
    for field in (b"\x07channelI", b"\x0bredeliveredI"):
        ok(field in bytes(delivered.props_raw), "%r is of the type that RabbitMQ writes" % field)
    eq(other.get("q"), None)
    other.publish("x", "none", b"more", {"headers": {"CC": ["cc"], "BCC": ["k"]}})
    eq((ch.delivery().headers["routing_keys"], other.get("q").body), (["none", "cc", "k"], b"more"))
    eq(ch.delivery().headers["routing_keys"], ["none", "cc", "k"])
    broker.put(path("vhosts", name), {"tracing": False})
    other.publish("x", "k", b"untold")
    ch.expect_count("q", 1)
    ok(not ch.queued("basic.deliver"), "nothing more is told")
