// SPDX-License-Identifier: Apache-2.0
// The scenarios of ../scenarios.txt with RabbitMQ's Java client.

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.AlreadyClosedException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public final class Interop {
    private static final String PREFIX = Harness.PREFIX;

    private interface Work {
        void with(Channel ch) throws Exception;
    }

    private static ConnectionFactory factory() throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(Harness.HOST);
        factory.setPort(Harness.PORT);
        if (System.getenv("TLS_CA") != null) {
            factory.useSslProtocol(Harness.tlsContext());
            factory.setSocketConfigurator(Harness::verifyHostname);
        }
        return factory;
    }

    private static void scenario(String name, Work work) {
        Harness.scenario(name, () -> {
            try (Connection connection = factory().newConnection()) {
                work.with(connection.createChannel());
            }
        });
    }

    /** A delivery as it arrived. */
    private static final class Message {
        final Envelope envelope;
        final BasicProperties properties;
        final byte[] body;

        Message(Envelope envelope, BasicProperties properties, byte[] body) {
            this.envelope = envelope;
            this.properties = properties;
            this.body = body;
        }

        String text() {
            return new String(body, StandardCharsets.UTF_8);
        }

        long tag() {
            return envelope.getDeliveryTag();
        }
    }

    /** A consumer that keeps what it gets. */
    private static final class Inbox extends DefaultConsumer {
        final BlockingQueue<Message> messages = new LinkedBlockingQueue<>();
        final String tag;
        volatile boolean cancelled;

        Inbox(Channel ch, String queue, boolean autoAck) throws IOException {
            super(ch);
            tag = ch.basicConsume(queue, autoAck, this);
        }

        @Override
        public void handleDelivery(String consumerTag, Envelope envelope, BasicProperties properties, byte[] body) {
            messages.add(new Message(envelope, properties, body));
        }

        @Override
        public void handleCancel(String consumerTag) {
            cancelled = true;
        }

        Message take() throws InterruptedException {
            Message message = messages.poll(Harness.DEADLINE_MS, TimeUnit.MILLISECONDS);
            if (message == null) {
                throw new AssertionError("no delivery");
            }
            return message;
        }

        List<String> bodies(int n) throws InterruptedException {
            List<String> bodies = new ArrayList<>();
            for (int i = 0; i < n; i++) {
                bodies.add(take().text());
            }
            return bodies;
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static Map<String, Object> table(Object... keysAndValues) {
        Map<String, Object> table = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            table.put((String) keysAndValues[i], keysAndValues[i + 1]);
        }
        return table;
    }

    /** An exclusive queue that goes with the connection; named by the server if name is empty. */
    private static String queue(Channel ch, String name, Object... arguments) throws IOException {
        return ch.queueDeclare(name.isEmpty() ? "" : PREFIX + name, false, true, false, table(arguments)).getQueue();
    }

    private static String exchange(Channel ch, String name, String type, Object... arguments) throws IOException {
        ch.exchangeDeclare(PREFIX + name, type, false, true, table(arguments));
        return PREFIX + name;
    }

    private static void send(Channel ch, String exchange, String key, String... bodies) throws IOException {
        for (String body : bodies) {
            ch.basicPublish(exchange, key, null, bytes(body));
        }
    }

    private static Message get(Channel ch, String queue) throws Exception {
        GetResponse got = Harness.eventually("a message in " + queue, () -> ch.basicGet(queue, false));
        return new Message(got.getEnvelope(), got.getProps(), got.getBody());
    }

    /** The bodies that are in the queue now. */
    private static List<String> drain(Channel ch, String queue) throws IOException {
        List<String> bodies = new ArrayList<>();
        for (GetResponse got; (got = ch.basicGet(queue, true)) != null;) {
            bodies.add(new String(got.getBody(), StandardCharsets.UTF_8));
        }
        return bodies;
    }

    private static List<String> list(String... items) {
        return Arrays.asList(items);
    }

    /** Decoded values as plain Java ones: LongString and byte[] do not compare by content with String and byte[]. */
    private static Object plain(Object value) {
        if (value instanceof Map) {
            Map<Object, Object> result = new HashMap<>();
            ((Map<?, ?>) value).forEach((k, v) -> result.put(k, plain(v)));
            return result;
        }
        if (value instanceof List) {
            List<Object> result = new ArrayList<>();
            ((List<?>) value).forEach(v -> result.add(plain(v)));
            return result;
        }
        if (value instanceof byte[]) {
            return "bytes " + Arrays.toString((byte[]) value);
        }
        return value instanceof com.rabbitmq.client.LongString ? value.toString() : value;
    }

    private static void declarePublishConsume(Channel ch) throws Exception {
        Harness.expect(queue(ch, "").substring(0, 8), "amq.gen-", "server-named queue");
        String q = queue(ch, "basics");
        String x = exchange(ch, "basics", "direct");
        ch.queueBind(q, x, "key");
        send(ch, x, "key", "m1", "m2", "m3");
        Inbox inbox = new Inbox(ch, q, false);
        for (int i = 1; i <= 3; i++) {
            Message m = inbox.take();
            Harness.expect(list(m.envelope.getExchange(), m.envelope.getRoutingKey(), m.text()), list(x, "key", "m" + i), "delivery");
            Harness.expect(m.envelope.isRedeliver(), false, "redelivered");
            ch.basicAck(m.tag(), false);
        }
        ch.basicCancel(inbox.tag);
        AMQP.Queue.DeclareOk ok = ch.queueDeclarePassive(q);
        Harness.expect(Arrays.asList(ok.getMessageCount(), ok.getConsumerCount()), Arrays.asList(0, 0), "counts");
        Harness.expect(ch.basicGet(q, true), null, "get of an empty queue");
        send(ch, "", q, "g1", "g2");
        GetResponse got = ch.basicGet(q, true);
        Harness.expect(got.getBody(), bytes("g1"), "get");
        Harness.expect(got.getMessageCount(), 1, "get's count");
        Harness.expect(ch.queuePurge(q).getMessageCount(), 1, "purged");
        ch.queueUnbind(q, x, "key");
        send(ch, "", q, "left");
        Harness.expect(ch.queueDelete(q).getMessageCount(), 1, "deleted with");
    }

    private static void exchangeDirect(Channel ch) throws Exception {
        String x = exchange(ch, "direct", "direct");
        String a = queue(ch, "direct.a");
        String b = queue(ch, "direct.b");
        ch.queueBind(a, x, "a");
        ch.queueBind(a, x, "both");
        ch.queueBind(b, x, "b");
        ch.queueBind(b, x, "both");
        for (String key : list("a", "b", "both", "none")) {
            send(ch, x, key, key);
        }
        Harness.expect(drain(ch, a), list("a", "both"), "a");
        Harness.expect(drain(ch, b), list("b", "both"), "b");
    }

    private static void exchangeFanout(Channel ch) throws Exception {
        String x = exchange(ch, "fanout", "fanout");
        List<String> queues = list(queue(ch, "fanout.1"), queue(ch, "fanout.2"), queue(ch, "fanout.3"));
        for (String q : queues) {
            ch.queueBind(q, x, "");
        }
        send(ch, x, "whatever", "1", "2");
        for (String q : queues) {
            Harness.expect(drain(ch, q), list("1", "2"), q);
        }
    }

    private static void exchangeTopic(Channel ch) throws Exception {
        String x = exchange(ch, "topic", "topic");
        String a = queue(ch, "topic.a");
        String b = queue(ch, "topic.b");
        ch.queueBind(a, x, "*.orange.*");
        ch.queueBind(b, x, "*.*.rabbit");
        ch.queueBind(b, x, "lazy.#");
        for (String key : list("quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.brown.fox",
                "lazy.pink.rabbit", "quick.brown.fox", "orange", "quick.orange.male.rabbit", "lazy")) {
            send(ch, x, key, key);
        }
        Harness.expect(drain(ch, a), list("quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox"), "a");
        Harness.expect(drain(ch, b), list("quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox",
                "lazy.pink.rabbit", "lazy"), "b");
    }

    private static void exchangeHeaders(Channel ch) throws Exception {
        String x = exchange(ch, "headers", "headers");
        String all = queue(ch, "headers.all");
        String any = queue(ch, "headers.any");
        ch.queueBind(all, x, "", table("x-match", "all", "format", "pdf", "pages", 3));
        ch.queueBind(any, x, "", table("x-match", "any", "format", "pdf", "type", "log"));
        List<Map<String, Object>> headers = Arrays.asList(table("format", "pdf", "pages", 3), table("format", "pdf"),
                table("type", "log", "pages", 3), table("format", "zip"), table());
        for (int i = 0; i < headers.size(); i++) {
            ch.basicPublish(x, "", new BasicProperties.Builder().headers(headers.get(i)).build(), bytes("" + (i + 1)));
        }
        Harness.expect(drain(ch, all), list("1"), "all");
        Harness.expect(drain(ch, any), list("1", "2", "3"), "any");
    }

    private static void exchangeToExchange(Channel ch) throws Exception {
        String source = exchange(ch, "e2e.source", "fanout");
        String target = exchange(ch, "e2e.target", "topic");
        String q = queue(ch, "e2e");
        ch.queueBind(q, target, "a.#");
        ch.queueBind(queue(ch, "e2e.other"), source, ""); // keeps the auto-delete source alive
        ch.exchangeBind(target, source, "");
        send(ch, source, "a.b", "through");
        send(ch, source, "b.a", "not through");
        Harness.expect(drain(ch, q), list("through"), "bound");
        ch.exchangeUnbind(target, source, "");
        send(ch, source, "a.b", "unbound");
        Harness.expect(drain(ch, q), list(), "unbound");
        Harness.expect(drain(ch, PREFIX + "e2e.other"), list("through", "not through", "unbound"), "other");
    }

    private static void alternateExchange(Channel ch) throws Exception {
        String alternate = exchange(ch, "ae", "fanout");
        String x = exchange(ch, "ae.main", "direct", "alternate-exchange", alternate);
        String routed = queue(ch, "ae.routed");
        String rest = queue(ch, "ae.rest");
        ch.queueBind(routed, x, "known");
        ch.queueBind(rest, alternate, "");
        send(ch, x, "known", "a");
        send(ch, x, "unknown", "b");
        Harness.expect(drain(ch, routed), list("a"), "routed");
        Harness.expect(drain(ch, rest), list("b"), "rest");
    }

    private static void confirmsReturns(Channel ch) throws Exception {
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        ch.addReturnListener((code, text, x, key, properties, body) ->
                events.add(String.join(" ", "return", "" + code, text, x, key, new String(body, StandardCharsets.UTF_8))));
        ch.confirmSelect();
        String q = PREFIX + "confirms";
        ch.queueDeclare(q, true, false, false, null);
        BasicProperties persistent = new BasicProperties.Builder().deliveryMode(2).build();
        for (int i = 0; i < 100; i++) {
            ch.basicPublish("", q, true, persistent, bytes("" + i));
        }
        ch.waitForConfirmsOrDie(Harness.DEADLINE_MS);
        Harness.expect(ch.messageCount(q), 100L, "messages");
        ch.queueDelete(q);

        ch.addConfirmListener(new com.rabbitmq.client.ConfirmListener() {
            @Override
            public void handleAck(long tag, boolean multiple) {
                events.add("ack " + tag);
            }

            @Override
            public void handleNack(long tag, boolean multiple) {
                events.add("nack " + tag);
            }
        });
        String full = queue(ch, "confirms.full", "x-max-length", 1, "x-overflow", "reject-publish");
        ch.basicPublish("amq.direct", PREFIX + "nowhere", true, null, bytes("back"));
        Harness.expect(events.poll(10, TimeUnit.SECONDS), "return 312 NO_ROUTE amq.direct " + PREFIX + "nowhere back", "return");
        Harness.expect(events.poll(10, TimeUnit.SECONDS), "ack 101", "confirm of the returned");
        send(ch, "", full, "fits");
        Harness.expect(events.poll(10, TimeUnit.SECONDS), "ack 102", "confirm");
        send(ch, "", full, "does not");
        Harness.expect(events.poll(10, TimeUnit.SECONDS), "nack 103", "refusal");
    }

    private static void nackRequeue(Channel ch) throws Exception {
        String q = queue(ch, "nack");
        send(ch, "", q, "a", "b", "c");
        Message first = get(ch, q);
        Harness.expect(first.envelope.isRedeliver(), false, "redelivered");
        ch.basicNack(first.tag(), false, true);
        Message again = get(ch, q);
        Harness.expect(again.text() + again.envelope.isRedeliver(), "atrue", "requeued");
        ch.basicAck(again.tag(), false);
        Message second = get(ch, q);
        Harness.expect(second.text(), "b", "second");
        ch.basicReject(second.tag(), false);
        send(ch, "", q, "d", "e");
        get(ch, q);
        get(ch, q);
        ch.basicNack(get(ch, q).tag(), true, true);
        for (String body : list("c", "d", "e")) {
            Message m = get(ch, q);
            Harness.expect(m.text() + m.envelope.isRedeliver(), body + "true", "requeued together");
        }
    }

    private static void died(Channel ch, String dead, String q, String reason) throws Exception {
        Message m = get(ch, dead);
        Harness.expect(list(m.envelope.getRoutingKey(), m.text()), list("died", "m"), reason);
        Map<String, Object> headers = m.properties.getHeaders();
        List<?> deaths = (List<?>) headers.get("x-death");
        Harness.expect(deaths.size(), 1, "deaths");
        Map<?, ?> death = (Map<?, ?>) plain(deaths.get(0));
        Harness.expect(death.remove("time").getClass(), Date.class, "time");
        Harness.expect(death, table("queue", q, "reason", reason, "count", 1L, "exchange", "", "routing-keys", list(q)), "x-death");
        for (String[] pair : new String[][] {{"queue", q}, {"reason", reason}, {"exchange", ""}}) {
            Harness.expect(headers.get("x-first-death-" + pair[0]).toString(), pair[1], pair[0]);
        }
    }

    private static void deadLetter(Channel ch) throws Exception {
        String x = exchange(ch, "dlx", "topic");
        String dead = queue(ch, "dlx.dead");
        ch.queueBind(dead, x, "#");
        String rejecting = queue(ch, "dlx.rejected", "x-dead-letter-exchange", x, "x-dead-letter-routing-key", "died");
        send(ch, "", rejecting, "m");
        ch.basicReject(get(ch, rejecting).tag(), false);
        died(ch, dead, rejecting, "rejected");
        String expiring = queue(ch, "dlx.expired", "x-dead-letter-exchange", x, "x-dead-letter-routing-key", "died",
                "x-message-ttl", 50);
        send(ch, "", expiring, "m");
        died(ch, dead, expiring, "expired");
        String full = queue(ch, "dlx.maxlen", "x-dead-letter-exchange", x, "x-dead-letter-routing-key", "died",
                "x-max-length", 1);
        send(ch, "", full, "m", "n");
        died(ch, dead, full, "maxlen");
        Harness.expect(drain(ch, full), list("n"), "what stays");
    }

    private static void prefetch(Channel ch) throws Exception {
        String q = queue(ch, "prefetch");
        send(ch, "", q, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9");
        ch.basicQos(3);
        Inbox inbox = new Inbox(ch, q, false);
        Message first = inbox.take();
        inbox.take();
        inbox.take();
        Harness.expect(ch.messageCount(q) + " " + inbox.messages.size(), "7 0", "waiting");
        ch.basicAck(first.tag(), false);
        Message fourth = inbox.take();
        Harness.expect(ch.messageCount(q) + " " + inbox.messages.size(), "6 0", "waiting");
        ch.basicAck(fourth.tag(), true);
        inbox.take();
        inbox.take();
        ch.basicAck(inbox.take().tag(), true);
        Harness.expect(inbox.bodies(3), list("7", "8", "9"), "rest");
    }

    private static void ttlMessage(Channel ch) throws Exception {
        String dead = queue(ch, "ttl.dead");
        String q = queue(ch, "ttl", "x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead);
        long started = System.currentTimeMillis();
        ch.basicPublish("", q, new BasicProperties.Builder().expiration("200").build(), bytes("short"));
        ch.basicPublish("", q, new BasicProperties.Builder().expiration("600000").build(), bytes("long"));
        Message m = new Inbox(ch, dead, true).take();
        Harness.expect(m.text(), "short", "expired");
        Harness.expect(System.currentTimeMillis() - started >= 200, true, "not before its time");
        Harness.expect(m.properties.getExpiration(), null, "expiration of the dead");
        Map<?, ?> death = (Map<?, ?>) ((List<?>) m.properties.getHeaders().get("x-death")).get(0);
        Harness.expect(death.get("original-expiration").toString(), "200", "original-expiration");
        Harness.expect(drain(ch, q), list("long"), "what stays");
    }

    private static void ttlQueue(Channel ch) throws Exception {
        String dead = queue(ch, "qttl.dead");
        String q = queue(ch, "qttl", "x-message-ttl", 100, "x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead);
        send(ch, "", q, "a", "b");
        Harness.expect(new Inbox(ch, dead, true).bodies(2), list("a", "b"), "expired");
        Harness.expect(ch.messageCount(q), 0L, "left");
        String fleeting = queue(ch, "qttl.expires", "x-expires", 100);
        Thread.sleep(1000);
        try {
            ch.queueDeclarePassive(fleeting);
            throw new AssertionError("the unused queue did not expire");
        } catch (IOException refused) {
            Harness.expect(closeOf(refused).getReplyCode(), 404, "reply code");
        }
    }

    private static void priorities(Channel ch) throws Exception {
        String q = queue(ch, "priorities", "x-max-priority", 10);
        for (Integer priority : new Integer[] {1, 5, 3, null, 9, 5}) {
            ch.basicPublish("", q, new BasicProperties.Builder().priority(priority).build(), bytes("" + priority));
        }
        Harness.expect(drain(ch, q), list("9", "5", "5", "3", "1", "null"), "order");
    }

    private static void tx(Channel ch) throws Exception {
        Channel other = ch.getConnection().createChannel();
        String q = queue(ch, "tx");
        ch.txSelect();
        send(ch, "", q, "a", "b");
        Harness.expect(other.messageCount(q), 0L, "before commit");
        ch.txCommit();
        Harness.expect(other.messageCount(q), 2L, "after commit");
        send(ch, "", q, "c");
        ch.txRollback();
        ch.txCommit();
        Harness.expect(other.messageCount(q), 2L, "after rollback");
        ch.basicAck(get(ch, q).tag(), false);
        ch.txRollback();
        ch.close();
        Harness.expect(other.messageCount(q), 2L, "after the ack was rolled back");
    }

    private static void rpc(Channel client, String replyTo) throws Exception {
        Channel server = client.getConnection().createChannel();
        String q = queue(server, "rpc");
        Inbox replies = new Inbox(client, replyTo, true);
        Inbox requests = new Inbox(server, q, true);
        for (int i = 0; i < 5; i++) {
            client.basicPublish("", q, new BasicProperties.Builder().replyTo(replyTo).correlationId("id" + i).build(), bytes("" + i));
            Message request = requests.take();
            String address = request.properties.getReplyTo();
            if (replyTo.equals("amq.rabbitmq.reply-to")) {
                Harness.expect(address.startsWith("amq.rabbitmq.reply-to."), true, address);
            }
            BasicProperties properties = new BasicProperties.Builder().correlationId(request.properties.getCorrelationId()).build();
            server.basicPublish("", address, properties, bytes(request.text() + "!"));
            Message reply = replies.take();
            Harness.expect(list(reply.properties.getCorrelationId(), reply.text()), list("id" + i, i + "!"), "reply");
        }
    }

    private static void consumerCancel(Channel ch) throws Exception {
        String q = queue(ch, "cancel");
        ch.basicQos(1);
        Inbox inbox = new Inbox(ch, q, false);
        send(ch, "", q, "a", "b", "c");
        Message held = inbox.take();
        ch.basicCancel(inbox.tag);
        ch.basicAck(held.tag(), false);
        AMQP.Queue.DeclareOk ok = ch.queueDeclarePassive(q);
        Harness.expect(ok.getMessageCount() + " " + ok.getConsumerCount() + " " + inbox.messages.size(), "2 0 0", "after cancel");
    }

    private static void cancelByServer(Channel ch) throws Exception {
        String q = queue(ch, "cancelled");
        Inbox inbox = new Inbox(ch, q, true);
        ch.getConnection().createChannel().queueDelete(q);
        Harness.eventually("basic.cancel", () -> inbox.cancelled);
    }

    private static void properties(Channel ch) throws Exception {
        String q = queue(ch, "properties");
        Date moment = new Date(1709210096000L);
        Map<String, Object> headers = table("bool", true, "false", false, "byte", (byte) -7, "short", (short) -700,
                "int", -70000, "long", 1L << 60, "float", 0.5f, "double", 2.5, "decimal", new BigDecimal("3.14"),
                "string", "häder", "bytes", new byte[] {0, -1}, "time", moment, "null", null,
                "table", table("nested", table("deep", Arrays.asList(1, "two", table("three", 3)))),
                "array", Arrays.asList(1, -2L, "x", false, null), "empty", table(), "", "no name");
        BasicProperties sent = new BasicProperties.Builder().contentType("text/plain").contentEncoding("gzip")
                .headers(headers).deliveryMode(2).priority(7).correlationId("correlation").replyTo("reply")
                .expiration("600000").messageId("message").timestamp(moment).type("type").userId("guest")
                .appId("application").clusterId("cluster").build();
        ch.basicPublish("", q, sent, bytes("all"));
        ch.basicPublish("", q, null, bytes("none"));
        BasicProperties received = get(ch, q).properties;
        Harness.expect(plain(received.getHeaders()), plain(headers), "headers");
        BasicProperties bare = received.builder().headers(null).build();
        Harness.expect(bare.toString(), sent.builder().headers(null).build().toString(), "properties");
        Harness.expect(get(ch, q).properties.getHeaders(), null, "headers of a message without");
    }

    private static void body10mb(Channel ch) throws Exception {
        String q = queue(ch, "body");
        Inbox inbox = new Inbox(ch, q, true);
        byte[] body = new byte[10_000_000];
        for (int i = 0; i < body.length; i++) {
            body[i] = (byte) (i % 251 * 31);
        }
        ch.basicPublish("", q, null, body);
        ch.basicPublish("", q, null, new byte[0]);
        Harness.expect(Arrays.equals(inbox.take().body, body), true, "10 MB");
        Harness.expect(inbox.take().body.length, 0, "empty");
    }

    private static AMQP.Channel.Close closeOf(Throwable error) {
        while (!(error instanceof ShutdownSignalException)) {
            error = error.getCause();
        }
        return (AMQP.Channel.Close) ((ShutdownSignalException) error).getReason();
    }

    private static void refused(Connection connection, int code, String text, Work action) throws Exception {
        Channel ch = connection.createChannel();
        AMQP.Channel.Close close;
        try {
            action.with(ch);
            Harness.eventually("channel.close", () -> !ch.isOpen());
            close = (AMQP.Channel.Close) ch.getCloseReason().getReason();
        } catch (IOException | AlreadyClosedException error) {
            close = closeOf(error);
        }
        Harness.expect(close.getReplyCode() + " " + close.getReplyText(), code + " " + text, "refusal");
        Harness.expect(connection.isOpen(), true, "connection is open");
    }

    private static void channelErrors(Channel first) throws Exception {
        Connection connection = first.getConnection();
        String q = PREFIX + "errors";
        String absent = PREFIX + "absent";
        first.queueDeclare(q, false, false, false, null);
        refused(connection, 404, "NOT_FOUND - no queue '" + absent + "' in vhost '/'", ch -> ch.queueDeclarePassive(absent));
        refused(connection, 406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '" + q
                + "' in vhost '/': received 'true' but current is 'false'", ch -> ch.queueDeclare(q, true, false, false, null));
        refused(connection, 406, "PRECONDITION_FAILED - unknown delivery tag 99", ch -> ch.basicAck(99, false));
        refused(connection, 404, "NOT_FOUND - no exchange '" + absent + "' in vhost '/'", ch -> send(ch, absent, "", "x"));
        Channel ch = connection.createChannel();
        send(ch, "", q, "still works");
        Harness.expect(drain(ch, q), list("still works"), "new channel");
        ch.queueDelete(q);
    }

    private static void channels200(Channel first) throws Exception {
        List<Channel> channels = new ArrayList<>();
        List<Inbox> inboxes = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            Channel ch = first.getConnection().createChannel();
            channels.add(ch);
            inboxes.add(new Inbox(ch, queue(ch, "channel." + i), true));
        }
        for (int i = 0; i < 200; i++) {
            send(channels.get(i), "", PREFIX + "channel." + (i + 1) % 200, "" + i);
        }
        for (int i = 0; i < 200; i++) {
            Harness.expect(inboxes.get(i).bodies(1), list("" + (i + 199) % 200), "channel " + i);
        }
        for (int i = 0; i < 200; i += 2) {
            channels.get(i).close();
        }
        queue(first.getConnection().createChannel(), "channel.again");
    }

    /** The client recovers by itself: connection, channel, queue, consumer. */
    private static void reconnect(Channel admin) throws Exception {
        ConnectionFactory factory = factory();
        factory.setPort(Harness.PROXY_PORT);
        factory.setNetworkRecoveryInterval(100);
        String q = PREFIX + "reconnect";
        admin.queueDeclare(q, true, false, false, null);
        try (Connection connection = factory.newConnection()) {
            Channel ch = connection.createChannel();
            ch.basicQos(1);
            Inbox inbox = new Inbox(ch, q, false);
            send(admin, "", q, "first");
            Harness.expect(inbox.take().envelope.isRedeliver(), false, "redelivered");
            Harness.cutConnections();
            Message again = inbox.take();
            Harness.expect(again.text() + again.envelope.isRedeliver(), "firsttrue", "redelivery");
            ch.basicAck(again.tag(), false);
            send(admin, "", q, "second");
            Message second = inbox.take();
            Harness.expect(second.text() + second.envelope.isRedeliver(), "secondfalse", "after recovery");
            ch.basicAck(second.tag(), false);
        }
        admin.queueDelete(q);
    }

    private static void idleMinute() throws Exception {
        ConnectionFactory factory = factory();
        factory.setRequestedHeartbeat(10);
        factory.setAutomaticRecoveryEnabled(false);
        try (Connection connection = factory.newConnection()) {
            Harness.expect(connection.getHeartbeat(), 10, "heartbeat");
            Channel ch = connection.createChannel();
            String q = queue(ch, "idle");
            Inbox inbox = new Inbox(ch, q, true);
            Thread.sleep(65_000);
            Harness.expect(connection.isOpen(), true, "open after a minute");
            send(ch, "", q, "awake");
            Harness.expect(inbox.bodies(1), list("awake"), "after a minute");
        }
    }

    public static void main(String[] names) {
        scenario("declare-publish-consume", Interop::declarePublishConsume);
        scenario("exchange-direct", Interop::exchangeDirect);
        scenario("exchange-fanout", Interop::exchangeFanout);
        scenario("exchange-topic", Interop::exchangeTopic);
        scenario("exchange-headers", Interop::exchangeHeaders);
        scenario("exchange-to-exchange", Interop::exchangeToExchange);
        scenario("alternate-exchange", Interop::alternateExchange);
        scenario("confirms-returns", Interop::confirmsReturns);
        scenario("nack-requeue", Interop::nackRequeue);
        scenario("dead-letter", Interop::deadLetter);
        scenario("prefetch", Interop::prefetch);
        scenario("ttl-message", Interop::ttlMessage);
        scenario("ttl-queue", Interop::ttlQueue);
        scenario("priorities", Interop::priorities);
        scenario("tx", Interop::tx);
        scenario("rpc-direct-reply", ch -> rpc(ch, "amq.rabbitmq.reply-to"));
        scenario("rpc-reply-queue", ch -> rpc(ch, queue(ch, "")));
        scenario("consumer-cancel", Interop::consumerCancel);
        scenario("cancel-by-server", Interop::cancelByServer);
        scenario("properties", Interop::properties);
        scenario("body-10mb", Interop::body10mb);
        scenario("channel-errors", Interop::channelErrors);
        scenario("channels-200", Interop::channels200);
        scenario("reconnect", Interop::reconnect);
        Harness.scenario("idle-minute", Interop::idleMinute);
        Harness.main(names);
    }
}
