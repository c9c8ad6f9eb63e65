# SPDX-License-Identifier: Apache-2.0
"""The clients of a round: publishers, consumers, a purger, transactions. Each is an actor on one connection, whose
choices follow from a seed; each writes what it sends and receives into the history before it does anything else."""

from history import Group, Holder, body_of
from link import Chan, amqp_raw

LARGEST = 200 * 1024
EMPTY_PAUSE_S = 0.01


class Client(Chan):
    """A channel that keeps a Holder, and the confirms it waits for."""

    def __init__(self, link, number):
        super().__init__(link, number)
        self.holder = self.world = None
        self.consumers = {}         # consumer tag -> (queue, prefetch)
        self.gets = {}              # queue -> gets not yet answered
        self.published = 0
        self.waiting = {}           # publish sequence -> copies
        self.on_delivery, self.on_confirm = Client.deliver, Client.confirm

    def join(self, world, name):
        self.world, self.holder = world, Holder(world, name)
        return self

    def deliver(self, d):
        queue, _ = self.consumers[d.consumer]
        self.world.delivered(queue, d, self.holder)

    def confirm(self, tag, multiple, ok):
        if multiple:
            tags = [t for t in self.waiting if t <= tag]    # in order: the first ones
        else:
            tags = [tag]
        for t in tags:
            for copy in self.waiting.pop(t):
                if ok:
                    self.world.confirmed(copy)
                else:
                    copy.note("nacked by the broker")

    def get(self, queue, told=None):
        def answered(d):
            self.gets[queue] -= 1
            copy = self.world.delivered(queue, d, self.holder) if d else None
            if told:
                told(copy)
        self.gets[queue] = self.gets.get(queue, 0) + 1
        self.request("basic.get", answered, queue=queue.name)

    def under_way(self):
        """(queue, messages that the broker may be about to send)"""
        return list(self.consumers.values()) + list(self.gets.items())

    def close(self):
        """Close the channel: what was settled on it is proved."""
        self.begin_close()
        yield from self.link.close_channel(self)
        self.holder.closed()

    def begin_close(self):
        self.holder.close(queue for queue, _ in self.under_way())


class Target:
    """Where a publisher publishes, and which queues get it. VARIANT: None, 'expiration', 'priority' or 'tiny'."""

    def __init__(self, exchange, key, queues, variant=None):
        self.exchange, self.key, self.queues, self.variant = exchange, key, queues, variant


def random_size(rng, variant):
    r = rng.random() * (0.75 if variant == "tiny" else 1)
    if r < 0.05:
        return 0
    if r < 0.75:
        return rng.randrange(1, 200)
    if r < 0.93:
        return rng.randrange(200, 4096)
    return rng.randrange(4096, 65536) if r < 0.985 else rng.randrange(65536, LARGEST + 1)


def random_props(rng, mid, variant, transient):
    props = {"delivery_mode": 1 if rng.random() < transient else 2, "message_id": str(mid)}
    if variant == "priority" and rng.random() < 0.8:
        props["priority"] = rng.randrange(7)
    if variant == "expiration" and rng.random() < 0.5:
        props["expiration"] = str(rng.choice((1, 30, 150, 1000, 60000)))
    return amqp_raw.encode_properties(props)


def publish(chan, rng, target, stream, group=None, transient=0.1):
    world = chan.world
    world.last_mid += 1
    mid, size = world.last_mid, random_size(rng, target.variant)
    # A transient message is safe in a quorum queue, but no longer when it dies into a classic one.
    if any(queue.quorum for queue in target.queues):
        transient = 0
    props = random_props(rng, mid, target.variant, transient)
    copies = [world.sent(queue, mid, target.exchange, target.key, size, props, stream, mid, group)
              for queue in target.queues]
    chan.publish(target.exchange, target.key, body_of(mid, size), *props)
    return copies


def publisher(cast, me, rng, targets, window, budget):
    link = cast.connect(me)
    yield from link.open()
    chan = (yield from link.channel(Client)).join(cast.world, me.name)
    yield from chan.call("confirm.select")
    while budget > 0:
        burst = min(window - len(chan.waiting), budget, rng.randrange(1, 30))
        if burst <= 0 or link.blocked:
            yield
            continue
        for _ in range(burst):
            chan.published += 1
            chan.waiting[chan.published] = publish(chan, rng, rng.choice(targets), me.name)
        budget -= burst
        yield 0.0 if rng.random() < 0.9 else rng.random() * 0.02


def settle_some(chan, rng, generous):
    """One step of a consumer with what it holds; GENEROUS is how often it requeues."""
    holder = chan.holder
    tags = list(holder.tags)
    r = rng.random()
    if r < 0.45:
        tag = rng.choice(tags[:5])
        chan.send("basic.ack", delivery_tag=tag)
        holder.settle(tag, "ack")
    elif r < 0.70:
        at = rng.randrange(len(tags))
        chan.send("basic.ack", delivery_tag=tags[at], multiple=True)
        for tag in tags[:at + 1]:
            holder.settle(tag, "ack")
    elif r < 0.70 + generous:
        tag, at = rng.choice(tags), 0
        chan.send("basic.nack", delivery_tag=tag, requeue=True)
        holder.settle(tag, "requeue")
    elif r < 0.72 + generous:
        chan.send("basic.nack", delivery_tag=tags[-1], multiple=True, requeue=True)
        for tag in tags:
            holder.settle(tag, "requeue")
    elif r < 0.85 + generous / 2:
        tag = rng.choice(tags[:5])
        chan.send("basic.reject", delivery_tag=tag, requeue=False)
        holder.settle(tag, "drop")
    else:
        return False
    return True


