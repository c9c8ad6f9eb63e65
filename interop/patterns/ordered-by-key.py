#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ordered by key: what concerns one customer is handled in order, different customers side by side.

For events of which those of one account must not overtake each other. A consistent-hash exchange gives each
routing key to one of some queues, always the same. On each queue a single consumer is active; another stands
by, and takes over where the first one ended. What was not acknowledged by then comes again, in its order.
"""
import atexit
import os
import signal
import subprocess
import sys

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
# One for each consumer that is to be at work; with another number of them, keys go to other queues.
QUEUES = [f"accounts.{i}" for i in range(4)]
PERSISTENT = pika.BasicProperties(delivery_mode=2)
KEYS, EVENTS = [f"account-{i}" for i in range(10)], 20


def connect():
    channel = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    channel.exchange_declare("accounts", "x-consistent-hash", durable=True)
    for queue in QUEUES:
        channel.queue_declare(queue, durable=True, arguments={"x-single-active-consumer": True})
        channel.queue_bind(queue, "accounts", "1")  # its weight: how many of the keys it gets, beside the others
    channel.queue_declare("done", durable=True)
    channel.confirm_delivery()
    return channel


def consume(name):
    channel = connect()
    channel.basic_qos(prefetch_count=10)

    def handle(_channel, method, _properties, body):
        if name == "first" and body == b"account-3:7":
            os.kill(os.getpid(), signal.SIGKILL)
        channel.basic_publish("", "done", f"{name}:{body.decode()}", PERSISTENT)
        channel.basic_ack(method.delivery_tag)

    for queue in QUEUES:
        channel.basic_consume(queue, handle)
    channel.start_consuming()


def start(channel, name, consumers):
    """Start a consumer, and wait until it is on all queues."""
    process = subprocess.Popen([sys.executable, __file__, name])
    atexit.register(process.kill)
    while any(channel.queue_declare(queue, passive=True).method.consumer_count < consumers for queue in QUEUES):
        channel.connection.sleep(0.01)
    return process


def main():
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("not done within 60 s"))
    signal.alarm(60)
    channel = connect()
    first, second = start(channel, "first", 1), start(channel, "second", 2)
    for number in range(EVENTS):
        for key in KEYS:
            channel.basic_publish("accounts", key, f"{key}:{number}", PERSISTENT, mandatory=True)

    seen, names = {key: [] for key in KEYS}, set()
    for _, _, body in channel.consume("done", auto_ack=True):
        name, key, number = body.decode().split(":")
        names.add(name)
        if int(number) not in seen[key]:  # else it comes again, done but not acknowledged when the first one died
            seen[key].append(int(number))
        if all(len(numbers) == EVENTS for numbers in seen.values()):
            break
    second.terminate()
    second.wait()
    channel.connection.close()

    assert first.wait() == -signal.SIGKILL, "the first consumer was to die"
    assert names == {"first", "second"}, names
    wrong = {key: numbers for key, numbers in seen.items() if numbers != list(range(EVENTS))}
    assert not wrong, f"out of order: {wrong}"
    print(f"{len(KEYS)} keys with {EVENTS} events each, in order, though a consumer died")


if len(sys.argv) > 1:
    consume(sys.argv[1])
else:
    main()
