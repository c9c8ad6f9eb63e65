#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""At most once: what is lost is lost, nothing comes twice.

For readings of which the next one comes soon anyway. Nothing is kept on disk, confirmed or acknowledged: a
message is gone from the queue when it is sent to the consumer. What a consumer had been sent when it died is
lost; no message is handled twice. The queue has a limit, for nothing else slows the publisher or keeps
messages from piling up while nobody reads.
"""
import os
import signal
import subprocess
import sys

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")


def connect():
    channel = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    channel.queue_declare("readings", durable=True, arguments={"x-max-length": 1000})
    channel.queue_declare("seen", durable=True)
    return channel


def consume(crash_at):
    channel = connect()
    for method, _, body in channel.consume("readings", auto_ack=True):
        assert not method.redelivered
        if body == crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
        channel.basic_publish("", "seen", body)
        if body == b"20":
            break
    channel.connection.close()


def main():
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("not done within 60 s"))
    signal.alarm(60)
    channel = connect()

    def measure(first, last):
        for i in range(first, last + 1):
            channel.basic_publish("", "readings", str(i))  # transient, as delivery_mode is 1 unless it is given

    measure(1, 10)
    first = subprocess.run([sys.executable, __file__, "3"], check=False)
    assert first.returncode == -signal.SIGKILL, "the first consumer was to die"
    while channel.queue_declare("readings", passive=True).method.consumer_count > 0:
        channel.connection.sleep(0.01)  # until the broker knows: what it sends before is lost too
    measure(11, 20)
    subprocess.run([sys.executable, __file__, "never"], check=True)

    seen = []
    for method, _, body in channel.consume("seen", auto_ack=True):
        seen.append(int(body))
        if seen[-1] == 20:
            break
    channel.connection.close()
    lost = sorted(set(range(1, 21)) - set(seen))
    assert len(seen) == len(set(seen)), f"some came twice: {seen}"
    assert 3 in lost and max(lost) <= 10, f"lost were {lost}"
    print(f"{len(seen)} of 20 readings seen, none twice; {len(lost)} died with their consumer")


if len(sys.argv) > 1:
    consume(sys.argv[1].encode())
else:
    main()
