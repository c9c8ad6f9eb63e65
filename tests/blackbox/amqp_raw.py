# SPDX-License-Identifier: Apache-2.0
"""A frame-level AMQP 0-9-1 test client.

It exists because a real client library hides what these tests are about: which frame comes when, with which
octets. Everything a library forbids can be sent from here (broken frames, wrong order, half a method), and
nothing is answered behind a test's back except where a docstring says so.

Layers, bottom up: values and tables, methods (names and fields from src/amqp/methods.tsv), properties, frames,
`Wire` (a socket that speaks frames), `Connection` and `Channel` (who remember what came for whom). One thread
uses one connection; reading happens only inside a call that waits for something, and every wait has a deadline.
"""

import collections
import os
import select
import socket
import struct
import time

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
DEFAULT_TIMEOUT = 15.0


class Timeout(AssertionError):
    """What was waited for did not come."""


class Dropped(AssertionError):
    """The peer ended the TCP connection without a close frame."""


class Closed(AssertionError):
    """The server closed the channel or connection: code, text, class and method as received."""

    def __init__(self, close, level):
        self.code, self.text = close.reply_code, close.reply_text
        self.cls, self.meth, self.level = close.class_id, close.method_id, level
        super().__init__("%s closed: %d %r class %d method %d" % (level, self.code, self.text, self.cls, self.meth))


class ChannelClosed(Closed):
    def __init__(self, close):
        super().__init__(close, "channel")


class ConnectionClosed(Closed):
    def __init__(self, close):
        super().__init__(close, "connection")


# --- values and tables ------------------------------------------------------------------------------------------

class V(collections.namedtuple("V", "type value")):
    """A field value whose type octet is chosen by the test: V('I', 5). With bytes as value for a type that
    is not a string the octets go out as they are."""


class Pairs(list):
    """A table as a list of (name, value): keeps order and duplicate names."""


NUMBERS = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "U": ">h", "I": ">i", "i": ">I", "l": ">q", "L": ">q",
           "f": ">f", "d": ">d", "T": ">Q"}


def _octets(value):
    return value.encode("utf-8") if isinstance(value, str) else bytes(value)


def shortstr(value):
    data = _octets(value)
    if len(data) > 255:
        raise ValueError("shortstr of %d octets" % len(data))
    return bytes([len(data)]) + data


def longstr(value):
    data = _octets(value)
    return struct.pack(">I", len(data)) + data


def typed(value):
    """The V that a Python value stands for when the test does not care about the type octet."""
    if isinstance(value, V):
        return value
    if value is None:
        return V("V", None)
    if isinstance(value, bool):
        return V("t", value)
    if isinstance(value, int):
        return V("I" if -2**31 <= value < 2**31 else "l", value)
    if isinstance(value, float):
        return V("d", value)
    if isinstance(value, str):
        return V("S", value)
    if isinstance(value, (bytes, bytearray)):
        return V("x", value)
    if isinstance(value, (dict, Pairs)):
        return V("F", value)
    if isinstance(value, (list, tuple)):
        return V("A", value)
    raise TypeError(type(value))


def encode_value(value):
    kind, value = typed(value)
    out = kind.encode("latin-1")
    if kind in "Sx":
        return out + longstr(value)
    if isinstance(value, (bytes, bytearray)):
        return out + value
    if kind == "t":
        return out + (b"\x01" if value else b"\x00")
    if kind in NUMBERS:
        return out + struct.pack(NUMBERS[kind], value)
    if kind == "D":
        return out + struct.pack(">BI", *value)
    if kind == "A":
        return out + longstr(b"".join(encode_value(v) for v in value))
    if kind == "F":
        return out + encode_table(value)
    if kind == "V":
        return out
    raise TypeError(kind)


def encode_table_contents(table):
    pairs = table.items() if isinstance(table, dict) else table
    return b"".join(shortstr(name) + encode_value(value) for name, value in pairs)


def encode_table(table):
    """A dict or Pairs as an AMQP table; bytes pass through as a whole encoded table."""
    if isinstance(table, (bytes, bytearray)):
        return bytes(table)
    return longstr(encode_table_contents(table or {}))


