# SPDX-License-Identifier: Apache-2.0
"""/api/coney (doc/API.md): how the node is, and having it do things."""

import glob
import os
import re
import socket
import subprocess

import amqp_raw
from api_harness import counts_memory, Client, Node, differs, eq, matches, ok, path, settings, wait_until

STATUS = ("version pid os_pid uptime node data_directory config_files log_files os memory "
          "vm_memory_high_watermark_limit vm_memory_high_watermark_setting disk_free disk_free_limit alarms listeners "
          "file_descriptors totals run_state is_under_maintenance").split()

ours = differs("coney's own")


def client(node, **how):
    return amqp_raw.Connection(*node.address(0), **how)


def is_let_in(node):
    try:
        client(node).close()
        return True
    except OSError:
        return False


def state(node):
    return node.get("coney/status")["run_state"]


# --- what there is ---------------------------------------------------------------------------------------------

@ours
def test_each_path_that_coney_adds_is_documented(_):
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    paths = set()
    for source in glob.glob(os.path.join(top, "src", "admin", "api", "*.c")):
        with open(source, encoding="utf-8") as code:
            paths.update(re.findall(r'^ *(?:DO\(|\{)"(coney/[^"]+)"', code.read(), re.M))
    with open(os.path.join(top, "doc", "API.md"), encoding="utf-8") as text:
        documented = re.findall(r"`/(coney/[^` ]+)`", text.read())
    ok(len(paths) > 10, "paths %r" % paths)
    eq([one for one in sorted(paths) if not any(re.fullmatch(re.sub(r":\w+", "[^/]+", one), name) for name in documented)],
       [], "not in API.md")


# --- how it is --------------------------------------------------------------------------------------------------

@ours
def test_status(broker):
    status = broker.get("coney/status")
    eq([name for name in STATUS if name not in status], [], "missing")
    eq((status["run_state"], status["is_under_maintenance"], status["alarms"]), ("running", False, []))
    eq(status["os_pid"], int(broker.get("nodes")[0]["os_pid"]))
    eq(status["node"], broker.get("overview")["node"])
    eq(status["memory"]["total"], sum(status["memory"][k] for k in ("messages", "other")))
    ok(0 < status["file_descriptors"]["total_used"] < status["file_descriptors"]["total_limit"], "descriptors")
    eq(status["totals"]["virtual_host_count"], len(broker.get("vhosts")))
    found = {(l["protocol"], l["port"]) for l in status["listeners"]}
    ok({("amqp", broker.port), ("http", broker.http_port)} <= found, found)
    for listener in status["listeners"]:
        eq([k for k in ("interface", "port", "protocol", "purpose") if k not in listener], [])
    broker.refused("GET", "coney/status", status=401, user=broker.new_user(tags=("monitoring",)))


@ours
def test_environment(broker):
    environment = broker.get("coney/environment")
    eq((environment["heartbeat"], environment["default_pass"]), ("60", "..."))
    eq([name for name, value in environment.items() if not isinstance(value, str)], [])
    broker.refused("GET", "coney/environment", status=401, user=broker.new_user(tags=("monitoring",)))


@ours
def test_all_of_it_is_the_administrators(broker):
    user = broker.new_user(tags=("monitoring", "policymaker"))
    for verb, where in (("POST", "stop"), ("POST", "stop-app"), ("POST", "start-app"), ("POST", "suspend-listeners"),
                        ("POST", "resume-listeners"), ("POST", "drain"), ("POST", "reload"), ("PUT", "log-level"),
                        ("POST", "rotate-logs"), ("PUT", "alarms/memory"), ("DELETE", "alarms/disk"),
                        ("PUT", "memory-high-watermark"), ("PUT", "disk-free-limit"), ("POST", "backup")):
        broker.refused(verb, "coney/" + where, {}, status=401, user=user, reason="Not administrator user")
    eq(broker.ask("GET", "coney/stop").status, 405)


# --- stopping ---------------------------------------------------------------------------------------------------

