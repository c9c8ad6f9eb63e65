#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A bounded queue, and its three answers when it is full: drop the oldest, refuse the newest, block the producer.

Drop the oldest where only the latest counts (positions, prices). Refuse the newest where whoever asks should
be told "later" at once (an order form). Block the producer where everything must go through and the producer
can wait (an import).
"""
import os
import signal
import threading

import pika
from pika.exceptions import NackError

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
PERSISTENT = pika.BasicProperties(delivery_mode=2)
ROOM = 5


def connect():
    channel = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    channel.confirm_delivery()
    return channel


def declare(channel, queue, overflow):
    channel.queue_declare(queue, durable=True, arguments={"x-max-length": ROOM, "x-overflow": overflow})


def take_all(channel, queue):
    bodies = []
    while (got := channel.basic_get(queue, auto_ack=True))[0]:
        bodies.append(int(got[2]))
    return bodies


def drop_the_oldest(channel):
    declare(channel, "positions", "drop-head")
    for i in range(8):
        assert is_taken(channel, "positions", i)
    assert take_all(channel, "positions") == [3, 4, 5, 6, 7], "the newest were to stay"


def is_taken(channel, queue, body):
    """Publish; tell whether the broker took it. Only who waits for confirms learns that."""
    try:
        channel.basic_publish("", queue, str(body), PERSISTENT, mandatory=True)
        return True
    except NackError:
        return False


def refuse_the_newest(channel):
    declare(channel, "requests", "reject-publish")
    taken = [is_taken(channel, "requests", i) for i in range(8)]
    assert taken == [True] * 5 + [False] * 3, taken
    assert take_all(channel, "requests") == [0, 1, 2, 3, 4]


def publish_when_there_is_room(channel, queue, body):
    pause = 0.005
    while not is_taken(channel, queue, body):
        channel.connection.sleep(pause)  # which also answers heartbeats
        pause = min(2 * pause, 1)


def consume(queue, bodies, count):
    channel = connect()
    channel.basic_qos(prefetch_count=1)
    for method, _, body in channel.consume(queue):
        bodies.append(int(body))
        channel.basic_ack(method.delivery_tag)
        if len(bodies) == count:
            break
    channel.connection.close()


def block_the_producer(channel):
    declare(channel, "rows", "reject-publish")
    for i in range(ROOM):
        publish_when_there_is_room(channel, "rows", i)
    assert not is_taken(channel, "rows", ROOM), "there was room for one more"
    rows = []
    consumer = threading.Thread(target=consume, args=("rows", rows, 100), daemon=True)
    consumer.start()
    for i in range(ROOM, 100):
        publish_when_there_is_room(channel, "rows", i)
    consumer.join()
    assert rows == list(range(100)), "everything was to come through, in order"


def main():
    signal.alarm(60)  # what has not happened by then will not
    channel = connect()
    drop_the_oldest(channel)
    refuse_the_newest(channel)
    block_the_producer(channel)
    channel.connection.close()
    print("the oldest 3 dropped; the newest 3 refused; 100 rows through a queue of 5, and none lost")


main()
