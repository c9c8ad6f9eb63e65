#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An idempotent consumer: a message may come twice, what it asks for is done once.

For everything that must be done, but not twice (a payment). Confirms and acknowledgements give at-least-once:
whoever loses the connection before the confirm sends again, and who dies before the acknowledgement is given
the message again. So each message has an id of its own, and the database that is changed notes it in the same
transaction.
"""
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")


def connect():
    channel = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    channel.queue_declare("payments", durable=True)
    channel.confirm_delivery()
    return channel


def consume(database):
    channel, twice = connect(), 0
    db = sqlite3.connect(database)
    db.execute("CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, amount INTEGER)")
    channel.basic_qos(prefetch_count=10)
    for method, properties, body in channel.consume("payments"):
        if properties.type == "end":
            channel.basic_ack(method.delivery_tag)
            break
        with db:  # a transaction: the payment, and that it was made
            made = db.execute("INSERT OR IGNORE INTO payments VALUES (?, ?)", (properties.message_id, int(body)))
        twice += made.rowcount == 0
        if properties.message_id == "payment 3" and not method.redelivered:
            os.kill(os.getpid(), signal.SIGKILL)  # dies when it is paid, but not acknowledged
        channel.basic_ack(method.delivery_tag)
    channel.connection.close()
    print(twice)


def publish(channel, message_id, amount):
    """The id is the payment's, made where the payment is, not where it is sent: sent again it is the same."""
    channel.basic_publish("", "payments", str(amount), mandatory=True,
                          properties=pika.BasicProperties(delivery_mode=2, message_id=message_id))


def main():
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("not done within 60 s"))
    signal.alarm(60)
    channel = connect()
    for i in range(1, 11):
        publish(channel, f"payment {i}", i)
    publish(channel, "payment 5", 5)  # the publisher saw no confirm, and sent it again
    channel.basic_publish("", "payments", "", pika.BasicProperties(type="end"))

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, os.path.join(folder, "payments.db")]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL, "the first consumer was to die"
        twice = int(subprocess.run(command, check=True, capture_output=True).stdout)
        db = sqlite3.connect(command[-1])
        count, total = db.execute("SELECT count(*), sum(amount) FROM payments").fetchone()
        db.close()
    channel.connection.close()
    assert (count, total) == (10, 55), f"{count} payments of {total} in all"
    assert twice >= 2, f"{twice} came twice"  # 3, of the consumer that died, and 5
    print(f"{count} payments of {total} in all; {twice} came twice and were made once")


if len(sys.argv) > 1:
    consume(sys.argv[1])
else:
    main()
