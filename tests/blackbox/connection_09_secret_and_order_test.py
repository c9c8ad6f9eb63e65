# SPDX-License-Identifier: Apache-2.0
"""connection-and-channel, 9 and 10: update-secret, and the order of events that clients rely on."""

from amqp_raw import method_frame
from harness import differs, eq, ok


def test_update_secret_is_accepted(broker):
    c = broker.connect()
    ch = c.channel()
    c.send(0, "connection.update-secret", new_secret="any secret", reason="renewed")
    c.wait_control("connection.update-secret-ok")
    ch.sync()


def test_update_secret_on_a_channel_is_unimplemented(broker):
    broker.channel().kills("connection.update-secret", 503, "COMMAND_INVALID - unimplemented method")


@differs("3.10 may answer a count ahead of publishes that wait for the queue")
def test_publish_is_visible_to_a_later_synchronous_method(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for n in range(1, 50):
        ch.publish("", queue, b"x")
        ch.expect_count(queue, n)


def test_return_precedes_the_confirm_of_its_message(broker):
    ch = broker.channel()
    ch.confirm()
    for i in range(20):
        ch.publish("", broker.name("nowhere"), str(i), mandatory=True)
    acked = returned = 0
    while acked < 20:
        got = ch.next("basic.return", "basic.ack")
        if got.name == "basic.return":
            eq(got.body, str(returned).encode())
            returned += 1
        else:
            acked = max(acked, got.delivery_tag) if got.multiple else acked + 1
            ok(returned >= got.delivery_tag, "ack %d before its return" % got.delivery_tag)


def test_no_delivery_before_consume_ok_nor_after_cancel_ok(broker):
    c = broker.connect()
    ch, sender = c.channel(), c.channel()
    queue = broker.name()
    ch.declare(queue, exclusive=True)
    for _ in range(500):
        sender.publish("", queue, b"x")
    sender.sync()
    for _ in range(10):
        ch.send("basic.consume", queue=queue, consumer_tag="t")
        eq(ch.next().name, "basic.consume-ok")
        ch.send("basic.cancel", consumer_tag="t")
        while ch.next().name != "basic.cancel-ok":
            pass
        ch.sync()
        eq(list(ch.inbox), [], "after cancel-ok")
        ch.send("basic.recover", requeue=True)
        ch.take("basic.recover-ok")


def test_methods_of_a_channel_are_executed_in_order(broker):
    ch = broker.channel()
    queue = broker.name()
    ch.raw(*[method_frame(1, "queue.declare", queue=queue), method_frame(1, "queue.delete", queue=queue)] * 50,
           method_frame(1, "queue.declare", queue=queue, passive=True))
    eq(ch.expect_close(404).method_id, 10)
