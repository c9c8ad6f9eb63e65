# SPDX-License-Identifier: Apache-2.0
"""Whom TLS lets in, and how the others see that it does not: most of it through openssl s_client."""

import os
import socket
import ssl
import struct
import time

import amqp_raw
from certificates import encrypt_key
from harness import between, differs, eq, matches, ok, wait_until
from tls_tools import (SClient, TlsWire, authority, certificate, client_context, connect, folder, handshake_refused, node,
                       s_client, said, self_signed, tcp, wait_said)

tls = differs("about coneyd's TLS")
OLD = ["-cipher", "DEFAULT:@SECLEVEL=0"]


def pair(made):
    return ["-cert", made.cert, "-key", made.key]


def let_in(broker, *arguments):
    """s_client gets as far as connection.start; what it tells of the connection."""
    text = s_client(broker, *arguments)
    ok("mechanisms" in text or "PLAIN" in text, "not let in: " + text)
    return text


# --- versions and ciphers ---------------------------------------------------------------------------------------

@tls
def test_versions(broker):
    with node() as b:
        ok("TLSv1.3, Cipher" in let_in(b, "-tls1_3"), "1.3")
        ok("TLSv1.2, Cipher" in let_in(b, "-tls1_2"), "1.2")
        handshake_refused(b, "alert protocol version", "-tls1_1", *OLD)
        handshake_refused(b, "alert protocol version", "-tls1", *OLD)
        wait_said(b, r"\[info\] TLS handshake with 127\.0\.0\.1:\d+ failed: unsupported protocol")


@tls
def test_only_the_versions_configured(broker):
    with node({"ssl_options.versions.1": "tlsv1.3"}) as b:
        let_in(b, "-tls1_3")
        handshake_refused(b, "alert protocol version", "-tls1_2")
    with node({"ssl_options.versions.1": "tlsv1.2"}) as b:
        let_in(b, "-tls1_2")
        handshake_refused(b, "alert protocol version", "-tls1_3")


@tls
def test_weak_ciphers(broker):
    """Mozilla's intermediate set: forward secrecy and authenticated encryption, or no handshake."""
    with node(server=certificate("rsa", key="rsa")) as b:
        for cipher in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
                       "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384"):
            text = let_in(b, "-tls1_2", "-cipher", cipher)
            ok(cipher in text, cipher)
            ok("DHE-RSA" != cipher[:7] or "Server Temp Key: DH, 2048 bits" in text, text)
        for cipher in ("AES128-GCM-SHA256", "AES256-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384",
                       "DHE-RSA-AES256-SHA256", "ADH-AES256-SHA256", "NULL-SHA256", "PSK-AES128-CBC-SHA"):
            more = ["-psk", "abcd"] if "PSK" in cipher else []
            handshake_refused(b, "alert handshake failure|no ciphers available", "-tls1_2", "-cipher",
                              cipher + ":@SECLEVEL=0", *more)


