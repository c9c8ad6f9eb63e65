# SPDX-License-Identifier: Apache-2.0
"""A strict parser of Prometheus' text format 0.0.4: what it takes, every reader does.

Each family is told once, by TYPE and HELP, ahead of its samples, which stand together; no sample comes twice;
labels are escaped; counters are not negative; buckets of histograms add up.
"""

import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\Z)')
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z", re.S)
VALUE = re.compile(r"NaN\Z|[+-]?Inf\Z|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum", "")}
ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class Malformed(AssertionError):
    pass


def require(condition, *what):
    if not condition:
        raise Malformed(" ".join(map(str, what)))


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        found = LABEL.match(text, at)
        require(found, "labels", repr(text[at:]))
        name, value, end = found.groups()
        require(name not in labels, "label twice", text)
        labels[name] = re.sub(r"\\(.)", lambda m: ESCAPES[m.group(1)], value)
        at = found.end()
        require(end or at == len(text), "labels", repr(text))
    require(not text.endswith(","), "comma at the end of", text)
    return labels


class Family:
    def __init__(self, name):
        self.name, self.type, self.help = name, None, None
        self.samples = {}  # (name, labels as a sorted tuple): value

    def takes(self, name):
        return name in [self.name + suffix for suffix in SUFFIXES.get(self.type, ("",))]

    def check(self):
        require(self.type and self.help is not None, self.name, "lacks TYPE or HELP")
        if self.type == "counter":
            require(all(value >= 0 for value in self.samples.values()), self.name, "is negative")
        if self.type == "histogram":
            self.check_buckets()

    def check_buckets(self):
        buckets = {}
        for (name, labels), value in self.samples.items():
            if name.endswith("_bucket"):
                rest = tuple(pair for pair in labels if pair[0] != "le")
                buckets.setdefault(rest, []).append((float(dict(labels)["le"].replace("+Inf", "inf")), value))
        for rest, found in buckets.items():
            require(found == sorted(found), self.name, "buckets out of order", found)
            values = [value for _, value in found]
            require(values == sorted(values), self.name, "buckets shrink", found)
            require(found[-1] == (math.inf, self.samples[(self.name + "_count", rest)]), self.name, "+Inf", found)


class Metrics:
    """What a scrape said."""

    def __init__(self, octets):
        text = octets.decode("utf-8")
        require(text.endswith("\n"), "the last line does not end")
        self.families, self.current = {}, None
        for line in text[:-1].split("\n"):
            self.take(line)
        for family in self.families.values():
            family.check()

    def take(self, line):
        require(line == line.strip(), "line", repr(line))
        if line.startswith("#"):
            self.take_comment(line)
        elif line:
            self.take_sample(line)

    def take_comment(self, line):
        _, kind, name, text = line.split(" ", 3)
        require(NAME.match(name), "name", line)
        if not self.current or self.current.name != name:
            require(name not in self.families, name, "comes twice")
            self.current = self.families[name] = Family(name)
        require(not self.current.samples, kind, "behind samples of", name)
        if kind == "TYPE":
            require(self.current.type is None and text in TYPES, line)
            self.current.type = text
        else:
            require(kind == "HELP" and self.current.help is None, line)
            self.current.help = text

    def take_sample(self, line):
        found = SAMPLE.match(line)
        require(found, "sample", repr(line))
        name, labels, value = found.groups()
        require(self.current and self.current.takes(name), "sample outside its family:", line)
        require(VALUE.match(value), "value", line)
        key = (name, tuple(sorted(labels_of(labels or "").items())))
        require(key not in self.current.samples, "sample twice:", line)
        self.current.samples[key] = float(value.replace("Inf", "inf"))

    def samples(self, name, **labels):
        """(labels, value) of each sample called NAME that has LABELS."""
        family = self.families.get(name) or self.families.get(re.sub("_(bucket|count|sum)$", "", name))
        found = []
        for (its_name, pairs), value in (family.samples if family else {}).items():
            its = dict(pairs)
            if its_name == name and all(its.get(key) == want for key, want in labels.items()):
                found.append((its, value))
        return found

    def value(self, name, **labels):
        """The only one."""
        found = self.samples(name, **labels)
        require(len(found) == 1, name, labels, "has", len(found), "samples")
        return found[0][1]

    def sum(self, name, **labels):
        return sum(value for _, value in self.samples(name, **labels))
