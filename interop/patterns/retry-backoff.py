#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Retry with growing delays, by dead letters and TTL.

For jobs that fail because something else is down for a while. What fails goes to a queue where nobody
consumes, whose messages expire and are then dead-lettered back to the jobs: its TTL is the delay. There is
one for each delay; behind the last is a queue of those that are given up. Other jobs are not held up
meanwhile.
"""
import os
import signal
import time

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
DELAYS_MS = [100, 200, 400]  # in earnest: 5 s, 1 min, 10 min, 1 h


def declare(channel):
    for queue in ("jobs", "jobs.failed"):
        channel.queue_declare(queue, durable=True)
    for ms in DELAYS_MS:  # in one for all RabbitMQ would keep a message of 100 ms waiting behind one of 400
        channel.queue_declare(f"jobs.wait.{ms}", durable=True, arguments={
            "x-message-ttl": ms, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "jobs"})


def send(channel, queue, job, attempt=0):
    properties = pika.BasicProperties(delivery_mode=2, headers={"attempt": attempt})
    channel.basic_publish("", queue, job, properties, mandatory=True)


def do(job, attempt):
    if job == "hopeless" or (job == "flaky" and attempt < 3):
        raise ConnectionError("what the job needs is down")


def work(channel, deliveries):
    """Work until there were so many DELIVERIES; (job, attempt, when) of each."""
    log = []
    for method, properties, body in channel.consume("jobs"):
        job, attempt = body.decode(), properties.headers["attempt"]
        log.append((job, attempt, time.monotonic()))
        try:
            do(job, attempt)
        except ConnectionError:
            queue = f"jobs.wait.{DELAYS_MS[attempt]}" if attempt < len(DELAYS_MS) else "jobs.failed"
            send(channel, queue, job, attempt + 1)
        channel.basic_ack(method.delivery_tag)  # once its successor is safe: who dies in between leaves two, never none
        if len(log) == deliveries:
            return log


def main():
    signal.alarm(60)  # what has not happened by then will not
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.confirm_delivery()
    declare(channel)
    for job in ("flaky", "hopeless", "good"):
        send(channel, "jobs", job)
    log = work(channel, 4 + 4 + 1)
    channel.cancel()

    for job in ("flaky", "hopeless"):
        times = [when for name, _, when in log if name == job]
        delays = [round(1000 * (after - before)) for before, after in zip(times, times[1:])]
        print(f"{job}: tried again after {delays} ms")
        assert len(delays) == 3 and all(is_ms >= ms * 0.95 for is_ms, ms in zip(delays, DELAYS_MS)), delays
    assert [job for job, _, _ in log[:3]] == ["flaky", "hopeless", "good"], "the good job waited for the others"
    _, _, failed = channel.basic_get("jobs.failed")
    assert failed == b"hopeless", failed
    connection.close()  # where it stays, as it was not acknowledged


main()
