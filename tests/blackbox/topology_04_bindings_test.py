# SPDX-License-Identifier: Apache-2.0
"""exchanges-queues-bindings, 4: what makes two bindings one, errors in order, exchange-to-exchange, auto-delete."""

from amqp_raw import ChannelClosed, Pairs, V
from harness import definitions, eq, permission, topic_permission, user, wait_until

LOCKED = ("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'. It could be originally "
          "declared on another connection or the exclusive property value does not match that of the original "
          "declaration.")


def bound(broker, kind="direct"):
    """A channel, an exchange of that type, and a queue not yet bound to it."""
    ch = broker.channel()
    exchange, queue = broker.name("x"), broker.name("q")
    ch.exchange(exchange, kind)
    ch.declare(queue, exclusive=True)
    return ch, exchange, queue


def routes(ch, exchange, key, queue, headers=None):
    """Does a message reach the queue?"""
    ch.publish(exchange, key, b"r", {} if headers is None else {"headers": headers})
    return ch.get(queue) is not None


# --- 4.1 identity

def test_binding_twice_is_one_binding(broker):
    ch, exchange, queue = bound(broker)
    ch.bind(queue, exchange, "k"), ch.bind(queue, exchange, "k")
    ch.publish(exchange, "k", b"once")
    eq(ch.drain(queue), [b"once"])
    ch.unbind(queue, exchange, "k")
    eq(routes(ch, exchange, "k", queue), False)


def test_arguments_belong_to_the_identity(broker):
    ch, exchange, queue = bound(broker)
    ch.bind(queue, exchange, "k", {"a": 1}), ch.bind(queue, exchange, "k", {"a": 2})
    ch.publish(exchange, "k", b"once")
    eq(ch.drain(queue), [b"once"])
    ch.unbind(queue, exchange, "k", {"a": 1})
    eq(routes(ch, exchange, "k", queue), True)
    ch.unbind(queue, exchange, "k")
    eq(routes(ch, exchange, "k", queue), True)
    ch.unbind(queue, exchange, "k", {"a": 2})
    eq(routes(ch, exchange, "k", queue), False)


def test_argument_types_belong_to_the_identity(broker):
    ch, exchange, queue = bound(broker)
    ch.bind(queue, exchange, "k", {"a": V("I", 1)}), ch.bind(queue, exchange, "k", {"a": V("l", 1)})
    ch.unbind(queue, exchange, "k", {"a": V("I", 1)})
    eq(routes(ch, exchange, "k", queue), True)
    ch.unbind(queue, exchange, "k", {"a": V("s", 1)})
    eq(routes(ch, exchange, "k", queue), True)
    ch.unbind(queue, exchange, "k", {"a": V("l", 1)})
    eq(routes(ch, exchange, "k", queue), False)


def test_argument_order_does_not_matter(broker):
    ch, exchange, queue = bound(broker)
    ch.bind(queue, exchange, "k", Pairs([("a", 1), ("b", 2)]))
    ch.bind(queue, exchange, "k", Pairs([("b", 2), ("a", 1)]))
    ch.unbind(queue, exchange, "k", Pairs([("b", 2), ("a", 1)]))
    eq(routes(ch, exchange, "k", queue), False)


def test_queue_and_exchange_of_one_name_are_two_destinations(broker):
    ch = broker.channel()
    source, name = broker.name("source"), broker.name("both")
    ch.exchange(source, "fanout"), ch.exchange(name, "fanout")
    ch.declare(name, exclusive=True)
    ch.bind(name, source), ch.bind_exchange(name, source)
    ch.call("exchange.unbind", destination=name, source=source)
    eq(routes(ch, source, "", name), True)
    ch.bind_exchange(name, source)
    ch.unbind(name, source)
    eq(routes(ch, source, "", name), False)


# --- 4.2 errors

def test_missing_ends(broker):
    c = broker.connect()
    queue, exchange = broker.name("no"), broker.name("nox")
    no_exchange = "NOT_FOUND - no exchange '%s' in vhost '/'" % exchange
    no_queue = "NOT_FOUND - no queue '%s' in vhost '/'" % queue
    c.channel().fails("queue.bind", 404, no_queue, queue=queue, exchange="amq.direct")
    c.channel().fails("queue.bind", 404, no_exchange, queue=queue, exchange=exchange)
    c.channel().fails("exchange.bind", 404, no_exchange, destination="amq.direct", source=exchange)
    c.channel().fails("exchange.bind", 404, no_exchange, destination=exchange, source="amq.direct")
    c.channel().fails("exchange.bind", 404, no_exchange, destination=queue, source=exchange)


