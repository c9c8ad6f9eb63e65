# SPDX-License-Identifier: Apache-2.0
"""connection-and-channel, 3: start, SASL, tune, open, and what goes wrong on the way."""

import os
import re
import socket
import time

import amqp_raw
from amqp_raw import PROTOCOL_HEADER, V, decode_method, method_frame, plain
from harness import Skip, between, definitions, differs, eq, matches, ok, permission, settings, slow, user, wait_until


def started(broker):
    wire = broker.wire()
    wire.send(PROTOCOL_HEADER)
    wire.start = decode_method(0, wire.read_frame().payload)
    return wire


def start_ok(mechanism="PLAIN", response=b"\0guest\0guest", capabilities=True, **more):
    properties = {"capabilities": {"authentication_failure_close": True}} if capabilities else {}
    return method_frame(0, "connection.start-ok", client_properties=more.pop("properties", properties),
                        mechanism=mechanism, response=response, locale=more.pop("locale", "en_US"))


def tuning(broker):
    wire = started(broker)
    wire.send(start_ok())
    wire.tune = decode_method(0, wire.read_frame().payload)
    eq(wire.tune.name, "connection.tune")
    return wire


def tune_ok(channel_max=2047, frame_max=131072, heartbeat=0):
    return method_frame(0, "connection.tune-ok", channel_max=channel_max, frame_max=frame_max, heartbeat=heartbeat)


def opening(broker):
    wire = tuning(broker)
    wire.send(tune_ok())
    return wire


def expect_close(wire, code, text, cls, meth):
    close = decode_method(0, wire.read_frame().payload)
    eq(close.name, "connection.close")
    amqp_raw.check_close(close, code, text, cls, meth)
    wire.send(method_frame(0, "connection.close-ok"))
    wire.read_to_end()


# --- 3.1 connection.start

def test_start_offers_plain_and_amqplain(broker):
    start = started(broker).start
    ok({"PLAIN", "AMQPLAIN"} <= set(start.mechanisms.split(" ")), start.mechanisms)
    eq(start.locales, "en_US")


def test_anonymous_and_external_are_not_offered(broker):
    offered = started(broker).start.mechanisms.split(" ")
    ok("ANONYMOUS" not in offered and "EXTERNAL" not in offered and "RABBIT-CR-DEMO" not in offered, offered)


def test_server_properties_are_longstrs_and_name_rabbitmq(broker):
    table = started(broker).start.server_properties
    for name, value in table:
        eq(value.type, "F" if name == "capabilities" else "S", name)
    told = plain(table)
    for name in ("product", "version", "platform", "copyright", "information", "cluster_name"):
        ok(told.get(name), "no " + name)
    eq(told["product"], "RabbitMQ")
    matches(told["version"], r"^\d+(\.\d+)+$")
    ok(told["cluster_name"], "empty cluster_name")


@differs("this is 3.13's level")
def test_version_is_the_level_of_behaviour(broker):
    told = plain(started(broker).start.server_properties)
    eq(told["version"], "3.13.7")
    ok("coney" in " ".join(str(v) for v in told.values()).lower(), "nothing tells that this is coney")


@settings(product__name="Warren", product__version="3.9.29")
def test_product_and_version_are_configurable(broker):
    told = plain(started(broker).start.server_properties)
    eq((told["product"], told["version"]), ("Warren", "3.9.29"))
    ok(told["platform"].startswith("coney "), told["platform"])


def test_server_properties_are_sorted(broker):
    names = [name for name, _ in started(broker).start.server_properties]
    eq(names, sorted(names))


def test_server_capabilities(broker):
    table = dict(started(broker).start.server_properties)["capabilities"].value
    eq([name for name, _ in table],
       ["publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
        "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
        "direct_reply_to"])
    for name, value in table:
        eq(value, V("t", 1), name)


# --- 3.2 connection.start-ok

