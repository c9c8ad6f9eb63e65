# SPDX-License-Identifier: Apache-2.0
"""What a broker was asked and what it promised, message by message, and the rules that follow.

Nothing here asks the broker: a message's state is what this process sent and received, in that order. Of each
message in each queue a Copy is kept:

    promised   its confirm (or commit-ok) came, or it was found after a restart
    settle     'sent' when an ack went out (or a purge), 'maybe' when a purge may have met it; None otherwise
    gone       it can never be seen again: settled with a proof (a synchronous reply that waits for the settlement),
               rolled back, transient before a crash, or absent after a restart

So a copy that is promised, not settled and not gone must be there after a restart; one that is gone must not; any
other may be either, and what is found then becomes the truth. A queue with a dead-letter target makes one family with
it: its copies are somewhere in the two, never in both, never in neither.
"""

import random
import struct
import time

from link import amqp_raw

BLOB = random.Random(1).randbytes(1 << 19)
MARGIN_S = 0.05     # what clocks of two processes may be read apart


class Violation(Exception):
    """A rule is broken. COPIES are those whose history tells it."""

    def __init__(self, rule, detail, copies=()):
        super().__init__(rule)
        self.rule, self.detail, self.copies = rule, detail, list(copies)


def body_of(mid, size):
    """The body of a message follows from its id and size, so that any wrong octet shows."""
    head = struct.pack(">Q", mid)[:size]
    at = mid * 7919 % (len(BLOB) - 262144)
    return head + BLOB[at:at + size - len(head)]


def headers_of(d):
    return amqp_raw.plain(d.props["headers"]) if "headers" in d.props else {}


def count_of(d):
    return headers_of(d).get("x-delivery-count", 0)


class Copy:
    """A message in a queue (and the dead-letter target of that queue)."""

    __slots__ = ("mid", "home", "exchange", "key", "size", "flags", "raw", "persistent", "stream", "seq", "level",
                 "ttl", "boot", "sent_at", "confirmed_at", "promised", "settle", "settled_boot", "gone", "why_gone",
                 "holder", "held_in", "delivered", "dropped", "dropped_boot", "in_target", "rank", "count", "low", "high",
                 "count_boot", "counts", "group", "log")

    def __init__(self, mid, home):
        self.mid, self.home = mid, home
        self.promised = self.gone = self.dropped = self.in_target = False
        self.settle = self.settled_boot = self.why_gone = self.holder = self.held_in = self.dropped_boot = None
        self.confirmed_at = self.rank = self.group = None
        self.delivered = {}         # queue name -> boot of the last delivery from it
        self.count = self.low = self.high = self.count_boot = 0
        self.counts = []            # (when, x-delivery-count) of the deliveries of this boot
        self.log = []

    def note(self, text):
        self.log.append((time.monotonic(), self.home.world.boot, text))

    def must_be_there(self):
        return self.promised and self.settle is None and not self.gone

    def bury(self, why):
        if not self.gone:
            self.gone, self.why_gone = True, why
            self.note("gone for good: " + why)
            self.home.live.pop(self.mid, None)

    def tell(self, start):
        lines = ["message %d in %s%s: %d octets, %s, exchange %r key %r, stream %s number %d" % (
            self.mid, self.home.name, " -> " + self.home.target.name if self.home.target else "", self.size,
            "persistent" if self.persistent else "transient", self.exchange, self.key, self.stream, self.seq)]
        return "\n".join(lines + ["  %9.4f s boot %d  %s" % (at - start, boot, text) for at, boot, text in self.log])


class Queue:
    """A queue as the test knows it. `source` is set in a dead-letter target, `target` in its source."""

    def __init__(self, world, name, args=None, ttl=None, limit=None, levels=0, quorum=False, max_length=None):
        self.world, self.name, self.args = world, name, args or {}
        self.ttl, self.limit, self.levels, self.quorum, self.max_length = ttl, limit, levels, quorum, max_length
        self.source = self.target = None
        self.copies, self.live = {}, {}
        self.uncertain_sends = 0        # purges under way: what is sent meanwhile may be hit
        self.blurred = None             # boot in which a connection was cut: redelivered may be set without our knowing
        self.closings = 0               # channels being closed: their last deliveries may be read late
        self.allowance = 0              # deliveries that may have been under way at the last clean stop

    @property
    def home(self):
        return self.source or self

    def is_blurred(self):
        """Messages may have been delivered and returned without our knowing."""
        return self.blurred == self.world.boot or self.closings > 0


