# SPDX-License-Identifier: Apache-2.0
"""/api/overview, /api/nodes and small paths (management-http-api.md 3.1, 3.2)."""

from api_harness import Node, differs, eq, matches, ok, path, settings, wait_until

OVERVIEW = ("management_version rates_mode sample_retention_policies exchange_types product_version product_name "
            "rabbitmq_version cluster_name erlang_version erlang_full_version disable_stats enable_queue_totals "
            "message_stats churn_rates queue_totals object_totals statistics_db_event_queue node listeners "
            "contexts").split()
NODE = ("name type running os_pid uptime processors run_queue partitions fd_used fd_total sockets_used sockets_total "
        "mem_used mem_limit mem_alarm mem_calculation_strategy disk_free disk_free_limit disk_free_alarm proc_used "
        "proc_total rates_mode exchange_types auth_mechanisms applications contexts log_files db_dir config_files "
        "net_ticktime enabled_plugins cluster_links metrics_gc_queue_length ra_open_file_metrics").split()
WITH_RATE = ("fd_used sockets_used mem_used disk_free proc_used gc_num gc_bytes_reclaimed context_switches "
             "connection_created connection_closed channel_created channel_closed queue_declared queue_created "
             "queue_deleted io_read_count io_read_bytes io_read_avg_time io_write_count io_write_bytes "
             "io_write_avg_time io_sync_count io_sync_avg_time io_seek_count io_seek_avg_time io_reopen_count "
             "mnesia_ram_tx_count mnesia_disk_tx_count msg_store_read_count msg_store_write_count "
             "queue_index_read_count queue_index_write_count").split()
MEMORY = ("connection_readers connection_writers connection_channels connection_other queue_procs quorum_queue_procs "
          "stream_queue_procs stream_queue_replica_reader_procs stream_queue_coordinator_procs plugins other_proc "
          "metrics mgmt_db mnesia quorum_ets other_ets binary msg_index code atom other_system allocated_unused "
          "reserved_unallocated").split()


def has_all(row, names):
    eq([name for name in names if name not in row], [], "missing")


# --- overview ---------------------------------------------------------------------------------------------------

def test_overview_has_all_fields(broker):
    row = broker.get("overview")
    has_all(row, OVERVIEW)
    for name in ("message_stats", "object_totals", "queue_totals", "churn_rates"):
        ok(isinstance(row[name], dict), name)
    has_all(row["object_totals"], ("channels", "connections", "consumers", "exchanges", "queues"))
    for name in ("channel", "connection"):
        has_all(row["churn_rates"], (name + "_created", name + "_created_details", name + "_closed"))
    has_all(row["churn_rates"], ("queue_declared", "queue_created", "queue_deleted", "queue_deleted_details"))
    matches(row["rabbitmq_version"], r"^\d+\.\d+\.\d+")
    eq(row["rates_mode"], "basic")
    ok({"direct", "fanout", "topic", "headers"} <= {t["name"] for t in row["exchange_types"]}, "exchange types")
    for kind in row["exchange_types"]:
        eq((set(kind), kind["enabled"]), ({"name", "description", "enabled"}, True))


def test_listeners_and_contexts(broker):
    row = broker.get("overview")
    found = {l["protocol"]: l for l in row["listeners"]}
    eq((found["amqp"]["port"], found["amqp"]["node"]), (broker.port, row["node"]))
    eq(found["http"]["port"], broker.http_port)
    for listener in row["listeners"]:
        has_all(listener, ("node", "protocol", "ip_address", "port", "socket_opts"))
    ours = [c for c in row["contexts"] if c["description"] == "RabbitMQ Management"]
    eq([c["port"] for c in ours], [str(broker.http_port)])
    eq((ours[0]["path"], ours[0]["node"]), ("/", row["node"]))


def test_totals_follow_what_is_there(broker):
    before = broker.get("overview")["object_totals"]
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue)
    ch.consume(queue, no_ack=False)
    for _ in range(3):
        ch.publish("", queue, b"x")
    ch.delivery()
    wait_until(lambda: broker.get(path("queues", "/", queue)).get("messages") == 3, 20)

    def settled():
        now = broker.get("overview")
        totals = now["object_totals"]
        return (totals["queues"] > before["queues"] and totals["consumers"] > before["consumers"] and
                totals["channels"] >= 1 and totals["connections"] >= 1 and now["queue_totals"]["messages"] >= 3 and
                now["queue_totals"]["messages_unacknowledged"] >= 3 and now["message_stats"].get("publish", 0) >= 3)
    wait_until(settled, 20)
    row = broker.get("overview")
    for name in ("messages", "messages_ready", "messages_unacknowledged"):
        eq(type(row["queue_totals"][name + "_details"]["rate"]), float)
    has_all(row["message_stats"], ("publish_details", "deliver_get", "disk_reads", "disk_writes", "ack", "confirm"))


