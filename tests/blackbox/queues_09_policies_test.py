# SPDX-License-Identifier: Apache-2.0
"""queue-features, 9: user and operator policies from a definitions file, and how they meet arguments."""

import time

from amqp_raw import ChannelClosed
from harness import (between, definitions, differs, eq, ok, operator_policy, permission, policy, lasts,
                     wait_until)

VHOST = "pol"


def base(policies, parameters=()):
    return {"vhosts": [{"name": VHOST}], "permissions": [permission("guest", VHOST)], "policies": policies,
            "parameters": list(parameters)}


def policies():
    def pol(name, pattern, definition, apply_to="all", priority=0):
        return policy(name, VHOST, pattern, definition, apply_to, priority)
    return base([
        pol("ttl", "^ttl", {"message-ttl": 50, "dead-letter-exchange": "", "dead-letter-routing-key": "grave"}),
        pol("dlx", "^dlx", {"dead-letter-exchange": "amq.fanout", "dead-letter-routing-key": "policy"}),
        pol("len", "^len", {"max-length": 3}),
        pol("bytes", "^bytes", {"max-length-bytes": 10}),
        pol("rej", "^rej", {"max-length": 1, "overflow": "reject-publish"}),
        pol("drop", "^drop", {"overflow": "drop-head"}),
        pol("exp", "^exp", {"expires": 300}),
        pol("ae", "^ae", {"alternate-exchange": "amq.fanout"}, "exchanges"),
        pol("low", "^prio", {"max-length": 1}, "queues", 1),
        pol("high", "^prio", {"max-length-bytes": 1000}, "queues", 5),
        pol("inner", "needle", {"max-length": 2}),
        pol("only-exchanges", "^xonly", {"alternate-exchange": "amq.fanout"}, "exchanges", 9),
        pol("only-queues", "^xonly", {"max-length": 2}, "queues", 1),
        pol("quorumish", "^appl", {"delivery-limit": 1, "max-length": 1}, "queues", 9),
        pol("fallback", "^appl", {"max-length": 2}, "queues", 1),
        pol("limit", "^qlimit", {"delivery-limit": 1}),
        pol("gen", "^amq\\.gen", {"max-length": 2}),
        pol("merged", "^merge", {"max-length": 500, "dead-letter-exchange": "amq.fanout",
                                 "dead-letter-routing-key": "merged"}),
        pol("mode", "^mode", {"queue-mode": "lazy", "ha-mode": "all", "ha-sync-mode": "automatic"}),
        pol("plain", "^(plain|default)", {"max-length": 2}),
        pol("regex", "^re(ge)?x\\.[0-9]+$", {"max-length": 2})],
        [operator_policy("op-merge", VHOST, "^merge", {"max-length": 2}),
         operator_policy("op-alone", VHOST, "^operated", {"max-length": 2}),
         operator_policy("op-low", VHOST, "^ranked", {"max-length": 1}, priority=1),
         operator_policy("op-high", VHOST, "^ranked", {"max-length": 2}, priority=2),
         operator_policy("op-over", VHOST, "^rej-op", {"max-length": 1, "max-length-bytes": 5})])


loaded = definitions(policies)


def setup(broker, prefix, args=None, **flags):
    ch = broker.channel(vhost=VHOST)
    queue = prefix + "." + broker.unique
    ch.declare(queue, args, **dict({"auto_delete": not flags.get("durable"), "durable": False}, **flags))
    return ch, queue


def kept(ch, queue, n=6, size=1):
    """How many of N messages stay."""
    ch.confirm()
    for i in range(n):
        ch.publish_confirmed("", queue, b"x" * size)
    return len(ch.drain(queue))


def listener(broker):
    """A queue that hears amq.fanout of the vhost."""
    ch = broker.channel(vhost=VHOST)
    queue = ch.declare(exclusive=True).queue
    ch.bind(queue, "amq.fanout")
    ch.consume(queue, no_ack=True)
    return ch


def heard(ch, body):
    """Others share the exchange; wait for one's own."""
    return ch.wait(lambda m: m.name == "basic.deliver" and m.body == body)


@loaded
def test_policy_max_length_and_the_smaller_wins(broker):
    for args, want in ((None, 3), ({"x-max-length": 2}, 2), ({"x-max-length": 5}, 3)):
        ch, queue = setup(broker, "len", args)
        eq(kept(ch, queue), want, repr(args))
        ch.call("queue.delete", queue=queue)


@loaded
def test_policy_max_length_bytes_and_the_smaller_wins(broker):
    for args, want in ((None, 5), ({"x-max-length-bytes": 4}, 2), ({"x-max-length-bytes": 100}, 5),
                       ({"x-max-length": 3}, 3)):
        ch, queue = setup(broker, "bytes", args)
        eq(kept(ch, queue, 8, 2), want, repr(args))
        ch.call("queue.delete", queue=queue)


