# SPDX-License-Identifier: Apache-2.0
"""Differences between coney and RabbitMQ 3.10 that are meant. Each has a name, under which doc/COMPATIBILITY.md gives the reason;
`run --check` holds the two lists against each other.

There are two kinds. `alike` rewrites a pair of events so that what may differ is the same in both, and the comparison goes on.
`ends` looks at all events of a step and says that from here on the brokers' ways part: the rest of the session is not compared.
"""

import re

import themes

ALIKE, ENDS = {}, {}
GENERAL = ["order of deliveries", "tags of direct replies"]       # the comparison's own


def alike(name):
    def mark(function):
        ALIKE[name] = function
        return function
    return mark


def ends(name):
    def mark(function):
        ENDS[name] = function
        return function
    return mark


def names():
    return GENERAL + list(ALIKE) + list(ENDS)


def make_alike(session, step, ours, theirs):
    """Rewrite events of both lists in place; yields the names of what was used."""
    def place(event):
        return event["c"], event["ch"], event["m"], event.get("body"), event["f"].get("consumer_tag") if "f" in event else None

    by_place = {}
    for event in theirs:
        by_place.setdefault(place(event), []).append(event)
    for event in ours:
        others = by_place.get(place(event))
        if not others:
            continue
        other = others.pop(0)
        if event == other:
            continue
        for name, rule in ALIKE.items():
            if event != other and rule(step, event, other):
                yield name


def ends_here(session, index, ours, theirs):
    for name, rule in ENDS.items():
        if rule(session, index, ours, theirs):
            return name
    return None


def closes(events):
    """(code, text) of the closes among events; (0, "") for an end without one."""
    found = [(event["f"]["reply_code"], str(event["f"]["reply_text"])) for event in events
             if event["m"] in ("channel.close", "connection.close")]
    if not found and any(event["m"] == "end" for event in events):
        found.append((0, ""))
    return found


# --- alike -------------------------------------------------------------------------------------------------------

@alike("server properties")
def server_properties(step, ours, theirs):
    del step
    if ours["m"] != "connection.start":
        return False
    for event in (ours, theirs):
        event["f"]["server_properties"] = [pair for pair in event["f"]["server_properties"] if pair[0] == "capabilities"]
        event["f"]["mechanisms"] = sorted(event["f"]["mechanisms"].split())
    return True


@alike("a reply text is not cut inside a character")
def text_cut(step, ours, theirs):
    del step
    texts = [event.get("f", {}).get("reply_text") for event in (ours, theirs)]
    if not any(isinstance(text, dict) for text in texts):
        return False
    for event, text in zip((ours, theirs), texts):
        if isinstance(text, dict):
            event["f"]["reply_text"] = bytes.fromhex(text["hex"]).decode("utf-8", "ignore")
    return True


@alike("the right that is missing is named")
def named_right(step, ours, theirs):
    del step
    if ours["m"] != "channel.close" or ours["f"]["reply_code"] != 403:
        return False
    if not isinstance(ours["f"]["reply_text"], str) or not isinstance(theirs["f"]["reply_text"], str):
        return False
    said = re.sub(r"^ACCESS_REFUSED - (?:configure|write|read) access to", "ACCESS_REFUSED - access to",
                  ours["f"]["reply_text"])
    theirs_said = theirs["f"]["reply_text"]
    if said.endswith("...") and theirs_said.startswith(said[:-3]):
        said = theirs_said          # theirs is cut later, as it is shorter
    if said == ours["f"]["reply_text"]:
        return False
    ours["f"]["reply_text"] = said
    return ours == theirs


@alike("Erlang's notation in texts")
def erlang_shown(step, ours, theirs):
    del step
    if not ours["m"].endswith(".close") or not all(isinstance(event["f"]["reply_text"], str) for event in (ours, theirs)):
        return False
    for event in (ours, theirs):
        said = re.sub(r",\n *", ",", event["f"]["reply_text"])     # Erlang breaks lines
        said = re.sub(r"cannot decode .*", "cannot decode", said, flags=re.S)
        said = re.sub(r"'\[.*", "'", said, flags=re.S)              # an array or a table, which may be cut
        said = re.sub(r"\(value .*", "(value", said, flags=re.S)   # may be cut too; what it is of stands before it
        said = re.sub(r"'\S+' of type '(float|double)'", r"\1", said)
        said = re.sub(r"<<.*?>>", "<<>>", said, flags=re.S)
        event["f"]["reply_text"] = re.sub(r"(UNEXPECTED_FRAME - type \d),.*", r"\1", said, flags=re.S)
    return ours == theirs


