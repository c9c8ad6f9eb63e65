# SPDX-License-Identifier: Apache-2.0
"""queue-features, 2: dead-lettering, x-death and its companions, cycles."""

import time

from amqp_raw import Pairs, V, plain
from harness import between, differs, eq, ok, wait_until


class Stage:
    """A channel, and queues made by name; what dies goes where the test says."""

    def __init__(self, broker):
        self.broker, self.ch = broker, broker.channel()

    def queue(self, label, dlx=None, key=None, **args):
        """DLX None: no dead-lettering. Further arguments with underscores for dashes, without the x-."""
        name = self.broker.name(label)
        table = {"x-" + k.replace("_", "-"): v for k, v in args.items()}
        if dlx is not None:
            table["x-dead-letter-exchange"] = dlx
        if key is not None:
            table["x-dead-letter-routing-key"] = key
        self.ch.declare(name, table, durable=args.get("queue_type") == "quorum")
        return name

    def exchange(self, label, kind="fanout", args=None):
        name = self.broker.name(label)
        self.ch.exchange(name, kind, args)
        return name

    def next(self, queue, timeout=8):
        """The next message of QUEUE, waiting for it."""
        return wait_until(lambda: self.ch.get(queue), timeout, "message in " + queue)

    def reject(self, queue, n=1):
        for _ in range(n):
            self.ch.reject(self.next_unacked(queue).delivery_tag, requeue=False)

    def next_unacked(self, queue):
        return wait_until(lambda: self.ch.get(queue, no_ack=False), 8, "message in " + queue)

    def nothing(self, *queues):
        """After another message has gone the same way, these queues are empty."""
        for queue in queues:
            self.ch.expect_count(queue, 0)


def deaths(message):
    return message.headers["x-death"]


def typed_headers(message):
    return dict(message.props["headers"])


# --- 2.1 when

