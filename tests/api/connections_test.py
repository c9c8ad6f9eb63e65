# SPDX-License-Identifier: Apache-2.0
"""/api/connections, /api/channels, /api/consumers (management-http-api.md 3.3 to 3.5): who is there, and closing.

RabbitMQ tells of changes some seconds later, so what should be there is waited for.
"""

import re
import time

import amqp_raw
from api_harness import Node, differs, eq, matches, ok, path, settings, wait_until
from tls_tools import TlsWire, authority, certificate, client_context

CONNECTION = ("name node type protocol state host port peer_host peer_port user user_who_performed_action vhost "
              "auth_mechanism client_properties channel_max frame_max timeout connected_at channels ssl ssl_protocol "
              "ssl_key_exchange ssl_cipher ssl_hash peer_cert_subject peer_cert_issuer peer_cert_validity recv_oct "
              "recv_oct_details recv_cnt send_oct send_oct_details send_cnt send_pend").split()
CHANNEL = ("name number node user user_who_performed_action vhost connection_details state transactional confirm "
           "consumer_count messages_unacknowledged messages_unconfirmed messages_uncommitted acks_uncommitted "
           "pending_raft_commands prefetch_count global_prefetch_count").split()
CONSUMER = ("consumer_tag queue channel_details ack_required exclusive prefetch_count arguments active "
            "activity_status").split()


def name_of(connection):
    """As the API calls it, when it is closed too."""
    if not hasattr(connection, "listed_as"):
        sock = connection.wire.sock
        connection.listed_as = "%s:%d -> %s:%d" % (sock.getsockname() + sock.getpeername())
    return connection.listed_as


def listed(broker, connection, where="connections", **how):
    """The row of CONNECTION, once it is there with its statistics."""
    name = name_of(connection)
    return wait_until(lambda: next((c for c in broker.get(where, **how) if c["name"] == name and "send_pend" in c), None),
                      20, name)


def is_listed(broker, connection, where="connections", **how):
    return name_of(connection) in [c["name"] for c in broker.get(where, **how)]


def has_all(row, names):
    eq([name for name in names if name not in row], [], "missing")


def channel_when(broker, connection, number, condition):
    """The row of a channel, once CONDITION holds of it."""
    where = path("channels", "%s (%d)" % (name_of(connection), number))

    def look():
        answer = broker.ask("GET", where)
        return answer.json if answer.status == 200 and condition(answer.json) else None
    return wait_until(look, 20, where)


# --- connections ------------------------------------------------------------------------------------------------

def test_a_connection_has_all_fields(broker):
    began = time.time() * 1000
    c = broker.connect(heartbeat=30, client_properties={
        "product": "test", "connection_name": "it is me", "capabilities": {"basic.nack": True}, "n": 5})
    c.channel()
    row = listed(broker, c)
    has_all(row, CONNECTION)
    here, there = c.wire.sock.getsockname(), c.wire.sock.getpeername()
    eq((row["peer_host"], row["peer_port"], row["host"], row["port"]), here + there)
    eq((row["user"], row["vhost"], row["type"], row["protocol"]), ("guest", "/", "network", "AMQP 0-9-1"))
    eq((row["auth_mechanism"], row["state"], row["timeout"]), ("PLAIN", "running", 30))
    eq((row["channel_max"], row["frame_max"]), (c.channel_max, c.frame_max))
    eq(row["client_properties"]["product"], "test")
    eq(row["client_properties"]["capabilities"], {"basic.nack": True})
    eq(row["client_properties"]["n"], 5)
    eq(row["user_provided_name"], "it is me")
    eq((row["ssl"], row["ssl_cipher"], row["peer_cert_subject"]), (False, None, None))
    ok(abs(row["connected_at"] - began) < 60000, row["connected_at"])
    for count in ("recv_oct", "recv_cnt", "send_oct", "send_cnt"):
        ok(row[count] > 0, count)
    eq(type(row["recv_oct_details"]["rate"]), float)
    wait_until(lambda: listed(broker, c).get("channels") == 1, 20)