def consumer(cast, me, rng, queue, prefetch, generous):
    """Consumes, settles, and now and then closes its channel, or cuts its connection."""
    while True:
        link = cast.connect(me)
        yield from link.open()
        while not link.eof:
            chan = (yield from link.channel(Client)).join(cast.world, me.name)
            yield from chan.call("basic.qos", prefetch_count=prefetch)
            chan.consumers["c"] = (queue, prefetch)
            yield from chan.call("basic.consume", queue=queue.name, consumer_tag="c")
            for _ in range(rng.randrange(5, 200)):
                while not chan.holder.tags:
                    yield
                if not settle_some(chan, rng, generous):
                    yield rng.random() * 0.05
                elif rng.random() < 0.3:
                    yield 0.0
            if rng.random() < 0.25:
                queue.blurred = cast.world.boot
                queue.allowance += prefetch
                chan.holder.cut()
                cast.abort(link)
            else:
                yield from chan.close()
        yield 0.0


def getter(cast, me, rng, queues):
    link = cast.connect(me)
    yield from link.open()
    while True:
        chan = (yield from link.channel(Client)).join(cast.world, me.name)
        for _ in range(rng.randrange(3, 40)):
            for _ in range(rng.randrange(1, 5)):
                chan.get(rng.choice(queues))
            while any(chan.gets.values()):
                yield
            while chan.holder.tags and settle_some(chan, rng, 0.1):
                pass
            yield rng.random() * EMPTY_PAUSE_S * 2
        yield from chan.close()


def purger(cast, me, rng, queue):
    """Gets and purges on one channel: between them is no doubt about what was ready."""
    link = cast.connect(me)
    yield from link.open()
    while True:
        chan = (yield from link.channel(Client)).join(cast.world, me.name)
        for _ in range(rng.randrange(1, 10)):
            for _ in range(rng.randrange(4)):
                chan.get(queue)
            while any(chan.gets.values()):
                yield
            if chan.holder.tags:
                settle_some(chan, rng, 0.2)
            yield rng.random() * 0.1
            certain = cast.world.purging(queue)
            done = []

            def told(_, certain=certain, done=done):
                cast.world.purged(queue, certain)
                done.append(True)
            chan.request("queue.purge", told, queue=queue.name)
            while not done:
                yield
        yield from chan.close()


def take_for(chan, rng, group):
    """Acknowledge some of what the channel holds inside of the transaction."""
    for tag in rng.sample(list(chan.holder.tags), rng.randrange(len(chan.holder.tags) + 1)):
        chan.send("basic.ack", delivery_tag=tag)
        _, copy = chan.holder.tags.pop(tag)
        copy.note("ack in %s sent" % group.name)
        group.settles.append(copy)
        group.tags.append(tag)


def transactions(cast, me, rng, targets):
    """Commits and rollbacks of publishes and acks over several queues."""
    world, number = cast.world, 0
    link = cast.connect(me)
    yield from link.open()
    while True:
        chan = (yield from link.channel(Client)).join(world, me.name)
        yield from chan.call("tx.select")
        for _ in range(rng.randrange(3, 30)):
            number += 1
            group = Group("%s/%d.%d" % (me.name, world.boot, number))
            for _ in range(rng.randrange(4)):
                chan.get(rng.choice(targets).queues[0])
            while any(chan.gets.values()):
                yield
            for _ in range(rng.randrange(7)):
                group.publishes += publish(chan, rng, rng.choice(targets), me.name, group)
            if chan.holder.tags:
                take_for(chan, rng, group)
            if rng.random() < 0.1:
                yield rng.random() * 0.05
            if rng.random() < 0.75:
                done = []
                world.committing(group)

                def told(_, group=group, done=done):
                    world.committed(group)
                    done.append(True)
                chan.request("tx.commit", told)
                while not done:
                    yield
                for copy in group.settles:
                    copy.holder = None
            else:
                world.undone(group)
                yield from chan.call("tx.rollback")
                for tag, copy in zip(group.tags, group.settles):
                    chan.holder.tags[tag] = (copy.home, copy)
        world_ends = Group("%s/%d.end" % (me.name, world.boot))
        for _ in range(rng.randrange(3)):
            world_ends.publishes += publish(chan, rng, rng.choice(targets), me.name, world_ends)
        world.undone(world_ends)
        yield from chan.close()


def fleeting(cast, me, rng):
    """Declares what must not outlive the broker, or not its connection, with persistent messages in it."""
    link = cast.connect(me)
    yield from link.open()
    chan = (yield from link.channel(Client)).join(cast.world, me.name)
    yield from chan.call("queue.declare", queue="not-durable", durable=False)
    yield from chan.call("queue.declare", queue="exclusive", durable=True, exclusive=True)
    yield from chan.call("exchange.declare", exchange="not-durable", type="fanout", durable=False)
    for name in ("not-durable", "exclusive"):
        yield from chan.call("queue.bind", queue=name, exchange="fan")
        chan.publish("", name, b"fleeting", *amqp_raw.encode_properties({"delivery_mode": 2}))
    while True:
        yield rng.random()


class Cast:
    """Everybody who takes part in a round."""

    def __init__(self, world, loop, port):
        self.world, self.loop, self.port = world, loop, port

    def connect(self, me):
        link = self.loop.connect(me, self.port)
        return link

    def abort(self, link):
        self.loop.forget(link)
        link.abort()

    def add(self, name, rng, play, *more):
        self.loop.add(name, lambda me: play(self, me, rng, *more))
