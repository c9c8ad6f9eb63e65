#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Order processing whole: a shop, its workers, and one of them down for a while. Nothing is lost.

For a chain of steps of which each is somebody else's program, and none may hold up or break the others.
topology.py says who is there, worker.py is one of them. Here forty orders are placed; mail dies over one of
them, and is started again when all the rest is done. The books are then checked: each order went through each
step, and each step was done once.
"""
import atexit
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import pika
from topology import EVENTS, PERSISTENT, URL, WORKERS, connect

API = os.environ.get("API_URL", "http://guest:guest@localhost:15672")
ORDERS = 40
CRASH_AT = 7


class Audit:
    """Follows all events, to know what has become of each order."""

    def __init__(self, channel):
        self.channel = channel
        channel.queue_declare("orders.audit", durable=True)
        channel.queue_bind("orders.audit", "orders", "order.#")
        self.orders = {event: set() for event in EVENTS}

    def wait(self, event, count):
        """Until so many orders had EVENT."""
        for method, _, body in self.channel.consume("orders.audit", auto_ack=True):
            self.orders[method.routing_key].add(json.loads(body)["id"])
            if len(self.orders[event]) >= count:
                return


def look_at(queue):
    """What the web page shows of it."""
    api, vhost = urllib.parse.urlparse(API), pika.URLParameters(URL).virtual_host
    path = "/".join(urllib.parse.quote(part, safe="") for part in (vhost, queue))
    login = base64.b64encode(f"{api.username}:{api.password}".encode()).decode()
    request = urllib.request.Request(f"http://{api.hostname}:{api.port}/api/queues/{path}",
                                     headers={"Authorization": f"Basic {login}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def place_orders(channel):
    for i in range(ORDERS):
        order = {"id": f"order-{i}", "item": "shoes", "amount": 80 + i}
        channel.basic_publish("orders", "order.placed", json.dumps(order), PERSISTENT, mandatory=True)


def start(*arguments):
    worker = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(__file__), "worker.py"), *arguments])
    atexit.register(worker.kill)
    return worker


def main(ledger):
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("not done within 60 s"))
    signal.alarm(60)
    channel = connect()
    audit = Audit(connect())
    workers = {name: start(name, ledger) for name in WORKERS if name != "mail"}
    workers["mail"] = start("mail", ledger, f"order-{CRASH_AT}")
    place_orders(channel)
    assert workers["mail"].wait() == -signal.SIGKILL, "mail was to die"
    audit.wait("order.shipped", ORDERS)  # nobody else notices

    while (queue := look_at("orders.mail")).get("consumers") != 0 or queue["messages"] < ORDERS - CRASH_AT:
        time.sleep(0.05)  # RabbitMQ's figures come late
    print(f"mail is down: {queue['messages']} orders wait, the oldest for {queue.get('oldest_message_age_ms', '?')} ms")
    if os.environ.get("WHILE_DOWN"):  # the tests look at the alerts
        subprocess.run([os.environ["WHILE_DOWN"], "orders.mail"], check=True)

    workers["mail"] = start("mail", ledger)
    audit.wait("order.mailed", ORDERS)
    for worker in workers.values():
        worker.terminate()
        worker.wait()

    placed = {f"order-{i}" for i in range(ORDERS)}
    for event, orders in audit.orders.items():
        assert orders == placed, f"{event}: {sorted(placed ^ orders)}"
    done = sorted(os.listdir(ledger))
    assert done == sorted(f"{name}-{order}" for name in WORKERS for order in placed), "the ledger is not complete"
    print(f"{len(placed)} orders placed, paid, reserved, shipped and mailed")


with tempfile.TemporaryDirectory() as temporary:
    main(temporary)
