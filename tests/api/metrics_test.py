# SPDX-License-Identifier: Apache-2.0
"""Metrics for Prometheus (cli-and-metrics.md 3): names, types, labels and values of every endpoint."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from api_harness import Node, Skip, definitions, differs, eq, matches, ok, path, settings, wait_until
from certificates import Authority
from harness import policy, user
from prometheus_text import Metrics

HERE = os.path.dirname(os.path.abspath(__file__))
ETC = os.path.join(HERE, "..", "..", "etc")
HOSTILE = ['quote"back\\slash', "tab\there", "caf\u00e9 \u4e2d\U0001f407", "{braces},=", " "]
QUORUM_OR_STREAM = ("rabbit_quorum_queue", "rabbit_stream_queue")

coney = differs("coney's own")


def address(broker):
    if broker.is_coney:
        return broker.server.address(broker.server.said, "metrics")
    listeners = broker.get("overview")["listeners"]
    return broker.http_host, [l["port"] for l in listeners if l["protocol"] == "http/prometheus"][0]


def fetch(where, endpoint="/metrics", verb="GET"):
    connection = http.client.HTTPConnection(*where, timeout=60)
    try:
        connection.request(verb, endpoint)
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def scrape(broker, endpoint="/metrics"):
    status, headers, body = fetch(address(broker), endpoint)
    eq(status, 200, endpoint)
    eq(headers["content-type"], "text/plain; version=0.0.4")
    return Metrics(body)


def node_address(node):
    host, port = [line.split()[2] for line in node.listening if line.startswith("listening metrics ")][0].split(":")
    return host, int(port)


def scrape_node(node, endpoint="/metrics"):
    return Metrics(fetch(node_address(node), endpoint)[2])


def kernel_has_tls():
    with open("/proc/sys/net/ipv4/tcp_available_ulp", encoding="ascii") as names:
        return "tls" in names.read().split()


# ---- endpoints ----

@coney  # RabbitMQ 3.10 forgets to escape labels
def test_every_endpoint_is_well_formed_with_hostile_names(broker):
    ch = broker.channel()
    names = [broker.name() + odd for odd in HOSTILE]
    broker.names += names
    for name in names:
        ch.declare(name)
        ch.exchange("x." + name)
        broker.names.append("x." + name)
    for endpoint in ("/metrics", "/metrics/detailed"):
        scrape(broker, endpoint)
    scrape(broker, "/metrics/detailed?family=exchange_bindings&family=exchange_names&family=exchange_metrics")
    for endpoint, prefix in (("/metrics/per-object", ""), ("/metrics/detailed?family=queue_coarse_metrics", "detailed_")):
        found = wait_until(lambda: [scrape(broker, endpoint)] if set(names) <= {
            labels["queue"] for labels, _ in scrape(broker, endpoint).samples(
                "rabbitmq_%squeue_messages_ready" % prefix)} else None)[0]
        for name in names:
            eq(found.value("rabbitmq_%squeue_messages" % prefix, queue=name, vhost="/"), 0)


@coney
@settings()
def test_vhosts_with_hostile_names_and_octets_that_readers_do_not_take(broker):
    for vhost in ("new\nline", 'quote"', "back\\slash\\n"):
        broker.put(path("vhosts", vhost))
        broker.channel(vhost=vhost).declare("q")
        for endpoint in ("/metrics/per-object", "/metrics/detailed?family=queue_metrics&family=vhost_status"):
            found = scrape(broker, endpoint)
        eq(found.value("rabbitmq_cluster_vhost_status", vhost=vhost), 1)
        eq(found.value("rabbitmq_detailed_queue_messages_bytes", vhost=vhost), 0)
    ch = broker.channel()
    for name in ("a\0b", "a\ufffdFF"):
        ch.declare(name)
    found = scrape(broker, "/metrics/per-object").samples("rabbitmq_queue_messages", vhost="/")
    eq({labels["queue"] for labels, _ in found}, {"a\ufffd00b", "a\ufffdEF\ufffdBF\ufffdBDFF"})


def test_who_it_is(broker):
    found = scrape(broker)
    identity = found.samples("rabbitmq_identity_info")
    eq(len(identity), 1, "identities")
    labels, value = identity[0]
    eq(value, 1)
    overview = broker.get("overview") if not broker.is_coney else None
    for label in ("rabbitmq_node", "rabbitmq_cluster", "rabbitmq_cluster_permanent_id"):
        ok(labels[label], label)
    if overview:
        eq((labels["rabbitmq_node"], labels["rabbitmq_cluster"]), (overview["node"], overview["cluster_name"]))
    eq(len(found.samples("rabbitmq_build_info")), 1)


@coney
def test_each_endpoint_says_which_it_is(broker):
    for endpoint, name in (("", "aggregated"), ("/per-object", "per-object"), ("/detailed", "detailed"),
                           ("/memory-breakdown", "memory-breakdown")):
        labels, _ = scrape(broker, "/metrics" + endpoint).samples("rabbitmq_identity_info")[0]
        eq(labels["rabbitmq_endpoint"], name)


def test_paths_that_are_not_there(broker):
    eq(fetch(address(broker), "/metrics/nothing")[::2], (404, b"Unknown Registry"))
    for where in ("/", "/api/overview"):
        eq(fetch(address(broker), where)[0], 404, where)
    if broker.is_coney:
        eq(fetch(address(broker), "/metricsx")[0], 404)
        eq(fetch(address(broker), verb="POST")[0], 405)
    ok(fetch(address(broker), verb="HEAD")[0] in (200, 204), "HEAD")


def users():
    return {"users": [user("manager", tags=("management",)), user("watcher", tags=("monitoring",))]}


@coney
@definitions(users)
def test_on_the_port_of_the_api_who_may_monitor_logs_in(broker):
    def status(name=None, anonymous=False):
        connection = http.client.HTTPConnection(broker.http_host, broker.http_port, timeout=20)
        connection.request("GET", "/metrics/per-object", None, {} if anonymous else broker.headers(name, None))
        try:
            return connection.getresponse().status
        finally:
            connection.close()
    eq(status(anonymous=True), 401)
    eq(status("manager"), 401)
    eq(status("watcher"), 200)
    eq(status(), 200)


@coney
@settings(prometheus__path="/prom", prometheus__return_per_object_metrics="true")
def test_path_and_kind_are_configured(broker):
    broker.channel().declare("q")
    eq(scrape(broker, "/prom").value("rabbitmq_queue_messages", queue="q"), 0)
    eq(scrape(broker, "/prom/detailed").samples("rabbitmq_queue_messages"), [])
    eq(fetch(address(broker))[0], 404)


@coney
def test_over_tls_and_only_so(_):
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        server = authority.certificate("server")
        with Node("--set", "prometheus.tcp.port=none", "--set", "prometheus.ssl.port=0", "--set",
                  "prometheus.ssl.certfile=" + server.cert, "--set", "prometheus.ssl.keyfile=" + server.key) as node:
            told = [line for line in node.listening if line.startswith("listening metrics")]
            eq(len(told), 1, told)
            url = "https://localhost:%s/metrics" % told[0].rsplit(":", 1)[1]
            with urllib.request.urlopen(url, timeout=20, context=ssl.create_default_context(cafile=authority.cert)) as got:
                ok(Metrics(got.read()).value("coney_tls_handshakes_total") is not None, url)


@coney
def test_a_reload_decides_about_each_object(_):
    with Node(config="prometheus.return_per_object_metrics = false\n") as node:
        node.connect().channel().declare("q", durable=True)
        eq(scrape_node(node).samples("rabbitmq_queue_messages", queue="q"), [])
        node.write("coney.conf", "prometheus.return_per_object_metrics = true\n")
        node.post("coney/reload")
        wait_until(lambda: scrape_node(node).samples("rabbitmq_queue_messages", queue="q"))


# ---- what is asked for ----

def wanted():
    with open(os.path.join(HERE, "dashboards.tsv"), encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                _, name, labels = (line.rstrip("\n") + "\t").split("\t")[:3]
                yield name, [label.split("=", 1) for label in labels.split()]


def lacks(found, name, labels):
    given = {label[0]: label[1] for label in labels if len(label) == 2}
    return not any(all(label[0] in its for label in labels) for its, _ in found.samples(name, **given))


@coney
@settings()
def test_what_dashboards_query_is_there_from_the_start(broker):
    found = scrape(broker)
    eq([(name, labels) for name, labels in wanted() if lacks(found, name, labels)], [])
    zero = [name for name, _ in wanted() if name.startswith("rabbitmq_global_") and found.sum(name)]
    eq(zero, [], "a new node has counted")


def documented():
    """coney's own series in doc/METRICS.md, where `_b_c` behind `coney_a_x` stands for coney_a_b_c."""
    names = set()
    with open(os.path.join(HERE, "..", "..", "doc", "METRICS.md"), encoding="utf-8") as text:
        for line in text:
            stem = ""
            for name in re.findall(r"`([a-z_]+)[^`]*`", line.split("|")[1] if line.startswith("| `coney_") else ""):
                stem = "_".join(name.split("_")[:2]) if name.startswith("coney_") else stem
                names.add(stem + name if name.startswith("_") else name)
    return names