def test_rejected_expired_maxlen(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    work = s.queue("work", "", dead)
    short = s.queue("short", "", dead, max_length=1)
    small = s.queue("small", "", dead, max_length_bytes=5)
    brief = s.queue("brief", "", dead, message_ttl=20)
    for settle in (lambda tag: s.ch.reject(tag, requeue=False), lambda tag: s.ch.nack(tag, requeue=False)):
        s.ch.publish("", work, b"x")
        settle(s.next_unacked(work).delivery_tag)
        eq(deaths(s.next(dead))[0]["reason"], "rejected")
    s.ch.publish("", short, b"1"), s.ch.publish("", short, b"2")
    got = s.next(dead)
    eq((got.body, deaths(got)[0]["reason"]), (b"1", "maxlen"))
    s.ch.publish("", small, b"1234"), s.ch.publish("", small, b"5678")
    got = s.next(dead)
    eq((got.body, deaths(got)[0]["reason"]), (b"1234", "maxlen"))
    s.ch.publish("", brief, b"x")
    eq(deaths(s.next(dead))[0]["reason"], "expired")
    s.ch.publish("", work, b"x", {"expiration": "20"})
    eq(deaths(s.next(dead))[0]["reason"], "expired")
    no_room = s.queue("no_room", "", dead, max_length=0)
    s.ch.publish("", no_room, b"x")
    eq(deaths(s.next(dead))[0]["reason"], "maxlen")


def test_not_dead_lettered(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    for end in ("purge", "delete", "reject-publish", "auto-delete", "expires", "acked", "requeued"):
        args = {"overflow": "reject-publish", "max_length": 1} if end == "reject-publish" else {}
        if end == "expires":
            args = {"expires": 50}
        if end == "auto-delete":
            queue = broker.name(end)
            s.ch.declare(queue, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}, auto_delete=True)
        else:
            queue = s.queue(end, "", dead, **args)
        s.ch.publish("", queue, b"1"), s.ch.publish("", queue, b"2")
        s.ch.sync()
        if end == "purge":
            s.ch.call("queue.purge", queue=queue)
        elif end == "delete":
            s.ch.call("queue.delete", queue=queue)
        elif end == "auto-delete":
            s.ch.consume(queue, "t"), s.ch.cancel("t")
        elif end == "acked":
            s.ch.drain(queue)
        elif end == "requeued":
            s.ch.nack(s.next_unacked(queue).delivery_tag, requeue=True)
    gone = broker.connect()
    wait_until(lambda: not alive(gone, queue_named(broker, "expires")), 8, "queue expired")
    s.ch.expect_count(dead, 0)


def queue_named(broker, label):
    return next(n for n in broker.names if ".%s." % label in n)


def alive(connection, queue):
    from amqp_raw import ChannelClosed
    try:
        connection.channel().count(queue)
        return True
    except ChannelClosed:
        return False


def test_exclusive_queue_of_an_ending_connection_is_not_dead_lettered(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    c = broker.connect()
    ch, queue = c.channel(), broker.name()
    ch.declare(queue, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}, exclusive=True)
    ch.publish("", queue, b"x")
    ch.sync()
    c.close()
    s.ch.expect_count(dead, 0)


# --- 2.2 publication

def test_missing_or_unrouting_exchange_drops(broker):
    s = Stage(broker)
    empty = s.exchange("empty")
    for dlx in ("no.such." + broker.unique, empty):
        queue = s.queue("q", dlx)
        s.ch.publish("", queue, b"x")
        s.reject(queue)
        s.ch.sync()
        eq(list(s.ch.inbox), [])
        s.ch.expect_count(queue, 0)


def test_exchange_is_looked_up_at_the_death(broker):
    s = Stage(broker)
    dlx = broker.name("later")
    queue, dead = s.queue("q", dlx), s.queue("dead")
    s.ch.publish("", queue, b"lost"), s.reject(queue)
    s.ch.expect_count(queue, 0)
    s.ch.exchange(dlx, "fanout"), s.ch.bind(dead, dlx)
    s.ch.publish("", queue, b"found"), s.reject(queue)
    eq(s.next(dead).body, b"found")


def test_routing_key_is_the_override_or_all_keys(broker):
    s = Stage(broker)
    dlx = s.exchange("dlx", "direct")
    plain_q, keyed = s.queue("plain", dlx), s.queue("keyed", dlx, "override")
    ends = {}
    for key in ("cc", "bcc", "override", plain_q, keyed):
        ends[key] = s.queue("end")
        s.ch.bind(ends[key], dlx, key)
    headers = {"CC": ["cc"], "BCC": ["bcc"]}
    s.ch.publish("", plain_q, b"x", {"headers": headers})
    s.reject(plain_q)
    for key in ("cc", "bcc", plain_q):
        got = s.next(ends[key])
        eq((got.exchange, got.routing_key, got.redelivered), (dlx, plain_q, False), key)
        eq(got.headers["CC"], ["cc"])
        ok("BCC" not in got.headers, "BCC shown")
    s.ch.publish("", keyed, b"x", {"headers": headers})
    s.reject(keyed)
    got = s.next(ends["override"])
    eq((got.exchange, got.routing_key), (dlx, "override"))
    ok("CC" not in got.headers, "CC kept in spite of the override")
    s.nothing(*ends.values())


def test_keys_of_the_first_death_serve_the_second(broker):
    """BCC is gone from the headers after the first hop, its key is not."""
    s = Stage(broker)
    last = s.exchange("last", "direct")
    end_bcc, end_key = s.queue("end_bcc"), s.queue("end_key")
    middle = s.queue("middle", last)
    first_dlx = s.exchange("first")
    s.ch.bind(middle, first_dlx)
    work = s.queue("work", first_dlx)
    s.ch.bind(end_bcc, last, "secret"), s.ch.bind(end_key, last, work)
    s.ch.publish("", work, b"x", {"headers": {"BCC": ["secret"]}})
    s.reject(work)
    s.reject(middle)
    if broker.is_coney:
        eq(s.next(end_bcc).body, b"x")
    eq(s.next(end_key).body, b"x")


def test_alternate_exchange_of_the_dlx_applies(broker):
    s = Stage(broker)
    ae = s.exchange("ae")
    dlx = s.exchange("dlx", "direct", {"alternate-exchange": ae})
    queue, dead = s.queue("q", dlx), s.queue("dead")
    s.ch.bind(dead, ae)
    s.ch.publish("", queue, b"x"), s.reject(queue)
    eq(s.next(dead).exchange, dlx)


def test_nack_multiple_dead_letters_in_queue_order(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead)
    for i in range(10):
        s.ch.publish("", queue, str(i))
    tags = [s.next_unacked(queue).delivery_tag for _ in range(10)]
    s.ch.nack(tags[-1], multiple=True, requeue=False)
    eq([s.next(dead).body for _ in range(10)], [b"%d" % i for i in range(10)])


def test_publisher_is_confirmed_on_enqueue_and_never_told(broker):
    s = Stage(broker)
    queue = s.queue("q", "no.such." + broker.unique, message_ttl=0)
    s.ch.confirm()
    eq(s.ch.publish_confirmed("", queue, b"x", mandatory=True).name, "basic.ack")
    s.ch.expect_count(queue, 0)
    eq(list(s.ch.inbox), [])


def test_dead_letters_start_a_new_life(broker):
    """The ttl of the target queue counts from the arrival there."""
    s = Stage(broker)
    end = s.queue("end")
    second = s.queue("second", "", end, message_ttl=150)
    first = s.queue("first", "", second, message_ttl=150)
    began = time.monotonic()
    s.ch.publish("", first, b"x")
    got = s.next(end)
    between(time.monotonic() - began, 0.29, 5, "seconds through both")
    eq([d["queue"] for d in deaths(got)], [second, first])


# --- 2.4 effects

def test_expiration_is_removed_and_remembered(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead)
    s.ch.publish("", queue, b"x", {"expiration": "30"})
    got = s.next(dead)
    ok("expiration" not in got.props, "expiration kept")
    eq(deaths(got)[0]["original-expiration"], "30")
    s.ch.publish("", queue, b"x", {"expiration": "60000"})
    s.reject(queue)
    got = s.next(dead)
    ok("expiration" not in got.props, "expiration kept after a reject")
    eq(deaths(got)[0]["original-expiration"], "60000")


def test_everything_else_is_unchanged(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead)
    props = {"content_type": "a", "content_encoding": "b", "headers": {"mine": 1, "z": [None]}, "delivery_mode": 2,
             "priority": 7, "correlation_id": "c", "reply_to": "r", "message_id": "m", "timestamp": 5, "type": "t",
             "user_id": "guest", "app_id": "x", "cluster_id": "y"}
    s.ch.publish("", queue, b"body", props)
    s.reject(queue)
    got = s.next(dead)
    now = dict(got.props)
    headers = got.headers
    for name in list(headers):
        if name.startswith("x-"):
            headers.pop(name)
    now["headers"] = headers
    eq((now, got.body), (props, b"body"))


def test_message_without_headers_gets_them(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead)
    s.ch.publish("", queue, b"x")
    s.reject(queue)
    got = s.next(dead)
    eq(got.flags, 0x2000)
    ok("x-death" in got.headers, "no x-death")


# --- 2.5 x-death

def test_x_death_fields_and_types(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    exchange = s.exchange("x", "topic")
    queue = s.queue("q", "", dead)
    s.ch.bind(queue, exchange, "key")
    began = int(time.time())
    s.ch.publish(exchange, "key", b"x", {"expiration": "30", "headers": {"CC": ["cc1", "cc2"], "BCC": ["bcc"]}})
    header = typed_headers(s.next(dead))["x-death"]
    eq((header.type, len(header.value), header.value[0].type), ("A", 1, "F"))
    entry = dict(header.value[0].value)
    eq({name: value.type for name, value in entry.items()},
       {"count": "l", "reason": "S", "queue": "S", "time": "T", "exchange": "S", "routing-keys": "A",
        "original-expiration": "S"})
    told = plain(header.value[0])
    between(told.pop("time"), began - 1, int(time.time()) + 1, "time")
    eq(told, {"count": 1, "reason": "expired", "queue": queue, "exchange": exchange,
              "routing-keys": ["key", "cc1", "cc2"], "original-expiration": "30"})
    eq([k.type for k in entry["routing-keys"].value], ["S", "S", "S"])


def test_no_original_expiration_without_one(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead, message_ttl=10)
    s.ch.publish("", queue, b"x")
    ok("original-expiration" not in deaths(s.next(dead))[0], "present")


def loop(s, reason_args=None):
    """A work queue and a retry queue that dead-letter into each other; returns their names."""
    work, retry = s.broker.name("work"), s.broker.name("retry")
    s.ch.declare(work, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": retry})
    s.ch.declare(retry, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": work,
                         "x-message-ttl": 10})
    return work, retry


def test_counts_grow_and_the_latest_comes_first(broker):
    s = Stage(broker)
    work, retry = loop(s)
    s.ch.publish("", work, b"x")
    first_times = None
    for n in range(1, 6):
        s.reject(work)
        got = s.next_unacked(work)
        eq([(d["queue"], d["reason"], d["count"]) for d in deaths(got)],
           [(retry, "expired", n), (work, "rejected", n)])
        times = [d["time"] for d in deaths(got)]
        first_times = first_times or times
        eq(times, first_times, "time is of the first death")
        eq([d["exchange"] for d in deaths(got)], ["", ""])
        eq([d["routing-keys"] for d in deaths(got)], [[retry], [work]])
        s.ch.nack(got.delivery_tag, requeue=True)


@differs("3.10 reverses the other entries on each hop")
def test_three_entries_are_strictly_most_recent_first(broker):
    s = Stage(broker)
    names = [s.broker.name(n) for n in "abc"]
    for name, following in zip(names, names[1:] + names[:1]):
        s.ch.declare(name, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": following})
    s.ch.publish("", names[0], b"x")
    for hop in range(1, 10):
        s.reject(names[(hop - 1) % 3])
        got = s.next_unacked(names[hop % 3])
        want = [names[(hop - 1 - i) % 3] for i in range(min(hop, 3))]
        eq([d["queue"] for d in deaths(got)], want, "hop %d" % hop)
        s.ch.nack(got.delivery_tag, requeue=True)


def test_a_queue_with_two_reasons_has_two_entries(broker):
    s = Stage(broker)
    work, retry = loop(s)
    s.ch.publish("", work, b"x")
    s.reject(work)
    s.ch.reject(s.next_unacked(work).delivery_tag, requeue=False)
    got = s.next_unacked(work)
    eq([(d["queue"], d["reason"], d["count"]) for d in deaths(got)], [(retry, "expired", 2), (work, "rejected", 2)])
    dead = s.queue("dead")
    both = s.queue("both", "", dead)
    s.ch.publish("", both, b"y")
    s.reject(both)
    first = s.next(dead)
    s.ch.publish("", both, b"y", {"headers": first.props["headers"], "expiration": "10"})
    got = s.next(dead)
    eq(sorted((d["queue"], d["reason"], d["count"]) for d in deaths(got)),
       [(both, "expired", 1), (both, "rejected", 1)])


def entry(queue, reason="rejected", count=1, **more):
    table = {"count": V("l", count), "reason": reason, "queue": queue, "time": V("T", 1600000000), "exchange": "",
             "routing-keys": [queue]}
    table.update(more)
    return {k: v for k, v in table.items() if v is not None}


def test_x_death_from_the_publisher_goes_on_counting(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead)
    s.ch.publish("", queue, b"x", {"headers": {"x-death": [entry(queue, count=41)]}})
    s.reject(queue)
    got = deaths(s.next(dead))
    eq([(d["queue"], d["reason"], d["count"], d["time"]) for d in got], [(queue, "rejected", 42, 1600000000)])


def test_forged_history_takes_part_in_cycle_detection(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead, message_ttl=10)
    s.ch.publish("", queue, b"cycle", {"headers": {"x-death": [entry(dead, "expired")]}})
    s.ch.publish("", queue, b"fine")
    eq(s.next(dead).body, b"fine")
    s.nothing(dead)


@differs("3.13 reads the header at the publish and drops what it cannot use")
def test_incomplete_entries_of_the_publisher_are_dropped(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead)
    history = [entry("good", count=3, **{"original-expiration": "5"}), entry("no count", count=1), "no table",
               entry("strange", "bad luck"), entry("untimed", time=None), entry("keyless", **{"routing-keys": None}),
               entry("older", "expired", 7)]
    history[1].pop("count")
    s.ch.publish("", queue, b"x", {"headers": {"x-death": history}})
    waiting = s.next_unacked(queue)
    eq(len(waiting.headers["x-death"]), 7, "untouched until the first death")
    s.ch.reject(waiting.delivery_tag, requeue=False)
    got = deaths(s.next(dead))
    eq([(d["queue"], d["reason"], d["count"]) for d in got],
       [(queue, "rejected", 1), ("good", "rejected", 3), ("older", "expired", 7)])
    eq(got[1]["original-expiration"], "5")


def test_x_death_that_is_no_array_is_replaced(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead)
    for value in ("text", 5, {"count": 1}):
        s.ch.publish("", queue, b"x", {"headers": {"x-death": value, "keep": 1}})
        s.reject(queue)
        got = s.next(dead)
        eq([(d["queue"], d["count"]) for d in deaths(got)], [(queue, 1)])
        eq(got.headers["keep"], 1)
        if broker.is_coney:
            eq(got.headers["x-first-death-queue"], queue)


# --- 2.6 first and last

def test_first_death_headers_never_change(broker):
    s = Stage(broker)
    work, retry = loop(s)
    exchange = s.exchange("origin")
    s.ch.bind(work, exchange)
    s.ch.publish(exchange, "k", b"x")
    for _ in range(3):
        s.reject(work)
        got = s.next_unacked(work)
        s.ch.nack(got.delivery_tag, requeue=True)
        headers = typed_headers(got)
        eq([(headers["x-first-death-" + n].type, headers["x-first-death-" + n].value)
            for n in ("reason", "queue", "exchange")], [("S", "rejected"), ("S", work), ("S", exchange)])


@differs("from 3.13 on")
def test_last_death_headers_change_at_every_death(broker):
    s = Stage(broker)
    work, retry = loop(s)
    exchange = s.exchange("origin")
    s.ch.bind(work, exchange)
    s.ch.publish(exchange, "k", b"x", {"headers": {"x-last-death-queue": "forged"}})
    s.reject(work)
    got = s.next_unacked(work)
    headers = typed_headers(got)
    eq([(headers["x-last-death-" + n].type, headers["x-last-death-" + n].value)
        for n in ("reason", "queue", "exchange")], [("S", "expired"), ("S", retry), ("S", "")])
    end = s.queue("end")
    other = s.queue("other", "", end)
    s.ch.publish(exchange, "k", b"y")
    s.reject(work)
    s.ch.bind(other, exchange)
    s.ch.publish(exchange, "k", b"z")
    s.reject(other)
    got = s.next(end)
    eq([got.headers["x-last-death-" + n] for n in ("reason", "queue", "exchange")], ["rejected", other, exchange])


@differs("3.10 overwrites it when there is no x-death header at all")
def test_first_death_of_a_publisher_with_history_passes_unchanged(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead)
    s.ch.publish("", queue, b"x", {"headers": {"x-death": [entry("before")], "x-first-death-queue": "kept"}})
    s.reject(queue)
    headers = s.next(dead).headers
    eq((headers["x-first-death-queue"], "x-first-death-reason" in headers), ("kept", False))
    s.ch.publish("", queue, b"x", {"headers": {"x-first-death-queue": "overwritten"}})
    s.reject(queue)
    eq(s.next(dead).headers["x-first-death-queue"], queue)


# --- 2.7 cycles

def test_automatic_cycle_is_cut(broker):
    """A ttl queue that dead-letters to itself drops the message after the first expiry."""
    s = Stage(broker)
    queue = broker.name("self")
    s.ch.declare(queue, {"x-dead-letter-exchange": "", "x-message-ttl": 10})
    s.ch.publish("", queue, b"x")
    wait_until(lambda: s.ch.count(queue)[0] == 0, 8, "message gone")
    s.ch.expect_count(queue, 0)


def test_cycle_cuts_one_target_only(broker):
    s = Stage(broker)
    dlx = s.exchange("dlx")
    source, other = s.queue("source", dlx, message_ttl=10), s.queue("other")
    s.ch.bind(source, dlx), s.ch.bind(other, dlx)
    s.ch.publish("", source, b"x")
    eq(s.next(other).body, b"x")
    s.ch.expect_count(source, 0)
    s.ch.expect_count(other, 0)


def test_rejects_never_stop(broker):
    s = Stage(broker)
    queue = broker.name("self")
    s.ch.declare(queue, {"x-dead-letter-exchange": ""})
    s.ch.publish("", queue, b"x")
    for n in range(20):
        got = s.next_unacked(queue)
        if n:
            eq(deaths(got)[0]["count"], n)
        s.ch.reject(got.delivery_tag, requeue=False)


def test_long_automatic_cycle_is_cut(broker):
    s = Stage(broker)
    names = [broker.name(n) for n in "abc"]
    for name, following in zip(names, names[1:] + names[:1]):
        s.ch.declare(name, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": following,
                            "x-message-ttl": 10})
    s.ch.publish("", names[0], b"x")
    wait_until(lambda: sum(s.ch.count(n)[0] for n in names) == 0, 8, "message gone")


def test_maxlen_cycle_is_cut(broker):
    s = Stage(broker)
    queue = broker.name("self")
    s.ch.declare(queue, {"x-dead-letter-exchange": "", "x-max-length": 1})
    s.ch.publish("", queue, b"1"), s.ch.publish("", queue, b"2")
    s.ch.sync()
    s.ch.expect_count(queue, 1)
    eq(s.ch.get(queue).body, b"2")


# --- 2.8, 2.9

def test_strategy_is_refused_on_classic(broker):
    broker.channel().fails("queue.declare", 406, queue=broker.name(),
                           arguments={"x-dead-letter-strategy": "at-most-once"})


def test_reject_publish_dlx_dead_letters_the_new_message(broker):
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead, max_length=1, overflow="reject-publish-dlx")
    s.ch.confirm()
    eq(s.ch.publish_confirmed("", queue, b"old").name, "basic.ack")
    eq(s.ch.publish_confirmed("", queue, b"new").name, "basic.nack")
    got = s.next(dead)
    eq((got.body, deaths(got)[0]["reason"]), (b"new", "maxlen"))
    eq(s.ch.get(queue).body, b"old")


def test_order_of_headers_is_kept_when_deaths_are_added(broker):
    """coney keeps the publisher's order and appends; 3.10 sorts. Decoded maps are equal either way."""
    s = Stage(broker)
    dead = s.queue("dead")
    queue = s.queue("q", "", dead)
    s.ch.publish("", queue, b"x", {"headers": Pairs([("z", 1), ("a", 2), ("m", 3)])})
    s.reject(queue)
    names = [n for n, _ in s.next(dead).props["headers"] if not n.startswith("x-")]
    eq(names if broker.is_coney else sorted(names), ["z", "a", "m"] if broker.is_coney else ["a", "m", "z"])