def test_churn_is_counted(broker):
    before = broker.get("overview")["churn_rates"]
    ch = broker.channel()
    ch.declare(broker.name())
    ch.call("queue.delete", queue=broker.names[-1])
    ch.close()
    ch.connection.close()

    def moved():
        now = broker.get("overview")["churn_rates"]
        return all(now.get(n, 0) > before.get(n, 0) for n in ("connection_created", "connection_closed", "channel_created",
                                                "channel_closed", "queue_declared", "queue_created", "queue_deleted"))
    wait_until(moved, 20)


def test_who_is_no_monitor_gets_the_vhosts_that_are_own(broker):
    vhost = broker.new_vhost()
    user = broker.new_user(tags=("management",), vhosts=(vhost,))
    ch = broker.channel(vhost=vhost)
    ch.declare("q")
    ch.publish("", "q", b"x")
    wait_until(lambda: broker.get("overview", user=user)["queue_totals"].get("messages") == 1, 20)
    row = broker.get("overview", user=user)
    eq((row["object_totals"]["queues"], row["object_totals"]["exchanges"]), (1, 7))
    for hidden in ("listeners", "contexts"):
        ok(hidden not in row, hidden)


def test_only_the_columns_asked_for(broker):
    eq(set(broker.get("overview?columns=rabbitmq_version,node")), {"rabbitmq_version", "node"})


# --- nodes ------------------------------------------------------------------------------------------------------

def test_the_node_has_all_fields(broker):
    rows = broker.get("nodes")
    eq(len(rows), 1)
    row = rows[0]
    has_all(row, NODE + WITH_RATE)
    for name in WITH_RATE:
        rate = row[name + "_details"]["rate"]
        ok(isinstance(rate, float), "%s: %r" % (name, rate))
    eq((row["type"], row["running"], row["partitions"], row["mem_alarm"], row["disk_free_alarm"]),
       ("disc", True, [], False, False))
    matches(row["os_pid"], r"^\d+$")
    ok(0 <= row["mem_used"] < row["mem_limit"], "memory")
    ok(0 < row["fd_used"] < row["fd_total"], "descriptors")
    ok(row["disk_free"] > row["disk_free_limit"], "disk")
    for mechanism in row["auth_mechanisms"]:
        eq(set(mechanism), {"name", "description", "enabled"})
    ok("PLAIN" in [m["name"] for m in row["auth_mechanisms"] if m["enabled"]], "PLAIN")
    for application in row["applications"]:
        eq(set(application), {"name", "description", "version"})
    eq(broker.get(path("nodes", row["name"]))["os_pid"], row["os_pid"])
    ok("rabbitmq_management" in row["enabled_plugins"], "plugins")


def test_exchanges_of_a_deleted_vhost_do_not_count(broker):
    del broker
    with Node() as node:
        def count():
            return node.get("overview")["object_totals"]["exchanges"]

        before = count()
        node.put("vhosts/short-lived")
        node.put("exchanges/short-lived/e", {})
        eq(count(), before + 8)
        node.delete("vhosts/short-lived")
        eq(count(), before)


@differs("of RabbitMQ's 4.x; and a name that is not there is 500 in 3.10")
def test_a_node_by_the_name_that_monitoring_makes(broker):
    name = broker.get("overview")["node"]
    for host in ("127.0.0.1", "localhost", name.split("@")[1]):
        eq(broker.get(path("nodes", "rabbit@" + host))["name"], name)
    for other in ("nope", "rabbit@elsewhere.example.com", "bunny@" + name.split("@")[1]):
        broker.refused("GET", path("nodes", other), status=404)
        broker.refused("GET", path("nodes", other, "memory"), status=404)
    eq(broker.get(path("nodes", name))["being_drained"], False)
    has_all(broker.get(path("nodes", name)), ("rabbitmq_version", "erlang_version", "erlang_full_version"))


def test_memory_is_broken_down(broker):
    name = broker.get("overview")["node"]
    memory = broker.get(path("nodes", name, "memory"))["memory"]
    has_all(memory, MEMORY + ["strategy", "total"])
    has_all(memory["total"], ("erlang", "rss", "allocated"))
    ok(sum(memory[part] for part in MEMORY) > 0, "anything")
    for part in MEMORY:
        eq(type(memory[part]), int, part)
    relative = broker.get(path("nodes", name, "memory", "relative"))["memory"]
    has_all(relative, MEMORY + ["total"])
    eq(relative["total"], 100)
    ok(all(0 <= relative[part] <= 100 for part in MEMORY), relative)
    if broker.is_coney:
        has_all(memory, ("metadata_store", "metadata_store_ets"))


