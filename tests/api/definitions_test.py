# SPDX-License-Identifier: Apache-2.0
"""/api/definitions (management-http-api.md section 4): what is exported is what is imported."""

import json
import os

from api_harness import Client, Coneyd, Node, Skip, differs, eq, ok, path
from users_test import hashed

KEYS = ["bindings", "exchanges", "global_parameters", "parameters", "permissions", "policies", "product_name",
        "product_version", "queues", "rabbit_version", "rabbitmq_version", "topic_permissions", "users", "vhosts"]


def everything(vhost, user):
    """A vhost with one of each thing, as RabbitMQ exports it."""
    exchange = {"vhost": vhost, "durable": True, "auto_delete": False, "internal": False, "arguments": {}}
    queue = {"vhost": vhost, "durable": True, "auto_delete": False}
    binding = {"vhost": vhost, "source": "in", "routing_key": "", "arguments": {}}
    return {
        "users": [{"name": user, "password_hash": hashed("geheim"), "tags": ["management"], "limits": {"max-channels": 9},
                   "hashing_algorithm": "rabbit_password_hashing_sha256"}],
        "vhosts": [{"name": vhost}],
        "permissions": [{"user": user, "vhost": vhost, "configure": "a", "write": ".*", "read": ".*"}],
        "topic_permissions": [{"user": user, "vhost": vhost, "exchange": "in", "write": "^a", "read": ".*"}],
        "parameters": [
            {"vhost": vhost, "component": "operator_policy", "name": "o",
             "value": {"pattern": "^q", "definition": {"expires": 1000000}, "apply-to": "queues", "priority": 1}},
            {"vhost": vhost, "component": "vhost-limits", "name": "limits", "value": {"max-queues": 10}}],
        "global_parameters": [],
        "policies": [{"vhost": vhost, "name": "p", "pattern": "^q", "apply-to": "queues", "priority": 2,
                      "definition": {"max-length": 3, "overflow": "reject-publish"}}],
        "queues": [dict(queue, name="q1", arguments={"x-max-length": 5, "x-dead-letter-exchange": "in"}),
                   dict(queue, name="q2", arguments={"x-queue-type": "quorum"})],
        "exchanges": [dict(exchange, name="in", type="topic"),
                      dict(exchange, name="hidden", type="fanout", internal=True,
                           arguments={"alternate-exchange": "in"})],
        "bindings": [dict(binding, destination="q1", destination_type="queue", routing_key="a.*"),
                     dict(binding, destination="q2", destination_type="queue", routing_key="#",
                          arguments={"n": 5, "s": "t", "l": [1, "a"], "o": {"b": True}}),
                     dict(binding, destination="hidden", destination_type="exchange", routing_key="h")]}


def of_vhost(exported, vhost, user):
    """The part of EXPORTED that everything() has, in its shape."""
    part = {}
    for key, wanted in everything(vhost, user).items():
        names = set(wanted[0]) if wanted else set()
        rows = [row for row in exported.get(key, []) if row.get("vhost", vhost) == vhost]
        if key == "users":
            rows = [row for row in rows if row["name"] == user]
        if key == "vhosts":
            rows = [row for row in rows if row["name"] == vhost]
        if key == "permissions":
            rows = [row for row in rows if row["user"] == user]
        if key == "global_parameters":
            rows = []
        part[key] = sorted(({k: v for k, v in row.items() if k in names} for row in rows), key=json.dumps)
    return part


def same(got, want, what=""):
    """Lists in any order."""
    for key, rows in want.items():
        eq(sorted(json.dumps(row, sort_keys=True) for row in got[key]),
           sorted(json.dumps(row, sort_keys=True) for row in rows), what + key)


def names(broker):
    vhost, user = broker.name("v"), broker.name("u")
    broker.later("users", user)
    broker.later("vhosts", vhost)
    return vhost, user