@coney
def test_what_coney_adds_is_documented(broker):
    told = {family for endpoint in ("/metrics", "/metrics/per-object", "/metrics/memory-breakdown")
            for family in scrape(broker, endpoint).families if family.startswith("coney_")}
    eq((sorted(told - documented()), sorted(documented() - told)), ([], []), "not in METRICS.md, not told")


def test_types_are_those_of_rabbitmq(broker):
    found = scrape(broker).families
    for name, kind in (("queue_messages_ready", "gauge"), ("connections_opened_total", "counter"),
                       ("global_messages_routed_total", "counter"), ("global_publishers", "gauge"),
                       ("identity_info", "untyped"), ("build_info", "untyped"),
                       ("alarms_memory_used_watermark", "untyped"), ("process_open_fds", "gauge"),
                       ("channel_messages_published_total", "counter"), ("channel_prefetch", "gauge"),
                       ("connection_incoming_bytes_total", "counter"), ("connection_channels", "gauge"),
                       ("io_sync_time_seconds_total", "counter"), ("auth_attempts_total", "counter"),
                       ("queue_process_memory_bytes", "gauge"), ("queue_disk_reads_total", "counter")):
        eq(found["rabbitmq_" + name].type, kind, name)


@coney
def test_detailed_has_what_was_asked_for(broker):
    ch, mine, other = broker.channel(), broker.name(), broker.new_vhost()
    there = broker.channel(vhost=other)
    ch.declare(mine)
    there.declare("q")
    nothing = scrape(broker, "/metrics/detailed")
    eq({name for name in nothing.families if name.startswith("rabbitmq_")}, {"rabbitmq_build_info", "rabbitmq_identity_info"})
    eq(set(scrape(broker, "/metrics/detailed?family=nonsense").families), set(nothing.families))
    coarse = scrape(broker, "/metrics/detailed?family=queue_coarse_metrics")
    eq({name[18:] for name in coarse.families if name.startswith("rabbitmq_detailed_")},
       {"queue_messages_ready", "queue_messages_unacked", "queue_messages", "queue_process_reductions_total"})
    ok(coarse.samples("rabbitmq_detailed_queue_messages", queue=mine), "mine")
    only = scrape(broker, "/metrics/detailed?vhost=%s&family=queue_coarse_metrics&family=channel_metrics" % other)
    eq([labels for labels, _ in only.samples("rabbitmq_detailed_queue_messages")], [{"vhost": other, "queue": "q"}])
    eq([labels["vhost"] for labels, _ in only.samples("rabbitmq_detailed_channel_consumers")], [other])
    both = scrape(broker, "/metrics/detailed?vhost=%s&vhost=%%2F&family=vhost_status" % other)
    eq({labels["vhost"] for labels, _ in both.samples("rabbitmq_cluster_vhost_status")}, {other, "/"})
    connections = scrape(broker, "/metrics/detailed?vhost=%s&family=connection_metrics" % other)
    eq([value for _, value in connections.samples("rabbitmq_detailed_connection_channels")], [1])


