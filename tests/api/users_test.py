# SPDX-License-Identifier: Apache-2.0
"""/api/users, /api/whoami, /api/coney/authenticate (management-http-api.md 3.10)."""

import base64
import hashlib
import os

import amqp_raw
from api_harness import Node, differs, eq, ok, path, wait_until

SHA256 = "rabbit_password_hashing_sha256"


def hashed(password, algorithm="sha256"):
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.new(algorithm, salt + password.encode()).digest()).decode()


def can_log_in(broker, name, password):
    return broker.ask("GET", "whoami", user=name, password=password).status == 200


def test_whoami(broker):
    answer = broker.get("whoami")
    eq((answer["name"], answer["tags"]), ("guest", ["administrator"]))


@differs("RabbitMQ's is started without the key")
def test_how_long_a_login_at_the_page_is_good(_):
    with Node("--set", "management.login_session_timeout=7") as node:
        eq(node.get("whoami")["login_session_timeout"], 7)


def test_put_says_whether_it_is_new(broker):
    name = broker.name("u")
    broker.later("users", name)
    broker.put(path("users", name), {"password": "x", "tags": "management"}, status=201)
    broker.put(path("users", name), {"password": "y", "tags": "management"}, status=204)
    ok(can_log_in(broker, name, "y") and not can_log_in(broker, name, "x"), "the new password counts")
    broker.delete(path("users", name))
    broker.refused("DELETE", path("users", name), status=404, error="Object Not Found")
    broker.refused("GET", path("users", name), status=404, error="Object Not Found", reason="^Not Found$")
    ok(not can_log_in(broker, name, "y"), "a deleted user logs in")


def test_fields(broker):
    name = broker.new_user(tags=("management", "of-ours"))
    user = broker.get(path("users", name))
    eq(sorted(user), ["hashing_algorithm", "limits", "name", "password_hash", "tags"])
    eq((user["name"], user["tags"], user["limits"]), (name, ["management", "of-ours"], {}))
    eq([u for u in broker.get("users") if u["name"] == name], [user], "the same in the list")
    eq(broker.get(path("users", name) + "?columns=name"), {"name": name})


def test_tags_come_as_words_or_array(broker):
    name = broker.new_user()
    for tags, seen in (("", []), ("a", ["a"]), ("a, b,c", ["a", "b", "c"]), (["x", "y"], ["x", "y"]), ([], [])):
        broker.put(path("users", name), {"password": "x", "tags": tags})
        eq(broker.get(path("users", name))["tags"], seen)


def test_hashes_are_taken_as_they_are(broker):
    name = broker.new_user()
    for algorithm in ("sha256", "sha512", "md5"):
        word = "rabbit_password_hashing_" + algorithm
        text = hashed("geheim", algorithm)
        broker.put(path("users", name), {"tags": "management", "password_hash": text, "hashing_algorithm": word})
        user = broker.get(path("users", name))
        eq((user["password_hash"], user["hashing_algorithm"]), (text, word))
        ok(can_log_in(broker, name, "geheim"), algorithm)
        ok(not can_log_in(broker, name, "falsch"), algorithm)


def test_put_without_password_takes_it_away(broker):
    name = broker.new_user(tags=["management"])
    ok(can_log_in(broker, name, name), "before")
    broker.put(path("users", name), {"tags": "management"}, status=204)
    eq(broker.get(path("users", name))["password_hash"], "")
    ok(not can_log_in(broker, name, name) and not can_log_in(broker, name, ""), "after")
    broker.put(path("users", name), {"tags": "management", "password_hash": ""}, status=204)
    broker.put(path("users", name), {"tags": "management", "password": ""}, status=204)
    ok(not can_log_in(broker, name, ""), "with an empty one")


def test_a_new_user_comes_with_permissions(broker):
    name, vhost, other = broker.name("u"), broker.new_vhost(), broker.new_vhost()
    right = {"configure": "^c", "write": "^w", "read": ".*"}
    body = {"password": name, "tags": "management", "permissions": {vhost: right, other: right}}
    broker.later("users", name)
    broker.put(path("users", name), body, status=201)
    rows = [dict(right, user=name, vhost=v) for v in (vhost, other)]
    eq(sorted(broker.get(path("users", name, "permissions")), key=str), sorted(rows, key=str))
    eq(len(broker.get("vhosts", user=name)), 2)
    broker.put(path("users", name), dict(body, permissions={vhost: dict(right, read="^r")}), status=204)
    eq(broker.get(path("permissions", vhost, name))["read"], ".*", "who is there keeps what is there")


