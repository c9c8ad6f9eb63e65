# SPDX-License-Identifier: Apache-2.0
"""exchanges-queues-bindings, 5: which queues a message reaches, for every exchange type."""

import collections

from amqp_raw import Pairs, V
from harness import differs, eq, ok


class Fan:
    """An exchange of some type and labelled queues bound to it; tells which labels a message reached."""

    def __init__(self, broker, kind, bindings, args=None):
        self.broker, self.ch = broker, broker.channel()
        self.exchange = broker.name("x")
        self.ch.exchange(self.exchange, kind, args)
        self.queues = {}
        for label, key, arguments in bindings:
            self.queues[label] = self.ch.declare(exclusive=True).queue
            self.ch.bind(self.queues[label], self.exchange, key, arguments)

    def reached(self, key="", headers=None, props=None):
        props = dict(props or {})
        if headers is not None:
            props["headers"] = headers
        self.ch.publish(self.exchange, key, b"m", props)
        return [label for label, queue in self.queues.items() if self.ch.drain(queue)]


# --- 5.1 the whole message

def test_a_queue_gets_a_message_once(broker):
    ch = broker.channel()
    one, two, queue = broker.name("one"), broker.name("two"), broker.name()
    ch.exchange(one, "topic"), ch.exchange(two, "topic")
    ch.declare(queue, exclusive=True)
    for key in ("#", "a.*", "a.b", "*.b"):
        ch.bind(queue, one, key), ch.bind(queue, two, key)
        ch.bind_exchange(two, one, key)
    ch.publish(one, "a.b", b"once", {"headers": {"CC": ["a.b", "a.c"], "BCC": ["x.b"]}})
    eq(ch.drain(queue), [b"once"])


def test_cc_and_bcc_add_keys(broker):
    fan = Fan(broker, "direct", [(k, k, None) for k in ("key", "cc1", "cc2", "bcc", "lower")])
    eq(fan.reached("key", {"CC": ["cc1", "cc2"], "BCC": ["bcc"], "cc": ["lower"]}), ["key", "cc1", "cc2", "bcc"])
    eq(fan.reached("none", {"BCC": ["bcc"]}), ["bcc"])
    eq(fan.reached("none", {"CC": []}), [])


def test_cc_of_topic_exchanges(broker):
    fan = Fan(broker, "topic", [("a", "a.#", None), ("b", "*.b", None)])
    eq(fan.reached("x", {"CC": ["a.x.y"], "BCC": ["x.b"]}), ["a", "b"])


