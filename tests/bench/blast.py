# SPDX-License-Identifier: Apache-2.0
"""For measuring programs: amqpblast, built from the tools' sources, against a coneyd with a data directory."""
import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "crash"))

from node import Node  # noqa: E402


def parser(description):
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("-t", "--tools", default=os.environ.get("CONEY_BENCH_TOOLS"), metavar="DIR",
                       help="the tools' sources (default: $CONEY_BENCH_TOOLS)")
    found.add_argument("-b", "--build", type=Path, default=Path.cwd(), metavar="DIR",
                       help="coney's build tree (default: here); the data directory is made in it")
    found.add_argument("-d", "--seconds", type=int, default=5, help="of each measurement (default 5)")
    found.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of coneyd")
    return found


@contextlib.contextmanager
def workplace(given):
    """A folder below the build tree for data, logs and the built tools (its "tools"); removed afterwards."""
    if not given.tools:
        sys.exit("where are the tools? --tools DIR or CONEY_BENCH_TOOLS")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.build) as work:
        tools = Path(work) / "tools"
        shutil.copytree(given.tools, tools)
        for folder in [tools, *tools.rglob("*")]:
            folder.chmod(folder.stat().st_mode | 0o200)
        subprocess.run(["make", "-s", "-C", tools], check=True)
        yield Path(work)


class Broker:
    """coneyd on a fresh data directory below WORK, in a with block."""

    def __init__(self, given, work, settings=(), environment=None):
        self.work, self.environment = work, environment
        self.data = work / "data"
        self.node = Node(str(given.build / "coneyd"), str(self.data), str(work / "log"),
                         [*settings, *given.set])

    def __enter__(self):
        self.node.start(self.environment)
        self.pid = self.node.process.pid
        self.uri = f"amqp://guest:guest@127.0.0.1:{self.node.port}/"
        return self

    def __exit__(self, *_):
        self.node.terminate(lambda: None)
        shutil.rmtree(self.data)

    def begin(self, *args):
        """amqpblast with ARGS, under way."""
        return subprocess.Popen([self.work / "tools/amqpblast", "--uri", self.uri, "--pid", str(self.pid), "--json",
                                 "--timeout", "60", *map(str, args)], stdout=subprocess.PIPE, text=True)

    def blast(self, *args):
        """What amqpblast with ARGS measured."""
        return finish(self.begin(*args))


def finish(process):
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"amqpblast ended with status {process.returncode}")
    return json.loads(out)
