# SPDX-License-Identifier: Apache-2.0
"""/api/permissions and /api/topic-permissions (management-http-api.md 3.11)."""

import amqp_raw
from api_harness import Node, eq, ok, path

ALL = {"configure": ".*", "write": ".*", "read": ".*"}


def test_put_get_delete(broker):
    name, vhost = broker.new_user(), broker.new_vhost()
    where = path("permissions", vhost, name)
    broker.refused("GET", where, status=404, error="Object Not Found")
    broker.put(where, {"configure": "", "write": "", "read": ""}, status=201)
    broker.put(where, {"configure": "a", "write": "b", "read": "c"}, status=204)
    row = {"user": name, "vhost": vhost, "configure": "a", "write": "b", "read": "c"}
    eq(broker.get(where), row)
    eq(broker.get(path("users", name, "permissions")), [row])
    ok(row in broker.get(path("vhosts", vhost, "permissions")), "of the vhost")
    ok(row in broker.get("permissions"), "of all")
    broker.delete(where)
    broker.refused("DELETE", where, status=404)
    eq(broker.get(path("users", name, "permissions")), [])


def test_what_put_refuses(broker):
    name = broker.new_user()
    where = path("permissions", "/", name)
    broker.refused("PUT", where, {}, error="bad_request",
                   reason=r"^\[{key_missing,configure},{key_missing,write},{key_missing,read}\]$")
    broker.refused("PUT", where, {"configure": "", "read": ""}, reason=r"^\[{key_missing,write}\]$")
    broker.refused("PUT", where, dict(ALL, write="("), reason="^invalid_regexp")
    broker.refused("PUT", path("permissions", "/", "nobody"), ALL, reason="^vhost_or_user_not_found$")
    broker.refused("PUT", path("permissions", "nowhere", name), ALL, reason="^vhost_or_user_not_found$")
    broker.refused("GET", where, status=404)


def test_missing_vhosts_and_users(broker):
    for where in (path("permissions", "nowhere", "guest"), path("permissions", "/", "nobody"),
                  path("users", "nobody", "permissions"), path("vhosts", "nowhere", "permissions"),
                  path("users", "nobody", "topic-permissions"), path("vhosts", "nowhere", "topic-permissions"),
                  path("topic-permissions", "/", "nobody")):
        broker.refused("GET", where, status=404, error="Object Not Found", reason="^Not Found$")
    for where in (path("permissions", "nowhere", "guest"), path("permissions", "/", "nobody"),
                  path("topic-permissions", "/", "nobody")):
        broker.refused("DELETE", where, status=404)
    broker.expect((400, 404, 405), "GET", path("permissions", "/"))


def refused_vhost(broker, name, vhost):
    try:
        broker.connect(user=name, password=name, vhost=vhost)
        raise AssertionError("let in")
    except amqp_raw.ConnectionClosed as closed:
        eq(closed.code, 530)


def test_they_act_on_connections(broker):
    name, vhost = broker.new_user(), broker.new_vhost()
    refused_vhost(broker, name, vhost)
    broker.permit(name, vhost, configure="^mine")
    channel = broker.channel(user=name, password=name, vhost=vhost)
    channel.declare("mine")
    channel.fails("queue.declare", 403, queue="yours")
    broker.delete(path("permissions", vhost, name))
    refused_vhost(broker, name, vhost)


def test_only_administrators(broker):
    name = broker.new_user(tags=["policymaker", "monitoring"], vhosts=["/"])
    for verb, where in (("GET", "permissions"), ("GET", path("permissions", "/", name)),
                        ("PUT", path("permissions", "/", name)), ("DELETE", path("permissions", "/", name)),
                        ("GET", "topic-permissions"), ("GET", path("vhosts", "/", "permissions")),
                        ("PUT", path("topic-permissions", "/", name))):
        broker.refused(verb, where, ALL if verb == "PUT" else None, user=name, status=401, error="not_authorised",
                       reason="^Not administrator user$")


def test_topic_permissions(broker):
    name, vhost = broker.new_user(), broker.new_vhost()
    where = path("topic-permissions", vhost, name)
    broker.put(where, {"exchange": "e", "write": "b", "read": "c"}, status=201)
    broker.put(where, {"exchange": "e", "write": "b", "read": "d"}, status=204)
    broker.put(where, {"exchange": "f", "write": "", "read": ""}, status=204)
    rows = [{"user": name, "vhost": vhost, "exchange": "e", "write": "b", "read": "d"},
            {"user": name, "vhost": vhost, "exchange": "f", "write": "", "read": ""}]

    def sorted_rows(list_of):
        return sorted((row for row in list_of if row["user"] == name), key=lambda row: row["exchange"])

    for path_of in (where, path("users", name, "topic-permissions"), path("vhosts", vhost, "topic-permissions"),
                    "topic-permissions"):
        eq(sorted_rows(broker.get(path_of)), rows, path_of)
    broker.delete(where + "/e")
    broker.delete(where + "/e")
    eq(broker.get(where), rows[1:])
    broker.delete(where)
    broker.refused("DELETE", where, status=404)
    broker.refused("GET", where, status=404)
    broker.refused("PUT", where, {"exchange": "e", "write": ""}, reason=r"^\[{key_missing,read}\]$")
    broker.refused("PUT", where, {"exchange": "e", "write": "(", "read": ""}, reason="^invalid_regexp")
    broker.refused("PUT", path("topic-permissions", vhost, "nobody"), {"exchange": "e", "write": "", "read": ""},
                   reason="^vhost_or_user_not_found$")


def test_topic_permissions_act(broker):
    name = broker.new_user(vhosts=["/"])
    channel = broker.channel(user=name, password=name)
    channel.confirm()
    channel.publish_confirmed("amq.topic", "a.b")
    broker.put(path("topic-permissions", "/", name), {"exchange": "amq.topic", "write": "^b", "read": ".*"})
    if not broker.is_coney:  # an open channel remembers what it asked
        channel = broker.channel(user=name, password=name)
    channel.publish("amq.topic", "a.b")
    channel.expect_close(403)
    broker.delete(path("topic-permissions", "/", name))
    channel = broker.channel(user=name, password=name)
    channel.confirm()
    channel.publish_confirmed("amq.topic", "a.b")


def test_they_outlive_a_kill(broker):
    del broker
    with Node() as node:
        node.put("vhosts/v")
        node.put("users/u", {"password": "u", "tags": ""})
        node.put("permissions/v/u", {"configure": "a", "write": "b", "read": "c"})
        node.put("permissions/%2F/u", {"configure": "a", "write": "b", "read": "c"})
        for exchange in ("e", "f"):
            node.put("topic-permissions/v/u", {"exchange": exchange, "write": "b", "read": "c"})
        node.restart(9)
        node.delete("permissions/%2F/u")
        node.delete("topic-permissions/v/u/e")
        node.restart(9)
        eq([p["vhost"] for p in node.get("users/u/permissions")], ["v"])
        eq([p["exchange"] for p in node.get("users/u/topic-permissions")], ["f"])