def test_stop(_):
    with Node() as node:
        c = client(node)
        eq(node.post("coney/stop").status, 204)
        c.expect_close(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")
        eq(node.process.wait(20), 0)


def test_drain(_):
    with Node() as node:
        ch = client(node).channel()
        ch.declare("q", durable=True)
        ch.publish("", "q", b"x")
        ch.consume("q")
        tag = ch.delivery().delivery_tag
        eq(node.post("coney/drain").status, 204)
        wait_until(lambda: state(node) == "draining")
        eq((node.get("coney/status")["is_under_maintenance"], node.get("nodes")[0]["being_drained"]), (True, True))
        ok(not is_let_in(node), "let in")
        ch.ack(tag)
        eq(node.process.wait(20), 0)


def test_stop_app_and_start_app(_):
    with Node() as node:
        c = client(node)
        ch = c.channel()
        ch.declare("kept", durable=True)
        ch.confirm()
        ch.publish_confirmed("", "kept", b"x", {"delivery_mode": 2})
        ch.declare("gone")
        ch.declare("own", exclusive=True)
        ch.exchange("gone", "fanout")
        ch.exchange("kept", "fanout", durable=True)
        ch.bind("kept", "gone")
        waits = amqp_raw.Wire(*node.address(0))
        c.answer_closes = False
        eq(node.post("coney/stop-app").status, 204)
        c.expect_close(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")
        wait_until(waits.at_end if hasattr(waits, "at_end") else lambda: waits.sock.recv(100) == b"")
        eq((state(node), node.get("connections")), ("app_stopped", []))
        ok(not is_let_in(node), "let in")
        eq(node.get("nodes")[0]["running"], False)
        eq(node.get("health/checks/is-in-service", status=503)["status"], "failed")
        eq(node.post("coney/stop-app").status, 204)

        eq(node.post("coney/start-app").status, 204)
        eq(state(node), "running")
        eq([q["name"] for q in node.get("queues")], ["kept"])
        eq([e["name"] for e in node.get("exchanges") if not e["name"].startswith("amq.")], ["", "kept"])
        eq(client(node).channel().get("kept").body, b"x")


# --- listeners --------------------------------------------------------------------------------------------------

def test_listeners_are_suspended_and_resumed(_):
    with Node("--set", "listeners.tcp.2=@/amqp") as node:
        stays = client(node).channel()
        where = node.address(0)
        eq(node.post("coney/suspend-listeners").status, 204)
        ok(not is_let_in(node), "let in")
        ok(not os.path.exists(node.path("amqp")), "the UNIX socket is there")
        eq([l["protocol"] for l in node.get("overview")["listeners"] if l["protocol"] == "amqp"], [])
        eq(node.get("coney/status")["is_under_maintenance"], True)
        stays.declare("q")
        eq(node.post("coney/suspend-listeners").status, 204)
        for _ in range(2):
            eq(node.post("coney/resume-listeners").status, 204)
            ok(is_let_in(node), "not let in")
            amqp_raw.Connection(node.path("amqp"), None).close()
        eq([l["port"] for l in node.get("overview")["listeners"] if l["protocol"] == "amqp"], [where[1]])
        stays.declare("q")


def test_an_address_that_was_taken_meanwhile(_):
    with Node("--set", "listeners.tcp.2=127.0.0.1:0", "--set", "listeners.tcp.3=@/amqp") as node:
        for place in 0, 1:
            host, port = node.address(place)
            node.post("coney/suspend-listeners")
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind((host, port))
                taken.listen()
                for verb in "resume", "suspend", "resume":
                    status, reason = (503, "port %d" % port) if verb == "resume" else (204, None)
                    if reason:
                        node.refused("POST", "coney/resume-listeners", status=status, reason=reason)
                    else:
                        eq(node.post("coney/suspend-listeners").status, status)
                    eq([l for l in node.get("overview")["listeners"] if l["protocol"] == "amqp"], [])
                    ok(not os.path.exists(node.path("amqp")), "the UNIX socket is there")
            node.post("coney/resume-listeners")
            ok(is_let_in(node), "not let in")
            amqp_raw.Connection(node.path("amqp"), None).close()


# --- alarms and limits ------------------------------------------------------------------------------------------

@settings(disk_free_limit__absolute="1MB")
def test_a_rehearsed_alarm_blocks_until_it_is_taken_back(broker):
    ch = broker.channel()
    for kind, field in (("memory", "mem_alarm"), ("disk", "disk_free_alarm")):
        broker.put("coney/alarms/" + kind)
        broker.put("coney/alarms/" + kind)
        eq(broker.get("coney/status")["alarms"], [kind])
        ch.publish("", "nowhere", b"x")
        wait_until(lambda: (ch.connection.poll(), ch.connection.has("connection.blocked"))[1])
        eq(broker.get("nodes")[0][field], True)
        broker.delete("coney/alarms/" + kind)
        wait_until(lambda: (ch.connection.poll(), ch.connection.has("connection.unblocked"))[1])
        ch.connection.control.clear()
        eq(broker.get("nodes")[0][field], False)
    broker.refused("PUT", "coney/alarms/nope", status=404)
    broker.delete("coney/alarms/memory")


@settings(vm_memory_high_watermark__absolute="1GB")
def test_a_rehearsal_and_a_real_alarm_do_not_clear_each_other(broker):
    counts_memory(broker)
    def alarms():
        return broker.get("coney/status")["alarms"]
    broker.put("coney/alarms/memory")
    broker.put("coney/memory-high-watermark", {"absolute": 1000})     # now it is real too
    broker.put("coney/memory-high-watermark", {"absolute": "1GB"})    # and not any more
    eq(alarms(), ["memory"])
    ch = broker.channel()
    for _ in range(5):                                                # turns of the loops look at memory each
        ch.sync()
    eq(alarms(), ["memory"])
    broker.put("coney/memory-high-watermark", {"absolute": 1000})
    wait_until(lambda: broker.get("nodes")[0]["mem_limit"] == 1000)
    broker.delete("coney/alarms/memory")
    wait_until(lambda: alarms() == ["memory"])
    broker.put("coney/memory-high-watermark", {"absolute": "1GB"})
    wait_until(lambda: alarms() == [])


@settings(total_memory_available_override_value="1GB")
def test_the_memory_limit_is_set(broker):
    broker.put("coney/memory-high-watermark", {"relative": 0.5})
    status = broker.get("coney/status")
    eq((status["vm_memory_high_watermark_limit"], status["vm_memory_high_watermark_setting"]),
       (500000000, {"relative": 0.5}))
    broker.put("coney/memory-high-watermark", {"absolute": "300MB"})
    status = broker.get("coney/status")
    eq((status["vm_memory_high_watermark_limit"], status["vm_memory_high_watermark_setting"]),
       (300000000, {"absolute": 300000000}))
    eq(broker.get("nodes")[0]["mem_limit"], 300000000)
    for wrong in ({}, {"relative": 1.5}, {"relative": -1}, {"absolute": "much"}, {"absolute": -5}, {"relative": "x"}):
        broker.refused("PUT", "coney/memory-high-watermark", wrong, status=400)
    eq(broker.get("nodes")[0]["mem_limit"], 300000000)


def test_the_disk_limit_is_set(_):
    with Node("--set", "total_memory_available_override_value=1GB") as node:
        node.put("coney/disk-free-limit", {"absolute": "100MB"})
        wait_until(lambda: node.get("nodes")[0]["disk_free_limit"] == 100000000)
        node.put("coney/disk-free-limit", {"relative": 0.5})
        wait_until(lambda: node.get("coney/status")["disk_free_limit"] == 500000000)
        node.put("coney/disk-free-limit", {"absolute": "900TB"})
        wait_until(lambda: node.get("coney/status")["alarms"] == ["disk"])
        node.put("coney/disk-free-limit", {"absolute": "1MB"})
        wait_until(lambda: node.get("coney/status")["alarms"] == [])
        node.refused("PUT", "coney/disk-free-limit", {"relative": "much"}, status=400)


def test_limits_outlast_a_reload(_):
    with Node(config="vm_memory_high_watermark.absolute = 1GB\n") as node:
        node.put("coney/memory-high-watermark", {"absolute": "2GB"})
        node.write("coney.conf", "vm_memory_high_watermark.absolute = 3GB\nheartbeat = 11\n")
        node.post("coney/reload")
        wait_until(lambda: node.get("coney/environment")["heartbeat"] == "11")
        eq(node.get("nodes")[0]["mem_limit"], 2000000000)


# --- configuration and log --------------------------------------------------------------------------------------

def test_reload(_):
    with Node(config="heartbeat = 10\n") as node:
        eq(client(node).tune.heartbeat, 10)
        node.write("coney.conf", "heartbeat = 20\n")
        eq(node.post("coney/reload").status, 204)
        wait_until(lambda: client(node).tune.heartbeat == 20)
        eq(node.get("coney/status")["config_files"], [node.path("coney.conf")])


def test_the_level_of_the_log(_):
    with Node() as node:
        node.put("coney/log-level", {"level": "error", "category": "connection"})
        client(node).close()
        node.put("coney/log-level", {"level": "info", "category": "connection"})
        wait_until(lambda: (client(node).close(), "granted access" in node.log())[1])
        eq(len([l for l in node.log().splitlines() if "granted access" in l]) > 0, True)
        node.put("coney/log-level", {"level": "none"})
        before = len(node.log())
        client(node).close()
        node.post("coney/suspend-listeners")
        node.put("coney/log-level", {"level": "info"})
        node.post("coney/resume-listeners")
        node.wait_log("listeners are resumed", before)
        ok("suspended" not in node.log()[before:], node.log()[before:])
        for wrong in ({}, {"level": "loud"}, {"level": "info", "category": "nope"}):
            node.refused("PUT", "coney/log-level", wrong, status=400)


def test_log_files_are_opened_again(_):
    with Node("--set", "log.dir=@", "--set", "log.file=coney.log") as node:
        eq(node.get("coney/status")["log_files"][0], node.path("coney.log"))
        wait_until(lambda: "startup complete" in node.read("coney.log"))
        os.rename(node.path("coney.log"), node.path("coney.log.1"))
        eq(node.post("coney/rotate-logs").status, 204)
        wait_until(lambda: os.path.exists(node.path("coney.log")) and "opened again" in node.read("coney.log"))


# --- backup -----------------------------------------------------------------------------------------------------

def test_a_backup_is_a_node(_):
    with Node() as node:
        ch = client(node).channel()
        ch.declare("q", durable=True)
        ch.confirm()
        ch.publish_confirmed("", "q", b"in the copy", {"delivery_mode": 2})
        answer = node.post("coney/backup", {"path": node.path("copy")}, status=200).json
        ok(answer["octets"] > 1000, answer)
        ch.publish_confirmed("", "q", b"not in it", {"delivery_mode": 2})
        check = subprocess.run([os.environ.get("CONEYD", "./coneyd"), "--check", node.path("copy")],
                               capture_output=True, text=True, timeout=60, check=False)
        eq(check.returncode, 0, check.stdout + check.stderr)
        node.refused("POST", "coney/backup", {"path": node.path("copy")}, status=400, reason="exists")
        node.refused("POST", "coney/backup", {"path": "relative"}, status=400)
        node.refused("POST", "coney/backup", {}, status=400)
        os.rename(node.path("copy"), node.path("other"))
        node.stop()
        os.rename(node.path("data"), node.path("first"))
        os.rename(node.path("other"), node.path("data"))
        node.start()
        eq(client(node).channel().drain("q"), [b"in the copy"])


@ours
def test_the_control_socket_speaks_it_too(broker):
    control = Client("unix:" + broker.server.control)
    eq(control.get("coney/status")["run_state"], "running")
    eq(control.put("coney/alarms/memory").status, 204)
    eq(control.delete("coney/alarms/memory").status, 204)

    matches(control.get("coney/status")["node"], "^rabbit@")