def test_nodes_are_for_monitors(broker):
    user, monitor = broker.new_user(tags=("management",)), broker.new_user(tags=("monitoring",))
    broker.get("nodes", user=monitor)
    broker.refused("GET", "nodes", status=401, user=user)
    broker.refused("GET", path("nodes", broker.get("overview")["node"]), status=401, user=user)


# --- small paths ------------------------------------------------------------------------------------------------

def test_what_tools_ask_first(broker):
    eq(type(broker.get("extensions")), list)
    flags = broker.get("feature-flags")
    ok({"quorum_queue", "user_limits", "virtual_host_metadata"} <= {f["name"] for f in flags}, "flags")
    for flag in flags:
        eq(set(flag), {"name", "desc", "doc_url", "state", "stability", "provided_by"})
        eq(flag["state"], "enabled")
    eq(broker.ask("GET", "auth", anonymous=True).json["enable_uaa"], False)
    eq(broker.post("rebalance/queues").status, 204)


@differs("others look at the statistics of a RabbitMQ meanwhile")
def test_statistics_are_reset(broker):
    broker.delete("reset")
    broker.delete(path("reset", broker.get("overview")["node"]))


def test_a_feature_flag_is_enabled_already(broker):
    how = {"headers": {"content-type": "application/json"}}
    eq(broker.put(path("feature-flags", "quorum_queue", "enable"), **how).status, 204)
    broker.refused("PUT", path("feature-flags", "nope", "enable"), {}, status=400, **how)


@differs("RabbitMQ has them with a plugin")
def test_tools_that_ask_for_federation_are_told_of_none(broker):
    eq(broker.get("federation-links"), [])
    eq(broker.get("federation-links/%2F"), [])
    broker.refused("GET", "federation-links", status=401, user=broker.new_user(tags=("management",)))


@differs("of RabbitMQ's 4.x")
def test_what_came_with_version_4(broker):
    eq(broker.get("deprecated-features"), [])
    eq(broker.get("deprecated-features/used"), [])
    eq(broker.ask("GET", "version", anonymous=True).json, broker.get("overview")["rabbitmq_version"])
    effective = broker.get("config/effective")
    eq((effective["heartbeat"], effective["default_pass"]), ("60", "..."))
    broker.refused("GET", "config/effective", status=401, user=broker.new_user(tags=("monitoring",)))


def test_login_by_a_form(broker):
    user = broker.new_user(tags=("management",))
    nobody = broker.new_user()
    form = {"content-type": "application/x-www-form-urlencoded"}

    def login(name, password):
        return broker.ask("POST", "login", ("username=%s&password=%s" % (name, password)).encode(), headers=form,
                          anonymous=True)
    answer = login(user, user)
    eq((answer.status, answer.json), (200, "ok"))
    eq(login(user, "wrong").status, 401)
    eq(login(nobody, nobody).status, 401)


def test_attempts_to_log_in_are_counted(broker):
    where = path("auth", "attempts", broker.get("overview")["node"])
    broker.connect().close()
    broker.ask("GET", "whoami", user="guest", password="wrong")
    rows = {row["protocol"]: row for row in broker.get(where)}
    for row in rows.values():
        eq(row["auth_attempts"], row["auth_attempts_failed"] + row["auth_attempts_succeeded"])
    ok(rows["http"]["auth_attempts_succeeded"] >= 1 and rows["amqp091"]["auth_attempts_succeeded"] >= 1, rows)
    if broker.is_coney:
        ok(rows["http"]["auth_attempts_failed"] >= 1, rows)
    eq(broker.get(where + "/source"), [])
    broker.refused("GET", where, status=401, user=broker.new_user(tags=("management",)))


@settings(heartbeat=60)
def test_attempts_are_forgotten_on_demand(broker):
    where = path("auth", "attempts", broker.get("overview")["node"])
    for _ in range(20):
        broker.get("whoami")
    broker.delete(where)
    http = {row["protocol"]: row for row in broker.get(where)}["http"]
    ok(http["auth_attempts"] < 5, http)


def test_help_for_people(broker):
    answer = broker.ask("GET", "index.html", anonymous=True)
    eq(answer.status, 200)
    matches(answer.headers["content-type"], "^text/html")
    answer = broker.ask("GET", "", anonymous=True)
    eq(answer.status, 301)
    matches(answer.headers["location"], r"/api/index\.html$")
