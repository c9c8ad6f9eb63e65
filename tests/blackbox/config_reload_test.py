# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: what changes at once, what is named as not changing, and what an error in the new file does: nothing."""

import json

import amqp_raw
from daemon import Daemon
from harness import differs, eq, matches, ok, permission, user, wait_until

program = differs("about coneyd's reload")


def definitions(users=(), vhosts=("/",), queues=()):
    full = {"users": [user(name) for name in users], "vhosts": [{"name": name} for name in vhosts],
            "permissions": [permission(name, vhost) for name in users for vhost in vhosts],
            "queues": [{"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": {}}
                       for vhost, name in queues]}
    return json.dumps(full)


@program
def test_what_clients_are_told_changes_for_the_next_one(broker):
    with Daemon(config="heartbeat = 30\n") as daemon:
        first = daemon.connect()
        eq(first.tune.heartbeat, 30)
        daemon.write("coney.conf", "heartbeat = 40\nchannel_max = 5\nframe_max = 8192\n")
        said = daemon.reload()
        matches(said, r"heartbeat changes from '30' to '40'")
        tune = daemon.connect().tune
        eq((tune.heartbeat, tune.channel_max, tune.frame_max), (40, 5, 8192))
        first.channel()


@program
def test_nothing_new_is_said_so(broker):
    with Daemon(config="heartbeat = 30\n") as daemon:
        matches(daemon.reload(), "the configuration is what it was")


@program
def test_limits_change_at_once(broker):
    with Daemon(config="") as daemon:
        channel = daemon.connect().channel()
        channel.declare("q")
        daemon.write("coney.conf", "max_message_size = 10\nconnection_max = 1\n")
        daemon.reload()
        try:
            daemon.connect()
            raise AssertionError("two connections")
        except amqp_raw.ConnectionClosed as closed:
            eq(closed.code, 530)
        channel.publish("", "q", b"12345678901")
        channel.expect_close(406)


@program
def test_consumer_timeout_changes_for_what_is_unacked_already(broker):
    with Daemon(config="") as daemon:
        channel = daemon.connect().channel()
        channel.declare("q")
        channel.publish("", "q", b"x")
        channel.consume("q")
        channel.delivery()
        daemon.write("coney.conf", "consumer_timeout = 1ms\n")
        daemon.reload()
        channel.expect_close(406, timeout=20)


@program
def test_memory_watermark_changes_at_once(broker):
    with Daemon(config="") as daemon:
        channel = daemon.connect().channel()
        channel.declare("q")
        for _ in range(4):
            channel.publish("", "q", b"x" * 1000000)
        daemon.write("coney.conf", "vm_memory_high_watermark.absolute = 2MB\n")
        daemon.reload()
        channel.publish("", "q", b"x")
        channel.connection.wait_control("connection.blocked")
        daemon.write("coney.conf", "")
        daemon.reload()
        channel.connection.wait_control("connection.unblocked")


@program
def test_disk_limit_changes_at_once(broker):
    with Daemon(config="", data=True) as daemon:
        channel = daemon.connect().channel()
        channel.declare("q")
        daemon.write("coney.conf", "disk_free_limit.relative = 1000\n")
        daemon.reload()
        daemon.wait_log("disk alarm: publishers are blocked")
        channel.publish("", "q", b"x")
        channel.connection.wait_control("connection.blocked")
        daemon.write("coney.conf", "disk_free_limit.absolute = 1\n")
        daemon.reload()
        channel.connection.wait_control("connection.unblocked")


@program
def test_what_needs_a_restart_is_named_and_stays(broker):
    with Daemon(config="listeners.tcp.1 = 127.0.0.1:0\n", listen=None) as daemon:
        daemon.write("coney.conf", "listeners.tcp.1 = 127.0.0.2:0\ndefault_pass = other\nthreads = 7\n")
        for _ in range(2):
            said = daemon.reload()
            matches(said, r"\[warning\] listeners.tcp.\* stays '127.0.0.1:0' until a restart makes it '127.0.0.2:0'")
            matches(said, r"\[warning\] threads stays '0' until a restart makes it '7'")
            matches(said, r"\[warning\] default_pass stays '...' until a restart makes it '...'")
        daemon.connect()


