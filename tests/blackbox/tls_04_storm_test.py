# SPDX-License-Identifier: Apache-2.0
"""Who is in goes before who comes: TLS handshakes do not hold up established connections."""

import amqp_raw
from harness import differs, eq, lasts, ok
from tls_storm import Flow, percentile, storm
from tls_tools import certificate, connect, node

tls = differs("about coneyd's TLS")


@tls
@lasts(15)
def test_storm_of_handshakes(broker):
    """A small one, with a bound for a busy machine; tests/bench/tls-storm measures."""
    with node({"threads": "1", "log.connection.level": "error", "tcp_listen_options.backlog": "1024",
               "ssl_handshake_timeout": "60000"}, server=certificate("rsa", key="rsa")) as b:
        for flow in (Flow(plain_channel(b)), Flow(connect(b).channel())):
            quiet, loaded, done, failed, _ = storm(flow, (b.host, b.tls_port), 400)
            eq((done, failed), (400, 0), "handshakes done and failed")
            ok(percentile(loaded, 0.99) < max(0.2, 50 * percentile(quiet, 0.99)),
               "p99 %.1f ms quiet, %.1f ms in the storm" % (1e3 * percentile(quiet, 0.99), 1e3 * percentile(loaded, 0.99)))


def plain_channel(broker):
    return amqp_raw.Connection(broker.host, broker.port).channel()
