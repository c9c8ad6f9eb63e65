# SPDX-License-Identifier: Apache-2.0
"""What tests of coneyctl share: run it against a stand-in API, and say what was wrong."""

import os
import subprocess
import tempfile

from expectation import program_named
from fake_api import FakeApi

# The process number is above any that Linux gives.
STATUS = {"version": "0.1.0", "node": "coney@here", "os_pid": 4194305, "uptime": 12, "os": "Linux", "data_directory": "/data",
          "config_files": ["/etc/coney/coney.conf"], "log_files": ["/var/log/coney.log"], "memory": {"queues": 250, "total": 1000},
          "vm_memory_high_watermark_limit": 4e9, "vm_memory_high_watermark_setting": {"relative": 0.4}, "disk_free": 5e9,
          "disk_free_limit": 5e7, "alarms": ["memory"], "file_descriptors": {"total_limit": 1024, "total_used": 10},
          "listeners": [{"interface": "::", "port": 5672, "protocol": "amqp", "purpose": "AMQP 0-9-1"},
                        {"interface": "", "path": "/run/coney/amqp", "port": 0, "protocol": "amqp", "purpose": "AMQP 0-9-1"}],
          "totals": {"connection_count": 1, "queue_count": 2, "virtual_host_count": 3}, "run_state": "running",
          "is_under_maintenance": False}
NODE = {("GET", "/api/overview?columns=node"): (200, {"node": "coney@here"}),
        ("GET", "/api/coney/status"): (200, STATUS)}


class Said:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()
        if self.code < 0 or "Sanitizer" in self.err:
            raise AssertionError("coneyctl crashed: %d\n%s" % (self.code, self.err))


def run(coneyctl, *arguments, socket=None, stdin=b"", name="coneyctl", environment=None, timeout=30):
    with tempfile.TemporaryDirectory() as folder:
        program = coneyctl if name == "coneyctl" else program_named(coneyctl, name, folder)
        variables = dict({"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": folder}, **(environment or {}))
        variables.update({key: os.environ[key] for key in os.environ if key.endswith("SAN_OPTIONS")})
        if socket:
            variables["CONEY_SOCKET"] = socket
        return Said(subprocess.run([program, *arguments], input=stdin, capture_output=True, timeout=timeout, check=False,
                                   env=variables))


def against(coneyctl, answers, *arguments, **kw):
    """(what was said, what was asked) with the answers given, and those of a node."""
    with FakeApi({**NODE, **answers}) as api:
        said = run(coneyctl, *arguments, socket=api.socket, **kw)
        return said, api.asked


def eq(got, want, what=""):
    if got != want:
        raise AssertionError("%s\nexpected %r\n     got %r" % (what, want, got))


def has(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError("%r is not in\n%s" % (part, text))
