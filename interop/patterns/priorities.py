#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Priorities: the urgent overtake those that wait.

For a queue in which now and then something cannot wait (a customer at the counter among the night's reports).
A few levels do. Messages that a consumer has already been given are not overtaken: with priorities the
prefetch is to be small.
"""
import os
import signal

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
SENT = [("report 1", 0), ("report 2", 0), ("report 3", 0), ("customer", 2), ("alarm", 3), ("report 4", 0)]


def order_of_work(prefetch):
    """Publish while a consumer with this PREFETCH is there, and tell in which order it works."""
    publisher = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    publisher.queue_declare("prints", durable=True, arguments={"x-max-priority": 3})
    publisher.confirm_delivery()

    worked = []

    def work(channel, method, _properties, body):
        worked.append(body.decode())
        channel.basic_ack(method.delivery_tag)

    consumer = pika.BlockingConnection(pika.URLParameters(URL))
    channel = consumer.channel()
    channel.basic_qos(prefetch_count=prefetch)
    channel.basic_consume("prints", work)
    for text, priority in SENT:
        publisher.basic_publish("", "prints", text, mandatory=True,
                                properties=pika.BasicProperties(delivery_mode=2, priority=priority))
    while len(worked) < len(SENT):
        consumer.process_data_events(1)
    consumer.close()
    publisher.connection.close()
    return worked


def main():
    signal.alarm(60)  # what has not happened by then will not
    careful, greedy = order_of_work(prefetch=1), order_of_work(prefetch=100)
    print(f"prefetch 1:   {', '.join(careful)}\nprefetch 100: {', '.join(greedy)}")
    assert careful == ["report 1", "alarm", "customer", "report 2", "report 3", "report 4"], careful
    assert greedy == [text for text, _ in SENT], "what a consumer holds is not overtaken"


main()