@alike("names with NUL octets")
def nul(step, ours, theirs):
    del step
    if not theirs["m"].endswith(".close") or "\0" not in str(theirs["f"]["reply_text"]):
        return False
    theirs["f"]["reply_text"] = re.sub("\0[^']*", "", theirs["f"]["reply_text"])
    return ours == theirs


@alike("headers of dead letters")
def dead_letter_headers(step, ours, theirs):
    del step
    mine, others = headers(ours), headers(theirs)
    if mine is None or others is None or not any(pair[0] == "x-death" for pair in others):
        return False
    mine[:] = [pair for pair in mine if not pair[0].startswith("x-last-death-")]
    for pair in mine + others:
        if pair[0] == "x-death" and pair[1] == "A":
            for entry in pair[2]:
                if entry[0] == "F":
                    entry[1].sort(key=str)
    return True


@alike("x-delivery-count of 0")
def delivery_count(step, ours, theirs):
    del step
    others = headers(theirs)
    if others is None or ["x-delivery-count", "l", 0] not in others:
        return False
    others.remove(["x-delivery-count", "l", 0])
    if not others and headers(ours) is None:
        del theirs["props"]["headers"]
        theirs["flags"] &= ~0x2000
    return True


@alike("order of headers")
def order_of_headers(step, ours, theirs):
    del step
    mine, others = headers(ours), headers(theirs)
    if mine is None or others is None or mine == others or sorted(mine, key=str) != sorted(others, key=str):
        return False
    others[:] = mine
    return True


@alike("ids of malformed text on channel 0")
def ids_of_malformed_text(step, ours, theirs):
    del step
    if ours["m"] != "connection.close" or not str(theirs["f"]["reply_text"]).endswith("Malformed UTF-8 in shortstr"):
        return False
    theirs["f"].update(class_id=ours["f"]["class_id"], method_id=ours["f"]["method_id"])
    return ours == theirs


@alike("property flags without a meaning")
def idle_flags(step, ours, theirs):
    del step
    if ours.get("flags") == theirs.get("flags"):
        return False
    theirs["flags"] &= ~3
    return True


@alike("the type octet L")
def long_long(step, ours, theirs):
    del step
    if "props" not in theirs or '"L"' not in str(theirs["props"]).replace("'", '"'):
        return False
    theirs["props"] = without_L(theirs["props"])
    return True


def without_L(value):
    if isinstance(value, list):
        if len(value) >= 2 and value[-2] == "L" and isinstance(value[-1], int):
            return value[:-2] + ["l", value[-1]]
        return [without_L(item) for item in value]
    if isinstance(value, dict):
        return {key: without_L(item) for key, item in value.items()}
    return value


def headers(event):
    found = event.get("props", {}).get("headers")
    return found if isinstance(found, list) else None


# --- ends --------------------------------------------------------------------------------------------------------

@ends("unknown exchange type")
def unknown_type(session, index, ours, theirs):
    del session, index
    return any(code == 503 and "exchange type" in text for code, text in closes(theirs)) and any(
        code == 406 and "exchange type" in text for code, text in closes(ours))


@ends("delivery modes other than 1 and 2")
def delivery_mode(session, index, ours, theirs):
    del session, index, ours
    return any(code == 406 and "delivery_mode_unknown" in text for code, text in closes(theirs))


@ends("what RabbitMQ 3.10 crashes at")
def crash(session, index, ours, theirs):
    """It ends the connection without a word, or says 541; here it is taken, or there is a reason."""
    del session, index
    crashed = [close for close in closes(theirs) if close in ((0, ""), (541, "INTERNAL_ERROR"))]
    return bool(crashed) and not any(code in (0, 541) for code, _ in closes(ours))



@ends("delivery limits of classic queues")
def classic_delivery_limit(session, index, ours, theirs):
    del session, index
    return any("invalid arg 'x-delivery-limit'" in text and re.search(r"rabbit_classic_queue|\.\.\.$", text)
               for _, text in closes(theirs)) or any(
        "inequivalent arg 'x-delivery-limit'" in text for _, text in closes(ours)) and not closes(theirs)


