# SPDX-License-Identifier: Apache-2.0
"""The verbs that are coney's own, and what RabbitMQ's do when the broker is coneyd."""

import json
import os
import subprocess
import tempfile

from ctl_kit import NODE, STATUS, against, eq, has, run
from fake_api import FakeApi


def asks(coneyctl, arguments, wanted, answers=None, code=0, **kw):
    """The command line makes exactly this request, beside asking for the node's name."""
    method, path, body = wanted
    told = {(method, "/api" + path): (204, ""), **(answers or {})}
    said, asked = against(coneyctl, told, *arguments, **kw)
    eq(said.code, code, said.err)
    eq([one for one in asked if one[1] != "/api/overview?columns=node"], [(method, "/api" + path, body)], arguments)
    return said


def test_node_is_changed_by_its_own_requests(coneyctl):
    for arguments, wanted in (
            (["stop_app"], ("POST", "/coney/stop-app", None)),
            (["start_app"], ("POST", "/coney/start-app", None)),
            (["suspend_listeners"], ("POST", "/coney/suspend-listeners", None)),
            (["resume_listeners"], ("POST", "/coney/resume-listeners", None)),
            (["drain"], ("POST", "/coney/drain", None)),
            (["reload"], ("POST", "/coney/reload", None)),
            (["rotate_logs"], ("POST", "/coney/rotate-logs", None)),
            (["set_alarm", "memory"], ("PUT", "/coney/alarms/memory", None)),
            (["clear_alarm", "disk"], ("DELETE", "/coney/alarms/disk", None)),
            (["set_log_level", "debug"], ("PUT", "/coney/log-level", {"level": "debug"})),
            (["set_log_level", "connection", "debug"],
             ("PUT", "/coney/log-level", {"level": "debug", "category": "connection"})),
            (["set_vm_memory_high_watermark", "0.4"], ("PUT", "/coney/memory-high-watermark", {"relative": 0.4})),
            (["set_vm_memory_high_watermark", "absolute", "2GB"],
             ("PUT", "/coney/memory-high-watermark", {"absolute": "2GB"})),
            (["set_disk_free_limit", "50MB"], ("PUT", "/coney/disk-free-limit", {"absolute": "50MB"})),
            (["set_disk_free_limit", "mem_relative", "1.5"], ("PUT", "/coney/disk-free-limit", {"relative": 1.5})),
            (["set_cluster_name", "x"], ("PUT", "/cluster-name", {"name": "x"})),
            (["trace_on", "-p", "a/b"], ("PUT", "/coney/trace/a%2Fb", None)),
            (["trace_off"], ("DELETE", "/coney/trace/%2F", None))):
        asks(coneyctl, arguments, wanted)


def test_alarm_of_another_name_is_refused(coneyctl):
    eq(run(coneyctl, "set_alarm", "cpu").code, 64)


def test_stop_waits_until_nobody_answers(coneyctl):
    """The broker goes on answering for a while."""
    answers = {("POST", "/api/coney/stop"): (204, ""),
               ("GET", "/api/coney/status"): [(200, dict(STATUS, run_state="stopping"))] * 3 + [(503, "")]}
    said, asked = against(coneyctl, answers, "stop")
    eq(said.code, 0, said.err)
    eq(said.out, "Stopping and halting node coney@here ...\n")
    eq(len([one for one in asked if one[1] == "/api/coney/status"]), 4)


def test_stop_waits_for_the_process(coneyctl):
    """One that lives on for a while after its API is gone, and whose parent takes its time."""
    for path in (lambda socket: socket, os.path.relpath):
        process = subprocess.Popen(["sleep", "0.3"])
        with FakeApi({**NODE, ("POST", "/api/coney/stop"): (204, ""),
                      ("GET", "/api/coney/status"): [(200, dict(STATUS, os_pid=process.pid)), (503, "")]}) as api:
            said = run(coneyctl, "stop", "--socket", path(api.socket))
        eq((said.code, process.poll()), (0, 0), said.err)


def test_stop_of_one_that_does_not_run(coneyctl):
    with tempfile.TemporaryDirectory() as folder:
        eq(run(coneyctl, "stop", socket=folder + "/none").code, 69)
        said = run(coneyctl, "-n", "n", "stop", "--idempotent", socket=folder + "/none")
    eq((said.code, said.out), (0, "Node n is no longer running\n"), said.err)