@coney
def test_families(broker):
    ch, x, q = broker.channel(), broker.name("x"), broker.name()
    ch.exchange(x, "fanout")
    ch.declare(q)
    ch.bind(q, x)
    ch.publish(x, "", b"12345")
    ch.expect_count(q, 1)
    labels = {"vhost": "/", "exchange": x}
    for family, series, its, value in (
            ("exchange_bindings", "rabbitmq_cluster_exchange_bindings", dict(labels, type="fanout"), 1),
            ("exchange_names", "rabbitmq_cluster_exchange_name", dict(labels, type="fanout"), 1),
            ("exchange_metrics", "rabbitmq_detailed_exchange_messages_published_total", labels, 1),
            ("exchange_metrics", "coney_detailed_exchange_messages_routed_total", labels, 1),
            ("vhost_status", "rabbitmq_cluster_vhost_status", {"vhost": "/"}, 1),
            ("queue_metrics", "rabbitmq_detailed_queue_messages_bytes", {"vhost": "/", "queue": q}, 5),
            ("queue_consumer_count", "rabbitmq_detailed_queue_consumers", {"vhost": "/", "queue": q}, 0),
            ("queue_exchange_metrics", "rabbitmq_detailed_queue_messages_published_total", {"vhost": "/", "queue": q}, 1),
            ("ra_metrics", "rabbitmq_detailed_raft_term_total", {}, 0)):
        eq(scrape(broker, "/metrics/detailed?family=" + family).value(series, **its), value, series)
    for family in ("connection_churn_metrics", "node_coarse_metrics", "node_metrics", "node_persister_metrics",
                   "auth_attempt_metrics", "coney_metrics", "queue_delivery_metrics", "coney_queue_metrics",
                   "channel_exchange_metrics", "channel_queue_metrics", "channel_process_metrics",
                   "connection_coarse_metrics"):
        found = scrape(broker, "/metrics/detailed?family=" + family).families
        ok(any("_detailed_" in name for name in found), family)