def test_unbinding_what_does_not_exist_succeeds(broker):
    ch, exchange, queue = bound(broker)
    missing = broker.name("missing")
    ch.unbind(queue, exchange, "no such binding")
    ch.unbind(missing, exchange)
    ch.unbind(queue, missing)
    ch.unbind(missing, missing)
    ch.call("exchange.unbind", destination=exchange, source=missing)
    ch.call("exchange.unbind", destination=missing, source=exchange)
    ch.call("exchange.unbind", destination=exchange, source="amq.fanout", routing_key="no")


def test_exclusive_queue_of_another_connection(broker):
    owner, other = broker.channel(), broker.connect()
    queue = broker.name()
    owner.declare(queue, exclusive=True)
    owner.bind(queue, "amq.direct", queue)
    other.channel().fails("queue.bind", 405, LOCKED % queue, queue=queue, exchange="amq.direct", routing_key="k")
    other.channel().fails("queue.unbind", 405, LOCKED % queue, queue=queue, exchange="amq.direct",
                          routing_key=queue)
    other.channel().unbind(queue, "amq.direct", "no such binding")


def binder():
    return {"users": [user("binder")],
            "permissions": [permission("binder", "/", "^$", "^w", "^(r|amq.topic$)")],
            "topic_permissions": [topic_permission("binder", "/", "amq.topic", "^$", "^good")]}


@definitions(binder)
def test_permissions_come_before_existence_and_in_order(broker):
    c = broker.connect(user="binder", password="binder")

    def refused(method, kind, name, mode, **fields):
        close = c.channel().fails(method, 403, **fields)
        text = "access to %s '%s' in vhost '/' refused for user 'binder'" % (kind, name)
        eq(close.reply_text, "ACCESS_REFUSED - " + (mode + " " + text if broker.is_coney else text))

    for method in ("queue.bind", "queue.unbind"):
        refused(method, "queue", "x-none", "write", queue="x-none", exchange="x-none")
        refused(method, "queue", "x-none", "write", queue="x-none", exchange="")
        refused(method, "exchange", "x-none", "read", queue="w-none", exchange="x-none")
        eq(c.channel().fails(method, 403, queue="w-none", exchange="").reply_text,
           "ACCESS_REFUSED - operation not permitted on the default exchange")
        close = c.channel().fails(method, 403, queue="w-none", exchange="amq.topic", routing_key="bad.key")
        text = "access to topic 'bad.key' in exchange 'amq.topic' in vhost '/' refused for user 'binder'"
        eq(close.reply_text, "ACCESS_REFUSED - " + ("read " + text if broker.is_coney else text))
    for method in ("exchange.bind", "exchange.unbind"):
        refused(method, "exchange", "x-none", "write", destination="x-none", source="r-none")
        refused(method, "exchange", "x-none", "read", destination="w-none", source="x-none")
    c.channel().fails("queue.bind", 404, "NOT_FOUND - no exchange 'r-none' in vhost '/'", queue="w-none",
                      exchange="r-none")
    c.channel().fails("queue.bind", 404, "NOT_FOUND - no queue 'w-none' in vhost '/'", queue="w-none",
                      exchange="amq.topic", routing_key="good.key")
    c.channel().unbind("w-none", "r-none")


def test_headers_binding_is_validated_after_existence(broker):
    c = broker.connect()
    c.channel().fails("queue.bind", 404, queue="no." + broker.unique, exchange="amq.headers",
                      arguments={"x-match": "bogus"})


# --- 4.3 exchange to exchange

def test_message_keeps_its_exchange_and_key(broker):
    ch = broker.channel()
    first, second, queue = broker.name("first"), broker.name("second"), broker.name()
    ch.exchange(first, "topic"), ch.exchange(second, "direct", internal=True)
    ch.declare(queue, exclusive=True)
    ch.bind_exchange(second, first, "a.#")
    ch.bind(queue, second, "a.b")
    ch.publish(first, "a.b", b"x")
    got = ch.get(queue)
    eq((got.exchange, got.routing_key, got.body), (first, "a.b", b"x"))
    ch.publish(first, "a.c", b"x")
    eq(ch.get(queue), None)


