# SPDX-License-Identifier: Apache-2.0
"""The tasks that the celery-worker scenario sends to its worker."""
import os
import time

from celery import Celery

app = Celery("interop", broker=os.environ["AMQP_URL"].replace("amqp://", "pyamqp://"), backend="rpc://")
app.conf.update(task_default_queue=os.environ["AMQP_PREFIX"] + "celery", worker_prefetch_multiplier=1,
                broker_heartbeat=10, worker_hijack_root_logger=False)


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=5, acks_late=True)
def flaky(self, succeed_at):
    """Fails until the retry of that number, and tells which one it was."""
    if self.request.retries < succeed_at:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task(bind=True, max_retries=1, default_retry_delay=0.1)
def hopeless(self):
    raise self.retry(exc=ValueError("never works"))


@app.task
def now():
    return time.time()