# ---- values ----

def traffic(broker):
    """Known traffic; the queue's name."""
    ch, q = broker.channel(), "q"
    ch.declare(q)
    for size in (1, 100, 101, 20000):
        ch.publish("", q, b"x" * size)
    ch.publish("", "nowhere", b"", mandatory=True)
    ch.take("basic.return")
    ch.publish("", "nowhere", b"")
    confirming = broker.channel()
    confirming.confirm()
    confirming.publish_confirmed("", q, b"confirmed")
    ch.expect_count(q, 5)
    ch.get(q, no_ack=True)
    got = ch.get(q, no_ack=False)
    ch.nack(got.delivery_tag)
    ch.consume(q)
    deliveries = ch.deliveries(4)
    for delivery in deliveries[:3]:
        ch.ack(delivery.delivery_tag)
    ch.sync()
    return q


@coney
@settings()
def test_counts_after_known_traffic(broker):
    before = scrape(broker)
    traffic(broker)
    found = scrape(broker)

    def by(name, **labels):
        name = "rabbitmq_global_" + name
        eq([found.sum(name, queue_type=kind) for kind in QUORUM_OR_STREAM], [0, 0])
        return found.sum(name, protocol="amqp091", **labels)

    eq([by("messages_" + name + "_total") for name in
        ("received", "received_confirm", "confirmed", "routed", "unroutable_returned", "unroutable_dropped")],
       [7, 1, 1, 5, 1, 1])
    eq([by("messages_" + name + "_total") for name in
        ("delivered", "delivered_consume_manual_ack", "delivered_consume_auto_ack", "delivered_get_manual_ack",
         "delivered_get_auto_ack", "redelivered", "acknowledged", "get_empty")],
       [6, 4, 0, 1, 1, 1, 3, 0])
    eq((by("publishers"), by("consumers")), (2, 1))
    eq([found.value("rabbitmq_" + name) for name in ("connections", "channels", "queues", "consumers")], [2, 2, 1, 1])
    eq([found.value("rabbitmq_queue_messages" + name) for name in ("", "_ready", "_unacked")], [1, 0, 1])
    eq(found.value("rabbitmq_channel_messages_unacked"), 1)
    eq(found.value("rabbitmq_connection_channels"), 2)
    grown = [found.value("rabbitmq_" + name) - before.value("rabbitmq_" + name) for name in
             ("connections_opened_total", "connections_closed_total", "channels_opened_total", "queues_created_total")]
    eq(grown, [2, 0, 2, 1])
    sizes = {labels["le"]: value for labels, value in found.samples("rabbitmq_message_size_bytes_bucket")}
    eq(sizes, {"100.0": 5, "1000.0": 6, "10000.0": 6, "100000.0": 7, "1e+06": 7, "1e+07": 7, "5e+07": 7,
               "1e+08": 7, "+Inf": 7})
    eq(found.value("rabbitmq_message_size_bytes_sum"), 1 + 100 + 101 + 20000 + 9)
    eq(found.value("rabbitmq_auth_attempts_succeeded_total", protocol="amqp091"), 2)


