# SPDX-License-Identifier: Apache-2.0
"""exchanges-queues-bindings, 8: configure, write and read; topic permissions; where they are asked for.

From 3.12 on the texts name the permission that is missing; against 3.10 the tests expect the older wording.
"""

from harness import definitions, differs, eq, permission, topic_permission, user

VHOST = "perm"


def everyone():
    """One user per kind of permission, named after what it may touch: names that begin with c, w or r."""
    return {"vhosts": [{"name": VHOST}],
            "users": [user("cwr"), user("none"), user("amq"), user("partial"), user("wr-self"),
                      user("topical"), user("other"), user("imp", tags=["impersonator"])],
            "permissions": [
                permission("guest", VHOST),
                permission("cwr", VHOST, "^(c|cw|cr|cwr|amq\\.gen)", "^(w|cw|wr|cwr)", "^(r|cr|wr|cwr)"),
                permission("none", VHOST, "", "", ""), permission("amq", VHOST, "^$", "^amq\\.default$", "^$"),
                permission("partial", VHOST, "art", "art", "art"),
                permission("wr-self", VHOST, "^q", "^dlx", "^q"),
                permission("topical", VHOST), permission("other", VHOST), permission("imp", VHOST)],
            "topic_permissions": [
                topic_permission("topical", VHOST, "amq.topic", "^(good|{username}-{vhost})", "^read"),
                topic_permission("topical", VHOST, "amq.direct", "^$", "^$")],
            "exchanges": [{"name": n, "vhost": VHOST, "type": "fanout", "durable": True, "auto_delete": False,
                           "internal": False, "arguments": {}} for n in ("w-x", "r-x", "x")],
            "queues": [{"name": n, "vhost": VHOST, "durable": True, "auto_delete": False, "arguments": {}}
                       for n in ("w-q", "r-q", "q", "artful", "part")]}


loaded = definitions(everyone)


def login(broker, name):
    return broker.connect(user=name, password=name, vhost=VHOST)


def text(broker, mode, kind, name, who):
    newer = mode + " " if broker.is_coney else ""
    return "ACCESS_REFUSED - %saccess to %s '%s' in vhost '%s' refused for user '%s'" % (newer, kind, name, VHOST, who)


def refused(broker, connection, who, method, mode, kind, name, **fields):
    connection.channel().fails(method, 403, text(broker, mode, kind, name, who), **fields)


@loaded
def test_exchange_operations(broker):
    c = login(broker, "cwr")

    def no(method, mode, name, **fields):
        refused(broker, c, "cwr", method, mode, "exchange", name, **fields)

    no("exchange.declare", "configure", "w-new", exchange="w-new", type="direct")
    no("exchange.declare", "configure", "x", exchange="x", type="fanout", durable=True)
    no("exchange.delete", "configure", "x", exchange="x")
    no("exchange.delete", "configure", "no-such", exchange="no-such")
    c.channel().fails("exchange.delete", 403, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '%s' not "
                      "allowed" % VHOST, exchange="amq.direct")
    ae = {"alternate-exchange": "w-x"}
    no("exchange.declare", "read", "c-new", exchange="c-new", type="direct", arguments=ae)
    no("exchange.declare", "write", "r-x", exchange="cr-new", type="direct",
       arguments={"alternate-exchange": "r-x"})
    ch = c.channel()
    ch.exchange("cr-ae", "direct", ae, auto_delete=True)
    ch.exchange("c-new", "direct")
    ch.call("exchange.delete", exchange="c-new"), ch.call("exchange.delete", exchange="cr-ae")
    ch.call("exchange.declare", exchange="x", type="fanout", passive=True)


@loaded
def test_queue_operations(broker):
    c = login(broker, "cwr")

    def no(method, mode, name, **fields):
        refused(broker, c, "cwr", method, mode, "queue", name, **fields)

    no("queue.declare", "configure", "w-new", queue="w-new")
    no("queue.declare", "configure", "q", queue="q", durable=True)
    no("queue.delete", "configure", "q", queue="q")
    no("queue.delete", "configure", "no-such", queue="no-such")
    no("queue.purge", "read", "w-q", queue="w-q")
    no("basic.get", "read", "w-q", queue="w-q")
    no("basic.consume", "read", "w-q", queue="w-q")
    no("basic.get", "read", "no-such", queue="no-such")
    ch = c.channel()
    ch.call("queue.purge", queue="r-q"), ch.get("r-q")
    ch.cancel(ch.consume("r-q"))
    ch.declare("c-new", exclusive=True), ch.call("queue.delete", queue="c-new")
    ch.declare(exclusive=True)
    ch.declare("q", passive=True)


