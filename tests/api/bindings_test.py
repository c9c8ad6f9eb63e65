# SPDX-License-Identifier: Apache-2.0
"""/api/bindings (management-http-api.md 3.8): how they are named, listed, made and removed."""

import urllib.parse

import harness
from api_harness import definitions, differs, eq, matches, ok, path

REFUSED = dict(status=401, error="not_authorised", reason=r"^Access refused\.$")


def people():
    return {"users": [harness.user("bindings.some", tags=["management"])],
            "vhosts": [{"name": "bindings.v"}],
            "permissions": [harness.permission("bindings.some", "bindings.v", "^mine", "^mine", "^mine")]}


def pair(broker, kind="direct"):
    """An exchange and a queue."""
    ch, e, q = broker.channel(), broker.name("e"), broker.name()
    ch.exchange(e, kind)
    ch.declare(q)
    return e, q


def between(e, q):
    return path("bindings", "/", "e", e, "q", q)


def binding(e, q, key, arguments=None, properties=None, kind="queue", vhost="/"):
    return {"source": e, "vhost": vhost, "destination": q, "destination_type": kind, "routing_key": key,
            "arguments": arguments or {}, "properties_key": properties if properties is not None else key}


def test_bind_list_show_unbind(broker):
    e, q = pair(broker)
    answer = broker.post(between(e, q), {"routing_key": "k"}, status=201)
    eq((answer.body, answer.headers["location"]), (b"", q + "/k"))
    eq(broker.get(between(e, q)), [binding(e, q, "k")])
    eq(broker.get(between(e, q) + "/k"), binding(e, q, "k"))
    eq(broker.post(between(e, q), {"routing_key": "k"}, status=201).headers["location"], q + "/k")
    eq(len(broker.get(between(e, q))), 1)
    eq(broker.delete(between(e, q) + "/k").body, b"")
    eq(broker.get(between(e, q)), [])
    broker.refused("GET", between(e, q) + "/k", status=404, error="Object Not Found", reason="^Not Found$")
    broker.refused("DELETE", between(e, q) + "/k", status=404, error="Object Not Found", reason="^Not Found$")


def test_names_of_keys(broker):
    """properties_key, and how the location quotes it once more."""
    e, q = pair(broker)
    for key, properties, quoted in (("", "~", "~"), ("a.*", "a.%2A", "a.%252A"), ("a.b/c", "a.b%2Fc", "a.b%252Fc"),
                                    ("a b", "a+b", "a%2Bb"), ("~", "%7E", "%257E"), ("+-_.!()", "%2B-_.%21%28%29",
                                                                                     "%252B-_.%2521%2528%2529"),
                                    ("ü", "%C3%BC", "%25C3%25BC"), ("#", "%23", "%2523"), ("A9z", "A9z", "A9z")):
        answer = broker.post(between(e, q), {"routing_key": key}, status=201)
        eq(answer.headers["location"], q + "/" + quoted, repr(key))
        where = between(e, q) + "/" + urllib.parse.quote(properties, safe="")
        eq(broker.get(where), binding(e, q, key, properties=properties), repr(key))
        broker.delete(where)
    eq(broker.get(between(e, q)), [])


def test_arguments_are_part_of_the_name(broker):
    e, q = pair(broker, "headers")
    keys = set()
    for arguments in ({"x": 1}, {"x": 2}, {"x-match": "any", "b": True, "a": [1, {"t": "u"}]}):
        for key in ("", "k"):
            location = broker.post(between(e, q), {"routing_key": key, "arguments": arguments},
                                   status=201).headers["location"]
            properties = urllib.parse.unquote(location.split("/")[-1])
            matches(properties, "^%s~[A-Za-z0-9_-]+$" % key)
            shown = broker.get(between(e, q) + "/" + urllib.parse.quote(properties, safe=""))
            eq(shown, binding(e, q, key, arguments, properties))
            keys.add(properties)
    eq(len(keys), 6)
    eq({b["properties_key"] for b in broker.get(between(e, q))}, keys)
    for properties in keys:
        broker.delete(between(e, q) + "/" + properties)
    eq(broker.get(between(e, q)), [])


@differs("RabbitMQ's name depends on the order that the arguments were sent in")
def test_order_of_arguments_does_not_matter(broker):
    e, q = pair(broker, "headers")
    first = broker.post(between(e, q), {"arguments": {"a": 1, "b": 2}}).headers["location"]
    eq(broker.post(between(e, q), {"arguments": {"b": 2, "a": 1}}).headers["location"], first)
    eq(len(broker.get(between(e, q))), 1)


def test_key_in_a_path_need_not_be_quoted_twice(broker):
    e, q = pair(broker)
    broker.post(between(e, q), {"routing_key": "a.b/c"})
    eq(broker.get(between(e, q) + "/a.b%2Fc")["routing_key"], "a.b/c")


def test_between_exchanges(broker):
    ch, a, b = broker.channel(), broker.name("a"), broker.name("b")
    ch.exchange(a)
    ch.exchange(b)
    where = path("bindings", "/", "e", a, "e", b)
    eq(broker.post(where, {"routing_key": "k", "arguments": {}}, status=201).headers["location"], b + "/k")
    want = [binding(a, b, "k", kind="exchange")]
    eq(broker.get(where), want)
    eq(broker.get(where + "/k"), want[0])
    eq(broker.get(path("exchanges", "/", a, "bindings", "source")), want)
    eq(broker.get(path("exchanges", "/", b, "bindings", "destination")), want)
    eq(broker.get(path("exchanges", "/", a, "bindings", "destination")), [])
    eq(broker.get(path("bindings", "/", "e", a, "q", b)), [], "no queue is called so")
    broker.delete(where + "/k")
    eq(broker.get(where), [])


