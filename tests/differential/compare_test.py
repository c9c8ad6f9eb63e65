# SPDX-License-Identifier: Apache-2.0
"""That the comparison sees what differs, and only that: `run --check` runs these on made-up logs."""

import compare

SHORT = {"do": "publish", "f": {"routing_key": "q"}, "props": {"expiration": "0"}, "body": "", "c": 0, "ch": 1}
TOPICS = dict(SHORT, f={"exchange": "x", "routing_key": "a"}, props={"headers": [["BCC", "A", [["S", "b"], ["S", "a"]]]]})
TOPIC = "ACCESS_REFUSED - write access to topic '%s' in exchange 'x' in vhost '/' refused for user 'u'"
SESSION = {"connections": [{}], "steps": [{"do": "method", "m": "basic.get", "f": {}, "c": 0, "ch": 1}]}


def event(name, channel=1, body=None, **fields):
    made = {"c": 0, "ch": channel, "m": name, "f": fields}
    if body is not None:
        made.update(body=body, flags=0, props={}, size=len(body), frames=[len(body)])
    return made


def deliver(consumer, tag, body, key="q"):
    return event("basic.deliver", consumer_tag=consumer, delivery_tag=tag, redelivered=False, routing_key=key, body=body)


def close(code, text="NAME - why", channel=1):
    return event("channel.close" if channel else "connection.close", channel, reply_code=code, reply_text=text,
                 class_id=60, method_id=70)


def outcome(*steps):
    """Each step is (ours, theirs), or (ours, theirs, what is done)."""
    session = dict(SESSION, steps=[step[2] if len(step) > 2 else SESSION["steps"][0] for step in steps])
    difference, used = compare.compare(session, *([{"events": step[broker]} for step in steps] for broker in (0, 1)))
    return difference is None, set(used)


CASES = [
    ("the same", [event("basic.get-empty")], [event("basic.get-empty")], (True, set())),
    ("another reply", [event("basic.get-empty")], [event("basic.get-ok", body="x")], (False, set())),
    ("a reply too many", [event("basic.get-empty")], [], (False, set())),
    ("another field", [event("queue.declare-ok", message_count=1)], [event("queue.declare-ok", message_count=2)], (False, set())),
    ("another body", [deliver("t", 1, "a")], [deliver("t", 1, "b")], (False, set())),
    ("another code", [close(404)], [close(406)], (False, set())),
    ("another text", [close(404, "NOT_FOUND - a")], [close(404, "NOT_FOUND - b")], (False, set())),
    ("another level", [close(404)], [close(404, channel=0)], (False, set())),
    ("one consumer's order", [deliver("t", 1, "a"), deliver("t", 2, "b")], [deliver("t", 1, "b"), deliver("t", 2, "a")], (False, set())),
    ("two consumers' order", [deliver("t", 1, "a"), deliver("u", 2, "b")], [deliver("u", 1, "b"), deliver("t", 2, "a")],
     (True, {"order of deliveries"})),
    ("a tag", [deliver("t", 1, "a")], [deliver("t", 2, "a")], (False, set())),
    ("a reply's tag", [deliver("t", 2, "a", "amq.rabbitmq.reply-to.#1")], [deliver("t", 1, "a", "amq.rabbitmq.reply-to.#1")],
     (True, {"tags of direct replies"})),
    ("a delivery ahead of a close", [deliver("t", 1, "a"), close(404)], [close(404)], (True, {"order of deliveries"})),
    ("a delivery too many", [deliver("t", 1, "a")], [], (False, set())),
    ("confirms together", [event("basic.ack", delivery_tag=2, multiple=True)],
     [event("basic.ack", delivery_tag=1, multiple=False), event("basic.ack", delivery_tag=2, multiple=False)], (True, {"order of deliveries"})),
    ("a nack for an ack", [event("basic.nack", delivery_tag=1, multiple=False)], [event("basic.ack", delivery_tag=1, multiple=False)], (False, set())),
    ("a right", [close(403, "ACCESS_REFUSED - read access to queue 'q'")], [close(403, "ACCESS_REFUSED - access to queue 'q'")],
     (True, {"the right that is missing is named"})),
    ("a right to something else", [close(403, "ACCESS_REFUSED - read access to queue 'q'")], [close(403, "ACCESS_REFUSED - access to queue 'p'")],
     (False, set())),
    ("a name with NUL", [close(404, "NOT_FOUND - no queue 'a'")], [close(404, "NOT_FOUND - no queue 'a\0b'")], (True, {"names with NUL octets"})),
    ("another name with NUL", [close(404, "NOT_FOUND - no queue 'b'")], [close(404, "NOT_FOUND - no queue 'a\0b'")], (False, set())),
    ("a second error behind a name with NUL", [close(404, "NOT_FOUND - no queue ''")],
     [close(404, "NOT_FOUND - no queue '\0'"), close(404, "NOT_FOUND - nothing"), close(504, "CHANNEL_ERROR - why", 0)],
     (True, {"names with NUL octets", "a second error in one go"})),
    ("a table that is cut", [close(406, "NAME - Invalid x-match field type table (value {a,true}); expected longstr")],
     [close(406, "NAME - Invalid x-match field type table (value [{<<228>>,bool,true},...")], (True, {"Erlang's notation in texts"})),
    ("a channel that is not open", [close(504, "CHANNEL_ERROR - expected 'channel.open'", 0)],
     [close(404, "NOT_FOUND - no previously declared queue")], (True, {"an empty queue name on a channel that is not open"})),
    ("another type", [close(406, "NAME - Invalid x-match field type table (value {a,true}); expected longstr")],
     [close(406, "NAME - Invalid x-match field type array (value [{bool,true},...")], (False, set())),
]

