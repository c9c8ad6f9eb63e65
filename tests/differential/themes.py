# SPDX-License-Identifier: Apache-2.0
"""What sessions are about: a theme is given the generator and says which steps are likely, what arguments queues may
have, and whose connections there are."""

import amqp_raw

LONG_TTL = 600000           # ms, nothing that has it runs out
SHORT_TTL = 30              # ms; sessions that use it wait longer after each step
SHORT_TTL_QUIET = 170

# Names of the generator's methods, and how often each is chosen unless the theme says otherwise.
WEIGHTS = {"exchange_declare": 4, "exchange_delete": 1, "queue_bind": 4, "queue_unbind": 1, "exchange_bind": 1,
           "queue_declare": 4, "queue_delete": 1, "queue_purge": 1, "queue_count": 2, "publish": 10, "publish_many": 3,
           "settle": 8, "get": 5, "consume": 5, "cancel": 2, "qos": 2, "recover": 1, "confirm_select": 1,
           "channel_close": 1, "channel_open": 0.3, "connection_close": 0.5, "reconnect": 0.2, "cut": 0.3, "flow": 0.2,
           "body_in_pieces": 0.3, "raw_frame": 0.1, "pipeline": 3, "stranger": 0.2, "held_close": 0.2}

# What may stand in one segment with others.
PIPELINED = ["publish", "publish", "publish", "settle", "get", "consume", "qos", "queue_bind", "queue_declare",
             "exchange_declare", "cancel", "queue_purge", "exchange_bind", "queue_unbind", "confirm_select"]

ALL = {}


def arguments(**values):
    """max_length=2 as [["x-max-length", "I", 2]]; a pair is (type, value)."""
    kinds = {bool: "t", int: "I", str: "S"}
    return [["x-" + name.replace("_", "-")] + (list(value) if isinstance(value, tuple) else [kinds[type(value)], value])
            for name, value in values.items()]


TO_THIRD = arguments(dead_letter_exchange="", dead_letter_routing_key="q3")
LIMITS = [arguments(max_length=2), arguments(max_length=("l", 0)), arguments(max_length_bytes=5),
          arguments(max_length=("s", 1), overflow="reject-publish"),
          arguments(max_length=2, overflow="reject-publish-dlx") + TO_THIRD,
          arguments(max_length_bytes=6, max_length=3, overflow="drop-head")]


def theme(weight):
    def mark(function):
        ALL[function.__name__] = (weight, function)
        return function
    return mark


@theme(6)
def plain(gen):
    gen.likely = {}


@theme(4)
def topology(gen):
    gen.likely = {"exchange_declare": 14, "exchange_bind": 8, "queue_bind": 12, "queue_unbind": 6, "exchange_delete": 5,
                  "queue_delete": 4}
    gen.queue_arguments = [arguments(max_length=10), arguments(max_length=("l", 10)), arguments(max_length=11),
                           arguments(message_ttl=LONG_TTL)]


@theme(4)
def settling(gen):
    gen.likely = {"settle": 20, "consume": 8, "qos": 5, "recover": 3, "publish_many": 6, "get": 8}
    gen.queue_arguments = [arguments(single_active_consumer=True)]


@theme(3)
def confirms(gen):
    gen.likely = {"confirm_select": 8, "publish": 20, "publish_many": 10}
    gen.queue_arguments = LIMITS


@theme(3)
def transactions(gen):
    gen.likely = {"tx": 6, "tx_part": 10, "queue_delete": 2}
    gen.queue_arguments = LIMITS[:2]


@theme(4)
def limits(gen):
    gen.likely = {"publish": 15, "publish_many": 8}
    gen.queue_arguments = LIMITS


@theme(4)
def dead_letters(gen):
    gen.likely = {"settle": 20, "publish_many": 6, "get": 10}
    target = gen.pick(["", "x1", "x2", "amq.fanout", "amq.direct"])
    gen.queue_arguments = [arguments(dead_letter_exchange=target), arguments(dead_letter_exchange=target, message_ttl=0),
                           arguments(dead_letter_exchange=target, dead_letter_routing_key=gen.pick(["q2", "q3", "a"])),
                           arguments(dead_letter_exchange="", dead_letter_routing_key="q2", max_length=1)]


@theme(2)
def short_lives(gen):
    """What runs out does so while nothing else happens: after each step there is more time than that."""
    gen.options["quiet_ms"] = SHORT_TTL_QUIET
    gen.likely = {"settle": 15, "get": 8, "connection_close": 0.1, "queue_declare": 6}
    gen.queue_arguments = [arguments(expires=SHORT_TTL * 2), arguments(expires=LONG_TTL)]
    if gen.chance(0.5):     # either queues say it, or all messages do, with one time for all: 3.10 looks at the head only
        gen.queue_arguments += [arguments(message_ttl=SHORT_TTL) + TO_THIRD, arguments(message_ttl=SHORT_TTL),
                                arguments(message_ttl=0), arguments(message_ttl=LONG_TTL, dead_letter_exchange="x1")]
    else:
        gen.queue_arguments += [TO_THIRD, arguments(dead_letter_exchange="x1"), arguments(max_length=2) + TO_THIRD]
        gen.every_expiration = gen.pick(["0", str(SHORT_TTL)])


