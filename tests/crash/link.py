# SPDX-License-Identifier: Apache-2.0
"""Many AMQP connections in one thread, for tests that end the broker at any instant.

What comes in is told to callbacks while it is parsed, not when somebody asks for it: so whatever the broker had
written before it died counts, though it is read after its death (Link.finish). What goes out is decided by actors:
generators that send, and yield to wait for more input (`yield`) or for some seconds (`yield 0.05`).

Values, methods and properties are amqp_raw's; the few methods that come by the thousand are cut by hand here.
"""

import collections
import functools
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "blackbox"))

import amqp_raw  # noqa: E402

REPLY_TIMEOUT = 30.0
FRAME_MAX = 131072
READ_AT_ONCE = 1 << 20


class Unexpected(Exception):
    """The broker closed something, or stayed silent, where neither may be."""


class Ended(Exception):
    """The broker ended a connection without a word: it has probably died."""


class Delivery:
    __slots__ = ("consumer", "tag", "redelivered", "exchange", "key", "size", "flags", "raw", "body", "asked")

    @property
    def props(self):
        return amqp_raw.decode_properties(self.flags, self.raw)


@functools.lru_cache(None)
def publish_method(number, exchange, key):
    return amqp_raw.method_frame(number, "basic.publish", exchange=exchange, routing_key=key)


def shortstr_at(data, at):
    end = at + 1 + data[at]
    return data[at + 1:end].decode(), end


def parse_delivery(payload, is_get):
    d = Delivery()
    d.consumer, d.asked, d.body, at = None, None, bytearray(), 4
    if not is_get:
        d.consumer, at = shortstr_at(payload, at)
    d.tag, d.redelivered = struct.unpack_from(">QB", payload, at)
    d.redelivered = bool(d.redelivered)
    d.exchange, at = shortstr_at(payload, at + 9)
    d.key, at = shortstr_at(payload, at)
    d.flags = None
    return d


