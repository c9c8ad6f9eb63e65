# SPDX-License-Identifier: Apache-2.0
"""Who takes part in tests/torture/endurance beside the clients of tests/crash/load.py: publishers that never end,
queues that are not durable or belong to one connection, visitors, and flows that outlive every cycle. Half of all
connections speak TLS, 1.2 and 1.3 by turns.
"""

import collections
import os
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crash"))

import load  # noqa: E402
from history import Queue, Violation, World, body_of, headers_of  # noqa: E402
from link import REPLY_TIMEOUT, Chan, Link, Loop, amqp_raw  # noqa: E402
from load import Cast, Client, Target, publish  # noqa: E402

BACKLOG = 400           # messages in a queue beyond which its publishers wait
REMEMBERED_S = 20.0     # for which a message that is gone can still be told from one that never was
STEADY_WINDOW = 50
STEADY_RATE = 60
STEADY_ACKS = 10        # deliveries that one ack settles
REFUSED = "refused by the broker"


class Unending(World):
    """A World for hours: it forgets what is long gone (which then counts as never published, so that its return is
    still seen), and knows queues that do not survive, refusals, and queues whose policies change."""

    def __init__(self):
        super().__init__()
        self.volatile = {}      # name -> queue; gone with the broker
        self.last_clean = -1    # the last boot that ended with all connections closed, the broker running on
        self.refused = []       # nacked publishes whose dead letters are in no doubt while the broker runs
        self.seen = collections.Counter()       # of this boot: holder -> deliveries; publisher -> confirms; purges
        self.fates = collections.Counter()      # how many dead letters of which reason, and refusals

    def every_queue(self):
        return list(self.queues.values()) + list(self.volatile.values())

    def sent(self, queue, *more):
        copy = super().sent(queue, *more)
        copy.persistent = copy.persistent and queue.name not in self.volatile
        return copy

    def confirmed(self, copy):
        super().confirmed(copy)
        self.seen[copy.stream] += 1

    def delivered(self, queue, d, holder):
        copy = super().delivered(queue, d, holder)
        self.seen[holder.name] += 1
        return copy

    def purged(self, queue, certain):
        super().purged(queue, certain)
        self.seen["purges"] += 1

    def refuse(self, copy):
        """Its publish was nacked."""
        overflow = copy.home.args.get("x-overflow")
        if overflow not in ("reject-publish", "reject-publish-dlx"):
            raise Violation("a publish was refused", "to " + copy.home.name, [copy])
        if copy.delivered.get(copy.home.name) is not None:
            raise Violation("a message was delivered although its publish was refused", copy.home.name, [copy])
        self.seen[copy.stream] += 1
        self.fates[overflow] += 1
        if overflow == "reject-publish":
            copy.bury(REFUSED)
        elif not copy.gone:
            copy.in_target = True
            self.refused.append(copy)

    def check_death(self, queue, copy, d):
        super().check_death(queue, copy, d)
        self.fates[headers_of(d)["x-death"][0]["reason"]] += 1

    def check_time(self, queue, copy, d):
        if not getattr(queue, "by_policy", False):      # policies come and go, and their TTL with them
            super().check_time(queue, copy, d)

    def most_returns(self, queue, copy):
        return float("inf") if copy.count_boot <= self.last_clean else super().most_returns(queue, copy)

    def ended(self, clean):
        """A boot is over: CLEAN when the broker goes on, without connections."""
        self.exact = self.keeps_transient = clean
        if clean:
            self.last_clean = self.boot
            for copy in self.refused:
                copy.promised = True
        self.refused.clear()
        durable, self.queues = self.queues, {**self.queues, **self.volatile}
        self.stopped()
        self.queues = durable

    def forget(self, all_of_it=False):
        horizon = float("inf") if all_of_it else time.monotonic() - REMEMBERED_S
        for queue in self.every_queue():
            for copy in [copy for copy in queue.copies.values() if copy.gone and copy.log[-1][0] < horizon]:
                del queue.copies[copy.mid]


# --- connections ------------------------------------------------------------------------------------------------