def test_permissions_of_a_new_user_that_cannot_be(broker):
    vhost = broker.new_vhost()
    right = {"configure": "", "write": "", "read": ""}
    for permissions, reason in (({"nowhere": right}, "no_such_vhost"),
                                ({vhost: dict(right, read="(")}, "invalid_regexp")):
        name = broker.name("u")
        broker.later("users", name)
        broker.refused("PUT", path("users", name), {"tags": "", "password": "x", "permissions": permissions},
                       reason=reason)


def test_a_put_changes_the_limits_that_it_names(broker):
    name = broker.new_user()
    for limits, left in (({"max-channels": 2}, {"max-channels": 2}),
                         ({"max-connections": 3}, {"max-channels": 2, "max-connections": 3}),
                         ({}, {"max-channels": 2, "max-connections": 3}),
                         ({"max-channels": 4}, {"max-channels": 4, "max-connections": 3})):
        broker.put(path("users", name), {"tags": "", "password": "x", "limits": limits})
        eq(broker.get(path("users", name))["limits"], left)
        broker.post("definitions", {"users": [{"name": name, "tags": "", "password": "x", "limits": limits}]})
        eq(broker.get(path("users", name))["limits"], left, "imported")


@differs("RabbitMQ ends in 500")
def test_limits_of_a_wrong_kind_are_refused(broker):
    name = broker.new_user(limits={"max-channels": 2})
    for limits, reason in ((5, "should be an object"), (None, "should be an object"), ([], "should be an object"),
                           ({"max-channels": "two"}, "^max-channels should be a number"),
                           ({"max-channels": 3, "max-queues": 1}, "^Unrecognised terms")):
        broker.refused("PUT", path("users", name), {"tags": "a", "password": "x", "limits": limits}, reason=reason)
        user = broker.get(path("users", name))
        eq((user["limits"], user["tags"]), ({"max-channels": 2}, []))


@differs("RabbitMQ puts the user before it looks, or ends in 500")
def test_a_user_with_permissions_of_a_wrong_kind_is_not_put(broker):
    where = path("users", broker.name("u"))
    for permissions in ([], "x", {"/": 1}, {"/": {"configure": ""}}, {"nowhere": {}},
                        {"/": {"configure": "", "write": "", "read": 5}}):
        broker.refused("PUT", where, {"tags": "", "password": "x", "permissions": permissions})
        broker.refused("GET", where, status=404)


def test_the_administrator_member_of_old_clients(broker):
    name = broker.new_user()
    for value, tags in (("true", ["administrator"]), ("false", []), (True, ["administrator"]), (False, [])):
        broker.put(path("users", name), {"password": "x", "administrator": value})
        eq(broker.get(path("users", name))["tags"], tags)
    broker.put(path("users", name), {"password": "x", "administrator": True, "tags": "a"})
    eq(broker.get(path("users", name))["tags"], ["a"])
    broker.refused("PUT", path("users", name), {"password": "x", "administrator": "maybe"}, reason="not_boolean")


def test_what_put_refuses(broker):
    where = path("users", broker.name("u"))
    broker.refused("PUT", where, {"password": "x"}, error="bad_request", reason="^tags_not_present$")
    broker.refused("PUT", where, {"tags": "", "password": "x", "password_hash": "abcd"},
                   reason="^both_password_and_password_hash_are_provided$")
    broker.refused("PUT", where, {"tags": "", "password_hash": "!!"}, reason="base64")
    broker.refused("PUT", where, b"[]", reason="^not_json$")
    broker.refused("PUT", where, b"{", reason="^not_json$")
    broker.refused("GET", where, status=404)


@differs("RabbitMQ 3.10 answers 500, or takes them")
def test_shapes_that_are_refused(broker):
    where = path("users", broker.name("u"))
    for body in ({"tags": 5}, {"tags": [5]}, {"tags": "", "password": 5}, {"tags": "", "password_hash": "abcd"},
                 {"tags": "", "password_hash": hashed("x"), "hashing_algorithm": "zzz"}):
        broker.refused("PUT", where, body, error="bad_request")
    broker.refused("GET", where, status=404)


def test_limits_outlive_a_put(broker):
    name = broker.new_user()
    broker.put(path("users", name), {"tags": "", "password": "x", "limits": {"max-connections": 5}})
    broker.put(path("users", name), {"tags": "", "password": "x"})
    eq(broker.get(path("users", name))["limits"], {"max-connections": 5})


