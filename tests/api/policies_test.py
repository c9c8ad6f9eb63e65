# SPDX-License-Identifier: Apache-2.0
"""/api/policies and /api/operator-policies (management-http-api.md 3.12), and that they act at once."""

from api_harness import Node, differs, eq, ok, path, wait_until

LENGTH = {"pattern": "a", "definition": {"max-length": 5}}


def test_put_get_delete(broker):
    vhost = broker.new_vhost()
    for kind in ("policies", "operator-policies"):
        where = path(kind, vhost, "p")
        broker.refused("GET", where, status=404, error="Object Not Found")
        broker.put(where, LENGTH, status=201)
        row = {"vhost": vhost, "name": "p", "pattern": "a", "apply-to": "all", "definition": {"max-length": 5},
               "priority": 0}
        eq(broker.get(where), row)
        eq(broker.get(path(kind, vhost)), [row])
        ok(row in broker.get(kind), "of all")
        broker.put(where, {"pattern": "b", "definition": {"expires": 7000}, "priority": 3, "apply-to": "queues"},
                   status=204)
        eq(broker.get(where), {"vhost": vhost, "name": "p", "pattern": "b", "apply-to": "queues",
                               "definition": {"expires": 7000}, "priority": 3})
        broker.delete(where)
        broker.refused("DELETE", where, status=404)
        eq(broker.get(path(kind, vhost)), [])


def test_definitions_come_back_as_they_were_put(broker):
    vhost = broker.new_vhost()
    definition = {"dead-letter-exchange": "d", "dead-letter-routing-key": "k", "message-ttl": 1000, "max-length": 1,
                  "max-length-bytes": 100000, "overflow": "reject-publish", "delivery-limit": 3, "expires": 1000000}
    broker.put(path("policies", vhost, "p"), {"pattern": "", "definition": definition})
    eq(broker.get(path("policies", vhost, "p"))["definition"], definition)


def test_names_are_quoted(broker):
    vhost = broker.new_vhost()
    for name in ("a/b", "with space", "\u00e4", "%2F"):
        broker.put(path("policies", vhost, name), LENGTH, status=201)
        eq(broker.get(path("policies", vhost, name))["name"], name)


def test_what_put_refuses(broker):
    vhost = broker.new_vhost()
    where = path("policies", vhost, "p")
    for body, reason in (
            ({}, r"^\[{key_missing,pattern},{key_missing,definition}\]$"),
            ({"pattern": "a"}, r"^\[{key_missing,definition}\]$"),
            ({"pattern": "(", "definition": {"max-length": 5}},
             r"^Validation failed\n\npattern should be regular expression but is invalid: .*\n$"),
            ({"pattern": 5, "definition": {"max-length": 5}},
             r"^Validation failed\n\npattern should be a binary but was 5\n$"),
            ({"pattern": "a", "definition": {}}, r"^Validation failed\n\nno policy provided\n$"),
            ({"pattern": "a", "definition": {"max-length": "5"}}, r"is not a valid maximum length\n$"),
            ({"pattern": "a", "definition": {"zz": 5}}, r"are not recognised policy settings\n$"),
            ({"pattern": "a", "definition": {"max-length": 5}, "apply-to": "zz"}, r"apply-to 'zz' unrecognised; "),
            ({"pattern": "a", "definition": {"max-length": 5}, "priority": "1"},
             r"^Validation failed\n\npriority should be a number, actually was ")):
        broker.refused("PUT", where, body, error="bad_request", reason=reason)
    broker.refused("PUT", path("operator-policies", vhost, "p"),
                   {"pattern": "a", "definition": {"dead-letter-exchange": "x"}},
                   reason="are not recognised policy settings")
    for kind in ("policies", "operator-policies"):
        broker.refused("PUT", path(kind, "nowhere", "p"), LENGTH, status=404, error="not_found",
                       reason="^vhost_not_found$")
        broker.refused("GET", path(kind, "nowhere"), status=404)
        broker.refused("DELETE", path(kind, vhost, "p"), status=404)
    eq(broker.get(path("policies", vhost)), [])


def test_who_may(broker):
    vhost = broker.new_vhost()
    maker = broker.new_user(tags=["policymaker"], vhosts=[vhost])
    reader = broker.new_user(tags=["management"], vhosts=[vhost])
    where = path("policies", vhost, "p")
    broker.put(where, LENGTH, user=maker, status=201)
    broker.get(where, user=maker)
    for verb, target, user in (("GET", where, reader), ("PUT", where, reader), ("DELETE", where, reader),
                               ("PUT", path("policies", "/", "p"), maker)):
        broker.refused(verb, target, LENGTH if verb == "PUT" else None, user=user, status=401,
                       error="not_authorised", reason="^User not authorised to access object$")
    for verb in ("GET", "PUT", "DELETE"):
        broker.refused(verb, path("operator-policies", vhost, "p"), LENGTH if verb == "PUT" else None, user=maker,
                       status=401, reason="^Not administrator user$")
    eq([row["name"] for row in broker.get(path("policies", vhost), user=reader)], ["p"])
    eq([row["name"] for row in broker.get("policies", user=reader)], ["p"])
    eq(broker.get(path("operator-policies", vhost), user=reader), [])
    broker.refused("GET", path("policies", "/"), user=reader, status=401,
                   reason="^User not authorised to access virtual host$")
    broker.delete(where, user=maker)


