# SPDX-License-Identifier: Apache-2.0
"""What an operator does while tests/torture/endurance loads the broker: listings, metrics, policies that come and go,
logs moved away and opened again, certificates replaced. A thread of its own; what it finds wrong is kept for
whoever asks (`failure`), unless the broker's end had been announced.
"""

import http.client
import os
import random
import re
import shutil
import signal
import socket
import ssl
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "blackbox"), os.path.join(HERE, "..", "api")]

from api_harness import Client, path  # noqa: E402
from certificates import Authority  # noqa: E402

TLS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)

PAUSE_S = 0.1
WAIT_S = 30.0
PAGE = 7
OLD_LOGS = 2
LISTS = ("queues", "connections", "channels", "consumers", "exchanges", "bindings", "policies", "nodes", "overview",
         "vhosts", "coney/status")
PAGED = ("queues", "connections", "channels", "exchanges")

# Those of `act` change what becomes of messages, and their queue knows it; the others must change nothing.
HOUR_MS = 3600 * 1000
POLICIES = {
    "neutral": ("^(d1|d2|prio|f1|tx1)$", [
        {"max-length": 1000000}, {"message-ttl": HOUR_MS}, {"expires": HOUR_MS}, {"durability": "relaxed"},
        {"max-length-bytes": 1 << 30, "message-ttl": HOUR_MS}]),
    "act": ("^policied$", [{"max-length": 10}, {"message-ttl": 300}, {"max-length": 20, "message-ttl": 300}]),
    "exchanges": ("^(direct|fan)$", [{"alternate-exchange": "amq.fanout"}]),
}
POLICY_TTL_MS = 300


class Files:
    """The certificates and the log of a broker, and the settings that name them."""

    def __init__(self, folder):
        self.folder = folder
        authority = Authority(folder)
        self.made = [authority.certificate("server"), authority.certificate("another")]
        self.cert, self.key = self.path("server.pem"), self.path("server.key")
        self.log, self.moved = self.path("out.log"), 0
        self.current = None
        self.contexts = [self.context(authority.cert, version) for version in TLS]
        self.install(0)

    @staticmethod
    def context(cacert, version):
        context = ssl.create_default_context(cafile=cacert)
        context.minimum_version = context.maximum_version = version
        return context

    def path(self, name):
        return os.path.join(self.folder, name)

    def settings(self):
        return ["listeners.ssl.1=127.0.0.1:0", "management.tcp.port=0", "prometheus.tcp.port=0",
                "ssl_options.certfile=" + self.cert, "ssl_options.keyfile=" + self.key, "log.file=" + self.log]

    def install(self, which):
        """As careful programs do it: new files take the place of the old ones."""
        for source, place in zip(self.made[which], (self.cert, self.key)):
            shutil.copy(source, place + ".new")
            os.replace(place + ".new", place)
        self.current = which

    def wanted(self):
        with open(self.made[self.current].cert, encoding="ascii") as pem:
            return ssl.PEM_cert_to_DER_cert(pem.read())

    def shown(self, port):
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain:
            with self.contexts[0].wrap_socket(plain, server_hostname="localhost") as sock:
                return sock.getpeercert(True)


class Policies:
    """What policies there are, as answered; one that was asked for when the broker died may be there or not."""

    def __init__(self):
        self.there, self.pending = {}, None

    def ask(self, name, definition, perform):
        self.pending = (name, definition)
        perform()
        self.settle(True)

    def settle(self, happened):
        name, definition = self.pending
        self.pending = None
        if happened and definition is None:
            self.there.pop(name, None)
        elif happened:
            self.there[name] = definition

    def compare(self, rows):
        found = {row["name"]: row["definition"] for row in rows}
        if self.pending:
            self.settle(found.get(self.pending[0]) == self.pending[1])
        if found != self.there:
            raise AssertionError("policies are %r, expected %r" % (found, self.there))


