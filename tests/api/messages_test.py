# SPDX-License-Identifier: Apache-2.0
"""publish and get of the HTTP API, and aliveness-test (management-http-api.md 3.13, 6)."""

import base64

import harness
from api_harness import definitions, differs, eq, ok, path

DEFAULT = "exchanges/%2F/amq.default/publish"


def people():
    return {"users": [harness.user("messages.some", tags=["management"]),
                      harness.user("messages.boss", tags=["administrator"])],
            "vhosts": [{"name": "messages.v"}],
            "permissions": [harness.permission("messages.some", "messages.v", "^mine", "^mine", "^mine")]}


def message(key, payload="hello", encoding="string", **properties):
    return {"properties": properties, "routing_key": key, "payload": payload, "payload_encoding": encoding}


def getting(count=1, ackmode="ack_requeue_true", encoding="auto", **more):
    return dict({"count": count, "ackmode": ackmode, "encoding": encoding}, **more)


def queue_with(broker, *bodies, args=None):
    ch, q = broker.channel(), broker.name()
    ch.declare(q, args)
    for body in bodies:
        ch.publish("", q, body)
    ch.expect_count(q, len(bodies))
    return ch, q


def get(broker, q, *args, **more):
    return broker.post(path("queues", "/", q, "get"), getting(*args, **more), status=200).json


def test_publish(broker):
    ch, q = queue_with(broker)
    answer = broker.post(DEFAULT, message(q), status=200)
    eq(answer.json, {"routed": True})
    got = ch.get(q)
    eq((got.body, got.exchange, got.routing_key, got.redelivered), (b"hello", "", q, False))
    eq(broker.post(DEFAULT, message("nobody"), status=200).json, {"routed": False})


def test_publish_to_an_exchange(broker):
    ch, q = queue_with(broker)
    e = broker.name("e x")
    ch.exchange(e, "topic")
    ch.bind(q, e, "a.*")
    where = path("exchanges", "/", e, "publish")
    eq(broker.post(where, message("a.b")).json, {"routed": True})
    eq(broker.post(where, message("b")).json, {"routed": False})
    eq(ch.get(q).routing_key, "a.b")


def test_publish_properties(broker):
    ch, q = queue_with(broker)
    properties = {"content_type": "text/plain", "content_encoding": "utf-8", "delivery_mode": 2, "priority": 4,
                  "correlation_id": "c", "reply_to": "r", "expiration": "600000", "message_id": "m",
                  "timestamp": 1234567890, "type": "t", "user_id": "guest", "app_id": "a", "cluster_id": "cl",
                  "headers": {"n": 1, "f": 2.5, "s": "x", "b": True, "a": [1, {"t": "u"}], "t": {"y": -1}}}
    broker.post(DEFAULT, message(q, unknown="ignored", **properties))
    shown = get(broker, q)[0]
    eq(shown["properties"], properties)
    props = ch.get(q).props
    for key in ("delivery_mode", "priority", "expiration", "user_id", "cluster_id"):
        eq(props[key], properties[key], key)


def test_publish_octets(broker):
    ch, q = queue_with(broker)
    octets = bytes(range(256)) * 1000
    broker.post(DEFAULT, message(q, base64.b64encode(octets).decode(), "base64"))
    eq(ch.get(q).body, octets)
    broker.post(DEFAULT, message(q, "", "base64"))
    eq(ch.get(q).body, b"")
    # as tools write it: in lines, which count neither in the length nor behind the padding
    broker.post(DEFAULT, message(q, base64.encodebytes(octets[:1000]).decode(), "base64"))
    eq(ch.get(q).body, octets[:1000])
    broker.post(DEFAULT, message(q, "QQ==\r\n\r\n", "base64"))
    eq(ch.get(q).body, b"A")
    broker.post(DEFAULT, message(q, "ü\0"))
    eq(ch.get(q).body, "ü\0".encode())
    broker.refused("POST", DEFAULT, message(q, "!!", "base64"), error="bad_request", reason="^not_base64:? !!$")
    broker.refused("POST", DEFAULT, message(q, "x", "hex"), reason="^unsupported_encoding:? hex$")
    broker.refused("POST", DEFAULT, message(q, {"a": 1}), reason="^payload_not_string$")


def test_publish_a_large_message(broker):
    ch, q = queue_with(broker)
    broker.post(DEFAULT, message(q, "x" * 5000000))
    eq(len(ch.get(q).body), 5000000)


def test_publish_what_is_missing(broker):
    answer = broker.refused("POST", DEFAULT, {"routing_key": "k"}, error="bad_request")
    for key in ("properties", "payload", "payload_encoding"):
        ok("{key_missing,%s}" % key in answer.reason, answer)
    ok("routing_key" not in answer.reason, answer)