def test_import_then_export(broker):
    vhost, user = names(broker)
    sent = everything(vhost, user)
    broker.post("definitions", sent, status=204)
    exported = broker.get("definitions")
    eq(sorted(set(KEYS) - set(exported)), [])
    got = of_vhost(exported, vhost, user)
    sent["users"][0]["password_hash"] = got["users"][0]["password_hash"] if not broker.is_coney else \
        sent["users"][0]["password_hash"]
    same(got, sent)
    broker.get("whoami", user=user, password="geheim")
    broker.post("definitions", only(exported, vhost, user) if broker.is_coney else sent, status=204)
    same(of_vhost(broker.get("definitions"), vhost, user), got, "again: ")


def test_what_was_imported_acts(broker):
    vhost, user = names(broker)
    broker.post("definitions", everything(vhost, user))
    broker.permit("guest", vhost)
    channel = broker.channel(vhost=vhost)
    channel.confirm()
    channel.publish_confirmed("in", "a.b", b"1")
    eq((channel.drain("q1"), channel.drain("q2")), ([b"1"], [b"1"]))
    channel = broker.channel(vhost=vhost, user=user, password="geheim")
    channel.publish("in", "b.a")
    channel.expect_close(403)


def test_merge(broker):
    """What is there with other properties stays, bindings of what is missing are skipped."""
    vhost, user = names(broker)
    broker.post("definitions", everything(vhost, user))
    queue = {"vhost": vhost, "name": "q1", "durable": True, "auto_delete": False, "arguments": {"x-max-length": 77}}
    new = dict(queue, name="q3", arguments={})
    lost = {"vhost": vhost, "source": "nowhere", "destination": "q3", "destination_type": "queue",
            "routing_key": "", "arguments": {}}
    broker.post("definitions", {"queues": [queue, new], "bindings": [lost],
                                "policies": [{"vhost": vhost, "name": "p", "pattern": "x", "apply-to": "all",
                                              "definition": {"max-length": 1}, "priority": 0}]}, status=204)
    queues = {row["name"]: row["arguments"] for row in broker.get("definitions")["queues"] if row["vhost"] == vhost}
    eq((queues["q1"]["x-max-length"], sorted(queues)), (5, ["q1", "q2", "q3"]))
    eq(broker.get(path("policies", vhost, "p"))["pattern"], "x")


def test_a_vhost_alone(broker):
    vhost, user = names(broker)
    sent = everything(vhost, user)
    broker.post("definitions", sent)
    exported = broker.get(path("definitions", vhost))
    eq(sorted(exported), ["bindings", "exchanges", "parameters", "policies", "queues", "rabbit_version"])
    ok(not any("vhost" in row for key in ("queues", "exchanges", "bindings") for row in exported[key]), exported)
    ok(all(row["vhost"] == vhost for key in ("policies", "parameters") for row in exported[key]), exported)
    other = broker.new_vhost()
    if not broker.is_coney:  # refuses what names another vhost
        exported["policies"] = exported["parameters"] = []
    broker.post(path("definitions", other), exported, status=204)
    again = broker.get(path("definitions", other))
    for key in ("queues", "exchanges", "bindings"):
        same(again, {key: exported[key]})
    if broker.is_coney:
        same(again, {key: [dict(row, vhost=other) for row in exported[key]] for key in ("policies", "parameters")})


def test_what_is_the_brokers_is_skipped(broker):
    vhost, user = names(broker)
    queue = {"vhost": vhost, "name": "amq.q", "durable": True, "auto_delete": False, "arguments": {}}
    exchange = {"vhost": vhost, "name": "amq.x", "type": "direct", "durable": True, "auto_delete": False, "internal": False,
                "arguments": {}}
    sent = everything(vhost, user)
    broker.post("definitions", {"vhosts": sent["vhosts"], "queues": [queue], "exchanges": [exchange]}, status=204)
    eq([broker.get("queues/" + vhost), [x for x in broker.get("exchanges/" + vhost) if x["name"] == "amq.x"]], [[], []])