@loaded
def test_policy_ttl_and_dead_letter_keys(broker):
    ch, queue = setup(broker, "ttl")
    grave = broker.channel(vhost=VHOST)
    grave.declare("grave")
    grave.consume("grave", no_ack=True)
    for args in (None, {"x-message-ttl": 600000}):
        ch, queue = setup(broker, "ttl", args)
        body = "%s %r" % (queue, args)
        ch.publish("", queue, body)
        got = grave.wait(lambda m: m.name == "basic.deliver" and m.body == body.encode())
        eq((got.headers["x-death"][0]["reason"], got.headers["x-death"][0]["queue"]), ("expired", queue))
        ch.call("queue.delete", queue=queue)


@loaded
def test_dead_letter_arguments_win(broker):
    ear = listener(broker)
    ch, queue = setup(broker, "dlx")
    ch.publish("", queue, b"by policy " + broker.unique.encode())
    ch.reject(wait_until(lambda: ch.get(queue, no_ack=False), 5).delivery_tag, requeue=False)
    eq(heard(ear, b"by policy " + broker.unique.encode()).routing_key, "policy")
    dead = ch.declare(exclusive=True).queue
    ch.call("queue.delete", queue=queue)
    ch, queue = setup(broker, "dlx", {"x-dead-letter-exchange": "amq.fanout", "x-dead-letter-routing-key": "argument"})
    ch.publish("", queue, b"by argument " + broker.unique.encode())
    ch.reject(wait_until(lambda: ch.get(queue, no_ack=False), 5).delivery_tag, requeue=False)
    eq(heard(ear, b"by argument " + broker.unique.encode()).routing_key, "argument")
    ok(dead, "")


@loaded
def test_overflow_argument_wins_on_classic(broker):
    ch, queue = setup(broker, "rej")
    ch.confirm()
    eq([ch.publish_confirmed("", queue, b"x").name for _ in range(2)], ["basic.ack", "basic.nack"])
    ch.call("queue.delete", queue=queue)
    ch, queue = setup(broker, "rej", {"x-overflow": "drop-head"})
    ch.confirm()
    eq([ch.publish_confirmed("", queue, b"x").name for _ in range(2)], ["basic.ack", "basic.ack"])


@differs("3.10's quorum queues enforce limits late")
@loaded
def test_overflow_policy_wins_on_quorum(broker):
    ch, queue = setup(broker, "rej", {"x-queue-type": "quorum", "x-overflow": "drop-head"}, durable=True)
    ch.confirm()
    eq([ch.publish_confirmed("", queue, b"x").name for _ in range(2)], ["basic.ack", "basic.nack"])


@loaded
def test_policy_expires_and_the_smaller_wins(broker):

    for args in (None, {"x-expires": 600000}):
        ch, queue = setup(broker, "exp", args)
        began = time.monotonic()

        def returned():
            ch.publish("", queue, b"probe", mandatory=True)
            ch.sync()
            return ch.queued("basic.return")
        wait_until(returned, 8, "queue expired")
        between(time.monotonic() - began, 0.28, 3, "seconds until expiry")


@loaded
def test_alternate_exchange_by_policy_is_the_fallback_for_the_argument(broker):
    ear = listener(broker)
    ch = broker.channel(vhost=VHOST)
    for args, body in ((None, b"policy"), ({"alternate-exchange": "amq.topic"}, b"argument")):
        name = "ae." + broker.unique
        ch.exchange(name, "direct", args)
        ch.publish(name, "k", body + broker.unique.encode(), mandatory=True)
        if args is None:
            eq(heard(ear, body + broker.unique.encode()).exchange, name)
        else:
            eq(ch.take("basic.return").body, body + broker.unique.encode())
        ch.call("exchange.delete", exchange=name)


@loaded
def test_highest_priority_policy_is_taken_alone(broker):
    ch, queue = setup(broker, "prio")
    eq(kept(ch, queue), 6)


@loaded
def test_pattern_is_an_unanchored_search(broker):
    ch, queue = setup(broker, "hay.needle.stack")
    eq(kept(ch, queue), 2)
    for name, want in (("rex.5", 2), ("regex.77", 2), ("regex.x", 6)):
        ch = broker.channel(vhost=VHOST)
        ch.declare(name, exclusive=True)
        eq(kept(ch, name), want, name)


@loaded
def test_apply_to(broker):
    ch, queue = setup(broker, "xonly")
    eq(kept(ch, queue), 2, "the exchanges' policy of higher priority is not for queues")


@loaded
def test_policy_with_a_key_of_another_type_is_skipped_whole(broker):
    ch, queue = setup(broker, "appl")
    eq(kept(ch, queue), 2, "the next candidate")