def test_they_act_at_once(broker):
    name = broker.name()
    channel = broker.channel()
    channel.declare(name)
    channel.confirm()
    where = path("policies", "/", name)
    broker.later("policies", "/", name)
    for _ in range(4):
        channel.publish_confirmed("", name, b"x")
    broker.put(where, {"pattern": "^%s$" % name, "definition": {"max-length": 2}})
    wait_until(lambda: channel.count(name)[0] == 2, what="the limit")
    broker.put(path("operator-policies", "/", name), {"pattern": "^%s$" % name, "definition": {"max-length": 1}})
    broker.later("operator-policies", "/", name)
    wait_until(lambda: channel.count(name)[0] == 1, what="the operator's limit")
    broker.delete(path("operator-policies", "/", name))
    broker.delete(where)
    for _ in range(4):
        channel.publish_confirmed("", name, b"x")
    eq(channel.count(name)[0], 5)


@differs("RabbitMQ answers before a policy acts")
def test_each_key_acts_on_what_is_there(broker):
    """And no more once the policy is gone."""
    name, vhost = broker.name(), broker.new_vhost()
    ch, where = broker.channel(vhost=vhost), path("policies", vhost, "p")
    ch.declare("dead")
    ch.declare(name, durable=True, args={"x-queue-type": "quorum"})
    ch.exchange("x", "direct")
    ch.confirm()

    def under(**definition):
        definition = {key.replace("_", "-"): value for key, value in definition.items()}
        broker.put(where, {"pattern": "^(%s|x)$" % name, "definition": definition})

    def published(count=1, exchange="", key=name):
        return [ch.publish_confirmed(exchange, key, b"xx").name for _ in range(count)]

    def reject(requeue):
        ch.nack(wait_until(lambda: ch.get(name, no_ack=False), what="a message").delivery_tag, requeue=requeue)

    def died(reason):
        return wait_until(lambda: ch.get("dead"), what="a dead letter").headers["x-death"][0]["reason"] == reason

    under(max_length=1, overflow="reject-publish")
    eq(published(2), ["basic.ack", "basic.nack"])
    under(max_length_bytes=4)
    eq((published(3), ch.count(name)[0]), (["basic.ack"] * 3, 2))
    ch.drain(name)
    under(dead_letter_exchange="", dead_letter_routing_key="dead")
    published()
    reject(False)
    ok(died("rejected"), "dead-letter-exchange")
    under(dead_letter_exchange="", dead_letter_routing_key="dead", delivery_limit=1)
    published()
    reject(True)
    reject(True)
    ok(died("delivery_limit"), "delivery-limit")
    under(dead_letter_exchange="", dead_letter_routing_key="dead", message_ttl=1)
    published()
    ok(died("expired"), "message-ttl")
    ch.bind("dead", "amq.fanout")
    under(alternate_exchange="amq.fanout")
    eq(published(1, "x", "none"), ["basic.ack"])
    ok(wait_until(lambda: ch.get("dead"), what="what x could not route"), "alternate-exchange")
    broker.delete(where)
    eq((published(3), published(1, "x", "none")), (["basic.ack"] * 3, ["basic.ack"]))
    eq((ch.count(name)[0], ch.count("dead")[0]), (3, 0))
    under(expires=1)
    wait_until(lambda: broker.ask("GET", path("queues", vhost, name)).status == 404, what="it expired")


def test_they_outlive_a_kill(broker):
    del broker
    with Node() as node:
        node.put("vhosts/v")
        for kind in ("policies", "operator-policies"):
            node.put(kind + "/v/stays", {"pattern": "^a", "definition": {"max-length": 2, "expires": 10000000},
                                         "priority": 7, "apply-to": "classic_queues"})
            node.put(kind + "/v/goes", LENGTH)
            node.put(kind + "/v/changes", LENGTH)
        node.restart(9)
        before = {}
        for kind in ("policies", "operator-policies"):
            node.delete(kind + "/v/goes")
            node.put(kind + "/v/changes", {"pattern": "b", "definition": {"max-length": 9}})
            before[kind] = node.get(kind + "/v")
            eq(len(before[kind]), 2)
        node.restart(9)
        for kind in ("policies", "operator-policies"):
            eq(node.get(kind + "/v"), before[kind])
        channel = node.connect(vhost="v").channel()
        channel.declare("a", durable=True)
        channel.confirm()
        for _ in range(3):
            channel.publish_confirmed("", "a", b"x")
        eq(channel.count("a")[0], 2)
