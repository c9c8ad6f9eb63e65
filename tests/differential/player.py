# SPDX-License-Identifier: Apache-2.0
"""Plays a session to one broker and writes down every frame that comes back.

A session is what JSON can hold:

    {"seed": 7, "options": {"quiet_ms": 0, ...}, "connections": [{...}, ...], "steps": [{...}, ...]}

A step is played only when the one before has had all its effects, as far as can be told from outside: a reply has
come, each channel that was touched has answered a round trip, confirms that are due are there, and then nothing
has come for `quiet` seconds. So what comes back belongs to a step. Before a step its connection and channel are
opened if they are not open, so that a step means the same whatever became of those before it; that makes sessions
easy to cut down. An error's close is answered at once, unless the step says "hold".

Steps, by "do" ("c" is a connection's number, "ch" a channel's):

    method    "m", "f": fields. "bare": without opening the channel. "hold": do not answer a close
    publish   "f", "props", "body", "cut" (largest body frame), "flags" (more property flags), "size" (announced)
    settle    "m", "f", "pick": of the deliveries not yet settled on the channel, sorted by what they carry
    batch     "of": methods, publishes and settlements that go out in one segment
    raw       "hex": octets, "await": "close" (the connection's end) or "quiet"; "whole" if they are a publish
    swallowed "of": as a batch, after an error whose close was held
    connect   opens (or opens anew) a connection; handshake variants in "with"
    cut       ends TCP without a word
    sleep     "ms"
    policy, operator_policy    "name", "body" (None: clears)

Values of tables are [type, value] (see `value`); {"hex": ...} is any string that is not UTF-8. Names of the server's making
are kept as amq.gen-#1, in the order in which they are seen, in what is sent and in what is recorded.
"""

import re
import select
import struct
import time

import amqp_raw
from amqp_raw import METHODS, V

REPLY_TIMEOUT = 8.0     # RabbitMQ lets some connections hang for 3 s on purpose
QUIET_MOST = 3.0        # of a step that never ends to have effects
MADE = re.compile(r"amq\.gen-[\w-]{22}|amq\.ctag-[\w-]{22}|amq\.rabbitmq\.reply-to\.[^' ]+")
MADE_REF = re.compile(r"(amq\.gen-|amq\.ctag-|amq\.rabbitmq\.reply-to\.)#(\d+)")
SYNCHRONOUS = {"connection.update-secret", "connection.close"}


# --- what JSON holds, as what goes over the wire ------------------------------------------------------------------

class Names:
    """Names of the server's making, by number in order of appearance; each kind counts for itself."""

    def __init__(self):
        self.numbers, self.names = {}, {}

    def shown(self, text):
        def number(match):
            name = match.group(0)
            kind = name[:next(len(k) for k in ("amq.gen-", "amq.ctag-", "amq.rabbitmq.reply-to.") if name.startswith(k))]
            if name not in self.numbers:
                self.numbers[name] = "%s#%d" % (kind, 1 + sum(1 for n in self.numbers if n.startswith(kind)))
                self.names[self.numbers[name]] = name
            return self.numbers[name]
        return MADE.sub(number, text)

    def sent(self, text):
        """A name not seen yet stays what it is: nobody has it."""
        return MADE_REF.sub(lambda match: self.names.get(match.group(0), match.group(0)), text)


def text(value, names):
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return names.sent(value)


def value(typed, names):
    """[type, value] as a V. Of x and raw the value is hex, raw being a whole value with its type octet."""
    kind, content = typed
    if kind == "raw":
        octets = bytes.fromhex(content)
        return V(octets[:1].decode("latin-1"), octets[1:])
    if kind == "x":
        return V(kind, bytes.fromhex(content))
    if kind == "S":
        return V(kind, text(content, names))
    if kind == "A":
        return V(kind, [value(item, names) for item in content])
    if kind == "F":
        return V(kind, table(content, names))
    if kind in "fd":
        return V(kind, float(content))
    return V(kind, content)