@coney
@settings()
def test_each_queue_channel_and_connection(broker):
    q = traffic(broker)
    found = scrape(broker, "/metrics/per-object")
    mine = {"vhost": "/", "queue": q}
    for name, value in (("messages", 1), ("messages_unacked", 1), ("consumers", 1), ("messages_published_total", 5),
                        ("messages_delivered_ack_total", 4), ("messages_acked_total", 3), ("get_total", 1),
                        ("get_ack_total", 1), ("messages_redelivered_total", 1), ("messages_unacked_bytes", 9)):
        eq([value for _, value in found.samples("rabbitmq_queue_" + name, **mine)], [value], name)
    eq(str(found.value("rabbitmq_queue_head_message_timestamp", **mine)), "nan")
    eq(sorted(value for _, value in found.samples("rabbitmq_channel_messages_published_total")), [1, 6])
    for labels, _ in found.samples("rabbitmq_channel_messages_published_total"):
        matches(labels["channel"], r"^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+ \(1\)$")
    received = found.samples("rabbitmq_connection_incoming_bytes_total")
    eq(len(received), 2)
    ok(min(value for _, value in received) > 100 and max(value for _, value in received) > 20000, received)
    for labels, _ in received:
        eq(labels["channel"], labels["connection"])
        matches(labels["connection"], r"^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$")
    total = scrape(broker)
    ok(total.value("rabbitmq_connection_incoming_bytes_total") >= sum(value for _, value in received), "sum")


@coney
@settings()
def test_get_of_nothing(broker):
    ch = broker.channel()
    ch.declare("q")
    eq(ch.get("q"), None)
    eq(scrape(broker).sum("rabbitmq_global_messages_get_empty_total"), 1)
    eq(scrape(broker, "/metrics/per-object").value("rabbitmq_queue_get_empty_total", queue="q"), 1)


