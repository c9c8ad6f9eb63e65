# SPDX-License-Identifier: Apache-2.0
"""Cuts a session in which something differs down to the steps and arguments that it needs for that."""

import copy

PATIENCE = 1        # of the tries of run.QUIET, while cutting down
LEFT_OUT = ("props", "flags", "cut")


class Shrinker:
    def __init__(self, pair, kind):
        self.pair, self.kind = pair, kind
        self.found = None

    def still(self, session):
        difference, _ = self.pair.once(session, PATIENCE)
        if difference is None or difference.signature() != self.kind:
            return False
        self.found = difference
        return True

    def fewer(self, session, items, put):
        """As few of ITEMS as will do; PUT(session, items) makes the session that has just these."""
        size = max(1, len(items) // 2)
        while size:
            at = 0
            while at < len(items):
                less = items[:at] + items[at + size:]
                if self.still(put(session, less)):
                    items = less
                else:
                    at += size
            size //= 2
        return put(session, items)

    def simpler_steps(self, session):
        for index in range(len(session["steps"])):
            step = session["steps"][index]
            if "of" in step:
                session = self.fewer(session, step["of"], lambda s, items, i=index: with_step(s, i, {"of": items}))
            for path in removable(session["steps"][index]):
                less = copy.deepcopy(session)
                remove(less["steps"][index], path)
                if self.still(less):
                    session = less
        return session


def with_step(session, index, changes):
    steps = list(session["steps"])
    steps[index] = dict(steps[index], **changes)
    return dict(session, steps=steps)


def removable(step):
    """Paths of what may be left out of a step, the last of a list first."""
    paths = [(name,) for name in LEFT_OUT if name in step]
    for outer in ("f", "props"):
        for name, value in step.get(outer, {}).items():
            paths.append((outer, name))
            if isinstance(value, list):
                paths += [(outer, name, i) for i in reversed(range(len(value)))]
    return paths


def remove(step, path):
    """Without complaint if an earlier removal has taken it already."""
    at = step
    for name in path[:-1]:
        at = at.get(name) if isinstance(at, dict) else at[name]
        if at is None:
            return
    if isinstance(at, dict):
        at.pop(path[-1], None)
    elif path[-1] < len(at):
        del at[path[-1]]


def shrink(pair, session, kind):
    """(the session cut down, its Difference), or (SESSION, None) if it does not differ in that way any more."""
    shrinker = Shrinker(pair, kind)
    if not shrinker.still(session):
        return session, None
    last = shrinker.found.index
    session = dict(session, steps=session["steps"][:last + 1])
    if not shrinker.still(session):
        return session, None
    session = shrinker.fewer(session, session["steps"], lambda s, steps: dict(s, steps=steps))
    session = shrinker.simpler_steps(session)
    return (session, shrinker.found) if shrinker.still(session) else (session, None)