def test_stop_that_takes_too_long_says_so(coneyctl):
    said, _ = against(coneyctl, {("POST", "/api/coney/stop"): (204, "")}, "stop", "-t", "0.2")
    eq(said.code, 75)
    has(said.err, "has not ended yet")


def test_await_startup_waits_for_the_run_state(coneyctl):
    answers = {("GET", "/api/coney/status"): [(200, dict(STATUS, run_state="app_stopped"))] * 2 + [(200, STATUS)]}
    said, asked = against(coneyctl, answers, "await_startup")
    eq((said.code, said.out, len(asked)), (0, "", 3))
    said, _ = against(coneyctl, {("GET", "/api/coney/status"): (200, dict(STATUS, run_state="app_stopped"))},
                      "await_startup", "-t", "0.2")
    eq(said.code, 75)
    has(said.err, "Error: operation await_startup on node ", "timed out. Timeout value used: 200")


def test_await_startup_waits_for_a_socket_to_appear(coneyctl):
    with tempfile.TemporaryDirectory() as folder:
        said = run(coneyctl, "await_startup", "-t", "0.2", socket=folder + "/none")
    eq(said.code, 75)


def test_wait_reads_a_pid_file(coneyctl):
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/pid", "w", encoding="ascii") as file:
            file.write("%d\n" % os.getpid())
        said, _ = against(coneyctl, {}, "-n", "n", "wait", folder + "/pid")
        eq(said.code, 0, said.err)
        has(said.out, "Waiting for pid file '%s/pid' to appear\npid is %d\n" % (folder, os.getpid()),
            "Applications 'rabbit_and_plugins' are running on node 'n'\n")


def test_check_running_fails_while_amqp_is_stopped(coneyctl):
    answers = {("GET", "/api/coney/status"): (200, dict(STATUS, run_state="app_stopped"))}
    said, _ = against(coneyctl, answers, "-q", "check_running")
    eq((said.code, said.out), (69, ""))
    has(said.err, "RabbitMQ on node coney@here is not running or has not fully booted yet")


def test_health_names_what_fails(coneyctl):
    checks = {("GET", "/api/health/checks/" + check): (200, {"status": "ok"})
              for check in ("virtual-hosts", "protocol-listener/amqp", "certificate-expiration/4/weeks")}
    alarm = (503, {"status": "failed", "reason": "There are alarms", "alarms": [{"node": "n", "resource": "memory"}]})
    said, _ = against(coneyctl, {**checks, ("GET", "/api/health/checks/local-alarms"): alarm}, "health")
    eq(said.code, 69)
    has(said.out, "FAILS no alarm: There are alarms\n", "ok    all vhosts run\n", "ok    the broker runs\n")
    said, _ = against(coneyctl, {**checks, ("GET", "/api/health/checks/local-alarms"): (200, {})}, "health")
    eq(said.code, 0)


def test_alarms_are_told_on_standard_error(coneyctl):
    alarm = (503, {"status": "failed", "reason": "x", "alarms": [{"node": "n", "resource": "disk space"}]})
    said, _ = against(coneyctl, {("GET", "/api/health/checks/local-alarms"): alarm}, "-q", "check_local_alarms",
                      name="rabbitmq-diagnostics")
    eq((said.code, said.out), (69, ""))
    has(said.err, "Node coney@here reported the following local alarms:\n", "Free disk space alarm on node coney@here\n")


def test_status_of_a_coneyd(coneyctl):
    said, _ = against(coneyctl, {}, "status")
    eq(said.code, 0, said.err)
    has(said.out, "OS PID: 4194305\n", "coney version: 0.1.0\n", "RabbitMQ version: 3.13.7\n", "Node name: coney@here\n",
        "Node data directory: /data\n", "Memory alarm\n", "queues: 0.0 gb (25.0 %)\n", "Connection count: 1\n",
        "Memory high watermark setting: 0.4 of available memory, computed to: 4.0 gb\n",
        "Interface: [::], port: 5672, protocol: amqp, purpose: AMQP 0-9-1\n",
        "Interface: /run/coney/amqp, protocol: amqp, purpose: AMQP 0-9-1\n")