@program
def test_a_file_with_an_error_changes_nothing(broker):
    with Daemon(config="heartbeat = 30\n") as daemon:
        daemon.write("coney.conf", "heartbeat = 40\nheartbeet = 50\n")
        said = daemon.reload()
        matches(said, r"coney.conf:2: unknown key 'heartbeet'; did you mean 'heartbeat'\?")
        matches(said, "the configuration stays as it was")
        eq(daemon.connect().tune.heartbeat, 30)
        daemon.write("coney.conf", "heartbeat = 40\nlog.file = /nonexistent/log\n")
        matches(daemon.reload(), "log.file: .*/nonexistent/log cannot be opened")
        eq(daemon.connect().tune.heartbeat, 30)


@program
def test_overrides_of_the_command_line_stay(broker):
    with Daemon("--set", "heartbeat=20", config="heartbeat = 30\n") as daemon:
        daemon.write("coney.conf", "heartbeat = 40\n")
        daemon.reload()
        eq(daemon.connect().tune.heartbeat, 20)


@program
def test_definitions_are_imported_again(broker):
    with Daemon(config="load_definitions = @/definitions.json\n",
                files={"definitions.json": definitions(["bob"])}) as daemon:
        daemon.connect(user="bob", password="bob")
        daemon.write("definitions.json", definitions(["bob", "eve"], ["/", "new"], [("/", "a"), ("new", "b")]))
        matches(daemon.reload(), "definitions imported from .*: 2 users, 2 vhosts, 0 exchanges, 2 queues")
        daemon.connect(user="eve", password="eve").channel().declare("a", passive=True)
        daemon.connect(user="eve", password="eve", vhost="new").channel().declare("b", passive=True)
        daemon.write("definitions.json", "{")
        matches(daemon.reload(), "definitions cannot be imported")
        daemon.connect(user="eve", password="eve")


@program
def test_permissions_that_were_imported_act_on_open_connections(broker):
    with Daemon(config="load_definitions = @/definitions.json\n",
                files={"definitions.json": definitions(["bob"])}) as daemon:
        channel = daemon.connect(user="bob", password="bob").channel()
        channel.declare("mine")
        full = json.loads(definitions(["bob"]))
        full["permissions"][0]["configure"] = "^$"
        daemon.write("definitions.json", json.dumps(full))
        daemon.reload()
        channel.fails("queue.declare", 403, queue="other")


@program
def test_imports_under_load_lose_nothing(broker):
    """Vhosts stop for an import and go on; what came meanwhile is answered, in order."""
    everything = definitions(["bob"], ["/", "v1", "v2"], [(vhost, "q%d" % i) for vhost in ("/", "v1", "v2")
                                                          for i in range(100)])
    with Daemon("--set", "threads=2", config="load_definitions = @/definitions.json\n",
                files={"definitions.json": everything}) as daemon:
        channels = [daemon.connect(user="bob", password="bob", vhost=vhost).channel() for vhost in ("/", "v1", "v2")]
        for channel in channels:
            channel.confirm()
        before = len(daemon.log())
        for round_ in range(10):
            daemon.process.send_signal(1)
            for channel in channels:
                channel.raw(*[amqp_raw.publish_frames(1, "", "q1", b"%d" % i) for i in range(50)])
        for channel in channels:
            wait_until(lambda c=channel: c.count("q1")[0] == 500, what="all messages")
        daemon.wait_log("reloaded", before)
        ok("cannot be imported" not in daemon.log(), daemon.log())


@program
def test_a_stop_during_a_reload_is_clean(broker):
    everything = definitions(["bob"], ["/"], [("/", "q%d" % i) for i in range(300)])
    for _ in range(5):
        with Daemon(config="load_definitions = @/definitions.json\n", data=True,
                    files={"definitions.json": everything}) as daemon:
            channel = daemon.connect(user="bob", password="bob").channel()
            daemon.process.send_signal(1)
            daemon.process.send_signal(15)
            channel.connection.expect_close(320)
            daemon.process.wait(15)