def test_client_properties_of_every_kind_are_accepted(broker):
    for properties in ({}, {"capabilities": "no table"}, {"capabilities": [1]}, {"capabilities": {}},
                       {"connection_name": "me", "deep": {"a": [None, 1.5, {"b": b"x"}]}},
                       {"capabilities": {"consumer_cancel_notify": "yes", "connection.blocked": 1}}):
        wire = started(broker)
        wire.send(start_ok(properties=properties))
        eq(decode_method(0, wire.read_frame().payload).name, "connection.tune", repr(properties))


def test_locale_is_ignored(broker):
    wire = started(broker)
    wire.send(start_ok(locale="tlh_KX"))
    eq(decode_method(0, wire.read_frame().payload).name, "connection.tune")


def test_capability_counts_only_as_true_boolean(broker):
    """authentication_failure_close given as a string or false: silence, as without it."""
    for value in ("true", 1, False):
        wire = started(broker)
        wire.send(start_ok(response=b"\0guest\0wrong", properties={"capabilities": {
            "authentication_failure_close": value}}))
        wire.expect_drop(8)


test_capability_counts_only_as_true_boolean.seconds = 5


# --- 3.3 SASL

def test_amqplain(broker):
    for table in ({"LOGIN": "guest", "PASSWORD": "guest"}, {"PASSWORD": "guest", "LOGIN": "guest"},
                  {"LOGIN": "guest", "more": 1, "PASSWORD": "guest"}):
        wire = started(broker)
        wire.send(start_ok("AMQPLAIN", amqp_raw.encode_table_contents(table)))
        eq(decode_method(0, wire.read_frame().payload).name, "connection.tune", repr(table))


@differs("3.10 takes AMQPLAIN's strings as S only")
def test_amqplain_strings_may_be_binary(broker):
    wire = started(broker)
    wire.send(start_ok("AMQPLAIN", amqp_raw.encode_table_contents({"LOGIN": b"guest", "PASSWORD": b"guest"})))
    eq(decode_method(0, wire.read_frame().payload).name, "connection.tune")


def silently_dropped(broker, mechanism, responses):
    """All of them at once, so that their three seconds pass together."""
    wires = []
    for response in responses:
        wire = started(broker)
        wire.send(start_ok(mechanism, response))
        wires.append((response, wire))
    for response, wire in wires:
        try:
            wire.expect_drop(8)
        except AssertionError as failure:
            raise AssertionError("%s %r: %s" % (mechanism, response, failure))


@slow
def test_malformed_plain_is_dropped_silently(broker):
    silently_dropped(broker, "PLAIN", [b"", b"guest", b"\0guest", b"\0guest\0guest\0", b"id\0guest\0guest",
                                       b"guest\0guest"])


@slow
def test_malformed_amqplain_is_dropped_silently(broker):
    good = {"LOGIN": "guest", "PASSWORD": "guest"}
    silently_dropped(broker, "AMQPLAIN", [
        b"", amqp_raw.encode_table(good), amqp_raw.encode_table_contents({"LOGIN": "guest"}),
        amqp_raw.encode_table_contents({"PASSWORD": "guest"}), b"\x05LOGIN",
        amqp_raw.encode_table_contents(good)[:-1]])


@slow
def test_unknown_mechanism_is_dropped_silently(broker):
    for mechanism in ("plain", "EXTERNAL", "CRAM-MD5", ""):
        silently_dropped(broker, mechanism, [b"\0guest\0guest"])


# --- 3.4 failed login

def refusal(mechanism):
    return ("ACCESS_REFUSED - Login was refused using authentication mechanism %s. "
            "For details see the broker logfile." % mechanism)


def test_failed_login_is_closed_with_403_at_once(broker):
    for user_password in (b"\0guest\0wrong", b"\0nobody\0guest", b"\0guest\0", b"\0\0", b"\0guest\0guest2"):
        wire = started(broker)
        wire.send(start_ok(response=user_password))
        expect_close(wire, 403, refusal("PLAIN"), 0, 0)
    wire = started(broker)
    wire.send(start_ok("AMQPLAIN", amqp_raw.encode_table_contents({"LOGIN": "guest", "PASSWORD": "no"})))
    expect_close(wire, 403, refusal("AMQPLAIN"), 0, 0)


