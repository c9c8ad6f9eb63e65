# SPDX-License-Identifier: Apache-2.0
"""Peers that break the handshake in every place. What is answered matters little; that nobody else notices does."""

import os
import random
import resource
import socket
import struct
import time

import amqp_raw
from amqp_raw import PROTOCOL_HEADER, method_frame, publish_frames
from harness import between, eq, settings, slow, wait_until

SEED = 20240229


def session(queue):
    """The octets of a whole small session, from the protocol header to a publish."""
    return PROTOCOL_HEADER + b"".join([
        method_frame(0, "connection.start-ok", mechanism="PLAIN", response=b"\0guest\0guest", locale="en_US",
                     client_properties={"capabilities": amqp_raw.CAPABILITIES, "product": "test"}),
        method_frame(0, "connection.tune-ok", channel_max=10, frame_max=131072, heartbeat=0),
        method_frame(0, "connection.open", virtual_host="/"),
        method_frame(1, "channel.open"),
        method_frame(1, "queue.declare", queue=queue, auto_delete=True, arguments={"x-max-length": 10}),
        publish_frames(1, "", queue, b"body", {"headers": {"a": 1}}),
        method_frame(1, "basic.consume", queue=queue, no_ack=True)])


def all_end(broker, wires, seconds=15):
    """Every one of these connections is ended by the server in time."""
    deadline = time.monotonic() + seconds
    for wire in wires:
        wire.read_to_end(max(0.1, deadline - time.monotonic()))
        wire.close()
    broker.is_up()


def test_session_cut_after_every_octet(broker):
    """Three ways to leave: FIN and wait, close, reset."""
    octets = session(broker.name())
    waiting = []
    for cut in range(len(octets)):
        wire = broker.wire()
        wire.send(octets[:cut])
        if cut % 3 == 0:
            wire.half_close()
            waiting.append(wire)
        elif cut % 3 == 1:
            wire.close()
        else:
            wire.abort()
    all_end(broker, waiting)


test_session_cut_after_every_octet.seconds = 5


@slow
def test_every_octet_of_the_session_flipped(broker):
    octets = session(broker.name())
    wires = []
    for at in range(len(octets)):
        for mask in (0xff, 0x01, 0x80):
            wire = broker.wire()
            wire.send(octets[:at] + bytes([octets[at] ^ mask]) + octets[at + 1:])
            wire.half_close()
            wires.append(wire)
        if len(wires) > 600:
            all_end(broker, wires)
            wires = []
    all_end(broker, wires)


@slow
def test_octets_inserted_and_removed(broker):
    rng, octets, wires = random.Random(SEED), session(broker.name()), []
    for _ in range(400):
        at, n = rng.randrange(8, len(octets)), rng.randrange(1, 5)
        if rng.random() < 0.5:
            broken = octets[:at] + octets[at + n:]
        else:
            broken = octets[:at] + bytes(rng.randrange(256) for _ in range(n)) + octets[at:]
        wire = broker.wire()
        wire.send(broken)
        wire.half_close()
        wires.append(wire)
    all_end(broker, wires)


@slow
def test_garbage_instead_of_frames(broker):
    rng, wires = random.Random(SEED), []
    for n in range(200):
        wire = broker.wire()
        garbage = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 2000)))
        wire.send((PROTOCOL_HEADER if n % 2 else b"") + garbage)
        wire.half_close()
        wires.append(wire)
    all_end(broker, wires)


@slow
def test_giant_lengths_in_the_handshake(broker):
    wires = []
    good = amqp_raw.method_payload("connection.start-ok", mechanism="PLAIN", response=b"\0guest\0guest")
    for size in (0xffffffff, 0x80000000, 0x7fffffff, 0x7ffffff8, 0xfffffff8, 1 << 28):
        head = struct.pack(">BHI", 1, 0, size)
        for tail in (b"", b"\0", good):
            wire = broker.wire()
            wire.send(PROTOCOL_HEADER + head + tail)
            wire.half_close()
            wires.append(wire)
    for length in (0xffffffff, 0x80000000, 0x7fffffff, 0xffff):
        table = struct.pack(">HHI", 10, 11, length)
        inner = struct.pack(">HHI", 10, 11, 10) + b"\x01aS" + struct.pack(">I", length) + b"xx"
        response = struct.pack(">HHI", 10, 11, 0) + amqp_raw.shortstr("PLAIN") + struct.pack(">I", length) + b"\0guest"
        for payload in (table, inner, response, table + b"x" * 1000):
            wire = broker.wire()
            wire.send(PROTOCOL_HEADER + amqp_raw.frame(1, 0, payload))
            wire.half_close()
            wires.append(wire)
    all_end(broker, wires)


