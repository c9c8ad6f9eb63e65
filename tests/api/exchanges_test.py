# SPDX-License-Identifier: Apache-2.0
"""/api/exchanges (management-http-api.md 3.6): listed, declared, deleted, and who may."""

import harness
from api_harness import definitions, differs, eq, ok, path

REFUSED = dict(status=401, error="not_authorised", reason=r"^Access refused\.$")


def people():
    """A vhost in which one user has rights on names that begin with mine, and an administrator has none."""
    return {"users": [harness.user("exchanges.some", tags=["management"]),
                      harness.user("exchanges.boss", tags=["administrator"])],
            "vhosts": [{"name": "exchanges.v"}],
            "permissions": [harness.permission("exchanges.some", "exchanges.v", "^mine", "^mine", "^mine")]}


def test_declare_show_delete(broker):
    e = broker.name("e")
    where = path("exchanges", "/", e)
    eq(broker.put(where, {"type": "topic", "durable": True, "auto_delete": False, "internal": True,
                          "arguments": {"alternate-exchange": "amq.fanout", "n": 7}}).status, 201)
    eq(broker.put(where, {"type": "topic", "durable": True, "internal": True,
                          "arguments": {"alternate-exchange": "amq.fanout", "n": 7}}).status, 204)
    shown = broker.get(where)
    for key, value in {"name": e, "vhost": "/", "type": "topic", "durable": True, "auto_delete": False,
                       "internal": True, "arguments": {"alternate-exchange": "amq.fanout", "n": 7},
                       "incoming": [], "outgoing": []}.items():
        eq(shown[key], value, key)
    ok(isinstance(shown["user_who_performed_action"], str), shown)
    answer = broker.delete(where)
    eq(answer.body, b"")
    broker.refused("GET", where, status=404, error="Object Not Found", reason="^Not Found$")
    broker.refused("DELETE", where, status=404, error="Object Not Found", reason="^Not Found$")


def test_body_may_be_empty(broker):
    where = path("exchanges", "/", broker.name("e"))
    answer = broker.ask("PUT", where, b"")
    eq((answer.status, answer.body), (201, b""))
    shown = broker.get(where)
    eq((shown["type"], shown["durable"], shown["auto_delete"], shown["internal"]), ("direct", False, False, False))


def test_booleans_as_strings(broker):
    where = path("exchanges", "/", broker.name("e"))
    broker.put(where, {"durable": "true", "auto_delete": "false", "internal": "true"}, status=201)
    shown = broker.get(where)
    eq((shown["durable"], shown["auto_delete"], shown["internal"]), (True, False, True))
    broker.refused("PUT", where, {"durable": "yes"}, reason="^not_boolean:? yes$", error="bad_request")
    broker.refused("PUT", where, {"internal": 1}, reason="^not_boolean:? 1$", error="bad_request")


def test_bodies_that_are_no_objects(broker):
    where = path("exchanges", "/", broker.name("e"))
    for body in (b"[]", b"5", b"{"):
        broker.refused("PUT", where, body, error="bad_request", reason="^not_json$")
    broker.get(where, status=404)


def test_redeclared_otherwise(broker):
    e = broker.name("e")
    where = path("exchanges", "/", e)
    broker.put(where, {"type": "direct"})
    broker.refused("PUT", where, {"type": "fanout"}, error="bad_request",
                   reason=r"^inequivalent arg 'type' for exchange '%s' in vhost '/': received 'fanout' but current is "
                          r"'direct'$" % e)
    broker.refused("PUT", where, {"type": "direct", "durable": True}, reason="^inequivalent arg 'durable' for exchange")


def test_unknown_type(broker):
    where = path("exchanges", "/", broker.name("e"))
    broker.refused("PUT", where, {"type": "nope"}, error="bad_request", reason="(unknown|invalid) exchange type 'nope'")


def test_reserved_names(broker):
    broker.refused("PUT", "exchanges/%2F/amq.mine", {}, **REFUSED)
    broker.refused("PUT", "exchanges/%2F/amq.default", {"durable": True}, **REFUSED)
    broker.refused("DELETE", "exchanges/%2F/amq.default", **REFUSED)
    broker.refused("DELETE", "exchanges/%2F/amq.topic", **REFUSED)
    broker.put("exchanges/%2F/amq.topic", {"type": "topic", "durable": True}, status=204)


def test_names_of_any_kind(broker):
    e = broker.name("e") + " a/b?ü%"
    broker.names.append(e)
    broker.put(path("exchanges", "/", e), {}, status=201)
    eq(broker.get(path("exchanges", "/", e))["name"], e)
    ok(e in [x["name"] for x in broker.get("exchanges/%2F")], "in the list")
    broker.delete(path("exchanges", "/", e))


@differs("RabbitMQ crashes")
def test_name_that_is_too_long(broker):
    broker.refused("PUT", path("exchanges", "/", "x" * 256), {}, reason="longer than 255")


def test_default_exchange(broker):
    shown = broker.get("exchanges/%2F/amq.default")
    eq((shown["name"], shown["type"], shown["durable"], shown["internal"]), ("", "direct", True, False))
    names = [e["name"] for e in broker.get("exchanges/%2F/")]
    for name in ("", "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"):
        ok(name in names, name)


