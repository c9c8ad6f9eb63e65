# SPDX-License-Identifier: Apache-2.0
"""HTTP itself: the page, origins, the control socket, what is malformed, slow and large, TLS."""

import contextlib
import os
import re
import resource
import select
import socket
import ssl
import tempfile
import time

import certificates
from api_harness import Client, Node, differs, eq, matches, ok, path, wait_until
from metrics_test import scrape, scrape_node

coney = differs("coney's own")


def raw(broker, octets, timeout=20, is_all=False):
    """What comes back for OCTETS until the broker closes. IS_ALL: our half is closed behind them."""
    with socket.create_connection((broker.http_host, broker.http_port), timeout) as sock:
        sock.sendall(octets)
        if is_all:
            with contextlib.suppress(OSError):      # reset: it said no before it had read all
                sock.shutdown(socket.SHUT_WR)
        out = b""
        with contextlib.suppress(ConnectionResetError if is_all else ()):
            while part := sock.recv(65536):
                out += part
        return out


def request(line, *headers):
    return ("\r\n".join((line, "Host: x", "Connection: close") + headers) + "\r\n\r\n").encode()


def slow_reader(broker):
    """Someone who asks for a long list and takes next to nothing of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((broker.http_host, broker.http_port))
    sock.sendall(request("GET /api/queues HTTP/1.1", "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q="))
    return sock


def wait_for_slow(scrape_it, count):
    """Until COUNT answers wait for who asked."""
    wait_until(lambda: scrape_it().value("coney_http_workers_waiting") >= count, 30, "%d slow readers" % count)


@coney
def test_the_page(broker):
    head, _, body = raw(broker, request("GET / HTTP/1.1")).partition(b"\r\n\r\n")
    ok(b"200 OK" in head.splitlines()[0] and body.startswith(b"<!doctype html>"), head)
    ok(b"content-security-policy: default-src 'none'" in head, head)
    etag = re.search(rb'etag: ("[^"]+")', head).group(1).decode()
    again = raw(broker, request("GET / HTTP/1.1", "If-None-Match: " + etag))
    ok(b"304" in again.splitlines()[0], again)
    ok(b"404" in raw(broker, request("GET /nope HTTP/1.1")).splitlines()[0], "no such file")
    ok(b"404" in raw(broker, request("GET /../etc/passwd HTTP/1.1")).splitlines()[0], "nothing outside")
    ok(b"405" in raw(broker, request("DELETE / HTTP/1.1")).splitlines()[0], "read only")


@coney
def test_pages_of_other_sites_change_nothing(broker):
    name = broker.name("v")
    for origin in ("http://evil.example", "null"):
        broker.refused("PUT", path("vhosts", name), {}, status=401, headers={"origin": origin})
    eq(broker.ask("GET", "whoami", headers={"origin": "http://evil.example"}).headers.get("access-control-allow-origin"),
       None)
    own = "http://%s:%d" % (broker.http_host, broker.http_port)
    broker.put(path("vhosts", name), headers={"origin": own})
    broker.delete(path("vhosts", name))


@coney
def test_sites_that_are_allowed(broker):
    site = "https://ops.example"
    with Node("--set", "management.cors.allow_origins.1=" + site) as node:
        answer = node.ask("OPTIONS", "vhosts/x", headers={"origin": site}, anonymous=True)
        eq((answer.status, answer.headers["access-control-allow-origin"]), (200, site))
        ok("authorization" in answer.headers["access-control-allow-headers"], answer)
        node.put("vhosts/x", headers={"origin": site})


@coney
def test_a_reload_allows_other_sites(broker):
    sites = ["https://one.example", "https://two.example"]
    with Node(config="management.cors.allow_origins.1 = %s\n" % sites[0]) as node:
        node.write("coney.conf", "management.cors.allow_origins.1 = %s\n" % sites[1])
        node.post("coney/reload")
        wait_until(lambda: node.ask("PUT", "vhosts/x", {}, headers={"origin": sites[1]}).status in (201, 204))
        node.refused("PUT", "vhosts/y", {}, headers={"origin": sites[0]}, status=401)


@coney
def test_path_prefix(broker):
    with Node("--set", "management.path_prefix=/mq") as node:
        eq(node.ask("GET", "whoami").status, 404)
        ok(b"404" in raw(node, request("GET /mqx HTTP/1.1")).splitlines()[0], "another path")
        ok(b"200" in raw(node, request("GET /mq/ HTTP/1.1")).splitlines()[0], "the page")
        bare = raw(node, request("GET /mq HTTP/1.1")).lower()
        ok(b" 301 " in bare.splitlines()[0] and b"\r\nlocation: /mq/\r\n" in bare, bare)
        ok(b'"guest"' in raw(node, request("GET /mq/api/whoami HTTP/1.1", "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=")), "")


@coney
def test_the_control_socket_knows_its_peer(broker):
    with Node() as node:
        where = listening(node, "control")
        control = Client("unix:" + where)
        eq(control.get("whoami")["tags"], ["administrator"])
        eq(oct(os.stat(where).st_mode & 0o777), "0o666")
        control.put("vhosts/by-control")
        ok("by-control" in [v["name"] for v in node.get("vhosts")], "made")


@contextlib.contextmanager
def secured_node():
    """A node that listens with TLS too, its port, and what trusts it."""
    with tempfile.TemporaryDirectory() as folder:
        authority = certificates.Authority(folder)
        server = authority.certificate("server")
        with Node("--set", "management.ssl.port=0", "--set", "management.ssl.certfile=" + server.cert,
                  "--set", "management.ssl.keyfile=" + server.key) as node:
            yield node, port_of(node, "https"), ssl.create_default_context(cafile=authority.cert)


def listening(node, kind):
    return [line.split()[2] for line in node.listening if line.startswith("listening %s " % kind)][0]


def port_of(node, kind):
    return int(listening(node, kind).rpartition(":")[2])


@coney
def test_tls(broker):
    with secured_node() as (_, port, context):
        for _ in range(20):
            whoami(port, context)


def whoami(port, context):
    with socket.create_connection(("localhost", port), 20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            secured.sendall(request("GET /api/whoami HTTP/1.1", "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q="))
            got = b""
            while b'"guest"' not in got:
                part = secured.recv(4096)
                ok(part, got)
                got += part


@coney
def test_logins(broker):
    answer = broker.ask("GET", "whoami", anonymous=True)
    eq((answer.status, answer.headers.get("www-authenticate")), (401, 'Basic realm="RabbitMQ Management"'))
    for header in ("Basic !!!", "Basic Z3Vlc3Q=", "Bearer x", "Basic " + "A" * 20000):
        eq(broker.ask("GET", "whoami", anonymous=True, headers={"authorization": header}).status, 401, header[:20])
    matches(broker.ask("GET", "whoami", password="wrong").reason, "Login failed")


@coney
def test_what_is_no_request(broker):
    for octets in (b"\0" * 64, b"GET\r\n\r\n", b"GET /api/whoami HTTP/9.9\r\n\r\n", b"AMQP\0\0\x09\x01",
                   request("BREW /api/whoami HTTP/1.1"), request("GET /api/" + "a/" * 40 + " HTTP/1.1"),
                   request("GET /api/queues/%zz HTTP/1.1"), request("GET /api/whoami?a=%&%=b HTTP/1.1"),
                   request("GET /api/whoami HTTP/1.1", "X: " + "y" * 100000)):
        got = raw(broker, octets, is_all=True)
        ok(not got or got.startswith(b"HTTP/1."), got[:80])
    broker.get("whoami")


@coney
def test_bodies_are_bounded(broker):
    size = 25000000
    head = request("PUT /api/vhosts/x HTTP/1.1", "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=", "Content-Length: %d" % size)
    got = raw(broker, head)
    ok(b"413" in got.splitlines()[0] or b"400" in got.splitlines()[0], got[:200])
    for body in (b"[1]", b"1", b"{", b'{"a":}', b"\xff", b"[" * 100000):
        broker.refused("PUT", path("vhosts", broker.name("v")), body, status=400, reason="not_json")


@coney
def test_a_slow_reader_of_a_long_list_holds_nothing_up(broker):
    ch, name = broker.channel(), broker.name()
    for i in range(3000):
        ch.send("queue.declare", queue="%s.%d.%s" % (name, i, "x" * 150), nowait=True, exclusive=True)
    ch.count(name + ".2999." + "x" * 150)
    slow = [slow_reader(broker) for _ in range(24)]
    wait_for_slow(lambda: scrape(broker), 24)
    for sock in slow[:4]:
        sock.close()
    began = time.monotonic()
    for _ in range(8):
        broker.get("whoami")
    ok(time.monotonic() - began < 20, "answered while others read slowly")
    for sock in slow[4:]:
        sock.close()


@coney
def test_a_slow_reader_does_not_hold_up_the_end(broker):
    with Node() as node:
        queues = [{"name": "q%d.%s" % (i, "x" * 150), "vhost": "/", "durable": True} for i in range(9000)]
        node.post("definitions", {"queues": queues})
        slow = [slow_reader(node) for _ in range(3)]
        wait_for_slow(lambda: scrape_node(node), 3)
        began = time.monotonic()
        node.restart()
        ok(time.monotonic() - began < 10, "ended while its answers were not taken")
        eq(len(node.get("queues")), 9000)


def processor_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@coney
def test_more_connections_than_descriptors(broker):
    """Clients of the HTTP API leave the last descriptors to the control socket, and wait without making anybody spin."""
    with Node() as node:
        pid = node.process.pid
        most = len(os.listdir("/proc/%d/fd" % pid)) + 20
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
        peers = [socket.create_connection((node.http_host, node.http_port)) for _ in range(60)]
        try:
            wait_until(lambda: "cannot accept clients of the HTTP API" in node.log(), what="out of descriptors")
            before, began = processor_seconds(pid), time.monotonic()
            wait_until(lambda: time.monotonic() - began > 1, what="a second")
            ok(processor_seconds(pid) - before < 0.3, "it spins")
            eq(node.log().count("cannot accept"), 1, "complaints")
            eq(Client("unix:" + listening(node, "control")).ask("GET", "overview").status, 200)
        finally:
            for peer in peers:
                peer.close()
        eq(node.ask("GET", "overview").status, 200)


@coney
def test_answers_never_go_before_messages(broker):
    """The threads that log in and answer are nicer than the loops in a process that is nice as a whole, too."""
    with Node() as node:
        threads = "/proc/%d/task" % node.process.pid
        for thread in os.listdir(threads):
            os.setpriority(os.PRIO_PROCESS, int(thread), max(os.getpriority(os.PRIO_PROCESS, int(thread)), 12))
        node.get("queues")
        nice = {}
        for thread in os.listdir(threads):
            with open("%s/%s/comm" % (threads, thread), encoding="ascii") as name:
                nice[name.read().strip()] = os.getpriority(os.PRIO_PROCESS, int(thread))
        ok(nice["coney-admin"] >= min(nice["coney-loop"] + 1, 19), nice)


def drip(peers, octets_of, within):
    """Send each of PEERS (name -> socket) what OCTETS_OF gives for its name, twice a second, until all have been
    answered or closed: what came from each."""
    got, end = {name: b"" for name in peers}, time.monotonic() + within
    while peers:
        ok(time.monotonic() < end, "still open: %s" % sorted(peers))
        for name, sock in peers.items():
            with contextlib.suppress(OSError):      # the next read tells
                sock.sendall(octets_of(name))
        until = time.monotonic() + 0.5
        while peers and (left := until - time.monotonic()) > 0:
            readable = select.select(list(peers.values()), [], [], left)[0]
            for name in [name for name, sock in peers.items() if sock in readable]:
                try:
                    part = peers[name].recv(65536)
                except ssl.SSLWantReadError:        # a ticket of TLS
                    continue
                except ConnectionError:
                    part = b""
                got[name] += part
                if not part:
                    peers.pop(name).close()
    return got


@coney
def test_a_request_has_to_come_at_some_speed(broker):
    """An octet now and then does not keep a connection; a slow line does."""
    body = b'{"description": "%s"}' % (b"x" * 30000)
    put = request("PUT /api/vhosts/slow HTTP/1.1", "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=",
                  "Content-Length: %d" % len(body))
    line = iter(body[at:at + 1000] for at in range(0, len(body), 1000))
    with secured_node() as (node, port, context):
        control = socket.socket(socket.AF_UNIX)
        control.connect(listening(node, "control"))
        peers = {name: socket.create_connection(("localhost", port_of(node, "http")))
                 for name in ("headers", "body", "again", "slow line")}
        peers["metrics"] = socket.create_connection(("localhost", port_of(node, "metrics")))
        peers["control"] = control
        peers["tls"] = context.wrap_socket(socket.create_connection(("localhost", port)), server_hostname="localhost")
        peers["body"].sendall(put)
        peers["slow line"].sendall(put)
        peers["again"].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        ok(b"200 OK" in peers["again"].recv(65536), "the first request of this connection")
        for name in ("headers", "metrics", "control", "tls", "again"):
            peers[name].sendall(b"GET / HTTP/1.1\r\nX: ")
        peers["tls"].setblocking(False)
        got = drip(peers, lambda name: next(line, b"") if name == "slow line" else b"x", 30)
        ok(b" 201 " in got.pop("slow line").splitlines()[0], "a slow line is fast enough")
        got["again"] = b""                          # the rest of the page
        eq(set(got.values()), {b""}, "the others are closed without a word")
        eq([v["description"] for v in node.get("vhosts") if v["name"] == "slow"], ["x" * 30000])


@coney
def test_connect_is_refused_and_closed(broker):
    """Whatever a client says of the connection: there is no tunnel."""
    for more in ((), ("Connection: keep-alive",)):
        head = "\r\n".join(("CONNECT example.com:443 HTTP/1.1", "Host: x") + more) + "\r\n\r\n"
        got = raw(broker, head.encode())
        ok(b" 501 " in got.splitlines()[0] and b"\r\nconnection: close\r\n" in got.lower(), got)


def taken(peer, octets, most):
    """How much of OCTETS, again and again, PEER takes, MOST being enough."""
    size = 0
    peer.settimeout(3)
    with contextlib.suppress(TimeoutError, ConnectionError):
        while size < most:
            size += peer.send(octets)
    return size


@coney
def test_what_is_not_looked_at_is_not_read(broker):
    """Neither the size of a chunk that never ends, nor what is asked while the answer before it is not taken."""
    with Node("--set", "management.http.max_body_size=1000000") as node:
        for at in range(0, 9000, 3000):
            queues = [{"name": "q%d.%s" % (i, "x" * 150), "vhost": "/", "durable": True} for i in range(at, at + 3000)]
            node.post("definitions", {"queues": queues})
        endless = socket.create_connection((node.http_host, node.http_port))
        endless.sendall(request("PUT /api/vhosts/x HTTP/1.1", "Transfer-Encoding: chunked"))
        slow = slow_reader(node)
        wait_for_slow(lambda: scrape_node(node), 1)
        for peer in (endless, slow):
            with peer:
                size = taken(peer, b"0" * 65536, 100 << 20)
                ok(size < 50 << 20, "%d octets were taken" % size)
