# SPDX-License-Identifier: Apache-2.0
"""publish-consume-ack, 9: direct reply-to, the pseudo-queue between a requester and its responder."""

from amqp_raw import ChannelClosed
from harness import differs, eq, matches, ok, wait_until

PSEUDO = "amq.rabbitmq.reply-to"


def requester(broker, tag=""):
    ch = broker.channel()
    return ch, ch.consume(PSEUDO, tag, no_ack=True)


def reply_name(broker, ch):
    """The name a responder sees in reply-to; the request travels through a queue of its own."""
    queue = broker.name("requests")
    keeper = ch.connection.channel()
    keeper.declare(queue, exclusive=True)
    ch.publish("", queue, b"request", {"reply_to": PSEUDO, "correlation_id": "c"})
    ch.sync()
    props = wait_until(lambda: keeper.get(queue), 5).props
    keeper.call("queue.delete", queue=queue)
    keeper.close()
    eq(props["correlation_id"], "c")
    return props["reply_to"]


def test_reply_reaches_the_requester(broker):
    ch, tag = requester(broker)
    matches(tag, r"^amq\.ctag-")
    name = reply_name(broker, ch)
    matches(name, r"^amq\.rabbitmq\.reply-to\.[^.]+\.[A-Za-z0-9+/]{22}==$")
    ok(len(name) <= 255, "name of %d characters" % len(name))
    responder = broker.channel()
    responder.publish("", name, b"answer", {"correlation_id": "c", "headers": {"a": 1}, "delivery_mode": 2})
    got = ch.delivery()
    eq((got.consumer_tag, got.exchange, got.routing_key, got.redelivered, got.body, got.headers),
       (tag, "", name, False, b"answer", {"a": 1}))


def test_consumer_tag_is_kept(broker):
    eq(requester(broker, "mine")[1], "mine")