def test_in_use(broker):
    ch, e, q = broker.channel(), broker.name("e"), broker.name()
    ch.declare(q)
    ch.exchange(e)
    ch.bind(q, e, "k")
    broker.refused("DELETE", path("exchanges", "/", e) + "?if-unused=true", error="bad_request",
                   reason="^exchange '%s' in vhost '/' in use$" % e)
    ch.unbind(q, e, "k")
    broker.delete(path("exchanges", "/", e) + "?if-unused=true")


def test_lists_are_paged_sorted_and_cut(broker):
    names = [broker.name("e") for _ in range(3)]
    for name in names:
        broker.put(path("exchanges", "/", name), {})
    page = broker.get("exchanges/%%2F?page=1&page_size=2&name=%s&sort=name&sort_reverse=true" % broker.unique)
    eq((page["filtered_count"], page["item_count"], page["page_count"]), (3, 2, 2))
    eq([e["name"] for e in page["items"]], sorted(names, reverse=True)[:2])
    eq(broker.get(path("exchanges", "/", names[0]) + "?columns=name,type"), {"name": names[0], "type": "direct"})
    ok({"name": names[1]} in broker.get("exchanges?columns=name"), "columns of the whole list")


def test_sorted_by_name_whatever_the_vhost(broker):
    vhost = broker.new_vhost()
    names = [broker.name("e") for _ in range(4)]
    for i, name in enumerate(names):
        broker.put(path("exchanges", "/" if i % 2 else vhost, name), {})
    where = "exchanges?page=1&page_size=500&name=%s" % broker.unique
    for sort, wanted in (("&sort=name", sorted(names)), ("&sort=name&sort_reverse=true", sorted(names, reverse=True)),
                         ("&sort=vhost", [names[1], names[3], names[0], names[2]]),
                         ("", [names[1], names[3], names[0], names[2]])):
        eq([e["name"] for e in broker.get(where + sort)["items"]], wanted, sort)
    eq(names, sorted(names), "named in order")


def test_the_page_after_a_full_last_one_is_empty(broker):
    for _ in range(2):
        broker.put(path("exchanges", "/", broker.name("e")), {})
    where = "exchanges?page_size=2&name=%s&page=" % broker.unique
    page = broker.get(where + "2")
    eq([page[k] for k in ("filtered_count", "item_count", "page", "page_count", "items")], [2, 0, 2, 1, []])
    broker.refused("GET", where + "3", error="page_out_of_range",
                   reason="^Page out of range, page: 3 page size: 2, len: 2$")


def test_counts_of_messages(broker):
    ch, e, q = broker.channel(), broker.name("e"), broker.name()
    ch.declare(q)
    ch.exchange(e, "fanout")
    ch.bind(q, e)
    for _ in range(3):
        ch.publish(e, "", b"x")
    ch.expect_count(q, 3)

    def counted():
        stats = broker.get(path("exchanges", "/", e)).get("message_stats") or {}
        return (stats.get("publish_in"), stats.get("publish_out")) == (3, 3) and stats

    stats = harness.wait_until(counted, 30, "counts")
    for key in ("publish_in_details", "publish_out_details"):
        ok(isinstance(stats[key]["rate"], (int, float)), stats)


@differs("RabbitMQ has nothing there for an exchange that was not used")
def test_counts_are_there_from_the_beginning(broker):
    where = path("exchanges", "/", broker.name("e"))
    broker.put(where, {})
    stats = broker.get(where)["message_stats"]
    eq((stats["publish_in"], stats["publish_out"]), (0, 0))
    ok("message_stats" not in broker.get(where + "?disable_stats=true"), "disable_stats")


def test_verbs(broker):
    where = path("exchanges", "/", broker.name("e"))
    answer = broker.ask("POST", where, {})
    eq((answer.status, answer.body), (405, b""))
    eq(broker.ask("PUT", "exchanges/%2F").status, 405)
    eq(sorted(broker.ask("OPTIONS", where, anonymous=True).headers["allow"].split(", ")),
       ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"])
    eq(broker.ask("HEAD", "exchanges/%2F/amq.topic").status, 200)


@definitions(people)
def test_permissions_are_those_of_amqp(broker):
    some, boss = dict(user="exchanges.some"), dict(user="exchanges.boss")
    mine, other = path("exchanges", "exchanges.v", "mine"), path("exchanges", "exchanges.v", "other")
    broker.refused("PUT", other, {}, **REFUSED, **some)
    broker.put(mine, {}, **some)
    broker.put(other, {})
    broker.refused("DELETE", other, **REFUSED, **some)
    broker.delete(mine, **some)
    broker.refused("PUT", mine, {}, **REFUSED, **boss)
    broker.refused("DELETE", other, **REFUSED, **boss)
    eq(broker.get(other, **boss)["name"], "other", "an administrator may look")
    broker.refused("GET", "exchanges/%2F", status=401, error="not_authorised",
                   reason="^User not authorised to access virtual host$", **some)
    eq({e["vhost"] for e in broker.get("exchanges", **some)}, {"exchanges.v"})
    broker.delete(other)


def test_missing_vhost(broker):
    broker.refused("PUT", "exchanges/nope/e", {}, status=404, error="not_found", reason="^vhost_not_found$")
    broker.refused("GET", "exchanges/nope", status=404, error="Object Not Found", reason="^Not Found$")
    broker.refused("DELETE", "exchanges/nope/e", status=404)
