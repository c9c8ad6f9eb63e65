# SPDX-License-Identifier: Apache-2.0
"""exchanges-queues-bindings, 6: queue.declare, its checks in order, equivalence, arguments, passive."""

from amqp_raw import V
from harness import definitions, differs, eq, ok, permission, settings, user

LOCKED = ("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'. It could be originally "
          "declared on another connection or the exclusive property value does not match that of the original "
          "declaration.")


def inequivalent(arg, queue, rest):
    return "PRECONDITION_FAILED - inequivalent arg '%s' for queue '%s' in vhost '/': %s" % (arg, queue, rest)


def refused(broker, args, tail, queue=None, **flags):
    """A declare with these arguments is refused with 406 and this text behind the queue's name."""
    queue = queue or broker.name()
    close = broker.channel().fails("queue.declare", 406, queue=queue, arguments=args, **flags)
    text = close.reply_text
    start = "PRECONDITION_FAILED - "
    ok(text.startswith(start), text)
    eq(text, start + tail % {"q": "queue '%s' in vhost '/'" % queue})


def accepted(broker, args, **flags):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, args, **flags)
    ch.call("queue.delete", queue=queue)
    ch.connection.close()


# --- 6.1 and 6.2

def test_reply_of_a_new_and_of_a_used_queue(broker):
    c = broker.connect()
    ch = c.channel()
    queue = broker.name()
    reply = ch.declare(queue, auto_delete=True)
    eq((reply.queue, reply.message_count, reply.consumer_count), (queue, 0, 0))
    for _ in range(5):
        ch.publish("", queue, b"x")
    ch.sync()
    other = c.channel()
    other.qos(2)
    other.consume(queue)
    other.deliveries(2)
    broker.channel().consume(queue, exclusive=False)
    ch.expect_count(queue, 0, 2)
    other.call("basic.recover", requeue=True)
    reply = ch.declare(queue, auto_delete=True)
    eq(reply.consumer_count, 2)


