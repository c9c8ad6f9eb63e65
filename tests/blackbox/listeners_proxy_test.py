# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol in front of AMQP: whom the proxy names is who comes, and nothing else is taken for a header."""

import socket
import struct

import amqp_raw
import tls_tools
from daemon import Daemon
from harness import differs, eq, ok, wait_until

program = differs("about coneyd's proxy_protocol")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL4 = b"PROXY TCP4 127.0.0.1 127.0.0.1 50000 5672\r\n"
REMOTE4 = b"PROXY TCP4 192.0.2.1 127.0.0.1 50000 5672\r\n"


def v2(command, family, payload):
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(payload)) + payload


def v2_ipv4(source):
    return v2(1, 0x11, socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 50000, 5672))


def v2_ipv6(source):
    return v2(1, 0x21, socket.inet_pton(socket.AF_INET6, source) * 2 + struct.pack(">HH", 50000, 5672))


def proxied(*arguments):
    return Daemon("--set", "proxy_protocol=true", *arguments)


def is_let_in(daemon, ahead, host=None, port=None):
    """Whether guest, who may come from this machine only, can log in behind these octets."""
    try:
        connection = amqp_raw.Connection(host or daemon.address()[0], port or daemon.address()[1], ahead=ahead)
        connection.close()
        return True
    except amqp_raw.Dropped:
        return False
    except amqp_raw.ConnectionClosed as closed:
        eq(closed.code, 403)
        return False


def is_refused(daemon, octets):
    """Nothing is said to who sends this first; the socket is closed at once."""
    wire = amqp_raw.Wire(*daemon.address())
    wire.send(octets)
    eq(bytes(wire.read_to_end(timeout=10)), b"", octets)
    wire.close()


@program
def test_the_address_that_is_named_decides_who_is_on_this_machine(broker):
    with proxied() as daemon:
        eq(is_let_in(daemon, LOCAL4), True)
        eq(is_let_in(daemon, REMOTE4), False)
        eq(is_let_in(daemon, b"PROXY TCP6 ::1 ::1 1 2\r\n"), True)
        eq(is_let_in(daemon, b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), False)
        eq(is_let_in(daemon, v2_ipv4("127.0.0.1")), True)
        eq(is_let_in(daemon, v2_ipv4("192.0.2.1")), False)
        eq(is_let_in(daemon, v2_ipv6("::1")), True)
        eq(is_let_in(daemon, v2_ipv6("2001:db8::1")), False)


@program
def test_who_is_not_named_is_not_on_this_machine(broker):
    with proxied() as daemon:
        eq(is_let_in(daemon, b"PROXY UNKNOWN\r\n"), False)
        eq(is_let_in(daemon, b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), False)
        eq(is_let_in(daemon, v2(1, 0x00, b"")), False)
        eq(is_let_in(daemon, v2(1, 0x31, bytes(216))), False)


@program
def test_a_proxy_that_speaks_for_itself_is_who_it_is(broker):
    with proxied() as daemon:
        eq(is_let_in(daemon, v2(0, 0x00, b"")), True)
        eq(is_let_in(daemon, v2(0, 0x11, socket.inet_aton("192.0.2.1") * 2 + bytes(4))), True)


@program
def test_headers_in_pieces_and_with_extensions(broker):
    extension = b"\x04\x00\x05hello"
    with proxied() as daemon:
        for header in (LOCAL4, v2(1, 0x11, socket.inet_aton("127.0.0.1") * 2 + bytes(4) + extension * 100)):
            wire = amqp_raw.Wire(*daemon.address())
            wire.dribble(header + amqp_raw.PROTOCOL_HEADER)
            eq(amqp_raw.decode_method(0, wire.read_frame().payload).name, "connection.start")
            wire.close()