def test_failed_login_closes_the_socket_after_close_ok(broker):
    wire = started(broker)
    wire.send(start_ok(response=b"\0guest\0wrong"))
    wire.read_frame()
    wire.send(method_frame(0, "connection.close-ok"))
    wire.expect_drop(2)


@slow
def test_failed_login_closes_the_socket_without_close_ok_too(broker):
    wire = started(broker)
    wire.send(start_ok(response=b"\0guest\0wrong"))
    wire.read_frame()
    wire.expect_drop(8)


@slow
def test_failed_login_of_an_old_client_is_silent(broker):
    wire = started(broker)
    wire.send(start_ok(response=b"\0guest\0wrong", capabilities=False))
    wire.expect_drop(8)


def test_login_by_password_hash_of_a_definitions_file(broker):
    eq(broker.connect(user="alice", password="secret", vhost="alice").channel().number, 1)
    wire = started(broker)
    wire.send(start_ok(response=b"\0alice\0alice"))
    expect_close(wire, 403, refusal("PLAIN"), 0, 0)


def users():
    return {"vhosts": [{"name": "alice"}, {"name": "nobody"}],
            "users": [user("alice", "secret"), user("nothing", "nothing"), user("empty", "empty")],
            "permissions": [permission("alice", "alice"), permission("empty", "nobody", "^$", "^$", "^$")]}


test_login_by_password_hash_of_a_definitions_file.definitions = users


# --- 3.5 tune

def test_tune_offers_the_defaults(broker):
    tune = tuning(broker).tune
    eq((tune.channel_max, tune.frame_max, tune.heartbeat), (2047, 131072, 60))


@settings(channel_max=77, frame_max=65536, heartbeat=17)
def test_tune_offers_what_is_configured(broker):
    tune = tuning(broker).tune
    eq((tune.channel_max, tune.frame_max, tune.heartbeat), (77, 65536, 17))


@settings(channel_max=0, frame_max=0, heartbeat=0)
def test_zero_is_accepted_where_the_server_offers_zero(broker):
    wire = tuning(broker)
    wire.send(tune_ok(0, 0, 0) + method_frame(0, "connection.open", virtual_host="/"))
    eq(decode_method(0, wire.read_frame().payload).name, "connection.open-ok")


def test_tune_ok_within_bounds_is_accepted(broker):
    for values in ((1, 4096, 0), (2047, 131072, 65535), (2, 4097, 100)):
        wire = tuning(broker)
        wire.send(tune_ok(*values) + method_frame(0, "connection.open", virtual_host="/"))
        got = wire.read_frame()
        if got.type == amqp_raw.HEARTBEAT:
            got = wire.read_frame()
        eq(decode_method(0, got.payload).name, "connection.open-ok", repr(values))


@slow
def test_tune_ok_out_of_bounds_ends_the_connection(broker):
    """Silently in RabbitMQ; a 530 that names the limit is allowed."""
    wires = []
    for values, text in (((2047, 4095, 0), "negotiated frame_max = 4095 is lower than the minimum allowed value"),
                         ((2047, 131073, 0), "negotiated frame_max = 131073 is higher than the maximum allowed value"),
                         ((2047, 0, 0), "negotiated frame_max = 0"),
                         ((2048, 131072, 0), "negotiated channel_max = 2048 is higher than the maximum allowed value"),
                         ((0, 131072, 0), r"negotiated channel_max = 0 \(no limit\)")):
        wire = tuning(broker)
        wire.send(tune_ok(*values))
        wires.append((values, text, wire))
    for values, text, wire in wires:
        try:
            got = wire.read_frame(8)
        except amqp_raw.Dropped:
            continue
        close = decode_method(0, got.payload)
        eq((close.name, close.reply_code), ("connection.close", 530), repr(values))
        matches(close.reply_text, "NOT_ALLOWED - " + text)
        wire.send(method_frame(0, "connection.close-ok"))
        wire.expect_drop(8)


def test_nothing_is_answered_to_tune_ok(broker):
    wire = opening(broker)
    broker.is_up()
    wire.silent_for(0.05)