def table(pairs, names):
    """[[name, type, value], ...], or {"hex": ...}: a whole encoded table."""
    if isinstance(pairs, dict):
        return bytes.fromhex(pairs["hex"])
    return amqp_raw.Pairs((text(name, names), value((kind, content), names)) for name, kind, content in pairs)


def fields_of(spec, fields, names):
    sent = {}
    for field in spec.fields:
        if field.name in fields:
            content = fields[field.name]
            if field.kind == "table":
                content = table(content, names)
            elif field.kind in ("shortstr", "longstr"):
                content = text(content, names)
            sent[field.name] = content
    return sent


def properties_of(props, names):
    sent = {}
    for name, _, kind in amqp_raw.PROPERTIES:
        if name in props:
            content = props[name]
            sent[name] = (table(content, names) if kind == "table" else
                          text(content, names) if kind == "shortstr" else content)
    return sent


def body_of(body):
    """A string, or [string, length]: repeated up to that length."""
    if isinstance(body, list):
        octets = body[0].encode()
        return (octets * (body[1] // len(octets) + 1))[:body[1]]
    return body.encode()


# --- what came, as what JSON holds ----------------------------------------------------------------------------------

def shown(content, names):
    if isinstance(content, V):
        return [content.type, shown(content.value, names)]
    if isinstance(content, amqp_raw.Pairs):
        return [[shown(name, names)] + shown(item, names) for name, item in content]
    if isinstance(content, (list, tuple)):
        return [shown(item, names) for item in content]
    if isinstance(content, (bytes, bytearray)):
        return {"hex": bytes(content).hex()}
    if isinstance(content, float):
        return repr(content)
    if isinstance(content, str):
        return names.shown(content)
    return content


def shown_content(method, names):
    """Properties and body of a method that carries content. Long bodies are told by their ends and length."""
    try:
        props = {name: shown(item, names) for name, item in method.props.items()}
    except AssertionError:
        props = {"undecodable": method.props_raw.hex()}
    body = method.body
    whole = body if len(body) <= 64 else body[:24] + b"..." + body[-24:]
    return {"flags": method.flags, "props": props, "body": whole.decode("utf-8", "backslashreplace"), "size": len(body),
            "frames": method.body_frames}


class Channel:
    def __init__(self):
        self.is_open = False
        self.broken = False         # its input is in the middle of something: nothing may be asked
        self.content = None         # the method whose content is coming
        self.closes = 0             # channel.close received, never answered
        self.confirming = False
        self.published = 0
        self.unconfirmed = set()
        self.unsettled = []         # (sort key, tag) of deliveries that want an acknowledgement
        self.no_ack = {}            # consumer tag -> bool; None: the last basic.get
        self.nameless = []          # no-ack or not, of consumers whose tag the server makes


class Connection:
    """One AMQP connection of a session. Events go to the player's list in the order in which they come."""

    def __init__(self, player, number, how):
        self.player, self.number, self.how = player, number, how
        self.channels = {}
        self.is_open = self.over = False
        self.closing = False
        self.frame_max = 131072
        self.waiting = None         # names of replies on a channel that are waited for
        self.wire = amqp_raw.Wire(player.host, player.port, REPLY_TIMEOUT)

    # sending

    def send(self, octets):
        if not self.over:
            self.wire.send(octets)

    def method(self, channel, name, **fields):
        self.send(amqp_raw.method_frame(channel, name, **fields))

    # handshake

    def open(self):
        """As the session's description of the connection says, until it is open or over."""
        how, session = self.how, self.player.session
        self.send(bytes.fromhex(how["header"]) if "header" in how else amqp_raw.PROTOCOL_HEADER)
        self.inject("start")
        if not self.await_control("connection.start"):
            return
        user = how.get("user", "guest")
        response = bytes.fromhex(how["response"]) if "response" in how else amqp_raw.plain_response(user, how.get(
            "password", user))
        properties = how.get("client_properties")
        properties = table(properties, self.player.names) if properties is not None else {"capabilities": {
            name: True for name in how.get("capabilities", sorted(amqp_raw.CAPABILITIES))}}
        self.inject("start-ok")
        self.method(0, "connection.start-ok", client_properties=properties, mechanism=how.get("mechanism", "PLAIN"),
                    response=response, locale=how.get("locale", "en_US"))
        if not self.await_control("connection.tune"):
            return
        channel_max, self.frame_max, heartbeat = how.get("tune", [2047, 131072, 0])
        self.inject("tune-ok")
        self.method(0, "connection.tune-ok", channel_max=channel_max, frame_max=self.frame_max, heartbeat=heartbeat)
        self.inject("open")
        self.method(0, "connection.open", virtual_host=how.get("vhost", session["vhost"]))
        self.is_open = self.await_control("connection.open-ok")

    def inject(self, before):
        """Octets that the description wants sent ahead of this method."""
        if before in self.how.get("inject", {}):
            self.send(bytes.fromhex(self.how["inject"][before]))

    def await_control(self, name):
        return self.player.wait(lambda: self.seen(0, (name,)) or self.over) and not self.over

    def seen(self, channel, replies):
        """One of these has come on the channel in this step, or a close."""
        return any(event["c"] == self.number and event["ch"] == channel and (
            event["m"] in replies or event["m"] == "channel.close") for event in self.player.fresh)

    # receiving

    def take_frames(self):
        """Record what is in the buffer."""
        buffer = self.wire.buffer
        while len(buffer) >= 7:
            kind, channel, size = struct.unpack(">BHI", buffer[:7])
            if bytes(buffer[:4]) == b"AMQP":
                self.player.record(self.number, 0, "protocol-header", octets=self.wire.take(8).hex())
                continue
            if len(buffer) < size + 8:
                return
            octets = self.wire.take(size + 8)
            if octets[-1] != amqp_raw.FRAME_END:
                self.player.record(self.number, channel, "broken-frame", octets=octets[:64].hex())
            elif kind != amqp_raw.HEARTBEAT:
                self.take_frame(kind, channel, octets[7:-1])

    def take_frame(self, kind, number, payload):
        channel = self.channels.setdefault(number, Channel())
        if channel.content is not None:
            self.take_content(channel, kind, number, payload)
        elif kind != amqp_raw.METHOD:
            self.player.record(self.number, number, "stray-frame", type=kind)
        else:
            try:
                method = amqp_raw.decode_method(number, payload)
            except AssertionError as wrong:
                self.player.record(self.number, number, "undecodable", octets=payload[:64].hex(), why=str(wrong))
                return
            if method.spec.content:
                channel.content = method
            else:
                self.take_method(channel, number, method)

    def take_content(self, channel, kind, number, payload):
        method = channel.content
        if method.flags is None and kind == amqp_raw.HEADER:
            _, _, method.size, method.flags = struct.unpack(">HHQH", payload[:14])
            method.props_raw, method.body = payload[14:], bytearray()
        elif method.flags is not None and kind == amqp_raw.BODY:
            method.body += payload
            method.body_frames.append(len(payload))
        else:
            self.player.record(self.number, number, "stray-frame", type=kind)
        if method.flags is not None and len(method.body) >= method.size:
            channel.content, method.body = None, bytes(method.body)
            self.take_method(channel, number, method)

    def take_method(self, channel, number, method):
        names = self.player.names
        event = self.player.record(self.number, number, method.name,
                                   f={name: shown(item, names) for name, item in method.fields.items()})
        if method.spec.content:
            event.update(shown_content(method, names))
        self.after(channel, number, method, event)

    def after(self, channel, number, method, event):
        """What the player must remember of a method, and answers to it."""
        name = method.name
        if name == "connection.close":
            if not self.closing:
                self.method(0, "connection.close-ok")
            self.closing = True
        elif name == "connection.close-ok":
            self.wire.half_close()
        elif name == "channel.close":
            hold = self.player.hold
            if hold:
                channel.broken = True
            else:
                self.method(number, "channel.close-ok")
                self.channels.pop(number, None)
        elif name == "channel.open-ok":
            channel.is_open = True
        elif name == "channel.close-ok":
            self.channels.pop(number, None)
        elif name == "basic.consume-ok" and method.consumer_tag not in channel.no_ack and channel.nameless:
            channel.no_ack[method.consumer_tag] = channel.nameless.pop(0)
        elif name == "confirm.select-ok":
            channel.confirming = True
        elif name in ("basic.ack", "basic.nack"):
            tag = method.delivery_tag
            channel.unconfirmed = {n for n in channel.unconfirmed if n != tag and not (method.multiple and n <= tag)}
        elif name == "basic.deliver" and not channel.no_ack.get(method.consumer_tag, False):
            channel.unsettled.append(((event["body"], event["f"]["consumer_tag"], method.delivery_tag),
                                      method.delivery_tag))
        elif name == "basic.get-ok" and not channel.no_ack.get(None, False):
            channel.unsettled.append(((event["body"], "", method.delivery_tag), method.delivery_tag))

    def ended(self):
        if not self.over:
            self.over, self.is_open = True, False
            self.player.record(self.number, 0, "end")
            self.wire.close()


class Player:
    """Plays one session; `log` is then [{"step": index, "events": [...]}, ...], -1 being what came of opening
    connections at the beginning."""

    def __init__(self, host, port, session, api, quiet=0.004, patience=REPLY_TIMEOUT):
        self.host, self.port, self.session, self.api = host, port, session, api
        self.quiet = max(quiet, session.get("options", {}).get("quiet_ms", 0) / 1000)
        self.patience = patience
        self.names = Names()
        self.connections = {}
        self.fresh, self.log = [], []
        self.hold = False

    def play(self):
        try:
            for index, step in enumerate(self.session["steps"]):
                self.fresh = []
                self.step(step)
                self.log.append({"step": index, "events": self.fresh})
        finally:
            for connection in self.connections.values():
                connection.wire.close()
        return self.log

    def record(self, connection, channel, name, **what):
        event = dict({"c": connection, "ch": channel, "m": name}, **what)
        self.fresh.append(event)
        return event

    # reading

    def pump(self, timeout):
        """Take in what comes within TIMEOUT; False if nothing does."""
        poll, by_descriptor = select.poll(), {}
        for connection in self.connections.values():
            if not connection.over:
                by_descriptor[connection.wire.sock.fileno()] = connection
                poll.register(connection.wire.sock, select.POLLIN)
        ready = poll.poll(max(0, timeout) * 1000)
        for descriptor, _ in ready:
            connection = by_descriptor[descriptor]
            alive = connection.wire.fill(time.monotonic() + 1)
            connection.take_frames()
            if not alive:
                connection.ended()
        return bool(ready)

    def wait(self, condition, timeout=None):
        """Until CONDITION(): True; an event says so if it does not come about."""
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        while not condition():
            if time.monotonic() > deadline:
                self.record(-1, 0, "nothing-came")
                return False
            self.pump(deadline - time.monotonic())
        return True

    def settle(self, quiet=None):
        """Confirms that are due, connections that are closing, and then silence."""
        quiet = self.quiet if quiet is None else quiet
        self.wait(lambda: all(connection.over for connection in self.connections.values() if connection.closing))
        self.wait(lambda: not any(channel.unconfirmed for _, _, channel in self.open_channels()))
        deadline = time.monotonic() + QUIET_MOST
        while self.pump(quiet) and time.monotonic() < deadline:
            pass

    def open_channels(self):
        return [(connection, number, channel) for connection in self.connections.values() if connection.is_open and
                not connection.closing for number, channel in connection.channels.items()
                if channel.is_open and not channel.broken]

    def round_trip(self, connection, number):
        """The broker has handled all that was sent on the channel before."""
        channel = connection.channels.get(number)
        if connection.over or connection.closing or not channel or not channel.is_open or channel.broken:
            return
        count = self.flows(connection, number)
        connection.method(number, "channel.flow", active=True)
        self.wait(lambda: self.flows(connection, number) > count or connection.over or connection.closing or
                  channel.broken or connection.channels.get(number) is not channel)
        for event in reversed(self.fresh):
            if (event["c"], event["ch"], event["m"]) == (connection.number, number, "channel.flow-ok"):
                self.fresh.remove(event)
                break

    def flows(self, connection, number):
        return sum(1 for event in self.fresh if (event["c"], event["ch"], event["m"]) == (
            connection.number, number, "channel.flow-ok"))

    # opening

    def connection(self, number, **differently):
        connection = self.connections.get(number)
        if connection is None or connection.over or differently:
            if connection is not None and not connection.over:
                connection.wire.abort()
            how = self.session["connections"][number % len(self.session["connections"])]
            connection = self.connections[number] = Connection(self, number, dict(how, **differently))
            connection.open()
        return connection

    def channel(self, number, channel_number):
        connection = self.connection(number)
        if channel_number and not connection.over and connection.is_open:
            channel = connection.channels.get(channel_number)
            if channel is None or not channel.is_open:
                connection.channels.pop(channel_number, None)
                connection.method(channel_number, "channel.open")
                self.wait(lambda: connection.seen(channel_number, ("channel.open-ok",)) or connection.over)
        return connection

    # steps

    def step(self, step):
        self.hold = step.get("hold", False)
        getattr(self, "do_" + step["do"])(step)

    def do_method(self, step):
        number = step["ch"]
        connection = self.connection(step["c"]) if step.get("bare") else self.channel(step["c"], number)
        self.send_batch(connection, number, [step])

    do_publish = do_settle = do_method

    def do_batch(self, step):
        self.send_batch(self.channel(step["c"], step["ch"]), step["ch"], step["of"])

    def send_batch(self, connection, number, steps):
        """All of STEPS in one segment, and then wait for the replies of all, or a close."""
        channel = connection.channels.setdefault(number, Channel()) if number else None
        octets, due = b"", []
        for step in steps:
            octets += getattr(self, "octets_of_" + step["do"])(connection, channel, number, step, due)
        connection.send(octets)
        for reply in due:
            self.wait(lambda reply=reply: connection.over or connection.closing or self.got(
                connection, number, due, reply) or (channel is not None and connection.channels.get(number) is not channel)
                or (self.hold and channel is not None and channel.broken))
        self.round_trip(connection, number)
        self.settle()

    def got(self, connection, number, due, reply):
        """As many of these replies have come as are due."""
        return sum(1 for event in self.fresh if event["c"] == connection.number and event["ch"] == number and
                   event["m"] in reply) >= sum(1 for other in due if other == reply)

    def octets_of_method(self, connection, channel, number, step, due):
        name, fields = step["m"], step.get("f", {})
        spec = METHODS[name]
        sent = fields_of(spec, fields, self.names)
        replies = tuple(spec.reply)
        if name in SYNCHRONOUS and not replies:
            replies = (name + "-ok",)
        if replies and not fields.get("nowait"):
            due.append(replies)
        if channel is not None:
            if name == "basic.get":
                channel.no_ack[None] = bool(fields.get("no_ack"))
            elif name == "basic.consume" and sent.get("consumer_tag"):
                channel.no_ack[sent["consumer_tag"]] = bool(fields.get("no_ack"))
            elif name == "basic.consume" and not fields.get("nowait"):
                channel.nameless.append(bool(fields.get("no_ack")))
            elif name == "confirm.select" and fields.get("nowait"):
                channel.confirming = True
            elif name in ("basic.recover", "basic.recover-async"):
                channel.unsettled.clear()
        if name == "connection.close":
            connection.closing = True
        return amqp_raw.method_frame(number, name, **sent)

    def octets_of_publish(self, connection, channel, number, step, due):
        del due
        spec = METHODS["basic.publish"]
        body = body_of(step["body"])
        flags, props = amqp_raw.encode_properties(properties_of(step.get("props", {}), self.names))
        cut = min(step.get("cut") or 1 << 30, (connection.frame_max or 131072) - 8)
        if channel is not None:
            self.count_publish(channel)
        head = amqp_raw.method_frame(number, "basic.publish", **fields_of(spec, step["f"], self.names))
        return head + amqp_raw.content_frames(number, body, flags=flags | step.get("flags", 0), raw=props, chunk=cut)

    @staticmethod
    def count_publish(channel):
        if channel.confirming:
            channel.published += 1
            channel.unconfirmed.add(channel.published)

    def octets_of_settle(self, connection, channel, number, step, due):
        del connection, due
        fields = dict(step.get("f", {}))
        if channel.unsettled:
            waiting = sorted(channel.unsettled)
            tag = waiting[step["pick"] % len(waiting)][1]
            if fields.get("multiple"):  # which are below a tag depends on how consumers' deliveries were mixed
                tag = max(other for _, other in waiting) if len({key[1] for key, _ in waiting}) > 1 else tag
                channel.unsettled = [(key, other) for key, other in waiting if other > tag]
            else:
                channel.unsettled = [(key, other) for key, other in waiting if other != tag]
            fields["delivery_tag"] = tag
        elif "delivery_tag" not in fields:
            return b""
        return amqp_raw.method_frame(number, step["m"], **fields)

    def do_raw(self, step):
        number = step["ch"]
        connection = self.channel(step["c"], number)
        channel = connection.channels.get(number)
        if channel is not None and step.get("whole"):
            self.count_publish(channel)
        elif channel is not None:
            channel.broken = True
        connection.send(bytes.fromhex(step["hex"]))
        if step["await"] == "close":
            self.wait(lambda: connection.over)
        self.round_trip(connection, number)
        self.settle()

    def do_swallowed(self, step):
        """What is sent on a channel that the broker has closed, up to the answer."""
        connection, number = self.connections.get(step["c"]), step["ch"]
        channel = connection.channels.get(number) if connection else None
        if channel is None or not channel.broken:
            return
        due = []
        connection.send(b"".join(getattr(self, "octets_of_" + part["do"])(connection, channel, number, part, due)
                                 for part in step["of"]))
        if any(part.get("m") == "channel.close" for part in step["of"]):
            self.wait(lambda: connection.over or number not in connection.channels)
        connection.channels.pop(number, None)
        self.settle(max(self.quiet, 0.01))

    def do_connect(self, step):
        number = step["c"]
        old = self.connections.get(number)
        if old is not None and not old.over:
            old.wire.close()
            old.over = True
            self.settle(max(self.quiet, 0.05))
        self.connection(number, **(step.get("with") or {"again": True}))
        self.settle()

    def do_cut(self, step):
        connection = self.connections.get(step["c"])
        if connection is not None and not connection.over:
            connection.over, connection.is_open = True, False
            connection.wire.abort()
            self.settle(max(self.quiet * 4, 0.06))

    def do_sleep(self, step):
        deadline = time.monotonic() + step["ms"] / 1000
        while time.monotonic() < deadline:
            self.pump(deadline - time.monotonic())
        self.settle()

    def do_policy(self, step, kind="policies"):
        self.api.policy(kind, self.session["vhost"], step["name"], step.get("body"))
        self.settle(max(self.quiet * 2, 0.01))

    def do_operator_policy(self, step):
        self.do_policy(step, "operator-policies")