def _text(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return bytes(data)


class Reader:
    """Reads AMQP's data types from bytes; running off the end is an error of the server's, so it asserts."""

    def __init__(self, data):
        self.data, self.at = data, 0
        self.bits = None

    def take(self, n):
        if self.at + n > len(self.data):
            raise AssertionError("server sent a truncated field at octet %d of %r" % (self.at, self.data))
        self.at += n
        return self.data[self.at - n:self.at]

    def unpack(self, fmt):
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    def octet(self):
        return self.unpack(">B")

    def short(self):
        return self.unpack(">H")

    def long(self):
        return self.unpack(">I")

    def longlong(self):
        return self.unpack(">Q")

    timestamp = longlong

    def shortstr(self):
        return _text(self.take(self.octet()))

    def longstr(self):
        return _text(self.take(self.long()))

    def value(self):
        kind = self.take(1).decode("latin-1")
        if kind == "S":
            return V(kind, self.longstr())
        if kind == "x":
            return V(kind, bytes(self.take(self.long())))
        if kind == "t":
            return V(kind, self.octet())
        if kind in NUMBERS:
            return V(kind, self.unpack(NUMBERS[kind]))
        if kind == "D":
            return V(kind, (self.octet(), self.long()))
        if kind == "A":
            inner = Reader(self.take(self.long()))
            items = []
            while inner.at < len(inner.data):
                items.append(inner.value())
            return V(kind, items)
        if kind == "F":
            return V(kind, self.pairs())
        if kind == "V":
            return V(kind, None)
        raise AssertionError("server sent a value of unknown type %r" % kind)

    def pairs(self):
        inner = Reader(self.take(self.long()))
        pairs = Pairs()
        while inner.at < len(inner.data):
            name = inner.shortstr()
            pairs.append((name, inner.value()))
        return pairs

    def table(self):
        return self.pairs()


def plain(value):
    """A typed value or table as Python thinks of it: dicts, lists, numbers, strings."""
    if isinstance(value, V):
        return bool(value.value) if value.type == "t" else plain(value.value)
    if isinstance(value, Pairs):
        return {name: plain(v) for name, v in value}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


# --- methods ----------------------------------------------------------------------------------------------------

Field = collections.namedtuple("Field", "name kind")
Spec = collections.namedtuple("Spec", "name cls meth reply content fields")


def _load_methods():
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.environ.get("METHODS_TSV") or os.path.join(here, "..", "..", "src", "amqp", "methods.tsv")
    methods = {}
    with open(path, encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            cls, cls_id, meth, meth_id, _, reply, content, fields = line.rstrip("\n").split("\t")[:8]
            parsed = []
            if fields != "-":
                for field in fields.split():
                    name, kind = field.split(":")
                    parsed.append(Field(name.split("(")[0].replace("-", "_"), kind))
            replies = [] if reply == "-" else [cls + "." + r for r in reply.split(",")]
            name = cls + "." + meth
            methods[name] = Spec(name, int(cls_id), int(meth_id), replies, content == "yes", parsed)
    return methods


METHODS = _load_methods()
BY_ID = {(spec.cls, spec.meth): spec for spec in METHODS.values()}


class Method:
    """A decoded method; its fields are attributes. Content-bearing ones also get flags, props_raw, body."""

    def __init__(self, spec, channel, fields):
        self.spec, self.name, self.channel, self.fields = spec, spec.name, channel, fields
        self.flags = self.props_raw = self.body = None
        self.size = 0
        self.body_frames = []

    def __getattr__(self, name):
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __repr__(self):
        shown = {k: plain(v) for k, v in self.fields.items()}
        body = "" if self.body is None else " body=%r" % bytes(self.body[:40])
        return "%s%r%s" % (self.name, shown, body)

    @property
    def props(self):
        return decode_properties(self.flags, self.props_raw)

    @property
    def headers(self):
        """The headers table, plain; None if the property is absent."""
        table = self.props.get("headers")
        return None if table is None else plain(table)


def encode_fields(spec, fields):
    out = bytearray()
    bits, used = 0, 0
    unknown = set(fields) - {f.name for f in spec.fields}
    if unknown:
        raise TypeError("%s has no field %s" % (spec.name, ", ".join(sorted(unknown))))
    for field in spec.fields:
        value = fields.get(field.name)
        if field.kind == "bit":
            if used == 8:
                out.append(bits)
                bits, used = 0, 0
            bits |= (1 if value else 0) << used
            used += 1
            continue
        if used:
            out.append(bits)
            bits, used = 0, 0
        if field.kind == "table":
            out += encode_table(value)
        elif field.kind == "shortstr":
            out += shortstr(value or "")
        elif field.kind == "longstr":
            out += longstr(value or "")
        else:
            fmt = {"octet": ">B", "short": ">H", "long": ">I", "longlong": ">Q"}[field.kind]
            out += struct.pack(fmt, value or 0)
    if used:
        out.append(bits)
    return bytes(out)


def method_payload(name, **fields):
    spec = METHODS[name]
    return struct.pack(">HH", spec.cls, spec.meth) + encode_fields(spec, fields)


def decode_method(channel, payload):
    cls, meth = struct.unpack(">HH", payload[:4])
    if (cls, meth) not in BY_ID:
        raise AssertionError("server sent unknown method %d.%d" % (cls, meth))
    spec = BY_ID[cls, meth]
    reader, fields, bits, used = Reader(payload[4:]), {}, 0, 8
    for field in spec.fields:
        if field.kind == "bit":
            if used == 8:
                bits, used = reader.octet(), 0
            fields[field.name] = bool(bits >> used & 1)
            used += 1
            continue
        used = 8
        fields[field.name] = getattr(reader, field.kind)()
    if reader.at != len(reader.data):
        raise AssertionError("server sent %s with %d octets too many" % (spec.name, len(reader.data) - reader.at))
    return Method(spec, channel, fields)


# --- properties -------------------------------------------------------------------------------------------------

PROPERTIES = [("content_type", 15, "shortstr"), ("content_encoding", 14, "shortstr"), ("headers", 13, "table"),
              ("delivery_mode", 12, "octet"), ("priority", 11, "octet"), ("correlation_id", 10, "shortstr"),
              ("reply_to", 9, "shortstr"), ("expiration", 8, "shortstr"), ("message_id", 7, "shortstr"),
              ("timestamp", 6, "timestamp"), ("type", 5, "shortstr"), ("user_id", 4, "shortstr"),
              ("app_id", 3, "shortstr"), ("cluster_id", 2, "shortstr")]


def encode_properties(props):
    """A dict as (flags, octets)."""
    unknown = set(props) - {name for name, _, _ in PROPERTIES}
    if unknown:
        raise TypeError("no such property: " + ", ".join(sorted(unknown)))
    flags, out = 0, b""
    for name, bit, kind in PROPERTIES:
        if name not in props:
            continue
        flags |= 1 << bit
        value = props[name]
        if kind == "shortstr":
            out += shortstr(value)
        elif kind == "table":
            out += encode_table(value)
        else:
            out += struct.pack(">B" if kind == "octet" else ">Q", value)
    return flags, out


def decode_properties(flags, raw):
    reader, props = Reader(raw), {}
    for name, bit, kind in PROPERTIES:
        if flags >> bit & 1:
            props[name] = getattr(reader, kind)()
    if reader.at != len(raw):
        raise AssertionError("property octets left over: %r" % raw[reader.at:])
    return props


# --- frames -----------------------------------------------------------------------------------------------------

Frame = collections.namedtuple("Frame", "type channel payload")


def frame(kind, channel, payload, end=FRAME_END, size=None):
    """One frame's octets. SIZE overrides the announced payload size, END the last octet."""
    return (struct.pack(">BHI", kind, channel, len(payload) if size is None else size) + payload + bytes([end]))


def method_frame(channel, name, **fields):
    return frame(METHOD, channel, method_payload(name, **fields))


def header_frame(channel, size, props=None, cls=60, weight=0, flags=None, raw=None):
    if raw is None:
        flags, raw = encode_properties(props or {})
    return frame(HEADER, channel, struct.pack(">HHQH", cls, weight, size, flags) + raw)


def body_frame(channel, data):
    return frame(BODY, channel, data)


def content_frames(channel, body=b"", props=None, flags=None, raw=None, chunk=131064):
    out = [header_frame(channel, len(body), props, flags=flags, raw=raw)]
    out += [body_frame(channel, body[i:i + chunk]) for i in range(0, len(body), chunk)]
    return b"".join(out)


def publish_frames(channel, exchange, key, body=b"", props=None, mandatory=False, immediate=False, **content):
    head = method_frame(channel, "basic.publish", exchange=exchange, routing_key=key, mandatory=mandatory,
                        immediate=immediate)
    return head + content_frames(channel, _octets(body), props, **content)


class Wire:
    """A connection that can send any octets and cut what comes into frames; a host that is a path is a UNIX
    socket's."""

    def __init__(self, host, port, timeout=DEFAULT_TIMEOUT, rcvbuf=None, source=None):
        is_path = host.startswith("/")
        family = socket.AF_UNIX if is_path else socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(timeout)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(host if is_path else (host, port))
        if not is_path:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.readable = select.poll()       # not select(): descriptors may be above 1023
        self.readable.register(self.sock, select.POLLIN)
        self.timeout = timeout
        self.buffer = bytearray()
        self.eof = False
        self.reset = False

    def close(self):
        self.sock.close()

    def abort(self):
        """Cut the connection the hard way: RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def half_close(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:         # the peer has reset the connection already
            self.reset = True

    def send(self, data):
        """Send all octets; a peer that has gone is not an error here, the next read tells."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.reset = True

    def dribble(self, data, step=1):
        for at in range(0, len(data), step):
            self.send(data[at:at + step])

    def fill(self, deadline):
        """Read more octets; False at the end of the stream."""
        if self.eof:
            return False
        left = max(0, deadline - time.monotonic())
        if not self.readable.poll(left * 1000):
            raise Timeout("nothing came; so far %r" % bytes(self.buffer[:80]))
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError):
            self.reset = True
            data = b""
        if not data:
            self.eof = True
            return False
        self.buffer += data
        return True

    def need(self, n, deadline):
        """Have at least N octets in the buffer. A timeout leaves what has come for the next try."""
        while len(self.buffer) < n:
            if not self.fill(deadline):
                raise Dropped("connection ended after %r" % bytes(self.buffer))

    def take(self, n):
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def read(self, n, timeout=None):
        self.need(n, time.monotonic() + (self.timeout if timeout is None else timeout))
        return self.take(n)

    def read_frame(self, timeout=None):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        self.need(7, deadline)
        kind, channel, size = struct.unpack(">BHI", self.buffer[:7])
        self.need(size + 8, deadline)
        octets = self.take(size + 8)
        if octets[-1] != FRAME_END:
            raise AssertionError("server sent a frame without frame end")
        return Frame(kind, channel, octets[7:-1])

    def read_to_end(self, timeout=None):
        """Everything up to the end of the stream; asserts that the end comes."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while self.fill(deadline):
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def expect_drop(self, timeout=None):
        """The peer closes TCP and says nothing before."""
        data = self.read_to_end(timeout)
        if data:
            raise AssertionError("expected the connection to be dropped silently, got %r" % data[:120])

    def silent_for(self, seconds):
        """Nothing comes, and the connection stays up, for that long."""
        try:
            more = self.fill(time.monotonic() + seconds)
        except Timeout:
            return
        raise AssertionError("expected silence, got %r" % (bytes(self.buffer) if more else "end of stream"))


# --- connection and channel -------------------------------------------------------------------------------------

CAPABILITIES = {"publisher_confirms": True, "exchange_exchange_bindings": True, "basic.nack": True,
                "consumer_cancel_notify": True, "connection.blocked": True, "authentication_failure_close": True}


def plain_response(user, password):
    return b"\x00" + _octets(user) + b"\x00" + _octets(password)


class Connection:
    """Handshake, channels, and who gets which frame.

    Answers of its own accord: close-ok to a connection.close or channel.close met while waiting for something
    else (then ConnectionClosed or ChannelClosed is raised), unless `answer_closes` is False. Heartbeats are
    recorded, never sent.
    """

    def __init__(self, host, port, user="guest", password="guest", vhost="/", capabilities=None, heartbeat=0,
                 frame_max=None, channel_max=None, mechanism="PLAIN", response=None, client_properties=None,
                 timeout=DEFAULT_TIMEOUT, rcvbuf=None, source=None, open_vhost=True, ahead=b"", wire=None):
        """AHEAD is sent before the protocol header."""
        self.wire = wire or Wire(host, port, timeout, rcvbuf, source)
        self.timeout = timeout
        self.channels = {}
        self.frames = collections.deque()
        self.control = collections.deque()
        self.heartbeats = []
        self.answer_closes = True
        self.closed = None
        self.wire.send(ahead + PROTOCOL_HEADER)
        self.start = self.wait_control("connection.start")
        if client_properties is None:
            client_properties = {"capabilities": CAPABILITIES if capabilities is None else capabilities}
        if response is None:
            response = plain_response(user, password)
        self.send(0, "connection.start-ok", client_properties=client_properties, mechanism=mechanism,
                  response=response, locale="en_US")
        self.tune = self.wait_control("connection.tune")
        self.frame_max = self.tune.frame_max if frame_max is None else frame_max
        self.channel_max = self.tune.channel_max if channel_max is None else channel_max
        self.send(0, "connection.tune-ok", channel_max=self.channel_max, frame_max=self.frame_max,
                  heartbeat=heartbeat)
        if open_vhost:
            self.send(0, "connection.open", virtual_host=vhost)
            self.wait_control("connection.open-ok")

    # sending

    def send(self, channel, name, **fields):
        self.wire.send(method_frame(channel, name, **fields))

    def chunk(self):
        return (self.frame_max or 131072) - 8

    # receiving

    def pump(self, timeout=None):
        """Read one frame and give it to whom it belongs. Returns the channel number."""
        got = self.wire.read_frame(self.timeout if timeout is None else timeout)
        if got.type == HEARTBEAT:
            self.heartbeats.append(time.monotonic())
            return 0
        if got.channel == 0:
            method = decode_method(0, got.payload)
            self.control.append(method)
            if method.name == "connection.close":
                self.closed = method
            return 0
        channel = self.channels.get(got.channel)
        if channel is None:
            raise AssertionError("frame for channel %d, which is not open: %r" % (got.channel, got))
        channel.feed(got)
        return got.channel

    def poll(self):
        """Take in what has come already; returns at once."""
        try:
            while True:
                self.pump(0)
        except Timeout:
            return

    def has(self, name):
        """A method of this name stands on channel 0."""
        return any(m.name == name for m in self.control)

    def raise_if_closed(self):
        if self.closed is not None:
            close, self.closed = self.closed, None
            if close in self.control:
                self.control.remove(close)
            if self.answer_closes:
                self.send(0, "connection.close-ok")
            raise ConnectionClosed(close)

    def wait_control(self, *names, timeout=None):
        """The next method on channel 0, which must be one of NAMES (connection.close raises unless named)."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not self.control:
            self.pump(deadline - time.monotonic())
        if self.control[0].name == "connection.close" and "connection.close" not in names:
            self.raise_if_closed()
        method = self.control.popleft()
        if method.name == "connection.close":
            self.closed = None
        if names and method.name not in names:
            raise AssertionError("expected %s, got %r" % (" or ".join(names), method))
        return method

    def channel(self, number=None):
        """Open a channel on the number given, or the lowest free one."""
        if number is None:
            number = 1
            while number in self.channels:
                number += 1
        channel = Channel(self, number)
        self.channels[number] = channel
        channel.call("channel.open")
        return channel

    def expect_close(self, code, text=None, cls=None, meth=None, timeout=None):
        """The server closes the connection with exactly this; answers close-ok and sees TCP end."""
        close = self.wait_close(timeout)
        check_close(close, code, text, cls, meth)
        self.send(0, "connection.close-ok")
        self.wire.read_to_end()
        return close

    def wait_close(self, timeout=None):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while self.closed is None:
            self.pump(deadline - time.monotonic())
        close, self.closed = self.closed, None
        self.control.remove(close)
        return close

    def close(self):
        """The client's close: returns when close-ok has come and checks nothing else."""
        self.send(0, "connection.close", reply_code=200, reply_text="bye")
        deadline = time.monotonic() + self.timeout
        while not self.has("connection.close-ok"):
            self.pump(deadline - time.monotonic())
            self.raise_if_closed()
        self.wire.close()

    def abort(self):
        self.wire.abort()

    def expect_drop(self, timeout=None):
        self.wire.expect_drop(timeout)


def cut(text):
    """A reply-text as the server shortens it: 252 octets and three dots."""
    octets = _octets(text)
    return text if len(octets) <= 255 else _text(octets[:252]) + "..."


def check_close(close, code, text=None, cls=None, meth=None):
    """Compare a close method with what the specification says. TEXT is exact, or a compiled pattern."""
    text = cut(text) if isinstance(text, str) else text
    got = (close.reply_code, close.reply_text, close.class_id, close.method_id)
    ok = close.reply_code == code
    if text is not None:
        ok = ok and (close.reply_text == text if isinstance(text, str) else bool(text.search(close.reply_text)))
    ok = ok and (cls is None or close.class_id == cls) and (meth is None or close.method_id == meth)
    if not ok:
        raise AssertionError("expected close %r, got %r" % ((code, text if isinstance(text, str) or text is None
                                                             else text.pattern, cls, meth), got))


class Channel:
    """One channel: calls, and an inbox of what came unasked (deliveries, returns, confirms, closes)."""

    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.inbox = collections.deque()
        self.content = None
        self.last_raw_frames = []

    # receiving

    def feed(self, got):
        if self.content is not None:
            self.feed_content(got)
            return
        if got.type != METHOD:
            raise AssertionError("channel %d: expected a method, got %r" % (self.number, got))
        method = decode_method(self.number, got.payload)
        if method.spec.content:
            self.content = method
        else:
            self.inbox.append(method)

    def feed_content(self, got):
        method = self.content
        if method.flags is None:
            if got.type != HEADER:
                raise AssertionError("channel %d: expected a header, got %r" % (self.number, got))
            cls, weight, method.size, method.flags = struct.unpack(">HHQH", got.payload[:14])
            if cls != 60 or weight != 0:
                raise AssertionError("bad content header %r" % got.payload)
            method.props_raw, method.body = got.payload[14:], bytearray()
        else:
            if got.type != BODY or not got.payload:
                raise AssertionError("channel %d: expected a body frame, got %r" % (self.number, got))
            method.body += got.payload
            method.body_frames.append(len(got.payload))
        if len(method.body) > method.size:
            raise AssertionError("server sent more body than announced")
        if len(method.body) == method.size:
            method.body = bytes(method.body)
            self.inbox.append(method)
            self.content = None

    def wait(self, wanted, timeout=None):
        """Take the first method from the inbox for which WANTED(method) is true, reading until it comes.
        A close of channel or connection raises, unless WANTED takes it."""
        deadline = time.monotonic() + (self.connection.timeout if timeout is None else timeout)
        while True:
            for method in self.inbox:
                if wanted(method):
                    self.inbox.remove(method)
                    return method
                if method.name == "channel.close":
                    self.inbox.remove(method)
                    self.answer_close()
                    raise ChannelClosed(method)
            self.connection.raise_if_closed()
            if time.monotonic() > deadline:
                raise Timeout("not among what came: %r" % list(self.inbox)[-3:])
            self.connection.pump(deadline - time.monotonic())

    def answer_close(self):
        if self.connection.answer_closes:
            self.send("channel.close-ok")
            self.connection.channels.pop(self.number, None)

    def next(self, *names, timeout=None):
        """The next method of any kind (or of NAMES: then anything else is an error)."""
        method = self.wait(lambda m: m.name != "channel.close" or "channel.close" in names, timeout)
        if names and method.name not in names:
            raise AssertionError("expected %s, got %r" % (" or ".join(names), method))
        return method

    def take(self, name, timeout=None):
        """The next method of this name, leaving others in the inbox."""
        return self.wait(lambda m: m.name == name, timeout)

    def take_any(self, *names, timeout=None):
        """As take(), of several names."""
        return self.wait(lambda m: m.name in names, timeout)

    def delivery(self, timeout=None):
        return self.take("basic.deliver", timeout)

    def deliveries(self, n, timeout=None):
        return [self.delivery(timeout) for _ in range(n)]

    def queued(self, name):
        """How many methods of this name stand in the inbox already."""
        return sum(1 for m in self.inbox if m.name == name)

    def expect_close(self, code, text=None, cls=None, meth=None, timeout=None):
        """The server closes this channel with exactly this; close-ok is sent."""
        close = self.wait(lambda m: m.name == "channel.close", timeout)
        check_close(close, code, text, cls, meth)
        self.answer_close()
        return close

    # sending

    def send(self, name, **fields):
        self.connection.send(self.number, name, **fields)

    def raw(self, *frames):
        self.connection.wire.send(b"".join(frames))

    def call(self, name, timeout=None, **fields):
        """Send a synchronous method and return its reply."""
        self.send(name, **fields)
        replies = METHODS[name].reply or self.replies_of(name)
        return self.wait(lambda m: m.name in replies, timeout)

    @staticmethod
    def replies_of(name):
        return [name + "-ok"]

    def fails(self, name, code, text=None, cls=None, meth=None, **fields):
        """A method that the server answers by closing the channel, class and method being those of the method
        unless given."""
        spec = METHODS[name]
        self.send(name, **fields)
        return self.expect_close(code, text, spec.cls if cls is None else cls, spec.meth if meth is None else meth)

    def kills(self, name, code, text=None, cls=None, meth=None, **fields):
        """A method that the server answers by closing the connection."""
        spec = METHODS[name]
        self.send(name, **fields)
        return self.connection.expect_close(code, text, spec.cls if cls is None else cls,
                                            spec.meth if meth is None else meth)

    def close(self):
        self.send("channel.close", reply_code=200, reply_text="bye")
        self.wait(lambda m: m.name == "channel.close-ok")
        self.connection.channels.pop(self.number, None)

    # the everyday methods, shorter

    def declare(self, queue="", args=None, **flags):
        return self.call("queue.declare", queue=queue, arguments=args, **flags)

    def count(self, queue):
        """(ready messages, consumers) as a passive declare tells."""
        ok = self.call("queue.declare", queue=queue, passive=True)
        return ok.message_count, ok.consumer_count

    def expect_count(self, queue, ready, consumers=None):
        """QUEUE holds this many ready messages (and consumers). RabbitMQ answers counts ahead of publishes that
        wait for the queue, so a foreign broker gets some time to arrive there."""
        want = (ready, consumers)
        deadline = time.monotonic() + (5 if "AMQP_URL" in os.environ else 0)
        while True:
            got = self.count(queue)
            if got[0] == ready and consumers in (None, got[1]):
                return
            if time.monotonic() >= deadline:
                raise AssertionError("queue %r: expected (ready, consumers) %r, got %r" % (queue, want, got))

    def exchange(self, name, kind="direct", args=None, **flags):
        return self.call("exchange.declare", exchange=name, type=kind, arguments=args, **flags)

    def bind(self, queue, exchange, key="", args=None):
        return self.call("queue.bind", queue=queue, exchange=exchange, routing_key=key, arguments=args)

    def unbind(self, queue, exchange, key="", args=None):
        return self.call("queue.unbind", queue=queue, exchange=exchange, routing_key=key, arguments=args)

    def bind_exchange(self, destination, source, key="", args=None):
        return self.call("exchange.bind", destination=destination, source=source, routing_key=key, arguments=args)

    def publish(self, exchange, key, body=b"", props=None, **kw):
        kw.setdefault("chunk", self.connection.chunk())
        self.raw(publish_frames(self.number, exchange, key, body, props, **kw))

    def confirm(self):
        self.call("confirm.select")

    def publish_confirmed(self, exchange, key, body=b"", props=None, **kw):
        """Publish on a confirming channel and wait for this message's own ack or nack."""
        self.publish(exchange, key, body, props, **kw)
        return self.wait(lambda m: m.name in ("basic.ack", "basic.nack"))

    def get(self, queue, no_ack=True):
        """get-ok, or None for an empty queue."""
        reply = self.call("basic.get", queue=queue, no_ack=no_ack)
        return None if reply.name == "basic.get-empty" else reply

    def drain(self, queue):
        """Bodies of all ready messages, got and acknowledged."""
        bodies = []
        while True:
            got = self.get(queue)
            if got is None:
                return bodies
            bodies.append(got.body)

    def consume(self, queue, tag="", args=None, **flags):
        return self.call("basic.consume", queue=queue, consumer_tag=tag, arguments=args, **flags).consumer_tag

    def cancel(self, tag):
        return self.call("basic.cancel", consumer_tag=tag)

    def qos(self, count, global_=False, size=0):
        return self.call("basic.qos", prefetch_count=count, prefetch_size=size, **{"global": global_})

    def ack(self, tag, multiple=False):
        self.send("basic.ack", delivery_tag=tag, multiple=multiple)

    def nack(self, tag, multiple=False, requeue=True):
        self.send("basic.nack", delivery_tag=tag, multiple=multiple, requeue=requeue)

    def reject(self, tag, requeue=True):
        self.send("basic.reject", delivery_tag=tag, requeue=requeue)

    def sync(self):
        """A round trip on this channel: what was sent before has been handled."""
        self.call("channel.flow", active=True)

    def settled(self, queue):
        """Two round trips through QUEUE: what it had to deliver on this channel has been delivered."""
        self.count(queue)
        return self.count(queue)[0]

    def no_delivery(self, queue):
        """QUEUE has nothing (more) for this channel's consumers."""
        self.settled(queue)
        stray = [m for m in self.inbox if m.name == "basic.deliver"]
        if stray:
            raise AssertionError("unexpected delivery %r" % stray[0])
