# SPDX-License-Identifier: Apache-2.0
"""One command line of scenarios.py: how it is run with coneyctl, and how what was said is compared."""

import difflib
import os
import re
import shlex
import subprocess
import tempfile

TOOLS = ("rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-plugins", "rabbitmq-queues", "rabbitmq-upgrade", "rabbitmqadmin")


class Step:
    def __init__(self, line, scenario, node):
        self.line, self.node = line, node
        self.is_unordered = self.is_shared = self.has_own_errors = self.has_own_output = self.needs_node = self.is_of_rabbitmq = False
        self.tool = "rabbitmqadmin" if scenario == "admin" else "rabbitmqctl"
        rest = line
        while rest[:2] in ("~ ", "% ", "! ", "= ", "@ ", "^ ", "$ "):
            self.needs_node |= rest[0] == "@"
            self.is_of_rabbitmq |= rest[0] == "^"
            self.is_unordered |= rest[0] in "~%"
            self.is_shared |= rest[0] == "%"
            self.has_own_errors |= rest[0] == "!"
            self.has_own_output |= rest[0] == "="
            is_tool, rest = rest[0] == "$", rest[2:]
            if is_tool:
                self.tool, _, rest = rest.partition(" ")
        rest, mark, stdin = rest.partition("<<<")
        self.stdin = (stdin.strip() + "\n").encode() if mark and stdin.strip() else b""
        self.arguments = shlex.split(rest)


def program_named(coneyctl, name, folder):
    """coneyctl under another name."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        os.symlink(os.path.abspath(coneyctl), path)
    return path


def run_coneyctl(coneyctl, step, socket, **environment):
    with tempfile.TemporaryDirectory() as folder:
        command = [program_named(coneyctl, step.tool, folder)]
        command += ["--socket", socket] if step.tool == "rabbitmqadmin" else ["-n", step.node]
        done = subprocess.run(command + step.arguments, input=step.stdin, capture_output=True, timeout=60, check=False,
                              env=dict({"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "CONEY_SOCKET": socket},
                                       **environment))
    return {"stdout": done.stdout.decode(), "stderr": done.stderr.decode(), "code": done.returncode}


def own_rows(text):
    """Without the rows of others who use the same node."""
    return "\n".join(line for i, line in enumerate(text.splitlines())
                     if i < 2 and not line.startswith("{") or "ctl" in line)


def sorted_rows(step, text):
    """Without an order of rows: JSON's commas go, and so do the places of lines."""
    lines = own_rows(text) if step.is_shared else text
    return "\n".join(sorted(line.lstrip(",") for line in lines.splitlines()))


def comparable_errors(text):
    """Usage stands behind an error in each tool's own words, and so does the command line where options differ."""
    text = re.split(r"\n\n?(?:\033\[1mUsage|usage: |Usage)", text)[0]
    text = re.sub(r"\n?\S+ --help for help", "", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines() if "--socket" not in line)


def differences(step, said, got):
    """What coneyctl says otherwise, as text; nothing if it is the same."""
    pairs = []
    if got["code"] != said["code"]:
        pairs.append(("exit code", str(said["code"]), str(got["code"])))
    if not step.has_own_output:
        one, other = said["stdout"], got["stdout"]
        pairs.append(("output",) + ((sorted_rows(step, one), sorted_rows(step, other)) if step.is_unordered else (one, other)))
    if not step.has_own_errors:
        pairs.append(("errors", comparable_errors(said["stderr"]), comparable_errors(got["stderr"])))
    found = ""
    for what, one, other in pairs:
        if one != other:
            found += "  %s:\n" % what + "".join("    %s\n" % line for line in difflib.unified_diff(
                one.splitlines(), other.splitlines(), "RabbitMQ", "coneyctl", lineterm="", n=1))
    if got["code"] < 0 or "Sanitizer" in got["stderr"]:
        found += "  coneyctl crashed: %s\n" % got["stderr"]
    return found