def test_channel_max_counts_channels_not_numbers(broker):
    c = broker.connect(channel_max=2)
    c.channel(7)
    high = c.channel(65535)
    high.close()
    c.channel(3000)
    c.send(9, "channel.open")
    c.expect_close(530, "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)", 0, 0)


def test_channel_2048_is_one_too_many_by_default(broker):
    c = broker.connect()
    c.wire.send(b"".join(method_frame(n, "channel.open") for n in range(1, 2048)))
    for _ in range(2047):
        got = c.wire.read_frame()
        eq(decode_method(got.channel, got.payload).name, "channel.open-ok")
    c.send(2048, "channel.open")
    c.expect_close(530, "NOT_ALLOWED - number of channels opened (2047) has reached the negotiated channel_max (2047)",
                   0, 0)


# --- 3.6 open

def test_open_ok_and_ignored_arguments(broker):
    wire = opening(broker)
    wire.send(method_frame(0, "connection.open", virtual_host="/", capabilities="whatever", insist=True))
    reply = decode_method(0, wire.read_frame().payload)
    eq((reply.name, reply.known_hosts), ("connection.open-ok", ""))


def test_open_of_a_missing_vhost(broker):
    wire = opening(broker)
    wire.send(method_frame(0, "connection.open", virtual_host="no such"))
    expect_close(wire, 530, "NOT_ALLOWED - vhost no such not found", 10, 40)


def refused_open(broker, user_name, vhost, text):
    c = broker.connect(user=user_name, password=user_name, open_vhost=False)
    c.send(0, "connection.open", virtual_host=vhost)
    c.expect_close(530, text, 10, 40)


@definitions(users)
def test_open_without_a_permission_record(broker):
    refused_open(broker, "nothing", "alice", re.compile(
        r"^NOT_ALLOWED - access to vhost 'alice' refused for user 'nothing'"))
    refused_open(broker, "empty", "alice", re.compile(
        r"^NOT_ALLOWED - access to vhost 'alice' refused for user 'empty'"))


@definitions(users)
def test_a_permission_record_that_matches_nothing_gives_access(broker):
    eq(broker.connect(user="empty", password="empty", vhost="nobody").channel().number, 1)


@definitions(users)
def test_a_missing_vhost_comes_before_access(broker):
    refused_open(broker, "nothing", "nowhere", "NOT_ALLOWED - vhost nowhere not found")


TAG = os.urandom(3).hex()       # a foreign broker may still count connections of the run before
LIM, NONE, FREE = "lim" + TAG, "none" + TAG, "free" + TAG
LU, L0, LC, LV = "lu" + TAG, "l0" + TAG, "lc" + TAG, "lv" + TAG


def limits():
    return {"vhosts": [{"name": LIM}, {"name": NONE}, {"name": FREE}],
            "users": [user(LU, limits={"max-connections": 1}), user(LV), user(LC, limits={"max-channels": 2}),
                      user(L0, limits={"max-connections": 0})],
            "permissions": [permission(u, v) for u in (LU, LV, LC, L0) for v in (LIM, NONE, FREE)],
            "parameters": [
                {"vhost": LIM, "component": "vhost-limits", "name": "limits", "value": {"max-connections": 2}},
                {"vhost": NONE, "component": "vhost-limits", "name": "limits", "value": {"max-connections": 0}}]}


@definitions(limits)
def test_vhost_connection_limit(broker):
    for _ in range(2):
        broker.connect(user=LV, password=LV, vhost=LIM)
    text = "NOT_ALLOWED - access to vhost '%s' refused for user '%s': connection limit (%d) is reached"
    refused_open(broker, LV, LIM, text % (LIM, LV, 2))
    refused_open(broker, LV, NONE, text % (NONE, LV, 0))


@definitions(limits)
def test_user_connection_limit(broker):
    c = broker.connect(user=LU, password=LU, vhost=FREE)
    text = "NOT_ALLOWED - connection refused for user '%s': user connection limit (%d) is reached"
    refused_open(broker, LU, FREE, text % (LU, 1))
    refused_open(broker, L0, FREE, text % (L0, 0))
    c.close()

    def again():
        try:
            return broker.connect(user=LU, password=LU, vhost=FREE)
        except amqp_raw.ConnectionClosed as closed:
            eq(closed.code, 530)
    wait_until(again, 5, "place of the closed connection free")