def test_cycles_and_self_bindings_visit_each_exchange_once(broker):
    ch = broker.channel()
    names = [broker.name(n) for n in "abc"]
    for name in names:
        ch.exchange(name, "fanout")
    for source in names:
        for destination in names:
            ch.bind_exchange(destination, source)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for name in names:
        ch.bind(queue, name)
    for name in names:
        ch.publish(name, "", b"once")
        eq(ch.drain(queue), [b"once"], name)


def test_long_chain(broker):
    ch = broker.channel()
    names = [broker.name(str(i)) for i in range(100)]
    for name in names:
        ch.exchange(name, "fanout")
    for one, two in zip(names, names[1:]):
        ch.bind_exchange(two, one)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.bind(queue, names[-1])
    ch.publish(names[0], "", b"through")
    eq(ch.get(queue).body, b"through")


def test_unbind_and_deleting_either_end(broker):
    ch = broker.channel()
    source, target, queue = broker.name("s"), broker.name("t"), broker.name()
    ch.exchange(source, "fanout"), ch.exchange(target, "fanout")
    ch.declare(queue, exclusive=True)
    ch.bind(queue, target), ch.bind_exchange(target, source)
    eq(routes(ch, source, "", queue), True)
    ch.call("exchange.unbind", destination=target, source=source)
    eq(routes(ch, source, "", queue), False)
    ch.bind_exchange(target, source)
    ch.call("exchange.delete", exchange=source)
    ch.exchange(source, "fanout")
    eq(routes(ch, source, "", queue), False)


# --- 4.4 auto-delete exchanges

def exists(broker, exchange):
    try:
        broker.channel().call("exchange.declare", exchange=exchange, type="direct", passive=True)
        return True
    except ChannelClosed as closed:
        eq(closed.code, 404)
        return False


def test_auto_delete_exchange_goes_with_its_last_binding(broker):
    ch = broker.channel()
    for how in ("unbind", "delete queue", "delete destination", "exchange unbind"):
        exchange, queue, other = broker.name("x"), broker.name(), broker.name("other")
        ch.exchange(exchange, "fanout", auto_delete=True)
        ch.declare(queue, exclusive=True)
        ch.exchange(other, "fanout")
        eq(exists(broker, exchange), True, "never bound")
        if how in ("unbind", "delete queue"):
            ch.bind(queue, exchange, "one"), ch.bind(queue, exchange, "two")
            ch.unbind(queue, exchange, "one")
        else:
            ch.bind_exchange(other, exchange, "one"), ch.bind_exchange(other, exchange, "two")
            ch.call("exchange.unbind", destination=other, source=exchange, routing_key="one")
        eq(exists(broker, exchange), True, "one binding left")
        if how == "unbind":
            ch.unbind(queue, exchange, "two")
        elif how == "delete queue":
            ch.call("queue.delete", queue=queue)
        elif how == "delete destination":
            ch.call("exchange.delete", exchange=other)
        else:
            ch.call("exchange.unbind", destination=other, source=exchange, routing_key="two")
        eq(exists(broker, exchange), False, how)


def test_bindings_as_destination_do_not_count(broker):
    ch = broker.channel()
    exchange, source = broker.name("x"), broker.name("source")
    ch.exchange(exchange, "fanout", auto_delete=True), ch.exchange(source, "fanout")
    ch.bind_exchange(exchange, source)
    ch.call("exchange.unbind", destination=exchange, source=source)
    eq(exists(broker, exchange), True)
    ch.bind_exchange(exchange, source)
    ch.call("exchange.delete", exchange=source)
    eq(exists(broker, exchange), True)


def test_auto_delete_cascades(broker):
    ch = broker.channel()
    first, second, queue = broker.name("first"), broker.name("second"), broker.name()
    ch.exchange(first, "fanout", auto_delete=True), ch.exchange(second, "fanout", auto_delete=True)
    ch.declare(queue, exclusive=True)
    ch.bind_exchange(second, first), ch.bind(queue, second)
    ch.call("queue.delete", queue=queue)
    eq((exists(broker, first), exists(broker, second)), (False, False))


def test_auto_delete_by_the_end_of_a_connection(broker):
    c = broker.connect()
    ch = c.channel()
    exchange, queue = broker.name("x"), broker.name()
    ch.exchange(exchange, "fanout", auto_delete=True)
    ch.declare(queue, exclusive=True)
    ch.bind(queue, exchange)
    c.close()
    wait_until(lambda: not exists(broker, exchange), 5, "exchange gone")
