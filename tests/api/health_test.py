# SPDX-License-Identifier: Apache-2.0
"""/api/health/checks (management-http-api.md 6)."""

from api_harness import counts_memory, Node, differs, eq, ok, path, settings, wait_until
from tls_tools import authority


def check(name):
    return "health/checks/" + name


def test_a_healthy_node_is_ok(broker):
    for name in ("alarms", "local-alarms", "virtual-hosts", "certificate-expiration/1/weeks"):
        eq(broker.get(check(name)), {"status": "ok"}, name)
    for name in ("node-is-quorum-critical", "node-is-mirror-sync-critical"):
        eq(broker.get(check(name)), {"status": "ok", "reason": "single node cluster"}, name)
    eq(broker.get("healthchecks/node"), {"status": "ok"})
    eq(broker.get(path("healthchecks", "node", broker.get("overview")["node"])), {"status": "ok"})
    eq(broker.ask("GET", path("healthchecks", "node", "nope")).status, 404)


def test_a_port_that_listens_and_one_that_does_not(broker):
    eq(broker.get(check("port-listener/%d" % broker.port)), {"status": "ok", "port": broker.port})
    answer = broker.get(check("port-listener/1"), status=503)
    eq((answer["status"], answer["reason"], answer["missing"]), ("failed", "No active listener", 1))
    ok({broker.port, broker.http_port} <= set(answer["ports"]), answer)
    broker.refused("GET", check("port-listener/x"), status=400, reason="^Invalid port$")


def test_a_protocol_that_is_spoken_and_one_that_is_not(broker):
    for name in ("amqp", "amqp091", "amqp0-9-1"):
        eq(broker.get(check("protocol-listener/" + name)), {"status": "ok", "protocol": "amqp"}, name)
    eq(broker.get(check("protocol-listener/http"))["protocol"], "http")
    answer = broker.get(check("protocol-listener/mqtt"), status=503)
    eq((answer["status"], answer["reason"], answer["missing"]), ("failed", "No active listener", "mqtt"))
    ok({"amqp", "http"} <= set(answer["protocols"]), answer)
    eq(len(answer["protocols"]), len(set(answer["protocols"])), "each once")


def test_units_of_time(broker):
    for unit in ("days", "weeks", "months", "years"):
        eq(broker.get(check("certificate-expiration/2/" + unit)), {"status": "ok"})
    broker.refused("GET", check("certificate-expiration/1/parsecs"), status=400,
                   reason=r"^Time unit not recognised\. Supported units: days, weeks, months, years\.$")
    broker.refused("GET", check("certificate-expiration/soon/days"), status=400, reason="^Invalid expiration value")


def test_any_user_of_the_api_may_ask(broker):
    user = broker.new_user(tags=("management",))
    eq(broker.get(check("alarms"), user=user), {"status": "ok"})
    eq(broker.ask("GET", check("alarms"), user=broker.new_user()).status, 401)


@settings(vm_memory_high_watermark__absolute="1GB")
def test_alarms_are_told(broker):
    node = broker.get("overview")["node"]
    for kind, resource in (("memory", "memory"), ("disk", "disk space")):
        broker.put("coney/alarms/" + kind)
        for name, where in (("alarms", "in the cluster"), ("local-alarms", "on the node")):
            eq(broker.get(check(name), status=503),
               {"status": "failed", "reason": "There are alarms in effect " + where,
                "alarms": [{"node": node, "resource": resource}]})
        eq(broker.get("healthchecks/node")["status"], "failed")
        broker.delete("coney/alarms/" + kind)
        eq(broker.get(check("alarms")), {"status": "ok"})


@settings(vm_memory_high_watermark__absolute="1kB")
def test_a_real_alarm_is_told(broker):
    counts_memory(broker)
    wait_until(lambda: broker.ask("GET", check("alarms")).status == 503)
    eq(broker.get("nodes")[0]["mem_alarm"], True)


@settings(connection_max=2)
def test_the_limit_of_connections(broker):
    eq(broker.get(check("below-node-connection-limit")), {"status": "ok", "current": 0, "limit": 2})
    broker.connect()
    broker.connect()
    answer = broker.get(check("below-node-connection-limit"), status=503)
    eq((answer["status"], answer["current"], answer["limit"]), ("failed", 2, 2))


@differs("of RabbitMQ's 4.x")
def test_what_came_with_version_4(broker):
    eq(broker.get(check("below-node-connection-limit")).get("limit"), "infinity")
    for name in ("is-in-service", "ready-to-serve-clients", "reached-target-cluster-size",
                 "metadata-store/initialized", "metadata-store/initialized/with-data",
                 "quorum-queues-without-elected-leaders/all-vhosts",
                 "quorum-queues-without-elected-leaders/all-vhosts/pattern/q.*",
                 "quorum-queues-without-elected-leaders/vhost/%2F",
                 "quorum-queues-without-elected-leaders/vhost/%2F/pattern/q.*"):
        eq(broker.get(check(name))["status"], "ok", name)
    broker.refused("GET", check("quorum-queues-without-elected-leaders/vhost/nope"), status=404)


def test_out_of_service_while_suspended(_):
    with Node() as node:
        node.post("coney/suspend-listeners")
        for name in ("is-in-service", "ready-to-serve-clients", "protocol-listener/amqp"):
            eq(node.get(check(name), status=503)["status"], "failed", name)
        node.post("coney/resume-listeners")
        for name in ("is-in-service", "ready-to-serve-clients", "protocol-listener/amqp"):
            eq(node.get(check(name))["status"], "ok", name)


def test_certificates_that_expire(_):
    pair = authority().certificate("api-health", days=(-1, 20))
    arguments = ("listeners.ssl.1=127.0.0.1:0", "ssl_options.cacertfile=" + authority().cert,
                 "ssl_options.certfile=" + pair.cert, "ssl_options.keyfile=" + pair.key)
    with Node(*[word for setting in arguments for word in ("--set", setting)]) as node:
        eq(node.get(check("certificate-expiration/2/weeks")), {"status": "ok"})
        answer = node.get(check("certificate-expiration/3/weeks"), status=503)
        eq((answer["status"], answer["reason"]), ("failed", "Certificates expiring"))
        eq([e["certfile"] for e in answer["expired"]], [pair.cert])
        eq(node.get(check("protocol-listener/amqps")), {"status": "ok", "protocol": "amqp/ssl"})