def test_without_permissions(broker):
    lonely, busy = broker.new_user(), broker.new_user(vhosts=["/"])
    # RabbitMQ answers 500 when another test deletes a user at that moment.
    answer = wait_until(lambda: [a for a in [broker.ask("GET", "users/without-permissions")] if a.status == 200])[0]
    names = [user["name"] for user in answer.json]
    ok(lonely in names and busy not in names, names)


def test_bulk_delete(broker):
    names = [broker.new_user() for _ in range(3)]
    broker.post("users/bulk-delete", {"users": names[:2]}, status=204)
    eq([broker.ask("GET", path("users", name)).status for name in names], [404, 404, 200])
    broker.refused("POST", "users/bulk-delete", {"users": ["nobody " + names[0]]}, reason="no_such_user")
    broker.refused("POST", "users/bulk-delete", {}, reason=r"^\[{key_missing,users}\]$")
    broker.post("users/bulk-delete", {"users": []}, status=204)


@differs("RabbitMQ deletes up to the first that is missing")
def test_bulk_delete_is_all_or_nothing(broker):
    name = broker.new_user()
    broker.refused("POST", "users/bulk-delete", {"users": [name, "nobody " + name]}, reason="no_such_user")
    broker.get(path("users", name))


def test_deleting_a_user_closes_their_connections(broker):
    name = broker.new_user(vhosts=["/"])
    connection = broker.connect(user=name, password=name)
    if not broker.is_coney:  # it hears of connections later
        wait_until(lambda: any(c.get("user") == name for c in broker.get("connections")))
    broker.delete(path("users", name))
    connection.expect_close(320, "CONNECTION_FORCED - user '%s' is deleted" % name)
    ok(not any(p["user"] == name for p in broker.get("permissions")), "permissions are left")


def test_only_administrators(broker):
    for tags in (["management"], ["policymaker"], ["monitoring"]):
        name = broker.new_user(tags=tags, vhosts=["/"])
        for verb, where in (("GET", "users"), ("GET", path("users", name)), ("PUT", path("users", name)),
                            ("DELETE", path("users", name)), ("GET", "users/without-permissions"),
                            ("POST", "users/bulk-delete"), ("GET", path("users", name, "permissions"))):
            broker.refused(verb, where, {"tags": "administrator", "password": "x"} if verb == "PUT" else None,
                           user=name, status=401, error="not_authorised", reason="^Not administrator user$")
    nobody = broker.new_user()
    broker.refused("GET", "whoami", user=nobody, status=401, reason="^Not management user$")
    broker.refused("GET", "whoami", user=nobody, password="falsch", status=401, error="not_authorized",
                   reason="^(Login failed|Not_Authorized)$")


@differs("RabbitMQ 3.10 has none")
def test_hash_password(broker):
    name = broker.new_user()
    text = broker.get(path("auth", "hash_password", "ge heim"))["ok"]
    secret = base64.b64decode(text)
    eq(secret[4:], hashlib.sha256(secret[:4] + b"ge heim").digest())
    broker.put(path("users", name), {"tags": "management", "password_hash": text})
    eq(broker.get(path("users", name))["hashing_algorithm"], SHA256)
    ok(can_log_in(broker, name, "ge heim"), "logs in")


@differs("coney's own")
def test_authenticate(broker):
    name = broker.new_user()
    broker.post("coney/authenticate", {"username": name, "password": name}, status=204)
    broker.refused("POST", "coney/authenticate", {"username": name, "password": "x"}, status=401,
                   error="not_authorized", reason="^Login failed$")
    broker.refused("POST", "coney/authenticate", {"username": name}, reason="key_missing,password")
    asker = broker.new_user(tags=["management"])
    broker.refused("POST", "coney/authenticate", {"username": name, "password": name}, user=asker, status=401)


def test_user_limits(broker):
    name = broker.new_user()
    where = path("user-limits", name)
    eq(broker.get(where), [])
    broker.put(where + "/max-connections", {"value": 5}, status=204)
    broker.put(where + "/max-channels", {"value": 7}, status=204)
    row = {"user": name, "value": {"max-connections": 5, "max-channels": 7}}
    eq(broker.get(where), [row])
    ok(row in broker.get("user-limits"), "in the list")
    eq(broker.get(path("users", name))["limits"], row["value"])
    broker.delete(where + "/max-connections")
    broker.delete(where + "/max-connections")
    eq(broker.get(where), [{"user": name, "value": {"max-channels": 7}}])
    broker.refused("PUT", where + "/max-channels", {"value": "5"},
                   reason=r'^max-channels should be a number, actually was <<"5">>$')
    broker.refused("PUT", where + "/max-channels", {}, reason=r"^\[{key_missing,value}\]$")
    broker.refused("PUT", where + "/max-queues", {"value": 5},
                   reason=r'^Unrecognised terms \[{<<"max-queues">>,5}\] in user-limits$')
    broker.refused("PUT", path("user-limits", "nobody", "max-channels"), {"value": 5}, reason="no_such_user.*nobody")
    broker.refused("GET", path("user-limits", "nobody"), status=404)