@loaded
def test_delivery_limit_by_policy(broker):
    for args, returns in ((None, 2), ({"x-delivery-limit": 0}, 1), ({"x-delivery-limit": 5}, 2)):
        ch, queue = setup(broker, "qlimit", dict({"x-queue-type": "quorum"}, **(args or {})), durable=True)
        ch.confirm()
        ch.publish_confirmed("", queue, b"x")
        seen = 0
        while True:
            got = ch.get(queue, no_ack=False)
            if got is None:
                break
            seen += 1
            ch.nack(got.delivery_tag)
            ch.settled(queue)
        eq(seen, returns, repr(args))
        ch.call("queue.delete", queue=queue)


@loaded
def test_server_named_exclusive_and_auto_delete_queues_match(broker):
    ch = broker.channel(vhost=VHOST)
    for flags in ({"exclusive": True}, {"auto_delete": True}, {}):
        queue = ch.declare(**flags).queue
        ch = broker.channel(vhost=VHOST) if not flags.get("exclusive") else ch
        eq(kept(ch, queue), 2, repr(flags))
        ch.call("queue.delete", queue=queue)


@loaded
def test_policy_plays_no_part_in_equivalence(broker):
    ch, queue = setup(broker, "plain")
    ch.declare(queue, auto_delete=True)
    try:
        ch.declare(queue, {"x-max-length": 2}, auto_delete=True)
        raise AssertionError("the policy's value was taken for an argument")
    except ChannelClosed as closed:
        eq(closed.code, 406)


@loaded
def test_lazy_and_mirroring_keys_have_no_effect(broker):
    ch, queue = setup(broker, "mode")
    eq(kept(ch, queue), 6)


# --- 9.6 operator policies

@loaded
def test_operator_policy_alone(broker):
    for args, want in ((None, 2), ({"x-max-length": 1}, 1), ({"x-max-length": 5}, 2)):
        ch, queue = setup(broker, "operated", args)
        eq(kept(ch, queue), want, repr(args))
        ch.call("queue.delete", queue=queue)


@loaded
def test_operator_and_user_policy_merge(broker):
    """The smaller limit of the two, and the user's dead-letter exchange."""
    ear = listener(broker)
    ch, queue = setup(broker, "merge")
    for i in range(3):
        ch.publish("", queue, b"%d " % i + broker.unique.encode())
    eq(heard(ear, b"0 " + broker.unique.encode()).routing_key, "merged")
    ch.expect_count(queue, 2)


@loaded
def test_operator_limits_join_the_users(broker):
    ch, queue = setup(broker, "rej-op")
    ch.confirm()
    eq(ch.publish_confirmed("", queue, b"123456").name, "basic.nack")
    eq(ch.publish_confirmed("", queue, b"12345").name, "basic.ack")


@loaded
def test_highest_priority_operator_policy(broker):
    ch, queue = setup(broker, "ranked")
    eq(kept(ch, queue), 2)


# --- what only newer levels know

def newer():
    return base([
        policy("classic-only", VHOST, "^kind", {"max-length": 2}, "classic_queues", 9),
        policy("quorum-only", VHOST, "^kind", {"max-length": 3}, "quorum_queues", 9),
        policy("streams-only", VHOST, "^kind", {"max-length-bytes": 1}, "streams", 10),
        policy("b-tie", VHOST, "^tie", {"max-length": 4}), policy("a-tie", VHOST, "^tie", {"max-length": 2}),
        policy("c-tie", VHOST, "^tie", {"max-length": 5}),
        policy("timeout", VHOST, "^late", {"consumer-timeout": 300}),
        policy("neg", VHOST, "^neg", {"delivery-limit": -1}, "quorum_queues")])


@differs("3.10 does not know these values of apply-to")
@definitions(newer)
def test_apply_to_one_type_of_queue(broker):
    ch, queue = setup(broker, "kind")
    eq(kept(ch, queue), 2)
    ch, queue = setup(broker, "kind.quorum", {"x-queue-type": "quorum"}, durable=True)
    eq(kept(ch, queue), 3)


@differs("unspecified in RabbitMQ")
@definitions(newer)
def test_ties_go_to_the_lowest_name(broker):
    ch, queue = setup(broker, "tie")
    eq(kept(ch, queue), 2)


@differs("3.10's policies cannot set it")
@lasts(2)
@definitions(newer)
def test_consumer_timeout_by_policy(broker):
    ch, queue = setup(broker, "late")
    ch.publish("", queue, b"x")
    ch.consume(queue)
    ch.delivery()
    close = ch.expect_close(406, None, 0, 0)
    ok("Timeout value used: 300 ms" in close.reply_text, close.reply_text)


@differs("negative limits are 4.x's")
@definitions(newer)
def test_negative_delivery_limit_means_the_larger_wins(broker):
    ch, queue = setup(broker, "neg", {"x-queue-type": "quorum", "x-delivery-limit": 1}, durable=True)
    ch.publish("", queue, b"x")
    for _ in range(2):
        ch.nack(ch.get(queue, no_ack=False).delivery_tag)
    eq(ch.get(queue), None)