@coney
@settings()
def test_deaths(broker):
    ch = broker.channel()
    ch.declare("dead")
    ch.declare("dlx", args={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    ch.declare("plain", args={"x-max-length": 1})
    for _ in range(3):
        ch.publish("", "plain", b"")
    ch.publish("", "dlx", b"")
    ch.expect_count("dlx", 1)
    ch.reject(ch.get("dlx", no_ack=False).delivery_tag, requeue=False)
    ch.expect_count("dead", 1)
    found = scrape(broker)
    dead = "rabbitmq_global_messages_dead_lettered_%s_total"
    eq(found.value(dead % "maxlen", dead_letter_strategy="disabled", queue_type="rabbit_classic_queue"), 2)
    eq(found.value(dead % "rejected", dead_letter_strategy="at_most_once", queue_type="rabbit_classic_queue"), 1)
    each = scrape(broker, "/metrics/per-object")
    eq({(labels["queue"], labels["reason"]): value for labels, value in each.samples("coney_queue_deaths_total")},
       {("plain", "maxlen"): 2, ("dlx", "rejected"): 1})
    eq(found.value("coney_queue_deaths_total", reason="maxlen"), 2)


@coney
def test_no_count_goes_back_when_a_vhost_is_deleted(broker):
    name = broker.new_vhost()
    ch = broker.channel(vhost=name)
    ch.declare("q")
    for _ in range(10):
        ch.publish("", "q", b"x")
    ch.expect_count("q", 10)
    before = scrape(broker)
    broker.delete(path("vhosts", name))
    after = scrape(broker)
    for name, family in before.families.items():
        if family.type == "counter" and not name.startswith(("rabbitmq_queue_", "rabbitmq_channel_", "rabbitmq_connection_",
                                                             "coney_queue_")):
            for (sample, labels), value in family.samples.items():
                ok(after.families[name].samples[(sample, labels)] >= value, "%s %s went back" % (sample, labels))


@coney
def test_scrapes_while_vhosts_come_and_go(broker):
    stop = threading.Event()
    failures = []

    def keep_scraping():
        while not stop.is_set():
            try:
                scrape(broker, "/metrics/per-object")
            except AssertionError as error:
                failures.append(error)
                return

    scraper = threading.Thread(target=keep_scraping)
    scraper.start()
    try:
        for _ in range(3):
            name = broker.new_vhost()
            ch = broker.channel(vhost=name)
            for i in range(1200):
                ch.send("queue.declare", queue="q%d" % i, nowait=True)
            ch.sync()
            broker.delete(path("vhosts", name))
    finally:
        stop.set()
        scraper.join()
    eq(failures, [])


# ---- coney's own ----

@coney
def test_journal_logins_requests_and_runs_move(broker):
    before, q = scrape(broker), broker.name()
    ch = broker.channel()
    ch.declare(q, durable=True)
    ch.confirm()
    ch.publish_confirmed("", q, b"x" * 3000, {"delivery_mode": 2})
    broker.get("whoami")
    broker.refused("GET", "whoami", user="nobody", status=401)
    after = scrape(broker)

    def grown(name, **labels):
        return after.value(name, **labels) - before.value(name, **labels)

    ok(grown("coney_journal_written_bytes_total") > 3000, "octets")
    for name in ("coney_journal_syncs_total", "coney_journal_batches_total", "coney_journal_records_total",
                 "coney_journal_sync_seconds_total", "rabbitmq_io_sync_ops_total", "rabbitmq_io_sync_time_seconds_total"):
        ok(grown(name) > 0, name)
    ok(after.value("coney_journal_largest_batch_bytes") > 3000, "largest batch")
    ok(grown("coney_vhost_batches_total") >= grown("coney_vhost_runs_total") > 0, "runs, and a batch or more in each")
    ok(0 < grown("coney_vhost_run_seconds_total") < 60, "time inside vhosts")
    ok(grown("coney_http_requests_total") >= 2, "requests")
    ok(grown("coney_logins_total", protocol="amqp091", result="accepted") >= 1, "AMQP")
    ok(grown("coney_logins_total", protocol="http", result="accepted") >= 1, "HTTP")
    eq(grown("coney_logins_total", protocol="http", result="unknown_user"), 1)
    eq(grown("rabbitmq_auth_attempts_failed_total", protocol="http"), 1)
    eq(after.value("coney_store_enabled"), 1)
    ok(len(after.samples("coney_loop_turns_total")) >= 1, "loops")
    ok(grown("coney_process_cpu_seconds_total") >= 0, "processor")


@coney
@settings()
def test_what_waits_for_clients_and_for_loops(broker):
    def outbox():
        return scrape(broker).value("coney_outbox_bytes")

    eq(outbox(), 0)
    ch = broker.channel()
    ch.declare("q")
    for _ in range(400):
        ch.publish("", "q", b"x" * 100000)
    ch.expect_count("q", 400)
    slow = broker.channel()
    slow.consume("q")               # and is not read for now
    wait_until(lambda: outbox() > 100000, what="octets on their way")
    slow.deliveries(400)
    wait_until(lambda: outbox() == 0, what="all was taken")
    slow.connection.abort()
    ch.expect_count("q", 400)       # ready again
    gone = broker.channel()
    gone.consume("q")
    wait_until(lambda: outbox() > 100000, what="octets on their way to somebody else")
    gone.connection.abort()
    wait_until(lambda: outbox() == 0, what="nobody is there to take them")
    found = scrape(broker)
    for name in ("coney_loop_lag_seconds", "coney_vhost_wait_seconds"):
        ok(found.samples(name) and all(0 < value < 5 for _, value in found.samples(name)), name)


@coney
@settings(vm_memory_high_watermark__absolute="1MiB", memory_window="1GiB")
def test_who_is_blocked(broker):
    eq(scrape(broker).value("coney_connections_blocked"), 0)
    ch = broker.channel()
    ch.declare("q")

    def is_blocked():
        ch.publish("", "q", b"x" * 200000)
        found = scrape(broker)
        return found.value("coney_connections_blocked") == 1 and found.value("rabbitmq_alarms_memory_used_watermark") == 1

    wait_until(is_blocked, what="a blocked connection", pause=0.001)


@coney
@definitions(lambda: {"policies": [policy("relaxed", "/", "^relaxed", {"durability": "relaxed"})]})
def test_relaxed_queues(broker):
    before = scrape(broker).value("coney_queues_relaxed")
    ch = broker.channel()
    ch.declare("relaxed.1", durable=True)
    ch.declare("safe.1", durable=True)
    eq(scrape(broker).value("coney_queues_relaxed") - before, 1)


@coney
def test_ages(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    eq(scrape(broker, "/metrics/per-object").value("coney_queue_oldest_message_age_seconds", queue=q), 0)
    ch.publish("", q, b"")
    wait_until(lambda: scrape(broker, "/metrics/detailed?family=coney_queue_metrics").value(
        "coney_detailed_queue_oldest_message_age_seconds", queue=q) > 0, what="age")


@coney
def test_certificates_and_handshakes(broker):
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        long, short = authority.certificate("long", days=(-1, 20)), authority.certificate("short", days=(-1, 3))
        values = {"listeners.ssl.1": "127.0.0.1:0", "ssl_options.certfile": long.cert, "ssl_options.keyfile": long.key,
                  "ssl_options.sni.short.certfile": short.cert, "ssl_options.sni.short.keyfile": short.key}
        with Node(*[word for key, value in values.items() for word in ("--set", "%s=%s" % (key, value))]) as node:
            found = scrape_node(node)
            left = {(labels["file"], labels["server_name"]): value / 86400
                    for labels, value in found.samples("coney_tls_certificate_expires_in_seconds")}
            eq(set(left), {(long.cert, ""), (short.cert, "short")})
            ok(2 < left[short.cert, "short"] <= 3 and 19 < left[long.cert, ""] <= 20, left)
            when = found.value("coney_tls_certificate_expiry_timestamp_seconds", server_name="short")
            ok(abs(when - time.time() - 3 * 86400) < 3600, when)
            eq(found.value("coney_tls_handshakes_total"), 0)
            eq(found.value("coney_tls_kernel_connections_total"), 0)
            port = int([line for line in node.listening if line.startswith("listening amqps")][0].rsplit(":", 1)[1])
            subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-quiet"], input=b"",
                           capture_output=True, timeout=20, check=False)
            wait_until(lambda: scrape_node(node).value("coney_tls_handshakes_total") == 1, what="handshake")
            ok(scrape_node(node).value("coney_tls_kernel_connections_total") == kernel_has_tls(), "who encrypts?")
            with open(long.cert, "w", encoding="ascii") as out:
                out.write("spoilt")
            node.process.send_signal(signal.SIGHUP)
            wait_until(lambda: scrape_node(node).value("coney_tls_failed_reloads_total") == 1, what="failed reload")


@coney
def test_counts_begin_anew_with_the_node(broker):
    with Node() as node:
        ch = node.connect().channel()
        ch.declare("q", durable=True)
        ch.confirm()
        ch.publish_confirmed("", "q", b"x", {"delivery_mode": 2})
        eq(scrape_node(node).value("rabbitmq_global_messages_received_total"), 1)
        started = scrape_node(node).value("process_start_time_seconds")
        node.restart()
        found = scrape_node(node)
        eq(found.value("rabbitmq_global_messages_received_total"), 0)
        eq(found.value("rabbitmq_queue_messages_ready"), 1)
        ok(found.value("process_start_time_seconds") >= started, "start")


def many():
    return {"queues": [{"name": "q%05d" % i, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}
                       for i in range(10000)]}


@coney
@definitions(many)
@settings()
def test_ten_thousand_queues(broker):
    before = broker.rss()
    found = scrape(broker, "/metrics/per-object")
    eq(len(found.samples("rabbitmq_queue_messages")), 10000)
    broker.grew_less(before, 24, "rows of 10,000 queues")
    eq(scrape(broker).value("rabbitmq_queues"), 10000)


# ---- Prometheus itself ----

def promtool(*arguments, octets=None):
    tool = shutil.which("promtool")
    if not tool:
        raise Skip("no promtool (package prometheus)")
    done = subprocess.run([tool, *arguments], input=octets, capture_output=True, timeout=60, check=False)
    eq((done.returncode, done.stderr), (0, b""), "promtool %s: %r" % (" ".join(arguments), done.stdout))


@coney
def test_promtool_finds_nothing_to_say(broker):
    broker.channel().declare(broker.name() + HOSTILE[0])
    for endpoint in ("", "/per-object", "/memory-breakdown",
                     "/detailed?family=queue_metrics&family=exchange_bindings&family=vhost_status&family=coney_metrics"):
        promtool("check", "metrics", octets=fetch(address(broker), "/metrics" + endpoint)[2])


@coney
def test_rules_are_good(broker):
    promtool("check", "rules", os.path.join(ETC, "prometheus", "coney-rules.yml"))
    promtool("test", "rules", os.path.join(HERE, "coney-rules-test.yml"))


def series_of(text, found):
    """Names of series in queries that no scrape has."""
    names = set(re.findall(r"\b(?:rabbitmq|coney|process)_[a-z0-9_]+", text))
    return {name for name in names if not found.samples(name) and name not in LABELS and name not in found.families}


LABELS = {"rabbitmq_node", "rabbitmq_cluster", "rabbitmq_endpoint"}


@coney
@settings()
def test_rules_and_dashboard_ask_for_what_there_is(broker):
    with open(os.path.join(ETC, "prometheus", "coney-rules.yml"), encoding="utf-8") as rules:
        text = "".join(line for line in rules if not line.lstrip().startswith("#"))
    with open(os.path.join(ETC, "grafana", "coney-overview.json"), encoding="utf-8") as dashboard:
        panels = [panel for panel in json.load(dashboard)["panels"]]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    ok(len(queries) > 20, "queries")
    eq(series_of(text + "\n".join(queries), scrape(broker)), set())


@coney
@settings()
def test_a_prometheus_scrapes_it(broker):
    tool = shutil.which("prometheus")
    if not tool:
        raise Skip("no prometheus")
    where = ("127.0.0.1", free_port())
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as out:
            json.dump({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                       "rule_files": [os.path.abspath(os.path.join(ETC, "prometheus", "coney-rules.yml"))],
                       "scrape_configs": [{"job_name": "coney", "static_configs": [
                           {"targets": ["%s:%d" % address(broker)]}]}]}, out)
        with open(os.path.join(folder, "log"), "w+b") as log:
            server = subprocess.Popen([tool, "--config.file=" + config, "--storage.tsdb.path=" + folder + "/data",
                                       "--web.listen-address=%s:%d" % where], stdout=log, stderr=log)
            try:
                check_prometheus(server, where)
            finally:
                server.terminate()
                server.wait(30)


def free_port():
    """One that was free a moment ago: Prometheus does not tell which it got."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_prometheus(server, where):
    def query(text):
        ok(server.poll() is None, "prometheus ended")
        try:
            status, _, body = fetch(where, "/api/v1/query?query=" + urllib.parse.quote(text))
        except OSError:
            return None
        return json.loads(body)["data"]["result"] if status == 200 else None

    wait_until(lambda: (query("up") or [{"value": [0, "0"]}])[0]["value"][1] == "1", timeout=60, what="a scrape")
    # As dashboards join: each series with the one identity of its instance.
    for name in ("rabbitmq_queues", "rabbitmq_queue_messages_ready", "rabbitmq_process_open_fds"):
        joined = query(name + ' * on(instance, job) group_left(rabbitmq_cluster, rabbitmq_node)'
                       ' rabbitmq_identity_info{rabbitmq_endpoint="aggregated"}')
        eq(len(joined), 1, name)
        ok(joined[0]["metric"]["rabbitmq_node"], "node")
