#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""RPC: a question and its answer.

For calls to a service whose address nobody should need to know, with as many servers as it takes. The answer
comes by direct reply-to: no queue is made for it. The question expires when its caller has stopped waiting,
so that a server that comes back does not answer what nobody asks any more.
"""
import atexit
import os
import signal
import subprocess
import sys
import time
import uuid

import pika
from pika.exceptions import UnroutableError

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
REPLY_TO = "amq.rabbitmq.reply-to"


def serve():
    channel = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    channel.queue_declare("square", durable=True)
    channel.basic_qos(prefetch_count=1)
    for method, asked, body in channel.consume("square"):
        answer = pika.BasicProperties(correlation_id=asked.correlation_id)
        channel.basic_publish("", asked.reply_to, str(int(body) ** 2), answer)  # dropped if the caller has gone
        channel.basic_ack(method.delivery_tag)


class Caller:
    def __init__(self):
        self.channel = pika.BlockingConnection(pika.URLParameters(URL)).channel()
        self.channel.queue_declare("square", durable=True)
        self.channel.confirm_delivery()
        self.channel.basic_consume(REPLY_TO, self.take, auto_ack=True)

    def take(self, _channel, _method, properties, body):
        if properties.correlation_id == self.waits_for:  # else it is late, and nobody waits for it
            self.answer = body

    def call(self, service, body, seconds=5.0):
        self.waits_for, self.answer = str(uuid.uuid4()), None
        self.channel.basic_publish("", service, body, mandatory=True, properties=pika.BasicProperties(
            reply_to=REPLY_TO, correlation_id=self.waits_for, expiration=str(int(seconds * 1000))))
        deadline = time.monotonic() + seconds
        while self.answer is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{service} did not answer within {seconds} s")
            self.channel.connection.process_data_events(max(0, deadline - time.monotonic()))
        return self.answer


def main():
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("not done within 60 s"))
    signal.alarm(60)
    caller = Caller()

    def wait_for_servers(count):
        while caller.channel.queue_declare("square", passive=True).method.consumer_count != count:
            caller.channel.connection.sleep(0.01)

    servers = [subprocess.Popen([sys.executable, __file__, "serve"]) for _ in range(2)]
    for server in servers:
        atexit.register(server.kill)
    wait_for_servers(2)
    answers = [int(caller.call("square", str(i))) for i in range(20)]
    assert answers == [i * i for i in range(20)], answers

    for server in servers:
        server.kill()
        server.wait()
    wait_for_servers(0)
    try:
        caller.call("square", "7", seconds=0.2)
        raise AssertionError("there was nobody to answer")
    except TimeoutError:
        pass
    while caller.channel.queue_declare("square", passive=True).method.message_count > 0:
        caller.channel.connection.sleep(0.01)  # until the question has expired
    try:
        caller.call("cube", "7")
        raise AssertionError("there is no such service")
    except UnroutableError:
        pass
    caller.channel.connection.close()
    print("20 answers; without a server a call timed out and its question expired; a wrong name failed at once")


if len(sys.argv) > 1:
    serve()
else:
    main()