def test_publish_bad_properties(broker):
    for name in ("delivery_mode", "priority", "timestamp"):
        broker.refused("POST", DEFAULT, message("k", **{name: "2"}), reason="^not_int:? %s$" % name)
    for name in ("expiration", "content_type", "reply_to"):
        broker.refused("POST", DEFAULT, message("k", **{name: 5}), reason="^not_string:? %s$" % name)
    broker.refused("POST", DEFAULT, message("k", expiration="abc"), error="bad_request",
                   reason="^406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer$")
    broker.refused("POST", DEFAULT, message("k", user_id="other"), error="bad_request",
                   reason="^406 PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was "
                          "'guest'$")


@differs("RabbitMQ 3.10 crashes, or takes it modulo 256")
def test_publish_odd_properties(broker):
    ch, q = queue_with(broker)
    broker.post(DEFAULT, dict(message(q), properties=[]), status=200)
    eq(ch.get(q).props, {})
    broker.refused("POST", DEFAULT, message(q, priority=256), reason="^not_int: priority$")
    broker.refused("POST", DEFAULT, message(q, type="x" * 256), reason="longer than 255")
    broker.refused("POST", DEFAULT, message(q, headers={"x" * 256: 1}), reason="longer than 255")


def test_publish_to_nowhere(broker):
    broker.refused("POST", "exchanges/%2F/nope/publish", message("k"), error="bad_request",
                   reason="^404 NOT_FOUND - no exchange 'nope' in vhost '/'$")
    eq(broker.ask("GET", DEFAULT).status, 405)


def test_publish_to_a_full_queue(broker):
    _, q = queue_with(broker, b"1", args={"x-max-length": 1, "x-overflow": "reject-publish"})
    broker.refused("POST", DEFAULT, message(q), error="bad_request", reason="rejected")


def test_get_shapes(broker):
    _, q = queue_with(broker, b"text", b"\xff\xfe", b"")
    first, second, third = get(broker, q, 5)
    eq({key: first[key] for key in ("payload_bytes", "redelivered", "exchange", "routing_key", "message_count",
                                    "payload", "payload_encoding")},
       {"payload_bytes": 4, "redelivered": False, "exchange": "", "routing_key": q, "message_count": 2,
        "payload": "text", "payload_encoding": "string"})
    ok(first["properties"] in ({}, []), first)
    eq((second["payload"], second["payload_encoding"], second["payload_bytes"]), ("//4=", "base64", 2))
    eq((third["payload"], third["payload_encoding"], third["message_count"]), ("", "string", 0))
    eq(get(broker, q, 1, encoding="base64")[0]["payload"], "dGV4dA==")


def test_get_requeues(broker):
    ch, q = queue_with(broker, b"1", b"2", b"3")
    for ackmode in ("ack_requeue_true", "reject_requeue_true"):
        eq([m["payload"] for m in get(broker, q, 2, ackmode)], ["1", "2"], ackmode)
        ch.expect_count(q, 3)
    eq([m["redelivered"] for m in get(broker, q, 3)], [True, True, False])
    eq(ch.drain(q), [b"1", b"2", b"3"])


def test_get_takes(broker):
    ch, q = queue_with(broker, b"1", b"2", b"3")
    eq([m["payload"] for m in get(broker, q, 2, "ack_requeue_false")], ["1", "2"])
    eq([m["payload"] for m in get(broker, q, 2, "ack_requeue_false")], ["3"])
    eq(get(broker, q, 2, "ack_requeue_false"), [])
    ch.expect_count(q, 0)


