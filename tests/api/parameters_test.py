# SPDX-License-Identifier: Apache-2.0
"""/api/parameters, /api/global-parameters, /api/vhost-limits, /api/cluster-name (management-http-api.md 3.12)."""

import amqp_raw
from api_harness import Node, Skip, differs, eq, ok, path

SHOVEL = {"src-uri": "amqp://", "src-queue": "a", "dest-uri": "amqp://", "dest-queue": "b"}


def test_vhost_limits(broker):
    vhost = broker.new_vhost()
    where = path("vhost-limits", vhost)
    eq(broker.get(where), [])
    broker.put(where + "/max-connections", {"value": 5}, status=204)
    broker.put(where + "/max-queues", {"value": 7}, status=204)
    row = {"vhost": vhost, "value": {"max-connections": 5, "max-queues": 7}}
    eq(broker.get(where), [row])
    ok(row in broker.get("vhost-limits"), "of all")
    parameter = {"value": row["value"], "vhost": vhost, "component": "vhost-limits", "name": "limits"}
    eq(broker.get(path("parameters", "vhost-limits", vhost)), [parameter])
    eq(broker.get(path("parameters", "vhost-limits", vhost, "limits")), parameter)
    broker.delete(where + "/max-connections")
    eq(broker.get(where), [{"vhost": vhost, "value": {"max-queues": 7}}])
    broker.delete(where + "/max-queues")
    broker.delete(where + "/max-queues")
    eq(broker.get(where), [])
    for body, limit, reason in (
            ({"value": "a"}, "max-queues",
             r'^Validation failed\n\nmax-queues should be a number, actually was <<"a">>\n$'),
            ({}, "max-queues", r"^\[{key_missing,value}\]$"),
            ({"value": 2}, "zz", r'^Validation failed\n\nUnrecognised terms \[{<<"zz">>,2}\] in limits\n$')):
        broker.refused("PUT", where + "/" + limit, body, error="bad_request", reason=reason)
    broker.refused("PUT", path("vhost-limits", "nowhere", "max-queues"), {"value": 2}, status=404, error="not_found",
                   reason="^vhost_not_found$")
    broker.refused("GET", path("vhost-limits", "nowhere"), status=404)


def test_monitoring_sees_the_limits_of_all_vhosts(broker):
    vhost = broker.new_vhost()
    monitor, user = broker.new_user(tags=("monitoring",)), broker.new_user(tags=("management",))
    broker.put(path("vhost-limits", vhost, "max-queues"), {"value": 5})
    row = {"vhost": vhost, "value": {"max-queues": 5}}
    eq(broker.get(path("vhost-limits", vhost), user=monitor), [row])
    ok(row in broker.get("vhost-limits", user=monitor), "in the list")
    eq(broker.get("vhost-limits", user=user), [])
    broker.refused("GET", path("vhost-limits", vhost), status=401, user=user)


def test_vhost_limits_act(broker):
    vhost = broker.new_vhost()
    broker.put(path("vhost-limits", vhost, "max-queues"), {"value": 1})
    channel = broker.channel(vhost=vhost)
    channel.declare("a")
    channel.fails("queue.declare", 406, queue="b")
    broker.put(path("vhost-limits", vhost, "max-connections"), {"value": 1})
    try:
        broker.connect(vhost=vhost)
        raise AssertionError("a second connection")
    except amqp_raw.ConnectionClosed as closed:
        eq(closed.code, 530)


def test_who_sees_vhost_limits(broker):
    mine, other = broker.new_vhost(), broker.new_vhost()
    user = broker.new_user(tags=["management"], vhosts=[mine])
    for vhost in (mine, other):
        broker.put(path("vhost-limits", vhost, "max-queues"), {"value": 9})
    eq([row["vhost"] for row in broker.get("vhost-limits", user=user)], [mine])
    broker.get(path("vhost-limits", mine), user=user)
    broker.refused("GET", path("vhost-limits", other), user=user, status=401,
                   reason="^User not authorised to access virtual host$")
    broker.refused("PUT", path("vhost-limits", mine, "max-queues"), {"value": 9}, user=user, status=401,
                   reason="^Not administrator user$")


