# SPDX-License-Identifier: Apache-2.0
"""Certificates, keys, authorities and revocations that are replaced while coneyd runs."""

import os
import shutil
import signal
import ssl
import tempfile

import amqp_raw
from certificates import Certificate, encrypt_key
from harness import differs, eq, ok, wait_until
from tls_tools import (TlsWire, authority, certificate, client_context, connect, folder, node, said, tcp, wait_said)

tls = differs("about coneyd's TLS")
TAKEN, NOT_TAKEN = "TLS certificates were read anew", "TLS certificates stay as they were"


def der(made):
    with open(made.cert, encoding="ascii") as pem:
        return ssl.PEM_cert_to_DER_cert(pem.read())


def shown(broker, name="localhost"):
    """The certificate that a new client gets to see."""
    wire = TlsWire(broker, name=name)
    octets = wire.tls.getpeercert(True)
    wire.close()
    return octets


def in_service():
    """A pair of files of the test's own, with the usual certificate in it."""
    made = certificate("server")
    place = tempfile.mkdtemp(dir=folder())
    pair = Certificate(place + "/cert.pem", place + "/key.pem")
    shutil.copy(made.cert, pair.cert)
    shutil.copy(made.key, pair.key)
    return pair


def put(source, path):
    """As careful programs do: a new file takes the place of the old one."""
    shutil.copy(source, path + ".new")
    os.replace(path + ".new", path)


def hang_up(broker):
    broker.process.send_signal(signal.SIGHUP)


def is_let_in(broker, context):
    try:
        connect(broker, context).close()
        return True
    except (ssl.SSLError, AssertionError):
        return False


@tls
def test_taken_when_they_change(broker):
    """Within seconds, and whoever is connected stays so."""
    pair, new = in_service(), certificate("another")
    with node(server=pair) as b:
        c = connect(b)
        ch = c.channel()
        eq(shown(b), der(certificate("server")))
        put(new.cert, pair.cert)
        put(new.key, pair.key)
        wait_said(b, TAKEN, 10)
        eq(shown(b), der(new))
        ok(ch.declare(exclusive=True).queue, "the old connection works")
        c.close()
        eq(said(b).count(TAKEN), 1)
        eq(said(b).count(NOT_TAKEN), 0)


@tls
def test_written_in_place(broker):
    pair, new = in_service(), certificate("another")
    with node(server=pair) as b:
        shutil.copy(new.cert, pair.cert)
        shutil.copy(new.key, pair.key)
        wait_until(lambda: shown(b) == der(new), 15, "the new certificate")


@tls
def test_links_that_point_elsewhere(broker):
    """As certificate managers do it: a link to the folder of what is current."""
    pair, new = in_service(), certificate("another")
    place = os.path.dirname(pair.cert)
    os.makedirs(place + "/2")
    shutil.copy(new.cert, place + "/2/cert.pem")
    shutil.copy(new.key, place + "/2/key.pem")
    os.symlink(place, place + "/current")
    linked = Certificate(place + "/current/cert.pem", place + "/current/key.pem")
    with node(server=linked) as b:
        eq(shown(b), der(certificate("server")))
        os.symlink(place + "/2", place + "/next")
        os.replace(place + "/next", place + "/current")
        wait_until(lambda: shown(b) == der(new), 15, "the new certificate")


@tls
def test_taken_at_hangup(broker):
    """At once, by a running coneyd that is told: what is seen next is the new pair, never a mix."""
    pair, new = in_service(), certificate("another")
    with node(server=pair) as b:
        for made in (new, certificate("server"), new):
            put(made.cert, pair.cert)
            put(made.key, pair.key)
            before = said(b).count(TAKEN)
            hang_up(b)
            wait_until(lambda: said(b).count(TAKEN) > before, 15, "read anew")
            eq(shown(b), der(made))


@tls
def test_names_certificates_too(broker):
    pair, new = in_service(), certificate("another")
    values = {"ssl_options.sni.mq.certfile": pair.cert, "ssl_options.sni.mq.keyfile": pair.key}
    with node(values, server=certificate("usual")) as b:
        eq(shown(b, "mq"), der(certificate("server")))
        put(new.cert, pair.cert)
        put(new.key, pair.key)
        wait_until(lambda: shown(b, "mq") == der(new), 15, "the new certificate")
        eq(shown(b), der(certificate("usual")))