def test_must_not_acknowledge(broker):
    broker.channel().fails("basic.consume", 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge",
                           queue=PSEUDO, no_ack=False)
    ch, _ = requester(broker)
    ch.fails("basic.consume", 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge", queue=PSEUDO, no_ack=False)


def test_tag_of_a_reply_consumer_is_of_its_own_kind(broker):
    ch, _ = requester(broker, "t")
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    eq(ch.consume(queue, "t"), "t")
    ch.cancel("t")                                  # the reply consumer's
    ch.publish("", queue, b"x")
    eq(ch.delivery().body, b"x")
    ch.kills("basic.consume", 530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", queue=PSEUDO, consumer_tag="t",
             no_ack=True)


def test_one_reply_consumer_per_channel(broker):
    ch, _ = requester(broker)
    ch.fails("basic.consume", 406, "PRECONDITION_FAILED - reply consumer already set", queue=PSEUDO, no_ack=True)


def test_tag_in_use(broker):
    ch = broker.channel()
    ch.consume(ch.declare(exclusive=True).queue, "t")
    ch.kills("basic.consume", 530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", queue=PSEUDO, no_ack=True,
             consumer_tag="t")


def test_exclusive_and_arguments_are_ignored(broker):
    ch = broker.channel()
    ch.consume(PSEUDO, "t", {"x-priority": "nonsense"}, no_ack=True, exclusive=True)
    ch.cancel("t")


def test_request_must_come_from_the_consuming_channel(broker):
    ch, _ = requester(broker)
    other = ch.connection.channel()
    other.publish("", "nowhere", b"", {"reply_to": PSEUDO})
    other.expect_close(406, "PRECONDITION_FAILED - fast reply consumer does not exist", 60, 40)


def test_other_reply_to_values_are_untouched(broker):
    ch, _ = requester(broker)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for value in ("some queue", PSEUDO + ".something", "amq.rabbitmq.reply-t", ""):
        ch.publish("", queue, b"", {"reply_to": value})
        eq(ch.get(queue).props, {"reply_to": value})


def test_only_the_reply_to_changes_in_a_request(broker):
    ch, _ = requester(broker)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    props = {"content_type": "text/plain", "headers": {"z": 1, "a": 2}, "correlation_id": "id", "reply_to": PSEUDO,
             "message_id": "m", "app_id": "app"}
    ch.publish("", queue, b"body", props)
    got = ch.get(queue)
    changed = dict(got.props)
    ok(changed["reply_to"].startswith(PSEUDO + "."), changed["reply_to"])
    changed["reply_to"] = PSEUDO
    changed["headers"] = got.headers
    eq((changed, got.body), (props, b"body"))


def test_replies_through_other_exchanges_are_unroutable(broker):
    ch, _ = requester(broker)
    name = reply_name(broker, ch)
    other = broker.channel()
    other.publish("amq.direct", name, b"", mandatory=True)
    eq(other.take("basic.return").reply_code, 312)


def test_gone_requester_is_dropped_silently(broker):
    for how in ("cancel", "close", "connection"):
        ch, tag = requester(broker)
        name = reply_name(broker, ch)
        if how == "cancel":
            ch.cancel(tag)
        elif how == "close":
            ch.close()
        else:
            ch.connection.close()
        responder = broker.channel()
        responder.confirm()
        eq(responder.publish_confirmed("", name, b"late").name, "basic.ack")
        eq(list(responder.inbox), [])
        responder.fails("queue.declare", 404, "NOT_FOUND - no queue '%s' in vhost '/'" % name, queue=name, passive=True)


def test_reply_is_confirmed_at_once(broker):
    ch, _ = requester(broker)
    name = reply_name(broker, ch)
    responder = broker.channel()
    responder.confirm()
    for n in range(1, 4):
        got = responder.publish_confirmed("", name, b"x")
        eq((got.name, got.delivery_tag), ("basic.ack", n))
    eq(len(ch.deliveries(3)), 3)


@differs("3.10 returns every mandatory reply")
def test_mandatory_reply_is_returned_only_if_undeliverable(broker):
    ch, tag = requester(broker)
    name = reply_name(broker, ch)
    responder = broker.channel()
    responder.publish("", name, b"arrives", mandatory=True)
    eq(ch.delivery().body, b"arrives")
    responder.sync()
    eq(list(responder.inbox), [])
    ch.cancel(tag)
    responder.publish("", name, b"too late", mandatory=True)
    eq(responder.take("basic.return").body, b"too late")
    responder.publish("", PSEUDO + ".garbage", b"bad name", mandatory=True)
    eq(responder.take("basic.return").body, b"bad name")


def test_liveness_check_by_declare(broker):
    ch, _ = requester(broker)
    name = reply_name(broker, ch)
    responder = broker.channel()
    for flags in ({"passive": True}, {}, {"durable": True, "exclusive": True, "auto_delete": True}):
        got = responder.declare(name, **flags)
        eq((got.queue, got.message_count, got.consumer_count), (name, 0, 1))
    ch.close()
    for passive in (True, False):
        broker.channel().fails("queue.declare", 404, "NOT_FOUND - no queue '%s' in vhost '/'" % name, queue=name,
                               passive=passive)


def test_declare_of_the_bare_name_always_succeeds(broker):
    ch = broker.channel()
    for passive in (True, False):
        got = ch.declare(PSEUDO, passive=passive)
        eq((got.queue, got.message_count, got.consumer_count), (PSEUDO, 0, 1))


def test_other_operations_on_the_names(broker):
    ch, _ = requester(broker)
    name = reply_name(broker, ch)
    for method in ("basic.get", "basic.consume", "queue.purge"):
        broker.channel().fails(method, 404, "NOT_FOUND - no queue '%s' in vhost '/'" % name, queue=name)
    broker.channel().fails("basic.get", 404, "NOT_FOUND - no queue '%s' in vhost '/'" % PSEUDO, queue=PSEUDO)
    broker.channel().fails("queue.bind", 404, queue=name, exchange="amq.direct", routing_key="k")
    broker.channel().unbind(name, "amq.direct", "k")
    eq(broker.channel().call("queue.delete", queue=name).message_count, 0)
    broker.channel().publish("", name, b"still there")
    eq(ch.delivery().body, b"still there")


def test_consuming_again_makes_a_new_secret(broker):
    ch, tag = requester(broker)
    old = reply_name(broker, ch)
    ch.cancel(tag)
    ch.consume(PSEUDO, "again", no_ack=True)
    new = reply_name(broker, ch)
    ok(old != new, "same name")
    responder = broker.channel()
    responder.publish("", old, b"to the old name"), responder.publish("", new, b"to the new name")
    eq(ch.delivery().body, b"to the new name")
    responder.fails("queue.declare", 404, queue=old, passive=True)


def test_altered_names_are_dead(broker):
    ch, _ = requester(broker)
    name = reply_name(broker, ch)
    last = "A" if name[-1] != "A" else "B"
    responder = broker.channel()
    altered = [name[:-4] + last * 4]
    if broker.is_coney:             # 3.10 answers 541 to names that it cannot decode
        altered += [name[:-1] + last, name + "A", name[:-1], PSEUDO + ".", PSEUDO + ".garbage", name[:40],
                    name[:len(PSEUDO) + 2] + last + name[len(PSEUDO) + 3:]]
    for bad in altered:
        responder.publish("", bad, b"forged")
        try:
            responder.connection.channel().declare(bad, passive=True)
            raise AssertionError("%r is alive" % bad)
        except ChannelClosed as closed:
            eq(closed.code, 404)
    responder.sync()
    responder.publish("", name, b"true")
    eq(ch.delivery().body, b"true")


@differs("3.10 shows the next tag without using it up")
def test_cc_and_bcc_may_name_a_requester(broker):
    ch, _ = requester(broker)
    name, queue = reply_name(broker, ch), broker.name("q")
    responder = broker.channel()
    responder.declare(queue, exclusive=True)
    responder.confirm()
    for key, headers in (("nowhere", {"CC": [name]}), (queue, {"BCC": [name]}), (name, {"CC": [name, queue]})):
        responder.publish_confirmed("", key, key.encode(), {"headers": headers}, mandatory=True)
        got = ch.delivery()
        eq((got.exchange, got.routing_key, got.body), ("", key, key.encode()))
    ch.sync()
    ok(not ch.queued("basic.deliver"), "each once")
    eq([responder.get(queue).body for _ in range(2)], [queue.encode(), name.encode()])
    responder.sync()
    ok(not responder.queued("basic.return"), "a reply counts as routed")


def test_replies_count_in_the_delivery_tags(broker):
    ch, _ = requester(broker)
    name = reply_name(broker, ch)
    responder = broker.channel()
    for _ in range(3):
        responder.publish("", name, b"x")
    eq([m.delivery_tag for m in ch.deliveries(3)], [1, 2, 3])
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"x")
    eq(ch.get(queue).delivery_tag, 4)


def test_replies_are_not_limited_by_prefetch(broker):
    ch = broker.channel()
    ch.qos(1)
    ch.consume(PSEUDO, no_ack=True)
    name = reply_name(broker, ch)
    responder = broker.channel()
    for i in range(100):
        responder.publish("", name, str(i))
    eq([int(m.body) for m in ch.deliveries(100)], list(range(100)))


def test_requests_and_replies_of_many_channels(broker):
    c = broker.connect()
    queue = broker.name()
    server = broker.channel()
    server.declare(queue)
    server.consume(queue, no_ack=True)
    chs = [c.channel() for _ in range(20)]
    for i, ch in enumerate(chs):
        ch.consume(PSEUDO, no_ack=True)
        for n in range(5):
            ch.publish("", queue, b"%d.%d" % (i, n), {"reply_to": PSEUDO})
    for m in server.deliveries(100):
        server.publish("", m.props["reply_to"], m.body)
    for i, ch in enumerate(chs):
        eq([m.body for m in ch.deliveries(5)], [b"%d.%d" % (i, n) for n in range(5)])
