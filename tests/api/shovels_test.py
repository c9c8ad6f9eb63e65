# SPDX-License-Identifier: Apache-2.0
"""Shovels as runtime parameters of the node, and /api/coney/tail, trace (doc/API.md)."""

import json
import signal
import socket

from api_harness import Node, differs, eq, ok, path, wait_until

coney = differs("coney's own, or a plugin's")


def value(**more):
    return {"value": dict({"src-protocol": "amqp091", "src-uri": "amqp://", "dest-protocol": "amqp091",
                           "dest-uri": "amqp://"}, **more)}


def states(broker):
    return {row["name"]: row["state"] for row in broker.get("shovels")}


@coney
def test_a_shovel_moves_messages_within_the_node(broker):
    ch, source, target, name = broker.channel(), broker.name(), broker.name(), broker.name("s")
    ch.declare(source, durable=True)
    ch.declare(target, durable=True)
    for i in range(100):
        ch.publish("", source, b"%d" % i, {"message_id": str(i)})
    where = path("parameters", "shovel", "/", name)
    eq(broker.put(where, value(**{"src-queue": source, "dest-queue": target})).status, 201)
    wait_until(lambda: ch.count(target)[0] == 100, what="all moved")
    eq([ch.get(target).body for _ in range(100)], [b"%d" % i for i in range(100)])
    eq(states(broker)[name], "running")
    eq(broker.get(path("shovels", "/", name))["forwarded"], 100)
    eq(broker.put(where, value(**{"src-queue": source, "dest-queue": target})).status, 204)
    broker.delete(where)
    wait_until(lambda: name not in states(broker), what="gone")
    ch.publish("", source, b"stays")
    ch.expect_count(source, 1)


@coney
def test_one_that_has_moved_what_there_was_goes(broker):
    ch, source, target, name = broker.channel(), broker.name(), broker.name(), broker.name("s")
    ch.declare(source, durable=True)
    ch.declare(target, durable=True)
    for i in range(5):
        ch.publish("", source, b"%d" % i)
    ch.expect_count(source, 5)
    broker.put(path("parameters", "shovel", "/", name),
               value(**{"src-queue": source, "dest-queue": target, "src-delete-after": "queue-length"}))
    wait_until(lambda: ch.count(target)[0] == 5, what="all moved")
    wait_until(lambda: broker.ask("GET", path("parameters", "shovel", "/", name)).status == 404, what="its parameter gone")


@coney
def test_what_is_no_shovel(broker):
    where = path("parameters", "shovel", "/", broker.name("s"))
    for wrong in ({"value": {}}, value(), value(**{"src-queue": "a", "dest-queue": "b", "ack-mode": "x"})):
        ok("Validation failed" in broker.refused("PUT", where, wrong, status=400).reason, wrong)


@coney
def test_only_administrators_make_them(broker):
    user = broker.new_user(tags=("policymaker",), vhosts=("/",))
    where = path("parameters", "shovel", "/", broker.name("s"))
    broker.refused("PUT", where, value(**{"src-queue": "a", "dest-queue": "b"}), status=401, user=user)


@coney
def test_shovels_run_again_after_a_restart(broker):
    with Node() as node:
        node.connect().channel().declare("from", durable=True)
        node.put("parameters/shovel/%2F/s", value(**{"src-queue": "from", "dest-queue": "to"}))
        wait_until(lambda: states(node) == {"s": "running"}, what="running")
        node.restart(signal.SIGKILL)
        wait_until(lambda: states(node) == {"s": "running"}, what="running again")
        ch = node.connect().channel()
        ch.publish("", "from", b"x")
        wait_until(lambda: ch.count("to")[0] == 1, what="moved")


@coney
def test_tail_tells_what_goes_through(broker):
    name = broker.new_vhost()
    ch = broker.channel(vhost=name)
    ch.exchange("x", "direct")
    with socket.create_connection((broker.http_host, broker.http_port), 20) as sock:
        sock.sendall(("GET /api/coney/tail?vhost=%s&exchange=x HTTP/1.0\r\nAuthorization: %s\r\n\r\n"
                      % (name, broker.headers(None, None)["authorization"])).encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += sock.recv(4096)
        while b"hello" not in got:
            ch.publish("x", "k", b"hello", {"message_id": "7"})
            got += sock.recv(4096)
        ch.publish("", "elsewhere", b"not this")
    line = next(json.loads(l) for l in got.splitlines() if l.startswith(b"{"))
    eq((line["exchange_name"], line["payload"], line["properties"]["message_id"]), ("x", "hello", "7"))
    broker.refused("GET", "coney/tail", status=400)


@coney
def test_trace(broker):
    name = broker.new_vhost()
    broker.put(path("coney", "trace", name))
    eq(broker.get(path("vhosts", name))["tracing"], True)
    broker.delete(path("coney", "trace", name))
    eq(broker.get(path("vhosts", name))["tracing"], False)
    broker.refused("PUT", "coney/trace/nope", {}, status=404)