@definitions(limits)
def test_user_channel_limit(broker):
    c = broker.connect(user=LC, password=LC, vhost=FREE)
    c.channel(), c.channel()
    c.send(3, "channel.open")
    c.expect_close(530, "NOT_ALLOWED - number of channels opened for user '%s' has reached the maximum allowed "
                   "user limit of (2)" % LC, 0, 0)


# --- 3.7 misbehaviour

@slow
def test_wrong_method_in_starting_and_tuning_is_dropped_silently(broker):
    wrong = [method_frame(0, "connection.tune-ok", channel_max=1, frame_max=4096),
             method_frame(0, "connection.open", virtual_host="/"),
             method_frame(0, "connection.secure-ok", response="x"),
             method_frame(0, "basic.qos"), method_frame(1, "channel.open")]
    wires = []
    for octets in wrong:
        for state in (started, tuning):
            if state is tuning and b"\0\x0a\0\x1f" in octets:
                continue
            wire = state(broker)
            wire.send(octets)
            wires.append((state.__name__, octets, wire))
    wire = tuning(broker)
    wire.send(start_ok())
    wires.append(("tuning", b"start-ok", wire))
    for state, octets, wire in wires:
        try:
            wire.expect_drop(8)
        except AssertionError as failure:
            raise AssertionError("%s %r: %s" % (state, octets, failure))


def test_channel_frame_in_opening(broker):
    wire = opening(broker)
    wire.send(method_frame(1, "channel.open"))
    expect_close(wire, 505, re.compile("^UNEXPECTED_FRAME - type 1, "), 0, 0)


@differs("3.10 answers close only when running")
def test_close_is_answered_in_every_state(broker):
    for state in (started, tuning, opening):
        wire = state(broker)
        wire.send(method_frame(0, "connection.close", reply_code=200))
        got = wire.read_frame()
        eq(decode_method(0, got.payload).name, "connection.close-ok", state.__name__)


def test_handshake_methods_again_when_running(broker):
    for name, cls, meth in (("connection.start-ok", 10, 11), ("connection.tune-ok", 10, 31),
                            ("connection.open", 10, 40), ("connection.secure-ok", 10, 21)):
        c = broker.connect()
        c.send(0, name)
        c.expect_close(504, "CHANNEL_ERROR - unexpected method in connection state running", cls, meth)


def test_heartbeat_is_ignored_in_every_state(broker):
    wire = broker.wire()
    wire.send(PROTOCOL_HEADER + amqp_raw.HEARTBEAT_FRAME)
    wire.read_frame()
    wire.send(amqp_raw.HEARTBEAT_FRAME + start_ok() + amqp_raw.HEARTBEAT_FRAME)
    wire.read_frame()
    wire.send(amqp_raw.HEARTBEAT_FRAME + tune_ok() + amqp_raw.HEARTBEAT_FRAME
              + method_frame(0, "connection.open", virtual_host="/"))
    eq(decode_method(0, wire.read_frame().payload).name, "connection.open-ok")


@settings(handshake_timeout=3000)
def test_handshake_timeout_drops_in_every_state_before_running(broker):
    wires = [broker.wire(), started(broker), tuning(broker), opening(broker)]
    c = broker.connect()
    for wire in wires:
        wire.expect_drop(8)
    eq(c.channel().number, 1, "running connections stay")


@slow
def test_handshake_timeout_is_ten_seconds(broker):
    began = time.monotonic()
    wire = started(broker)
    wire.expect_drop(14)
    between(time.monotonic() - began, 9.5, 13, "seconds until dropped")


