# SPDX-License-Identifier: Apache-2.0
"""Durable objects that come and go: what is declared, bound, unbound and deleted, and what must be found after a
crash. One channel does it all, with a few methods under way at a time; a crash leaves one of the states between the
last answered method and the last one sent.

Each incarnation of a queue has an x-max-length of its own, so that a redeclare tells which one it is; and it gets
messages of its own, so that none of a deleted queue can come back in its successor.
"""

from history import Violation
from link import Chan, amqp_raw

QUEUES = ["churn.q%d" % i for i in range(5)]
EXCHANGES = {"churn.direct": "direct", "churn.fanout": "fanout", "churn.topic": "topic", "churn.headers": "headers"}
KEYS = ["one", "two"]
NOT_FOUND, PRECONDITION_FAILED = 404, 406
UNDER_WAY = 6


class State:
    """What exists: queues (name -> incarnation), exchanges (names), bindings (exchange, queue, key)."""

    def __init__(self, queues=(), exchanges=(), bindings=()):
        self.queues, self.exchanges, self.bindings = dict(queues), set(exchanges), set(bindings)

    def after(self, op):
        new = State(self.queues, self.exchanges, self.bindings)
        kind, name = op[0], op[1]
        if kind == "declare queue":
            new.queues.setdefault(name, op[2])
        elif kind == "delete queue":
            new.queues.pop(name, None)
            new.bindings = {b for b in new.bindings if b[1] != name}
        elif kind == "declare exchange":
            new.exchanges.add(name)
        elif kind == "delete exchange":
            new.exchanges.discard(name)
            new.bindings = {b for b in new.bindings if b[0] != name}
        elif kind == "bind":
            new.bindings.add(op[1:])
        elif kind == "unbind":
            new.bindings.discard(op[1:])
        return new

    def __eq__(self, other):
        return (self.queues, self.exchanges, self.bindings) == (other.queues, other.exchanges, other.bindings)

    def __str__(self):
        return "queues %s, exchanges %s, bindings %s" % (
            sorted(self.queues.items()), sorted(self.exchanges), sorted(self.bindings))