def test_user_limit_acts_on_connections_to_come(broker):
    name = broker.new_user(vhosts=["/"])
    first = broker.connect(user=name, password=name)
    broker.put(path("user-limits", name, "max-connections"), {"value": 1})
    try:
        broker.connect(user=name, password=name)
        raise AssertionError("a second connection")
    except amqp_raw.ConnectionClosed as closed:
        eq(closed.code, 530)
    first.channel()
    broker.delete(path("user-limits", name, "max-connections"))
    broker.connect(user=name, password=name)


def test_changes_outlive_a_kill(broker):
    del broker
    with Node() as node:
        node.put("users/stays", {"password": "a", "tags": "management", "limits": {"max-channels": 3}})
        node.put("users/goes", {"password": "a", "tags": ""})
        node.put("users/changes", {"password": "a", "tags": "x"})
        node.put("permissions/%2F/goes", {"configure": "", "write": "", "read": ""})
        node.restart(9)
        node.delete("users/goes")
        node.put("users/changes", {"password": "b", "tags": "management"})
        node.put("user-limits/stays/max-connections", {"value": 9})
        node.restart(9)
        users = {user["name"]: user for user in node.get("users")}
        eq(sorted(users), ["changes", "guest", "stays"])
        eq(users["stays"]["limits"], {"max-channels": 3, "max-connections": 9})
        node.get("whoami", user="changes", password="b")
        eq([p["user"] for p in node.get("permissions")], ["guest"])


@differs("RabbitMQ has them with a plugin")
def test_changes_are_told(broker):
    """amq.rabbitmq.event is the audit log: what was changed, and by whom."""
    asker, name = broker.new_user(tags=["administrator"]), broker.name("u")
    channel = broker.channel()
    queue = broker.name()
    channel.declare(queue)
    channel.bind(queue, "amq.rabbitmq.event", "#")
    channel.consume(queue, no_ack=True)

    def told(key, **wanted):
        while True:
            delivery = channel.delivery()
            headers = delivery.headers
            if delivery.routing_key == key and all(headers.get(k) == v for k, v in wanted.items()):
                return headers

    def ask(verb, where, body=None):
        broker.expect((201, 204), verb, where, body, user=asker)

    ask("PUT", path("users", name), {"password": "geheim", "tags": "a,b"})
    eq(told("user.created", name=name)["user_who_performed_action"], asker)
    eq(told("user.tags.set", name=name)["tags"], "a,b")
    ask("PUT", path("users", name), {"password": "other", "tags": ""})
    ok("other" not in str(told("user.password.changed", name=name)), "the password is told")
    ask("PUT", path("users", name), {"tags": ""})
    told("user.password.cleared", name=name)
    ask("PUT", path("permissions", "/", name), {"configure": "a", "write": "b", "read": "c"})
    eq(told("permission.created", user=name, vhost="/", configure="a", write="b", read="c")
       ["user_who_performed_action"], asker)
    ask("DELETE", path("permissions", "/", name))
    told("permission.deleted", user=name, vhost="/")
    ask("PUT", path("topic-permissions", "/", name), {"exchange": "e", "write": "b", "read": "c"})
    told("topic.permission.created", user=name, exchange="e")
    ask("DELETE", path("topic-permissions", "/", name))
    told("topic.permission.deleted", user=name)
    ask("PUT", path("policies", "/", name), {"pattern": "zz", "definition": {"max-length": 1}})
    told("policy.set", name=name, vhost="/")
    ask("DELETE", path("policies", "/", name))
    told("policy.cleared", name=name)
    ask("PUT", path("global-parameters", name), {"value": 1})
    told("parameter.set", name=name)
    ask("DELETE", path("global-parameters", name))
    told("parameter.cleared", name=name)
    ask("DELETE", path("users", name))
    eq(told("user.deleted", name=name)["user_who_performed_action"], asker)
