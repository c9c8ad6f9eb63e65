// SPDX-License-Identifier: Apache-2.0
// The scenarios of ../scenarios.txt with the RabbitMQ.Client of Mono. It knows no more than AMQP 0-9: no confirms,
// basic.nack, exchange-to-exchange bindings or cancel notifications, and its declare does not tell the counts.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using RabbitMQ.Client.Exceptions;

static class Interop
{
    static IConnection Connect(int port, ushort heartbeat)
    {
        // Without the protocol it speaks 0-8.
        var factory = new ConnectionFactory { HostName = Harness.Host, Port = port, RequestedHeartbeat = heartbeat, Protocol = Protocols.AMQP_0_9 };
        return factory.CreateConnection();
    }

    static void Scenario(string name, Action<IModel, IConnection> work)
    {
        Harness.Scenarios[name] = () =>
        {
            using (IConnection connection = Connect(Harness.Port, 60))
                work(connection.CreateModel(), connection);
        };
    }

    static byte[] Bytes(string text)
    {
        return Encoding.UTF8.GetBytes(text);
    }

    static string Text(object bytes)
    {
        return Encoding.UTF8.GetString((byte[])bytes);
    }

    static Hashtable Table(params object[] keysAndValues)
    {
        var table = new Hashtable();
        for (int i = 0; i < keysAndValues.Length; i += 2)
            table[keysAndValues[i]] = keysAndValues[i + 1];
        return table;
    }

    /// An exclusive queue that goes with the connection.
    static string Queue(IModel ch, string name, params object[] arguments)
    {
        return ch.QueueDeclare(name == "" ? "" : Harness.Named(name), false, false, true, false, false, Table(arguments));
    }

    /// A passive declare.
    static string Look(IModel ch, string queue)
    {
        return ch.QueueDeclare(queue, true, false, false, false, false, null);
    }

    static string Exchange(IModel ch, string name, string type, params object[] arguments)
    {
        ch.ExchangeDeclare(Harness.Named(name), type, false, false, true, false, false, Table(arguments));
        return Harness.Named(name);
    }

    static void Bind(IModel ch, string queue, string exchange, string key, params object[] arguments)
    {
        ch.QueueBind(queue, exchange, key, false, Table(arguments));
    }

    static void Send(IModel ch, string exchange, string key, params string[] bodies)
    {
        foreach (string body in bodies)
            ch.BasicPublish(exchange, key, null, Bytes(body));
    }

    static BasicGetResult Get(IModel ch, string queue)
    {
        BasicGetResult got = null;
        Harness.Eventually("a message in " + queue, () => (got = ch.BasicGet(queue, false)) != null);
        return got;
    }

    static string Drain(IModel ch, string queue)
    {
        var bodies = new List<string>();
        for (BasicGetResult got; (got = ch.BasicGet(queue, true)) != null;)
            bodies.Add(Text(got.Body));
        return string.Join(" ", bodies);
    }

    static QueueingBasicConsumer Consume(IModel ch, string queue, bool noAck)
    {
        var consumer = new QueueingBasicConsumer(ch);
        ch.BasicConsume(queue, noAck, null, consumer);
        return consumer;
    }

    static BasicDeliverEventArgs Take(QueueingBasicConsumer consumer)
    {
        object delivery;
        if (!consumer.Queue.Dequeue(Harness.DeadlineMs, out delivery))
            throw new Exception("no delivery");
        return (BasicDeliverEventArgs)delivery;
    }

    static string Bodies(QueueingBasicConsumer consumer, int n)
    {
        return string.Join(" ", Enumerable.Range(0, n).Select(i => Text(Take(consumer).Body)));
    }

    static bool IsEmpty(QueueingBasicConsumer consumer)
    {
        object delivery;
        return !consumer.Queue.Dequeue(0, out delivery);
    }

