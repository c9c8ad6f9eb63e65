# SPDX-License-Identifier: Apache-2.0
"""/api/users, /api/whoami (management-http-api.md 3.10)."""

from api_harness import eq


def test_whoami(broker):
    answer = broker.get("whoami")
    eq((answer["name"], answer["tags"]), ("guest", ["administrator"]))
