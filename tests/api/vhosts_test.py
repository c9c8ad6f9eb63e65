# SPDX-License-Identifier: Apache-2.0
"""/api/vhosts (management-http-api.md 3.9): vhosts come and go while clients are connected."""

import re
import signal

from api_harness import Node, differs, eq, matches, ok, path
from harness import at_once


def names(broker, **how):
    return [vhost["name"] for vhost in broker.get("vhosts", **how)]


def test_made_shown_changed_and_deleted(broker):
    name = broker.name("v")
    eq(broker.put(path("vhosts", name), {"description": "d", "tags": "a,b"}).status, 201)
    shown = broker.get(path("vhosts", name))
    eq((shown["name"], shown["description"], shown["tags"]), (name, "d", ["a", "b"]))
    eq(shown["metadata"]["tags"], ["a", "b"])
    eq(list(shown["cluster_state"].values()), ["running"])
    eq((shown.get("messages", 0), shown["tracing"]), (0, False))
    eq(broker.put(path("vhosts", name), {"description": "e"}).status, 204)
    eq(broker.get(path("vhosts", name))["description"], "e")
    ok(name in names(broker), "listed")
    eq(broker.delete(path("vhosts", name)).status, 204)
    ok(name not in names(broker), "not listed any more")
    broker.refused("GET", path("vhosts", name), status=404)
    broker.refused("DELETE", path("vhosts", name), status=404)


def test_who_makes_a_vhost_may_use_it(broker):
    name = broker.new_vhost()
    broker.channel(vhost=name).declare("mine")
    eq([q["name"] for q in broker.get(path("queues", name))], ["mine"])


def test_only_administrators_make_and_delete(broker):
    name, user = broker.new_vhost(), broker.new_user(tags=("management",))
    for verb in ("PUT", "DELETE", "GET"):
        broker.refused(verb, path("vhosts", name), {}, status=401, user=user)
    eq(names(broker, user=user), [])
    broker.permit(user, name)
    eq(names(broker, user=user), [name])


def test_all_that_is_in_it_goes_and_clients_are_told(broker):
    name = broker.new_vhost()
    c = broker.connect(vhost=name)
    ch = c.channel()
    ch.exchange("x", "topic", durable=True)
    for i in range(20):
        ch.declare("q%d" % i, durable=True)
        ch.bind("q%d" % i, "x", "k.%d" % i)
    ch.consume("q0")
    broker.delete(path("vhosts", name))
    c.expect_close(320, re.compile("^CONNECTION_FORCED - vhost '%s' is (deleted|down)$" % re.escape(name)))
    broker.put(path("vhosts", name))
    eq(broker.get(path("queues", name)), [])
    ch = broker.channel(vhost=name)
    ch.fails("exchange.declare", 404, exchange="x", type="topic", passive=True)


def test_nobody_may_use_it_after_it_was_deleted_and_made_by_another(broker):
    name, user = broker.new_vhost(), broker.new_user(tags=("management",))
    broker.permit(user, name)
    broker.delete(path("vhosts", name))
    broker.put(path("vhosts", name))
    broker.refused("GET", path("queues", name), status=401, user=user)


def test_bad_default_queue_type(broker):
    if broker.is_coney:
        broker.refused("PUT", path("vhosts", broker.name("v")), {"default_queue_type": "nope"}, status=400)


def test_default_queue_type(broker):
    name = broker.new_vhost(default_queue_type="quorum")
    if not broker.is_coney:
        return
    broker.channel(vhost=name).declare("q", durable=True)
    eq(broker.get(path("queues", name, "q"))["type"], "quorum")
    eq(broker.get(path("vhosts", name))["default_queue_type"], "quorum")


@differs("about what coneyd keeps of a deleted vhost")
def test_made_again_it_is_as_any_new_one(broker):
    name = broker.new_vhost(default_queue_type="quorum", tracing=True)
    broker.delete(path("vhosts", name))
    broker.put(path("vhosts", name))
    shown = broker.get(path("vhosts", name))
    eq((shown["default_queue_type"], shown["tracing"]), ("classic", False))
    ch = broker.channel(vhost=name)
    ch.declare("q", durable=True)
    eq(broker.get(path("queues", name, "q"))["type"], "classic")
    ch.declare("traced")
    ch.bind("traced", "amq.rabbitmq.trace", "#")
    ch.publish("", "q", b"m")
    eq(ch.get("q").body, b"m")
    eq(ch.get("traced"), None)