class Churn:
    """The objects of a data directory. `states` are those that a crash now may leave, oldest first."""

    def __init__(self):
        self.states = [State()]
        self.last_incarnation = 1000
        self.log = []

    def sent(self, op):
        self.states.append(self.states[-1].after(op))
        self.log.append("sent " + " ".join(map(str, op)))

    def answered(self, op):
        self.states.pop(0)
        self.log.append("ok   " + " ".join(map(str, op)))

    def history(self):
        return "history:\n    " + "\n    ".join(self.log[-60:])

    def random_op(self, rng):
        """An op that is legal after all that was sent."""
        state, r = self.states[-1], rng.random()
        queues, exchanges = sorted(state.queues), sorted(state.exchanges)
        if r < 0.25 or not queues:
            self.last_incarnation += 1
            name = rng.choice(QUEUES)
            return ("declare queue", name, state.queues.get(name, self.last_incarnation))
        if r < 0.35:
            return ("delete queue", rng.choice(queues))
        if r < 0.50 or not exchanges:
            return ("declare exchange", rng.choice(sorted(EXCHANGES)))
        if r < 0.56:
            return ("delete exchange", rng.choice(exchanges))
        exchange = rng.choice(exchanges)
        where = (exchange, rng.choice(queues), rng.choice(keys_of(exchange)))
        if r < 0.80:
            return ("bind",) + where
        if r < 0.90:
            return ("unbind",) + where
        return ("message", rng.choice(queues))

    def play(self, cast, me, rng):
        link = cast.connect(me)
        yield from link.open()
        chan = yield from link.channel()
        yield from chan.call("confirm.select")
        chan.on_confirm = lambda *_: None
        while True:
            for _ in range(rng.randrange(1, 4)):
                self.perform(chan, self.random_op(rng))
            while len(chan.pending) > rng.randrange(UNDER_WAY):
                yield
            yield 0.0 if rng.random() < 0.8 else rng.random() * 0.03

    def perform(self, chan, op):
        kind, name = op[0], op[1]
        if kind == "message":
            text = "%s %d" % (name, self.states[-1].queues[name])
            chan.publish("", name, text.encode(), *amqp_raw.encode_properties({"delivery_mode": 2}))
            return
        method, fields = method_of(op)
        self.sent(op)
        chan.request(method, lambda _: self.answered(op), **fields)

    # after a restart

    def check(self, link):
        """Find out what exists, and compare it with what may."""
        seen = State()
        for name in QUEUES:
            incarnation = yield from self.incarnation(link, name)
            if incarnation:
                seen.queues[name] = incarnation
        for name, kind in EXCHANGES.items():
            reply = yield from ask(link, "exchange.declare", exchange=name, type=kind, durable=True, passive=True)
            if reply.name == "exchange.declare-ok":
                seen.exchanges.add(name)
        yield from self.old_messages(link, seen)
        yield from self.probe(link, seen)
        if seen not in self.states:
            raise Violation("durable objects are not what was answered", "found: %s\npossible:\n    %s\n%s" % (
                seen, "\n    ".join(map(str, self.states)), self.history()))
        self.states = [seen]
        self.log.append("restart: " + str(seen))

    def incarnation(self, link, name):
        """Which incarnation of a queue exists; None if none. The passive declare says nothing about arguments,
        so each that is possible is tried."""
        reply = yield from ask(link, "queue.declare", queue=name, durable=True, passive=True)
        if reply.name != "queue.declare-ok":
            return None
        for number in {state.queues[name] for state in self.states if name in state.queues}:
            method, fields = method_of(("declare queue", name, number))
            reply = yield from ask(link, method, **fields)
            if reply.name == "queue.declare-ok":
                return number
        return "with unknown arguments"

    def old_messages(self, link, seen):
        """What is in the queues belongs to them; takes it out."""
        bodies = yield from self.empty(link, seen)
        for name, found in bodies.items():
            for body in found:
                if body != b"%s %d" % (name.encode(), seen.queues[name]) and not body.startswith(b"probe "):
                    raise Violation("a message of a deleted queue came back", "%r in %s, incarnation %s\n%s" % (
                        body, name, seen.queues[name], self.history()))

    def probe(self, link, seen):
        """Messages through every exchange with every key show the bindings."""
        chan = yield from link.channel()
        yield from chan.call("confirm.select")
        confirmed, wanted = [], 0

        def confirm(_, tag, multiple, __):
            confirmed.append(tag)
        chan.on_confirm = confirm
        for exchange in sorted(seen.exchanges):
            for key in keys_of(exchange):
                wanted += 1
                props = amqp_raw.encode_properties({"headers": {"key": key}})
                chan.publish(exchange, key, b"probe %s %s" % (exchange.encode(), key.encode()), *props)
        while wanted and wanted not in confirmed:
            yield
        bodies = yield from self.empty(link, seen)
        for queue, found in bodies.items():
            for body in found:
                _, exchange, key = body.decode().split()
                seen.bindings.add((exchange, queue, key))
        yield from link.close_channel(chan)

    @staticmethod
    def empty(link, seen):
        """Everything in the queues: name -> bodies."""
        chan, bodies = (yield from link.channel()), {}
        for name in seen.queues:
            bodies[name] = []
            while True:
                d = yield from chan.call("basic.get", queue=name, no_ack=True)
                if d is None:
                    break
                bodies[name].append(bytes(d.body))
        yield from link.close_channel(chan)
        return bodies


def keys_of(exchange):
    """The binding keys used with an exchange; a fanout ignores them, so a probe could not tell two apart."""
    return KEYS[:1] if EXCHANGES[exchange] == "fanout" else KEYS


def method_of(op):
    kind, name = op[0], op[1]
    if kind == "declare queue":
        return "queue.declare", {"queue": name, "durable": True, "arguments": {"x-max-length": op[2]}}
    if kind == "delete queue":
        return "queue.delete", {"queue": name}
    if kind == "declare exchange":
        return "exchange.declare", {"exchange": name, "type": EXCHANGES[name], "durable": True}
    if kind == "delete exchange":
        return "exchange.delete", {"exchange": name}
    exchange, queue, key = op[1:]
    fields = {"queue": queue, "exchange": exchange, "routing_key": key}
    if EXCHANGES[exchange] == "headers":
        fields["arguments"] = {"key": key}
    return "queue." + kind, fields


def ask(link, method, **fields):
    """A method that may be refused with 404 or 406, on a channel of its own."""
    chan = yield from link.channel(Chan)
    reply = yield from chan.call(method, refusals=(NOT_FOUND, PRECONDITION_FAILED), **fields)
    if not chan.closed:
        yield from link.close_channel(chan)
    return reply
