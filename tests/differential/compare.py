# SPDX-License-Identifier: Apache-2.0
"""Says where what two brokers sent in a session differs, other than is accepted.

Events are compared step by step. First as they came; then, since consumers' deliveries, confirms and replies may overtake each
other, by channel: replies in their order, deliveries of each consumer in theirs, which publishes were confirmed and
which not. What still differs may be on the list of accepted.py.
"""

import collections
import copy
import json
import time

import accepted
from player import MADE_REF

CLOCK = 120                     # seconds that a time in x-death may be off
REPLY_TO = "amq.rabbitmq.reply-to."


def without_clock(value, now):
    """The same with times of about now in tables replaced, wherever they are: x-death's."""
    if isinstance(value, list):
        if len(value) >= 2 and value[-2] == "T" and isinstance(value[-1], int) and abs(value[-1] - now) < CLOCK:
            return value[:-1] + ["now"]
        return [without_clock(item, now) for item in value]
    if isinstance(value, dict):
        return {key: without_clock(item, now) for key, item in value.items()}
    return value


def key(value):
    return json.dumps(value, sort_keys=True)


def untagged(event):
    return dict(event, f={name: value for name, value in event["f"].items() if name != "delivery_tag"})


def reply_channels(events):
    """Channels on which direct replies came: those take no delivery tags in 3.10, and do here."""
    return {(event["c"], event["ch"]) for event in events if event["m"] == "basic.deliver" and
            event["f"]["routing_key"].startswith(REPLY_TO)}


def grouped(events, without_tags):
    """Events by channel and kind, in a form that does not depend on how kinds were mixed."""
    groups = collections.OrderedDict()
    confirms = {}
    delivering = {(event["c"], event["ch"]) for event in events if event["m"] == "basic.deliver"}
    for event in events:
        where = (event["c"], event["ch"])
        name = event["m"]
        if name == "basic.deliver" or name == "basic.get-ok" and where in delivering | without_tags:
            if where not in without_tags:
                groups.setdefault(where + ("tags",), []).append(event["f"]["delivery_tag"])
            event = untagged(event)
        if name in ("basic.ack", "basic.nack"):
            confirms.setdefault(where, []).append((name, event["f"]["delivery_tag"], event["f"]["multiple"]))
        elif name == "basic.deliver":
            groups.setdefault(where + ("deliveries of " + event["f"]["consumer_tag"],), []).append(event)
        elif name in ("basic.return", "basic.cancel", "basic.consume-ok", "basic.cancel-ok"):
            groups.setdefault(where + (name,), []).append(event)
        else:
            groups.setdefault(where + ("replies",), []).append(event)
    for where, group in groups.items():
        if where[2] == "tags":
            group.sort()
    for where, group in confirms.items():
        groups[where + ("confirms",)] = [coverage(group)]
    return groups


def coverage(confirms):
    """How far acks and nacks reach; single numbers are told while no ack of several has swallowed them."""
    nacks = sorted(tag for name, tag, _ in confirms if name == "basic.nack")
    return {"highest": max(tag for _, tag, _ in confirms), "nacks": nacks[-1:] if nacks else []}


def cut_off(groups, others, where):
    """A close came on this channel or connection in both: how much of what was on its way came before is chance."""
    if where[2] == "replies":
        return False
    for mine in (groups, others):
        if not any(event["m"] in ("channel.close", "connection.close", "end") for place in ((where[0], where[1]), (where[0], 0))
                   for event in mine.get(place + ("replies",), [])):
            return False
    first, second = groups.get(where, []), others.get(where, [])
    if where[2] in ("basic.consume-ok", "basic.cancel-ok"):
        fewer, more = sorted((sorted(map(key, first)), sorted(map(key, second))), key=len)
        return not collections.Counter(fewer) - collections.Counter(more)
    return where[2] in ("confirms", "tags") or all(key(a) == key(b) for a, b in zip(first, second))


def made(events):
    """The names of the server's making in EVENTS. What only one broker has shown shifts the numbers of those that follow."""
    return {match.group(0) for match in MADE_REF.finditer(key(events))}


class Difference:
    def __init__(self, index, step, coney, rabbit, where):
        self.index, self.step, self.where = index, step, where
        ours, theirs = {key(event) for event in coney}, {key(event) for event in rabbit}
        self.coney = [event for event in coney if key(event) not in theirs]
        self.rabbit = [event for event in rabbit if key(event) not in ours]
        if not self.coney and not self.rabbit:  # their order differs
            self.coney, self.rabbit = coney, rabbit

    def signature(self):
        """What makes two differences one, for all that can be told."""
        return "%s: %s / %s" % (what_of(self.step), brief(self.coney), brief(self.rabbit))

    def show(self):
        lines = ["step %d: %s" % (self.index, json.dumps(self.step)), "at %s" % (self.where,)]
        for name, events in (("coney", self.coney), ("rabbitmq", self.rabbit)):
            lines += ["  %-9s %s" % (name, json.dumps(event)) for event in events] or ["  %-9s nothing" % name]
        return "\n".join(lines)


def what_of(step):
    return step.get("m") or step["do"]


def brief(events):
    def one(event):
        if not isinstance(event, dict) or "m" not in event:
            return key(event)[:40] if not isinstance(event, int) else "tag"
        code = event.get("f", {}).get("reply_code")
        return event["m"] + (" %d" % code if code else "")
    return " ".join(sorted({one(event) for event in events})) or "nothing"


def compare(session, coney, rabbit):
    """(Difference or None, Counter of names of what was accepted)."""
    used = collections.Counter()
    without_tags = set()
    now = time.time()
    for index, step in enumerate(session["steps"]):
        ours, theirs = (copy.deepcopy(log[index]["events"]) for log in (coney, rabbit))
        ours, theirs = without_clock(ours, now), without_clock(theirs, now)
        without_tags |= reply_channels(ours) | reply_channels(theirs)
        if key(ours) == key(theirs):
            continue
        for name in accepted.make_alike(session, step, ours, theirs):
            used[name] += 1
        if key(ours) == key(theirs):
            continue
        by_place = grouped(ours, without_tags), grouped(theirs, without_tags)
        differing = [where for where in sorted(set(by_place[0]) | set(by_place[1]), key=str)
                     if key(by_place[0].get(where)) != key(by_place[1].get(where)) and not cut_off(*by_place, where)]
        if not differing:
            used["tags of direct replies" if without_tags else "order of deliveries"] += 1
            if made(ours) != made(theirs):
                return None, used
            continue
        name = accepted.ends_here(session, index, ours, theirs)
        if name:
            used[name] += 1
            return None, used
        where = next((where for where in differing if where[2] == "replies"), differing[0])
        return Difference(index, step, by_place[0].get(where, []), by_place[1].get(where, []), where), used
    return None, used