class Operator(threading.Thread):
    def __init__(self, node, files, policies, queues, seed):
        super().__init__(name="operator", daemon=True)
        self.node, self.files, self.policies, self.queues = node, files, policies, queues
        self.rng = random.Random(seed)
        self.client = Client("http://guest:guest@127.0.0.1:%d" % node.port_of("http"))
        self.over, self.is_ending = threading.Event(), False
        self.failure = None
        self.done = {}

    def run(self):
        acts = [self.list_whole, self.list_pages, self.look_closer, self.scrape, self.change_policy, self.move_log,
                self.change_certificate]
        try:
            while not self.over.wait(PAUSE_S):
                act = self.rng.choice(acts)
                act()
                self.done[act.__name__] = self.done.get(act.__name__, 0) + 1
        except Exception:
            if not self.is_ending:
                self.failure = traceback.format_exc()

    def broker_ends(self):
        """It is about to be killed: from now on nothing that goes wrong means anything."""
        self.is_ending = True
        self.over.set()

    def stop(self):
        self.over.set()
        self.join()

    def wait(self, condition, what):
        deadline = time.monotonic() + WAIT_S
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError("waited %d s for %s" % (WAIT_S, what))
            if self.is_ending:
                return
            time.sleep(0.02)

    # acts

    def list_whole(self):
        where = self.rng.choice(LISTS)
        rows = self.client.get(where)
        if where == "queues":
            names = [row["name"] for row in rows]
            missing = [name for name in self.queues if names.count(name) != 1]
            if missing:
                raise AssertionError("queues that are not listed once: %s" % missing)

    def list_pages(self):
        where, number, pages = self.rng.choice(PAGED), 1, 1
        more = self.rng.choice(("", "&sort=name&sort_reverse=true", "&columns=name", "&name=e&use_regex=true"))
        while number <= pages:
            answer = self.client.ask("GET", "%s?page=%d&page_size=%d%s" % (where, number, PAGE, more))
            if answer.status == 400 and number > 1:     # the list has become shorter meanwhile
                return
            if answer.status != 200:
                raise AssertionError("%s page %d: %r" % (where, number, answer))
            rows, pages = answer.json, answer.json["page_count"]
            # What goes while the page is written is counted, but not there.
            if len(rows["items"]) > rows["item_count"] or rows["item_count"] > PAGE or rows["page"] != number:
                raise AssertionError("a page is not as it says: %r" % answer)
            number += 1

    def scrape(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port_of("metrics"), timeout=WAIT_S)
        try:
            connection.request("GET", self.rng.choice(("/metrics", "/metrics/per-object")))
            reply = connection.getresponse()
            text = reply.read().decode()
        finally:
            connection.close()
        if reply.status != 200 or not re.search(r"^rabbitmq_\w+ ?\S* \d", text, re.M):
            raise AssertionError("metrics: %d %s" % (reply.status, text[:400]))

    def look_closer(self):
        name = self.rng.choice(self.queues)
        row = self.client.get(path("queues", "/", name))
        if row["messages"] != row["messages_ready"] + row["messages_unacknowledged"]:
            raise AssertionError("counts of %s: %r" % (name, row))
        self.client.get(path("queues", "/", name) + self.rng.choice(("/peek?count=5", "/unacked", "/bindings")))

    def change_policy(self):
        name = self.rng.choice(sorted(POLICIES))
        pattern, definitions = POLICIES[name]
        if name in self.policies.there and self.rng.random() < 0.5:
            self.remove_policy(name)
            return
        definition = self.rng.choice(definitions)
        kind = "exchanges" if name == "exchanges" else "queues"
        self.policies.ask(name, definition, lambda: self.client.put(
            path("policies", "/", name), {"pattern": pattern, "definition": definition, "apply-to": kind}))

    def remove_policy(self, name):
        self.policies.ask(name, None, lambda: self.client.delete(path("policies", "/", name)))

    def clear_policies(self):
        self.policies.compare(self.client.get("policies"))
        for name in list(self.policies.there):
            self.remove_policy(name)

    def move_log(self):
        files = self.files
        files.moved += 1
        os.replace(files.log, "%s.%d" % (files.log, files.moved % OLD_LOGS))
        self.node.process.send_signal(signal.SIGUSR1)

        def is_open():
            return os.path.exists(files.log) and os.path.getsize(files.log) > 0
        self.wait(is_open, "the log to be opened again")

    def change_certificate(self):
        files = self.files
        files.install(1 - files.current)
        self.node.process.send_signal(signal.SIGHUP)
        port = self.node.port_of("amqps")
        self.wait(lambda: files.shown(port) == files.wanted(), "the new certificate")
