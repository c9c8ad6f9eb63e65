# SPDX-License-Identifier: Apache-2.0
"""Who does what with an order, and the exchange and queues for it; whoever starts first makes them.

                      +- order.placed ---> orders.payment   ---> payment
    shop ---> orders -+- order.paid -----> orders.inventory ---> inventory
              (topic) +- order.reserved -> orders.shipping  ---> shipping notice
                      +- order.shipped --> orders.mail      ---> mail

Each worker tells of what it has done as an event of the same exchange, so that none knows of the others, and
a new one, say for statistics, is a queue more.
"""
import os

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
PERSISTENT = pika.BasicProperties(delivery_mode=2, content_type="application/json")
WORKERS = {  # name: (the event it waits for, the event it tells of)
    "payment": ("order.placed", "order.paid"),
    "inventory": ("order.paid", "order.reserved"),
    "shipping": ("order.reserved", "order.shipped"),
    "mail": ("order.shipped", "order.mailed"),
}
EVENTS = ["order.placed"] + [tells for _, tells in WORKERS.values()]


def connect():
    channel = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    channel.confirm_delivery()
    channel.exchange_declare("orders", "topic", durable=True)
    for name, (event, _) in WORKERS.items():
        channel.queue_declare(f"orders.{name}", durable=True)
        channel.queue_bind(f"orders.{name}", "orders", event)
    return channel