def test_vhosts_that_are_missing(broker):
    broker.refused("GET", path("definitions", "nowhere"), error="bad_request", reason="^vhost_not_found$")
    broker.refused("POST", path("definitions", "nowhere"), {}, status=404, error="not_found",
                   reason="^vhost_not_found$")


def test_what_import_refuses(broker):
    vhost = broker.new_vhost()
    for body in (b"zz", b"[]", b"{"):
        broker.refused("POST", "definitions", body, error="bad_request", reason="^failed_to_parse_json$")
    for body, reason in (
            ({"permissions": [{"user": "nobody", "vhost": vhost, "configure": "", "write": "", "read": ""}]}, "nobody"),
            ({"queues": [{"name": "q", "durable": True, "auto_delete": False, "arguments": {}}]}, "vhost"),
            ({"queues": [{"name": "q", "vhost": "nowhere", "durable": True, "auto_delete": False, "arguments": {}}]},
             "no.such.vhost|no vhost 'nowhere'"),
            ({"policies": [{"name": "p", "vhost": vhost, "pattern": "(", "definition": {"max-length": 3},
                            "priority": 0}]}, "pattern should be regular expression but is invalid")):
        broker.refused("POST", "definitions", body, error="bad_request", reason=reason)
    broker.post("definitions", {}, status=204)


@differs("RabbitMQ 3.10 answers 500")
def test_wrong_shapes_say_where(broker):
    for body, reason in (({"users": 5}, "users: should be an array"), ({"users": [5]}, r"users\[0\]: should be an object"),
                         ({"queues": [{"name": "q", "vhost": "/", "arguments": {"x-max-length": "a"}}]},
                          r"queues\[0\]: .*x-max-length")):
        broker.refused("POST", "definitions", body, error="bad_request", reason=reason)


def test_a_form_with_a_file(broker):
    vhost, user = names(broker)
    text = json.dumps(everything(vhost, user)).encode()
    body = (b"--XyZ\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nfile\r\n"
            b"--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d.json\"\r\n"
            b"Content-Type: application/json\r\n\r\n" + text + b"\r\n--XyZ--\r\n")
    form = {"content-type": "multipart/form-data; boundary=XyZ"}
    broker.post("definitions", body, headers=form, status=204)
    broker.get("whoami", user=user, password="geheim")
    for wrong in (body.replace(b'"file"', b'"life"'), b"--XyZ--\r\n", b"", body[:200]):
        broker.refused("POST", "definitions", wrong, headers=form,
                       reason="^failed_to_parse_json$" if broker.is_coney else None)


def test_download(broker):
    header = broker.ask("GET", "definitions?download=x-1.json").headers["content-disposition"]
    eq(header, "attachment; filename=x-1.json")


@differs("RabbitMQ takes any name")
def test_download_name_is_no_header(broker):
    header = broker.ask("GET", "definitions?download=a%0d%0ab:%20c").headers["content-disposition"]
    eq(header, "attachment; filename=a__b__c")


def test_only_administrators(broker):
    name = broker.new_user(tags=["policymaker", "monitoring"], vhosts=["/"])
    for verb, where in (("GET", "definitions"), ("POST", "definitions"), ("GET", path("definitions", "/")),
                        ("POST", path("definitions", "/"))):
        broker.refused(verb, where, {} if verb == "POST" else None, user=name, status=401,
                       reason="^Not administrator user$")


def test_what_is_not_exported(broker):
    vhost = broker.new_vhost()
    channel = broker.channel(vhost=vhost)
    channel.declare("transient"), channel.declare("mine", exclusive=True), channel.declare("kept", durable=True)
    channel.bind("kept", "amq.direct", "k"), channel.bind("mine", "amq.direct", "k")
    exported = broker.get(path("definitions", vhost))
    ok("mine" not in [row["name"] for row in exported["queues"]], exported["queues"])
    eq(exported["exchanges"], [])
    eq([row["destination"] for row in exported["bindings"] if row["destination"] != "transient"], ["kept"])