def test_message_count_is_of_ready_messages(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for _ in range(5):
        ch.publish("", queue, b"x")
    ch.get(queue, no_ack=False), ch.get(queue, no_ack=False)
    ch.expect_count(queue, 3, 0)


def test_reserved_name_comes_before_everything(broker):
    broker.channel().fails("queue.declare", 403, queue="amq.x", arguments={"x-expires": 0, "x-queue-type": "quorum"})


def test_existing_queue_is_compared_before_its_arguments_are_validated(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=False, durable=True, args={"x-message-ttl": 1000})
    c = ch.connection
    c.channel().fails("queue.declare", 406, inequivalent("durable", queue, "received 'false' but current is 'true'"),
                      queue=queue, arguments={"x-message-ttl": -1})
    close = c.channel().fails("queue.declare", 406, queue=queue, durable=True, arguments={"x-message-ttl": "bad"})
    ok("inequivalent arg 'x-message-ttl'" in close.reply_text, close.reply_text)


def test_transient_non_exclusive_queues_are_accepted(broker):
    accepted(broker, None, durable=False, exclusive=False)


def test_exclusive_queue_is_never_durable(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, durable=True, exclusive=True)
    ch.declare(queue, durable=False, exclusive=True)
    ch.declare(queue, durable=True, exclusive=True)


# --- 6.3 equivalence

def test_exclusive_mismatch_is_405_and_first(broker):
    ch, other = broker.channel(), broker.connect()
    mine, shared = broker.name("mine"), broker.name("shared")
    ch.declare(mine, exclusive=True)
    ch.declare(shared, durable=True)
    other.channel().fails("queue.declare", 405, LOCKED % mine, queue=mine, exclusive=True)
    other.channel().fails("queue.declare", 405, LOCKED % mine, queue=mine)
    other.channel().fails("queue.declare", 405, LOCKED % mine, queue=mine, auto_delete=True)
    c = ch.connection
    c.channel().fails("queue.declare", 405, LOCKED % mine, queue=mine, exclusive=False)
    c.channel().fails("queue.declare", 405, LOCKED % shared, queue=shared, exclusive=True, durable=False)


def test_durable_then_auto_delete_then_arguments(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-message-ttl": 1000, "x-max-length": 5})
    c = ch.connection
    both = {"x-message-ttl": 2000, "x-max-length": 5}
    c.channel().fails("queue.declare", 406, inequivalent("durable", queue, "received 'true' but current is 'false'"),
                      queue=queue, durable=True, auto_delete=True, arguments=both)
    c.channel().fails("queue.declare", 406, inequivalent("auto_delete", queue,
                      "received 'true' but current is 'false'"), queue=queue, auto_delete=True, arguments=both)
    c.channel().fails("queue.declare", 406, inequivalent("x-message-ttl", queue,
                      "received '2000' but current is '1000'"), queue=queue, arguments=both)
    c.channel().fails("queue.declare", 406, inequivalent(
        "x-message-ttl", queue, "received none but current is the value '1000' of type 'signedint'"),
        queue=queue, arguments={"x-max-length": 5})
    ch.declare(queue, {"x-max-length": 5, "x-message-ttl": 1000})


def test_every_known_argument_is_compared(broker):
    values = {"x-message-ttl": (1000, 2000), "x-expires": (100000, 200000), "x-max-length": (1, 2),
              "x-max-length-bytes": (1, 2), "x-max-priority": (1, 2), "x-overflow": ("drop-head", "reject-publish"),
              "x-dead-letter-exchange": ("a", "b"), "x-single-active-consumer": (True, False)}
    for key, (one, two) in values.items():
        ch = broker.channel()
        queue = broker.name()
        ch.declare(queue, {key: one})
        c = ch.connection
        close = c.channel().fails("queue.declare", 406, queue=queue, arguments={key: two})
        ok("inequivalent arg '%s'" % key in close.reply_text, close.reply_text)
        close = c.channel().fails("queue.declare", 406, queue=queue)
        ok("inequivalent arg '%s'" % key in close.reply_text and "received none" in close.reply_text,
           close.reply_text)
        ch.declare(queue, {key: one})
        ch.call("queue.delete", queue=queue)
        ch.declare(queue)
        close = c.channel().fails("queue.declare", 406, queue=queue, arguments={key: one})
        ok("inequivalent arg '%s'" % key in close.reply_text and "but current is none" in close.reply_text,
           close.reply_text)
        ch.call("queue.delete", queue=queue)


def test_dead_letter_routing_key_is_compared(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": "k"})
    ch.fails("queue.declare", 406, inequivalent("x-dead-letter-routing-key", queue, "received 'l' but current is 'k'"),
             queue=queue, arguments={"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": "l"})


def test_integer_widths_do_not_matter(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-max-length": V("I", 100)})
    for kind in "bBsuil":
        ch.declare(queue, {"x-max-length": V(kind, 100)})


def test_unknown_arguments_are_not_compared(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, {"x-foo": 1, "bar": {"deep": [1]}})
    ch.declare(queue, {"x-foo": "two"})
    ch.declare(queue)


def test_absent_queue_type_is_classic(broker):
    ch = broker.channel()
    one, two, quorum = broker.name("one"), broker.name("two"), broker.name("quorum")
    ch.declare(one), ch.declare(one, {"x-queue-type": "classic"})
    ch.declare(two, {"x-queue-type": "classic"}), ch.declare(two)
    c = ch.connection
    ch.declare(quorum, {"x-queue-type": "quorum"}, durable=True)
    c.channel().fails("queue.declare", 406, queue=quorum, durable=True)
    c.channel().fails("queue.declare", 406, queue=quorum, durable=True, arguments={"x-queue-type": "classic"})
    c.channel().fails("queue.declare", 406, inequivalent(
        "x-queue-type", one, "received the value 'quorum' of type 'longstr' but current is none"), queue=one,
        arguments={"x-queue-type": "quorum"})


# --- 6.4 arguments

INTEGER_TYPES = "bBsuIil"
NOT_INTEGER = [(V("T", 5), "timestamp"), (True, "bool"), (5.5, "double"), (V("f", 5.0), "float"), ("5", "longstr"),
               (None, "void"), (V("D", (0, 5)), "decimal"), ([5], "array"), ({"a": 5}, "table"),
               (V("x", b"5"), "binary")]


def test_every_integer_type_is_an_integer(broker):
    for key in ("x-expires", "x-message-ttl", "x-max-length", "x-max-length-bytes", "x-max-priority"):
        for kind in INTEGER_TYPES:
            accepted(broker, {key: V(kind, 100)})


def test_other_types_are_no_integers(broker):
    for key in ("x-expires", "x-message-ttl", "x-max-length", "x-max-length-bytes", "x-max-priority"):
        for value, shown in NOT_INTEGER:
            close = broker.channel().fails("queue.declare", 406, queue=broker.name(), arguments={key: value})
            ok("invalid arg '%s'" % key in close.reply_text, close.reply_text)
            if shown == "longstr" and key in ("x-expires", "x-message-ttl"):
                ok('"expected integer, got longstr"' in close.reply_text, close.reply_text)


def test_expires_range(broker):
    refused(broker, {"x-expires": 0}, "invalid arg 'x-expires' for %(q)s: {value_zero,0}")
    refused(broker, {"x-expires": -1}, "invalid arg 'x-expires' for %(q)s: {value_negative,-1}")
    refused(broker, {"x-expires": 315360000001}, "invalid arg 'x-expires' for %(q)s: {value_too_large,315360000001}")
    accepted(broker, {"x-expires": 1})
    accepted(broker, {"x-expires": 315360000000})


def test_message_ttl_range(broker):
    refused(broker, {"x-message-ttl": -1}, "invalid arg 'x-message-ttl' for %(q)s: {value_negative,-1}")
    refused(broker, {"x-message-ttl": 315360000001},
            "invalid arg 'x-message-ttl' for %(q)s: {value_too_large,315360000001}")
    refused(broker, {"x-message-ttl": "1000"},
            "invalid arg 'x-message-ttl' for %(q)s: \"expected integer, got longstr\"")
    accepted(broker, {"x-message-ttl": 0})
    accepted(broker, {"x-message-ttl": 315360000000})


def test_max_length_range(broker):
    for key in ("x-max-length", "x-max-length-bytes"):
        refused(broker, {key: -1}, "invalid arg '" + key + "' for %(q)s: {value_negative,-1}")
        accepted(broker, {key: 0})
        accepted(broker, {key: 2**62})


def test_max_priority_range(broker):
    refused(broker, {"x-max-priority": 256}, "invalid arg 'x-max-priority' for %(q)s: {max_value_exceeded,256}")
    refused(broker, {"x-max-priority": -1}, "invalid arg 'x-max-priority' for %(q)s: {value_negative,-1}")
    accepted(broker, {"x-max-priority": 0})
    accepted(broker, {"x-max-priority": 255})


def test_overflow_values(broker):
    for value in ("drop-head", "reject-publish", "reject-publish-dlx"):
        accepted(broker, {"x-overflow": value})
    refused(broker, {"x-overflow": "drop-tail"}, "invalid arg 'x-overflow' for %(q)s: invalid_overflow")
    refused(broker, {"x-overflow": 1}, "invalid arg 'x-overflow' for %(q)s: {unacceptable_type,signedint}")


def test_dead_letter_exchange_type(broker):
    for value, shown in ((5, "signedint"), (True, "bool"), (None, "void"), (V("x", b"x"), "binary")):
        refused(broker, {"x-dead-letter-exchange": value},
                "invalid type '" + shown + "' for arg 'x-dead-letter-exchange' in %(q)s")
    accepted(broker, {"x-dead-letter-exchange": "no such exchange"})
    accepted(broker, {"x-dead-letter-exchange": ""})


def test_dead_letter_routing_key_needs_the_exchange(broker):
    refused(broker, {"x-dead-letter-routing-key": "k"},
            "invalid arg 'x-dead-letter-routing-key' for %(q)s: routing_key_but_no_dlx_defined")
    close = broker.channel().fails("queue.declare", 406, queue=broker.name(), arguments={
        "x-dead-letter-exchange": "x", "x-dead-letter-routing-key": 5})
    ok("invalid arg 'x-dead-letter-routing-key'" in close.reply_text, close.reply_text)
    accepted(broker, {"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": ""})


def test_single_active_consumer_is_strictly_boolean(broker):
    refused(broker, {"x-single-active-consumer": "true"},
            "invalid arg 'x-single-active-consumer' for %(q)s: {unacceptable_type,longstr}")
    close = broker.channel().fails("queue.declare", 406, queue=broker.name(),
                                   arguments={"x-single-active-consumer": 1})
    ok("x-single-active-consumer" in close.reply_text, close.reply_text)
    accepted(broker, {"x-single-active-consumer": False})


def test_queue_type_values(broker):
    close = broker.channel().fails("queue.declare", 406, queue=broker.name(), durable=True,
                                   arguments={"x-queue-type": "foo"})
    ok("x-queue-type" in close.reply_text and "\"unsupported queue type 'foo'\"" in close.reply_text, close.reply_text)
    close = broker.channel().fails("queue.declare", 406, queue=broker.name(), durable=True,
                                   arguments={"x-queue-type": 5})
    ok("{unacceptable_type,signedint}" in close.reply_text, close.reply_text)


@differs("3.10 has streams")
def test_stream_queues_are_refused_clearly(broker):
    ch = broker.channel()
    ch.send("queue.declare", queue=broker.name(), durable=True, arguments={"x-queue-type": "stream"})
    close = ch.connection.wait_close()
    eq((close.reply_code, close.class_id, close.method_id), (540, 50, 10))
    ok("stream" in close.reply_text, close.reply_text)


def test_queue_mode_values(broker):
    accepted(broker, {"x-queue-mode": "lazy"})
    accepted(broker, {"x-queue-mode": "default"})
    refused(broker, {"x-queue-mode": "foo"},
            "invalid arg 'x-queue-mode' for %(q)s: \"unsupported queue mode 'foo'\"")
    refused(broker, {"x-queue-mode": 1}, "invalid arg 'x-queue-mode' for %(q)s: {unacceptable_type,signedint}")


def test_queue_version_values(broker):
    accepted(broker, {"x-queue-version": 1})
    accepted(broker, {"x-queue-version": 2})
    refused(broker, {"x-queue-version": 3},
            "invalid arg 'x-queue-version' for %(q)s: \"unsupported queue version '3'\"")
    refused(broker, {"x-queue-version": -1}, "invalid arg 'x-queue-version' for %(q)s: {value_negative,-1}")


@differs("3.10 crashes on an unknown locator")
def test_any_master_locator_is_accepted_on_classic(broker):
    for value in ("min-masters", "client-local", "random", "nonsense"):
        accepted(broker, {"x-queue-master-locator": value})


def test_arguments_of_other_types_are_refused(broker):
    for key, value in (("x-dead-letter-strategy", "at-most-once"), ("x-quorum-initial-group-size", 3),
                       ("x-max-age", "1D"), ("x-stream-max-segment-size-bytes", 1000),
                       ("x-queue-leader-locator", "client-local"), ("x-max-in-memory-length", 1),
                       ("x-max-in-memory-bytes", 1), ("x-initial-cluster-size", 1)):
        refused(broker, {key: value}, "invalid arg '" + key + "' for %(q)s of queue type rabbit_classic_queue")


def test_consumer_timeout_is_accepted_on_every_type(broker):
    accepted(broker, {"x-consumer-timeout": 60000})
    accepted(broker, {"x-consumer-timeout": 60000, "x-queue-type": "quorum"}, durable=True)


def test_unknown_keys_are_accepted(broker):
    accepted(broker, {"x-ha-policy": "all", "x-foo": 1, "foo": [], "x-delayed-retry-type": "all",
                      "x-consumer-disconnected-timeout": 1, "": None})


# --- 6.5 passive

def test_passive_declares(broker):
    c = broker.connect()
    queue, mine = broker.name(), broker.name("mine")
    c.channel().fails("queue.declare", 404, "NOT_FOUND - no queue '%s' in vhost '/'" % queue, queue=queue,
                      passive=True)
    ch = c.channel()
    ch.declare(queue, {"x-max-length": 5}, auto_delete=True)
    ch.call("queue.declare", queue=queue, passive=True, durable=True, exclusive=True,
            arguments={"x-max-length": "nonsense", "x-expires": 0})
    ch.declare(mine, exclusive=True)
    broker.channel().fails("queue.declare", 405, LOCKED % mine, queue=mine, passive=True)


def unprivileged():
    return {"users": [user("noone")], "permissions": [permission("noone", "/", "^$", "^$", "^$")]}


@definitions(unprivileged)
def test_passive_needs_no_permission(broker):
    queue = broker.name()
    broker.channel().declare(queue)
    ch = broker.channel(user="noone", password="noone")
    eq(ch.declare(queue, passive=True).queue, queue)
    ch.fails("queue.declare", 404, queue="missing", passive=True)


# --- 6.1 step 6

def limited():
    return {"vhosts": [{"name": "qlim"}], "parameters": [
        {"vhost": "qlim", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 1}}]}


@definitions(limited)
def test_vhost_queue_limit(broker):
    c = broker.connect(vhost="qlim")
    ch = c.channel()
    queue, second = broker.name(), broker.name("second")
    ch.declare(queue, exclusive=True)
    c.channel().fails("queue.declare", 406, "PRECONDITION_FAILED - cannot declare queue '%s': queue limit in vhost "
                      "'qlim' (1) is reached" % second, queue=second)
    ch.declare(queue, exclusive=True)
    ch.call("queue.delete", queue=queue)
    ch.declare(second, exclusive=True)


# --- queue-features 1.4, the default type

@settings(default_queue_type="quorum")
def test_default_queue_type_of_the_node(broker):
    """Counted returns tell the type; flags that a quorum queue cannot have fall back to classic."""
    for flags, counts in (({"durable": True}, True), ({"exclusive": True}, False), ({"auto_delete": True}, False),
                          ({}, False)):
        ch = broker.channel()
        queue = broker.name()
        ch.declare(queue, **flags)
        ch.publish("", queue, b"x")
        ch.nack(ch.get(queue, no_ack=False).delivery_tag)
        eq("x-delivery-count" in (ch.get(queue).headers or {}), counts, repr(flags))


def typed_vhost():
    return {"vhosts": [{"name": "quorums", "default_queue_type": "quorum",
                        "metadata": {"description": "", "tags": [], "default_queue_type": "quorum"}}]}


@differs("3.10 has no default type")
@definitions(typed_vhost)
def test_default_queue_type_of_a_vhost(broker):
    ch = broker.channel(vhost="quorums")
    queue, classic = broker.name(), broker.name("classic")
    ch.declare(queue, durable=True), ch.declare(classic, {"x-queue-type": "classic"}, durable=True)
    ch.declare(queue, {"x-queue-type": "quorum"}, durable=True)
    ch.declare(classic, {"x-queue-type": "classic"}, durable=True)
    for name, counts in ((queue, True), (classic, False)):
        ch.publish("", name, b"x")
        ch.nack(ch.get(name, no_ack=False).delivery_tag)
        eq("x-delivery-count" in (ch.get(name).headers or {}), counts, name)


@differs("as 4.x; 3.10 refuses it")
def test_empty_queue_type_is_as_absent(broker):
    accepted(broker, {"x-queue-type": ""})
    accepted(broker, {"x-queue-type": "undefined"})