def test_environment_and_its_absence(coneyctl):
    said, _ = against(coneyctl, {("GET", "/api/coney/environment"): (200, {"heartbeat": 60, "listeners.tcp.1": "5672"})},
                      "environment", "-q")
    eq((said.code, said.out), (0, "heartbeat = 60\nlisteners.tcp.1 = 5672\n"))
    eq(against(coneyctl, {}, "environment")[0].code, 69)


def test_peek_shows_messages_and_takes_none(coneyctl):
    message = {"payload": "hi\x1b[2J", "payload_encoding": "string", "payload_bytes": 6, "exchange": "e", "redelivered": False,
               "routing_key": "k", "properties": {"headers": {"a": 1}}}
    said, asked = against(coneyctl, {("GET", "/api/queues/v/q/peek?count=3&offset=2"): (200, [message])},
                          "peek", "-p", "v", "q", "--count", "3", "--offset", "2", "-q")
    eq(said.code, 0, said.err)
    eq([one[0] for one in asked], ["GET"])
    has(said.out, "#3\n", "exchange     e\n", 'properties   {"headers":{"a":1}}\n', "payload      hi\\033[2J\n")
    eq(against(coneyctl, {}, "peek", "nosuch")[0].code, 69)


def test_peek_of_rabbitmq_queues_has_a_position(coneyctl):
    said, asked = against(coneyctl, {("GET", "/api/queues/%2F/q/peek?count=1&offset=4"): (200, [])}, "peek", "q", "5",
                          name="rabbitmq-queues")
    eq(said.code, 0, said.err)
    eq(asked[-1][1], "/api/queues/%2F/q/peek?count=1&offset=4")


def test_list_unacked_names_the_connection(coneyctl):
    row = {"age_ms": 12, "delivery_tag": 3, "connection": "127.0.0.1:5 -> 127.0.0.1:5672", "channel": 2, "consumer_tag": "me"}
    said, _ = against(coneyctl, {("GET", "/api/queues/v/q/unacked?count=7"): (200, [row])},
                      "list_unacked", "-p", "v", "q", "--count", "7", "-q")
    eq((said.code, said.out), (0, "age_ms\tdelivery_tag\tconnection\tchannel\tconsumer_tag\n"
                                  "12\t3\t127.0.0.1:5 -> 127.0.0.1:5672\t2\tme\n"))


def test_move_and_replay_send_their_filters(coneyctl):
    answer = {("POST", "/api/queues/%2F/q/move"): (200, {"moved": 3, "skipped": 1})}
    said, asked = against(coneyctl, answer, "-q", "move", "q", "to", "--count", "5", "--header", "n=4", "--reason", "expired")
    eq((said.code, said.out), (0, "3 moved, 1 left where they were\n"))
    eq(asked[-1][2], {"to_queue": "to", "count": 5, "header": {"n": "4"}, "reason": "expired"})
    said, asked = against(coneyctl, answer, "replay", "q", "--original-queue", "o", "--header", "s=text", "-s")
    eq(asked[-1][2], {"original_queue": "o", "header": {"s": "text"}})
    eq(against(coneyctl, answer, "move", "q")[0].code, 64)
    said, asked = against(coneyctl, answer, "-q", "move", "q", "to", "--header", "customer")
    eq((said.code, asked), (64, []))    # without the filter everything would go
    eq(against(coneyctl, {}, "move", "q", "to")[0].code, 69)


def test_tail_prints_lines_and_stops_after_count(coneyctl):
    lines = "".join('{"n":%d}\n' % i for i in range(5))
    path = "/api/coney/tail?vhost=%2F&exchange=e%26x"
    said, _ = against(coneyctl, {("GET", path): (200, lines)}, "-q", "tail", "exchange", "e&x", "--count", "2")
    eq((said.code, said.out), (0, '{"n":0}\n{"n":1}\n'))
    said, _ = against(coneyctl, {("GET", path): (200, lines)}, "-q", "tail", "exchange", "e&x")
    eq((said.code, len(said.out.splitlines())), (0, 5))


def test_tail_tells_why_it_is_refused(coneyctl):
    path = "/api/coney/tail?vhost=%2F&queue=q"
    reason = {"error": "service_unavailable", "reason": "2 clients do\nthat already"}
    said, _ = against(coneyctl, {("GET", path): (503, json.dumps(reason, indent=1) + "\n")}, "-q", "tail", "queue", "q")
    eq((said.code, said.out), (69, ""))
    has(said.err, "Error:\n2 clients do\nthat already\n")