def test_many(broker):
    """More than a part of an answer, or a slice of a vhost, holds."""
    vhost, user = names(broker)
    sent = everything(vhost, user)
    sent["parameters"].pop()
    sent["queues"] = [{"vhost": vhost, "name": "q%04d" % i, "durable": True, "auto_delete": False, "arguments": {}}
                      for i in range(1500)]
    sent["bindings"] = [{"vhost": vhost, "source": "in", "destination": "q%04d" % i, "destination_type": "queue",
                         "routing_key": "k", "arguments": {}} for i in range(1500)]
    broker.post("definitions", sent, status=204)
    exported = broker.get("definitions")
    got = of_vhost(exported, vhost, user)
    same(got, {key: sent[key] for key in ("queues", "bindings")})


def test_it_outlives_a_kill(broker):
    del broker
    with Node() as node:
        sent = everything("v", "u")
        sent["global_parameters"] = [{"name": "cluster_name", "value": "here"}, {"name": "g", "value": [1]}]
        node.post("definitions", sent, status=204)
        node.restart(9)
        same(of_vhost(node.get("definitions"), "v", "u"), {k: v for k, v in sent.items() if k != "global_parameters"})
        eq(node.get("cluster-name"), {"name": "here"})
        eq(node.get("global-parameters/g")["value"], [1])
        before = node.get("definitions")
        node.post("definitions", before, status=204)
        node.restart(9)
        eq(node.get("definitions"), before)


def test_to_and_from_a_broker_of_the_same_kind(broker):
    del broker
    with Node() as first, Node() as second:
        first.post("definitions", everything("v", "u"))
        second.post("definitions", first.get("definitions"), status=204)
        eq(second.get("definitions"), first.get("definitions"))
        second.get("whoami", user="u", password="geheim")


def with_a_coneyd(broker):
    if broker.is_coney or not os.access(os.environ.get("CONEYD", ""), os.X_OK):
        raise Skip("is for --against with --coneyd")
    return Coneyd()


def only(exported, vhost, user):
    """Of a whole export what is ours: other tests make and delete the rest meanwhile."""
    lists = {key: [row for row in rows if row.get("vhost", vhost) == vhost and row.get("user", user) == user]
             for key, rows in exported.items() if isinstance(rows, list)}
    lists["users"] = [row for row in lists["users"] if row["name"] == user]
    lists["vhosts"] = [row for row in lists["vhosts"] if row["name"] == vhost]
    return dict(exported, **lists)


def test_coney_takes_what_the_other_exports(broker):
    vhost, user = names(broker)
    broker.post("definitions", everything(vhost, user))
    coneyd = with_a_coneyd(broker)
    try:
        coney = Client(coneyd.url)
        exported = only(broker.get("definitions"), vhost, user)
        coney.post("definitions", exported, status=204)
        same(of_vhost(coney.get("definitions"), vhost, user), of_vhost(exported, vhost, user))
        coney.get("whoami", user=user, password="geheim")
        coney.post(path("definitions", "/"), broker.get(path("definitions", vhost)), status=204)
        eq([row["name"] for row in coney.get(path("definitions", "/"))["queues"]], ["q1", "q2"])
    finally:
        coneyd.stop()


def test_the_other_takes_what_coney_exports(broker):
    coneyd = with_a_coneyd(broker)
    vhost, user = names(broker)
    try:
        coney = Client(coneyd.url)
        coney.post("definitions", everything(vhost, user))
        coney.put(path("vhosts", vhost), {"description": "d", "tags": "a,b"})
        coney.put(path("users", user), {"tags": "management", "password_hash": hashed("geheim")})
        exported = only(coney.get("definitions"), vhost, user)
        broker.post("definitions", exported, status=204)
        same(of_vhost(broker.get("definitions"), vhost, user), of_vhost(exported, vhost, user))
        broker.get("whoami", user=user, password="geheim")
        broker.post(path("definitions", broker.new_vhost()), dict(coney.get(path("definitions", vhost)), policies=[],
                                                                  parameters=[]), status=204)
    finally:
        coneyd.stop()
