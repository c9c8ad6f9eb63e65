# SPDX-License-Identifier: Apache-2.0
"""exchanges-queues-bindings, 3: exchange.declare, equivalence, exchange.delete."""

from amqp_raw import V
from harness import definitions, differs, eq, permission, user

KINDS = ("direct", "fanout", "topic", "headers")


def inequivalent(arg, exchange, rest):
    return "PRECONDITION_FAILED - inequivalent arg '%s' for exchange '%s' in vhost '/': %s" % (arg, exchange, rest)


# --- 3.1 declare

@differs("503 up to 3.13.2")
def test_unknown_type_is_a_channel_error(broker):
    for kind, text in (("x-bogus", "unknown exchange type 'x-bogus'"), ("", "invalid exchange type ''"),
                       ("Direct", "unknown exchange type 'Direct'"), ("x-delayed-message", None),
                       ("x-recent-history", None)):
        close = broker.channel().fails("exchange.declare", 406, exchange=broker.name(), type=kind)
        if text:
            eq(close.reply_text, "PRECONDITION_FAILED - " + text)


@differs("503 up to 3.13.2")
def test_unknown_type_is_found_even_if_the_exchange_exists(broker):
    ch = broker.channel()
    name = broker.name()
    ch.exchange(name, auto_delete=True)
    ch.fails("exchange.declare", 406, "PRECONDITION_FAILED - unknown exchange type 'x-bogus'", exchange=name,
             type="x-bogus", auto_delete=True)
    broker.channel().fails("exchange.declare", 406, "PRECONDITION_FAILED - unknown exchange type 'x-bogus'",
                           exchange="", type="x-bogus")


def test_every_flag_is_kept(broker):
    for kind in KINDS:
        for flags in ({}, {"durable": True}, {"auto_delete": True}, {"internal": True},
                      {"durable": True, "auto_delete": True, "internal": True}):
            ch = broker.channel()
            name = broker.name(kind)
            ch.exchange(name, kind, **flags)
            ch.exchange(name, kind, **flags)
            ch.call("exchange.delete", exchange=name)


def test_internal_exchange_cannot_be_published_to(broker):
    ch = broker.channel()
    name = broker.name()
    ch.exchange(name, "fanout", internal=True, durable=False)
    ch.publish(name, "", b"x")
    ch.expect_close(403, "ACCESS_REFUSED - cannot publish to internal exchange '%s' in vhost '/'" % name, 60, 40)


def test_alternate_exchange_must_be_a_longstr(broker):
    for value, shown in ((5, "signedint"), (True, "bool"), (None, "void"), (V("x", b"ae"), "binary")):
        name = broker.name()
        broker.channel().fails("exchange.declare", 406, "PRECONDITION_FAILED - invalid type '%s' for arg "
                               "'alternate-exchange' in exchange '%s' in vhost '/'" % (shown, name),
                               exchange=name, type="direct", arguments={"alternate-exchange": value})


def test_alternate_exchange_need_not_exist(broker):
    ch = broker.channel()
    name = broker.name()
    ch.exchange(name, auto_delete=True, args={"alternate-exchange": "missing." + broker.unique})
    ch.publish(name, "k", b"", mandatory=True)
    eq(ch.take("basic.return").reply_code, 312)


# --- 3.2 passive

def test_passive_compares_nothing(broker):
    ch = broker.channel()
    name = broker.name()
    ch.exchange(name, "direct", durable=True)
    for kind in ("fanout", "x-bogus", ""):
        ch.call("exchange.declare", exchange=name, type=kind, passive=True, auto_delete=True, internal=True,
                arguments={"alternate-exchange": "other"})


def test_passive_of_a_missing_exchange(broker):
    name = broker.name()
    broker.channel().fails("exchange.declare", 404, "NOT_FOUND - no exchange '%s' in vhost '/'" % name,
                           exchange=name, type="direct", passive=True)


def restricted():
    return {"users": [user("x3")], "permissions": [permission("x3", "/", "^$", "^$", "^$")]}


