# SPDX-License-Identifier: Apache-2.0
"""Tools that people have for RabbitMQ's HTTP API, unchanged, and Celery's inspection. interop/install-packages brings them."""

import json
import os
import shutil
import socket
import subprocess
import tempfile

from api_harness import Skip, eq, ok, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = os.path.join(HERE, "..", "..", "interop", "node_modules")
PATIENCE = 60


def tool(name, *arguments, code=0, **how):
    """What NAME prints; it exits with CODE."""
    where = shutil.which(name)
    if not where:
        raise Skip("no " + name)
    done = subprocess.run([where] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=PATIENCE, check=False, **how)
    eq(done.returncode, code, "%s %s: %s" % (name, " ".join(arguments), done.stdout))
    return done.stdout


def at(broker):
    return ["-H", broker.http_host, "--port", str(broker.http_port), "-u", "guest", "-p", "guest"]


# --- nagios-plugins-rabbitmq --------------------------------------------------------------------------------------

def nagios(broker, check, *arguments, state="OK"):
    code = {"OK": 0, "WARNING": 1, "CRITICAL": 2}[state]
    said = tool("check_rabbitmq_" + check, *at(broker), *arguments, code=code)
    ok(said.startswith("RABBITMQ_%s %s" % (check.upper(), state)), said)
    return said


def test_nagios_checks_find_all_well(broker):
    node = broker.get("overview")["node"].removeprefix("rabbit@")
    broker.channel()  # that no socket is used it does not believe
    for check in ("aliveness", "connections", "objects", "overview"):
        nagios(broker, check)
    for check in ("partition", "server", "watermark"):
        nagios(broker, check, "--node", node)


def test_nagios_counts_messages(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    for _ in range(5):
        ch.publish("", q, b"x")
    ch.expect_count(q, 5)
    wait_until(lambda: broker.get("queues/%2F/" + q).get("messages") == 5)
    ok("messages=5;" in nagios(broker, "queue", "--queue", q), "the figure")
    nagios(broker, "queue", "--queue", q, "-w", "4", state="WARNING")
    nagios(broker, "queue", "--queue", q, "-w", "2", "-c", "4", state="CRITICAL")


# --- rabbitmqadmin ------------------------------------------------------------------------------------------------

def admin(broker, *arguments, code=0):
    return tool("rabbitmqadmin", "-H", broker.http_host, "-P", str(broker.http_port), "-u", "guest", "-p", "guest",
                *arguments, code=code)


def test_rabbitmqadmin_does_a_days_work(broker):
    q, exchange = broker.name(), broker.name("x")
    eq(admin(broker, "declare", "exchange", "name=" + exchange, "type=topic"), "exchange declared\n")
    eq(admin(broker, "declare", "queue", "name=" + q, "durable=true"), "queue declared\n")
    eq(admin(broker, "declare", "binding", "source=" + exchange, "destination=" + q, "routing_key=a.#"), "binding declared\n")
    eq(admin(broker, "publish", "exchange=" + exchange, "routing_key=a.b", "payload=hello"), "Message published\n")
    got = json.loads(admin(broker, "-f", "raw_json", "get", "queue=" + q, "ackmode=ack_requeue_false"))
    eq([(row["payload"], row["routing_key"]) for row in got], [("hello", "a.b")])
    listed = json.loads(admin(broker, "-f", "raw_json", "list", "queues", "name", "durable"))
    ok({"name": q, "durable": True} in listed, listed)
    eq(admin(broker, "delete", "queue", "name=" + q), "queue deleted\n")
    ok("Not found" in admin(broker, "delete", "queue", "name=" + q, code=1), "it is gone")


# --- npm ----------------------------------------------------------------------------------------------------------

def test_npm_packages_read_and_write(broker):
    for package in ("rabbitmq-admin", "rabbitmq-stats"):
        if not os.path.isdir(os.path.join(MODULES, package)):
            raise Skip("no " + package)
    said = tool("node", os.path.join(HERE, "tools.js"), "http://%s:%d" % (broker.http_host, broker.http_port), broker.name(),
                env=dict(os.environ, NODE_PATH=MODULES))
    eq(said, "done\n")


# --- Celery -------------------------------------------------------------------------------------------------------

CELERY = ["/usr/bin/python3", "-m", "celery"]  # Debian's, whose interpreter need not be the first of the path
TASKS = """\
import celery
app = celery.Celery("tasks", broker=%r, backend="rpc://")
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
@app.task
def add(a, b):
    return a + b
"""


def test_celery_inspects_its_workers(broker):
    if subprocess.run(CELERY + ["--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE,
                      check=False).returncode:
        raise Skip("no celery")
    with tempfile.TemporaryDirectory() as folder:
        inspect_celery(broker, folder, broker.new_vhost())


def inspect_celery(broker, folder, vhost):
    with open(os.path.join(folder, "tasks.py"), "w", encoding="ascii") as out:
        out.write(TASKS % ("amqp://guest:guest@%s:%d/%s" % (broker.host, broker.port, vhost)))
    name = "one@%s" % socket.gethostname()

    def celery(kind, *arguments):
        """What Celery prints of the worker, whose answer ends the wait: without -d every call lasts its whole time."""
        return tool(*CELERY, "-A", "tasks", kind, "-t", str(PATIENCE / 2), "-d", name, *arguments, cwd=folder)

    def controlled():
        """Whether the worker hears what is asked of it: its own queue for that, which comes after that of its tasks."""
        return any(consumer["queue"]["name"] == name + ".celery.pidbox"
                   for consumer in broker.ask("GET", "consumers/" + vhost).json)

    with open(os.path.join(folder, "log"), "wb") as log, subprocess.Popen(
            CELERY + ["-A", "tasks", "worker", "-n", name, "--pool", "solo", "--events"], cwd=folder,
            stdout=log, stderr=log) as worker:
        try:
            wait_until(controlled, PATIENCE, "the worker can be asked")
            ok("pong" in celery("inspect", "ping"), "ping")
            ok('"celery"' in celery("inspect", "active_queues", "--json"), "its queue")
            eq(json.loads(celery("inspect", "stats", "--json"))[name]["broker"]["transport"], "amqp")
            celery("control", "add_consumer", "more")
            ok("more" in celery("inspect", "active_queues", "--json"), "the queue that was added")
        finally:
            worker.terminate()
            worker.wait(PATIENCE)