def test_octets_and_channels_are_counted(broker):
    c = broker.connect()
    channels = [c.channel() for _ in range(5)]
    before = wait_until(lambda: (lambda row: row.get("channels") == 5 and row)(listed(broker, c)), 20)
    channels[0].publish("", broker.name(), b"x" * 10000)
    channels[0].sync()
    wait_until(lambda: listed(broker, c).get("recv_oct", 0) >= before["recv_oct"] + 10000, 20)
    channels[0].close()
    wait_until(lambda: listed(broker, c).get("channels") == 4, 20)


def test_one_connection_is_the_same_as_in_the_list(broker):
    c = broker.connect()
    row = listed(broker, c)
    one = wait_until(lambda: (lambda one: "send_pend" in one and one)(broker.get(path("connections", name_of(c)))), 20)
    for key in CONNECTION:
        if not re.match("recv_|send_|ssl_|peer_cert_", key):  # RabbitMQ has '' for null here
            eq(one[key], row[key], key)
    eq(list(broker.get(path("connections", name_of(c)) + "?columns=name,user").items() - {("user", "guest")}),
       [("name", name_of(c))])
    eq(broker.refused("GET", path("connections", "nope"), status=404).json["error"], "Object Not Found")


def test_those_of_a_vhost_and_of_a_user(broker):
    vhost = broker.new_vhost()
    user = broker.new_user(vhosts=(vhost,))
    here, there = broker.connect(vhost=vhost, user=user, password=user), broker.connect()
    listed(broker, here)
    listed(broker, there)
    where = path("vhosts", vhost, "connections")
    ok(is_listed(broker, here, where) and not is_listed(broker, there, where), "of the vhost")
    where = path("connections", "username", user)
    eq([(c["name"], c["vhost"], c["user"]) for c in broker.get(where)], [(name_of(here), vhost, user)])
    eq(broker.get(path("connections", "username", "nobody-at-all")), [])
    broker.refused("GET", path("vhosts", "nope", "connections"), status=404)


def test_who_is_no_monitor_sees_only_own_connections(broker):
    vhost = broker.new_vhost()
    user = broker.new_user(tags=("management",), vhosts=(vhost,))
    monitor = broker.new_user(tags=("monitoring",))
    own, other = broker.connect(vhost=vhost, user=user, password=user), broker.connect(vhost=vhost)
    own.channel()
    other.channel()
    listed(broker, own)
    listed(broker, other)
    eq([c["name"] for c in broker.get("connections", user=user)], [name_of(own)])
    ok({name_of(own), name_of(other)} <= {c["name"] for c in broker.get("connections", user=monitor)}, "all")
    broker.get(path("connections", name_of(own)), user=user)
    broker.refused("GET", path("connections", name_of(other)), status=401, user=user, reason="authori[sz]ed")
    broker.refused("DELETE", path("connections", name_of(other)), status=401, user=user)
    wait_until(lambda: broker.get("channels", user=user), 20)
    eq({c["user"] for c in broker.get("channels", user=user)}, {user})
    eq({c["user"] for c in broker.get("channels", user=monitor)} >= {user, "guest"}, True)


def test_consumers_of_a_vhost_need_no_rights_in_it(broker):
    vhost = broker.new_vhost()
    user = broker.new_user(tags=("management",))
    monitor = broker.new_user(tags=("monitoring",))
    ch = broker.connect(vhost=vhost).channel()
    ch.declare("q")
    ch.consume("q", tag="mine")
    where = path("consumers", vhost)
    wait_until(lambda: broker.get(where), 20)
    eq([c["consumer_tag"] for c in broker.get(where, user=monitor)], ["mine"])
    eq(broker.get(where, user=user), [], "of somebody else")
    broker.refused("GET", "consumers/nowhere", status=404, user=user)


def test_pages_filter_and_sort(broker):
    vhost = broker.new_vhost()
    connections = [broker.connect(vhost=vhost) for _ in range(5)]
    for c in connections:
        listed(broker, c)
    port = connections[0].wire.sock.getsockname()[1]
    page = broker.get("connections?page=1&page_size=2&name=%s%%20-" % port)
    eq((page["filtered_count"], [c["name"] for c in page["items"]]), (1, [name_of(connections[0])]))
    if not broker.is_coney:  # of a vhost RabbitMQ has no pages
        return
    page = broker.get(path("vhosts", vhost, "connections") + "?page=2&page_size=3")
    eq([page[n] for n in ("page", "page_size", "total_count", "item_count", "page_count")], [2, 3, 5, 2, 2])
    rows = broker.get(path("vhosts", vhost, "connections") + "?sort=peer_port&sort_reverse=true")
    ports = [c["peer_port"] for c in rows]
    eq((len(ports), ports), (5, sorted(ports, reverse=True)))


