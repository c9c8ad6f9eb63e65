# SPDX-License-Identifier: Apache-2.0
"""Clients on hosts that may be cut off: they keep heartbeats, give a silent broker up, come back and go on.

The broker learns of a dead connection at another time than its client does, and what one was sent may be with the
next before we have read that the first has ended; and what was on its way to a dead one may come long after. Such a
delivery is a doubt (FarWorld): one of the two connections must turn out to be dead, in time, or the broker has given
one message to two.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crash"))

import load  # noqa: E402
from history import World  # noqa: E402
from link import Link, Loop, Unexpected, amqp_raw  # noqa: E402
from load import Client, Target  # noqa: E402

PATIENCE = 2.5          # intervals of silence after which a client gives the broker up, as RabbitMQ's clients do
RECONNECT_S = 0.2
PER_CHANNEL = 200       # messages, after which a consumer begins anew; what it has not settled goes back
FOR_EVER = float("inf")


class Gone(Exception):
    """The connection has ended, for whatever reason."""


class FarLink(Link):
    """A connection of HOST. `spoke` and `heard`: when an octet went out and came in last."""

    def __init__(self, host, port):
        self.spoke = self.heard = time.monotonic()
        self.began_at = self.heard
        self.ended_at = None
        self.is_open = False
        self.holders = []
        super().__init__(port, host.socket(port))
        self.host = host
        self.ending = True      # it may end at any time

    def flush(self):
        if self.out:
            self.spoke = time.monotonic()
        super().flush()

    def parse(self):
        self.heard = time.monotonic()
        super().parse()

    def control(self, method):
        if method.name == "connection.close":
            raise Unexpected("connection closed: %s" % method.reply_text)
        super().control(method)


class FarWorld(World):
    """A history of what connections that die have carried."""

    def __init__(self, grace):
        super().__init__(keeps_transient=True)
        self.grace = grace      # seconds within which the end of a dead connection is known here
        self.carriers = {}      # mid -> the link that brought it last
        self.doubts = []        # (when, copy, links of which one must end)
        self.deliveries_of = {}     # queue name -> [(when, copy, redelivered, link)]

    def queue(self, name, **more):
        """Messages may be marked redelivered that we never saw: they were on their way when a connection ended."""
        queue = super().queue(name, **more)
        queue.blurred = self.boot
        return queue

    def delivered(self, queue, d, holder):
        if holder.closing is not None:      # it has gone back already, and perhaps elsewhere
            return super().delivered(queue, d, holder)
        mid = int(d.props["message_id"])
        copy = queue.copies.get(mid)
        if copy and mid in self.carriers:
            is_late = copy.gone or not d.redelivered
            is_acked = copy.settle == "sent" and copy.settled_boot == self.boot
            if is_late or copy.holder or is_acked:
                self.doubt(copy, holder, is_late)
            if is_late:
                self.check_content(queue, copy, d)
                return copy
        copy = super().delivered(queue, d, holder)
        self.carriers[copy.mid] = holder.link
        self.deliveries_of.setdefault(queue.name, []).append((time.monotonic(), copy, d.redelivered, holder.link))
        return copy

    def doubt(self, copy, holder, is_late):
        """It comes once more. When it IS_LATE, HOLDER's connection must be dead, and this was on its way for long;
        else that one may be dead, or the one that had it before."""
        dead = [holder.link] if is_late else [holder.link, self.carriers[copy.mid]]
        self.doubts.append((time.monotonic(), copy, dead))
        copy.note("it comes again to %s%s" % (holder.name, ", late" if is_late else ""))
        if is_late:
            return
        if copy.holder:
            tags = copy.holder.tags
            del tags[next(tag for tag, (_, held) in tags.items() if held is copy)]
        copy.holder = copy.settled_boot = None

    def unsolved(self):
        """Doubts that have proved right: copies that were with two."""
        return [copy for when, copy, links in self.doubts
                if time.monotonic() > when + self.grace and
                not any((link.ended_at or FOR_EVER) < when + self.grace for link in links)]

    def cut(self, link):
        """LINK has ended, as far as its client knows."""
        for holder in link.holders:
            for queue in holder.closing or ():
                queue.closings -= 1
            holder.closing = None
            holder.cut()
        link.holders.clear()

    def lost(self, queue):
        return [copy for copy in queue.live.values() if copy.must_be_there()]


class Fleet:
    """All clients: a loop, what they remember, and where the broker is."""

    def __init__(self, world, port, heartbeat):
        self.world, self.port, self.heartbeat = world, port, heartbeat
        self.loop = Loop()
        self.links = []

    # links

    def connect(self, me, host, heartbeat=None):
        link = self.loop.adopt(me, FarLink(host, self.port))
        self.links.append(link)
        heartbeat = self.heartbeat if heartbeat is None else heartbeat
        if heartbeat:
            self.loop.add(me.name + "'s heartbeats", lambda _: self.beats(link, heartbeat))
        return link

    def beats(self, link, heartbeat):
        while not link.eof:
            if time.monotonic() - link.heard > PATIENCE * heartbeat:
                self.give_up(link)
                return
            if link.is_open:
                link.write(amqp_raw.HEARTBEAT_FRAME)
            yield heartbeat / 2

    def give_up(self, link):
        """Close it without a word to the broker, other than TCP's."""
        if link.fd in self.loop.links and self.loop.links[link.fd][0] is link:
            self.loop.links[link.fd][1].wake = 0.0
            self.loop.forget(link)
        link.eof = True
        self.end(link)

    def end(self, link):
        if link.ended_at is None:
            link.ended_at = time.monotonic()
            link.sock.close()
            self.world.cut(link)

    def session(self, link, work):
        """WORK, a generator, as long as LINK lives; then Gone."""
        try:
            while True:
                try:
                    pause = next(work)
                except StopIteration as end:
                    return end.value
                if link.eof:
                    raise Gone()
                yield pause
                if link.eof:
                    raise Gone()
        finally:
            if link.eof:
                self.end(link)

    def vanish(self, host):
        host.vanish()
        for link in self.links:
            if link.host is host and not link.eof:
                self.give_up(link)

    def close(self, link):
        yield from link.channels[0].call("connection.close", reply_code=200, reply_text="bye")
        self.give_up(link)

    def until(self, condition, seconds):
        """Let things go on until CONDITION() is true, for SECONDS at most; whether it is."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self.loop.run(time.monotonic() + 0.02)
        return True

    def pass_time(self, seconds):
        self.loop.run(time.monotonic() + seconds)

    def do(self, name, host, work, seconds=20.0):
        """Run WORK(link), a generator, on a connection of its own that lasts; its result."""
        result = []

        def actor(me):
            link = self.connect(me, host)

            def all_of_it():
                yield from link.open(self.heartbeat)
                link.is_open = True
                result.append((yield from work(link)))
                yield from self.close(link)
            yield from self.session(link, all_of_it())
        self.loop.add(name, actor)
        if not self.until(lambda: result, seconds):
            raise Unexpected("no answer in %d s for %s" % (seconds, name))
        return result[0]


class Role:
    """A client that comes back (while comes_back) until it has done what it has to. `link` is its connection now."""

    def __init__(self, fleet, name, host, heartbeat=None):
        self.fleet, self.name, self.host = fleet, name, host
        self.heartbeat = fleet.heartbeat if heartbeat is None else heartbeat
        self.link = self.chan = None
        self.connections = 0
        self.done, self.comes_back = False, True
        fleet.loop.add(name, self.play)

    def play(self, me):
        while not self.has_finished() and (self.comes_back or not self.connections):
            if self.host.namespace is None:
                yield RECONNECT_S
                continue
            self.connections += 1
            link = self.link = self.fleet.connect(me, self.host, self.heartbeat)
            try:
                yield from self.fleet.session(link, self.serve(link))
            except Gone:
                self.chan = None
                yield RECONNECT_S
        self.done = True

    def serve(self, link):
        yield from link.open(self.heartbeat)
        link.is_open = True
        yield from self.work(link)
        yield from self.fleet.close(link)

    def channel(self, link):
        chan = (yield from link.channel(Client)).join(self.fleet.world, self.name)
        chan.holder.link = link
        link.holders.append(chan.holder)
        return chan


class Publisher(Role):
    """Gets TOTAL messages (None: all, until it is stopped) confirmed, RATE a second (None: as they are confirmed).
    What is not confirmed when a connection ends is published again, as a message of its own."""

    def __init__(self, fleet, name, host, queue, rng, total=None, rate=None, window=100, variant="tiny"):
        self.target, self.rng, self.window = Target("", queue.name, [queue], variant), rng, window
        self.total, self.rate, self.next_at = total, rate, 0.0
        self.begun = self.published = self.safe = 0     # messages, attempts, messages confirmed
        super().__init__(fleet, name, host)

    def has_finished(self):
        return self.safe == self.total

    def stop(self):
        self.total = self.begun

    def work(self, link):
        chan = self.chan = yield from self.channel(link)
        yield from chan.call("confirm.select")
        chan.on_confirm = self.confirmed
        while not self.has_finished():
            under_way = self.safe + len(chan.waiting)
            if len(chan.waiting) >= self.window or under_way == self.total:
                yield
            elif self.rate and time.monotonic() < self.next_at:
                yield self.next_at - time.monotonic()
            else:
                self.publish(chan)
                self.begun = max(self.begun, under_way + 1)
                yield 0.0

    def publish(self, chan):
        chan.published += 1
        self.published += 1
        stream = "%s/%d" % (self.name, self.connections)
        chan.waiting[chan.published] = load.publish(chan, self.rng, self.target, stream, transient=0)
        self.next_at = time.monotonic() + 1 / self.rate if self.rate else 0.0

    def confirmed(self, chan, tag, multiple, ok):
        if not ok:
            raise Unexpected("a publish was nacked")
        before = len(chan.waiting)
        chan.confirm(tag, multiple, ok)
        self.safe += before - len(chan.waiting)


class Consumer(Role):
    """Takes and acknowledges until it is stopped; one that `keeps` does not acknowledge."""

    def __init__(self, fleet, name, host, queue, prefetch, keeps=False, heartbeat=None, per_channel=PER_CHANNEL):
        self.queue, self.prefetch, self.keeps, self.per_channel = queue, prefetch, keeps, per_channel
        self.is_stopped = False
        super().__init__(fleet, name, host, heartbeat)

    def has_finished(self):
        return self.is_stopped

    def stop(self):
        self.is_stopped = True

    def held(self):
        return [copy for _, copy in self.chan.holder.tags.values()] if self.chan else []

    def work(self, link):
        while not self.is_stopped:
            chan = yield from self.channel(link)
            if self.prefetch:
                yield from chan.call("basic.qos", prefetch_count=self.prefetch)
            chan.consumers["c"] = (self.queue, self.prefetch or 1000)
            self.chan = chan
            yield from chan.call("basic.consume", queue=self.queue.name, consumer_tag="c")
            yield from self.settle(chan)
            yield from chan.close()
            link.holders.remove(chan.holder)

    def settle(self, chan):
        """Until it is time for another channel: its close-ok proves what was acknowledged."""
        settled = 0
        while not self.is_stopped and settled < self.per_channel:
            tags = list(chan.holder.tags)
            if self.keeps or not tags:
                yield 0.1
                continue
            chan.send("basic.ack", delivery_tag=tags[-1], multiple=True)
            for tag in tags:
                chan.holder.settle(tag, "ack")
            settled += len(tags)
            yield 0.0
