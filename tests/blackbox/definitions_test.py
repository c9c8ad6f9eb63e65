# SPDX-License-Identifier: Apache-2.0
"""A RabbitMQ definitions file as the source of users, vhosts and topology (load_definitions)."""

import base64
import hashlib

import amqp_raw
from harness import definitions, eq, ok, permission, user

VHOST = "defs"


def hashed(algorithm, password, salt=b"\x01\x02\x03\x04"):
    return base64.b64encode(salt + hashlib.new(algorithm, salt + password.encode()).digest()).decode()


def everything():
    def queue(name, durable=True, auto_delete=False, **args):
        return {"name": name, "vhost": VHOST, "durable": durable, "auto_delete": auto_delete,
                "arguments": {"x-" + k.replace("_", "-"): v for k, v in args.items()}}

    def exchange(name, kind, durable=True, auto_delete=False, internal=False, **args):
        return {"name": name, "vhost": VHOST, "type": kind, "durable": durable, "auto_delete": auto_delete,
                "internal": internal, "arguments": {k.replace("_", "-"): v for k, v in args.items()}}

    def binding(source, destination, key="", kind="queue", **args):
        return {"source": source, "vhost": VHOST, "destination": destination, "destination_type": kind,
                "routing_key": key, "arguments": args}

    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            user("u256", password_hash=hashed("sha256", "geheim")),
            user("u512", password_hash=hashed("sha512", "geheim"), hashing_algorithm="rabbit_password_hashing_sha512"),
            user("umd5", password_hash=hashed("md5", "geheim"), hashing_algorithm="rabbit_password_hashing_md5"),
            user("uother", password_hash=hashed("sha256", "geheim", b"\xff\x00\xff\x00")),
            user("umlaut\u00e4", password_hash=hashed("sha256", "gr\u00fc\u00dfe")),
            user("unopass", password_hash="")],
        "permissions": [permission(u, VHOST) for u in ("u256", "u512", "umd5", "uother", "umlaut\u00e4", "unopass")],
        "exchanges": [exchange("in", "topic"), exchange("hidden", "fanout", internal=True),
                      exchange("heads", "headers"), exchange("alt", "direct", alternate_exchange="hidden")],
        "queues": [queue("all"), queue("some", message_ttl=600000, max_length=3), queue("q", queue_type="quorum"),
                   queue("typed", dead_letter_exchange="in", dead_letter_routing_key="k")],
        "bindings": [binding("in", "all", "#"), binding("in", "some", "a.*"), binding("in", "hidden", "h", "exchange"),
                     binding("hidden", "q"),
                     binding("heads", "all", "", **{"x-match": "any", "colour": "red", "n": 5})]}


loaded = definitions(everything)


@loaded
def test_password_hashes_of_every_algorithm(broker):
    for name in ("u256", "u512", "umd5", "uother"):
        broker.connect(user=name, password="geheim", vhost=VHOST).channel()
        try:
            broker.connect(user=name, password="falsch", vhost=VHOST)
            raise AssertionError("%s logged in with a wrong password" % name)
        except amqp_raw.ConnectionClosed as closed:
            eq(closed.code, 403)
    broker.connect(user="umlaut\u00e4", password="gr\u00fc\u00dfe", vhost=VHOST).channel()


@loaded
def test_user_without_a_password_cannot_log_in(broker):
    for password in ("", "x"):
        try:
            broker.connect(user="unopass", password=password, vhost=VHOST)
            raise AssertionError("logged in")
        except amqp_raw.ConnectionClosed as closed:
            eq(closed.code, 403)


@loaded
def test_topology_is_there(broker):
    ch = broker.channel(vhost=VHOST)
    ch.exchange("in", "topic", durable=True), ch.exchange("hidden", "fanout", durable=True, internal=True)
    ch.exchange("alt", "direct", {"alternate-exchange": "hidden"}, durable=True)
    ch.declare("all", durable=True)
    ch.declare("some", {"x-message-ttl": 600000, "x-max-length": 3}, durable=True)
    ch.declare("q", {"x-queue-type": "quorum"}, durable=True)
    ch.declare("typed", {"x-dead-letter-exchange": "in", "x-dead-letter-routing-key": "k"}, durable=True)


@loaded
def test_bindings_route(broker):
    ch = broker.channel(vhost=VHOST)
    for queue in ("all", "some", "q"):
        ch.call("queue.purge", queue=queue)
    ch.confirm()
    ch.publish_confirmed("in", "a.b", b"1"), ch.publish_confirmed("in", "h", b"2")
    ch.publish_confirmed("alt", "k", b"3")
    ch.publish_confirmed("heads", "", b"4", {"headers": {"n": 5}})
    ch.publish_confirmed("heads", "", b"5", {"headers": {"colour": "blue"}})
    eq((ch.drain("all"), ch.drain("some"), ch.drain("q")), ([b"1", b"2", b"4"], [b"1"], [b"2", b"3"]))


@loaded
def test_bindings_have_the_identity_of_declared_ones(broker):
    """Unbinding with the arguments of the file, as a client would send them, removes the binding."""
    ch = broker.channel(vhost=VHOST)
    ch.unbind("typed", "in", "never")
    ch.bind("typed", "heads", "", {"x-match": "any", "colour": "green"})
    ch.unbind("typed", "heads", "", {"x-match": "any", "colour": "green"})
    ok(ch.count("typed")[0] == 0, "typed is not empty")
