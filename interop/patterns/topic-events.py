#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Events by topic: each subscriber says which kinds of events it wants.

For events that several services follow, each its own choice of them. The routing key tells what happened
where, from the general to the particular (order.eu.paid); a binding's * stands for one word, its # for any
number. A publisher that asks for it (mandatory) learns of an event that nobody wanted.
"""
import os
import signal

import pika
from pika.exceptions import UnroutableError

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
SUBSCRIPTIONS = {
    "billing": ["order.*.paid", "order.*.refunded"],
    "europe": ["*.eu.#"],
    "orders": ["order.#"],
}
EVENTS = ["order.eu.placed", "order.us.placed", "order.us.paid", "stock.eu.low.shoes", "order.eu.refunded"]
EXPECTED = {
    "billing": ["order.us.paid", "order.eu.refunded"],
    "europe": ["order.eu.placed", "stock.eu.low.shoes", "order.eu.refunded"],
    "orders": ["order.eu.placed", "order.us.placed", "order.us.paid", "order.eu.refunded"],
}


def main():
    signal.alarm(60)  # what has not happened by then will not
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.exchange_declare("events", "topic", durable=True)
    for queue, patterns in SUBSCRIPTIONS.items():
        channel.queue_declare(queue, durable=True)
        for pattern in patterns:
            channel.queue_bind(queue, "events", pattern)

    channel.confirm_delivery()

    def publish(event):
        channel.basic_publish("events", event, b"{}", pika.BasicProperties(delivery_mode=2), mandatory=True)

    for event in EVENTS:
        publish(event)
    try:
        publish("invoice.us.sent")
        raise AssertionError("an event that nobody wants was not returned")
    except UnroutableError as returned:
        assert returned.messages[0].method.reply_code == 312

    for queue, expected in EXPECTED.items():
        got = []
        for method, _, _ in channel.consume(queue):
            got.append(method.routing_key)
            channel.basic_ack(method.delivery_tag)
            if len(got) == len(expected):
                break
        more = channel.cancel()
        assert (got, more) == (expected, 0), f"{queue} got {got} and {more} more"
    connection.close()
    print("each subscriber got the events it asked for, and one that nobody wanted came back")


main()