def test_add_user_takes_a_hash_for_one(coneyctl):
    answers = {("PUT", "/api/users/u"): (201, "")}
    said, asked = against(coneyctl, answers, "add_user", "u", "BASE64", "--pre-hashed-password")
    eq((said.code, asked[-1][2]), (0, {"password_hash": "BASE64", "tags": ""}), said.err)


def test_permissions_in_all_vhosts_are_one_result(coneyctl):
    answers = {("GET", "/api/vhosts?columns=name"): (200, [{"name": "v"}, {"name": "w"}])}
    answers.update({("PUT", "/api/permissions/%s/u" % vhost): (204, "") for vhost in "vw"})
    said, asked = against(coneyctl, answers, "set_permissions_globally", "u", "a", "b", "c", "--formatter", "json")
    eq((said.code, json.loads(said.out)), (0, {"node": "coney@here", "result": "ok"}), said.err)
    eq([one[1:] for one in asked if one[0] == "PUT"],
       [("/api/permissions/%s/u" % vhost, {"configure": "a", "write": "b", "read": "c"}) for vhost in "vw"])


def test_list_unresponsive_queues_has_columns(coneyctl):
    rows = [{"name": "q", "state": "crashed", "durable": True}, {"name": "r", "state": "running", "durable": True}]
    said, _ = against(coneyctl, {("GET", "/api/queues/%2F"): (200, rows)}, "list_unresponsive_queues", "-q", "name", "durable")
    eq((said.code, said.out), (0, "name\tdurable\nq\ttrue\n"), said.err)


def test_backup_tells_how_much(coneyctl):
    said, asked = against(coneyctl, {("POST", "/api/coney/backup"): (200, {"octets": 42})}, "-q", "backup", "/b")
    eq(said.code, 0, said.err)
    has(said.out, "42 octets are in /b")
    eq(asked[-1][2], {"path": "/b"})


def test_check_runs_coneyd(coneyctl):
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/coneyd", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho \"$@\"\nexit 65\n")
        os.chmod(folder + "/coneyd", 0o755)
        os.link(coneyctl, folder + "/coneyctl") if os.stat(folder).st_dev == os.stat(coneyctl).st_dev else \
            open(folder + "/coneyctl", "wb").write(open(coneyctl, "rb").read())
        os.chmod(folder + "/coneyctl", 0o755)
        said = run(folder + "/coneyctl", "check", "/some/dir")
    eq((said.code, said.out), (65, "--check /some/dir\n"))


def test_top_once_shows_the_busiest_first(coneyctl):
    def queue(name, rate):
        return {"vhost": "/", "name": name, "messages_ready": 1, "messages_unacknowledged": 2, "consumers": 3, "messages": 3,
                "message_stats": {"publish_details": {"rate": rate}}}
    fields = "vhost,name,messages,messages_ready,messages_unacknowledged,consumers,message_stats,state"
    answers = {("GET", "/api/overview"): (200, {"object_totals": {"queues": 2}, "queue_totals": {}, "message_stats": {}}),
               ("GET", "/api/queues?columns=" + fields): (200, [queue("slow", 0.5), queue("fast", 100.0)])}
    said, _ = against(coneyctl, answers, "top", "--once")
    eq(said.code, 0, said.err)
    names = [line.split()[1] for line in said.out.splitlines()[-2:]]
    eq(names, ["fast", "slow"])
    has(said.out, "0 connections, 0 channels, 0 consumers, 2 queues, 0 exchanges\n", "100.0")


def test_refused_verbs_say_what_to_do(coneyctl):
    for verb, hint in (("eval", "coneyctl environment"), ("reset", "data directory"), ("join_cluster", "one node"),
                       ("encode", "coney.conf"), ("sync_queue", "no mirrors")):
        said = run(coneyctl, verb, "x")
        eq(said.code, 69)
        has(said.err, "Error:\n%s is refused: " % verb, hint)


def test_authenticate_user_asks_coneyd(coneyctl):
    for status, code, out in ((204, 0, "Success\n"), (401, 65, "")):
        said, asked = against(coneyctl, {("POST", "/api/coney/authenticate"): (status, "")}, "-q", "authenticate_user", "u",
                              stdin=b"secret\n")
        eq((said.code, said.out), (code, out))
        eq(asked[-1], ("POST", "/api/coney/authenticate", {"username": "u", "password": "secret"}))