@differs("protection is RabbitMQ 4's")
def test_protected_from_deletion(broker):
    name = broker.new_vhost(protected_from_deletion=True)
    where = path("vhosts", name) + "/deletion/protection"
    broker.refused("DELETE", path("vhosts", name), status=412)
    broker.delete(where)
    broker.post(where)
    broker.refused("DELETE", path("vhosts", name), status=412)
    broker.delete(where)
    broker.delete(path("vhosts", name))


def test_pages_and_filters(broker):
    made = [broker.new_vhost() for _ in range(3)]
    page = broker.get("vhosts?page=1&page_size=2&name=pages_and_filters")
    eq((page["filtered_count"], page["item_count"], page["page_count"]), (3, 2, 2))
    eq([v["name"] for v in page["items"]], sorted(made)[:2])
    eq(broker.get("vhosts?columns=name&page=2&page_size=2&name=pages_and_filters")["items"], [{"name": sorted(made)[2]}])


def kept(node, name):
    return [vhost["description"] for vhost in node.get("vhosts") if vhost["name"] == name]


@differs("about restarts of coneyd")
def test_vhosts_survive_and_deleted_ones_do_not(broker):
    with Node() as node:
        for name in ("stays", "goes", "again"):
            node.put(path("vhosts", name), {"description": name})
            node.connect(vhost=name).channel().declare("q", durable=True)
        node.delete("vhosts/goes")
        node.delete("vhosts/again")
        node.put("vhosts/again", {"description": "anew"})
        for sign in (None, signal.SIGKILL):
            node.restart(sign)
            eq([kept(node, name) for name in ("stays", "goes", "again")], [["stays"], [], ["anew"]])
            eq([q["vhost"] for q in node.get("queues")], ["stays"])
        node.put("vhosts/goes")
        eq(node.get("queues/goes"), [])


@differs("about coneyd's bound on vhosts")
def test_as_many_as_there_may_be(broker):
    with Node("--set", "vhost_max=3") as node:
        node.put("vhosts/1")
        node.put("vhosts/2")
        matches(node.refused("PUT", "vhosts/3", {}, status=400).reason, "limit")
        node.delete("vhosts/1")
        node.put("vhosts/3")


def test_one_vhost_by_many_at_once(broker):
    """Made, changed and deleted by several: each is answered, and the broker lives."""
    if not broker.is_coney:
        return
    vhost = broker.new_vhost()

    def ask(i):
        verb, body = (("PUT", {}), ("DELETE", None), ("PUT", {"description": "d"}))[i % 3]
        answer = broker.ask(verb, path("vhosts", vhost), body)
        ok(answer.status in (201, 204, 404), "%s: %r" % (verb, answer))

    at_once(ask, 300, jobs=8)
    broker.get("vhosts")


def test_changes_of_a_vhost_that_goes(broker):
    """What is put into a vhost while it is deleted does not keep the node from starting, nor come back."""
    del broker
    with Node() as node:
        def ask(i):
            vhost, other = "v%d" % (i % 2), i // 2
            verb, where, body = (("PUT", path("vhosts", vhost), {}), ("DELETE", path("vhosts", vhost), None),
                                 ("PUT", path("policies", vhost, "p"), {"pattern": "", "definition": {"max-length": 1}}),
                                 ("PUT", path("permissions", vhost, "guest"),
                                  {"configure": "", "write": "", "read": ""}),
                                 ("PUT", path("vhost-limits", vhost, "max-queues"), {"value": 5}))[other % 5]
            answer = node.ask(verb, where, body)
            ok(answer.status in (201, 204, 400, 404), "%s %s: %r" % (verb, where, answer))

        for _ in range(3):
            at_once(ask, 400, jobs=8)
            for vhost in ("v0", "v1"):
                node.ask("DELETE", path("vhosts", vhost))
            node.restart(signal.SIGKILL)
            eq([row["vhost"] for row in node.get("policies")], [])
            for vhost in ("v0", "v1"):
                node.put(path("vhosts", vhost))
            eq((node.get("policies"), node.get("vhost-limits")), ([], []))