# --- closing ----------------------------------------------------------------------------------------------------

def test_closed_with_a_reason(broker):
    c = broker.connect()
    listed(broker, c)
    eq(broker.delete(path("connections", name_of(c)), headers={"X-Reason": "for maintenance"}).status, 204)
    c.expect_close(320, "CONNECTION_FORCED - for maintenance")
    wait_until(lambda: not is_listed(broker, c), 20)
    broker.refused("DELETE", path("connections", name_of(c)), status=404)


def test_closed_without_a_reason(broker):
    c = broker.connect()
    listed(broker, c)
    broker.delete(path("connections", name_of(c)))
    c.expect_close(320, "CONNECTION_FORCED - Closed via management plugin")


def test_its_owner_may_close_it(broker):
    vhost = broker.new_vhost()
    user = broker.new_user(tags=("management",), vhosts=(vhost,))
    c = broker.connect(vhost=vhost, user=user, password=user)
    listed(broker, c)
    broker.delete(path("connections", name_of(c)), user=user, headers={"X-Reason": "mine"})
    c.expect_close(320, "CONNECTION_FORCED - mine")


def test_all_of_a_user_are_closed(broker):
    vhost = broker.new_vhost()
    user = broker.new_user(vhosts=(vhost,))
    own = [broker.connect(vhost=vhost, user=user, password=user) for _ in range(3)]
    other = broker.connect(vhost=vhost)
    for c in own:
        listed(broker, c)
    broker.delete(path("connections", "username", user), headers={"X-Reason": "user goes"})
    for c in own:
        c.expect_close(320, re.compile("^CONNECTION_FORCED - user goes$"))
    other.channel()


def test_what_it_had_is_given_back(broker):
    queue = broker.name()
    c = broker.connect()
    ch = c.channel()
    ch.declare(queue)
    ch.publish("", queue, b"one")
    ch.consume(queue)
    ch.delivery()
    listed(broker, c)
    broker.delete(path("connections", name_of(c)))
    c.expect_close(320)
    eq(broker.channel().get(queue).body, b"one")


@differs("RabbitMQ lists connections once they have opened a vhost")
def test_those_that_log_in_are_listed_and_closed(broker):
    wire = broker.wire()
    name = "%s:%d -> %s:%d" % (wire.sock.getsockname() + wire.sock.getpeername())
    row = wait_until(lambda: next((c for c in broker.get("connections") if c["name"] == name), None))
    eq((row["state"], row["user"], row["vhost"], row["channels"]), ("starting", "", "", 0))
    has_all(row, CONNECTION)
    broker.delete(path("connections", name))
    wait_until(lambda: name not in [c["name"] for c in broker.get("connections")])

    tuned = broker.connect(open_vhost=False)
    wait_until(lambda: listed(broker, tuned)["state"] == "opening")
    eq(listed(broker, tuned)["user"], "guest")
    broker.delete(path("connections", name_of(tuned)), headers={"X-Reason": "too slow"})
    tuned.expect_close(320, "CONNECTION_FORCED - too slow")


@differs("RabbitMQ's API knows no pids; rabbitmqctl shows them")
def test_a_pid_names_a_connection_for_its_life(broker):
    c = broker.connect()
    number = c.channel().number
    pid = listed(broker, c)["pid"]
    matches(pid, r"^<[^.]+(\.[^.]+)*\.1\.\d+\.0>$")
    eq(listed(broker, c)["pid"], pid)
    eq(broker.get(path("connections", pid))["name"], name_of(c))
    eq(channel_when(broker, c, number, lambda row: True)["connection_details"]["pid"], pid)
    ok(pid != listed(broker, broker.connect())["pid"], "another has another")
    broker.delete(path("connections", pid))
    c.expect_close(320)