def test_close_connection_takes_a_pid_or_a_name(coneyctl):
    rows = (200, [{"name": "1.2.3.4:5 -> 6", "pid": "<coney@here.1.2.0>"}, {"name": "other"}])
    listing = {("GET", "/api/connections?columns=name,pid"): rows}
    path = "/api/connections/1.2.3.4%3A5%20-%3E%206"
    for given in ("<coney@here.1.2.0>", "1.2.3.4:5 -> 6"):
        with FakeApi({**listing, ("DELETE", path): (204, "")}) as api:
            said = run(coneyctl, "close_connection", given, "too loud", socket=api.socket)
            eq((said.code, said.out), (0, "Closing connection %s, reason: too loud...\n" % given))
            eq(api.asked[-1][:2], ("DELETE", path))
            eq(api.headers[-1]["x-reason"], "too loud")


def test_a_reason_stays_in_its_header(coneyctl):
    path = "/api/connections/username/u"
    with FakeApi({**NODE, ("DELETE", path): (204, "")}) as api:
        said = run(coneyctl, "close_all_user_connections", "u", "a\r\nX-Other: b", socket=api.socket)
        eq(said.code, 0, said.err)
        eq((api.headers[-1]["x-reason"], api.headers[-1]["x-other"]), ("a  X-Other: b", None))


def test_close_all_connections_minds_vhost_and_limit(coneyctl):
    rows = (200, [{"name": "a", "vhost": "v"}, {"name": "b", "vhost": "w"}, {"name": "c", "vhost": "v"}])
    answers = {("GET", "/api/connections?columns=name,vhost"): rows}
    answers.update({("DELETE", "/api/connections/" + name): (204, "") for name in "abc"})
    for arguments, closed in ((["-p", "v"], "ac"), (["--global"], "abc"), (["-p", "v", "--limit", "1"], "a")):
        said, asked = against(coneyctl, answers, "close_all_connections", "bye", *arguments)
        eq(said.code, 0, said.err)
        eq("".join(one[1][-1] for one in asked if one[0] == "DELETE"), closed)
        has(said.out, "Closed %d connections\n" % len(closed))


def test_definitions_go_to_a_file_of_the_owner(coneyctl):
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/defs"
        said, _ = against(coneyctl, {("GET", "/api/definitions"): (200, '{"users": []}')}, "export_definitions", path)
        eq((said.code, said.out), (0, 'Exporting definitions in JSON to a file at "%s" ...\n' % path))
        eq(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, encoding="ascii") as file:
            eq(file.read(), '{"users": []}')
        said, asked = against(coneyctl, {("POST", "/api/definitions"): (204, "")}, "import_definitions", path)
        eq((said.code, asked[-1][2]), (0, {"users": []}), said.err)


def test_definitions_that_are_no_object_are_not_sent(coneyctl):
    for content in (b"[]", b"{", b""):
        said, asked = against(coneyctl, {}, "import_definitions", stdin=content)
        eq((said.code, asked), (65, []))
        has(said.err, "Failed to deserialise input (format: JSON)")


def test_hash_password_makes_what_rabbitmq_makes(coneyctl):
    import base64
    import hashlib
    for arguments, digest in ((["hash_password", "pä"], "sha256"), (["hash_password", "--algorithm", "sha512", "pä"], "sha512")):
        raw = base64.b64decode(run(coneyctl, *arguments).out)
        eq(raw[4:], hashlib.new(digest, raw[:4] + "pä".encode()).digest())
    said = run(coneyctl, "hash_password", "--algorithm", "scrypt", stdin=b"x\n")
    eq(len(base64.b64decode(said.out.rstrip("\n"), validate=True)) > 40, True)
    eq(run(coneyctl, "hash_password", "--algorithm", "rot13", "x").code, 64)


def test_plugins_are_built_in_or_refused(coneyctl):
    for arguments, code in ((["enable", "rabbitmq_management,rabbitmq_shovel"], 0), (["enable", "rabbitmq_mqtt"], 70),
                            (["is_enabled", "rabbitmq_prometheus"], 0), (["disable", "rabbitmq_mqtt"], 0),
                            (["disable", "rabbitmq_management"], 69), (["list", "-q"], 0)):
        said, _ = against(coneyctl, {}, *arguments, name="rabbitmq-plugins")
        eq(said.code, code, "%s: %s" % (arguments, said.err))