@definitions(restricted)
def test_passive_needs_no_permission(broker):
    ch = broker.channel(user="x3", password="x3")
    ch.call("exchange.declare", exchange="amq.direct", type="direct", passive=True)
    ch.fails("exchange.declare", 404, exchange="missing", type="direct", passive=True)


# --- 3.3 equivalence

def test_first_difference_is_reported_in_order(broker):
    ch = broker.channel()
    name = broker.name()
    ch.exchange(name, "direct")
    c = ch.connection
    for flags, arg, rest in (
            ({"type": "fanout", "durable": True, "auto_delete": True, "internal": True}, "type",
             "received 'fanout' but current is 'direct'"),
            ({"type": "direct", "durable": True, "auto_delete": True, "internal": True}, "durable",
             "received 'true' but current is 'false'"),
            ({"type": "direct", "auto_delete": True, "internal": True}, "auto_delete",
             "received 'true' but current is 'false'"),
            ({"type": "direct", "internal": True, "arguments": {"alternate-exchange": "a"}}, "internal",
             "received 'true' but current is 'false'"),
            ({"type": "direct", "arguments": {"alternate-exchange": "ae"}}, "alternate-exchange",
             "received the value 'ae' of type 'longstr' but current is none")):
        c.channel().fails("exchange.declare", 406, inequivalent(arg, name, rest), exchange=name, **flags)


def test_alternate_exchange_is_compared_both_ways(broker):
    ch = broker.channel()
    name = broker.name()
    ch.exchange(name, args={"alternate-exchange": "nowhere"})
    c = ch.connection
    c.channel().fails("exchange.declare", 406, inequivalent(
        "alternate-exchange", name, "received none but current is the value 'nowhere' of type 'longstr'"),
        exchange=name, type="direct")
    c.channel().fails("exchange.declare", 406, inequivalent(
        "alternate-exchange", name, "received 'other' but current is 'nowhere'"),
        exchange=name, type="direct", arguments={"alternate-exchange": "other"})
    ch.exchange(name, args={"alternate-exchange": "nowhere"})


def test_unknown_arguments_are_not_compared(broker):
    ch = broker.channel()
    name = broker.name()
    ch.exchange(name, args={"x-foo": 1})
    ch.exchange(name, args={"x-foo": 2, "other": "x"})
    ch.exchange(name)


# --- 3.4 delete

def test_deleting_a_missing_exchange_succeeds(broker):
    ch = broker.channel()
    ch.call("exchange.delete", exchange=broker.name())
    ch.call("exchange.delete", exchange=broker.name(), if_unused=True)


def test_if_unused_looks_at_bindings_from_the_exchange_only(broker):
    ch = broker.channel()
    source, target, queue = broker.name("source"), broker.name("target"), broker.name()
    ch.exchange(source), ch.exchange(target)
    ch.declare(queue, exclusive=True)
    ch.bind_exchange(target, source)
    c = ch.connection
    text = "PRECONDITION_FAILED - exchange '%s' in vhost '/' in use" % source
    c.channel().fails("exchange.delete", 406, text, exchange=source, if_unused=True)
    ch.call("exchange.delete", exchange=target, if_unused=True)
    ch.bind(queue, source)
    c.channel().fails("exchange.delete", 406, text, exchange=source, if_unused=True)
    ch.unbind(queue, source)
    ch.call("exchange.delete", exchange=source, if_unused=True)
    ch.fails("exchange.declare", 404, exchange=source, type="direct", passive=True)


def test_delete_removes_bindings_from_and_to_the_exchange(broker):
    ch = broker.channel()
    before, name, after, queue = (broker.name(n) for n in ("before", "mid", "after", "q"))
    for exchange in (before, name, after):
        ch.exchange(exchange, "fanout")
    ch.declare(queue, exclusive=True)
    ch.bind_exchange(name, before), ch.bind_exchange(after, name), ch.bind(queue, after)
    ch.publish(before, "", b"1")
    eq(ch.get(queue).body, b"1")
    ch.call("exchange.delete", exchange=name)
    ch.call("exchange.delete", exchange=before, if_unused=True)
    ch.exchange(name, "fanout")
    ch.publish(name, "", b"2", mandatory=True)
    ch.take("basic.return")
