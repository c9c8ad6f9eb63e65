# SPDX-License-Identifier: Apache-2.0
"""exchanges-queues-bindings, 1 and 2: names, the last declared queue, predeclared exchanges."""

from amqp_raw import publish_frames

from harness import eq, matches

RESERVED = "ACCESS_REFUSED - %s name '%s' contains reserved prefix 'amq.*'"
DEFAULT = "ACCESS_REFUSED - operation not permitted on the default exchange"


# --- 1 names

def test_any_utf8_up_to_255_octets(broker):
    ch = broker.channel()
    for name in ("with space", "nul\0inside", "\u00fcml\u00e4ut \U0001f407", "a/b?c=d&e%20", "amqfoo",
                 "\u20ac" * 80):
        name = name + broker.unique
        eq(ch.declare(name, exclusive=True).queue, name)
        ch.exchange(name, auto_delete=True)
        ch.bind(name, name, name)
        ch.publish(name, name, b"x")
        eq(ch.get(name).routing_key, name)
        ch.call("queue.delete", queue=name)
    full = broker.unique + "n" * (255 - len(broker.unique))
    eq(ch.declare(full, exclusive=True).queue, full)


def test_names_are_case_sensitive(broker):
    ch = broker.channel()
    name = broker.name("Case")
    ch.declare(name, exclusive=True)
    ch.fails("queue.declare", 404, queue=name.lower(), passive=True)


def test_cr_and_lf_are_removed_on_declare_delete_bind(broker):
    ch = broker.channel()
    name, exchange = broker.name(), broker.name("x")
    eq(ch.declare("\r\n" + name + "\n", exclusive=True).queue, name)
    ch.count(name)
    ch.exchange("\n" + exchange + "\r", "fanout")
    ch.exchange(exchange, "fanout")
    ch.bind(name + "\n", exchange + "\r\n")
    ch.publish(exchange, "", b"x")
    eq(ch.get(name).body, b"x")
    ch.unbind("\r" + name, "\n" + exchange)
    ch.publish(exchange, "", b"y")
    eq(ch.get(name), None)
    ch.call("exchange.bind", destination=exchange + "\n", source="amq.\nfanout")
    ch.call("exchange.unbind", destination="\n" + exchange, source="amq.fanout")
    ch.call("exchange.delete", exchange="\r" + exchange)
    ch.call("queue.delete", queue="\n" + name)
    ch.fails("exchange.declare", 404, exchange=exchange, passive=True)


def test_cr_and_lf_stay_in_publish_get_consume_purge(broker):
    c = broker.connect()
    name = broker.name()
    c.channel().declare(name, exclusive=True)
    for method in ("basic.get", "basic.consume", "queue.purge"):
        c.channel().fails(method, 404, queue=name + "\n")
    ch = c.channel()
    ch.raw(publish_frames(ch.number, "amq.direct\n", "", b""))
    ch.expect_close(404)
    ch = c.channel()
    ch.publish("", name + "\r", b"elsewhere")
    eq(ch.get(name), None)


def test_reserved_prefix_of_exchanges(broker):
    broker.channel().fails("exchange.declare", 403, RESERVED % ("exchange", "amq.foo"), exchange="amq.foo",
                           type="direct")
    broker.channel().exchange("amq.direct", "direct", durable=True)
    broker.channel().fails("exchange.declare", 406, exchange="amq.direct", type="fanout", durable=True)


def test_reserved_prefix_of_queues_even_if_the_queue_exists(broker):
    c = broker.connect()
    broker.channel().fails("queue.declare", 403, RESERVED % ("queue", "amq.foo"), queue="amq.foo")
    made = c.channel().declare(exclusive=True).queue
    c.channel().fails("queue.declare", 403, RESERVED % ("queue", made), queue=made, exclusive=True)
    eq(c.channel().declare(made, passive=True).queue, made)


def test_passive_with_reserved_prefix_is_an_existence_check(broker):
    broker.channel().fails("queue.declare", 404, "NOT_FOUND - no queue 'amq.foo' in vhost '/'", queue="amq.foo",
                           passive=True)
    broker.channel().fails("exchange.declare", 404, "NOT_FOUND - no exchange 'amq.foo' in vhost '/'",
                           exchange="amq.foo", passive=True)


