# SPDX-License-Identifier: Apache-2.0
"""Makes sessions of valid and almost valid AMQP: the same number gives the same session always.

A session has a theme, which says what is likely in it; little is remembered of what was done before, since the player
opens what is not open. Names come from small pools, so that steps meet each other's queues and exchanges. What is not
determined by the protocol is kept out here where it can be: see what themes.py says of time and of order.
"""

import random
import struct

import amqp_raw
import themes
from amqp_raw import METHODS
from themes import LONG_TTL

QUEUES = ["q1", "q2", "q3"]
EXCHANGES = ["x1", "x2", "x3"]
PREDECLARED = ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"]
TYPES = ["direct", "fanout", "topic", "headers"]
KEYS = ["", "a", "b", "a.b", "a.b.c", "a..b", ".", "a.", "q1", "q2"]
PATTERNS = KEYS + ["#", "*", "a.*", "a.#", "#.b", "*.b", "#.*", "#.#", "a.#.c", "*.*", "a.*.c", "a*", "#.a.#"]
TAGS = ["t1", "t2", "t3"]
ODD_NAMES = ["", "amq.", "amq.direct", "amq.nothing", "amq.gen-#1", "amq.gen-nobody", "nothing", "a b", "\u00e4\u00f6",
             "q1\r\n", "x" * 255, "\x00", "Q1", "amqfoo", "amq.rabbitmq.reply-to", "amq.rabbitmq.trace", "q\u20ac" * 60,
             {"hex": "ff41"}]
REPLY_NAMES = ["amq.rabbitmq.reply-to.#1", "amq.rabbitmq.reply-to.#2", "amq.rabbitmq.reply-to.none"]
SIZES = [1, 4087, 4088, 4089, 10000, 131064, 131065, 300000]    # about what frames of 4096 and 131072 octets hold
CONDITIONS = [["I", 1], ["S", "1"], ["V", None], ["t", True], ["l", 1], ["s", 2], ["S", "two"]]
QUEUE_ARGUMENTS = ["x-expires", "x-message-ttl", "x-max-length", "x-max-length-bytes", "x-max-priority", "x-overflow",
                   "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-single-active-consumer", "x-queue-type",
                   "x-queue-mode", "x-queue-version", "x-delivery-limit", "x-max-age", "x-dead-letter-strategy",
                   "x-queue-leader-locator", "x-initial-cluster-size", "x-foo"]
INTEGERS = {"b": 8, "B": -8, "s": 16, "u": -16, "I": 32, "i": -32, "l": 64, "L": 64}


