# SPDX-License-Identifier: Apache-2.0
"""/api/queues (management-http-api.md 3.7): fields, declare, delete, purge, actions."""

import re

import harness
from api_harness import definitions, differs, eq, matches, ok, path, wait_until

REFUSED = dict(status=401, error="not_authorised", reason=r"^Access refused\.$")
RATES = ("messages", "messages_ready", "messages_unacknowledged")
NUMBERS = RATES + ("consumers", "memory", "message_bytes", "message_bytes_ready", "message_bytes_unacknowledged",
                   "messages_ram", "message_bytes_ram", "messages_persistent", "message_bytes_persistent")
CLASSIC_NUMBERS = ("messages_ready_ram", "messages_unacknowledged_ram", "messages_paged_out", "message_bytes_paged_out",
                   "consumer_capacity", "consumer_utilisation")


def people():
    return {"users": [harness.user("queues.some", tags=["management"]),
                      harness.user("queues.boss", tags=["administrator"])],
            "vhosts": [{"name": "queues.v"}],
            "permissions": [harness.permission("queues.some", "queues.v", "^mine", "^mine", "^mine")]}


def policies():
    return {"vhosts": [{"name": "queues.p"}],
            "policies": [harness.policy("user", "queues.p", "^q", {"max-length": 500, "dead-letter-exchange": "dlx",
                                                                   "message-ttl": 10000})],
            "parameters": [harness.operator_policy("op", "queues.p", "^q", {"max-length": 300, "expires": 600000})]}


def where(q, vhost="/"):
    return path("queues", vhost, q)


def full(broker, q, condition=lambda queue: "messages" in queue):
    """The queue once its statistics are there, and as CONDITION says."""
    def look():
        queue = broker.get(where(q))
        return condition(queue) and queue
    return wait_until(look, 30, "statistics of %s" % q)


def test_declare_show_delete(broker):
    q = broker.name()
    arguments = {"x-message-ttl": 60000, "x-dead-letter-exchange": "", "x-max-priority": 3, "mine": {"a": [1, "b"]}}
    body = {"durable": True, "auto_delete": False, "arguments": arguments}
    answer = broker.put(where(q), body, status=201)
    eq(answer.body, b"")
    broker.put(where(q), body, status=204)
    shown = broker.get(where(q))
    for key, value in {"name": q, "vhost": "/", "type": "classic", "durable": True, "auto_delete": False,
                       "exclusive": False, "arguments": arguments, "incoming": [], "deliveries": [],
                       "consumer_details": []}.items():
        eq(shown[key], value, key)
    ok("@" in shown["node"], shown)
    eq(broker.delete(where(q)).body, b"")
    broker.refused("GET", where(q), status=404, error="Object Not Found", reason="^Not Found$")
    broker.refused("DELETE", where(q), status=404, error="Object Not Found", reason="^Not Found$")


def test_body_may_be_empty(broker):
    q = broker.name()
    eq(broker.ask("PUT", where(q), b"").status, 201)
    shown = broker.get(where(q))
    eq((shown["durable"], shown["auto_delete"], shown["exclusive"], shown["arguments"]), (False, False, False, {}))


def test_flags(broker):
    q, r = broker.name(), broker.name()
    broker.put(where(q), {"durable": "true", "auto_delete": "true", "arguments": []})
    shown = broker.get(where(q))
    eq((shown["durable"], shown["auto_delete"]), (True, True))
    broker.refused("PUT", where(r), {"durable": "yes"}, error="bad_request", reason="^not_boolean:? yes$")
    broker.refused("PUT", where(r), b"[1]", reason="^not_json$")
    broker.get(where(r), status=404)


def test_exclusive_without_an_owner(broker):
    q = broker.name()
    broker.put(where(q), {"exclusive": True, "durable": True}, status=201)
    shown = broker.get(where(q))
    eq((shown["exclusive"], shown["durable"]), (False, False))
    ch = broker.channel()
    ch.publish("", q, b"x")
    ch.expect_count(q, 1)


def test_declared_otherwise(broker):
    q = broker.name()
    broker.put(where(q), {"durable": True, "arguments": {"x-message-ttl": 5}})
    broker.refused("PUT", where(q), {"arguments": {"x-message-ttl": 5}}, error="bad_request",
                   reason="^inequivalent arg 'durable' for queue '%s' in vhost '/': received 'false' but current is "
                          "'true'$" % q)
    broker.refused("PUT", where(q), {"durable": True, "arguments": {"x-message-ttl": 6}},
                   reason="^inequivalent arg 'x-message-ttl' for queue '%s'" % q)