@loaded
def test_declaring_with_a_dead_letter_exchange(broker):
    c = login(broker, "wr-self")
    ch = c.channel()
    queue = "q." + broker.unique
    ch.declare(queue, {"x-dead-letter-exchange": "dlx"}, exclusive=True)
    refused(broker, c, "wr-self", "queue.declare", "write", "exchange", "other", queue="q2",
            arguments={"x-dead-letter-exchange": "other"})
    refused(broker, c, "wr-self", "queue.declare", "write", "exchange", "amq.default", queue="q2",
            arguments={"x-dead-letter-exchange": ""})
    ch.declare(queue, {"x-dead-letter-exchange": "dlx"}, exclusive=True)
    c2 = login(broker, "cwr")
    refused(broker, c2, "cwr", "queue.declare", "read", "queue", "c-q", queue="c-q",
            arguments={"x-dead-letter-exchange": "w-x"})


@loaded
def test_bindings(broker):
    c = login(broker, "cwr")
    for method in ("queue.bind", "queue.unbind"):
        refused(broker, c, "cwr", method, "write", "queue", "r-q", queue="r-q", exchange="r-x")
        refused(broker, c, "cwr", method, "read", "exchange", "w-x", queue="w-q", exchange="w-x")
    for method in ("exchange.bind", "exchange.unbind"):
        refused(broker, c, "cwr", method, "write", "exchange", "r-x", destination="r-x", source="r-x")
        refused(broker, c, "cwr", method, "read", "exchange", "w-x", destination="w-x", source="w-x")
    ch = c.channel()
    ch.bind("w-q", "r-x"), ch.unbind("w-q", "r-x")
    ch.bind_exchange("w-x", "r-x")
    ch.call("exchange.unbind", destination="w-x", source="r-x")


@loaded
def test_publishing(broker):
    c = login(broker, "cwr")
    for exchange, shown in (("r-x", "r-x"), ("", "amq.default"), ("no-such", "no-such")):
        ch = c.channel()
        ch.publish(exchange, "q", b"")
        ch.expect_close(403, text(broker, "write", "exchange", shown, "cwr"), 60, 40)
    ch = c.channel()
    ch.publish("w-x", "", b"")
    ch.sync()
    c = login(broker, "amq")
    ch = c.channel()
    ch.publish("", "nowhere", b"")
    ch.sync()


@loaded
def test_operations_that_need_none(broker):
    c = login(broker, "none")
    ch = c.channel()
    ch.qos(1), ch.cancel("no-such"), ch.call("basic.recover", requeue=True), ch.confirm(), ch.sync()
    ch.ack(0, multiple=True)
    ch = c.channel()
    ch.call("tx.select"), ch.call("tx.commit"), ch.call("tx.rollback")
    ch.consume("amq.rabbitmq.reply-to", no_ack=True)


@loaded
def test_empty_pattern_matches_nothing_real(broker):
    c = login(broker, "none")
    refused(broker, c, "none", "queue.declare", "configure", "queue", "any", queue="any")
    ch = c.channel()
    ch.publish("", "q", b"")
    ch.expect_close(403, text(broker, "write", "exchange", "amq.default", "none"), 60, 40)


@loaded
def test_patterns_search_unanchored(broker):
    ch = login(broker, "partial").channel()
    ch.get("artful"), ch.get("part")
    ch.fails("basic.get", 403, queue="q")


@loaded
def test_server_named_queues_need_configure_on_amq_gen(broker):
    login(broker, "cwr").channel().declare(exclusive=True)
    login(broker, "partial").channel().fails("queue.declare", 403, exclusive=True)


@loaded
def test_direct_reply_needs_write_on_the_default_exchange_only(broker):
    c = login(broker, "amq")
    ch = c.channel()
    ch.consume("amq.rabbitmq.reply-to", no_ack=True)
    ch.publish("", "nowhere", b"", {"reply_to": "amq.rabbitmq.reply-to"}, mandatory=True)
    name = ch.take("basic.return").props["reply_to"]
    other = login(broker, "amq").channel()
    other.publish("", name, b"answer")
    eq(ch.delivery().body, b"answer")
    denied = login(broker, "cwr").channel()
    denied.publish("", name, b"no")
    denied.expect_close(403, text(broker, "write", "exchange", "amq.default", "cwr"), 60, 40)