class Generator:
    def __init__(self, seed):
        self.random = random.Random("coney %d" % seed)
        self.seed, self.messages = seed, 0
        self.options = {}
        self.connections = [{}, {}]
        self.steps = []
        self.wild = self.random.choice([0, 0.02, 0.08, 0.2])     # how likely is what is not valid
        self.theme = self.random.choices(list(themes.ALL), [weight for weight, _ in themes.ALL.values()])[0]
        self.likely = {}                # what the theme has more or less of
        self.queue_arguments = []       # what queues of this session may have
        self.every_expiration = None

    # dice

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, choices):
        return self.random.choice(choices)

    def odd(self):
        return self.chance(self.wild)

    def bit(self, probability=0.5):
        return self.chance(probability)

    def flags(self, **probabilities):
        return {name: True for name, probability in probabilities.items() if self.chance(probability)}

    # values

    def integer(self, kind):
        width = INTEGERS[kind]
        low, high = (0, 2 ** -width - 1) if width < 0 else (-2 ** (width - 1), 2 ** (width - 1) - 1)
        return self.pick([0, 1, 5, low, high, self.random.randint(low, high)])

    def string(self):
        return self.pick(["", "a", "text", "\u00e4", "x" * self.pick([20, 255, 300]), {"hex": "00ff"}])

    def value(self, depth=0):
        kind = self.pick("tbBsuIilfdDSxTVAF" + ("L" if self.chance(0.05) else "") if depth < 3 else "tIlSV")
        if kind in INTEGERS:
            return [kind, self.integer(kind)]
        if kind == "t":
            return [kind, self.bit()]
        if kind in "fd":
            return [kind, self.pick([0.0, 1.0, -2.5, 1e10])]
        if kind == "D":
            return [kind, [self.pick([0, 2, 255]), self.integer("i")]]
        if kind == "S":
            return [kind, self.string()]
        if kind == "x":
            return [kind, self.pick(["", "00ff", "616263"])]
        if kind == "T":
            return [kind, self.pick([0, 1, 1700000000, 2 ** 40])]
        if kind == "A":
            return [kind, [self.value(depth + 1) for _ in range(self.random.randint(0, 3))]]
        if kind == "F":
            return [kind, self.table(depth + 1)]
        return [kind, None]

    def table(self, depth=0):
        names = ["a", "b", "k", "", "x-a", "long" * 20, "\u00e4"]
        return [[self.pick(names)] + self.value(depth) for _ in range(self.random.randint(0, 4))]

    def broken_table(self):
        """A whole table that cannot be read, or only just."""
        pair = b"\x01aS" + struct.pack(">I", 1) + b"v"
        content = self.pick([pair[:-1], b"\x05a", pair + b"\x01bI\x00", pair + b"\x01b?", b"\x01aZ", b"\x01ac\x00",
                             b"\x01aA\x00\x00\x00\x09I", b"\x01aF\xff\xff\xff\xff", b"\x01ad\x7f\xf8" + bytes(6)])
        return {"hex": (struct.pack(">I", len(content)) + content).hex()}

    # names

    def queue(self):
        return self.pick(ODD_NAMES) if self.odd() else "" if self.chance(0.06) else self.pick(QUEUES)

    def exchange(self):
        if self.odd():
            return self.pick(ODD_NAMES)
        return self.pick(EXCHANGES * 2 + PREDECLARED)

    def where(self):
        """A connection and one of its channels; most of what happens is on the first."""
        return {"c": self.pick([0, 0, 0, 1]), "ch": self.pick([1, 1, 1, 2])}

    def add(self, do, **what):
        step = dict({"do": do}, **what)
        self.steps.append(step)
        return step

    def method(self, name, fields=None, **more):
        return self.add("method", **dict(self.where(), m=name, f=fields or {}, **more))

    # steps: topology

    def exchange_declare(self):
        fields = {"exchange": self.exchange(), "type": self.pick(TYPES)}
        fields.update(self.flags(passive=0.1, durable=0.4, auto_delete=0.1, internal=0.06, nowait=0.05))
        arguments = []
        if self.chance(0.15):
            arguments.append(["alternate-exchange", "S", self.pick(EXCHANGES + PREDECLARED + ["", "nothing"])])
        if self.odd():
            fields["type"] = self.pick(["", "x-bogus", "Direct", "topic ", "direct"] if self.chance(0.1) else TYPES)
        if self.odd():
            arguments.append(["alternate-exchange"] + self.value(2))
        if self.chance(0.1):
            arguments += self.table()
        if arguments:
            fields["arguments"] = arguments
        self.method("exchange.declare", fields)

    def exchange_delete(self):
        self.method("exchange.delete", dict({"exchange": self.exchange()}, **self.flags(if_unused=0.4, nowait=0.1)))

    def binding(self, fields):
        fields["routing_key"] = self.pick(PATTERNS)
        fields.update(self.flags(nowait=0.05))
        if self.chance(0.25):
            fields["arguments"] = self.pick([
                [["x-match", "S", self.pick(["all", "any", "all-with-x", "any-with-x"])]] + self.conditions(),
                self.conditions(), self.table()])
        if self.odd():
            fields["arguments"] = [["x-match"] + self.value(1)]
        return fields

    def conditions(self):
        return [[self.pick(["a", "b", "x-a"])] + self.pick(CONDITIONS) for _ in range(self.random.randint(0, 3))]

    def queue_bind(self):
        self.method("queue.bind", self.binding({"queue": self.queue(), "exchange": self.exchange()}))

    def queue_unbind(self):
        fields = self.binding({"queue": self.queue(), "exchange": self.exchange()})
        fields.pop("nowait", None)
        self.method("queue.unbind", fields)

    def exchange_bind(self):
        self.method(self.pick(["exchange.bind", "exchange.bind", "exchange.unbind"]), self.binding(
            {"destination": self.exchange(), "source": self.exchange()}))

    def queue_declare(self):
        fields = {"queue": self.queue()}
        fields.update(self.flags(durable=0.3, exclusive=0.06, auto_delete=0.06, passive=0.1, nowait=0.04))
        arguments = list(self.pick(self.queue_arguments)) if self.queue_arguments and self.chance(0.7) else []
        if self.odd():
            arguments.append(self.odd_queue_argument())
        if self.chance(0.05):
            arguments += self.table()
        if arguments:
            fields["arguments"] = arguments
        self.method("queue.declare", fields)

    def odd_queue_argument(self):
        name = self.pick(QUEUE_ARGUMENTS)
        value = self.pick([["I", -1], ["I", 0], ["I", 256], ["S", ""], ["S", "bogus"], ["S", "10"], ["l", 315360000001],
                           ["t", True], ["V", None], ["d", 1.0], ["T", 5], ["F", []], ["A", []]])
        if name in ("x-expires", "x-message-ttl") and value[1] == 256:
            value = ["I", LONG_TTL]     # nothing may run out while it is looked at
        return [name] + value

    def queue_delete(self):
        flags = self.flags(if_unused=0.25, if_empty=0.25, nowait=0.05)
        self.method("queue.delete", dict({"queue": self.queue()}, **flags))

    def queue_purge(self):
        self.method("queue.purge", dict({"queue": self.queue()}, **self.flags(nowait=0.05)))

    def queue_count(self):
        self.method("queue.declare", {"queue": self.pick(QUEUES), "passive": True})

    # steps: messages

    def properties(self):
        props = self.some_properties() if self.chance(0.5) else {}
        if self.every_expiration:
            props["expiration"] = self.every_expiration
        return props

    def some_properties(self):
        props = {}
        for name, _, kind in amqp_raw.PROPERTIES:
            if not self.chance(0.15):
                continue
            if kind == "table":
                props[name] = self.headers()
            elif name == "delivery_mode":
                props[name] = self.pick([1, 2, 2])
            elif name == "priority":
                props[name] = self.pick([0, 1, 5, 9, 255])
            elif name == "expiration":
                props[name] = self.expiration()
            elif name == "user_id":
                props[name] = self.pick(["", "other"]) if self.odd() else "guest"
            elif kind == "timestamp":
                props[name] = self.pick([0, 1700000000, 2 ** 63])
            elif name == "reply_to":
                props[name] = self.pick(["", "q1", "amq.rabbitmq.reply-to"] if self.odd() else ["q1", "q2"])
            else:
                props[name] = self.string() if name not in ("expiration", "user_id") else ""
                if isinstance(props[name], str) and len(props[name]) > 255:
                    props[name] = "long"
        if self.odd() and self.chance(0.05):
            props["delivery_mode"] = self.pick([0, 255])
        return props

    def expiration(self):
        if self.odd():
            return self.pick(["", "abc", "-1", "1.5", "10 ", " 10", "315360000001", "9" * 30, "+"])
        return self.pick([str(LONG_TTL), "+%d" % LONG_TTL, "0%d" % LONG_TTL])

    def headers(self):
        headers = self.table() + (self.conditions() if self.chance(0.5) else [])
        for name in ("CC", "BCC"):
            if self.chance(0.2):
                headers.append([name, "A", [["S", self.pick(KEYS + QUEUES)] for _ in range(self.random.randint(0, 3))]])
            elif self.odd():
                headers.append([name] + self.value(1))
        return self.broken_table() if self.odd() and self.chance(0.2) else headers

    def message(self, where):
        self.messages += 1
        body = "m%d" % self.messages
        exchange = "" if self.chance(0.5) else self.exchange()
        key = self.pick(QUEUES) if exchange == "" and self.chance(0.9) else self.pick(KEYS)
        fields = dict({"exchange": exchange, "routing_key": key}, **self.flags(mandatory=0.25))
        if self.odd() and self.chance(0.2):
            fields["immediate"] = True
        step = dict({"do": "publish", "f": fields, "props": self.properties(), "body": body}, **where)
        if self.chance(0.1):
            step["body"] = self.pick(["", [body + " ", self.pick(SIZES)]])
            if self.chance(0.3):
                step["cut"] = self.pick([1000, 4088, 100000])
        if self.theme == "priority":
            step["props"]["priority"] = self.pick([0, 1, 2, 3, 5, 9, 255])
        return step

    def publish(self):
        self.steps.append(self.message(self.where()))

    def publish_many(self):
        where = self.where()
        self.together(where, [self.message(where) for _ in range(self.random.randint(2, 6))])

    def together(self, where, part):
        """In one segment, unless a queue may pass on what it drops: then that races in RabbitMQ with what is published."""
        passing = self.theme == "policies" or any(name == "x-dead-letter-exchange" for arguments in self.queue_arguments
                                                  for name, *_ in arguments)
        if passing:
            self.steps += part
        else:
            self.add("batch", of=part, **where)

    def settlement(self, where):
        name = self.pick(["basic.ack", "basic.ack", "basic.nack", "basic.reject"])
        fields = {} if name == "basic.reject" else self.flags(multiple=0.25)
        if name != "basic.ack":
            fields["requeue"] = self.bit()
        step = dict({"do": "settle", "m": name, "f": fields, "pick": self.pick([0, 0, 1, 2, 5])}, **where)
        if self.odd():
            fields["delivery_tag"] = self.pick([0, 1, 2, 99, 2 ** 63])
            step["do"] = "method"
        return step

    def settle(self):
        self.steps.append(self.settlement(self.where()))

    def get(self):
        self.method("basic.get", dict({"queue": self.queue()}, **self.flags(no_ack=0.4)))

    def consume(self):
        fields = {"queue": self.queue(), "consumer_tag": self.pick(TAGS + [""])}
        fields.update(self.flags(no_local=0.05, no_ack=0.3, exclusive=0.06))
        if fields["consumer_tag"] and self.chance(0.05):
            fields["nowait"] = True
        if self.chance(0.15):
            fields["arguments"] = [["x-priority", "I", self.pick([-1, 0, 1, 10])]]
        if self.odd():
            fields["arguments"] = [self.pick([["x-priority"] + self.value(2), ["x-stream-offset", "S", "first"],
                                              ["x-cancel-on-ha-failover", "t", True], ["x-foo"] + self.value(2)])]
        self.method("basic.consume", fields)

    def cancel(self):
        tag = self.pick(TAGS + ["amq.ctag-#1", "nobody"])
        self.method("basic.cancel", dict({"consumer_tag": tag}, **self.flags(nowait=0.1)))

    def qos(self):
        fields = {"prefetch_count": self.pick([0, 1, 2, 3, 10, 65535]), "global": self.bit(0.3)}
        if self.odd():
            fields["prefetch_size"] = self.pick([0, 1, 100])
        self.method("basic.qos", fields)

    def recover(self):
        name = self.pick(["basic.recover", "basic.recover-async"])
        self.method(name, {"requeue": not self.odd()})

    def pipeline(self):
        """Several methods of one channel in one segment."""
        where, begin = self.where(), len(self.steps)
        usual, self.where = self.where, lambda: dict(where)
        for _ in range(self.random.randint(2, 6)):
            getattr(self, self.pick(themes.PIPELINED))()
        self.where = usual
        part, published = [], False
        for step in self.steps[begin:]:
            published = published or step["do"] != "method"
            if not (published and step.get("m") == "queue.declare"):   # 3.10 may count ahead of what was published
                part.append(step)
        del self.steps[begin:]
        self.together(where, part)

    # steps: modes, channels, connections

    def confirm_select(self):
        self.method("confirm.select", self.flags(nowait=0.2))

    def tx(self):
        self.method(self.pick(["tx.select", "tx.commit", "tx.commit", "tx.rollback"]))

    def tx_part(self):
        """A whole transaction, so that there is something to commit."""
        where = self.where()
        self.add("method", m="tx.select", f={}, **where)
        for _ in range(self.random.randint(1, 5)):
            self.steps.append(self.message(where) if self.chance(0.6) else self.settlement(where))
            if self.chance(0.1):
                self.pick([self.queue_delete, self.queue_declare, self.exchange_delete, self.queue_unbind])()
        self.add("method", m=self.pick(["tx.commit", "tx.commit", "tx.rollback"]), f={}, **where)

    def flow(self):
        self.method("channel.flow", {"active": not self.odd()})

    def channel_close(self):
        self.method("channel.close", {"reply_code": self.pick([200, 0, 999]), "reply_text": self.pick(["bye", ""])})

    def channel_open(self):
        self.method("channel.open", {}, bare=self.odd())

    def connection_close(self):
        self.add("method", c=self.pick([0, 1]), ch=0, m="connection.close", f={"reply_code": 200, "reply_text": "bye"})

    def reconnect(self):
        self.add("connect", c=self.pick([0, 1]))

    def cut(self):
        self.add("cut", c=self.pick([0, 1]))

    def held_close(self):
        """An error whose close is not answered at once; what is sent meanwhile is swallowed."""
        where = self.where()
        self.add("method", m="queue.purge", f={"queue": "nothing"}, hold=True, **where)
        of = [self.message(where) for _ in range(self.random.randint(0, 2))]
        of += [dict({"do": "method", "m": "queue.declare", "f": {"queue": "q1"}}, **where)] * self.random.randint(0, 2)
        end = self.pick([["channel.close-ok"], ["channel.close", "channel.close-ok"]])
        of += [dict({"do": "method", "m": name, "f": {}}, **where) for name in end]
        self.add("swallowed", of=of, **where)

    def stranger(self):
        """Any method, filled at random, where it may not be."""
        spec = METHODS[self.pick(sorted(METHODS))]
        fields = {}
        for field in spec.fields:
            if field.kind == "bit":
                fields[field.name] = self.bit(0.3)
            elif field.kind in ("shortstr", "longstr"):
                fields[field.name] = self.pick(QUEUES + EXCHANGES + ODD_NAMES)
            elif field.kind == "table":
                fields[field.name] = self.table()
            else:
                fields[field.name] = self.pick([0, 1, 2, 200, 255])
        if spec.name in ("connection.tune-ok", "connection.close", "basic.publish"):
            return
        if spec.name == "basic.qos":
            fields["prefetch_count"] = 0
        self.add("method", c=self.pick([0, 1]), ch=self.pick([0, 1, 7]), m=spec.name, f=fields, bare=self.chance(0.3))

    def raw_frame(self):
        """Octets that are no AMQP, or not where they are sent. Most end the connection."""
        where = self.where()
        channel = where["ch"]
        octets = self.pick(self.wrong_frames(channel) + self.wrong_contents(channel))
        self.add("raw", hex=octets.hex(), **dict(where, **{"await": "close"}))

    @staticmethod
    def wrong_frames(channel):
        frame, header = amqp_raw.frame, amqp_raw.header_frame
        declare = amqp_raw.method_payload("queue.declare", queue="q1")
        return [frame(1, channel, declare, end=0xAA), frame(4, channel, b"ab"), frame(1, channel, b"\0\x32"),
                frame(1, channel, declare + b"\0"), frame(1, channel, declare[:-3]), frame(2, channel, b"\0\x3c\0\0"),
                frame(8, 0, b"x"), frame(8, channel, b""), frame(1, channel, struct.pack(">HH", 50, 999)),
                frame(1, channel, struct.pack(">HH", 77, 10)), frame(1, 0, struct.pack(">HH", 60, 999)),
                frame(3, channel, b"", size=200000), header(0, 1), frame(3, 0, b"x"), header(channel, 1),
                frame(3, channel, b"x"), frame(1, 33, declare), header(33, 1), frame(3, 33, b"x"), frame(1, 0, declare),
                amqp_raw.method_frame(channel, "queue.declare", queue=b"\xff\xfe"),
                amqp_raw.method_frame(channel, "queue.bind", queue="q1", exchange="x1", routing_key=b"\xff\xfe")]

    def wrong_contents(self, channel):
        """Publishes that go wrong behind their method, and tables that cannot be read."""
        publish = amqp_raw.method_frame(channel, "basic.publish", exchange="", routing_key="q1")
        body, more = amqp_raw.body_frame(channel, b"x"), amqp_raw.body_frame(channel, b"xy")
        table = bytes.fromhex(self.broken_table()["hex"])

        def header(size, *props, **how):
            return publish + amqp_raw.header_frame(channel, size, *props, **how)

        return [publish + body, publish + publish, header(1, cls=50), header(1, weight=1), header(2) + publish,
                header(2) + header(2), header(1) + more + publish, header(0) + amqp_raw.body_frame(channel, b""),
                header(1, flags=0x8000, raw=b"\x05a") + body, header(1, flags=0x8000, raw=b"") + body,
                header(1, flags=0x8000, raw=b"\x01ab") + body, header(1, flags=1, raw=b"\0\0") + body,
                header(1, {"headers": table}) + body,
                amqp_raw.method_frame(channel, "queue.declare", queue="q", arguments=table)]

    def body_in_pieces(self):
        """Valid, though unusual: a body with empty frames, heartbeats between, a flag bit that means nothing."""
        where = self.where()
        self.messages += 1
        body = ("m%d pieces" % self.messages).encode()
        channel = where["ch"]
        head = amqp_raw.method_frame(channel, "basic.publish", exchange="", routing_key="q1")
        flags, props = amqp_raw.encode_properties({"expiration": self.every_expiration} if self.every_expiration else {})
        frames = [head, amqp_raw.header_frame(channel, len(body), flags=flags | self.pick([0, 2]), raw=props)]
        for part in (body[:1], b"", body[1:3], body[3:]):
            frames.append(amqp_raw.body_frame(channel, part))
            if self.chance(0.3):
                frames.append(amqp_raw.HEARTBEAT_FRAME)
        self.add("raw", hex=b"".join(frames).hex(), **dict(where, **{"await": "quiet"}, whole=True))

    # steps of themes

    def policy(self):
        name = self.pick(["p1", "p2"])
        kind = self.pick(["policy", "policy", "operator_policy"])
        if self.chance(0.3):
            self.add(kind, name=name)
            return
        keys = {"max-length": self.pick([0, 1, 2, 3]), "max-length-bytes": self.pick([0, 2, 10]),
                "message-ttl": self.pick([0, LONG_TTL])}
        if kind == "policy":
            keys.update({"dead-letter-exchange": self.pick(["", "x2", "amq.fanout"]),
                         "dead-letter-routing-key": self.pick(["q2", "q3"]),
                         "overflow": self.pick(["drop-head", "reject-publish", "reject-publish-dlx"]),
                         "alternate-exchange": self.pick(["x3", "amq.fanout"])})
        chosen = self.random.sample(sorted(keys), self.random.randint(1, 3))
        self.add(kind, name=name, body={
            "pattern": self.pick(["^q1$", "^q", "q", "^x", ".*", "^q[12]$"]),
            "definition": {key: keys[key] for key in chosen},
            "priority": 1 if name == "p1" else 2,
            "apply-to": self.pick(["queues", "all", "exchanges"] if kind == "policy" else ["queues"])})

    def reply_request(self):
        """Direct reply-to: a requester on the first connection, an answer from the second."""
        first = {"c": 0, "ch": 1}
        if self.chance(0.6):
            fields = {"queue": "amq.rabbitmq.reply-to", "consumer_tag": self.pick(TAGS), "no_ack": not self.odd()}
            self.add("method", m="basic.consume", f=fields, **first)
        if self.chance(0.7):
            message = self.message(first)
            message["f"] = {"exchange": "", "routing_key": "q1"}
            message["props"] = dict(message["props"], reply_to="amq.rabbitmq.reply-to")
            self.steps.append(message)
            self.add("method", c=1, ch=1, m="basic.get", f={"queue": "q1", "no_ack": True})
        answer = self.message({"c": 1, "ch": 1})
        answer["f"] = {"exchange": "", "routing_key": self.pick(REPLY_NAMES)}
        self.steps.append(answer)
        if self.chance(0.3):
            name = self.pick(["queue.declare", "queue.declare", "basic.get", "queue.delete", "queue.purge"])
            self.add("method", c=self.pick([0, 1]), ch=1, m=name,
                     f={"queue": self.pick(["amq.rabbitmq.reply-to.#1", "amq.rabbitmq.reply-to"])})

    # the whole

    def setup(self):
        """Some queues and exchanges, so that what follows finds something."""
        first = {"c": 0, "ch": 1}
        for name in QUEUES[:self.random.randint(1, 3)]:
            fields = {"queue": name}
            if self.queue_arguments and self.chance(0.8):
                fields["arguments"] = self.pick(self.queue_arguments)
            if self.theme in ("quorum", "stream") or self.chance(0.3):
                fields["durable"] = True
            if name == "q3" or self.theme == "plain":
                fields.pop("arguments", None)
            self.add("method", m="queue.declare", f=fields, **first)
        for name in EXCHANGES[:self.random.randint(0, 3)]:
            self.add("method", m="exchange.declare", f={"exchange": name, "type": self.pick(TYPES)}, **first)
            for _ in range(self.random.randint(0, 2)):
                queue = self.pick(QUEUES[:1] * 3 + QUEUES)
                self.add("method", m="queue.bind", f={"queue": queue, "exchange": name,
                                                      "routing_key": self.pick(PATTERNS)}, **first)

    def odd_connections(self):
        """Clients that can do less than usual, or ask for less."""
        for connection in self.connections:
            if self.chance(0.15):
                connection["tune"] = [self.pick([2047, 2047, 2047, 1, 2, 3]), self.pick([4096, 8192, 131072]), 0]
            if self.chance(0.15):
                known = sorted(amqp_raw.CAPABILITIES)
                connection["capabilities"] = sorted(self.random.sample(known, self.random.randint(0, 5)))

    def session(self):
        themes.ALL[self.theme][1](self)
        weights = dict(themes.WEIGHTS, **self.likely)
        self.odd_connections()
        self.setup()
        kinds, count = sorted(weights), self.random.randint(6, 28)
        while len(self.steps) < count:
            getattr(self, self.random.choices(kinds, [weights[kind] for kind in kinds])[0])()
        for queue in QUEUES:
            last = {"c": 0, "ch": 9}
            self.add("batch", of=[dict(last, do="method", m="basic.get", f={"queue": queue, "no_ack": True})] * 5, **last)
        return {"seed": self.seed, "theme": self.theme, "options": self.options, "connections": self.connections,
                "steps": self.steps}


def session(seed):
    return Generator(seed).session()