class TlsLink(Link):
    """A connection through TLS. The handshake is made at once; then nothing blocks."""

    LATER = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

    def __init__(self, port, context):
        super().__init__(port)
        self.sock.settimeout(REPLY_TIMEOUT)
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self.sock.setblocking(False)

    def receive(self):
        """All records that are there, as poll() does not tell of those that the TLS library has."""
        while super().receive():
            if not self.sock.pending():
                return True
        return False


class MixedLoop(Loop):
    """Every second connection goes to the TLS listener, with one of CONTEXTS after the other."""

    def __init__(self, tls_port, contexts):
        super().__init__()
        self.tls_port, self.contexts, self.made = tls_port, contexts, 0

    def dial(self, port):
        self.made += 1
        if self.made % 2:
            return Link(port)
        return TlsLink(self.tls_port, self.contexts[self.made // 2 % len(self.contexts)])


class Crowd(Cast):
    """Everybody who takes part in a cycle."""

    def leave(self, link):
        """End a connection as a client does."""
        link.ending, done = True, []
        link.channels[0].request("connection.close", done.append, reply_code=200, reply_text="bye")
        while not done and not link.eof:
            yield
        self.drop(link)

    def drop(self, link):
        known, _ = self.loop.links.get(link.fd, (None, None))
        if known is link:
            self.loop.forget(link)
        link.eof = True
        link.sock.close()


class Strict(Client):
    """A Client for which a nacked publish is an answer, too."""

    def __init__(self, link, number):
        super().__init__(link, number)
        self.on_confirm = Strict.judge

    def judge(self, tag, multiple, ok):
        refused = []
        if not ok:
            tags = [t for t in self.waiting if t <= tag] if multiple else [tag]
            refused = [copy for t in tags for copy in self.waiting[t]]
        self.confirm(tag, multiple, ok)
        for copy in refused:
            self.world.refuse(copy)

    def publish_to(self, rng, target, stream):
        self.published += 1
        self.waiting[self.published] = publish(self, rng, target, stream)


def pause(seconds):
    """Wait although input comes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield max(0.0, until - time.monotonic())


# --- actors -----------------------------------------------------------------------------------------------------

def is_crowded(queue):
    return len(queue.live) > BACKLOG and sum(copy.settle is None for copy in queue.live.values()) > BACKLOG


def publisher(cast, me, rng, targets, window, rate):
    """Publishes with confirms for ever, on one channel after another, and on one connection after another."""
    while True:
        link = cast.connect(me)
        yield from link.open()
        for _ in range(rng.randrange(2, 6)):
            chan = (yield from link.channel(Strict)).join(cast.world, me.name)
            yield from chan.call("confirm.select")
            budget = rng.randrange(50, 500)
            while budget > 0:
                target = rng.choice(targets)
                burst = min(window - len(chan.waiting), budget, rng.randrange(1, 30))
                if burst <= 0:
                    yield
                elif any(is_crowded(queue) for queue in target.queues):
                    yield from pause(0.05)
                else:
                    for _ in range(burst):
                        chan.publish_to(rng, target, me.name)
                    budget -= burst
                    yield from pause(burst / rate)
            while chan.waiting:
                yield
            yield from chan.close()
        yield from cast.leave(link)


def private(cast, me, rng):
    """Exclusive queues with the broker's names, bound and filled, read in part or altogether, and gone with their
    connection or before."""
    world = cast.world
    while True:
        link = cast.connect(me)
        yield from link.open()
        chan = (yield from link.channel(Strict)).join(world, me.name)
        yield from chan.call("confirm.select")
        goes_with_consumer = rng.random() < 0.5
        reply = yield from chan.call("queue.declare", exclusive=True, auto_delete=goes_with_consumer)
        queue = Queue(world, reply.queue)
        yield from chan.call("queue.bind", queue=queue.name, exchange="direct", routing_key=queue.name)
        targets = [Target("", queue.name, [queue]), Target("direct", queue.name, [queue])]
        for _ in range(rng.randrange(1, 30)):
            chan.publish_to(rng, rng.choice(targets), me.name)
        while chan.waiting:
            yield
        for _ in range(rng.randrange(5)):
            chan.get(queue)
        while any(chan.gets.values()):
            yield
        wanted = len(queue.live)
        chan.consumers["p"] = (queue, 0)
        yield from chan.call("basic.consume", queue=queue.name, consumer_tag="p")
        while len(chan.holder.tags) < wanted:
            yield
        yield from chan.call("basic.cancel", consumer_tag="p")
        if not goes_with_consumer and rng.random() < 0.5:
            yield from chan.call("queue.unbind", queue=queue.name, exchange="direct", routing_key=queue.name)
            yield from chan.call("queue.delete", queue=queue.name)
        yield from (cast.leave(link) if rng.random() < 0.7 else cut(cast, link))
        yield from pause(rng.random() * 0.2)


def cut(cast, link):
    cast.abort(link)
    yield 0.0


def visitor(cast, me, rng):
    """Connections that come and go: with many channels, with none, silent ones, and some that never get in."""
    while True:
        link, r = cast.connect(me), rng.random()
        link.ending = r < 0.35
        cast.world.seen[me.name] += 1
        if r < 0.15:                            # not a word, or half of one
            del link.out[rng.randrange(len(link.out)):]
            yield from pause(rng.random() * 0.1)
            cast.drop(link)
        elif r < 0.25:
            link.out[:] = b"GET / HTTP/1.1\r\n\r\n"
            while not link.eof:
                yield
        elif r < 0.35:
            yield from link.greeted("connection.start")
            cast.abort(link)
        else:
            yield from link.open()
            chans = []
            for _ in range(rng.randrange(20)):
                chans.append((yield from link.channel(Chan)))
            rng.shuffle(chans)
            for chan in chans[:rng.randrange(20)]:
                yield from link.close_channel(chan)
            yield from (cast.leave(link) if rng.random() < 0.7 else cut(cast, link))
        yield from pause(rng.random() * 0.1)


class Steady:
    """A flow through one queue, numbered: one publisher, one consumer, on channels that are kept open as long as the
    broker lives. Numbers come in order, each once; those without confirm at a crash may be missing."""

    def __init__(self, name):
        self.name = name
        self.sent = self.acked = self.highest = self.first_of_boot = 0
        self.unconfirmed, self.doubtful = {}, set()     # channel's number -> ours; ours
        self.last = None                # delivered in this boot
        self.is_resting = False
        self.done = 0

    def __str__(self):
        return "%s: sent %d, %d unconfirmed, delivered %s, acknowledged %d, in doubt: %s" % (
            self.name, self.sent, len(self.unconfirmed), self.last, self.acked, sorted(self.doubtful))

    def violation(self, rule, detail):
        return Violation(rule, "%s; %s" % (detail, self))

    def delivered(self, d):
        number = int(d.props["message_id"])
        before = self.acked if self.last is None else self.last
        missing = [n for n in range(before + 1, number) if n not in self.doubtful]
        if missing:
            raise self.violation("a steady flow has lost something", "%d came, without %s" % (number, missing[:20]))
        if self.last is not None and number <= self.last or not 0 < number <= self.sent:
            raise self.violation("a steady flow repeats itself", "%d came after %s" % (number, self.last))
        if d.body != body_of(number, 100 + number % 2000):
            raise self.violation("a body is wrong", "of %d" % number)
        if d.redelivered and number >= self.first_of_boot:
            raise self.violation("redelivered is set on a first delivery", "of %d" % number)
        if number > self.highest:
            self.highest = number
            self.done += 1
        self.last = number
        self.doubtful = {n for n in self.doubtful if n > number}

    def confirm(self, tag, multiple, ok):
        if not ok:
            raise self.violation("a publish was refused", "tag %d" % tag)
        for t in [t for t in self.unconfirmed if t <= tag] if multiple else [tag]:
            del self.unconfirmed[t]

    def crashed(self):
        self.doubtful |= set(self.unconfirmed.values())
        self.unconfirmed.clear()
        self.last, self.first_of_boot = None, self.sent + 1

    def is_done(self):
        """Nothing is under way."""
        reached = self.acked if self.last is None else self.last
        return (not self.unconfirmed and self.acked >= reached
                and all(n in self.doubtful for n in range(reached + 1, self.sent + 1)))

    def play(self, cast, me):
        link = cast.connect(me)
        yield from link.open()
        out, back = (yield from link.channel()), (yield from link.channel())
        published = 0
        yield from out.call("confirm.select")
        out.on_confirm = lambda _, *how: self.confirm(*how)

        def deliver(chan, d):
            self.delivered(d)
            if d.tag % STEADY_ACKS == 0:
                self.acknowledge(chan, d.tag)
        back.on_delivery = deliver
        yield from back.call("basic.qos", prefetch_count=STEADY_WINDOW)
        yield from back.call("basic.consume", queue=self.name)
        while True:
            if self.is_resting:
                if self.last is not None and self.acked < self.last:
                    self.acknowledge(back, 0)
                yield 0.01
            elif len(self.unconfirmed) < STEADY_WINDOW and self.sent - self.highest < 4 * STEADY_WINDOW:
                published, self.sent = published + 1, self.sent + 1
                self.unconfirmed[published] = self.sent
                props = amqp_raw.encode_properties({"delivery_mode": 2, "message_id": str(self.sent)})
                out.publish("", self.name, body_of(self.sent, 100 + self.sent % 2000), *props)
                yield from pause(1 / STEADY_RATE)
            else:
                yield

    def acknowledge(self, chan, tag):
        chan.send("basic.ack", delivery_tag=tag, multiple=True)
        self.acked = max(self.acked, self.last)


# --- who plays --------------------------------------------------------------------------------------------------

# Publishers: name, targets (see targets_of() of tests/crash/kill9 and of endurance), window, messages a second.
PUBLISHERS = [
    ("one at a time", ("d1",), 1, 60), ("d1", ("d1", "d1x"), 100, 80), ("d2", ("d2",), 10, 60),
    ("fan", ("fan",), 100, 40), ("prio", ("prio",), 100, 80), ("ttl", ("ttl",), 100, 60),
    ("maxlen", ("maxlen",), 100, 200), ("limit", ("limit",), 50, 60), ("purged", ("purged",), 10, 40),
    ("volatile", ("volatile",), 100, 60), ("full", ("full",), 100, 80), ("full.dlx", ("full.dlx",), 100, 80),
    ("policied", ("policied",), 100, 60), ("all sorts", ("d1", "prio", "limit", "fan", "ttl", "d2"), 10, 40),
]
# Consumers: queue, prefetch, how often they requeue.
CONSUMERS = [
    ("d1", 1, 0.02), ("d1", 50, 0.2), ("d2", 10, 0.2), ("f1", 50, 0.02), ("f2", 10, 0.02), ("f3", 1, 0.2),
    ("prio", 10, 0.02), ("prio", 50, 0.2), ("ttl", 10, 0.2), ("ttl.dead", 50, 0.02), ("maxlen", 10, 0.02),
    ("maxlen.dead", 50, 0.02), ("limit", 10, 0.5), ("limit", 10, 0.2), ("limit.dead", 50, 0.02),
    ("volatile", 10, 0.2), ("full", 10, 0.02), ("full.dlx", 10, 0.02), ("full.dlx.dead", 50, 0.02),
    ("policied", 10, 0.02), ("policied.dead", 50, 0.02),
]
GOTTEN = ("d2", "f3", "prio", "policied", "volatile")
VISITORS = 2


def enter(cast, rng_of, world, targets_of):
    """The same company in every cycle."""
    queues = {queue.name: queue for queue in world.every_queue()}
    for name, targets, window, rate in PUBLISHERS:
        name = "publisher " + name
        cast.add(name, rng_of(name), publisher, targets_of(targets), window, rate)
    for number, (queue, prefetch, generous) in enumerate(CONSUMERS):
        name = "consumer %s/%d" % (queue, number)
        cast.add(name, rng_of(name), load.consumer, queues[queue], prefetch, generous)
    cast.add("getter", rng_of("getter"), load.getter, [queues[name] for name in GOTTEN])
    cast.add("purger", rng_of("purger"), load.purger, queues["purged"])
    cast.add("tx", rng_of("tx"), load.transactions, targets_of(("tx1", "tx2")))
    cast.add("private", rng_of("private"), private)
    for number in range(VISITORS):
        name = "visitor %d" % number
        cast.add(name, rng_of(name), visitor)


def names_seen():
    """Those of whom something must be seen in a cycle that is not very short."""
    return (["publisher " + line[0] for line in PUBLISHERS] + ["getter", "purges", "private", "tx"]
            + ["consumer %s/%d" % (line[0], number) for number, line in enumerate(CONSUMERS)]
            + ["visitor %d" % number for number in range(VISITORS)])