@ends("an empty queue name on a channel that is not open")
def unopened(session, index, ours, theirs):
    del session, index
    return (404, "NOT_FOUND - no previously declared queue") in closes(theirs) and (
        504, "CHANNEL_ERROR - expected 'channel.open'") in closes(ours)


@ends("what has expired behind the head")
def behind_the_head(session, index, ours, theirs):
    """Only counts differ, and 3.10's are higher. Where all messages have a short time, dead letters are what has none."""
    def uncounted(event):
        return dict(event, f={name: value for name, value in event.get("f", {}).items() if name != "message_count"})

    def count(event):
        return event.get("f", {}).get("message_count", 0)

    short = r"'expiration': '(0|%d)'" % themes.SHORT_TTL
    return re.search(short, str(session["steps"][:index])) is not None and len(ours) == len(theirs) and all(
        uncounted(mine) == uncounted(other) and count(mine) <= count(other) for mine, other in zip(ours, theirs))


@ends("topic rights of CC and BCC keys")
def more_topics(session, index, ours, theirs):
    """A key that is refused here stands in a CC or BCC, and is not the routing key; 3.10 does not close the channel."""
    step = session["steps"][index]
    published = [part for part in step.get("of", [step]) if part["do"] == "publish"]
    more = {key for part in published for key in keys_in_headers(part)} - {part["f"]["routing_key"] for part in published}
    refused = [re.search("write access to topic '(.*?)' in exchange", text) for _, text in closes(ours)]
    return not closes(theirs) and any(found and found.group(1) in more for found in refused)


def keys_in_headers(publish):
    pairs = publish["props"].get("headers", [])
    return [item[1] for name, kind, value in (pairs if isinstance(pairs, list) else [])
            if name in ("CC", "BCC") and kind == "A" for item in value if isinstance(item[1], str)]


@ends("more body than announced")
def too_much_body(session, index, ours, theirs):
    """4.x says so at once; 3.10 swallows the frame, and complains of the next."""
    del session, index, theirs
    return any(code == 501 and "exceeds" in text for code, text in closes(ours))


@ends("content of methods that only the server sends")
def servers_content(session, index, ours, theirs):
    """3.10 waits for it, and may find fault with that; here the method is refused at once."""
    del theirs
    step = session["steps"][index]
    return step.get("m") in ("basic.deliver", "basic.return", "basic.get-ok") and any(code in (503, 504) for code, _ in closes(ours))


@ends("a close while the connection opens")
def early_close(session, index, ours, theirs):
    del session, index
    return any(event["m"] == "connection.close-ok" for event in ours) and any(
        code == 504 and "in connection state" in text for code, text in closes(theirs))


@ends("arguments of consumers of mirrored queues")
def mirrored(session, index, ours, theirs):
    del session, index, ours
    return any("x-cancel-on-ha-failover" in text for _, text in closes(theirs))


@ends("a second error in one go")
def second_error(session, index, ours, theirs):
    """The first closes are the same, and RabbitMQ closes the channel once more."""
    del session, index
    firsts = {}
    for event in ours:
        if event["m"] == "channel.close":
            firsts.setdefault((event["c"], event["ch"]), event)
    seen = set()
    for event in theirs:
        place = event["c"], event["ch"]
        if event["m"] == "channel.close" and place in seen:
            return True
        if event["m"] == "channel.close" and event == firsts.get(place):
            seen.add(place)
    return False


@ends("an error that overtakes another")
def overtaken(session, index, ours, theirs):
    """A malformed name is found by whoever takes frames apart, an error before it by the channel, which may be later."""
    step = session["steps"][index]
    return step["do"] == "batch" and any(code == 540 for code, _ in closes(ours)) and any(
        code == 501 and "Malformed UTF-8" in text for code, text in closes(theirs))


@ends("reserved arguments")
def reserved(session, index, ours, theirs):
    del ours
    return session["steps"][index].get("m") in ("basic.get-empty", "channel.open", "connection.open", "connection.open-ok") and any(
        code == 501 and "UTF-8" in text for code, text in closes(theirs))


@ends("an empty queue type")
def empty_type(session, index, ours, theirs):
    del session, index, ours
    return any("unsupported queue type ''" in text for _, text in closes(theirs))


@ends("a client's cancel-ok")
def cancel_ok(session, index, ours, theirs):
    return session["steps"][index].get("m") == "basic.cancel-ok" and not closes(ours) and any(
        code == 503 for code, _ in closes(theirs))
