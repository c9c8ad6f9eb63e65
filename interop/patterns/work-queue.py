#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Work queue: tasks that several workers share.

For work that takes a while, that any worker can do, and that must not be forgotten when one of them dies.
Start as many workers as it takes; on one queue they compete. Here three share twenty tasks, and one is killed
in the middle of its own.
"""
import atexit
import os
import signal
import subprocess
import sys

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
PERSISTENT = pika.BasicProperties(delivery_mode=2)
WORKERS, TASKS = 3, 20


def connect():
    channel = pika.BlockingConnection(pika.URLParameters(URL)).channel()
    channel.queue_declare("tasks", durable=True)
    channel.queue_declare("results", durable=True)
    channel.confirm_delivery()  # from here on a publish returns when the broker has the message safe, or raises
    return channel


def work(name):
    channel = connect()
    channel.basic_qos(prefetch_count=1)  # who is busy is not given more; with short tasks, let it be some dozens
    for method, _, task in channel.consume("tasks"):
        if task == b"task 3" and not method.redelivered:
            os.kill(os.getpid(), signal.SIGKILL)  # a worker that dies over its task
        channel.basic_publish("", "results", f"{name}:{task.decode()}", PERSISTENT)
        channel.basic_ack(method.delivery_tag)  # now, and not before: until then the task is given to another if we die


def main():
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("not done within 60 s"))
    signal.alarm(60)
    channel = connect()
    workers = [subprocess.Popen([sys.executable, __file__, f"worker {i}"]) for i in range(WORKERS)]
    for worker in workers:
        atexit.register(worker.kill)
    while channel.queue_declare("tasks", passive=True).method.consumer_count < WORKERS:
        channel.connection.sleep(0.01)
    for i in range(1, TASKS + 1):
        channel.basic_publish("", "tasks", f"task {i}", PERSISTENT, mandatory=True)

    done = {}
    for _, _, result in channel.consume("results", auto_ack=True):
        name, task = result.decode().split(":")
        done[task] = name
        if len(done) == TASKS:
            break
    for worker in workers:
        worker.terminate()
    ends = [worker.wait() for worker in workers]
    channel.connection.close()

    assert ends.count(-signal.SIGKILL) == 1, f"one worker was to die, they ended with {ends}"
    assert len(set(done.values())) > 1, f"the workers did not share: {done}"
    print(f"{TASKS} tasks done by {len(set(done.values()))} workers, though one died over its own")


if len(sys.argv) > 1:
    work(sys.argv[1])
else:
    main()