def test_limits_as_parameter(broker):
    vhost = broker.new_vhost()
    where = path("parameters", "vhost-limits", vhost, "limits")
    broker.refused("GET", where, status=404, error="Object Not Found")
    broker.put(where, {"value": {"max-queues": 3}}, status=201)
    broker.put(where, {"value": {"max-queues": 4}}, status=204)
    eq(broker.get(path("vhost-limits", vhost)), [{"vhost": vhost, "value": {"max-queues": 4}}])
    broker.refused("PUT", where, {"value": {"max-zz": 4}}, reason=r"^Validation failed\n\nUnrecognised terms ")
    broker.refused("PUT", where, {}, reason=r"^\[{key_missing,value}\]$")
    broker.delete(where)
    broker.refused("DELETE", where, status=404)
    eq(broker.get(path("vhost-limits", vhost)), [])


def test_operator_policy_as_parameter(broker):
    vhost = broker.new_vhost()
    where = path("parameters", "operator_policy", vhost, "p")
    value = {"pattern": "a", "definition": {"max-length": 5}, "priority": 4, "apply-to": "queues"}
    broker.refused("PUT", where, {"value": {k: v for k, v in value.items() if k != "priority"}},
                   reason='^Validation failed\n\nKey "priority" not found in p\n$')
    broker.put(where, {"value": value}, status=201)
    parameter = {"value": value, "vhost": vhost, "component": "operator_policy", "name": "p"}
    eq(broker.get(where), parameter)
    ok(parameter in broker.get("parameters"), "of all")
    ok(parameter in broker.get("parameters/operator_policy"), "of the component")
    eq(broker.get(path("operator-policies", vhost)), [dict(value, vhost=vhost, name="p")])
    broker.delete(where)
    eq(broker.get(path("operator-policies", vhost)), [])


def test_policies_are_no_parameters(broker):
    vhost = broker.new_vhost()
    broker.put(path("policies", vhost, "p"), {"pattern": "a", "definition": {"max-length": 5}})
    broker.refused("PUT", path("parameters", "policy", vhost, "p"),
                   {"value": {"pattern": "a", "definition": {"max-length": 5}, "priority": 0}},
                   reason="^policies may not be set using this method$")
    eq([row for row in broker.get("parameters") if row["vhost"] == vhost], [])
    eq([row["name"] for row in broker.get(path("parameters", "policy", vhost))], ["p"])


def test_unknown_components(broker):
    vhost = broker.new_vhost()
    broker.refused("PUT", path("parameters", "zz", vhost, "n"), {"value": {}}, error="bad_request",
                   reason=r"^Validation failed\n\ncomponent zz not found\n$")
    eq(broker.get("parameters/zz"), [])
    eq(broker.get(path("parameters", "zz", vhost)), [])
    broker.refused("GET", path("parameters", "zz", "nowhere"), status=404)
    broker.refused("PUT", path("parameters", "vhost-limits", "nowhere", "limits"), {"value": {}}, status=404)


@differs("RabbitMQ needs its plugin")
def test_shovels_are_kept(broker):
    vhost = broker.new_vhost()
    where = path("parameters", "shovel", vhost, "s")
    broker.put(where, {"value": SHOVEL}, status=201)
    broker.put(where, {"value": SHOVEL}, status=204)
    row = {"value": SHOVEL, "vhost": vhost, "component": "shovel", "name": "s"}
    eq(broker.get(where), row)
    eq(broker.get(path("parameters", "shovel", vhost)), [row])
    broker.refused("PUT", where, {"value": 5}, reason="^Validation failed\n\n")
    broker.delete(where)
    broker.refused("DELETE", where, status=404)