@program
def test_what_is_no_header_is_refused(broker):
    addresses = socket.inet_aton("127.0.0.1") * 2 + bytes(4)
    with proxied() as daemon:
        for octets in (amqp_raw.PROTOCOL_HEADER, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01",
                       b"PROXY TCP4 127.0.0.1 127.0.0.1 50000\r\n",
                       b"PROXY TCP4 127.0.0.1 127.0.0.1 50000 5672 1\r\n",
                       b"PROXY TCP4 127.0.0.1  127.0.0.1 50000 5672\r\n",
                       b"PROXY TCP4 127.0.0.1 127.0.0.1 70000 5672\r\n",
                       b"PROXY TCP4 127.0.0.1 127.0.0.1 -1 5672\r\n",
                       b"PROXY TCP4 localhost 127.0.0.1 50000 5672\r\n",
                       b"PROXY TCP4 ::1 ::1 50000 5672\r\n", b"PROXY TCP6 127.0.0.1 127.0.0.1 1 2\r\n",
                       b"PROXY UDP4 127.0.0.1 127.0.0.1 1 2\r\n", b"PROXY \r\n", b"PROXY TCP4\r\n",
                       b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\rX", b"PROXY " + b"x" * 200,
                       v2(2, 0x11, addresses), v2(1, 0x12, addresses), v2(1, 0x11, addresses[:-1]),
                       v2(1, 0x21, addresses), v2(1, 0x31, addresses), v2(1, 0x41, addresses),
                       b"\r\n\r\n\0\r\nQUIT\r", SIGNATURE + b"\x11\x11\x00\x0c" + addresses,
                       SIGNATURE + b"\x21\x11\xff\xff"):
            is_refused(daemon, octets)
        wait_until(lambda: "refusing connection from 127.0.0.1:" in daemon.log())
        eq(is_let_in(daemon, LOCAL4), True)


@program
def test_a_header_that_does_not_come_is_not_waited_for(broker):
    with proxied("--set", "handshake_timeout=1s") as daemon:
        wires = [amqp_raw.Wire(*daemon.address()) for _ in range(3)]
        wires[1].send(b"PROXY TCP4 127.0.0.1")
        wires[2].send(SIGNATURE + b"\x21")
        for wire in wires:
            eq(bytes(wire.read_to_end(timeout=10)), b"")
        daemon.wait_log("its PROXY header: it did not come in time")
        gone = amqp_raw.Wire(*daemon.address())
        gone.send(b"PROXY")
        gone.close()
        daemon.wait_log("its PROXY header: the connection was closed")


@program
def test_sockets_that_wait_for_a_header_do_not_keep_the_broker(broker):
    with proxied() as daemon:
        wire = amqp_raw.Wire(*daemon.address())
        wire.send(b"PROXY ")
        eq(is_let_in(daemon, LOCAL4), True)
        eq(daemon.stop(), 0)
        eq(bytes(wire.read_to_end(timeout=10)), b"")


@program
def test_it_is_off_by_default_and_a_reload_turns_it_on(broker):
    with Daemon(config="") as daemon:
        eq(is_let_in(daemon, b""), True)
        wire = amqp_raw.Wire(*daemon.address())
        wire.send(LOCAL4 + amqp_raw.PROTOCOL_HEADER)
        eq(bytes(wire.read_to_end()), amqp_raw.PROTOCOL_HEADER)
        daemon.write("coney.conf", "proxy_protocol = true\n")
        daemon.reload()
        eq(is_let_in(daemon, LOCAL4), True)
        is_refused(daemon, amqp_raw.PROTOCOL_HEADER)


@program
def test_before_a_unix_socket_too(broker):
    with proxied("--set", "listeners.tcp.2=@/amqp") as daemon:
        eq(is_let_in(daemon, LOCAL4, daemon.path("amqp"), 1), True)
        eq(is_let_in(daemon, REMOTE4, daemon.path("amqp"), 1), False)


@program
def test_before_the_tls_handshake_too(broker):
    with tls_tools.node({"proxy_protocol": "true"}) as node:
        for header, in_ in ((LOCAL4, True), (v2_ipv4("192.0.2.1"), False)):
            with socket.create_connection((node.host, node.tls_port), timeout=15) as plain:
                plain.sendall(header)
                with tls_tools.client_context().wrap_socket(plain, server_hostname="localhost") as secured:
                    secured.sendall(amqp_raw.PROTOCOL_HEADER + amqp_raw.method_frame(
                        0, "connection.start-ok", client_properties={"capabilities": amqp_raw.CAPABILITIES},
                        mechanism="PLAIN", response=amqp_raw.plain_response("guest", "guest"), locale="en_US"))
                    said = b""
                    while b"\x00\x0a\x00\x1e" not in said and b"\x00\x0a\x00\x32" not in said:
                        data = secured.recv(65536)
                        ok(data, "ended after %r" % said)
                        said += data
            eq(b"\x00\x0a\x00\x1e" in said, in_, "tune for %r" % header)