@theme(2)
def priority(gen):
    gen.likely = {"publish_many": 8, "settle": 12, "get": 10}
    gen.queue_arguments = [arguments(max_priority=5), arguments(max_priority=2, max_length=3),
                           arguments(max_priority=("B", 255)), arguments(max_priority=0)]


@theme(2)
def policies(gen):
    gen.likely = {"policy": 10, "publish_many": 6}
    gen.queue_arguments = [arguments(max_length=2), arguments(overflow="reject-publish"),
                           arguments(dead_letter_exchange="x1")]


@theme(2)
def rights(gen):
    """The second connection is of a user who may not do everything. No pattern depends on the letters of names that the server makes."""
    patterns = ["", ".*", "^q", "^(q1|x1|amq.gen.*)$", "^x", "^amq\\.(direct|default)$"]
    gen.options["permissions"] = {kind: gen.pick(patterns) for kind in ("configure", "write", "read")}
    if gen.chance(0.5):
        keys = ["^a", ".*", ""]
        gen.options["topic_permissions"] = [{"exchange": exchange, "write": gen.pick(keys), "read": gen.pick(keys)}
                                            for exchange in ["x1", "amq.topic"]]
    gen.connections[1] = {"user": "limited"}
    gen.likely = {"exchange_bind": 4, "exchange_declare": 8}
    gen.where = lambda: {"c": gen.pick([0, 1, 1, 1]), "ch": gen.pick([1, 1, 1, 2])}
    gen.queue_arguments = [arguments(dead_letter_exchange="x1"), []]


@theme(1.5)
def replies(gen):
    gen.likely = {"reply_request": 15}


@theme(1.5)
def frames(gen):
    gen.likely = {"raw_frame": 12, "stranger": 6, "body_in_pieces": 3, "held_close": 3}


def ahead(of, name, channel=0, **fields):
    """A method that is sent in the middle of the handshake."""
    return {"inject": {of: amqp_raw.method_frame(channel, name, **fields).hex()}}


def amqplain(**fields):
    return {"mechanism": "AMQPLAIN", "response": amqp_raw.encode_table_contents(fields).hex()}


def plain_login(*parts):
    return {"response": b"\0".join(parts).hex()}


# What may be different about a handshake. Many are dropped after three seconds.
HANDSHAKES = [
    {"header": b"AMQP\0\0\x09\0".hex()}, {"header": b"AMQP\1\1\0\x09".hex()}, {"header": b"AMQP\0\1\0\0".hex()},
    {"header": b"GET / HT".hex()}, {"header": b"AMQP\0\0\x0a\0".hex()},
    {"mechanism": "plain"}, {"mechanism": "EXTERNAL"}, {"mechanism": ""}, {"response": ""},
    plain_login(b"", b"guest", b"guest", b""), plain_login(b"guest", b"guest", b"guest"), plain_login(b"", b"guest"),
    amqplain(LOGIN="guest", PASSWORD="guest"), amqplain(LOGIN="guest"), amqplain(LOGIN="guest", PASSWORD=5),
    {"password": "wrong"}, {"user": "nobody"}, {"password": ""}, {"password": "wrong", "capabilities": []},
    {"vhost": "nowhere"}, {"vhost": ""}, {"user": "limited"}, {"locale": "xx"},
    {"tune": [0, 131072, 0]}, {"tune": [2048, 131072, 0]}, {"tune": [2047, 0, 0]}, {"tune": [2047, 4095, 0]},
    {"tune": [2047, 4096, 65535]}, {"tune": [2047, 131073, 0]},
    {"client_properties": []}, {"client_properties": {"hex": "0000000401615a00"}},
    {"client_properties": [["capabilities", "S", "none"], ["connection_name", "I", 5]]},
    {"client_properties": [["capabilities", "F", [["authentication_failure_close", "S", "true"]]]], "password": "wrong"},
    {"inject": {"start-ok": amqp_raw.HEARTBEAT_FRAME.hex()}}, {"inject": {"open": amqp_raw.HEARTBEAT_FRAME.hex()}},
    ahead("open", "channel.open", 1), ahead("start-ok", "connection.open", virtual_host="/"),
    ahead("tune-ok", "connection.open", virtual_host="/"), ahead("open", "connection.close", reply_code=200),
    ahead("open", "connection.tune-ok", channel_max=1, frame_max=4096, heartbeat=0)]


@theme(0.8)
def handshakes(gen):
    for _ in range(gen.random.randint(1, 3)):
        how = dict(gen.pick(HANDSHAKES))
        if gen.chance(0.3):
            how.update(gen.pick(HANDSHAKES))
        gen.add("connect", **{"c": gen.pick([0, 1]), "with": how})
    gen.likely = {}


@theme(0.7)
def quorum(gen):
    """Slower in RabbitMQ, and without what 3.10 does to them asynchronously."""
    gen.options["quiet_ms"] = 25
    gen.queue_arguments = [arguments(queue_type="quorum", delivery_limit=5),
                           arguments(queue_type="quorum", delivery_limit=1) + TO_THIRD]
    gen.likely = {"queue_delete": 0, "cut": 0}