def test_bad_arguments(broker):
    q = broker.name()
    broker.refused("PUT", where(q), {"arguments": {"x-message-ttl": "a"}}, error="bad_request",
                   reason="^invalid arg 'x-message-ttl' for queue '%s' in vhost '/'" % q)
    broker.refused("PUT", where(q), {"arguments": {"x-queue-type": "bogus"}}, reason="^invalid arg 'x-queue-type'")
    broker.refused("PUT", where(q), {"arguments": {"x-queue-type": "quorum"}},
                   reason="^invalid property 'non-durable' for queue '%s' in vhost '/'$" % q)
    broker.refused("PUT", where(q), {"node": "nonode@x"}, reason="^Node nonode@x could not be contacted$")
    broker.get(where(q), status=404)


def test_node_of_its_own(broker):
    q, r = broker.name(), broker.name()
    broker.put(where(q), {})
    broker.put(where(r), {"node": broker.get(where(q))["node"]}, status=201)


def test_reserved_names(broker):
    broker.refused("PUT", where("amq.mine"), {}, **REFUSED)


def test_names_of_any_kind(broker):
    q = broker.name() + " a/b?ü%\"\\"
    broker.names.append(q)
    broker.put(where(q), {}, status=201)
    eq(broker.get(where(q))["name"], q)
    ok(q in [x["name"] for x in broker.get("queues/%2F")], "in the list")
    broker.delete(where(q))


def test_fields(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q, durable=True)
    for i in range(3):
        ch.publish("", q, b"12345", {"delivery_mode": 2})
    ch.expect_count(q, 3)
    ch.get(q, no_ack=False)
    queue = full(broker, q, lambda queue: queue.get("messages_unacknowledged") == 1)
    for key in NUMBERS + CLASSIC_NUMBERS:
        ok(isinstance(queue[key], (int, float)), "%s: %r" % (key, queue[key]))
    for key in RATES:
        ok(isinstance(queue[key + "_details"]["rate"], (int, float)), key)
    eq([queue[key] for key in ("messages", "messages_ready", "messages_unacknowledged")], [3, 2, 1])
    eq([queue[key] for key in ("message_bytes", "message_bytes_ready", "message_bytes_unacknowledged")], [15, 10, 5])
    eq([queue[key] for key in ("messages_persistent", "message_bytes_persistent")], [3, 15])
    for key in ("policy", "operator_policy", "exclusive_consumer_tag", "single_active_consumer_tag",
                "head_message_timestamp"):
        eq(queue[key], None, key)
    eq(queue["effective_policy_definition"], {})
    eq((queue["consumers"], queue["state"]), (0, "running"))