    static void DeclarePublishConsume(IModel ch, IConnection connection)
    {
        Harness.Expect(Queue(ch, "").Substring(0, 8), "amq.gen-", "server-named queue");
        string q = Queue(ch, "basics"), x = Exchange(ch, "basics", "direct");
        Bind(ch, q, x, "key");
        Send(ch, x, "key", "m1", "m2", "m3");
        QueueingBasicConsumer consumer = Consume(ch, q, false);
        for (int i = 1; i <= 3; i++)
        {
            BasicDeliverEventArgs d = Take(consumer);
            Harness.Expect(d.Exchange + " " + d.RoutingKey + " " + Text(d.Body) + d.Redelivered, x + " key m" + i + "False", "delivery");
            ch.BasicAck(d.DeliveryTag, false);
        }
        ch.BasicCancel(consumer.ConsumerTag);
        Harness.Expect(Look(ch, q), q, "passive declare");
        Harness.Expect(ch.BasicGet(q, true), null, "get of an empty queue");
        Send(ch, "", q, "g1", "g2");
        BasicGetResult got = ch.BasicGet(q, true);
        Harness.Expect(Text(got.Body) + got.MessageCount, "g11", "get");
        Harness.Expect(ch.QueuePurge(q, false), 1u, "purged");
        ch.QueueUnbind(q, x, "key", null);
        Send(ch, "", q, "left");
        Harness.Expect(ch.QueueDelete(q, false, false, false), 1u, "deleted with");
    }

    static void ExchangeDirect(IModel ch, IConnection connection)
    {
        string x = Exchange(ch, "direct", "direct"), a = Queue(ch, "direct.a"), b = Queue(ch, "direct.b");
        Bind(ch, a, x, "a");
        Bind(ch, a, x, "both");
        Bind(ch, b, x, "b");
        Bind(ch, b, x, "both");
        foreach (string key in new[] { "a", "b", "both", "none" })
            Send(ch, x, key, key);
        Harness.Expect(Drain(ch, a), "a both", "a");
        Harness.Expect(Drain(ch, b), "b both", "b");
    }

    static void ExchangeFanout(IModel ch, IConnection connection)
    {
        string x = Exchange(ch, "fanout", "fanout");
        string[] queues = { Queue(ch, "fanout.1"), Queue(ch, "fanout.2"), Queue(ch, "fanout.3") };
        foreach (string q in queues)
            Bind(ch, q, x, "");
        Send(ch, x, "whatever", "1", "2");
        foreach (string q in queues)
            Harness.Expect(Drain(ch, q), "1 2", q);
    }

    static void ExchangeTopic(IModel ch, IConnection connection)
    {
        string x = Exchange(ch, "topic", "topic"), a = Queue(ch, "topic.a"), b = Queue(ch, "topic.b");
        Bind(ch, a, x, "*.orange.*");
        Bind(ch, b, x, "*.*.rabbit");
        Bind(ch, b, x, "lazy.#");
        foreach (string key in new[] { "quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.brown.fox",
                 "lazy.pink.rabbit", "quick.brown.fox", "orange", "quick.orange.male.rabbit", "lazy" })
            Send(ch, x, key, key);
        Harness.Expect(Drain(ch, a), "quick.orange.rabbit lazy.orange.elephant quick.orange.fox", "a");
        Harness.Expect(Drain(ch, b), "quick.orange.rabbit lazy.orange.elephant lazy.brown.fox lazy.pink.rabbit lazy", "b");
    }

    static void ExchangeHeaders(IModel ch, IConnection connection)
    {
        string x = Exchange(ch, "headers", "headers"), all = Queue(ch, "headers.all"), any = Queue(ch, "headers.any");
        Bind(ch, all, x, "", "x-match", "all", "format", "pdf", "pages", 3);
        Bind(ch, any, x, "", "x-match", "any", "format", "pdf", "type", "log");
        Hashtable[] headers = { Table("format", "pdf", "pages", 3), Table("format", "pdf"), Table("type", "log", "pages", 3),
            Table("format", "zip"), Table() };
        for (int i = 0; i < headers.Length; i++)
        {
            IBasicProperties properties = ch.CreateBasicProperties();
            properties.Headers = headers[i];
            ch.BasicPublish(x, "", properties, Bytes((i + 1).ToString()));
        }
        Harness.Expect(Drain(ch, all), "1", "all");
        Harness.Expect(Drain(ch, any), "1 2 3", "any");
    }

    static void AlternateExchange(IModel ch, IConnection connection)
    {
        string alternate = Exchange(ch, "ae", "fanout");
        string x = Exchange(ch, "ae.main", "direct", "alternate-exchange", alternate);
        string routed = Queue(ch, "ae.routed"), rest = Queue(ch, "ae.rest");
        Bind(ch, routed, x, "known");
        Bind(ch, rest, alternate, "");
        Send(ch, x, "known", "a");
        Send(ch, x, "unknown", "b");
        Harness.Expect(Drain(ch, routed) + " " + Drain(ch, rest), "a b", "routed and rest");
    }

