# SPDX-License-Identifier: Apache-2.0
"""A data directory with something of everything in it, and what a broker that has it must serve.

Bodies carry a checksum, so a wrong one is told from a missing one without knowing what was published.
"""

import contextlib
import hashlib
import os
import random
import sqlite3
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "blackbox"))

import amqp_raw  # noqa: E402

# The smallest journal; its files are 2 MiB, and four of them in use bring a checkpoint.
SETTINGS = ["journal_window=16MiB", "memory_window=1MiB", "disk_free_limit.absolute=100kB"]
CHURN_BODY = bytes(100 * 1024)
CHURN_MAX = 2000
CATALOG = "catalog.db"
HOUR_MS = 3600 * 1000
EXCHANGES = {"c.topic": "topic", "c.headers": "headers"}
QUEUES = {
    "c.plain": None,            # half of it in runs, with holes; the rest in the journal
    "c.priority": {"x-max-priority": 3},
    "c.deadlines": None,        # runs with a list by deadline
    "c.large": None,            # bodies that are records of their own reading
    "c.quorum": {"x-queue-type": "quorum"},
    "c.young": None,            # in the journal alone
    "c.empty": {"x-message-ttl": HOUR_MS},
}


def body_of(name, size):
    """A body called NAME, of about SIZE octets."""
    seed = hashlib.sha256(name.encode()).digest()
    data = (seed * (size // len(seed) + 1))[:size]
    return b"%s %08x %s" % (name.encode(), zlib.crc32(name.encode() + data), data)


def name_of(body):
    """The name of a body, or None when it is not as body_of() made it."""
    parts = bytes(body).split(b" ", 2)
    if len(parts) != 3 or b"%08x" % zlib.crc32(parts[0] + parts[2]) != parts[1]:
        return None
    return parts[0].decode()


class Content:
    """What is to be found: `queues` is, for each queue, the names of its messages in order."""

    def __init__(self, scale=1.0, seed=1):
        self.rng = random.Random(seed)
        self.scale = scale
        self.queues = {name: [] for name in QUEUES}
        self.serial = 0

    def publish(self, channel, queue, count, sizes, exchange="", key=None, props=None):
        for _ in range(max(1, int(count * self.scale))):
            self.serial += 1
            name = "%s-%d" % (queue, self.serial)
            given = dict(props(self.rng) if props else {}, delivery_mode=2)
            channel.publish(exchange, key or queue, body_of(name, self.rng.randrange(*sizes)), given)
            self.queues[queue].append((name, given.get("priority", 0)))

    def fan_out(self, channel, queues, count):
        """Messages that are in each of QUEUES: told shortly in the journal."""
        for _ in range(max(1, int(count * self.scale))):
            self.serial += 1
            name = "%s-%d" % (queues[0], self.serial)
            channel.publish("", queues[0], body_of(name, self.rng.randrange(100)),
                            {"headers": {"CC": list(queues[1:])}, "delivery_mode": 2})
            for queue in queues:
                self.queues[queue].append((name, 0))

    def settle_some(self, channel, queue, share):
        """Take all of QUEUE, acknowledge SHARE of it, and give the rest back."""
        there, kept, tags = self.queues[queue], [], []
        for name, priority in sorted(there, key=lambda entry: -entry[1]):
            got = channel.get(queue, no_ack=False)
            assert name_of(got.body) == name, "%s instead of %s" % (name_of(got.body), name)
            if self.rng.random() < share:
                channel.ack(got.delivery_tag)
            else:
                tags.append(got.delivery_tag)
                kept.append((name, priority))
        for tag in tags:
            channel.nack(tag)
        self.queues[queue] = kept

    def expected(self, queue):
        return [name for name, _ in sorted(self.queues[queue], key=lambda entry: -entry[1])]

    def build(self, node):
        """Fill NODE, which runs; all is confirmed or proved by close-ok when this returns."""
        connection = amqp_raw.Connection("127.0.0.1", node.port)
        channel = connection.channel()
        self.declare(channel)
        self.publish_old(channel)
        wait_confirms(channel, self.serial)
        churn(connection.channel(), node.data)
        settling = connection.channel()
        self.settle_some(settling, "c.plain", 0.3)
        self.settle_some(settling, "c.quorum", 0.5)
        settling.close()            # so that nothing of it is in the journal's last batch
        self.publish_young(channel)
        wait_confirms(channel, self.serial)
        channel.close()
        connection.close()

    @staticmethod
    def declare(channel):
        for name, kind in EXCHANGES.items():
            channel.exchange(name, kind, durable=True)
        for name, arguments in QUEUES.items():
            channel.declare(name, arguments, durable=True)
        channel.bind("c.plain", "c.topic", "plain.#")
        channel.bind("c.young", "c.headers", args={"x-match": "any", "colour": "blue"})
        channel.bind_exchange("c.headers", "c.topic", "blue.*")
        channel.confirm()

    def publish_old(self, channel):
        self.publish(channel, "c.plain", 300, (0, 300))
        self.publish(channel, "c.priority", 120, (0, 100), props=lambda rng: {"priority": rng.randrange(4)})
        self.publish(channel, "c.deadlines", 120, (0, 100),
                     props=lambda rng: {"expiration": str(rng.randrange(24 * HOUR_MS, 48 * HOUR_MS))})
        self.publish(channel, "c.large", 3, (300 * 1024, 310 * 1024))
        self.publish(channel, "c.quorum", 60, (0, 1000))

    def publish_young(self, channel):
        self.publish(channel, "c.plain", 100, (0, 300), exchange="c.topic", key="plain.a.b")
        self.publish(channel, "c.young", 60, (0, 2000), exchange="c.headers", key="any",
                     props=lambda rng: {"headers": {"colour": "blue"}})
        self.publish(channel, "c.large", 1, (300 * 1024, 310 * 1024))
        self.fan_out(channel, ("c.plain", "c.priority", "c.quorum", "c.young"), 20)


def wait_confirms(channel, count):
    """All of the first COUNT publishes on CHANNEL are confirmed."""
    done, below = set(), 0
    while below + len(done) < count:
        ack = channel.take("basic.ack")
        if ack.multiple:
            below = max(below, ack.delivery_tag)
            done = {tag for tag in done if tag > below}
        else:
            done.add(ack.delivery_tag)


def has_runs(data):
    """Whether a checkpoint has committed runs; the catalog is looked at as it is, whoever writes it."""
    try:
        with contextlib.closing(sqlite3.connect("file:%s?immutable=1" % os.path.join(data, CATALOG), uri=True)) as db:
            return db.execute("SELECT count(*) FROM runs").fetchone()[0] > 0
    except sqlite3.DatabaseError:
        return False


def churn(channel, data):
    """Publish and take messages until there was a checkpoint."""
    channel.declare("c.churn", durable=True)
    for _ in range(CHURN_MAX):
        channel.publish("", "c.churn", CHURN_BODY, {"delivery_mode": 2})
        channel.get("c.churn")
        if has_runs(data):
            break
    else:
        raise AssertionError("no checkpoint after %d octets" % (CHURN_MAX * len(CHURN_BODY)))
    channel.call("queue.delete", queue="c.churn")
    channel.close()
