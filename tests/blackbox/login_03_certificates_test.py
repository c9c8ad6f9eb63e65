# SPDX-License-Identifier: Apache-2.0
"""EXTERNAL: what a verified certificate says of its owner is the name of the user, and no password is asked for."""

import json
import tempfile

import amqp_raw
from harness import differs, eq, permission, user
from tls_tools import certificate, client_context, connect, folder, node

tls = differs("about coneyd's TLS")
NAMES = "DNS:first.example,DNS:ann.example,email:ann@example.org,URI:urn:ann,IP:127.0.0.7"
# The settings that begin with ssl_cert_login_, and whom they make of the certificate.
LOGINS = (({}, "CN=ann,O=Acme"),
          ({"from": "distinguished_name"}, "CN=ann,O=Acme"),
          ({"from": "common_name"}, "ann"),
          ({"from": "subject_alternative_name"}, "first.example"),
          ({"from": "subject_alternative_name", "san_type": "dns", "san_index": "1"}, "ann.example"),
          ({"from": "subject_alternative_name", "san_type": "email"}, "ann@example.org"),
          ({"from": "subject_alternative_name", "san_type": "uri"}, "urn:ann"),
          ({"from": "subject_alternative_name", "san_type": "ip"}, "127.0.0.7"))
REFUSED = "ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. For details see the broker logfile."


def node_with(names, settings, **ssl_options):
    """One that knows these users, none of whom has a password, and guest."""
    users = [dict(user(name), password_hash="") for name in names] + [user("guest")]
    with tempfile.NamedTemporaryFile("w", dir=folder(), suffix=".json", delete=False) as out:
        json.dump({"users": users, "vhosts": [{"name": "/"}],
                   "permissions": [permission(one["name"], "/") for one in users]}, out)
    values = {"auth_mechanisms.1": "PLAIN", "auth_mechanisms.2": "EXTERNAL", "load_definitions": out.name}
    values.update(("ssl_cert_login_" + key, value) for key, value in settings.items())
    return node(values, **ssl_options)


def log_in(broker, made):
    return connect(broker, client_context(made), mechanism="EXTERNAL", response=b"")


def refused(broker, made):
    try:
        log_in(broker, made).close()
    except amqp_raw.ConnectionClosed as closed:
        eq((closed.code, closed.text), (403, REFUSED))
    else:
        raise AssertionError("let in")


@tls
def test_the_certificate_says_who_it_is(broker):
    """Only the one user that it names is known, so that any other name would be refused."""
    ann = certificate("ann", subject="/O=Acme/CN=ann", san=NAMES)
    bob = certificate("bob", subject="/O=Acme/CN=bob", san=NAMES.replace("ann", "bob").replace("first", "last").replace(".7", ".8"))
    for settings, name in LOGINS:
        with node_with([name], settings, verify="verify_peer", fail_if_no_peer_cert="true") as b:
            connection = log_in(b, ann)
            eq(connection.start.mechanisms, "EXTERNAL PLAIN")
            connection.channel().declare(exclusive=True)
            connection.close()
            refused(b, bob)


@tls
def test_who_shows_none_needs_a_password(broker):
    with node_with(["ann"], {"from": "common_name"}, verify="verify_peer") as b:
        refused(b, None)
        connect(b).close()
        log_in(b, certificate("ann", subject="/O=Acme/CN=ann", san=NAMES)).close()


@tls
def test_what_is_not_verified_names_nobody(broker):
    """With verify_none no certificate is asked for, so that what a client would show does not count."""
    with node_with(["ann"], {"from": "common_name"}, verify="verify_none") as b:
        refused(b, certificate("ann", subject="/O=Acme/CN=ann", san=NAMES))