@tls
def test_bad_files_change_nothing(broker):
    """Each kind of bad file: the old ones stay in service, and the log says which one is wrong."""
    pair = in_service()
    place = os.path.dirname(pair.cert)
    with open(place + "/rubbish", "w", encoding="ascii") as out:
        out.write("rubbish\n")
    encrypted = encrypt_key(certificate("server"), "a secret", place + "/encrypted")
    with node(server=pair) as b:
        for path, bad, good in ((pair.cert, place + "/rubbish", certificate("server").cert),
                                (pair.key, certificate("another").key, certificate("server").key),
                                (pair.key, encrypted, certificate("server").key)):
            refused, taken = said(b).count(NOT_TAKEN), said(b).count(TAKEN)
            put(bad, path)
            hang_up(b)
            wait_until(lambda: said(b).count(NOT_TAKEN) > refused, 15, "refused")
            ok(NOT_TAKEN + ": " + path in said(b), "which file? " + said(b))
            eq(shown(b), der(certificate("server")))
            put(good, path)
            hang_up(b)
            wait_until(lambda: said(b).count(TAKEN) > taken, 15, "taken")
        os.unlink(pair.key)
        wait_said(b, NOT_TAKEN + r": \S+key\.pem: .*No such file", 10)
        eq(shown(b), der(certificate("server")))


@tls
def test_revoked_while_running(broker):
    """A revocation shuts the door for whoever is not in, with a ticket too."""
    bad, good = certificate("goes", by="strict"), certificate("stays", by="strict")
    place = tempfile.mkdtemp(dir=folder())
    ca = authority("strict")
    put(ca.revocations([]), place + "/revoked")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        put(ca.revocations([]), place + "/revoked")
        bad = ca.certificate("goes")
        with node(server=certificate("server", by="strict"), cacertfile=ca.cert, crlfile=place + "/revoked",
                  verify="verify_peer", fail_if_no_peer_cert="true") as b:
            context = client_context(bad, ca, version)
            inside = connect(b, context)
            inside.channel()
            again = connect(b, context, session=inside.wire.tls.session)
            ok(again.wire.tls.session_reused, "tickets work")
            put(ca.revocations([bad]), place + "/revoked")
            wait_said(b, TAKEN, 10)
            ok(not is_let_in(b, context), "let in")
            try:
                connect(b, context, session=again.wire.tls.session)
                raise RuntimeError("let in by a ticket")
            except (ssl.SSLError, AssertionError):
                pass
            ok(is_let_in(b, client_context(good, ca, version)), "others are")
            inside.close()


@tls
def test_authorities_while_running(broker):
    place = tempfile.mkdtemp(dir=folder())
    put(authority().cert, place + "/ca")
    foreign = client_context(certificate("foreign", by="other"))
    with node(cacertfile=place + "/ca", verify="verify_peer") as b:
        ok(not is_let_in(b, foreign), "let in")
        with open(place + "/ca.new", "w", encoding="ascii") as out:
            for ca in (authority(), authority("other")):
                with open(ca.cert, encoding="ascii") as one:
                    out.write(one.read())
        os.replace(place + "/ca.new", place + "/ca")
        wait_said(b, TAKEN, 10)
        ok(is_let_in(b, foreign), "not let in")


@tls
def test_tickets_do_not_pass_a_reload(broker):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with node() as b:
            context = client_context(version=version)
            c = connect(b, context)
            c.channel()
            hang_up(b)
            wait_said(b, TAKEN)
            again = connect(b, context, session=c.wire.tls.session)
            ok(not again.wire.tls.session_reused, "resumed across a reload")
            c.close()
            again.close()


@tls
def test_handshakes_under_way_keep_what_they_began_with(broker):
    """Begun before, finished after: with the old certificate, and it works."""
    pair, new = in_service(), certificate("another")
    with node(server=pair) as b:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        shaking = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        sock = tcp(b)
        done = False
        while not done:
            try:
                shaking.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                if outgoing.pending > 0:
                    sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        put(new.cert, pair.cert)
        put(new.key, pair.key)
        hang_up(b)
        wait_said(b, TAKEN)
        sock.sendall(outgoing.read())
        shaking.write(amqp_raw.PROTOCOL_HEADER)
        sock.sendall(outgoing.read())
        got = b""
        while not got:
            incoming.write(sock.recv(65536))
            try:
                got = shaking.read(65536)
            except ssl.SSLWantReadError:
                pass
        ok(b"capabilities" in got, got)
        eq(shaking.getpeercert(True), der(certificate("server")))
        sock.close()


@tls
def test_certificates_that_end_soon_are_told_of(broker):
    with node(server=certificate("brief", days=(-5, 7.5))) as b:
        wait_said(b, r"\[warning\] a TLS certificate in service expires in 7 days")
    with node(server=certificate("late", days=(-5, -1))) as b:
        wait_said(b, r"\[warning\] a TLS certificate in service has expired")
