# SPDX-License-Identifier: Apache-2.0
"""What compare's runs measured: its figures, the tables that the tools do not make, and a judgement by targets.tsv."""
import collections
import json
import statistics
from pathlib import Path

TARGETS = Path(__file__).resolve().parent / "targets.tsv"
MISSED, IN_RATIO = "**no**", "no, but in ratio to "
EXTRA_FIGURES = {
    "credit": ("taken_percent", "publish_rate", "consume_rate"),
    "shares": ("spread_percent", "consume_rate", "publish_rate"),
    "get": ("beside_percent", "alone_rate", "beside_rate", "publish_rate"),
    "bind50kd": ("bind_per_s",),
    "fanout10p": ("written_per_octet",),
    "persist": ("written_per_octet",),
}


class Target(collections.namedtuple("Target", "scenario figure against least most")):
    """A line of targets.tsv, where the columns are explained."""

    @property
    def wanted(self):
        return f"≥ {self.least}" if self.least else f"≤ {self.most}" if self.most else ""

    @property
    def is_absolute(self):
        return self.against == "-"

    def holds(self, value):
        return value >= float(self.least) if self.least else value <= float(self.most)


def read_targets():
    lines = [line for line in TARGETS.read_text().splitlines() if not line.startswith("#")]
    return [Target(*line.split("\t")) for line in lines[1:]]


class Judged(collections.namedtuple("Judged", "target value other")):
    """A target with what was measured: VALUE, and OTHER, which it is held against (None: nothing)."""

    @property
    def ratio(self):
        return self.value / self.other if self.other else None

    @property
    def reached(self):
        """True or False; None if there is no bound, or nothing to compare with."""
        judged = self.value if self.target.is_absolute else self.ratio
        return self.target.holds(judged) if self.target.wanted and judged is not None else None


class Results:
    """(scenario, broker) -> a list with what each run reported."""

    def __init__(self):
        self.runs = {}

    def add(self, scenario, broker, run):
        self.runs.setdefault((scenario, broker), []).append(run)

    def read_raw(self, path):
        """Add the lines of a raw.tsv of the tools."""
        for line in path.read_text().splitlines():
            scenario, broker, _, status, result = line.split("\t", 4)
            if status in ("0", "3"):
                self.add(scenario, broker, with_written(scenario, json.loads(result)))

    def has(self, broker):
        return any(name == broker for _, name in self.runs)

    def figure(self, scenario, broker, figure):
        """The median of the runs. Of memory the most, as only the first run after a start finds none to reuse."""
        values = [run[figure] for run in self.runs.get((scenario, broker), []) if figure in run]
        if not values:
            return None
        return max(values) if figure.startswith("kib_per_") else statistics.median(values)

    def print_extras(self, brokers):
        """What the tools' own report knows nothing of."""
        rows = [(f"{scenario}: {figure}", [self.figure(scenario, broker, figure) for broker in brokers])
                for scenario, figures in EXTRA_FIGURES.items() for figure in figures]
        rows = [(label, values) for label, values in rows if any(v is not None for v in values)]
        if not rows:
            return
        print("\n### Flow control, fairness, basic.get, bindings and octets written\n")
        print("| figure |", " | ".join(brokers), "|\n| --- |" + " ---: |" * len(brokers))
        for label, values in rows:
            print(f"| {label} |", " | ".join(pretty(v) for v in values), "|")

    def judge(self, broker):
        """The targets for which BROKER and what it is held against were measured."""
        found = []
        for target in read_targets():
            value = self.figure(target.scenario, broker, target.figure)
            own = target.against.removeprefix("own:")
            other = None if target.is_absolute else self.figure(target.scenario, broker, own) \
                if own != target.against else self.figure(target.scenario, target.against, target.figure)
            if value is not None and (other is not None or target.is_absolute):
                found.append(Judged(target, value, other))
        return found

    def print_targets(self, broker):
        """An absolute target that another machine was meant for may be missed while the ratio beside it holds."""
        judged = self.judge(broker)
        if not judged:
            return
        print(f"\n### Against the targets\n\n| scenario | figure | {broker} | against | ratio | wanted | reached |"
              "\n| --- | --- | ---: | ---: | ---: | ---: | --- |")
        for one in judged:
            target = one.target
            print(f"| {target.scenario} | {target.figure} | {pretty(one.value)} |",
                  "" if target.is_absolute else f"{target.against} {pretty(one.other)}", "|",
                  "" if target.is_absolute else pretty(one.ratio), f"| {target.wanted} | {verdict(one, judged)} |")
        verdicts = [(one, verdict(one, judged)) for one in judged if one.reached is not None]
        missed = [text_of(one) for one, said in verdicts if said == MISSED]
        in_ratio = [text_of(one) for one, said in verdicts if said.startswith(IN_RATIO)]
        print(f"\n{len(verdicts) - len(missed) - len(in_ratio)} of {len(verdicts)} targets reached")
        print("- in ratio only:", ", ".join(in_ratio) or "none")
        print("- not reached:", ", ".join(missed) or "none")


def text_of(one):
    target = one.target
    return f"{target.scenario} {target.figure} {target.wanted}" + ("" if target.is_absolute else f" × {target.against}")


def verdict(one, judged):
    if one.reached is None:
        return ""
    if one.reached:
        return "yes"
    ratios = [other for other in judged if other.target[:2] == one.target[:2] and other.reached is not None
              and not other.target.is_absolute]
    if one.target.is_absolute and ratios and all(other.reached for other in ratios):
        return IN_RATIO + ", ".join(other.target.against for other in ratios)
    return MISSED


def with_written(scenario, run):
    """Add to the figures of persistent messages what an octet published made the broker write to storage."""
    if scenario.startswith(("persist", "fanout10p")) and run.get("published") and "broker_written_mb" in run:
        run["written_per_octet"] = 1e6 * run["broker_written_mb"] / (1024 * run["published"])
    return run


def pretty(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
