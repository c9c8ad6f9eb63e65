# SPDX-License-Identifier: Apache-2.0
"""AMQP through TLS: records of all sizes, large bodies, peers that die, do not read or change keys, and the end."""

import array
import contextlib
import fcntl
import os
import select
import ssl
import termios
import threading
import time

import amqp_raw
from amqp_raw import body_frame, header_frame, method_frame, publish_frames
from harness import differs, eq, lasts, ok, wait_until
from tls_tools import SClient, TlsWire, client_context, connect, node, s_client, wait_said

tls = differs("about coneyd's TLS")
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
MIB = 1 << 20


def body_of(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def rss(broker):
    return broker.rss() / MIB


def settled(broker):
    """The broker's cpu time stands still: it has done all it can do."""
    def ticks():
        with open("/proc/%d/stat" % broker.process.pid, encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    state = {"ticks": -1, "since": time.monotonic()}

    def quiet():
        now = ticks()
        if now > state["ticks"] + 1:
            state.update(ticks=now, since=time.monotonic())
        return time.monotonic() - state["since"] > 0.5
    wait_until(quiet, 40, "broker at rest", pause=0.05)


# --- records ----------------------------------------------------------------------------------------------------

@tls
def test_one_octet_in_each_record(broker):
    with node() as b:
        for version in VERSIONS:
            c = connect(b, client_context(version=version), record=1)
            ch = c.channel()
            queue = ch.declare(exclusive=True).queue
            ch.publish("", queue, b"a body in records of one octet")
            eq(ch.get(queue).body, b"a body in records of one octet")
            c.close()


@tls
def test_records_cut_into_packets(broker):
    """A record that comes in pieces is one that waits; nothing else does meanwhile."""
    with node({"threads": "1"}) as b:
        c, other = connect(b), connect(b).channel()
        c.channel()
        octets = c.wire.seal(method_frame(1, "queue.declare", queue="", exclusive=True))
        for at in range(0, len(octets), 7):
            c.wire.sock.sendall(octets[at:at + 7])
            other.sync()
        ok(c.channels[1].take("queue.declare-ok").queue, "a name")
        c.close()


@tls
def test_many_small_records(broker):
    with node() as b:
        for version in VERSIONS:
            c = connect(b, client_context(version=version), record=50)
            ch = c.channel()
            ch.confirm()
            queue = ch.declare(exclusive=True).queue
            ch.consume(queue, no_ack=True)
            ch.raw(b"".join(publish_frames(1, "", queue, b"%06d" % i) for i in range(5000)))
            eq([m.body for m in ch.deliveries(5000, timeout=40)], [b"%06d" % i for i in range(5000)])
            c.close()


@tls
def test_large_bodies_both_ways(broker):
    with node() as b:
        for version in VERSIONS:
            c = connect(b, client_context(version=version), timeout=40)
            ch = c.channel()
            queue = ch.declare(exclusive=True).queue
            for size in (0, 1, 16384, 16385, 100000, MIB, 10 * MIB):
                body = body_of(size)
                ch.publish("", queue, body)
                ok(ch.get(queue).body == body, "%d octets came back otherwise" % size)
            c.close()


@tls
def test_large_bodies_by_many_at_once(broker):
    with node({"threads": "2"}) as b:
        failures = []

        def work(number):
            try:
                c = connect(b, client_context(version=VERSIONS[number % 2]), timeout=40)
                ch = c.channel()
                queue = ch.declare(exclusive=True).queue
                body = bytes([number]) * (700000 + number)
                for _ in range(5):
                    ch.publish("", queue, body)
                for _ in range(5):
                    ok(ch.get(queue).body == body, "another body")
                c.close()
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


@tls
def test_one_that_brings_much_does_not_stop_the_others(broker):
    """On one loop: a body of 100 MiB as fast as it goes, and somebody who asks small things meanwhile."""
    with node({"threads": "1"}) as b:
        heavy, light = connect(b), connect(b).channel()
        heavy.channel()
        size = 100 * MIB
        heavy.wire.send(method_frame(1, "basic.publish", exchange="", routing_key="nowhere") + header_frame(1, size))
        records = 25
        chunk = b"".join(body_frame(1, b"x" * 131064) for _ in range(records))
        slowest, answers, done = 0.0, 0, threading.Event()

        def pump():
            for _ in range(size // (records * 131064)):
                heavy.wire.send(chunk)
            done.set()

        pumping = threading.Thread(target=pump)
        pumping.start()
        while not done.is_set():
            began = time.monotonic()
            light.sync()
            slowest = max(slowest, time.monotonic() - began)
            answers += 1
        pumping.join()
        ok(answers >= 20 and slowest < 1, "%d answers, the slowest after %.2f s" % (answers, slowest))
        heavy.abort()


# --- peers that stop --------------------------------------------------------------------------------------------

@tls
def test_peers_that_die_amid_a_record(broker):
    with node() as b:
        before = len(os.listdir("/proc/%d/fd" % b.process.pid))
        for hard in (False, True):
            for part in (1, 5, 20, 3000):
                c = connect(b)
                ch = c.channel()
                octets = c.wire.seal(b"".join(publish_frames(1, "", "nowhere", b"x" * 500) for _ in range(10)))
                c.wire.sock.sendall(octets[:part])
                if hard:
                    c.abort()
                else:
                    c.wire.sock.close()
                del ch
        wait_until(lambda: len(os.listdir("/proc/%d/fd" % b.process.pid)) <= before, 15, "descriptors closed")
        connect(b).close()


@tls
def test_broken_records(broker):
    """What the keys do not fit: an alert (bad record mac), then the end."""
    with node() as b:
        for version in VERSIONS:
            c = connect(b, client_context(version=version))
            octets = bytearray(c.wire.seal(method_frame(0, "connection.close", reply_code=200, reply_text="")))
            octets[-1] ^= 1
            c.wire.sock.sendall(octets)
            try:
                c.wire.read_to_end()
                raise RuntimeError("no alert")
            except ssl.SSLError as alert:
                ok("BAD_RECORD_MAC" in str(alert).upper().replace(" ", "_"), str(alert))
            address = "127.0.0.1:%d" % c.wire.sock.getsockname()[1]
            wait_said(b, r"\[warning\] closing connection %s .*: TLS failed: .*bad record mac" % address)


@tls
@lasts(10)
def test_reader_that_never_reads(broker):
    """What is due to one that does not read stays where it is: memory is bounded, and it may go on later."""
    with node({"log.connection.level": "error"}) as b:
        sender = connect(b).channel()
        queue = sender.declare("stuck").queue
        body = b"x" * 100000
        for _ in range(500):
            sender.publish("", queue, body)
        sender.sync()
        settled(b)
        before = rss(b)
        for version in VERSIONS:
            stuck = connect(b, client_context(version=version), rcvbuf=4096).channel()
            stuck.send("basic.consume", queue=queue, no_ack=True)
            settled(b)
            if not b.sanitized():
                ok(rss(b) - before < 24, "%.1f MiB more" % (rss(b) - before))
            stuck.take("basic.consume-ok")
            for _ in range(20):
                eq(stuck.delivery().body, body)
            stuck.connection.abort()


@tls
@lasts(10)
def test_replies_that_nobody_reads(broker):
    """Reading stops when too many replies wait, and goes on once they are read; the octets within TLS too."""
    with node({"log.connection.level": "error"}) as b:
        c = connect(b, rcvbuf=4096)
        ch = c.channel()
        before = rss(b)
        count = 120000
        one = method_frame(1, "queue.declare", queue="q" * 255, exclusive=True)
        octets, sent = c.wire.seal(one * count), 0
        writable = select.poll()
        writable.register(c.wire.sock, select.POLLOUT)
        c.wire.sock.setblocking(False)
        while sent < len(octets) and writable.poll(1500):
            with contextlib.suppress(BlockingIOError):
                sent += c.wire.sock.send(octets[sent:sent + 100000])
        c.wire.sock.setblocking(True)
        ok(sent < len(octets), "all requests were taken although no reply was read")
        if not b.sanitized():
            ok(rss(b) - before < 24, "%.1f MiB more" % (rss(b) - before))
        rest = threading.Thread(target=c.wire.sock.sendall, args=(octets[sent:],))
        rest.start()
        for _ in range(count):
            ch.take("queue.declare-ok", timeout=40)
        rest.join()
        c.close()


# --- keys that change -------------------------------------------------------------------------------------------

@tls
def test_key_updates(broker):
    """openssl s_client asks for new keys (K) and changes its own (k), between frames and within one."""
    with node() as b:
        with SClient(b, "-tls1_3") as client:
            client.wait(rb"Verify return code")
            client.say(amqp_raw.PROTOCOL_HEADER)
            client.wait(rb"mechanisms|PLAIN")
            start_ok = method_frame(0, "connection.start-ok", client_properties={}, mechanism="PLAIN",
                                    response=b"\0guest\0guest", locale="en_US")
            for letter in b"KkKKkk":
                client.say(bytes([letter]) + b"\n")
                client.wait(rb"KEYUPDATE")
            client.say(start_ok[:10])
            time_for(client)
            client.say(b"K\n")
            client.wait(rb"KEYUPDATE")
            client.say(start_ok[10:])
            client.wait(rb"\x00\x0a\x00\x1e")       # connection.tune
            client.say(b"K\n")
            client.wait(rb"KEYUPDATE")
            client.say(method_frame(0, "connection.tune-ok", channel_max=10, frame_max=131072, heartbeat=0) +
                       method_frame(0, "connection.open", virtual_host="/"))
            client.wait(rb"\x00\x0a\x00\x29")       # connection.open-ok


def time_for(client):
    """s_client takes what stands on its input as one: wait until it has taken what was said last."""
    wait_until(lambda: unread(client) == 0, 10, "s_client has read its input")


def unread(client):
    size = array.array("i", [0])
    fcntl.ioctl(client.process.stdin.fileno(), termios.FIONREAD, size)
    return size[0]


# --- the end ----------------------------------------------------------------------------------------------------

@tls
def test_the_end_is_said_by_the_server(broker):
    """After the client's close-ok: close_notify, then the socket's end."""
    with node() as b:
        for version in VERSIONS:
            c = connect(b, client_context(version=version))
            c.channel().send("basic.qos", prefetch_size=1)
            c.wait_close()
            c.send(0, "connection.close-ok")
            ok(c.wire.end_seen(), "no close_notify")


@tls
def test_the_end_is_said_by_the_client(broker):
    """close_notify without connection.close: what was sent counts, the answer is close_notify and the end."""
    with node() as b:
        for version in VERSIONS:
            c = connect(b, client_context(version=version))
            ch = c.channel()
            queue = ch.declare("kept.%s" % version.name).queue
            ch.publish("", queue, b"before the end")
            c.wire.say_end()
            ok(c.wire.end_seen(), "no close_notify")
            eq(connect(b).channel().get(queue).body, b"before the end")


@tls
def test_the_end_of_the_socket_alone(broker):
    """No close_notify, as many clients do it: the session ends like a plain one."""
    with node() as b:
        c = connect(b)
        ch = c.channel()
        queue = ch.declare("kept").queue
        ch.publish("", queue, b"before the end")
        c.wire.half_close()
        c.wire.end_seen()
        eq(connect(b).channel().get(queue).body, b"before the end")


@tls
def test_no_end_is_said_behind_a_refusal(broker):
    """Wrong protocol header within TLS: the right one, then the end."""
    with node() as b:
        wire = TlsWire(b)
        wire.send(b"GET / HTTP/1.1\r\n\r\n")
        eq(wire.read_to_end(), amqp_raw.PROTOCOL_HEADER)
        ok(wire.told_end, "no close_notify")


@tls
def test_heartbeats_go_through(broker):
    with node() as b:
        c = connect(b, heartbeat=1)
        wait_until(lambda: (c.poll(), len(c.heartbeats) >= 2)[1], 15, "heartbeats")
        text = s_client(b)
        ok("mechanisms" in text or "PLAIN" in text, text)
        wait_said(b, "missed heartbeats from client")
        ok(c.wire.end_seen(), "no close_notify")


@tls
@lasts(8)
def test_idle_connections_are_small(broker):
    """At most 40 KiB each, with what the kernel does not count left out."""
    with node({"log.connection.level": "error"}) as b:
        if b.sanitized():
            return
        context = client_context()
        first = [connect(b, context) for _ in range(50)]
        settled(b)
        before = rss(b)
        more = [connect(b, context) for _ in range(400)]
        settled(b)
        each = (rss(b) - before) * 1024 / len(more)
        ok(each <= 40, "%.1f KiB for each" % each)
        for c in first + more:
            c.wire.close()