def test_get_rejects(broker):
    ch, dead = queue_with(broker)
    q = broker.name()
    ch.declare(q, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    ch.publish("", q, b"1")
    ch.publish("", q, b"2")
    ch.expect_count(q, 2)
    eq([m["payload"] for m in get(broker, q, 2, "reject_requeue_false")], ["1", "2"])
    ch.expect_count(q, 0)
    ch.expect_count(dead, 2)
    eq([d["reason"] for d in ch.get(dead).headers["x-death"]], ["rejected"])


def test_get_counts(broker):
    _, q = queue_with(broker, b"12345", b"2")
    eq(get(broker, q, 0), [])
    eq(len(get(broker, q, "2")), 2)
    short = get(broker, q, 1, truncate=3)[0]
    eq((short["payload"], short["payload_bytes"]), ("123", 5))
    eq(get(broker, q, 1, truncate="2")[0]["payload"], "12")


def test_get_what_is_wrong(broker):
    _, q = queue_with(broker, b"1")
    where = path("queues", "/", q, "get")
    answer = broker.refused("POST", where, {}, error="bad_request")
    for key in ("count", "ackmode", "encoding"):
        ok("{key_missing,%s}" % key in answer.reason, answer)
    broker.refused("POST", where, {"count": 1, "requeue": True, "encoding": "auto"},
                   reason=r"^\[\{key_missing,ackmode\}\]$")
    broker.refused("POST", where, getting("x"), reason="^not_integer:? x$")
    broker.refused("POST", where, getting(truncate="x"), reason="^not_integer:? x$")
    broker.refused("POST", where, getting(encoding="hex"),
                   reason=r"^Unsupported encoding\. Please use auto or base64\.$")
    broker.refused("POST", path("queues", "/", "nope", "get"), getting(), status=404, error="not_found",
                   reason="^NOT_FOUND - no queue 'nope' in vhost '/'$")
    eq(broker.ask("GET", where).status, 405)


@differs("RabbitMQ crashes")
def test_get_in_an_unknown_way(broker):
    _, q = queue_with(broker, b"1")
    broker.refused("POST", path("queues", "/", q, "get"), getting(ackmode="eat"), reason="ackmode: eat$")


def test_get_many(broker):
    bodies = [b"%d" % i for i in range(500)]
    ch, q = queue_with(broker, *bodies)
    eq([m["payload"].encode() for m in get(broker, q, 1000, "ack_requeue_true")], bodies)
    eq(len({m["payload"] for m in get(broker, q, 300, "reject_requeue_true")}), 300)
    ch.expect_count(q, 500)
    eq(ch.drain(q), bodies)


@differs("RabbitMQ's answer may be as large as memory")
def test_get_is_bounded_without_payloads(broker):
    ch, q = queue_with(broker)
    headers = {"h": "x" * 100000}
    for _ in range(60):
        ch.publish("", q, b"", {"headers": headers})
    ch.expect_count(q, 60)
    got = len(get(broker, q, 1000, "ack_requeue_false", truncate=0))
    ok(40 <= got < 50, "%d messages with 100 kB of headers each" % got)
    ch.expect_count(q, 60 - got)


def test_get_from_an_exclusive_queue(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q, exclusive=True)
    broker.refused("POST", path("queues", "/", q, "get"), getting(), error="bad_request",
                   reason="^405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s'" % q)


@definitions(people)
def test_permissions_are_those_of_amqp(broker):
    some, boss = dict(user="messages.some"), dict(user="messages.boss")
    for name in ("mine", "other"):
        broker.put(path("queues", "messages.v", name), {})
        broker.put(path("exchanges", "messages.v", name), {})
    broker.post(path("exchanges", "messages.v", "mine", "publish"), message("k"), **some)
    broker.refused("POST", path("exchanges", "messages.v", "other", "publish"), message("k"), error="bad_request",
                   reason="^403 ACCESS_REFUSED - (write )?access to exchange 'other' in vhost 'messages.v' refused for "
                          "user 'messages.some'$", **some)
    broker.post(path("queues", "messages.v", "mine", "get"), getting(), **some)
    broker.refused("POST", path("queues", "messages.v", "other", "get"), getting(), status=401, error="not_authorised",
                   reason="^ACCESS_REFUSED - (read )?access to queue 'other' in vhost 'messages.v' refused for user "
                          "'messages.some'$", **some)
    for where, body in ((path("exchanges", "messages.v", "mine", "publish"), message("k")),
                        (path("queues", "messages.v", "mine", "get"), getting())):
        broker.refused("POST", where, body, status=401, error="not_authorised", reason=r"^Access refused\.$", **boss)
    broker.refused("GET", "aliveness-test/messages.v", status=401, error="not_authorised",
                   reason="access to queue 'aliveness-test'", **some)
    broker.refused("GET", "aliveness-test/messages.v", status=401, reason=r"^Access refused\.$", **boss)
    for name in ("mine", "other"):
        broker.delete(path("queues", "messages.v", name))
        broker.delete(path("exchanges", "messages.v", name))


def test_aliveness(broker):
    for _ in range(2):
        eq(broker.get("aliveness-test/%2F"), {"status": "ok"})
    queue = broker.get("queues/%2F/aliveness-test?columns=name,durable,auto_delete")
    eq(queue, {"name": "aliveness-test", "durable": False, "auto_delete": False})
    broker.channel().expect_count("aliveness-test", 0)
    broker.refused("GET", "aliveness-test/nope", status=404, error="Object Not Found")


@harness.settings(**{"connection_max": "1"})
def test_own_connections_are_no_clients(broker):
    """They are not listed, and do not count where connections are limited."""
    ch, q = queue_with(broker, b"1")
    eq(len(get(broker, q, 1)), 1)
    broker.post(DEFAULT, message(q))
    ch.expect_count(q, 2)
    log = broker.server.tail()
    eq(log.count("authenticated and granted access"), 1, log)
    ok("unexpectedly closed" not in log, log)
    broker.refused("POST", "exchanges/%2F/nope/publish", message("k"))
    ok("channel error" not in broker.server.tail(), broker.server.tail())


@harness.settings(**{"vm_memory_high_watermark.absolute": "1KiB"})
def test_publish_while_clients_are_blocked(broker):
    broker.put("queues/%2F/q", {})
    eq(broker.post(DEFAULT, message("q")).json, {"routed": True})
    eq([m["payload"] for m in broker.post("queues/%2F/q/get", getting(5)).json], ["hello"])