# --- 1.1 server-named queues

def test_server_named_queues(broker):
    ch = broker.channel()
    names = [ch.declare(exclusive=True).queue for _ in range(50)]
    eq(len(set(names)), 50)
    for name in names:
        matches(name, r"^amq\.gen-[A-Za-z0-9_-]{22}$")


def test_server_named_quorum_queue_is_refused(broker):
    broker.channel().fails("queue.declare", 406, "PRECONDITION_FAILED - Cannot declare a server-named queue for type "
                           "rabbit_quorum_queue", durable=True, arguments={"x-queue-type": "quorum"})


def test_server_named_with_nowait_is_the_last_declared(broker):
    ch = broker.channel()
    ch.send("queue.declare", exclusive=True, nowait=True)
    ch.bind("", "amq.direct", broker.unique)
    ch.publish("amq.direct", broker.unique, b"x")
    eq(ch.get("").body, b"x")


# --- 1.2 the last declared queue

def test_empty_name_means_the_last_declared_queue(broker):
    c = broker.connect()
    ch = c.channel()
    first, second = broker.name("first"), broker.name("second")
    ch.declare(first, exclusive=True)
    ch.declare(second, exclusive=True)
    ch.publish("", second, b"s1"), ch.publish("", second, b"s2"), ch.publish("", second, b"s3")
    eq(ch.get("").body, b"s1")
    ch.consume("", "t", no_ack=True)
    eq(ch.delivery().body, b"s2")
    ch.cancel("t")
    ch.count(first)
    ch.publish("", first, b"f1")
    eq(ch.get("").body, b"f1", "after a passive declare")
    ch.send("queue.declare", queue=second, exclusive=True, nowait=True)
    ch.bind("", "amq.direct", broker.unique)
    ch.publish("amq.direct", broker.unique, b"bound")
    ch.unbind("", "amq.direct", broker.unique)
    ch.publish("amq.direct", broker.unique, b"lost")
    eq(ch.call("queue.purge", queue="").message_count in (1, 2), True)
    ch.call("queue.delete", queue="")
    c.channel().fails("queue.declare", 404, queue=second, passive=True)
    ch.fails("basic.get", 404, queue="")


def test_each_channel_has_its_own_last_declared(broker):
    c = broker.connect()
    c.channel().declare(exclusive=True)
    c.channel().fails("basic.get", 404, "NOT_FOUND - no previously declared queue", queue="")


def test_no_previously_declared_queue(broker):
    c = broker.connect()
    for method, more in (("basic.get", {}), ("basic.consume", {}), ("queue.delete", {}), ("queue.purge", {}),
                         ("queue.bind", {"exchange": "amq.direct"}), ("queue.unbind", {"exchange": "amq.direct"})):
        c.channel().fails(method, 404, "NOT_FOUND - no previously declared queue", queue="", **more)


