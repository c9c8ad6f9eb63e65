# SPDX-License-Identifier: Apache-2.0
"""No file descriptor is left: what needs one waits, and nothing is broken by it."""

import os
import resource
import threading
import time

import amqp_raw
from daemon import Daemon
from harness import eq, ok, slow

BODY = b"." * (32 << 10)
MESSAGES = 400      # far more than the memory for them


def lowest_free(pid):
    taken = {int(name) for name in os.listdir("/proc/%d/fd" % pid)}
    return min(set(range(len(taken) + 1)) - taken)


def processor_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@slow
def test_messages_wait_for_descriptors(broker):
    """Those that are to be written, and those that are to be read back."""
    with Daemon("--set", "memory_window=1MiB", data=True) as node:
        ch = node.connect().channel()
        ch.declare("q", durable=True)
        ch.confirm()
        pid = node.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        for _ in range(MESSAGES):
            ch.publish_confirmed("", "q", BODY, {"delivery_mode": 2})
        publisher = node.connect().channel()    # is held when too much waits for the journal
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free(pid), hard))
        ch.send("basic.get", queue="q", no_ack=True)

        def publish():
            publisher.connection.wire.sock.settimeout(60)
            for _ in range(2 * MESSAGES):
                publisher.publish("", "q", BODY, {"delivery_mode": 2})

        publishing = threading.Thread(target=publish)
        publishing.start()
        node.wait_log("Too many open files")
        before, began = processor_seconds(pid), time.monotonic()
        while time.monotonic() - began < 2:
            try:
                ch.connection.pump(0.1)
            except amqp_raw.Timeout:
                pass
        ok(processor_seconds(pid) - before < 0.5, "it spins")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        publishing.join(60)
        eq(ch.take("basic.get-ok").body, BODY)
        second, got = node.connect().channel(), 1
        while got < 3 * MESSAGES:
            got += len(second.drain("q"))
