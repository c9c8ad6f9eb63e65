# SPDX-License-Identifier: Apache-2.0
"""connection-and-channel, 4: heartbeats sent, expected, and what silence leads to."""

import time

from amqp_raw import HEARTBEAT, HEARTBEAT_FRAME, Timeout, frame, method_frame
from harness import between, eq, ok, slow


def collect(connection, seconds, answer=False):
    """Read for that long; returns when each heartbeat came, from the start of collecting."""
    began, seen = time.monotonic(), len(connection.heartbeats)
    while True:
        left = began + seconds - time.monotonic()
        try:
            connection.pump(max(left, 0))
        except Timeout:
            return [at - began for at in connection.heartbeats[seen:]]
        if answer:
            connection.wire.send(HEARTBEAT_FRAME)


def test_the_heartbeat_frame(broker):
    c = broker.connect(heartbeat=1)
    c.channel()
    eq(c.wire.read(8, 5), HEARTBEAT_FRAME)


@slow
def test_heartbeats_come_every_half_interval_on_a_quiet_connection(broker):
    c = broker.connect(heartbeat=2)
    c.channel()
    beats = collect(c, 3.6, answer=True)
    between(len(beats), 3, 4, "heartbeats in 3.6 s at an interval of 2 s")
    for one, two in zip(beats, beats[1:]):
        between(two - one, 0.7, 1.4, "gap")


@slow
def test_zero_means_no_heartbeats(broker):
    c = broker.connect(heartbeat=0)
    c.channel()
    eq(collect(c, 3.0), [])
    c.channel()


def test_client_may_ask_for_more_than_offered(broker):
    eq(broker.connect(heartbeat=65535).channel().number, 1)


@slow
def test_busy_connection_gets_no_heartbeats_after_the_first_check(broker):
    c = broker.connect(heartbeat=2)
    ch = c.channel()
    end = time.monotonic() + 4.2
    while time.monotonic() < end:
        ch.sync()
        collect(c, 0.1)
    between(len(c.heartbeats), 0, 1, "heartbeats beside traffic")


@slow
def test_silent_client_is_dropped_after_two_to_three_intervals(broker):
    c = broker.connect(heartbeat=1)
    c.channel()
    began = time.monotonic()
    data = c.wire.read_to_end(8)
    between(time.monotonic() - began, 1.8, 4.0, "seconds until dropped")
    eq(data, HEARTBEAT_FRAME * (len(data) // 8), "octets before the drop: no connection.close")


@slow
def test_any_traffic_counts_as_a_heartbeat(broker):
    """Half a frame every 0.6 s keeps the connection alive, no heartbeat ever sent."""
    c = broker.connect(heartbeat=1)
    ch = c.channel()
    octets = method_frame(1, "channel.flow", active=True)
    for at in range(len(octets)):
        if at % 2 == 0:
            collect(c, 0.6)
        c.wire.send(octets[at:at + 1])
    ch.take("channel.flow-ok")


@slow
def test_heartbeats_keep_a_quiet_connection_alive(broker):
    c = broker.connect(heartbeat=1)
    ch = c.channel()
    for _ in range(10):
        collect(c, 0.5)
        c.wire.send(HEARTBEAT_FRAME)
    ch.sync()


@slow
def test_heartbeat_runs_before_open(broker):
    """They start right after tune-ok."""
    c = broker.connect(heartbeat=1, open_vhost=False)
    beats = collect(c, 1.6, answer=True)
    ok(beats, "no heartbeat before connection.open")


def test_heartbeat_with_payload(broker):
    c = broker.connect()
    c.wire.send(frame(HEARTBEAT, 0, b"x"))
    close = c.wait_close()
    eq((close.reply_code, close.class_id, close.method_id), (501, 0, 0))


def test_heartbeat_with_wrong_frame_end(broker):
    c = broker.connect()
    c.wire.send(frame(HEARTBEAT, 0, b"", end=0))
    close = c.wait_close()
    eq((close.reply_code, close.class_id, close.method_id), (501, 0, 0))


def test_heartbeat_on_a_channel(broker):
    c = broker.connect()
    c.channel()
    c.wire.send(frame(HEARTBEAT, 1, b""))
    c.expect_close(505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", 0, 0)
