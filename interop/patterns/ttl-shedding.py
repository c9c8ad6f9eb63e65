#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shedding by TTL: what has waited too long is not worth doing any more.

For questions whose asker gives up after a while (a page that is being loaded). Under overload a queue without
a limit answers everybody late; with a TTL it answers those it can in time, and the rest leave it unanswered.
Here they are dead-lettered, to be counted and looked at.
"""
import os
import signal
import time

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
PATIENCE_MS, WORK_S, BURST = 100, 0.02, 20


def main():
    signal.alarm(60)  # what has not happened by then will not
    publisher = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    publisher.queue_declare("questions.shed", durable=True)
    publisher.queue_declare("questions", durable=True, arguments={
        "x-message-ttl": PATIENCE_MS, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "questions.shed"})
    publisher.confirm_delivery()

    answered = []

    def answer(channel, method, _properties, body):
        time.sleep(WORK_S)  # the work
        answered.append(body.decode())
        channel.basic_ack(method.delivery_tag)

    worker = pika.BlockingConnection(pika.URLParameters(URL))
    channel = worker.channel()
    channel.basic_qos(prefetch_count=1)  # what the worker holds does not expire: let that be little
    channel.basic_consume("questions", answer)
    for i in range(BURST):  # 400 ms of work at once
        publisher.basic_publish("", "questions", f"question {i}", pika.BasicProperties(delivery_mode=2), mandatory=True)

    def shed():
        return publisher.queue_declare("questions.shed", passive=True).method.message_count

    while len(answered) + shed() < BURST:
        worker.process_data_events(0.01)
    print(f"of a burst of {BURST}, {len(answered)} were answered and {shed()} shed")
    assert answered and shed(), "some were to be answered, some shed"
    publisher.basic_publish("", "questions", "after the burst", mandatory=True)
    while answered[-1] != "after the burst":
        worker.process_data_events(0.01)

    asked = {f"question {i}" for i in range(BURST)} | {"after the burst"}
    for _, properties, body in publisher.consume("questions.shed", auto_ack=True):
        assert properties.headers["x-death"][0]["reason"] == "expired"
        answered.append(body.decode())
        if len(answered) == len(asked):
            break
    assert set(answered) == asked, "each was to be answered or shed, none both"
    worker.close()
    publisher.connection.close()


main()
