# SPDX-License-Identifier: Apache-2.0
"""What the TLS tests share: an authority, brokers with a TLS listener, a client that decides about its records, and
openssl s_client.
"""

import atexit
import contextlib
import functools
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import amqp_raw
from certificates import Authority, openssl
from harness import BrokerDied, Coneyd, check_end, readable, wait_until

LOCK = threading.RLock()


@functools.lru_cache(None)
def folder():
    path = tempfile.mkdtemp(prefix="coney-tls-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


AUTHORITIES, CERTIFICATES = {}, {}


def authority(name="ca", parent=None):
    """The authority of this name, which all tests of the process share."""
    with LOCK:
        if name not in AUTHORITIES:
            AUTHORITIES[name] = Authority(folder(), name, authority(parent) if parent else None)
        return AUTHORITIES[name]


def certificate(name, by="ca", **more):
    """The same for certificates that no test changes."""
    with LOCK:
        if (name, by) not in CERTIFICATES:
            CERTIFICATES[name, by] = authority(by).certificate(name, **more)
        return CERTIFICATES[name, by]


def self_signed():
    """One that nobody vouches for, which no test changes either."""
    with LOCK:
        if "self-signed" not in CERTIFICATES:
            made = certificate("base")
            path = made.cert + ".self"
            openssl("req", "-x509", "-key", made.key, "-config", authority().path("config"), "-subj", "/CN=self", "-out", path)
            CERTIFICATES["self-signed"] = made._replace(cert=path)
        return CERTIFICATES["self-signed"]


@contextlib.contextmanager
def node(values=None, server=None, **more):
    """A coneyd with a plain listener and one with TLS, its certificate by the authority of all tests."""
    pair = server or certificate("server")
    settings = {"listeners.ssl.1": "127.0.0.1:0", "ssl_options.cacertfile": authority().cert,
                "ssl_options.certfile": pair.cert, "ssl_options.keyfile": pair.key,
                "log.connection.level": "debug", "log.console.level": "debug"}
    settings.update(values or {})
    settings.update({"ssl_options." + key: value for key, value in more.items()})
    broker = Coneyd(settings)
    try:
        yield broker
    except Exception as failure:
        if broker.alive(1):
            raise
        raise BrokerDied(broker.death()) from failure
    finally:
        check_end(broker)


def said(broker):
    """The broker's log so far."""
    with open(os.path.join(broker.folder.name, "log"), encoding="utf-8", errors="replace") as log:
        return log.read()


def wait_said(broker, pattern, timeout=15.0):
    return wait_until(lambda: re.search(pattern, said(broker)), timeout, "in the log: " + pattern)


def client_context(pair=None, ca=None, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations((ca or authority()).cert)
    context.check_hostname = False
    if pair:
        context.load_cert_chain(pair.cert, pair.key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class TlsWire(amqp_raw.Wire):
    """A Wire through TLS. What is to be sent is sealed into records as large as the test wants them; the octets of
    records can be had, too, to be sent in pieces or not at all."""

    def __init__(self, broker, context=None, name="localhost", session=None, record=16384, **more):
        super().__init__(broker.host, broker.tls_port, **more)
        self.record = record
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or client_context()).wrap_bio(self.incoming, self.outgoing, server_hostname=name,
                                                          session=session)
        self.told_end = False       # close_notify has come
        self.shake_hands()

    def shake_hands(self):
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                return
            except ssl.SSLWantReadError:
                self.flush()
                if not self.fill_raw(deadline):
                    raise amqp_raw.Dropped("connection ended during the handshake")
            except ssl.SSLError:
                self.flush()
                raise

    def flush(self):
        octets = self.outgoing.read()
        if octets:
            self.sock.sendall(octets)

    def seal(self, data):
        """The records that DATA becomes, not sent."""
        for at in range(0, len(data), self.record):
            self.tls.write(data[at:at + self.record])
        return self.outgoing.read()

    def send(self, data):
        try:
            self.sock.sendall(self.seal(data))
        except (BrokenPipeError, ConnectionResetError):
            self.reset = True

    def fill_raw(self, deadline):
        """Take octets off the socket; False at its end."""
        if not self.readable.poll(max(0, deadline - time.monotonic()) * 1000):
            raise amqp_raw.Timeout("nothing came; so far %r" % bytes(self.buffer[:80]))
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError):
            self.reset = True
            data = b""
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        return bool(data)

    def open_records(self):
        """What the records that are here hold; None when nothing more comes."""
        out = bytearray()
        while True:
            try:
                data = self.tls.read(262144)
            except ssl.SSLWantReadError:
                return out
            except ssl.SSLEOFError:
                return out or None
            except ssl.SSLZeroReturnError:
                data = b""
            if not data:
                self.told_end = True
                return out or None
            out += data

    def fill(self, deadline):
        if self.eof:
            return False
        while True:
            data = self.open_records()
            if data is None:
                self.eof = True
                return False
            if data:
                self.buffer += data
                return True
            self.fill_raw(deadline)

    def say_end(self):
        """Send close_notify; the socket stays as it is."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
            self.tls.unwrap()
        self.flush()

    def end_seen(self, timeout=None):
        """Read until the socket ends; whether close_notify came before."""
        self.read_to_end(timeout)
        return self.told_end


def connect(broker, context=None, name="localhost", session=None, record=16384, rcvbuf=None, **more):
    """A Connection through TLS."""
    wire = TlsWire(broker, context, name, session, record, rcvbuf=rcvbuf)
    return amqp_raw.Connection(broker.host, broker.tls_port, wire=wire, **more)


def tcp(broker, port=None):
    sock = socket.create_connection((broker.host, port or broker.tls_port), timeout=15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class SClient:
    """openssl s_client, which stays connected until its standard input ends."""

    def __init__(self, broker, *arguments):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", "%s:%d" % (broker.host, broker.tls_port), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.seen = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()

    def say(self, octets):
        self.process.stdin.write(octets)
        self.process.stdin.flush()

    def wait(self, pattern, timeout=15.0):
        """Read on until PATTERN (of octets) has come; the match, after which the next search begins."""
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.seen, re.S)
            if match:
                self.seen = self.seen[match.end():]
                return match
            if not readable(self.process.stdout, deadline - time.monotonic()):
                raise amqp_raw.Timeout("s_client: no %r in %r" % (pattern, self.seen))
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise amqp_raw.Dropped("s_client ended without %r: %r" % (pattern, self.seen))
            self.seen += data

    def end(self, timeout=15.0):
        """All that it still says until it ends by itself, which it must."""
        deadline = time.monotonic() + timeout
        while readable(self.process.stdout, deadline - time.monotonic()):
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return self.seen.decode("utf-8", "replace")
            self.seen += data
        raise amqp_raw.Timeout("s_client goes on: %r" % self.seen)


def s_client(broker, *arguments, ask=amqp_raw.PROTOCOL_HEADER, until=rb"connection|mechanisms|PLAIN"):
    """What openssl s_client says of a connection: it says ASK, and goes when connection.start has come or the
    connection has ended."""
    with SClient(broker, *arguments) as client:
        with contextlib.suppress(BrokenPipeError):
            client.say(ask)
        seen = b""
        with contextlib.suppress(amqp_raw.Dropped):
            match = client.wait(rb".*?(?:%s)" % until)
            seen = match.group(0)
        return (seen + client.seen).decode("utf-8", "replace")


def handshake_refused(broker, alert, *arguments):
    """openssl s_client is refused with ALERT, a text of OpenSSL's, and says so."""
    text = s_client(broker, *arguments)
    if not re.search(alert, text) or "mechanisms" in text:
        raise AssertionError("expected %r, got: %s" % (alert, text))