@differs("RabbitMQ counts every five seconds")
def test_counts_of_messages(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    for _ in range(4):
        ch.publish("", q, b"x")
    ch.expect_count(q, 4)
    ch.get(q)
    tag = ch.get(q, no_ack=False).delivery_tag
    ch.nack(tag)
    ch.settled(q)
    ch.ack(ch.get(q, no_ack=False).delivery_tag)
    ch.drain(q)
    stats = broker.get(where(q))["message_stats"]
    eq({key: stats[key] for key in ("publish", "get", "get_no_ack", "get_empty", "ack", "redeliver", "deliver",
                                    "deliver_no_ack", "deliver_get")},
       {"publish": 4, "get": 2, "get_no_ack": 3, "get_empty": 1, "ack": 1, "redeliver": 1, "deliver": 0,
        "deliver_no_ack": 0, "deliver_get": 5})
    for key in stats:
        if not key.endswith("_details"):
            ok(isinstance(stats[key + "_details"]["rate"], float), key)


def test_quorum(broker):
    q = broker.name()
    broker.put(where(q), {"durable": True, "arguments": {"x-queue-type": "quorum", "x-delivery-limit": 7}})
    queue = full(broker, q, lambda queue: "members" in queue and "open_files" in queue)
    eq(queue["type"], "quorum")
    eq((queue["leader"], queue["members"], queue["online"]), (queue["node"], [queue["node"]], [queue["node"]]))
    eq(list(queue["open_files"]), [queue["node"]])
    eq((queue["messages_dlx"], queue["message_bytes_dlx"]), (0, 0))


def test_consumers(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    ch.qos(7)
    ch.consume(q, "mine", {"x-priority": 3})
    queue = full(broker, q, lambda queue: queue.get("consumers") == 1 and queue["consumer_details"])
    consumer, = queue["consumer_details"]
    eq({key: consumer[key] for key in ("consumer_tag", "ack_required", "exclusive", "prefetch_count", "active",
                                       "activity_status", "arguments", "queue")},
       {"consumer_tag": "mine", "ack_required": True, "exclusive": False, "prefetch_count": 7, "active": True,
        "activity_status": "up", "arguments": {"x-priority": 3}, "queue": {"name": q, "vhost": "/"}})
    details = consumer["channel_details"]
    eq((details["number"], details["user"]), (1, "guest"))
    matches(details["name"], r"^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+ \(1\)$")
    eq(details["name"], "%s (1)" % details["connection_name"])
    eq(details["connection_name"].split(" -> ")[0], "%s:%d" % (details["peer_host"], details["peer_port"]))


def test_exclusive_consumer_and_single_active(broker):
    ch, q, r = broker.channel(), broker.name(), broker.name()
    ch.declare(q)
    ch.consume(q, "only", exclusive=True)
    ch.declare(r, {"x-single-active-consumer": True})
    ch.consume(r, "first")
    ch.consume(r, "second")
    eq(full(broker, q, lambda queue: queue.get("consumers") == 1)["exclusive_consumer_tag"], "only")
    queue = full(broker, r, lambda queue: queue.get("consumers") == 2 and len(queue["consumer_details"]) == 2)
    eq(queue["single_active_consumer_tag"], "first")
    eq({c["consumer_tag"]: (c["active"], c["activity_status"]) for c in queue["consumer_details"]},
       {"first": (True, "single_active"), "second": (False, "waiting")})


def test_owner(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q, exclusive=True)
    queue = full(broker, q, lambda queue: queue.get("owner_pid_details"))
    ok(queue["exclusive"], queue)
    details = queue["owner_pid_details"]
    matches(details["name"], r"^127\.0\.0\.1:%d -> 127\.0\.0\.1:\d+$" % details["peer_port"])
    eq(details["peer_host"], "127.0.0.1")
    broker.refused("DELETE", where(q), error="bad_request",
                   reason="cannot obtain exclusive access to locked queue '%s' in vhost '/'" % q)


@definitions(policies)
def test_policies_in_force(broker):
    broker.put(where("q", "queues.p"), {})
    broker.put(where("other", "queues.p"), {})
    queue = wait_until(lambda: (lambda q: "policy" in q and q)(broker.get(where("q", "queues.p"))), 30, "statistics")
    eq((queue["policy"], queue["operator_policy"]), ("user", "op"))
    eq(queue["effective_policy_definition"],
       {"max-length": 300, "dead-letter-exchange": "dlx", "message-ttl": 10000, "expires": 600000})
    queue = wait_until(lambda: (lambda q: "policy" in q and q)(broker.get(where("other", "queues.p"))), 30, "statistics")
    eq((queue["policy"], queue["operator_policy"], queue["effective_policy_definition"]), (None, None, {}))


@harness.lasts(7)
def test_idle_since(broker):
    q = broker.name()
    broker.put(where(q), {})
    queue = full(broker, q, lambda queue: "idle_since" in queue)
    matches(queue["idle_since"], r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+\+00:00)?$")
    broker.channel().publish("", q, b"1")
    full(broker, q, lambda now: now.get("messages") == 1 and now.get("idle_since") != queue["idle_since"])


def test_head_message_timestamp(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    for timestamp in ({"timestamp": 1700000001}, {"timestamp": 1700000002}, {}):
        ch.publish("", q, b"1", timestamp)

    def shows(timestamp, **counts):
        return full(broker, q, lambda queue: queue["head_message_timestamp"] == timestamp
                    and all(queue[key] == value for key, value in counts.items()))
    full(broker, q, lambda queue: queue.get("messages") == 3)
    shows(1700000001)
    tag = ch.get(q, no_ack=False).delivery_tag
    shows(1700000001, messages_unacknowledged=1)
    ch.ack(tag)
    shows(1700000002, messages=2)
    ch.get(q)
    shows(None, messages=1)


@differs("coney's own")
def test_dead_lettered(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q, {"x-dead-letter-exchange": "amq.fanout", "x-max-length": 1})
    ch.publish("", q, b"1")
    ch.publish("", q, b"2")
    ch.publish("", q, b"3", {"expiration": "0"})
    ch.settled(q)
    ch.declare(q + "r", {"x-dead-letter-exchange": "amq.fanout"}, auto_delete=False)
    ch.publish("", q + "r", b"1")
    ch.expect_count(q + "r", 1)
    ch.reject(ch.get(q + "r", no_ack=False).delivery_tag, requeue=False)
    ch.settled(q + "r")
    eq(broker.get(where(q + "r"))["dead_lettered"], {"rejected": 1, "expired": 0, "maxlen": 0, "delivery_limit": 0})
    died = broker.get(where(q))["dead_lettered"]
    eq(died["rejected"] + died["delivery_limit"], 0)
    ok(died["maxlen"] >= 1 and died["maxlen"] + died["expired"] >= 2, died)
    eq(broker.get(where(q))["durability"], "safe")


def test_without_statistics(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    ch.publish("", q, b"x")
    full(broker, q, lambda queue: queue.get("messages") == 1)
    for place in (where(q), "queues", "queues/%2F"):
        got = broker.get(place + "?disable_stats=true")
        queue = got if isinstance(got, dict) else [x for x in got if x["name"] == q][0]
        eq({key: queue[key] for key in ("name", "vhost", "type", "durable", "auto_delete", "exclusive", "arguments")},
           {"name": q, "vhost": "/", "type": "classic", "durable": False, "auto_delete": False, "exclusive": False,
            "arguments": {}})
        ok(not {"messages", "message_stats", "memory", "consumers"} & set(queue), queue)
    queue, = [x for x in broker.get("queues/%2F?disable_stats=true&enable_queue_totals=true") if x["name"] == q]
    eq([queue[key] for key in RATES], [1, 1, 0])
    ok("memory" not in queue, queue)


def test_lists(broker):
    names = [broker.name() for _ in range(3)]
    for name in names:
        broker.put(where(name), {})
    page = broker.get("queues/%%2F?page=1&page_size=2&name=%s" % broker.unique)
    eq((page["filtered_count"], [q["name"] for q in page["items"]]), (3, names[:2]))
    eq(broker.get(where(names[0]) + "?columns=name,durable"), {"name": names[0], "durable": False})
    ok({"name": names[2]} in broker.get("queues?columns=name"), "columns")


def test_parts_of_columns(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q, {"x-max-length": 5})
    ch.publish("", q, b"x")
    full(broker, q, lambda queue: queue.get("message_stats", {}).get("publish") == 1)
    columns = "?columns=name,message_stats.publish,messages_details.rate,arguments,nothing"
    want = {"name": q, "message_stats": {"publish": 1}, "arguments": {"x-max-length": 5}}
    for got in (broker.get(where(q) + columns), [x for x in broker.get("queues/%2F" + columns) if x["name"] == q][0]):
        eq(list(got.pop("messages_details")), ["rate"])
        eq(got, want)


def test_sorted_by_what_they_hold(broker):
    ch, names = broker.channel(), [broker.name() for _ in range(3)]
    for i, name in zip((2, 0, 1), names):
        ch.declare(name)
        for _ in range(i):
            ch.publish("", name, b"x")
    for i, name in zip((2, 0, 1), names):
        full(broker, name, lambda queue, i=i: queue.get("messages") == i)
    for reverse, want in (("", [names[1], names[2], names[0]]), ("&sort_reverse=true", [names[0], names[2], names[1]])):
        page = broker.get("queues/%%2F?page=1&page_size=10&name=%s&sort=messages%s" % (broker.unique, reverse))
        eq([x["name"] for x in page["items"]], want)


def test_samples(broker):
    q = broker.name()
    broker.put(where(q), {})
    details = full(broker, q)["messages_details"]
    eq(details["rate"], 0)
    asked = wait_until(lambda: broker.get(where(q) + "?lengths_age=60&lengths_incr=5").get("messages_details", {}).get(
        "samples"), 30, "samples")
    ok(all({"sample", "timestamp"} == set(sample) for sample in asked), asked)


@differs("of 4.x")
def test_detailed(broker):
    q = broker.name()
    broker.put(where(q), {})
    queue, = [x for x in broker.get("queues/detailed") if x["name"] == q]
    ok("message_bytes_ram" in queue, queue)


def test_purge(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    for _ in range(5):
        ch.publish("", q, b"x")
    ch.expect_count(q, 5)
    ch.get(q, no_ack=False)
    eq(broker.delete(where(q) + "/contents").body, b"")
    ch.expect_count(q, 0)
    ch.nack(1)
    ch.expect_count(q, 1)
    broker.refused("DELETE", where("nope") + "/contents", status=404, error="Object Not Found")
    eq(broker.ask("GET", where(q) + "/contents").status, 405)


def test_delete_on_conditions(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    ch.publish("", q, b"x")
    ch.expect_count(q, 1)
    broker.refused("DELETE", where(q) + "?if-empty=true", error="bad_request",
                   reason="^queue '%s' in vhost '/' not empty$" % q)
    ch.call("queue.purge", queue=q)
    tag = ch.consume(q)
    broker.refused("DELETE", where(q) + "?if-unused=true", error="bad_request",
                   reason="^queue '%s' in vhost '/' in use$" % q)
    ch.cancel(tag)
    broker.delete(where(q) + "?if-unused=true&if-empty=true")


def test_actions(broker):
    q = broker.name()
    broker.put(where(q), {})
    for action in ("sync", "cancel_sync"):
        eq(broker.post(where(q) + "/actions", {"action": action}, status=204).body, b"")
    broker.refused("POST", where(q) + "/actions", {"action": "dance"}, error="bad_request", reason="^unknown:? dance$")
    broker.refused("POST", where(q) + "/actions", {}, reason=r"^\[\{key_missing,action\}\]$")


def test_verbs(broker):
    q = broker.name()
    eq(broker.ask("POST", where(q), {}).status, 405)
    eq(sorted(broker.ask("OPTIONS", where(q), anonymous=True).headers["allow"].split(", ")),
       ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"])


@definitions(people)
def test_permissions_are_those_of_amqp(broker):
    some, boss = dict(user="queues.some"), dict(user="queues.boss")
    mine, other = where("mine", "queues.v"), where("other", "queues.v")
    broker.put(mine, {}, status=201, **some)
    broker.put(other, {}, status=201)
    for verb, place, body in (("PUT", where("x", "queues.v"), {}), ("PUT", where("x", "queues.v"), {"durable": True}),
                              ("DELETE", other, None), ("DELETE", other + "/contents", None)):
        broker.refused(verb, place, body, **REFUSED, **some)
        broker.refused(verb, place, body, **REFUSED, **boss)
    broker.delete(mine + "/contents", **some)
    broker.delete(mine, **some)
    eq(broker.get(other, **boss)["name"], "other", "an administrator may look")
    eq(broker.get(other, **some)["name"], "other", "who has rights in the vhost may look")
    broker.refused("GET", where("q"), status=401, error="not_authorised",
                   reason="^User not authorised to access virtual host$", **some)
    eq({q["vhost"] for q in broker.get("queues", **some)}, {"queues.v"})
    broker.delete(other)


@differs("the control socket is coney's own")
def test_control_socket_may_do_everything(broker):
    import api_harness
    control = api_harness.Client("unix:" + broker.server.control)
    q = broker.name()
    control.put(where(q), {"durable": True}, status=201)
    control.post(path("bindings", "/", "e", "amq.topic", "q", q), {"routing_key": "a.#"}, status=201)
    eq(control.post(path("exchanges", "/", "amq.topic", "publish"),
                    {"properties": {}, "routing_key": "a.b", "payload": "x", "payload_encoding": "string"}).json,
       {"routed": True})
    eq(len(control.post(where(q) + "/get", {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}).json), 1)
    control.delete(where(q))
    control.refused("PUT", where("amq.mine"), {}, **REFUSED)


def test_missing_vhost(broker):
    broker.refused("PUT", where("q", "nope"), {}, status=404, error="not_found", reason="^vhost_not_found$")
    broker.refused("GET", "queues/nope", status=404, error="Object Not Found", reason="^Not Found$")
    broker.refused("DELETE", where("q", "nope"), status=404)


def test_node_name_is_rabbits(broker):
    q = broker.name()
    broker.put(where(q), {})
    ok(re.match(r"^[\w-]+@", broker.get(where(q))["node"]), "node")