def test_bcc_is_removed_and_the_rest_stays(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish("", queue, b"", {"headers": Pairs([("z", 1), ("BCC", ["other"]), ("CC", ["more"]), ("a", 2)])})
    got = ch.get(queue)
    eq((got.headers, got.routing_key), ({"z": 1, "CC": ["more"], "a": 2}, queue))
    ch.publish("", "nowhere", b"", {"headers": {"BCC": [queue]}})
    got = ch.get(queue)
    eq((got.flags, got.headers, got.routing_key), (0x2000, {}, "nowhere"), "empty table stays present")
    ch.publish("", "nowhere", b"", {"headers": {"BCC": ["nor here"], "x": 1}}, mandatory=True)
    eq(ch.take("basic.return").headers, {"x": 1})


def test_cc_that_is_no_array(broker):
    for name, value, shown in (("CC", "key", "longstr"), ("BCC", 1, "signedint"), ("CC", {"a": 1}, "table"),
                               ("BCC", None, "void")):
        ch = broker.channel()
        ch.publish("", "nowhere", b"", {"headers": {name: value}})
        ch.expect_close(406, 'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"%s",%s}' % (
            name, shown) if name == "CC" else None, 60, 40)


def test_cc_elements_that_are_no_strings_are_ignored(broker):
    fan = Fan(broker, "direct", [(k, k, None) for k in ("key", "cc", "1")])
    eq(fan.reached("key", {"CC": [1, None, "cc", ["1"], V("x", b"1")]}), ["key", "cc"])


def test_alternate_exchange_takes_what_found_nothing(broker):
    ch = broker.channel()
    ae, main, aq, mq = broker.name("ae"), broker.name("main"), broker.name("aq"), broker.name("mq")
    ch.exchange(ae, "fanout"), ch.exchange(main, "direct", {"alternate-exchange": ae})
    ch.declare(aq, exclusive=True), ch.declare(mq, exclusive=True)
    ch.bind(aq, ae), ch.bind(mq, main, "k")
    ch.confirm()
    ch.publish(main, "k", b"found", mandatory=True)
    ch.publish(main, "other", b"not found", mandatory=True)
    got = ch.get(aq)
    eq((got.body, got.exchange, got.routing_key), (b"not found", main, "other"))
    eq(ch.drain(mq), [b"found"])
    eq(ch.queued("basic.return"), 0)


def test_alternate_is_not_used_when_a_match_dead_ends(broker):
    ch = broker.channel()
    ae, main, end, aq = broker.name("ae"), broker.name("main"), broker.name("end"), broker.name("aq")
    ch.exchange(ae, "fanout"), ch.exchange(main, "fanout", {"alternate-exchange": ae}), ch.exchange(end, "direct")
    ch.declare(aq, exclusive=True)
    ch.bind(aq, ae), ch.bind_exchange(end, main)
    ch.publish(main, "k", b"x", mandatory=True)
    eq(ch.take("basic.return").reply_code, 312)
    eq(ch.get(aq), None)


def test_alternate_chains_and_cycles(broker):
    ch = broker.channel()
    names = [broker.name(n) for n in "abc"]
    for name, following in zip(names, names[1:] + names[:1]):
        ch.exchange(name, "direct", {"alternate-exchange": following})
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    ch.publish(names[0], "k", b"nowhere", mandatory=True)
    eq(ch.take("basic.return").reply_code, 312)
    ch.bind(queue, names[2], "k")
    ch.publish(names[0], "k", b"third", mandatory=True)
    got = ch.get(queue)
    eq((got.body, got.exchange), (b"third", names[0]))


def test_alternate_of_a_destination_exchange(broker):
    ch = broker.channel()
    source, middle, ae, queue = (broker.name(n) for n in ("source", "middle", "ae", "q"))
    ch.exchange(source, "fanout"), ch.exchange(ae, "fanout")
    ch.exchange(middle, "direct", {"alternate-exchange": ae})
    ch.declare(queue, exclusive=True)
    ch.bind_exchange(middle, source), ch.bind(queue, ae)
    ch.publish(source, "k", b"x")
    eq(ch.drain(queue), [b"x"])


def test_alternate_that_is_missing_or_internal(broker):
    ch = broker.channel()
    main, ae, queue = broker.name("main"), broker.name("ae"), broker.name()
    ch.exchange(main, "direct", {"alternate-exchange": ae})
    ch.publish(main, "k", b"", mandatory=True)
    ch.take("basic.return")
    ch.exchange(ae, "fanout", internal=True)
    ch.declare(queue, exclusive=True)
    ch.bind(queue, ae)
    ch.publish(main, "k", b"internal is fine")
    eq(ch.drain(queue), [b"internal is fine"])


# --- 5.2, 5.3 direct and fanout

def test_direct_compares_octet_by_octet(broker):
    keys = ["", "a", "A", "a ", "a.b", "*", "#", "\u00e4", "a\n"]
    fan = Fan(broker, "direct", [(k, k, None) for k in keys])
    for key in keys:
        eq(fan.reached(key), [key])
    eq(fan.reached("b"), [])


def test_fanout_ignores_keys_and_arguments(broker):
    fan = Fan(broker, "fanout", [("1", "", None), ("2", "key", None), ("3", "", {"x-match": "bogus", "a": 1})])
    for key in ("", "key", "other"):
        eq(fan.reached(key, {"b": 2}), ["1", "2", "3"])


# --- 5.4 topic

TOPIC = [
    ("#", ["", "a", "a.b", ".", "..", "a.b.c.d"], []),
    ("*", ["a", "*"], ["", "a.b", "."]),
    ("#.a", ["a", "b.a", ".a", "b.c.a"], ["", "a.b"]),
    ("a.#", ["a", "a.", "a.b", "a.b.c"], ["", "b", "ab"]),
    ("*.a", ["b.a", ".a"], ["a", "b.c.a"]),
    ("a.*", ["a.", "a.b"], ["a", "a.b.c"]),
    ("*.*", [".", "a.", "a.b"], ["a", "", "a.b.c"]),
    ("#.*", ["a", "a.b", "."], [""]),
    ("*.#", ["a", "a.b", "."], [""]),
    ("#.#", ["", "a", "a.b", "a.b.c"], []),
    ("a.#.b", ["a.b", "a.x.b", "a..b", "a.x.y.b"], ["a", "b", "ab", "a.b.c"]),
    ("a.*.b", ["a.x.b", "a..b"], ["a.b", "a.x.y.b"]),
    ("a..b", ["a..b"], ["a.b", "a.x.b"]),
    ("", [""], ["a", "."]),
    ("a*", ["a*"], ["ab", "a"]),
    ("a.b#", ["a.b#"], ["a.bc", "a.b"]),
    ("#a", ["#a"], ["a", "ba"]),
    ("a.#.b.#.c", ["a.b.c", "a.x.b.y.c", "a.b.b.c.c"], ["a.c", "a.b", "a.c.b"]),
    ("#.b.#", ["b", "a.b", "b.c", "a.b.c", "a.a.b.b"], ["", "a", "a.c"]),
    ("*.*.*", ["a.b.c", "..", "a.."], ["a.b", "."]),
    (".", ["."], ["", "a."]),
]


def test_topic_table_one_binding_at_a_time(broker):
    ch = broker.channel()
    exchange, queue = broker.name("x"), broker.name()
    ch.exchange(exchange, "topic")
    ch.declare(queue, exclusive=True)
    for pattern, matching, others in TOPIC:
        ch.bind(queue, exchange, pattern)
        for key in matching + others:
            ch.publish(exchange, key, b"x")
            eq(ch.get(queue) is not None, key in matching, "pattern %r, key %r" % (pattern, key))
        ch.unbind(queue, exchange, pattern)
        ch.publish(exchange, matching[0], b"x")
        eq(ch.get(queue), None, "after unbinding %r" % pattern)


def test_topic_table_all_bindings_together(broker):
    fan = Fan(broker, "topic", [(pattern, pattern, None) for pattern, _, _ in TOPIC])
    keys = {key for _, matching, others in TOPIC for key in matching + others}
    for key in sorted(keys):
        reached = set(fan.reached(key))
        for pattern, matching, others in TOPIC:
            if key in matching:
                ok(pattern in reached, "%r did not match %r" % (pattern, key))
            elif key in others:
                ok(pattern not in reached, "%r matched %r" % (pattern, key))


def test_topic_pattern_with_many_wildcards_is_accepted_and_quick(broker):
    ch = broker.channel()
    exchange, queue = broker.name("x"), broker.name()
    ch.exchange(exchange, "topic")
    ch.declare(queue, exclusive=True)
    words = 12 if not broker.is_coney else 60
    ch.bind(queue, exchange, "#." + "*.#." * words + "end")
    for key, hit in ((".".join("a" * (words + 5)) + ".end", True), (".".join("a" * (words + 5)), False)):
        ch.publish(exchange, key, b"x")
        eq(ch.get(queue) is not None, hit)


# --- 5.5 headers

def test_x_match_all_is_the_default(broker):
    fan = Fan(broker, "headers", [("default", "", {"a": 1, "b": "x"}),
                                  ("all", "", {"x-match": "all", "a": 1, "b": "x"}),
                                  ("any", "", {"x-match": "any", "a": 1, "b": "x"})])
    eq(fan.reached("ignored", {"a": 1, "b": "x", "c": None}), ["default", "all", "any"])
    eq(fan.reached("", {"a": 1, "b": "y"}), ["any"])
    eq(fan.reached("", {"b": "x"}), ["any"])
    eq(fan.reached("", {"A": 1, "B": "x"}), [], "header names are case sensitive")
    eq(fan.reached("", {}), [])
    eq(fan.reached("", None), [], "no headers property")


def test_x_prefixed_conditions_count_only_with_x(broker):
    fan = Fan(broker, "headers", [
        ("all", "", {"x-match": "all", "a": 1, "x-b": 2}), ("any", "", {"x-match": "any", "a": 1, "x-b": 2}),
        ("all-x", "", {"x-match": "all-with-x", "a": 1, "x-b": 2}),
        ("any-x", "", {"x-match": "any-with-x", "a": 1, "x-b": 2})])
    eq(fan.reached("", {"a": 1}), ["all", "any", "any-x"])
    eq(fan.reached("", {"x-b": 2}), ["any-x"])
    eq(fan.reached("", {"a": 1, "x-b": 2}), ["all", "any", "all-x", "any-x"])
    eq(fan.reached("", {"x-match": "all"}), [])


def test_no_conditions(broker):
    fan = Fan(broker, "headers", [
        ("none", "", None), ("all", "", {"x-match": "all"}), ("any", "", {"x-match": "any"}),
        ("all-x", "", {"x-match": "all-with-x"}), ("any-x", "", {"x-match": "any-with-x"}),
        ("only x", "", {"x-match": "all", "x-a": 1}), ("only x any", "", {"x-match": "any", "x-a": 1})])
    for headers in (None, {}, {"a": 1}):
        eq(fan.reached("", headers), ["none", "all", "all-x", "only x"])


def test_void_condition_asks_for_presence(broker):
    fan = Fan(broker, "headers", [("void", "", {"a": None})])
    for value in (1, "x", None, True, [], {}):
        eq(fan.reached("", {"a": value}), ["void"])
    eq(fan.reached("", {"b": 1}), [])


def test_bad_x_match(broker):
    fan = Fan(broker, "headers", [])
    queue = fan.ch.declare(exclusive=True).queue
    c = fan.ch.connection
    c.channel().fails("queue.bind", 406, "PRECONDITION_FAILED - Invalid x-match field value <<\"bogus\">>; "
                      "expected all, any, all-with-x, or any-with-x", queue=queue, exchange=fan.exchange,
                      arguments={"x-match": "bogus"})
    c.channel().fails("queue.bind", 406, "PRECONDITION_FAILED - Invalid x-match field type signedint (value 5); "
                      "expected longstr", queue=queue, exchange=fan.exchange, arguments={"x-match": 5})


def pair(broker, binding, header):
    """Does a header value match a binding value?"""
    fan = Fan(broker, "headers", [("hit", "", {"h": binding})])
    hit = fan.reached("", {"h": header}) == ["hit"]
    fan.ch.connection.close()
    return hit


def test_typed_comparison(broker):
    one = {kind: V(kind, 1) for kind in "bBsuIil"}
    cases = [(a, b, True) for a in one.values() for b in one.values()]
    cases += [
        (1, V("l", 2), False), (1, "1", False), ("1", 1, False), (1, True, False), (True, 1, False),
        (True, True, True), (False, False, True), (True, False, False),
        (V("S", "o"), V("x", b"o"), True), (V("x", b"o"), V("S", "o"), True), ("a", "A", False), ("", "", True),
        ("", "x", False), (V("f", 1.0), V("d", 1.0), True), (V("d", 1.5), V("f", 1.5), True), (1.5, 2.5, False),
        (V("T", 1), V("T", 1), True), (V("T", 1), V("T", 2), False),
        ([1, "a"], [1, "a"], True), ([1, "a"], ["a", 1], False), ([1], [1, 2], False),
        ({"k": 1}, {"k": 1}, True), ({"k": 1}, {"k": 2}, False), (V("D", (2, 5)), V("D", (2, 5)), True),
        (V("l", -1), V("b", -1), True), (V("u", 65535), V("s", -1), False)]
    fan = Fan(broker, "headers", [("case %d" % i, "", {"h%d" % i: case[0]}) for i, case in enumerate(cases)])
    for i, (binding, header, match) in enumerate(cases):
        label = "case %d" % i
        fan.ch.publish(fan.exchange, "", b"", {"headers": {"h%d" % i: header}})
        eq(bool(fan.ch.drain(fan.queues[label])), match, "binding %r, header %r" % (binding, header))


@differs("3.10 matches 1 and 1.0; either is allowed, not matching preferred")
def test_integer_does_not_match_a_float(broker):
    eq((pair(broker, 1, 1.0), pair(broker, 1.0, 1)), (False, False))


def test_headers_exchange_ignores_binding_keys_and_cc(broker):
    fan = Fan(broker, "headers", [("a", "key", {"a": 1}), ("b", "other", {"b": 1})])
    eq(fan.reached("other", {"a": 1, "CC": ["other"]}), ["a"])


# --- 5.6 plugin types

def test_consistent_hash_sends_each_message_to_one_queue(broker):
    fan = Fan(broker, "x-consistent-hash", [(str(i), "10", None) for i in range(4)])
    hits = collections.Counter()
    home = {}
    for i in range(200):
        reached = fan.reached("key %d" % i)
        eq(len(reached), 1)
        home["key %d" % i] = reached
        hits[reached[0]] += 1
    ok(len(hits) == 4 and min(hits.values()) > 20, "spread %r" % hits)
    for key in list(home)[:50]:
        eq(fan.reached(key), home[key], "same key, same queue")


def test_consistent_hash_weights(broker):
    fan = Fan(broker, "x-consistent-hash", [("light", "1", None), ("heavy", "19", None)])
    for i in range(400):
        fan.ch.publish(fan.exchange, str(i), b"")
    light, heavy = len(fan.ch.drain(fan.queues["light"])), len(fan.ch.drain(fan.queues["heavy"]))
    eq(light + heavy, 400)
    ok(heavy > light * 4, "light %d heavy %d" % (light, heavy))


def test_consistent_hash_binding_key_is_a_weight(broker):
    fan = Fan(broker, "x-consistent-hash", [])
    queue = fan.ch.declare(exclusive=True).queue
    for key, text in (("abc", 'The binding key must be an integer: <<"abc">>'), ("", None), ("1.5", None),
                      ("0", "The binding key must be greater than 0"),
                      ("-1", "The binding key must be greater than 0")):
        fan.ch.connection.channel().fails(
            "queue.bind", 406, text and "PRECONDITION_FAILED - " + text, queue=queue, exchange=fan.exchange,
            routing_key=key)


def test_consistent_hash_by_header_or_property(broker):
    labels = [(str(i), "5", None) for i in range(3)]
    by_header = Fan(broker, "x-consistent-hash", labels, {"hash-header": "h"})
    first = by_header.reached("k0", {"h": "value"})
    for i in range(20):
        eq(by_header.reached("k%d" % i, {"h": "value"}), first)
    ok(len({tuple(by_header.reached("k", {"h": "v%d" % i})) for i in range(30)}) == 3, "no spread by header")
    eq(len({tuple(by_header.reached("k%d" % i)) for i in range(20)}), 1, "missing header is one fixed value")
    for prop, value in (("message_id", "m"), ("correlation_id", "c"), ("timestamp", 12345)):
        fan = Fan(broker, "x-consistent-hash", labels, {"hash-property": prop})
        eq(len({tuple(fan.reached("k%d" % i, props={prop: value})) for i in range(10)}), 1, prop)


def test_consistent_hash_arguments_are_checked(broker):
    for args, text in (({"hash-header": "h", "hash-property": "message_id"},
                        "hash-header and hash-property are mutually exclusive"),
                       ({"hash-property": "foo"}, "Unsupported property: foo")):
        broker.channel().fails("exchange.declare", 406, "PRECONDITION_FAILED - " + text, exchange=broker.name(),
                               type="x-consistent-hash", arguments=args)


def test_consistent_hash_second_binding_adds_no_weight(broker):
    fan = Fan(broker, "x-consistent-hash", [("a", "1", None), ("b", "1", None)])
    before = {str(i): fan.reached(str(i)) for i in range(40)}
    fan.ch.bind(fan.queues["a"], fan.exchange, "100")
    eq({str(i): fan.reached(str(i)) for i in range(40)}, before)


def test_random_exchange(broker):
    fan = Fan(broker, "x-random", [(str(i), "key%d" % i, None) for i in range(3)])
    hits = collections.Counter()
    for i in range(120):
        reached = fan.reached("any")
        eq(len(reached), 1)
        hits[reached[0]] += 1
    ok(len(hits) == 3 and min(hits.values()) > 10, "spread %r" % hits)


def test_modulus_hash_exchange(broker):
    fan = Fan(broker, "x-modulus-hash", [(str(i), "", None) for i in range(3)])
    home = {}
    for i in range(60):
        reached = fan.reached("key%d" % i)
        eq(len(reached), 1)
        home[i] = reached
    eq({i: fan.reached("key%d" % i) for i in range(60)}, home)
    ok(len({tuple(r) for r in home.values()}) == 3, "no spread")


def test_plugin_types_without_bindings_are_unroutable(broker):
    for kind in ("x-consistent-hash", "x-random", "x-modulus-hash"):
        fan = Fan(broker, kind, [])
        fan.ch.publish(fan.exchange, "k", b"", mandatory=True)
        eq(fan.ch.take("basic.return").reply_code, 312, kind)


@differs("unknown types are 503 in 3.10, and its plugins may be enabled")
def test_types_of_later_releases_are_refused(broker):
    for kind in ("x-delayed-message", "x-message-deduplication", "x-recent-history", "x-local-random"):
        close = broker.channel().fails("exchange.declare", 406, exchange=broker.name(), type=kind,
                                       arguments={"x-delayed-type": "direct"})
        eq(close.reply_text, "PRECONDITION_FAILED - unknown exchange type '%s'" % kind)