@tls
def test_ciphers_configured(broker):
    chosen = {"ssl_options.ciphers.1": "ECDHE-ECDSA-AES256-GCM-SHA384",
              "ssl_options.ciphers.2": "TLS_CHACHA20_POLY1305_SHA256", "ssl_options.honor_cipher_order": "true"}
    with node(chosen) as b:
        ok("TLS_CHACHA20_POLY1305_SHA256" in let_in(b, "-tls1_3"), "1.3")
        ok("ECDHE-ECDSA-AES256-GCM-SHA384" in let_in(b, "-tls1_2"), "1.2")
        handshake_refused(b, "alert handshake failure", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
        handshake_refused(b, "alert handshake failure", "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256")


@tls
def test_renegotiation_is_refused(broker):
    with node() as b:
        with SClient(b, "-tls1_2") as client:
            client.wait(rb"Verify return code")
            client.say(b"R\n")
            text = client.end()
        ok("no renegotiation" in text, text)
        let_in(b)


@tls
def test_no_compression_no_early_data(broker):
    with node() as b:
        text = let_in(b)
        ok("Compression: NONE" in text and "Early data was not sent" in text, text)


# --- client certificates ----------------------------------------------------------------------------------------

def strangers():
    """(name, arguments of s_client, what OpenSSL says of it) for certificates that nobody should trust."""
    return [("expired", pair(certificate("expired", days=(-20, -1))), "certificate has expired"),
            ("not yet valid", pair(certificate("early", days=(2, 20))), "certificate is not yet valid"),
            ("foreign", pair(certificate("foreign", by="other")), "unable to get (local )?issuer certificate"),
            ("self-signed", pair(self_signed()), "self-signed certificate"),
            ("server's", pair(certificate("serving", extensions="extendedKeyUsage = serverAuth\n")),
             "unsuitable certificate purpose|unsupported certificate purpose")]


@tls
def test_verify_none_asks_for_nothing(broker):
    with node() as b:
        ok("No client certificate CA names sent" in let_in(b), "it asked for a certificate")
        for _, arguments, _ in strangers():
            let_in(b, *arguments)


@tls
def test_verify_peer_lets_in_who_has_none(broker):
    with node(verify="verify_peer", fail_if_no_peer_cert="false") as b:
        for version in ("-tls1_2", "-tls1_3"):
            ok("CN = ca" in let_in(b, version), "it did not ask for a certificate")
            let_in(b, version, *pair(certificate("client")))
            for name, arguments, why in strangers():
                text = s_client(b, version, *arguments)
                ok("alert" in text and "mechanisms" not in text, "%s was let in: %s" % (name, text))
                wait_said(b, r"\[info\] TLS handshake with \S+ failed: certificate verify failed: (%s)" % why)


@tls
def test_verify_peer_and_a_certificate_must_be(broker):
    with node(verify="verify_peer", fail_if_no_peer_cert="true") as b:
        handshake_refused(b, "alert certificate required", "-tls1_3")
        handshake_refused(b, "alert handshake failure", "-tls1_2")
        wait_said(b, "failed: peer did not return a certificate")
        for version in ("-tls1_2", "-tls1_3"):
            let_in(b, version, *pair(certificate("client")))
            handshake_refused(b, "alert certificate expired", version, *pair(certificate("expired", days=(-20, -1))))
            handshake_refused(b, "alert unknown ca", version, *pair(certificate("foreign", by="other")))


@tls
def test_depth(broker):
    """How many authorities may stand between a client and the root: RabbitMQ's 1 by default."""
    authority("sub", "ca")
    authority("subsub", "sub")
    direct, below, twice = certificate("client"), certificate("below", by="sub"), certificate("twice", by="subsub")

    def chain(made):
        return [*pair(made), "-cert_chain", made.cert]

    for depth, good, bad in ((0, [direct], [below, twice]), (1, [direct, below], [twice]), (2, [twice], [])):
        with node(verify="verify_peer", fail_if_no_peer_cert="true", depth=str(depth)) as b:
            for made in good:
                let_in(b, *chain(made))
            for made in bad:
                handshake_refused(b, "alert", *chain(made))
                wait_said(b, "certificate chain too long")


@tls
def test_revoked(broker):
    bad, good = certificate("revoked", by="strict"), certificate("in good standing", by="strict")
    server, ca = certificate("server", by="strict"), authority("strict")
    with node(server=server, cacertfile=ca.cert, crlfile=ca.revocations([bad]), verify="verify_peer") as b:
        let_in(b, *pair(good))
        for version in ("-tls1_2", "-tls1_3"):
            handshake_refused(b, "alert certificate revoked", version, *pair(bad))
        wait_said(b, "certificate verify failed: certificate revoked")


# --- the server's certificates ----------------------------------------------------------------------------------

@tls
def test_chain_is_sent(broker):
    authority("sub", "ca")
    with node(server=certificate("server", by="sub")) as b:
        text = let_in(b, "-CAfile", authority().cert, "-verify_return_error", "-showcerts")
        ok("Verify return code: 0 (ok)" in text and "CN = sub" in text, text)


@tls
def test_encrypted_key(broker):
    made = certificate("server")
    key = encrypt_key(made, "a secret", folder() + "/encrypted.key")
    with node(server=made._replace(key=key), password="a secret") as b:
        let_in(b)


@tls
def test_names_have_certificates_of_their_own(broker):
    """SNI: the exact name first, then a wildcard for one label, else the certificate of all others."""
    one, many = certificate("one", subject="/CN=one"), certificate("many", subject="/CN=many")
    values = {"ssl_options.sni.*.example.com.certfile": many.cert, "ssl_options.sni.*.example.com.keyfile": many.key,
              "ssl_options.sni.mq.example.com.certfile": one.cert, "ssl_options.sni.mq.example.com.keyfile": one.key}
    with node(values) as b:
        for version in ("-tls1_2", "-tls1_3"):
            for name, subject in (("mq.example.com", "one"), ("MQ.Example.Com", "one"), ("a.example.com", "many"),
                                  ("A.EXAMPLE.com", "many"), ("example.com", "server"), ("a.b.example.com", "server"),
                                  (".example.com", "server"), ("other", "server"), (None, "server")):
                text = let_in(b, version, *(["-servername", name] if name else ["-noservername"]))
                ok("subject=CN = %s\n" % subject in text, "%s: %s" % (name, text))


@tls
def test_client_certificate_with_a_name(broker):
    """What is verified does not depend on the name that is asked for."""
    one = certificate("one", subject="/CN=one")
    values = {"ssl_options.sni.one.certfile": one.cert, "ssl_options.sni.one.keyfile": one.key}
    with node(values, verify="verify_peer", fail_if_no_peer_cert="true") as b:
        for version in ("-tls1_2", "-tls1_3"):
            let_in(b, version, "-servername", "one", *pair(certificate("client")))
            handshake_refused(b, "alert unknown ca", version, "-servername", "one",
                              *pair(certificate("foreign", by="other")))
            handshake_refused(b, "alert (certificate required|handshake failure)", version, "-servername", "one")


@tls
def test_alpn(broker):
    with node() as b:
        ok("ALPN protocol: amqp" in let_in(b, "-alpn", "amqp"), "amqp")
        ok("ALPN protocol: amqp" in let_in(b, "-alpn", "h2,amqp"), "amqp among others")
        ok("No ALPN negotiated" in let_in(b, "-alpn", "h2"), "others only")
        ok("No ALPN negotiated" in let_in(b), "none")


@tls
def test_bad_files_at_the_start(broker):
    """coneyd does not start, exits with 78, and says which file it is and why."""
    one, other = certificate("server"), certificate("client")
    rubbish = folder() + "/rubbish"
    with open(rubbish, "w", encoding="ascii") as out:
        out.write("this is no certificate\n")
    for values, why in (({"certfile": rubbish}, r"rubbish: cannot be taken as a certificate: no start line"),
                        ({"certfile": "/nowhere"}, r"/nowhere: cannot be taken as a certificate: No such file"),
                        ({"keyfile": other.key}, r"client-\d+\.key: cannot be taken as the key of .*mismatch"),
                        ({"cacertfile": rubbish}, r"rubbish: cannot be taken as certificates of authorities"),
                        ({"crlfile": rubbish}, r"rubbish: cannot be taken as a revocation list")):
        try:
            with node(server=one, **values):
                raise AssertionError("it started with %r" % values)
        except AssertionError as failure:
            ok("ended with 78" in str(failure), str(failure))
            matches(str(failure), why)


# --- sessions ---------------------------------------------------------------------------------------------------

def resume(broker, context, session):
    """Connect with SESSION, if any; whether it was resumed, and the session of this connection."""
    c = connect(broker, context, session=session)
    got = c.wire.tls.session_reused, c.wire.tls.session
    c.close()
    return got


@tls
def test_sessions_are_resumed(broker):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with node(verify="verify_peer", fail_if_no_peer_cert="true") as b:
            context = client_context(certificate("client"), version=version)
            reused, session = resume(b, context, None)
            ok(not reused and session.has_ticket, "%s: no ticket" % version)
            for _ in range(3):
                reused, session = resume(b, context, session)
                ok(reused, "%s: not resumed" % version)
            wait_said(b, ", resumed")


@tls
def test_no_tickets_when_they_are_off(broker):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with node({"ssl_options.session_tickets": "false"}) as b:
            context = client_context(version=version)
            _, session = resume(b, context, None)
            ok(session is None or not session.has_ticket, "there is a ticket")
            if session:
                ok(not resume(b, context, session)[0], "resumed")


# --- who does not speak TLS, or not in time ---------------------------------------------------------------------

@tls
def test_strangers_on_the_tls_port(broker):
    """Closed at once, with a line that says what was taken for what."""
    with node() as b:
        for octets, guess in ((amqp_raw.PROTOCOL_HEADER, r" \(a plain AMQP client\?\)"),
                              (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", r" \(an HTTP client\?\)"),
                              (b"POST /api HTTP/1.1\r\n\r\n", r" \(an HTTP client\?\)"),
                              (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", r" \(a PROXY header\?\)"),
                              (b"\x80\x2e\x01\x00\x02", r"\n"), (b"\x00" * 300, r"\n")):
            began = time.monotonic()
            with tcp(b) as sock:
                address = "127.0.0.1:%d" % sock.getsockname()[1]
                sock.sendall(octets)
                eq(sock.recv(100), b"", "it should be closed without a word")
            ok(time.monotonic() - began < 3, "closing took %.1f s" % (time.monotonic() - began))
            wait_said(b, r"\[info\] closing connection from %s: not TLS, on a TLS port%s" % (address, guess))


@tls
def test_garbage_that_looks_like_tls(broker):
    with node() as b:
        for octets in (b"\x16\x03\x01\x00\x05hello", b"\x16" + b"\xff" * 600, b"\x16\x03\x01\x00\x00" * 50,
                       b"\x16\x03\x03\x00\x04\x01\xff\xff\xff" + b"\x16\x03\x03\x40\x00" + b"\x00" * 16384):
            with tcp(b) as sock:
                sock.sendall(octets)
                try:
                    while sock.recv(4096):      # an alert, then the end,
                        pass
                except ConnectionResetError:    # which may come first: not all that was sent has been read
                    pass
        wait_until(lambda: said(b).count("TLS handshake with") == 4, 15, "four lines")
        let_in(b)


@tls
def test_tls_on_the_plain_port(broker):
    """The answer is the protocol header, as to everything that is no AMQP."""
    with node() as b:
        hello = client_hello()
        with tcp(b, b.port) as sock:
            sock.sendall(hello)
            got = b""
            while True:
                more = sock.recv(100)
                if not more:
                    break
                got += more
        eq(got, amqp_raw.PROTOCOL_HEADER)
        wait_said(b, r"not an AMQP 0-9-1 protocol header \(a TLS client\?\)")


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        shaking.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


@tls
def test_slow_clients_are_given_up(broker):
    """Nothing, half a ClientHello, a whole one and nothing more: each ends when the time is up, and is told of."""
    with node({"ssl_handshake_timeout": "700"}) as b:
        hello = client_hello()
        began = time.monotonic()
        socks = []
        for octets in (b"", hello[:1], hello[:len(hello) // 2], hello):
            socks.append(tcp(b))
            socks[-1].sendall(octets)
        for sock in socks:
            while sock.recv(4096):
                pass
            sock.close()
        between(time.monotonic() - began, 0.6, 8, "seconds until all were closed")
        wait_until(lambda: said(b).count("took too long") == 4, 15, "four lines")
        let_in(b)


@tls
def test_hello_in_pieces(broker):
    """One octet at a time, across records too."""
    with node() as b:
        wire = DribblingWire(b)
        c = amqp_raw.Connection(b.host, b.tls_port, wire=wire)
        c.close()


class DribblingWire(TlsWire):
    def flush(self):
        octets = self.outgoing.read()
        for at in range(len(octets)):
            self.sock.sendall(octets[at:at + 1])


@tls
def test_half_hellos_keep_nobody_out(broker):
    """A thousand strangers that have begun and say no more, and have a minute: who comes then is let in soon."""
    with node({"ssl_handshake_timeout": "60000", "log.connection.level": "warning"}) as b:
        half = client_hello()[:200]
        socks = [tcp(b) for _ in range(1000)]
        for sock in socks:
            sock.sendall(half)
        began = time.monotonic()
        connect(b, timeout=40).close()
        ok(time.monotonic() - began < 20, "it took %.1f s" % (time.monotonic() - began))
        for sock in socks:
            sock.close()


@tls
def test_peers_that_vanish_during_the_handshake(broker):
    with node() as b:
        hello = client_hello()
        before = len(open_files(b))
        for cut in (0, 1, 5, 50, len(hello)):
            for hard in (False, True):
                sock = tcp(b)
                sock.sendall(hello[:cut])
                if hard:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
        wait_until(lambda: len(open_files(b)) <= before, 15, "descriptors closed")
        let_in(b)


def open_files(broker):
    return os.listdir("/proc/%d/fd" % broker.process.pid)


@tls
def test_stop_amid_handshakes(broker):
    with node() as b:
        socks = [tcp(b) for _ in range(50)]
        for at, sock in enumerate(socks):
            sock.sendall(client_hello()[:at * 20])
        c = connect(b)
        eq(b.stop(), 0, "exit status")
        eq(c.wait_close().reply_code, 320)
        ok(c.wire.end_seen(), "no close_notify")
        for sock in socks:
            sock.close()
