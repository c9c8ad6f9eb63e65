#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Poison messages, parked after some deliveries and replayed when the consumer is mended.

For queues where one message that cannot be handled (or that kills whoever tries) must not keep its consumers
busy for ever. The queue counts how often it delivered each; who comes back too often is dead-lettered to a
parking queue, where somebody looks at it, mends the consumer, and puts it back:

    coneyctl peek payments.parked
    coneyctl replay payments.parked
"""
import json
import os
import signal
import subprocess

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
CONEYCTL = os.environ.get("CONEYCTL", "coneyctl")  # empty: the broker is not coney
LIMIT = 3  # returns; with the first there are up to four deliveries


def declare(channel):
    channel.queue_declare("payments.parked", durable=True)
    channel.queue_declare("payments", durable=True, arguments={
        "x-queue-type": "quorum",  # RabbitMQ counts deliveries in these only
        "x-delivery-limit": LIMIT, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "payments.parked"})


def work(channel, parse, deliveries):
    """Work until there were so many DELIVERIES; what could be handled."""
    handled = []
    for method, _, body in channel.consume("payments"):
        deliveries -= 1
        try:
            handled.append(parse(body)["amount"])
            channel.basic_ack(method.delivery_tag)
        except ValueError:
            channel.basic_nack(method.delivery_tag, requeue=True)  # a crash would do the same
        if deliveries == 0:
            channel.cancel()
            return handled


def lenient(body):
    """The parser, mended."""
    return json.loads(body.replace(b",}", b"}"))


def main():
    signal.alarm(60)  # what has not happened by then will not
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.confirm_delivery()
    declare(channel)
    for body in ('{"amount": 1}', '{"amount": 2,}', '{"amount": 3}', '{"amount": 4}'):
        channel.basic_publish("", "payments", body, pika.BasicProperties(delivery_mode=2), mandatory=True)

    handled = work(channel, json.loads, deliveries=3 + 1 + LIMIT)
    assert handled == [1, 3, 4], f"one bad message held up the others: {handled}"
    operator = connection.channel()
    _, properties, body = next(operator.consume("payments.parked"))
    death = properties.headers["x-death"][0]
    assert (death["reason"], death["queue"]) == ("delivery_limit", "payments"), death
    operator.close()  # which puts the message back
    print(f"parked after {1 + LIMIT} deliveries: {body.decode()}")

    if CONEYCTL:
        vhost = pika.URLParameters(URL).virtual_host
        subprocess.run([CONEYCTL, "--vhost", vhost, "replay", "payments.parked"], check=True)
        assert work(channel, lenient, deliveries=1) == [2]
        assert channel.basic_get("payments.parked")[0] is None, "it is still there"
        print("replayed, and handled by the mended consumer")
    connection.close()


main()