@differs("RabbitMQ keeps all of them")
def test_a_large_client_properties_table_is_kept_in_part(broker):
    c = broker.connect(client_properties=amqp_raw.Pairs(
        [("product", "first"), ("large", "x" * 5000), ("version", "last"), ("capabilities", {})]))
    eq(listed(broker, c)["client_properties"], {"product": "first", "version": "last", "capabilities": {}})


@settings(vm_memory_high_watermark__absolute="1GB")
def test_a_publisher_under_an_alarm_is_blocked(broker):
    c = broker.connect()
    ch = c.channel()
    broker.put("coney/alarms/memory")
    ch.publish("", "nowhere", b"x")
    wait_until(lambda: listed(broker, c)["state"] == "blocked")
    broker.delete("coney/alarms/memory")
    wait_until(lambda: listed(broker, c)["state"] == "running")


def test_what_was_agreed_on_for_tls(_):
    """And over IPv4 within a listener of both families, and by a UNIX socket."""
    server, client = certificate("server"), authority().certificate("client", subject="/CN=the client")
    arguments = ("listeners.ssl.1=127.0.0.1:0", "listeners.tcp.2=@/amqp", "ssl_options.verify=verify_peer",
                 "ssl_options.cacertfile=" + authority().cert, "ssl_options.certfile=" + server.cert,
                 "ssl_options.keyfile=" + server.key)
    with Node(*[word for setting in arguments for word in ("--set", setting)], listen="[::]:0") as node:
        node.host, node.port = "127.0.0.1", node.address(0)[1]
        node.tls_port = int(next(l for l in node.listening if l.startswith("listening amqps")).rsplit(":", 1)[1])
        secure = amqp_raw.Connection(None, None, wire=TlsWire(node, client_context(client)))
        row = listed(node, secure)
        eq((row["ssl"], row["ssl_protocol"], row["ssl_key_exchange"], row["ssl_hash"]), (True, "tlsv1.3", "any", "aead"))
        matches(row["ssl_cipher"], "^(aes_(128|256)_gcm|chacha20_poly1305)$")
        eq((row["peer_cert_subject"], row["peer_cert_issuer"]), ("CN=the client", "CN=ca"))
        matches(row["peer_cert_validity"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ - \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        eq([(r["peer_host"], r["host"], r["ssl"]) for r in [listed(node, amqp_raw.Connection("127.0.0.1", node.port))]],
           [("127.0.0.1", "127.0.0.1", False)])
        local = amqp_raw.Connection(node.path("amqp"), None)
        row = wait_until(lambda: next((c for c in node.get("connections") if c["peer_host"] == "unix"), None))
        eq((row["host"], row["user"]), ("unix", "guest"))
        node.delete(path("connections", row["name"]))
        local.expect_close(320)


# --- channels ---------------------------------------------------------------------------------------------------

def test_a_channel_has_all_fields(broker):
    c = broker.connect()
    ch = c.channel()
    queue = broker.name()
    ch.declare(queue)
    ch.qos(7)
    ch.confirm()
    row = channel_when(broker, c, ch.number, lambda row: row.get("confirm") and row["prefetch_count"] == 7 and
                       row["connection_details"])
    has_all(row, CHANNEL + ["consumer_details", "publishes", "deliveries"])
    eq((row["number"], row["user"], row["vhost"], row["transactional"]), (ch.number, "guest", "/", False))
    here = c.wire.sock.getsockname()
    eq({k: row["connection_details"][k] for k in ("name", "peer_host", "peer_port")},
       {"name": name_of(c), "peer_host": here[0], "peer_port": here[1]})
    eq((row["state"], row["consumer_details"]), ("running", []))
    in_list = next(r for r in broker.get("channels") if r["name"] == row["name"])
    has_all(in_list, CHANNEL)
    ok("consumer_details" not in in_list, "in the list too")
    eq([r["name"] for r in broker.get(path("connections", name_of(c), "channels"))], [row["name"]])
    ok(row["name"] in [r["name"] for r in broker.get(path("vhosts", "/", "channels"))], "of the vhost")
    broker.refused("GET", path("channels", "nope"), status=404)


def test_what_a_channel_has_to_settle(broker):
    c = broker.connect()
    ch, tx = c.channel(), c.channel()
    queue = broker.name()
    ch.declare(queue)
    for _ in range(3):
        ch.publish("", queue, b"x")
    ch.consume(queue)
    for _ in range(3):
        ch.delivery()
    tx.call("tx.select")
    tx.publish("", queue, b"later")
    tx.publish("", queue, b"later")
    tx.sync()
    channel_when(broker, c, ch.number, lambda row: row.get("messages_unacknowledged") == 3 and
                 row["consumer_count"] == 1)
    row = channel_when(broker, c, tx.number, lambda row: row.get("messages_uncommitted") == 2)
    eq((row["transactional"], row["acks_uncommitted"]), (True, 0))


def test_messages_of_a_channel_are_counted(broker):
    c = broker.connect()
    ch = c.channel()
    queue = broker.name()
    ch.declare(queue)
    ch.confirm()
    for _ in range(4):
        ch.publish_confirmed("", queue, b"x")
    ch.publish("", queue + ".nowhere", b"x")
    ch.get(queue)
    ch.get(queue, no_ack=False)
    row = channel_when(broker, c, ch.number, lambda row: row.get("message_stats", {}).get("get") == 1)
    stats = row["message_stats"]
    eq({k: stats.get(k) for k in ("publish", "confirm", "get", "get_no_ack", "deliver_get", "drop_unroutable")},
       {"publish": 5, "confirm": 5, "get": 1, "get_no_ack": 1, "deliver_get": 2, "drop_unroutable": 1})
    for name in list(stats):
        if not name.endswith("_details"):
            eq(type(stats[name + "_details"]["rate"]), float, name)


def test_channels_in_pages(broker):
    c = broker.connect()
    names = {"%s (%d)" % (name_of(c), c.channel().number) for _ in range(6)}
    port = c.wire.sock.getsockname()[1]
    where = "channels?page=%%d&page_size=4&name=%d%%%%20-" % port
    wait_until(lambda: broker.get(where % 1)["filtered_count"] == 6, 20)
    first, second = broker.get(where % 1)["items"], broker.get(where % 2)["items"]
    eq((len(first), len(second)), (4, 2))
    eq({row["name"] for row in first + second}, names)


# --- consumers --------------------------------------------------------------------------------------------------

def consumers_of(broker, queue, where="consumers", **how):
    return [c for c in broker.get(where, **how) if c["queue"]["name"] == queue]


def test_a_consumer_has_all_fields(broker):
    vhost = broker.new_vhost()
    c = broker.connect(vhost=vhost)
    ch = c.channel()
    ch.declare("q")
    ch.qos(9)
    ch.consume("q", "mine", {"x-priority": 3}, no_ack=False)
    row = wait_until(lambda: [r for r in consumers_of(broker, "q", path("consumers", vhost)) if r["channel_details"]],
                     20)[0]
    has_all(row, CONSUMER)
    eq((row["consumer_tag"], row["queue"]), ("mine", {"name": "q", "vhost": vhost}))
    eq((row["ack_required"], row["exclusive"], row["prefetch_count"]), (True, False, 9))
    eq((row["arguments"], row["active"], row["activity_status"]), ({"x-priority": 3}, True, "up"))
    here = c.wire.sock.getsockname()
    details = row["channel_details"]
    eq({k: details[k] for k in ("name", "number", "connection_name", "peer_host", "peer_port", "user")},
       {"name": "%s (%d)" % (name_of(c), ch.number), "number": ch.number, "connection_name": name_of(c),
        "peer_host": here[0], "peer_port": here[1], "user": "guest"})
    if broker.is_coney:
        eq(row["consumer_timeout"], 1800000)
    ok([r for r in broker.get("consumers") if r["queue"]["vhost"] == vhost], "among all")
    row = channel_when(broker, c, ch.number, lambda row: row["consumer_details"])
    eq(row["consumer_details"][0]["consumer_tag"], "mine")


def test_who_waits_for_the_single_active_consumer(broker):
    vhost = broker.new_vhost()
    ch = broker.channel(vhost=vhost)
    ch.declare("q", {"x-single-active-consumer": True})
    ch.consume("q", "a")
    ch.consume("q", "b")
    rows = wait_until(lambda: (lambda rows: len(rows) == 2 and rows)(broker.get(path("consumers", vhost))), 20)
    eq({r["consumer_tag"]: (r["active"], r["activity_status"]) for r in rows},
       {"a": (True, "single_active"), "b": (False, "waiting")})


def test_consumers_of_others_are_hidden(broker):
    vhost = broker.new_vhost()
    user = broker.new_user(tags=("management",), vhosts=(vhost,))
    mine, theirs = broker.channel(vhost=vhost, user=user, password=user), broker.channel(vhost=vhost)
    theirs.declare("q")
    mine.consume("q", "mine")
    theirs.consume("q", "theirs")
    wait_until(lambda: len(broker.get(path("consumers", vhost))) == 2, 20)
    if broker.is_coney:
        eq([c["consumer_tag"] for c in broker.get("consumers", user=user)], ["mine"])
    broker.refused("GET", path("consumers", "nope"), status=404)


# --- rates ------------------------------------------------------------------------------------------------------

@settings(collect_statistics_interval=200)
def test_rates_of_what_moves(broker):
    vhost = broker.new_vhost()
    c = broker.connect(vhost=vhost)
    ch = c.channel()
    ch.declare("q", durable=True)

    def rates():
        ch.publish("", "q", b"x" * 1000)
        ch.publish("", "q", b"x" * 1000)
        ch.get("q")
        queue, whole = broker.get(path("queues", vhost, "q")), broker.get(path("vhosts", vhost))
        row = broker.get(path("channels", "%s (%d)" % (name_of(c), ch.number)))
        found = [row["message_stats"]["publish_details"], listed(broker, c)["recv_oct_details"],
                 queue["message_stats"]["publish_details"], queue["message_stats"]["deliver_get_details"],
                 whole["message_stats"]["publish_details"], whole["messages_details"], whole["recv_oct_details"],
                 whole["send_oct_details"], queue["messages_details"], queue["messages_ready_details"],
                 broker.get("overview")["message_stats"]["publish_details"],
                 broker.get("overview")["queue_totals"]["messages_details"],
                 broker.get(path("exchanges", vhost, "amq.default"))["message_stats"]["publish_in_details"]]
        return all(details["rate"] > 0 for details in found) and found
    found = wait_until(rates)
    ok(found[0]["rate"] <= found[2]["rate"] * 3, "of the same messages: %r" % found)
    wait_until(lambda: broker.get(path("queues", vhost, "q"))["message_stats"]["publish_details"]["rate"] == 0)


@settings(collect_statistics_interval=100)
def test_samples_where_they_are_asked_for(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue)
    where = (path("queues", "/", queue) +
             "?lengths_age=3&lengths_incr=1&msg_rates_age=3&msg_rates_incr=1")

    def look():
        ch.publish("", queue, b"x")
        ch.sync()
        row = broker.get(where)
        return row if len(row["messages_details"]["samples"]) >= 3 else None
    row = wait_until(look)
    for details in (row["messages_details"], row["message_stats"]["publish_details"]):
        samples = details["samples"]
        times = [s["timestamp"] for s in samples]
        eq(times, [times[0] - 1000 * i for i in range(len(times))], "newest first, a second apart")
        eq([t % 1000 for t in times], [0] * len(times))
        values = [s["sample"] for s in samples]
        eq(values, sorted(values, reverse=True))
        ok(abs(details["avg"] - sum(values) / len(values)) < 0.01, details)
        ok(abs(details["avg_rate"] - (values[0] - values[-1]) / (len(values) - 1)) < 0.01, details)
    ok("samples" not in broker.get(path("queues", "/", queue))["messages_details"], "not asked for")
    for age, incr in ((6000, 1), (60, 0), (0, 5), (-1, 5), (60, -5)):
        for where in ("overview", "connections", "channels", "exchanges", "queues", "queues/%2F", "nodes"):
            broker.refused("GET", where + "?lengths_age=%d&lengths_incr=%d" % (age, incr), error="bad_request",
                           reason="^Invalid range parameters: age %d, incr %d$" % (age, incr))
    broker.get("overview?lengths_age=500&lengths_incr=1&msg_rates_age=5")
    ok("samples" not in broker.get(path("queues", "/", queue) + "?lengths_age=x&lengths_incr=1")["messages_details"],
       "asked for in a way that is not understood")
