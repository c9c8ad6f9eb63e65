# SPDX-License-Identifier: Apache-2.0
"""What tests of the HTTP API are given: blackbox's Broker with a client of the API.

    broker.get("queues/%2F")                the JSON of a 200
    broker.put(path, {...}), post, delete   an Answer, whose status is one of success or as `status=` says
    broker.refused("PUT", path, {...}, 400, reason="...")
    broker.ask("GET", path, ...)            an Answer, whatever it says
    path("queues", vhost, name)             quoted

Each takes user=NAME (its password is the same unless password= says otherwise). A file of tests shares one broker,
so names come from broker.name(); broker.new_user() and broker.new_vhost() make what is removed behind the test.
Node restarts the broker: `with Node() as node: ...; node.restart()`.
"""

import base64
import http.client
import json
import os
import re
import socket
import urllib.parse

import daemon
import harness
from harness import Skip, definitions, differs, eq, matches, ok, settings, wait_until  # noqa: F401

TIMEOUT = 60.0
PORTS = {"management.tcp.port": 0, "prometheus.tcp.port": 0}


def path(*segments):
    return "/".join(urllib.parse.quote(segment, safe="") for segment in segments)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError("no JSON: %r" % self.body) from None

    @property
    def reason(self):
        """RabbitMQ's is an array now and then; coney's is a string always."""
        reason = self.json["reason"]
        return reason if isinstance(reason, str) else " ".join(map(str, reason))

    def __repr__(self):
        return "%d %s %r" % (self.status, self.headers, self.body[:400])


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a UNIX socket."""

    def __init__(self, where):
        super().__init__("localhost", timeout=TIMEOUT)
        self.where = where

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.where)


class Client:
    """Asks one broker; URL is http://user:password@host:port, or unix:PATH."""

    def __init__(self, url):
        parts = urllib.parse.urlparse(url)
        self.unix = parts.path if parts.scheme == "unix" else None
        self.http_host, self.http_port = parts.hostname, parts.port
        self.user = None if self.unix else parts.username or "guest"
        self.password = parts.password or "guest"

    def headers(self, user, password):
        name = user or self.user
        if not name:
            return {}
        word = password if password is not None else user or self.password
        return {"authorization": "Basic " + base64.b64encode(("%s:%s" % (name, word)).encode()).decode()}

    def ask(self, verb, where, body=None, user=None, password=None, headers=None, anonymous=False):
        """BODY: bytes as they are, anything else as JSON. WHERE is below /api."""
        connection = UnixConnection(self.unix) if self.unix else http.client.HTTPConnection(
            self.http_host, self.http_port, timeout=TIMEOUT)
        sent = {} if anonymous else self.headers(user, password)
        sent.update(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent.setdefault("content-type", "application/json")  # RabbitMQ wants it for limits and definitions
        try:
            connection.request(verb, "/api/" + where, body, sent)
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def expect(self, status, verb, where, body=None, **how):
        answer = self.ask(verb, where, body, **how)
        wanted = status if isinstance(status, tuple) else (status,)
        ok(answer.status in wanted, "%s %s: expected %s, got %r" % (verb, where, status, answer))
        return answer

    def get(self, where, status=200, **how):
        return self.expect(status, "GET", where, **how).json

    def put(self, where, body=None, status=(201, 204), **how):
        return self.expect(status, "PUT", where, {} if body is None else body, **how)

    def post(self, where, body=None, status=(200, 201, 204), **how):
        return self.expect(status, "POST", where, {} if body is None else body, **how)

    def delete(self, where, status=204, **how):
        return self.expect(status, "DELETE", where, **how)

    def refused(self, verb, where, body=None, status=400, error=None, reason=None, **how):
        """The answer, which says so; REASON is a pattern."""
        answer = self.expect(status, verb, where, body, **how)
        if error is not None:
            eq(answer.json["error"], error, "%s %s" % (verb, where))
        if reason is not None:
            matches(answer.reason, reason)
        return answer


class Coneyd(harness.Coneyd):
    def __init__(self, values=None, defs=None):
        super().__init__(dict(PORTS, **(values or {})), defs)
        self.url = "http://%s:%d" % self.address(self.said, "http")

    @property
    def control(self):
        return re.search(r"^listening control (.+)$", self.said, re.M).group(1)


class Foreign(harness.Foreign):
    url = os.environ.get("API_URL")

    def load(self, make):
        with self.lock:
            if make not in self.loaded:
                Client(os.environ["API_URL"]).post("definitions", harness.with_guest(make()),
                                                   headers={"content-type": "application/json"})
                self.loaded.add(make)


class Pool(harness.Pool):
    start = staticmethod(Coneyd)

    def __init__(self):
        super().__init__()
        if self.foreign:
            self.foreign = Foreign(os.environ["AMQP_URL"])

    @staticmethod
    def view(server, test_name, own):
        return Broker(server, test_name, own)


def counts_memory(broker):
    """A sanitizer's memory is its own: malloc tells nothing of it, and what is in use is about nothing."""
    if broker.is_coney and broker.server.sanitized():
        raise Skip("a sanitizer has the memory")


class Broker(harness.Broker, Client):
    def __init__(self, server, test_name, own):
        harness.Broker.__init__(self, server, test_name, own)
        Client.__init__(self, os.environ["API_URL"] if not self.is_coney else server.url)
        self.made = []

    def later(self, *segments):
        """Have that deleted on a broker that outlives the test."""
        self.made.append(path(*segments))

    def new_user(self, tags=(), vhosts=(), **more):
        """A user whose password is the name, with all rights in VHOSTS."""
        name = self.name("u")
        self.later("users", name)
        self.put(path("users", name), dict({"password": name, "tags": ",".join(tags)}, **more))
        for vhost in vhosts:
            self.permit(name, vhost)
        return name

    def permit(self, user, vhost, configure=".*", write=".*", read=".*"):
        self.put(path("permissions", vhost, user), {"configure": configure, "write": write, "read": read})

    def new_vhost(self, **more):
        """A vhost in which guest has all rights."""
        name = self.name("v")
        self.later("vhosts", name)
        self.put(path("vhosts", name), more)
        return name

    def sweep(self):
        """Foreign brokers keep what tests do not delete."""
        for name in self.names:
            self.made += [path("queues", "/", name), path("exchanges", "/", name)]
        for where in reversed(self.made):
            self.ask("DELETE", where)


class Node(daemon.Daemon, Client):
    """A coneyd with a data directory and an API, which can be restarted."""

    def __init__(self, *arguments, **how):
        ports = [word for key, value in PORTS.items() for word in ("--set", "%s=%s" % (key, value))]
        if os.environ.get("API_URL"):
            raise Skip("restarts the broker")
        daemon.Daemon.__init__(self, *ports, *arguments, data=True, **how)

    def start(self):
        daemon.Daemon.start(self)
        found = [line.split()[2] for line in self.listening if line.startswith("listening http ")]
        Client.__init__(self, "http://" + found[0] if found else "http://127.0.0.1:1")

    def restart(self, sign=None):
        eq(self.stop(sign) if sign else self.stop(), -sign if sign else 0, "exit status")
        self.start()


def amqp_url(url):
    """Where the broker whose API is at URL speaks AMQP."""
    client = Client(url)
    ports = [l["port"] for l in client.get("overview")["listeners"] if l["protocol"] == "amqp"]
    return "amqp://%s:%d" % (client.http_host, ports[0])
