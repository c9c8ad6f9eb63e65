# SPDX-License-Identifier: Apache-2.0
"""Where the configuration comes from, in which order, and what is said about what is wrong in it."""

import os
import subprocess
import tempfile

from daemon import Daemon
from harness import differs, eq, matches, ok

EX_CONFIG = 78
program = differs("about coneyd's configuration")


def check(text, *arguments, **environment):
    """(exit status, what is complained about) of coneyd --check-config with TEXT as its file, called FILE."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([os.environ["CONEYD"], "--config", file.name, "--check-config", *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                              env=dict(os.environ, **environment))
        eq(done.stdout, "")
        return done.returncode, done.stderr.replace(file.name, "FILE")


def heartbeat(daemon):
    connection = daemon.connect()
    connection.close()
    return connection.tune.heartbeat


@program
def test_later_sources_win(broker):
    """File, conf.d beside it in the order of names, environment, command line."""
    files = {"conf.d/10-a.conf": "heartbeat = 12\n", "conf.d/20-b.conf": "channel_max = 100\nheartbeat = 13\n",
             "conf.d/30-c.conf.orig": "heartbeat = 14\n", "conf.d/.hidden.conf": "heartbeat = 15\n"}
    with Daemon(config="heartbeat = 11\nchannel_max = 99\nframe_max = 5000\n") as daemon:
        eq(heartbeat(daemon), 11)
    with Daemon(config="heartbeat = 11\nchannel_max = 99\nframe_max = 5000\n", files=files) as daemon:
        tune = daemon.connect().tune
        eq((tune.heartbeat, tune.channel_max, tune.frame_max), (13, 100, 5000))
    with Daemon(config="", files=files, environment={"CONEY_HEARTBEAT": "16"}) as daemon:
        eq(heartbeat(daemon), 16)
    with Daemon("--set", "heartbeat=17", environment={"CONEY_HEARTBEAT": "16"}) as daemon:
        eq(heartbeat(daemon), 17)


@program
def test_environment_names_listeners_and_foreign_variables_do_no_harm(broker):
    with Daemon(listen=None, environment={"CONEY_LISTENERS_TCP_HERE": "127.0.0.3:0",
                                          "CONEY_PORT_5672_TCP": "tcp://10.0.0.1:5672"}) as daemon:
        eq(len(daemon.listening), 1)
        eq(daemon.address()[0], "127.0.0.3")
        daemon.wait_log("environment: CONEY_PORT_5672_TCP names no key")


@program
def test_all_that_is_wrong_is_told_with_its_place(broker):
    status, said = check("heartbeat = 1x\nlisteners.tpc.1 = 5672\nfoo\n\nmax_message_size = 3XB\n",
                         "--set", "channel_max=-1", CONEY_FRAME_MAX="12")
    eq(status, EX_CONFIG)
    eq(said.splitlines(), [
        "coneyd: FILE:3: 'foo' is no assignment; it should read: key = value",
        "coneyd: FILE:1: heartbeat: '1x' should be a whole number from 0 to 65535",
        "coneyd: FILE:2: unknown key 'listeners.tpc.1'; did you mean 'listeners.tcp.*'?",
        "coneyd: FILE:5: max_message_size: '3XB' should be a number of bytes from 1 to 536870912, or with a unit (kB, "
        "MB, GB or KiB, MiB, GiB), like 64MiB",
        "coneyd: CONEY_FRAME_MAX: frame_max: '12' should be 0, a whole number from 4096 to 2147483647",
        "coneyd: --set: channel_max: '-1' should be a whole number from 0 to 65535"])


RABBITMQ_CONF = """
listeners.tcp.default = 127.0.0.1:0
num_acceptors.tcp = 10
handshake_timeout = 10000
reverse_dns_lookups = true
loopback_users.guest = true
auth_backends.1 = internal
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
default_vhost = /
default_user = guest
default_pass = guest
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
default_user_tags.administrator = true
heartbeat = 60
frame_max = 131072
initial_frame_max = 4096
channel_max = 128
tcp_listen_options.backlog = 128
tcp_listen_options.nodelay = true
tcp_listen_options.exit_on_close = false
tcp_listen_options.linger.on = true
tcp_listen_options.linger.timeout = 0
vm_memory_high_watermark.relative = 0.6
vm_memory_high_watermark_paging_ratio = 0.75
vm_memory_calculation_strategy = rss
total_memory_available_override_value = 1000MB
disk_free_limit.relative = 0.1
disk_free_limit.absolute = 50000
cluster_partition_handling = ignore
mirroring_sync_batch_size = 4096
cluster_formation.peer_discovery_backend = rabbit_peer_discovery_k8s
cluster_formation.k8s.host = kubernetes.default.svc.cluster.local
queue_master_locator = min-masters
net_ticktime = 60
management.tcp.port = 0
management.rates_mode = basic
collect_statistics_interval = 5000
stomp.listeners.tcp.1 = 61613
mqtt.allow_anonymous = true
log.file = false
log.file.rotation.size = 10485760
log.console = true
log.console.level = info
log.exchange = false
log.connection.level = info
log.upgrade.level = info
deprecated_features.permit.management_metrics_collection = true
"""


@program
def test_a_rabbitmq_conf_is_taken_and_what_means_nothing_is_named(broker):
    eq(check(RABBITMQ_CONF), (0, ""))
    with Daemon(config=RABBITMQ_CONF, listen=None) as daemon:
        eq(daemon.connect().tune.channel_max, 128)
        daemon.wait_log("Server startup complete")
        for text in ("num_acceptors.tcp is ignored: one loop accepts for all",
                     "cluster_formation.k8s.host is ignored: coney is one node",
                     "mqtt.allow_anonymous is ignored: coney has no such plugin"):
            ok("%s:" % daemon.path("coney.conf") in daemon.log() and text in daemon.log(), (text, daemon.log()))


@program
def test_what_somebody_would_rely_on_is_refused(broker):
    status, said = check("auth_backends.2 = ldap\nssl_options.crl_check = true\nssl_options.client_renegotiation = true\n"
                         "default_users.bob.password = secret\nssl_options.versions.1 = tlsv1.1\n")
    eq(status, EX_CONFIG)
    for text in ("FILE:1: auth_backends.2 is not supported: users are coney's own",
                 "FILE:2: ssl_options.crl_check is not supported: set ssl_options.crlfile",
                 "FILE:3: ssl_options.client_renegotiation: 'true' should be false",
                 "FILE:4: default_users.bob.password is not supported: put it into the file of load_definitions",
                 "FILE:5: ssl_options.versions.1: 'tlsv1.1' should be one of tlsv1.3, tlsv1.2"):
        ok(text in said, (text, said))


@program
def test_what_must_go_together(broker):
    status, said = check("listeners.ssl.1 = 0\nssl_options.verify = verify_peer\n"
                         "ssl_options.sni.a.example.com.keyfile = /k\n")
    eq(status, EX_CONFIG)
    ok("needs ssl_options.certfile and ssl_options.keyfile" in said, said)
    ok("verify_peer needs ssl_options.cacertfile" in said, said)
    ok("ssl_options.sni.a.example.com needs both certfile and keyfile" in said, said)


@program
def test_files_that_are_named_are_looked_at(broker):
    status, said = check("listeners.ssl.1 = 0\nssl_options.certfile = /nonexistent/cert\nssl_options.keyfile = /k\n")
    eq(status, EX_CONFIG)
    matches(said, "/nonexistent/cert")
    status, said = check("load_definitions = /nonexistent/definitions\n")
    eq(status, EX_CONFIG)
    matches(said, "/nonexistent/definitions")
    status, said = check("log.file = /nonexistent/log\n")
    eq(status, EX_CONFIG)
    matches(said, "/nonexistent/log")