def test_whole_session_one_octet_per_packet(broker):
    queue = broker.name()
    wire = broker.wire()
    wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.dribble(session(queue))
    names = []
    while "basic.deliver" not in names:
        got = wire.read_frame()
        if got.type == amqp_raw.METHOD:
            names.append(amqp_raw.decode_method(got.channel, got.payload).name)
    eq(names, ["connection.start", "connection.tune", "connection.open-ok", "channel.open-ok", "queue.declare-ok",
               "basic.consume-ok", "basic.deliver"])
    header, body = wire.read_frame(), wire.read_frame()
    eq((header.type, body.payload), (amqp_raw.HEADER, b"body"))


def test_answers_are_read_one_octet_at_a_time(broker):
    ch = broker.channel(rcvbuf=1024)
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"z" * 3000)
    ch.send("basic.get", queue=queue, no_ack=True)
    wire = ch.connection.wire
    octets = b"".join(wire.sock.recv(1) for _ in range(3000))
    wire.buffer += octets
    eq(ch.take("basic.get-ok").body, b"z" * 3000)


def open_files(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


@slow
@settings(handshake_timeout=10000, tcp_listen_options__backlog=4096)
def test_ten_thousand_connections_that_never_log_in(broker):
    """They are dropped after ten seconds, and a real client works beside them. As many as the limit of open files
    allows on both sides."""
    pid = broker.server.process.pid
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10000, soft - 500)
    baseline, memory = open_files(pid), broker.rss()
    sockets, began = [], time.monotonic()
    try:
        for n in range(count):
            peer = socket.create_connection((broker.host, broker.port))
            if n % 3 == 1:
                peer.sendall(PROTOCOL_HEADER)
            elif n % 3 == 2:
                peer.sendall(PROTOCOL_HEADER[:5])
            sockets.append(peer)
        between(time.monotonic() - began, 0, 9, "seconds for connecting")
        broker.is_up()
        broker.grew_less(memory, count * 16 / 1024, "%d connections" % count)
        wait_until(lambda: open_files(pid) <= baseline + 5, 25, "all dropped")
        between(time.monotonic() - began, 9, 30, "seconds until dropped")
        for peer in sockets[::97]:
            peer.settimeout(5)
            while peer.recv(65536):
                pass
        broker.is_up()
    finally:
        for peer in sockets:
            peer.close()


def processor_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def log_of(broker):
    with open(os.path.join(broker.server.folder.name, "log"), encoding="utf-8") as log:
        return log.read()


@settings(handshake_timeout=60000)
def test_more_connections_than_descriptors(broker):
    """Those that find no descriptor wait; meanwhile the broker neither spins nor fills its log, and who is connected
    is served."""
    ch = broker.channel()
    ch.declare("q", exclusive=True)
    pid = broker.server.process.pid
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files(pid) + 20,) * 2)
    peers = [socket.create_connection((broker.host, broker.port)) for _ in range(60)]
    try:
        wait_until(lambda: "cannot accept" in log_of(broker), what="out of descriptors")
        before, began = processor_seconds(pid), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1, what="a second")
        between(processor_seconds(pid) - before, 0, 0.3, "processor seconds in a second")
        between(log_of(broker).count("cannot accept"), 1, 5, "complaints")
        ch.publish("", "q", b"served")
        eq(ch.get("q").body, b"served")
    finally:
        for peer in peers:
            peer.close()
    broker.is_up()


def test_connections_opened_and_left_in_a_hurry(broker):
    for n in range(1500):
        peer = socket.create_connection((broker.host, broker.port))
        if n % 2:
            peer.sendall(PROTOCOL_HEADER)
        if n % 3 == 0:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    broker.is_up()