def test_empty_queue_and_key_in_bind_become_the_name(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.bind("", "amq.direct", "")
    ch.publish("amq.direct", queue, b"by name")
    ch.publish("amq.direct", "", b"by empty key")
    eq(ch.drain(queue), [b"by name"])
    ch.unbind("", "amq.direct", "")
    ch.publish("amq.direct", queue, b"no more")
    eq(ch.drain(queue), [])


def test_named_queue_keeps_the_empty_key(broker):
    ch = broker.channel()
    queue, exchange = broker.name(), broker.name("x")
    ch.exchange(exchange, auto_delete=True)
    ch.declare(queue, exclusive=True)
    ch.bind(queue, exchange, "")
    ch.publish(exchange, "", b"empty")
    ch.publish(exchange, queue, b"name")
    eq(ch.drain(queue), [b"empty"])


def test_deleted_last_declared_queue_still_expands(broker):
    c = broker.connect()
    ch = c.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.call("queue.delete", queue=queue)
    eq(ch.call("queue.delete", queue="").message_count, 0)
    ch.call("queue.unbind", queue="", exchange="amq.direct")
    ch.fails("basic.get", 404, "NOT_FOUND - no queue '%s' in vhost '/'" % queue, queue="")


def test_passive_declare_of_the_empty_name_is_not_expanded(broker):
    ch = broker.channel()
    ch.declare(exclusive=True)
    ch.fails("queue.declare", 404, "NOT_FOUND - no queue '' in vhost '/'", queue="", passive=True)


# --- 2 predeclared exchanges

def test_predeclared_exchanges(broker):
    for name, kind in (("amq.direct", "direct"), ("amq.fanout", "fanout"), ("amq.topic", "topic"),
                       ("amq.headers", "headers"), ("amq.match", "headers")):
        broker.channel().exchange(name, kind, durable=True)
        broker.channel().fails("exchange.declare", 406, exchange=name, type=kind, durable=False)
        broker.channel().fails("exchange.declare", 406, exchange=name, type=kind, durable=True, auto_delete=True)
        broker.channel().fails("exchange.declare", 406, exchange=name, type=kind, durable=True, internal=True)


def test_trace_exchange_is_internal(broker):
    ch = broker.channel()
    ch.exchange("amq.rabbitmq.trace", "topic", durable=True, internal=True)
    ch.raw(publish_frames(1, "amq.rabbitmq.trace", "k", b""))
    ch.expect_close(403, "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'",
                    60, 40)


def test_system_exchanges_cannot_be_deleted(broker):
    for name in ("amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace",
                 "amq.missing"):
        broker.channel().fails("exchange.delete", 403, "ACCESS_REFUSED - deletion of system exchange '%s' in vhost "
                               "'/' not allowed" % name, exchange=name)


# --- 2.1 the default exchange

def test_default_exchange_refuses_topology(broker):
    ch = broker.channel()
    queue, exchange = broker.name(), broker.name("x")
    ch.declare(queue, exclusive=True)
    ch.exchange(exchange, auto_delete=True)
    c = ch.connection
    for method, fields in (
            ("exchange.declare", {"exchange": "", "type": "direct"}),
            ("exchange.declare", {"exchange": "", "type": "direct", "passive": True}),
            ("exchange.delete", {"exchange": ""}),
            ("queue.bind", {"queue": queue, "exchange": "", "routing_key": "k"}),
            ("queue.unbind", {"queue": queue, "exchange": "", "routing_key": queue}),
            ("exchange.bind", {"destination": exchange, "source": ""}),
            ("exchange.bind", {"destination": "", "source": exchange}),
            ("exchange.unbind", {"destination": exchange, "source": ""}),
            ("exchange.unbind", {"destination": "", "source": exchange})):
        c.channel().fails(method, 403, DEFAULT, **fields)


def test_default_exchange_reaches_every_queue_by_name(broker):
    ch = broker.channel()
    queue, other = broker.name(), broker.name("other")
    ch.declare(queue, exclusive=True), ch.declare(other, exclusive=True)
    ch.publish("", queue, b"direct")
    ch.publish("", "nowhere", b"by CC", {"headers": {"CC": [queue], "BCC": [other]}})
    eq([m.exchange for m in (ch.get(queue), ch.get(queue), ch.get(other))], ["", "", ""])


def test_default_exchange_as_alternate_routes_nothing(broker):
    ch = broker.channel()
    queue, exchange = broker.name(), broker.name("x")
    ch.declare(queue, exclusive=True)
    ch.exchange(exchange, auto_delete=True, args={"alternate-exchange": ""})
    ch.publish(exchange, queue, b"x", mandatory=True)
    eq(ch.take("basic.return").reply_code, 312)
    eq(ch.get(queue), None)


def test_default_exchange_as_dead_letter_exchange_works(broker):
    ch = broker.channel()
    queue, dead = broker.name(), broker.name("dead")
    ch.declare(dead, exclusive=True)
    ch.declare(queue, exclusive=True, args={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    ch.consume(dead, no_ack=True)
    ch.publish("", queue, b"x")
    ch.reject(ch.get(queue, no_ack=False).delivery_tag, requeue=False)
    got = ch.delivery()
    eq((got.exchange, got.routing_key), ("", dead))