@loaded
def test_dead_lettering_needs_nothing_at_run_time(broker):
    """guest set the queue up; the rejecting user may only read it."""
    boss = broker.connect(vhost=VHOST).channel()
    queue, dead = "r-" + broker.unique, "z-" + broker.unique
    boss.declare(dead), boss.declare(queue, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    boss.publish("", queue, b"x")
    boss.sync()
    ch = login(broker, "cwr").channel()
    ch.consume(queue, "t")
    ch.reject(ch.delivery().delivery_tag, requeue=False)
    ch.sync()
    boss.consume(dead, "d", no_ack=True)
    eq(boss.delivery().body, b"x")
    boss.call("queue.delete", queue=queue), boss.call("queue.delete", queue=dead)


# --- 8.3 topic permissions

def topic_text(broker, mode, key, who="topical"):
    newer = mode + " " if broker.is_coney else ""
    return "ACCESS_REFUSED - %saccess to topic '%s' in exchange 'amq.topic' in vhost '%s' refused for user '%s'" % (
        newer, key, VHOST, who)


@loaded
def test_topic_write_permission(broker):
    c = login(broker, "topical")
    ch = c.channel()
    ch.publish("amq.topic", "good.key", b""), ch.publish("amq.topic", "topical-perm", b"")
    ch.sync()
    ch.publish("amq.topic", "bad", b"")
    ch.expect_close(403, topic_text(broker, "write", "bad"), 60, 40)
    ch = c.channel()
    ch.publish("amq.topic", "", b"")
    ch.expect_close(403, topic_text(broker, "write", ""), 60, 40)


@loaded
def test_topic_read_permission(broker):
    c = login(broker, "topical")
    ch = c.channel()
    queue = ch.declare(exclusive=True).queue
    ch.bind(queue, "amq.topic", "read.*")
    ch.unbind(queue, "amq.topic", "read.*")
    c.channel().fails("queue.bind", 403, topic_text(broker, "read", "write.*"), queue=queue, exchange="amq.topic",
                      routing_key="write.*")
    c.channel().fails("queue.unbind", 403, topic_text(broker, "read", "write.*"), queue=queue, exchange="amq.topic",
                      routing_key="write.*")
    c.channel().fails("exchange.bind", 403, topic_text(broker, "read", "#"), destination="x", source="amq.topic",
                      routing_key="#")


@loaded
def test_topic_permissions_are_for_topic_exchanges_and_their_user(broker):
    ch = login(broker, "topical").channel()
    ch.publish("amq.direct", "anything", b"")
    ch.bind(ch.declare(exclusive=True).queue, "amq.direct", "anything")
    ch = login(broker, "other").channel()
    ch.publish("amq.topic", "anything", b"")
    ch.sync()


@differs("3.10 does not check CC and BCC keys")
@loaded
def test_topic_permission_covers_cc_and_bcc(broker):
    for header in ("CC", "BCC"):
        ch = login(broker, "topical").channel()
        ch.publish("amq.topic", "good", b"", {"headers": {header: ["good.too"]}})
        ch.sync()
        ch.publish("amq.topic", "good", b"", {"headers": {header: ["good.too", "bad"]}})
        ch.expect_close(403, topic_text(broker, "write", "bad"), 60, 40)


# --- 8.4 other gates

@loaded
def test_internal_exchange_after_permission_and_existence(broker):
    boss = broker.connect(vhost=VHOST).channel()
    name = "w-internal." + broker.unique
    boss.exchange(name, "fanout", internal=True)
    ch = login(broker, "cwr").channel()
    ch.publish(name, "", b"")
    ch.expect_close(403, "ACCESS_REFUSED - cannot publish to internal exchange '%s' in vhost '%s'" % (name, VHOST),
                    60, 40)
    boss.call("exchange.delete", exchange=name)


@loaded
def test_impersonator_may_set_any_user_id(broker):
    ch = login(broker, "imp").channel()
    queue = ch.declare(exclusive=True).queue
    ch.publish("", queue, b"", {"user_id": "somebody else"})
    eq(ch.get(queue).props["user_id"], "somebody else")