class Holder:
    """What a channel received and has not settled, and what it settled without proof."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.tags = {}          # delivery tag -> (queue, copy), in order
        self.unproved = []      # (copy, 'settle' | 'drop')
        self.last = {}          # (queue, stream, level) -> seq of the last first delivery
        self.closing = None     # the queues it may get deliveries from, once close has been sent

    def settle(self, tag, how):
        """HOW: 'ack', 'requeue' or 'drop' (nack without requeue), just sent."""
        queue, copy = self.tags.pop(tag)
        copy.holder = None
        copy.note("%s sent by %s to %s" % (how, self.name, queue.name))
        if how == "requeue":
            self.world.returned(queue, copy)
        elif how == "drop" and queue.target:
            copy.dropped, copy.dropped_boot = True, self.world.boot
            self.unproved.append((copy, "drop"))
        else:
            copy.settle, copy.settled_boot = "sent", self.world.boot
            self.unproved.append((copy, "settle"))

    def close(self, queues):
        """Its channel or connection is being closed. What still comes has been requeued by the time it is read,
        and may have been delivered to somebody else already."""
        self.release("channel closed")
        self.closing = list(queues)
        for queue in self.closing:
            queue.closings += 1

    def closed(self):
        for queue in self.closing:
            queue.closings -= 1
        self.proved()

    def release(self, why):
        """What it holds goes back."""
        for queue, copy in self.tags.values():
            copy.holder = None
            copy.note("returned by %s: %s" % (self.name, why))
            self.world.returned(queue, copy)
        self.tags.clear()
        self.last.clear()

    def proved(self):
        """A reply came that waits for every settlement sent before."""
        for copy, how in self.unproved:
            if how == "settle":
                copy.bury("settled, and close-ok came")
            elif not copy.gone:
                copy.in_target = True
                copy.note("rejected, and close-ok came: it is in %s" % copy.home.target.name)
        self.unproved.clear()

    def cut(self):
        """The connection was cut: what was sent may not have been read."""
        for copy, _ in self.unproved:
            copy.settled_boot = copy.dropped_boot = None
        self.unproved.clear()
        self.release("connection cut")


class Group:
    """A transaction: what it publishes and settles happens as a whole or not at all."""

    def __init__(self, name):
        self.name = name
        self.publishes, self.settles, self.tags = [], [], []
        self.committing = False


class World:
    """All queues of a data directory, and the boots it has seen."""

    def __init__(self, exact=False, keeps_transient=False):
        self.exact = exact                      # stops are clean: redelivered must be exact
        self.keeps_transient = keeps_transient  # the broker itself does not stop
        self.queues = {}
        self.boot = 0
        self.last_mid = 0
        self.groups = []
        self.started = time.monotonic()
        self.deliveries = self.confirms = 0
        self.written_until = 0.0                # what was received before is written, as the journal has one order

    def queue(self, name, **more):
        self.queues[name] = Queue(self, name, **more)
        return self.queues[name]

    def dead_letters(self, source, target):
        source.target, target.source = target, source

    # publishing

    def sent(self, queue, mid, exchange, key, size, props, stream, seq, group=None):
        copy = Copy(mid, queue)
        copy.exchange, copy.key, copy.size = exchange, key, size
        copy.flags, copy.raw = props
        decoded = amqp_raw.decode_properties(*props)
        copy.persistent = decoded.get("delivery_mode") == 2 or queue.quorum
        copy.stream, copy.seq, copy.group = stream, seq, group
        copy.boot = copy.count_boot = self.boot
        copy.level = min(decoded.get("priority", 0), queue.levels)
        ttls = [t for t in (queue.ttl, int(decoded["expiration"]) if "expiration" in decoded else None)
                if t is not None]
        copy.ttl = min(ttls) / 1000 if ttls else None
        copy.sent_at = time.monotonic()
        if queue.uncertain_sends:
            copy.settle = "maybe"
        copy.note("published" + (" in " + group.name if group else ""))
        queue.copies[mid] = queue.live[mid] = copy
        return copy

    def confirmed(self, copy):
        self.confirms += 1
        copy.note("confirmed")
        if not copy.gone:
            copy.promised = True
        if copy.confirmed_at is None:
            copy.confirmed_at = time.monotonic()
        # What was delivered already may be gone, and then nothing of it need be written.
        if copy.persistent and not copy.delivered:
            self.written_until = max(self.written_until, copy.sent_at)

    # deliveries

    def delivered(self, queue, d, holder):
        """A delivery or get-ok from QUEUE to HOLDER. Returns its copy."""
        self.deliveries += 1
        mid = d.props.get("message_id")
        copy = queue.home.copies.get(int(mid)) if mid and mid.isdigit() else None
        if copy is None:
            raise Violation("a message that was never published to this queue appeared",
                            "%s delivered message-id %r, %d octets" % (queue.name, mid, len(d.body)))
        copy.note("delivered from %s to %s, redelivered=%s" % (queue.name, holder.name, d.redelivered))
        self.check_content(queue, copy, d)
        if holder.closing is not None:
            copy.delivered[queue.name] = self.boot
            if queue.quorum and count_of(d) >= copy.low:    # otherwise somebody had it since
                copy.count = count_of(d)
                copy.counts.append((time.monotonic(), copy.count))
                self.returned(queue, copy)
            return copy
        self.check_may_appear(queue, copy, d)
        self.check_redelivered(queue, copy, d)
        self.check_order(queue, copy, d, holder)
        self.check_time(queue, copy, d)
        if queue.quorum:
            self.check_count(queue, copy, d)
        if not queue.uncertain_sends:
            copy.settle = None
        if copy.boot < self.boot:
            copy.promised = True
        copy.delivered[queue.name] = self.boot
        copy.holder, copy.held_in = holder, queue
        holder.tags[d.tag] = (queue, copy)
        return copy

    def check_may_appear(self, queue, copy, d):
        if copy.gone:
            raise Violation("a message came back that is gone (%s)" % copy.why_gone, "from " + queue.name, [copy])
        if copy.settled_boot == self.boot and copy.settle == "sent":
            raise Violation("a message was delivered again after its ack, without a crash", "from " + queue.name,
                            [copy])
        if copy.holder:
            raise Violation("a message is in two places", "delivered from %s while %s holds it from %s" % (
                queue.name, copy.holder.name, copy.held_in.name), [copy])
        if queue is copy.home and (copy.in_target or copy.dropped_boot == self.boot):
            raise Violation("a dead letter came back to its source", "from " + queue.name, [copy])

    def check_content(self, queue, copy, d):
        if d.body != body_of(copy.mid, copy.size):
            raise Violation("a body is wrong", "from %s: %d octets, expected %d" % (
                queue.name, len(d.body), copy.size), [copy])
        if queue is copy.home:
            where = (copy.exchange, copy.key)
            if not queue.quorum and (d.flags, d.raw) != (copy.flags, copy.raw):
                raise Violation("properties changed", "%r" % d.props, [copy])
        else:
            args = copy.home.args
            where = (args["x-dead-letter-exchange"], args.get("x-dead-letter-routing-key", copy.key))
            self.check_death(queue, copy, d)
        if (d.exchange, d.key) != where:
            raise Violation("exchange or key changed", "%r, expected %r" % ((d.exchange, d.key), where), [copy])

    def check_death(self, queue, copy, d):
        deaths = headers_of(d).get("x-death")
        if not deaths or len(deaths) != 1:
            raise Violation("a dead letter without exactly one x-death entry", "%r" % deaths, [copy])
        death, home = deaths[0], copy.home
        copy.note("died: " + death["reason"])
        if (death["queue"], death["count"], death["exchange"], death["routing-keys"]) != (
                home.name, 1, copy.exchange, [copy.key]):
            raise Violation("x-death says something else than what happened", "%r" % death, [copy])
        possible = {"rejected": copy.dropped, "expired": copy.ttl is not None, "maxlen": home.max_length is not None,
                    "delivery_limit": home.limit is not None}
        if not possible.get(death["reason"]):
            raise Violation("a message died of what cannot have happened", "%r" % death, [copy])
        if death["reason"] == "expired" and time.monotonic() < copy.sent_at + copy.ttl - MARGIN_S:
            raise Violation("a message expired before its time", "%r" % death, [copy])
        if death["reason"] == "delivery_limit" and self.most_returns(home, copy) <= home.limit:
            raise Violation("a message died of its delivery limit too early", "%d returns at most" % (
                self.most_returns(home, copy)), [copy])

    def check_redelivered(self, queue, copy, d):
        before = copy.delivered.get(queue.name)
        # A dead letter that moves once more after a crash undid the first move is a new message in the target.
        known = before is not None and (queue is copy.home or before == self.boot or copy.in_target)
        if known and not d.redelivered and not queue.quorum:    # there the count says it: check_count()
            raise Violation("redelivered is not set", "from %s, delivered before in boot %d" % (queue.name, before),
                            [copy])
        if before is not None or not d.redelivered or queue.is_blurred():
            return
        if copy.boot == self.boot and queue is copy.home:
            raise Violation("redelivered is set on a first delivery", "from " + queue.name, [copy])
        if self.exact:
            queue.allowance -= 1
            if queue.allowance < 0:
                raise Violation("redelivered is set on a first delivery after a clean stop", "from " + queue.name,
                                [copy])

    def check_order(self, queue, copy, d, holder):
        if queue is not copy.home or d.redelivered:
            return
        stream = (queue.name, copy.stream, copy.level)
        if holder.last.get(stream, -1) >= copy.seq:
            raise Violation("first deliveries are out of order", "%s number %d after %d" % (
                copy.stream, copy.seq, holder.last[stream]), [copy])
        holder.last[stream] = copy.seq

    def check_time(self, queue, copy, d):
        """Only of a get can be said when it was answered at the earliest: after it was asked."""
        if queue is copy.home and copy.ttl is not None and copy.confirmed_at is not None and d.asked is not None:
            if d.asked > copy.confirmed_at + copy.ttl + MARGIN_S:
                raise Violation("an expired message was delivered", "%.3f s after its time" % (
                    d.asked - copy.confirmed_at - copy.ttl), [copy])

    def check_count(self, queue, copy, d):
        count = count_of(d)
        copy.note("x-delivery-count %d" % count)
        if not copy.low <= count <= min(self.most_returns(queue, copy), queue.limit):
            raise Violation("x-delivery-count is wrong", "%d, expected %d to %s, limit %d" % (
                count, copy.low, self.most_returns(queue, copy), queue.limit), [copy])
        if (count > 0) != d.redelivered:
            raise Violation("redelivered differs from what x-delivery-count says", "%d" % count, [copy])
        copy.count = copy.low = copy.high = count
        copy.count_boot = self.boot
        copy.counts.append((time.monotonic(), count))

    def most_returns(self, queue, copy):
        """Each crash since may have been one; a clean stop may be several, as it ends one consumer after another."""
        if queue.is_blurred() or (self.exact and copy.count_boot != self.boot):
            return float("inf")
        return copy.high + self.boot - copy.count_boot

    def returned(self, queue, copy):
        if queue.quorum:
            copy.low = copy.high = copy.count + 1
            copy.count_boot = self.boot

    def forget_last_counts(self, copy):
        """A delivery waits for no journal: those just before the end may not have been written down; what the first
        one of a boot said was."""
        if copy.counts and not self.exact:
            kept = [count + 1 for at, count in copy.counts if at < self.written_until]
            copy.low = max(kept, default=copy.counts[0][1])
        copy.counts.clear()

    # purges

    def purging(self, queue):
        """A purge goes out. Returns the copies that it must remove."""
        certain = []
        for copy in queue.live.values():
            if copy.holder or copy.settle == "sent":
                continue
            if copy.promised:
                copy.settle, copy.settled_boot = "sent", self.boot
                certain.append(copy)
            else:
                copy.settle = "maybe"
            copy.note("purge sent")
        queue.uncertain_sends += 1
        return certain

    def purged(self, queue, certain):
        queue.uncertain_sends -= 1
        for copy in certain:
            copy.bury("purged, and purge-ok came")

    # transactions

    def committing(self, group):
        group.committing = True
        self.groups.append(group)
        for copy in group.publishes + group.settles:
            copy.note("commit of %s sent" % group.name)
        for copy in group.settles:
            copy.settle, copy.settled_boot = "sent", self.boot

    def committed(self, group):
        self.groups.remove(group)
        for copy in group.publishes:
            self.confirmed(copy)
        for copy in group.settles:
            copy.bury("settled in %s, and commit-ok came" % group.name)

    def undone(self, group):
        for copy in group.publishes:
            copy.bury("%s was never committed" % group.name)

    # restarts

    def stopped(self):
        """The broker has ended, and everything it had said was read."""
        for queue in self.queues.values():
            queue.uncertain_sends = queue.closings = 0
            for copy in list(queue.live.values()):
                if copy.holder:
                    copy.note("held by %s at the end of the boot" % copy.holder.name)
                    copy.holder = None
                if copy.delivered.get(queue.name) == self.boot:
                    self.returned(queue, copy)
                self.forget_last_counts(copy)
                copy.settled_boot = copy.dropped_boot = None
                if copy.group and not copy.promised and not copy.group.committing:
                    copy.bury("%s was not committed at the end" % copy.group.name)
                elif not copy.persistent and not self.keeps_transient:
                    copy.bury("transient")
        self.boot += 1

    def found(self, queue, seen):
        """After a restart: SEEN are the copies that QUEUE and its target hold, in QUEUE's order."""
        there = {copy.mid for copy in seen}
        for copy in list(queue.live.values()):
            if copy.mid in there:
                copy.promised, copy.settle = True, None
            elif copy.must_be_there():
                raise Violation("a message is lost", "%s%s: %d were found, %d are missing" % (
                    queue.name, " and " + queue.target.name if queue.target else "", len(seen),
                    len(self.missing(queue, seen))), [copy])
            else:
                copy.bury("it was not there after a restart")

    def missing(self, queue, seen):
        there = {copy.mid for copy in seen}
        return [copy for copy in queue.live.values() if copy.must_be_there() and copy.mid not in there]

    def judge_groups(self, found):
        """FOUND: (queue name, mid) of everything that is there. Of a transaction whose commit-ok never came, all
        or nothing has happened."""
        for group in self.groups:
            members = [copy for copy in group.publishes + group.settles if copy.persistent]
            there = [(copy.home.name, copy.mid) in found for copy in members]
            for copy, is_there in zip(members, there):
                copy.note("found after the restart" if is_there else "not found after the restart")
            happened = {is_there == (copy in group.publishes) for copy, is_there in zip(members, there)}
            if len(happened) > 1:
                raise Violation("a transaction happened in part", group.name, members)
        self.groups.clear()

    def check_sequence(self, queue, seen):
        """The whole ready part of QUEUE, in the order of one reader: every message stands where it stood."""
        last_seq, last_rank, last_level, unranked = {}, {}, None, {}
        for copy in seen:
            if last_level is not None and copy.level > last_level:
                raise Violation("priorities are out of order", "in " + queue.name, [copy])
            last_level = copy.level
            stream = (copy.stream, copy.level)
            if last_seq.get(stream, -1) > copy.seq:
                raise Violation("messages are out of order after a restart", "in %s: %s number %d after %d" % (
                    queue.name, copy.stream, copy.seq, last_seq[stream]), [copy])
            last_seq[stream] = copy.seq
            if copy.rank is None:
                unranked.setdefault(copy.level, copy)
                continue
            if copy.level in unranked:
                raise Violation("an older message stands behind a newer one", "in " + queue.name,
                                [unranked[copy.level], copy])
            if last_rank.get(copy.level, -1) > copy.rank:
                raise Violation("messages changed places", "in " + queue.name, [copy])
            last_rank[copy.level] = copy.rank
        for rank, copy in enumerate(seen):
            copy.rank = rank