def test_lists(broker):
    e, q = pair(broker)
    broker.post(between(e, q), {"routing_key": "k1"})
    broker.post(between(e, q), {"routing_key": "k0"})
    mine = [binding("", q, q), binding(e, q, "k0"), binding(e, q, "k1")]
    for where in ("bindings", "bindings/%2F"):
        eq([b for b in broker.get(where) if b["destination"] == q], mine, where)
    eq(broker.get(path("queues", "/", q, "bindings")), mine)
    eq(broker.get(path("exchanges", "/", e, "bindings", "source")), mine[1:])
    ok(mine[0] in broker.get("exchanges/%2F/amq.default/bindings/source"), "of the default exchange")
    broker.delete(path("queues", "/", q))
    eq([b for b in broker.get("bindings/%2F") if b["destination"] == q], [])


def test_implicit_bindings(broker):
    ch, q = broker.channel(), broker.name()
    ch.declare(q)
    where = path("bindings", "/", "e", "amq.default", "q", q)
    eq(broker.get(where), [binding("", q, q)])
    eq(broker.get(where + "/" + q), binding("", q, q))
    broker.refused("DELETE", where + "/" + q, **REFUSED)
    broker.refused("POST", where, {"routing_key": "k"}, **REFUSED)


def test_what_is_missing(broker):
    e, q = pair(broker)
    broker.refused("POST", between(e, "nope"), {}, status=404, error="not_found",
                   reason="^no queue 'nope' in vhost '/'$")
    broker.refused("POST", between("nope", q), {}, status=404, error="not_found",
                   reason="^no exchange 'nope' in vhost '/'$")
    broker.refused("POST", path("bindings", "/", "e", e, "e", "nope"), {}, status=404,
                   reason="^no exchange 'nope' in vhost '/'$")
    broker.refused("POST", "bindings/nope/e/a/q/b", {}, status=404, error="not_found", reason="^vhost_not_found$")
    eq(broker.get(between(e, "nope")), [])
    eq(broker.get(between("nope", q)), [])
    eq(broker.get(path("exchanges", "/", "nope", "bindings", "source")), [])
    broker.get("bindings/nope", status=404)


def test_arguments_that_are_none(broker):
    e, q = pair(broker)
    broker.post(between(e, q), b"", status=201)
    broker.post(between(e, q), {"routing_key": "k", "arguments": []}, status=201)


def test_verbs(broker):
    e, q = pair(broker)
    eq(broker.ask("PUT", between(e, q), {}).status, 405)
    eq(sorted(broker.ask("OPTIONS", between(e, q)).headers["allow"].split(", ")), ["GET", "HEAD", "OPTIONS", "POST"])
    eq(sorted(broker.ask("OPTIONS", between(e, q) + "/~").headers["allow"].split(", ")),
       ["DELETE", "GET", "HEAD", "OPTIONS"])


def test_what_clients_bind_is_called_the_same(broker):
    """One binding made by AMQP and by the API, with integers of other widths in JSON."""
    e, q = pair(broker, "topic")
    broker.channel().bind(q, e, "a.#")
    broker.post(between(e, q), {"routing_key": "a.#"})
    eq(broker.get(between(e, q)), [binding(e, q, "a.#", properties="a.%23")])
    broker.delete(between(e, q) + "/a.%2523")
    eq(broker.get(between(e, q)), [])


@definitions(people)
def test_permissions_are_those_of_amqp(broker):
    some = dict(user="bindings.some")
    for name in ("mine", "other"):
        broker.put(path("queues", "bindings.v", name), {})
        broker.put(path("exchanges", "bindings.v", name), {})
    mine = path("bindings", "bindings.v", "e", "mine", "q", "mine")
    other = path("bindings", "bindings.v", "e", "other", "q", "mine")
    broker.post(mine, {}, status=201, **some)
    broker.refused("POST", other, {}, **REFUSED, **some)
    broker.post(other, {})
    broker.refused("DELETE", other + "/~", **REFUSED, **some)
    broker.delete(mine + "/~", **some)
    eq(len(broker.get(other, **some)), 1, "may look")
    eq({b["vhost"] for b in broker.get("bindings", **some)}, {"bindings.v"})
    for name in ("mine", "other"):
        broker.delete(path("queues", "bindings.v", name))
        broker.delete(path("exchanges", "bindings.v", name))


@differs("takes long there")
def test_many(broker):
    ch, e, q = broker.channel(), broker.name("e"), broker.name()
    ch.exchange(e, "topic")
    ch.declare(q)
    for i in range(2000):
        ch.send("queue.bind", queue=q, exchange=e, routing_key="k%04d" % i, nowait=True)
    ch.settled(q)
    want = ["k%04d" % i for i in range(2000)]
    eq([b["routing_key"] for b in broker.get(path("exchanges", "/", e, "bindings", "source"))], want)
    eq([b["routing_key"] for b in broker.get(between(e, q))], want)
    eq(len([b for b in broker.get("bindings/%2F?columns=destination") if b == {"destination": q}]), 2001)