def own_address():
    """An address of this machine that is not loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


@settings(listeners__tcp__1="0.0.0.0:0")
def test_guest_is_refused_from_elsewhere_like_a_wrong_password(broker):
    """Both ways of 3.4; other users may come from anywhere, and guest from any loopback address."""
    broker.host = "127.0.0.77"
    broker.is_up()
    broker.host = own_address()
    if broker.host is None:
        raise Skip("this machine has loopback addresses only")
    wire = started(broker)
    wire.send(start_ok())
    expect_close(wire, 403, refusal("PLAIN"), 0, 0)
    wire = started(broker)
    wire.send(start_ok(capabilities=False))
    wire.expect_drop(8)


@settings(listeners__tcp__1="0.0.0.0:0", loopback_users="none")
def test_guest_may_come_from_anywhere_if_configured(broker):
    broker.host = own_address() or "127.0.0.1"
    broker.is_up()


@settings(listeners__tcp__1="[::]:0")
def test_v4_mapped_loopback_is_loopback(broker):
    """The IPv6 wildcard takes IPv4 clients too, as RabbitMQ's does."""
    broker.host = "127.0.0.1"
    broker.is_up()


@settings(listeners__tcp__1="[::1]:0")
def test_guest_may_log_in_over_ipv6_loopback(broker):
    eq(broker.host, "::1")
    broker.is_up()


@settings(default_user="coney", default_pass="s3cret", default_vhost="/lair")
def test_default_user_and_vhost_are_configurable(broker):
    eq(broker.connect(user="coney", password="s3cret", vhost="/lair").channel().number, 1)


# --- mechanisms that only a configuration offers

@settings(auth_mechanisms__1="PLAIN", auth_mechanisms__2="ANONYMOUS")
def test_anonymous_logs_in_as_guest_when_configured(broker):
    wire = started(broker)
    eq(sorted(wire.start.mechanisms.split(" ")), ["ANONYMOUS", "PLAIN"])
    wire.send(start_ok("ANONYMOUS", b"whatever"))
    eq(decode_method(0, wire.read_frame().payload).name, "connection.tune")
    ch = broker.channel(mechanism="ANONYMOUS", response=b"")
    queue = ch.declare(exclusive=True).queue
    ch.publish("", queue, b"", {"user_id": "guest"})
    eq(ch.get(queue).props, {"user_id": "guest"})


def securing(broker, **kw):
    wire = started(broker)
    wire.send(start_ok("RABBIT-CR-DEMO", b"guest", **kw))
    challenge = decode_method(0, wire.read_frame().payload)
    eq((challenge.name, challenge.challenge), ("connection.secure", "Please tell me your password"))
    return wire


cr_demo = settings(auth_mechanisms__1="RABBIT-CR-DEMO", auth_mechanisms__2="PLAIN")


@cr_demo
def test_challenge_and_response(broker):
    wire = securing(broker)
    wire.send(method_frame(0, "connection.secure-ok", response=b"My password is guest"))
    eq(decode_method(0, wire.read_frame().payload).name, "connection.tune")


@slow
@cr_demo
def test_refusal_in_the_second_round_waits_before_it_drops(broker):
    """After the close frame if capable; three seconds in both cases."""
    wire = securing(broker)
    wire.send(method_frame(0, "connection.secure-ok", response=b"My password is wrong"))
    close = decode_method(0, wire.read_frame().payload)
    amqp_raw.check_close(close, 403, refusal("RABBIT-CR-DEMO"), 0, 0)
    old = securing(broker, capabilities=False)
    old.send(method_frame(0, "connection.secure-ok", response=b"My password is wrong"))
    wire.expect_drop(8)
    old.expect_drop(8)


@slow
@cr_demo
def test_wrong_method_in_securing_is_dropped_silently(broker):
    wires = []
    for octets in (start_ok(), tune_ok(), method_frame(0, "connection.open", virtual_host="/"),
                   method_frame(1, "channel.open")):
        wire = securing(broker)
        wire.send(octets)
        wires.append(wire)
    for wire in wires:
        wire.expect_drop(8)


@settings(connection_max=2)
def test_node_connection_limit(broker):
    broker.connect(), broker.connect()
    wire = opening(broker)
    wire.send(method_frame(0, "connection.open", virtual_host="no such"))
    expect_close(wire, 530, "NOT_ALLOWED - connection refused: node connection limit (2) is reached", 10, 40)