def test_who_may(broker):
    vhost = broker.new_vhost()
    maker = broker.new_user(tags=["policymaker"], vhosts=[vhost])
    reader = broker.new_user(tags=["management"], vhosts=[vhost])
    where = path("parameters", "operator_policy", vhost, "p")
    value = {"pattern": "a", "definition": {"max-length": 5}, "priority": 4}
    broker.put(where, {"value": value}, user=maker)
    eq([row["vhost"] for row in broker.get("parameters", user=maker)], [vhost])
    for verb, target, user in (("GET", "parameters", reader), ("GET", where, reader), ("PUT", where, reader),
                               ("GET", path("parameters", "vhost-limits", "/"), maker),
                               ("GET", "global-parameters", reader)):
        broker.refused(verb, target, {"value": value} if verb == "PUT" else None, user=user, status=401,
                       error="not_authorised", reason="^User not authorised to access object$")


def test_global_parameters(broker):
    name = broker.name("g")
    where = path("global-parameters", name)
    broker.later("global-parameters", name)
    broker.refused("GET", where, status=404)
    broker.put(where, {"value": [1, "a", {"b": None}]} if broker.is_coney else {"value": [1, "a"]}, status=201)
    for value in ("a", 5, True, {"a": {"b": [1.5]}}):
        broker.put(where, {"value": value}, status=204)
        eq(broker.get(where), {"name": name, "value": value})
    ok({"name": name, "value": value} in broker.get("global-parameters"), "in the list")
    broker.refused("PUT", where, {}, reason=r"^\[{key_missing,value}\]$")
    broker.delete(where)
    broker.refused("DELETE", where, status=404)


def called(node):
    """What clients are told that the cluster is called."""
    name = dict(node.connect().start.server_properties)["cluster_name"]
    return name.value


def test_cluster_name(broker):
    if not broker.is_coney:
        raise Skip("would rename what is not ours")
    with Node() as node:
        name = node.get("cluster-name")["name"]
        eq(called(node), name)
        node.refused("PUT", "cluster-name", {}, reason=r"^\[{key_missing,name}\]$")
        node.refused("PUT", "cluster-name", {"name": 5})
        node.put("cluster-name", {"name": "dots"}, status=204)
        eq(called(node), "dots")
        eq(node.get("global-parameters/cluster_name"), {"name": "cluster_name", "value": "dots"})
        node.restart(9)
        eq(node.get("cluster-name"), {"name": "dots"})
        eq(called(node), "dots")
        node.delete("global-parameters/cluster_name")
        eq(node.get("cluster-name"), {"name": name})
        node.restart(9)
        eq(node.get("cluster-name"), {"name": name})


def test_they_outlive_a_kill(broker):
    del broker
    with Node() as node:
        node.put("vhosts/v")
        node.put("vhosts/w")
        node.put("vhost-limits/v/max-queues", {"value": 3})
        node.put("vhost-limits/w/max-queues", {"value": 3})
        for name in ("stays", "goes", "changes"):
            node.put("parameters/shovel/v/" + name, {"value": SHOVEL})
            node.put("global-parameters/" + name, {"value": {"a": 1}})
        node.restart(9)
        node.delete("vhost-limits/w/max-queues")
        node.delete("parameters/shovel/v/goes")
        node.delete("global-parameters/goes")
        node.put("parameters/shovel/v/changes", {"value": dict(SHOVEL, **{"ack-mode": "no-ack"})})
        node.put("global-parameters/changes", {"value": 2})
        node.restart(9)
        eq([row["vhost"] for row in node.get("vhost-limits")], ["v"])
        eq({row["name"]: row["value"].get("ack-mode") for row in node.get("parameters/shovel")},
           {"stays": None, "changes": "no-ack"})
        eq({row["name"]: row["value"] for row in node.get("global-parameters") if row["name"] != "cluster_name"},
           {"stays": {"a": 1}, "changes": 2})
        node.delete("vhosts/v")
        eq(node.get("parameters"), [])
        node.restart(9)
        eq(node.get("parameters"), [])