CLOSED = [close(404)]
MADE = [[event("basic.consume-ok", consumer_tag="amq.ctag-#%d" % number)] for number in (1, 2)]
COUNT = [[event("queue.declare-ok", message_count=number)] for number in range(3)]
REPLY = [deliver("t", 1, "a", "amq.rabbitmq.reply-to.#1")]
BATCH = {"do": "batch", "of": [], "c": 0, "ch": 1}
IMMEDIATE = close(540, "NOT_IMPLEMENTED - immediate=true", 0)
MALFORMED = close(501, "FRAME_ERROR - Malformed UTF-8 in shortstr", 0)

# (name, steps, wanted)
LONGER = [
    ("a tag behind a reply", [(REPLY, REPLY), ([deliver("u", 2, "b")], [deliver("u", 1, "b")])], (True, {"tags of direct replies"})),
    ("a name that was lost to a close", [(MADE[0] + CLOSED, CLOSED), (MADE[1], MADE[0])], (True, {"order of deliveries"})),
    ("a name of its own", [(MADE[0], MADE[0]), (MADE[1], MADE[0])], (False, set())),
    ("behind a close", [(MADE[0] + CLOSED, MADE[0] + CLOSED), (MADE[1], MADE[0])], (False, set())),
    ("expired behind the head", [([], [], SHORT), (COUNT[1], COUNT[2])], (True, {"what has expired behind the head"})),
    ("expired too late", [([], [], SHORT), (COUNT[2], COUNT[1])], (False, set())),
    ("a topic in BCC", [([close(403, TOPIC % "b")], [], TOPICS)], (True, {"topic rights of CC and BCC keys"})),
    ("the routing key's topic", [([close(403, TOPIC % "a")], [], TOPICS)], (False, set())),
    ("two errors in one go", [([IMMEDIATE], [MALFORMED], BATCH)],
     (True, {"an error that overtakes another"})),
    ("one error", [([IMMEDIATE], [MALFORMED])], (False, set())),
    ("another error than that", [([close(530, "NOT_ALLOWED - why", 0)], [MALFORMED], BATCH)], (False, set())),
    ("another second error", [([IMMEDIATE], [close(501, "FRAME_ERROR - why", 0)], BATCH)], (False, set())),
    ("nothing that expires", [(COUNT[1], COUNT[2])], (False, set())),
]


def failures():
    for name, steps, want in [(name, [(ours, theirs)], want) for name, ours, theirs, want in CASES] + LONGER:
        got = outcome(*steps)
        if got != want:
            yield "%s: expected %s, got %s" % (name, want, got)