    static void NackRequeue(IModel ch, IConnection connection)
    {
        string q = Queue(ch, "nack");
        Send(ch, "", q, "a", "b", "c");
        BasicGetResult got = Get(ch, q);
        Harness.Expect(got.Redelivered, false, "redelivered");
        ch.BasicReject(got.DeliveryTag, true);
        got = Get(ch, q);
        Harness.Expect(Text(got.Body) + got.Redelivered, "aTrue", "requeued");
        ch.BasicAck(got.DeliveryTag, false);
        got = Get(ch, q);
        Harness.Expect(Text(got.Body), "b", "second");
        ch.BasicReject(got.DeliveryTag, false);
        Send(ch, "", q, "d", "e");
        for (int i = 0; i < 3; i++)
            Get(ch, q);
        ch.BasicRecover(true); // there is no basic.nack; this returns all three
        foreach (string body in new[] { "c", "d", "e" })
        {
            got = Get(ch, q);
            Harness.Expect(Text(got.Body) + got.Redelivered, body + "True", "requeued together");
        }
    }

    static void Died(IModel ch, string dead, string queue, string reason)
    {
        BasicGetResult got = Get(ch, dead);
        Harness.Expect(got.RoutingKey + " " + Text(got.Body), "died m", reason);
        IDictionary headers = got.BasicProperties.Headers;
        var deaths = (IList)headers["x-death"];
        Harness.Expect(deaths.Count, 1, "deaths");
        var death = (IDictionary)deaths[0];
        Harness.Expect(string.Join(" ", Text(death["queue"]), Text(death["reason"]), Text(death["exchange"]), death["count"],
            Text(((IList)death["routing-keys"])[0]), death["time"].GetType().Name), queue + " " + reason + "  1 " + queue + " AmqpTimestamp", "x-death");
        Harness.Expect(string.Join(" ", new[] { "queue", "reason", "exchange" }.Select(k => Text(headers["x-first-death-" + k]))),
            queue + " " + reason + " ", "x-first-death");
    }

    static void DeadLetter(IModel ch, IConnection connection)
    {
        string x = Exchange(ch, "dlx", "topic"), dead = Queue(ch, "dlx.dead");
        Bind(ch, dead, x, "#");
        string q = Queue(ch, "dlx.rejected", "x-dead-letter-exchange", x, "x-dead-letter-routing-key", "died");
        Send(ch, "", q, "m");
        ch.BasicReject(Get(ch, q).DeliveryTag, false);
        Died(ch, dead, q, "rejected");
        q = Queue(ch, "dlx.expired", "x-dead-letter-exchange", x, "x-dead-letter-routing-key", "died", "x-message-ttl", 50);
        Send(ch, "", q, "m");
        Died(ch, dead, q, "expired");
        q = Queue(ch, "dlx.maxlen", "x-dead-letter-exchange", x, "x-dead-letter-routing-key", "died", "x-max-length", 1);
        Send(ch, "", q, "m", "n");
        Died(ch, dead, q, "maxlen");
        Harness.Expect(Drain(ch, q), "n", "what stays");
    }

