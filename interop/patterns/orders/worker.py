#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One of the workers: worker.py payment|inventory|shipping|mail LEDGER [CRASH_AT]

It may be killed at any time. The order is acknowledged last, so it comes again if anything was not done by
then; what was done is in the ledger and not done twice. The ledger, a folder of files that can be made once,
stands for a database. For the demonstration it dies over the order CRASH_AT, at the worst moment.
"""
import json
import os
import signal
import sys

from topology import PERSISTENT, WORKERS, connect


def do_once(ledger, name, order):
    """The work: what would charge the card, count the stock, tell the warehouse, write the mail."""
    try:
        with open(os.path.join(ledger, f"{name}-{order['id']}"), "x", encoding="utf-8") as entry:
            json.dump(order, entry)
    except FileExistsError:
        print(f"{name}: {order['id']} is done already", file=sys.stderr)


def work(name, ledger, crash_at=None):
    _, tells = WORKERS[name]
    channel = connect()
    channel.basic_qos(prefetch_count=10)
    for method, _, body in channel.consume(f"orders.{name}"):
        order = json.loads(body)
        do_once(ledger, name, order)
        if order["id"] == crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
        channel.basic_publish("orders", tells, body, PERSISTENT)
        channel.basic_ack(method.delivery_tag)


work(*sys.argv[1:])