class Chan:
    """A channel. Callbacks: on_delivery(chan, delivery) for consumers, on_confirm(chan, tag, multiple, ok)."""

    def __init__(self, link, number):
        self.link, self.number = link, number
        self.pending = collections.deque()
        self.content = None
        self.is_get = False
        self.closed = None
        self.on_delivery = self.on_confirm = None

    def send(self, name, **fields):
        self.link.write(amqp_raw.method_frame(self.number, name, **fields))

    def request(self, name, told, refusals=(), **fields):
        """Send a synchronous method; TOLD(reply) when it is answered. A reply to basic.get is a Delivery or
        None. A channel.close whose code is among REFUSALS is an answer too."""
        replies = amqp_raw.METHODS[name].reply or [name + "-ok"]
        self.pending.append((replies, told, refusals, time.monotonic()))
        self.send(name, **fields)

    def call(self, name, refusals=(), **fields):
        """As request(), waiting: `reply = yield from chan.call(...)`."""
        answer = []
        self.request(name, answer.append, refusals, **fields)
        while not answer:
            yield
        return answer[0]

    def publish(self, exchange, key, body, flags, raw):
        out = self.link.out
        out += publish_method(self.number, exchange, key)
        out += struct.pack(">BHIHHQH", amqp_raw.HEADER, self.number, 14 + len(raw), 60, 0, len(body), flags)
        out += raw + b"\xce"
        for at in range(0, len(body), FRAME_MAX - 8):
            part = body[at:at + FRAME_MAX - 8]
            out += struct.pack(">BHI", amqp_raw.BODY, self.number, len(part)) + part + b"\xce"

    # receiving

    def frame(self, kind, payload):
        if kind == amqp_raw.METHOD:
            self.method(payload)
        elif self.content is None:
            raise Unexpected("content frame outside of content on channel %d" % self.number)
        else:
            self.feed(kind, payload)

    def feed(self, kind, payload):
        d = self.content
        if kind == amqp_raw.HEADER:
            d.size, d.flags = struct.unpack_from(">QH", payload, 4)
            d.raw = bytes(payload[14:])
        else:
            d.body += payload
        if len(d.body) < d.size:
            return
        self.content = None
        if self.is_get:
            self.answer(("basic.get-ok",), d)
        else:
            self.on_delivery(self, d)

    def method(self, payload):
        which = payload[:4]
        if which == b"\x00\x3c\x00\x3c":
            self.content, self.is_get = parse_delivery(payload, False), False
        elif which == b"\x00\x3c\x00\x47":
            self.content, self.is_get = parse_delivery(payload, True), True
        elif which == b"\x00\x3c\x00\x48":
            self.answer(("basic.get-empty",), None)
        elif which in (b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x78"):
            tag, bits = struct.unpack_from(">QB", payload, 4)
            self.on_confirm(self, tag, bool(bits & 1), payload[3] == 0x50)
        else:
            self.other(amqp_raw.decode_method(self.number, bytes(payload)))

    def other(self, method):
        if method.name != "channel.close":
            self.answer((method.name,), method)
            return
        self.closed = method
        self.send("channel.close-ok")
        del self.link.channels[self.number]
        if self.pending and method.reply_code in self.pending[0][2]:
            self.pending.popleft()[1](method)
        else:
            raise Unexpected("channel closed: %s" % method.reply_text)

    def answer(self, names, value):
        if not self.pending or names[0] not in self.pending[0][0]:
            raise Unexpected("%s came unasked" % names[0])
        _, told, _, asked = self.pending.popleft()
        if isinstance(value, Delivery):
            value.asked = asked
        told(value)


class Link:
    """A connection, by SOCK if there is one already. Broken ends are an error unless `ending` is set."""

    LATER = (BlockingIOError,)      # what a socket raises that would block

    def __init__(self, port, sock=None):
        self.sock = sock or socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.out = bytearray(amqp_raw.PROTOCOL_HEADER)
        self.inp = bytearray()
        self.channels = {0: Chan(self, 0)}
        self.channels[0].other = self.control
        self.ending = self.eof = self.blocked = False
        self.greeting = None
        self.last_number = 0

    def write(self, data):
        self.out += data

    def flush(self):
        while self.out and not self.eof:
            try:
                sent = self.sock.send(self.out)
            except self.LATER:
                return
            except OSError:
                self.out.clear()        # the next read tells
                return
            del self.out[:sent]

    def receive(self):
        """Take in what has come. False at the end of the stream."""
        try:
            data = self.sock.recv(READ_AT_ONCE)
        except self.LATER:
            return True
        except OSError:
            data = b""
        if not data:
            self.eof = True
            return False
        self.inp += data
        self.parse()
        return True

    def parse(self):
        at, data = 0, bytes(self.inp)
        while len(data) - at >= 8:
            kind, number, size = struct.unpack_from(">BHI", data, at)
            if len(data) - at < size + 8:
                break
            payload = data[at + 7:at + 7 + size]
            if data[at + 7 + size] != amqp_raw.FRAME_END:
                raise Unexpected("frame without frame end")
            at += size + 8
            if kind == amqp_raw.HEARTBEAT:
                continue
            if number not in self.channels:
                raise Unexpected("frame for channel %d, which is not open" % number)
            self.channels[number].frame(kind, payload)
        del self.inp[:at]

    def control(self, method):
        """What comes on channel 0."""
        zero = self.channels[0]
        if method.name in ("connection.start", "connection.tune"):
            self.greeting = method
        elif method.name == "connection.blocked":
            self.blocked = True
        elif method.name == "connection.unblocked":
            self.blocked = False
        elif method.name == "connection.close":
            if not self.ending:
                raise Unexpected("connection closed: %s" % method.reply_text)
            zero.send("connection.close-ok")
        else:
            zero.answer((method.name,), method)

    def greeted(self, name):
        while self.greeting is None or self.greeting.name != name:
            yield
        return self.greeting

    def open(self, heartbeat=0):
        """HEARTBEAT in seconds: who asks for them has to send them."""
        zero = self.channels[0]
        yield from self.greeted("connection.start")
        zero.send("connection.start-ok", client_properties={"capabilities": amqp_raw.CAPABILITIES},
                  mechanism="PLAIN", response=amqp_raw.plain_response("guest", "guest"), locale="en_US")
        tune = yield from self.greeted("connection.tune")
        zero.send("connection.tune-ok", channel_max=tune.channel_max, frame_max=FRAME_MAX, heartbeat=heartbeat)
        yield from zero.call("connection.open", virtual_host="/")

    def channel(self, kind=Chan):
        self.last_number += 1
        chan = kind(self, self.last_number)
        self.channels[chan.number] = chan
        yield from chan.call("channel.open")
        return chan

    def close_channel(self, chan):
        yield from chan.call("channel.close", reply_code=200, reply_text="bye")
        del self.channels[chan.number]

    def finish(self):
        """The broker is dead or dying: read all that it had said, to the end."""
        self.ending = True
        self.sock.settimeout(REPLY_TIMEOUT)
        while not self.eof:
            self.receive()
            self.flush()
        self.sock.close()

    def abort(self):
        """Cut the connection with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.eof = True
        self.sock.close()


class Actor:
    """A generator and the time at which it goes on without input."""

    def __init__(self, name, generator):
        self.name, self.generator = name, generator
        self.wake = 0.0
        self.done = False
        self.waited = time.monotonic()

    def step(self, now):
        try:
            pause = next(self.generator)
            self.wake = float("inf") if pause is None else now + pause
        except StopIteration:
            self.done, self.wake = True, float("inf")


class Loop:
    """Runs actors until a time, or until all have ended."""

    def __init__(self):
        self.poll = select.poll()
        self.links = {}     # file descriptor -> (link, actor)
        self.actors = []

    def add(self, name, make):
        """MAKE(me) is the actor's generator; `me` is what connect() wants."""
        actor = Actor(name, None)
        actor.generator = make(actor)
        self.actors.append(actor)
        return actor

    dial = staticmethod(Link)       # a loop with connections of another kind says so here

    def connect(self, actor, port):
        try:
            link = self.dial(port)
        except OSError as problem:
            raise Ended("%s cannot connect: %s" % (actor.name, problem)) from None
        return self.adopt(actor, link)

    def adopt(self, actor, link):
        self.links[link.sock.fileno()] = (link, actor)
        self.poll.register(link.sock, select.POLLIN)
        link.fd = link.sock.fileno()
        return link

    def forget(self, link):
        self.poll.unregister(link.fd)
        del self.links[link.fd]

    def finish(self):
        """See Link.finish."""
        for link in self.all_links():
            link.finish()

    def all_links(self):
        return [link for link, _ in self.links.values()]

    def flush(self):
        for fd, (link, _) in self.links.items():
            if link.out:
                link.flush()
                self.poll.modify(fd, select.POLLIN | (select.POLLOUT if link.out else 0))

    def run(self, until=None):
        """Until the time UNTIL, or (None) until every actor has ended, which must not take long in silence."""
        heard = time.monotonic()
        while True:
            now = time.monotonic()
            for actor in self.actors:
                if actor.wake <= now and not actor.done:
                    actor.step(now)
            self.flush()
            self.actors = [actor for actor in self.actors if not actor.done]
            if until is None and not self.actors:
                return
            if until is not None and now >= until:
                return
            wake = min([a.wake for a in self.actors] + [heard + REPLY_TIMEOUT if until is None else until])
            if self.wait(max(0.0, wake - now)):
                heard = time.monotonic()
            elif until is None and time.monotonic() - heard > REPLY_TIMEOUT:
                raise Unexpected("no answer in %d s for %s" % (REPLY_TIMEOUT, ", ".join(a.name for a in self.actors)))

    def wait(self, seconds):
        events = self.poll.poll(seconds * 1000 + 0.5)
        for fd, event in events:
            if fd not in self.links:
                continue
            link, actor = self.links[fd]
            if event & ~select.POLLOUT and not link.receive():
                self.forget(link)
                if not link.ending:
                    raise Ended("a connection of %s ended without a word" % actor.name)
            if event & select.POLLOUT:
                link.flush()
                if fd in self.links:
                    self.poll.modify(fd, select.POLLIN | (select.POLLOUT if link.out else 0))
            actor.wake = 0.0
        return bool(events)


def drive(name, port, work):
    """Run WORK(link), a generator, on a connection of its own to its end, and close the connection."""
    loop, result = Loop(), []

    def actor(me):
        link = loop.connect(me, port)
        yield from link.open()
        result.append((yield from work(link)))
        link.ending = True
        yield from link.channels[0].call("connection.close", reply_code=200, reply_text="bye")
        loop.forget(link)
        link.sock.close()

    loop.add(name, actor)
    try:
        loop.run()
    except Ended:
        loop.finish()
        raise
    return result[0]