    static void Prefetch(IModel ch, IConnection connection)
    {
        string q = Queue(ch, "prefetch");
        Send(ch, "", q, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9");
        ch.BasicQos(0, 3, false);
        QueueingBasicConsumer consumer = Consume(ch, q, false);
        ulong first = Take(consumer).DeliveryTag;
        Take(consumer);
        Take(consumer);
        Look(ch, q); // its answer comes after what has been delivered
        Harness.Expect(IsEmpty(consumer), true, "nothing beyond the prefetch");
        ch.BasicAck(first, false);
        ulong fourth = Take(consumer).DeliveryTag;
        Look(ch, q);
        Harness.Expect(IsEmpty(consumer), true, "nothing beyond the prefetch");
        ch.BasicAck(fourth, true);
        Take(consumer);
        Take(consumer);
        ch.BasicAck(Take(consumer).DeliveryTag, true);
        Harness.Expect(Bodies(consumer, 3), "7 8 9", "rest");
    }

    static void TtlMessage(IModel ch, IConnection connection)
    {
        string dead = Queue(ch, "ttl.dead");
        string q = Queue(ch, "ttl", "x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead);
        IBasicProperties properties = ch.CreateBasicProperties();
        DateTime started = DateTime.Now;
        properties.Expiration = "200";
        ch.BasicPublish("", q, properties, Bytes("short"));
        properties.Expiration = "600000";
        ch.BasicPublish("", q, properties, Bytes("long"));
        BasicDeliverEventArgs d = Take(Consume(ch, dead, true));
        Harness.Expect(Text(d.Body), "short", "expired");
        Harness.Expect((DateTime.Now - started).TotalMilliseconds >= 200, true, "not before its time");
        Harness.Expect(d.BasicProperties.IsExpirationPresent(), false, "expiration of the dead");
        var death = (IDictionary)((IList)d.BasicProperties.Headers["x-death"])[0];
        Harness.Expect(Text(death["original-expiration"]), "200", "original-expiration");
        Harness.Expect(Drain(ch, q), "long", "what stays");
    }

    static void TtlQueue(IModel ch, IConnection connection)
    {
        string dead = Queue(ch, "qttl.dead");
        string q = Queue(ch, "qttl", "x-message-ttl", 100, "x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead);
        Send(ch, "", q, "a", "b");
        Harness.Expect(Bodies(Consume(ch, dead, true), 2), "a b", "expired");
        Harness.Expect(Drain(ch, q), "", "left");
        string fleeting = Queue(ch, "qttl.expires", "x-expires", 100);
        Thread.Sleep(1000);
        Refused(connection, 404, "NOT_FOUND - no queue '" + fleeting + "' in vhost '/'", c => Look(c, fleeting));
    }

    static void Priorities(IModel ch, IConnection connection)
    {
        string q = Queue(ch, "priorities", "x-max-priority", 10);
        IBasicProperties properties = ch.CreateBasicProperties();
        foreach (byte priority in new byte[] { 1, 5, 3, 9, 5 })
        {
            properties.Priority = priority;
            ch.BasicPublish("", q, properties, Bytes(priority.ToString()));
        }
        Send(ch, "", q, "none");
        Harness.Expect(Drain(ch, q), "9 5 5 3 1 none", "order");
    }

    static void Tx(IModel ch, IConnection connection)
    {
        IModel other = connection.CreateModel();
        string q = Queue(ch, "tx");
        ch.TxSelect();
        Send(ch, "", q, "a");
        Harness.Expect(other.BasicGet(q, false), null, "before commit");
        ch.TxCommit();
        Harness.Expect(Text(Get(other, q).Body), "a", "after commit");
        other.BasicRecover(true);
        Send(ch, "", q, "c");
        ch.TxRollback();
        ch.TxCommit();
        BasicGetResult got = Get(ch, q);
        Harness.Expect(Text(got.Body) + got.MessageCount, "a0", "after rollback");
        ch.BasicAck(got.DeliveryTag, false);
        ch.TxRollback();
        ch.Close();
        Harness.Expect(Text(Get(other, q).Body), "a", "after the ack was rolled back");
    }

    static void Rpc(IModel client, IModel server, string replyTo)
    {
        string q = Queue(server, "rpc");
        QueueingBasicConsumer replies = Consume(client, replyTo, true), requests = Consume(server, q, true);
        for (int i = 0; i < 5; i++)
        {
            IBasicProperties properties = client.CreateBasicProperties();
            properties.ReplyTo = replyTo;
            properties.CorrelationId = "id" + i;
            client.BasicPublish("", q, properties, Bytes(i.ToString()));
            BasicDeliverEventArgs request = Take(requests);
            Harness.Expect(request.BasicProperties.ReplyTo.StartsWith(replyTo), true, request.BasicProperties.ReplyTo);
            properties = server.CreateBasicProperties();
            properties.CorrelationId = request.BasicProperties.CorrelationId;
            server.BasicPublish("", request.BasicProperties.ReplyTo, properties, Bytes(Text(request.Body) + "!"));
            BasicDeliverEventArgs reply = Take(replies);
            Harness.Expect(reply.BasicProperties.CorrelationId + Text(reply.Body), "id" + i + i + "!", "reply");
        }
    }

    static void ConsumerCancel(IModel ch, IConnection connection)
    {
        string q = Queue(ch, "cancel");
        ch.BasicQos(0, 1, false);
        QueueingBasicConsumer consumer = Consume(ch, q, false);
        Send(ch, "", q, "a", "b", "c");
        BasicDeliverEventArgs held = Take(consumer);
        ch.BasicCancel(consumer.ConsumerTag);
        ch.BasicAck(held.DeliveryTag, false);
        Harness.Expect(Drain(ch, q), "b c", "what stays");
    }

    static void CheckHeaders(IDictionary headers, AmqpTimestamp moment)
    {
        Harness.Expect(Text(headers["string"]), "häder", "string");
        Harness.Expect(headers["int"], -70000, "int");
        Harness.Expect(headers["decimal"], 3.14m, "decimal");
        Harness.Expect(((AmqpTimestamp)headers["time"]).UnixTime, moment.UnixTime, "time");
        Harness.Expect(((IDictionary)((IDictionary)headers["table"])["nested"])["deep"], 1, "table");
        Harness.Expect(((IDictionary)headers["empty"]).Count, 0, "empty");
        Harness.Expect(headers.Count, 6, "headers");
    }

    static void Properties(IModel ch, IConnection connection)
    {
        string q = Queue(ch, "properties");
        var moment = new AmqpTimestamp(1709210096);
        IBasicProperties sent = ch.CreateBasicProperties();
        sent.ContentType = "text/plain";
        sent.ContentEncoding = "gzip";
        sent.Headers = Table("string", "häder", "int", -70000, "decimal", 3.14m, "time", moment,
            "table", Table("nested", Table("deep", 1)), "empty", Table());
        sent.DeliveryMode = 2;
        sent.Priority = 7;
        sent.CorrelationId = "correlation";
        sent.ReplyTo = "reply";
        sent.Expiration = "600000";
        sent.MessageId = "message";
        sent.Timestamp = moment;
        sent.Type = "type";
        sent.UserId = "guest";
        sent.AppId = "application";
        sent.ClusterId = "cluster";
        ch.BasicPublish("", q, sent, Bytes("all"));
        IBasicProperties p = Get(ch, q).BasicProperties;
        Harness.Expect(string.Join(" ", p.ContentType, p.ContentEncoding, p.DeliveryMode, p.Priority, p.CorrelationId, p.ReplyTo,
            p.Expiration, p.MessageId, p.Timestamp.UnixTime, p.Type, p.UserId, p.AppId, p.ClusterId),
            "text/plain gzip 2 7 correlation reply 600000 message 1709210096 type guest application cluster", "properties");
        CheckHeaders(p.Headers, moment);
    }

    static void Body10mb(IModel ch, IConnection connection)
    {
        string q = Queue(ch, "body");
        QueueingBasicConsumer consumer = Consume(ch, q, true);
        byte[] body = Enumerable.Range(0, 10000000).Select(i => (byte)(i % 251 * 31)).ToArray();
        ch.BasicPublish("", q, null, body);
        ch.BasicPublish("", q, null, new byte[0]);
        Harness.Expect(Take(consumer).Body.SequenceEqual(body), true, "10 MB");
        Harness.Expect(Take(consumer).Body.Length, 0, "empty body");
    }

    static void Refused(IConnection connection, int code, string text, Action<IModel> action)
    {
        IModel ch = connection.CreateModel();
        try
        {
            action(ch);
        }
        catch (OperationInterruptedException)
        {
            // the reason is the channel's too, and for all methods alike
        }
        Harness.Eventually("channel.close", () => !ch.IsOpen);
        Harness.Expect(ch.CloseReason.ReplyCode + " " + ch.CloseReason.ReplyText, code + " " + text, "refusal");
        Harness.Expect(connection.IsOpen, true, "connection open");
    }

    static void ChannelErrors(IModel first, IConnection connection)
    {
        string q = Harness.Named("errors"), absent = Harness.Named("absent");
        first.QueueDeclare(q, false, false, false, false, false, null);
        Refused(connection, 404, "NOT_FOUND - no queue '" + absent + "' in vhost '/'", ch => Look(ch, absent));
        Refused(connection, 406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '" + q + "' in vhost '/': " +
            "received 'true' but current is 'false'", ch => ch.QueueDeclare(q, false, true, false, false, false, null));
        Refused(connection, 406, "PRECONDITION_FAILED - unknown delivery tag 99", ch => ch.BasicAck(99, false));
        Refused(connection, 404, "NOT_FOUND - no exchange '" + absent + "' in vhost '/'", ch => Send(ch, absent, "", "x"));
        IModel again = connection.CreateModel();
        Send(again, "", q, "works");
        Harness.Expect(Drain(again, q), "works", "new channel");
        again.QueueDelete(q, false, false, false);
    }

    static void Channels200(IModel first, IConnection connection)
    {
        IModel[] channels = Enumerable.Range(0, 200).Select(i => connection.CreateModel()).ToArray();
        QueueingBasicConsumer[] consumers = channels.Select((ch, i) => Consume(ch, Queue(ch, "channel." + i), true)).ToArray();
        for (int i = 0; i < 200; i++)
            Send(channels[i], "", Harness.Named("channel." + (i + 1) % 200), i.ToString());
        for (int i = 0; i < 200; i++)
            Harness.Expect(Bodies(consumers[i], 1), ((i + 199) % 200).ToString(), "channel " + i);
        for (int i = 0; i < 200; i += 2)
            channels[i].Close();
        Queue(connection.CreateModel(), "channel.again");
    }

    /// This client leaves recovery to the program.
    static void Reconnect(IModel admin, IConnection adminConnection)
    {
        string q = admin.QueueDeclare(Harness.Named("reconnect"), false, true, false, false, false, null);
        Send(admin, "", q, "first");
        IConnection connection = Connect(Harness.ProxyPort, 60);
        BasicDeliverEventArgs d = Take(Consume(connection.CreateModel(), q, false));
        Harness.Expect(Text(d.Body) + d.Redelivered, "firstFalse", "delivery");
        Harness.CutConnections();
        Harness.Eventually("the loss of the connection", () => !connection.IsOpen);

        using (connection = Connect(Harness.ProxyPort, 60))
        {
            IModel ch = connection.CreateModel();
            QueueingBasicConsumer consumer = Consume(ch, q, false);
            d = Take(consumer);
            Harness.Expect(Text(d.Body) + d.Redelivered, "firstTrue", "redelivery");
            ch.BasicAck(d.DeliveryTag, false);
            Send(admin, "", q, "second");
            d = Take(consumer);
            Harness.Expect(Text(d.Body) + d.Redelivered, "secondFalse", "after reconnecting");
            ch.BasicAck(d.DeliveryTag, false);
        }
        admin.QueueDelete(q, false, false, false);
    }

    static void IdleMinute()
    {
        using (IConnection connection = Connect(Harness.Port, 10))
        {
            Harness.Expect(connection.Heartbeat, (ushort)10, "heartbeat");
            IModel ch = connection.CreateModel();
            string q = Queue(ch, "idle");
            QueueingBasicConsumer consumer = Consume(ch, q, true);
            Thread.Sleep(65000);
            Harness.Expect(connection.IsOpen, true, "open after a minute");
            Send(ch, "", q, "awake");
            Harness.Expect(Bodies(consumer, 1), "awake", "after a minute");
        }
    }

    static int Main(string[] names)
    {
        Scenario("declare-publish-consume", DeclarePublishConsume);
        Scenario("exchange-direct", ExchangeDirect);
        Scenario("exchange-fanout", ExchangeFanout);
        Scenario("exchange-topic", ExchangeTopic);
        Scenario("exchange-headers", ExchangeHeaders);
        Scenario("alternate-exchange", AlternateExchange);
        Scenario("nack-requeue", NackRequeue);
        Scenario("dead-letter", DeadLetter);
        Scenario("prefetch", Prefetch);
        Scenario("ttl-message", TtlMessage);
        Scenario("ttl-queue", TtlQueue);
        Scenario("priorities", Priorities);
        Scenario("tx", Tx);
        Scenario("rpc-direct-reply", (ch, connection) => Rpc(ch, connection.CreateModel(), "amq.rabbitmq.reply-to"));
        Scenario("rpc-reply-queue", (ch, connection) => Rpc(ch, connection.CreateModel(), Queue(ch, "")));
        Scenario("consumer-cancel", ConsumerCancel);
        Scenario("properties", Properties);
        Scenario("body-10mb", Body10mb);
        Scenario("channel-errors", ChannelErrors);
        Scenario("channels-200", Channels200);
        Scenario("reconnect", Reconnect);
        Harness.Scenarios["idle-minute"] = IdleMinute;
        foreach (string name in new[] { "exchange-to-exchange", "confirms-returns", "cancel-by-server" })
            Harness.Unavailable[name] = "this client is older than that extension";
        return Harness.Run(names);
    }
}
