#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Publish/subscribe: everybody who subscribes gets a copy of everything.

For news that the publisher sends without knowing who reads them. Each subscriber has a queue of its own: one
without a name lives as long as its connection (a screen that shows what is new), one with a name keeps what
comes while its reader is away (an archive).
"""
import os
import signal

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")


class Subscriber:
    def __init__(self, name=""):
        self.connection = pika.BlockingConnection(pika.URLParameters(URL))
        self.channel = self.connection.channel()
        self.channel.exchange_declare("news", "fanout", durable=True)
        declared = self.channel.queue_declare(name, durable=bool(name), exclusive=not name)
        self.queue = declared.method.queue
        self.channel.queue_bind(self.queue, "news")

    def read(self, count):
        """The next COUNT news."""
        news = []
        for method, _, body in self.channel.consume(self.queue):
            news.append(body.decode())
            self.channel.basic_ack(method.delivery_tag)
            if len(news) == count:
                break
        self.channel.cancel()
        return news

    def leave(self):
        self.connection.close()


def main():
    signal.alarm(60)  # what has not happened by then will not
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    publisher = connection.channel()
    publisher.exchange_declare("news", "fanout", durable=True)
    publisher.confirm_delivery()

    def publish(text):
        publisher.basic_publish("news", "", text, pika.BasicProperties(delivery_mode=2))

    Subscriber("archive").leave()  # from now on there is its queue, and it fills
    screen, other_screen = Subscriber(), Subscriber()
    publish("one")
    publish("two")
    assert other_screen.read(2) == ["one", "two"]
    other_screen.leave()
    late = Subscriber()
    publish("three")

    assert screen.read(3) == ["one", "two", "three"], "a screen saw all that was sent while it was there"
    assert late.read(1) == ["three"], "who comes late gets what comes later"
    assert Subscriber("archive").read(3) == ["one", "two", "three"], "the archive missed nothing while it was away"
    print("each screen saw what came while it was there, the archive everything")


main()
