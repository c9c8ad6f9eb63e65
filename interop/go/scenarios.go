// SPDX-License-Identifier: Apache-2.0

// The scenarios of ../scenarios.txt with amqp091-go.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

var ctx = context.Background()

// client is a connection with one channel, as most scenarios need it.
type client struct {
	connection *amqp.Connection
	*amqp.Channel
}

func dial(address string, config amqp.Config) client {
	config.TLSClientConfig = tlsConfig()
	connection, err := amqp.DialConfig(address, config)
	must(err)
	return client{connection, channel(connection)}
}

func channel(connection *amqp.Connection) *amqp.Channel {
	ch, err := connection.Channel()
	must(err)
	return ch
}

func scenario(name string, work func(client)) {
	scenarios[name] = func() {
		c := dial(url, amqp.Config{})
		defer c.connection.Close()
		work(c)
	}
}

// queue declares an exclusive queue that goes with the connection.
func queue(ch *amqp.Channel, name string, args amqp.Table) string {
	if name != "" {
		name = prefix + name
	}
	q, err := ch.QueueDeclare(name, false, false, true, false, args)
	must(err)
	return q.Name
}

func exchange(ch *amqp.Channel, name, kind string, args amqp.Table) string {
	must(ch.ExchangeDeclare(prefix+name, kind, false, true, false, false, args))
	return prefix + name
}

func bind(ch *amqp.Channel, q, key, x string, args amqp.Table) {
	must(ch.QueueBind(q, key, x, false, args))
}

func publish(ch *amqp.Channel, x, key string, message amqp.Publishing) {
	must(ch.PublishWithContext(ctx, x, key, false, false, message))
}

func send(ch *amqp.Channel, x, key string, bodies ...string) {
	for _, body := range bodies {
		publish(ch, x, key, amqp.Publishing{Body: []byte(body)})
	}
}

func counts(ch *amqp.Channel, q string) [2]int {
	found, err := ch.QueueInspect(q)
	must(err)
	return [2]int{found.Messages, found.Consumers}
}

func consume(ch *amqp.Channel, q string, autoAck bool) <-chan amqp.Delivery {
	deliveries, err := ch.Consume(q, "tag", autoAck, false, false, false, nil)
	must(err)
	return deliveries
}

func take(deliveries <-chan amqp.Delivery) amqp.Delivery {
	select {
	case d, open := <-deliveries:
		expect(open, true, "delivery channel open")
		return d
	case <-time.After(deadline):
		panic(failure("no delivery"))
	}
}

func takeBodies(deliveries <-chan amqp.Delivery, n int) string {
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = string(take(deliveries).Body)
	}
	return strings.Join(bodies, " ")
}

// drain gets what is in the queue now.
func drain(ch *amqp.Channel, q string) string {
	bodies := []string{}
	for {
		d, ok, err := ch.Get(q, true)
		must(err)
		if !ok {
			return strings.Join(bodies, " ")
		}
		bodies = append(bodies, string(d.Body))
	}
}

// get gets a message as soon as there is one.
func get(ch *amqp.Channel, q string) (d amqp.Delivery) {
	eventually("a message in "+q, func() bool {
		var ok bool
		var err error
		d, ok, err = ch.Get(q, false)
		must(err)
		return ok
	})
	return d
}

func declarePublishConsume(c client) {
	expect(queue(c.Channel, "", nil)[:8], "amq.gen-", "server-named queue")
	q, x := queue(c.Channel, "basics", nil), exchange(c.Channel, "basics", "direct", nil)
	bind(c.Channel, q, "key", x, nil)
	send(c.Channel, x, "key", "m1", "m2", "m3")
	deliveries := consume(c.Channel, q, false)
	for i := 1; i <= 3; i++ {
		d := take(deliveries)
		expect([]string{d.Exchange, d.RoutingKey, string(d.Body)}, []string{x, "key", fmt.Sprint("m", i)}, "delivery")
		expect(d.Redelivered, false, "redelivered")
		must(d.Ack(false))
	}
	must(c.Cancel("tag", false))
	expect(counts(c.Channel, q), [2]int{0, 0}, "counts")
	_, ok, err := c.Get(q, true)
	must(err)
	expect(ok, false, "get of an empty queue")
	send(c.Channel, "", q, "g1", "g2")
	d, _, err := c.Get(q, true)
	must(err)
	expect(string(d.Body)+fmt.Sprint(d.MessageCount), "g11", "get")
	n, err := c.QueuePurge(q, false)
	must(err)
	expect(n, 1, "purged")
	must(c.QueueUnbind(q, "key", x, nil))
	send(c.Channel, "", q, "left")
	n, err = c.QueueDelete(q, false, false, false)
	must(err)
	expect(n, 1, "deleted with")
}

func exchangeDirect(c client) {
	x := exchange(c.Channel, "direct", "direct", nil)
	a, b := queue(c.Channel, "direct.a", nil), queue(c.Channel, "direct.b", nil)
	bind(c.Channel, a, "a", x, nil)
	bind(c.Channel, a, "both", x, nil)
	bind(c.Channel, b, "b", x, nil)
	bind(c.Channel, b, "both", x, nil)
	for _, key := range []string{"a", "b", "both", "none"} {
		send(c.Channel, x, key, key)
	}
	expect(drain(c.Channel, a), "a both", "a")
	expect(drain(c.Channel, b), "b both", "b")
}

func exchangeFanout(c client) {
	x := exchange(c.Channel, "fanout", "fanout", nil)
	for i := 0; i < 3; i++ {
		bind(c.Channel, queue(c.Channel, fmt.Sprint("fanout.", i), nil), "", x, nil)
	}
	send(c.Channel, x, "whatever", "1", "2")
	for i := 0; i < 3; i++ {
		expect(drain(c.Channel, fmt.Sprint(prefix, "fanout.", i)), "1 2", "queue")
	}
}

func exchangeTopic(c client) {
	x := exchange(c.Channel, "topic", "topic", nil)
	a, b := queue(c.Channel, "topic.a", nil), queue(c.Channel, "topic.b", nil)
	bind(c.Channel, a, "*.orange.*", x, nil)
	bind(c.Channel, b, "*.*.rabbit", x, nil)
	bind(c.Channel, b, "lazy.#", x, nil)
	for _, key := range []string{"quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.brown.fox",
		"lazy.pink.rabbit", "quick.brown.fox", "orange", "quick.orange.male.rabbit", "lazy"} {
		send(c.Channel, x, key, key)
	}
	expect(drain(c.Channel, a), "quick.orange.rabbit lazy.orange.elephant quick.orange.fox", "a")
	expect(drain(c.Channel, b), "quick.orange.rabbit lazy.orange.elephant lazy.brown.fox lazy.pink.rabbit lazy", "b")
}

func exchangeHeaders(c client) {
	x := exchange(c.Channel, "headers", "headers", nil)
	all, any := queue(c.Channel, "headers.all", nil), queue(c.Channel, "headers.any", nil)
	bind(c.Channel, all, "", x, amqp.Table{"x-match": "all", "format": "pdf", "pages": int32(3)})
	bind(c.Channel, any, "", x, amqp.Table{"x-match": "any", "format": "pdf", "type": "log"})
	for i, headers := range []amqp.Table{{"format": "pdf", "pages": int32(3)}, {"format": "pdf"},
		{"type": "log", "pages": int32(3)}, {"format": "zip"}, {}} {
		publish(c.Channel, x, "", amqp.Publishing{Headers: headers, Body: []byte(fmt.Sprint(i + 1))})
	}
	expect(drain(c.Channel, all), "1", "all")
	expect(drain(c.Channel, any), "1 2 3", "any")
}

func exchangeToExchange(c client) {
	source, target := exchange(c.Channel, "e2e.source", "fanout", nil), exchange(c.Channel, "e2e.target", "topic", nil)
	q, other := queue(c.Channel, "e2e", nil), queue(c.Channel, "e2e.other", nil)
	bind(c.Channel, q, "a.#", target, nil)
	bind(c.Channel, other, "", source, nil) // keeps the auto-delete source alive
	must(c.ExchangeBind(target, "", source, false, nil))
	send(c.Channel, source, "a.b", "through")
	send(c.Channel, source, "b.a", "not-through")
	expect(drain(c.Channel, q), "through", "bound")
	must(c.ExchangeUnbind(target, "", source, false, nil))
	send(c.Channel, source, "a.b", "unbound")
	expect(drain(c.Channel, q), "", "unbound")
	expect(drain(c.Channel, other), "through not-through unbound", "other")
}

func alternateExchange(c client) {
	alternate := exchange(c.Channel, "ae", "fanout", nil)
	x := exchange(c.Channel, "ae.main", "direct", amqp.Table{"alternate-exchange": alternate})
	routed, rest := queue(c.Channel, "ae.routed", nil), queue(c.Channel, "ae.rest", nil)
	bind(c.Channel, routed, "known", x, nil)
	bind(c.Channel, rest, "", alternate, nil)
	send(c.Channel, x, "known", "a")
	send(c.Channel, x, "unknown", "b")
	expect(drain(c.Channel, routed)+" "+drain(c.Channel, rest), "a b", "routed and rest")
}

// confirmsReturns listens with NotifyPublish. The deferred confirmations of amqp091-go 1.5 are no use for a test: one is
// registered only after its message was sent, so that it waits for ever if the confirm is quicker.
func confirmsReturns(c client) {
	must(c.Confirm(false))
	returns := c.NotifyReturn(make(chan amqp.Return, 1))
	confirms := c.NotifyPublish(make(chan amqp.Confirmation, 200))
	confirmed := func(tag uint64) bool {
		select {
		case confirmation := <-confirms:
			expect(confirmation.DeliveryTag, tag, "tag of the confirm")
			return confirmation.Ack
		case <-time.After(deadline):
			panic(failure("no confirm"))
		}
	}
	q, err := c.QueueDeclare(prefix+"confirms", true, false, false, false, nil)
	must(err)
	for i := 0; i < 100; i++ {
		message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(fmt.Sprint(i))}
		must(c.PublishWithContext(ctx, "", q.Name, true, false, message))
	}
	for tag := uint64(1); tag <= 100; tag++ {
		expect(confirmed(tag), true, "confirmed")
	}
	expect(counts(c.Channel, q.Name)[0], 100, "messages")
	_, err = c.QueueDelete(q.Name, false, false, false)
	must(err)

	must(c.PublishWithContext(ctx, "amq.direct", prefix+"nowhere", true, false, amqp.Publishing{Body: []byte("back")}))
	expect(confirmed(101), true, "confirm of the returned")
	r := <-returns
	expect(fmt.Sprint(r.ReplyCode, r.ReplyText, r.Exchange, r.RoutingKey, string(r.Body)),
		fmt.Sprint(312, "NO_ROUTE", "amq.direct", prefix+"nowhere", "back"), "return")

	full := queue(c.Channel, "confirms.full", amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
	send(c.Channel, "", full, "fits")
	expect(confirmed(102), true, "confirmed")
	send(c.Channel, "", full, "does not")
	expect(confirmed(103), false, "refused")
}

func nackRequeue(c client) {
	q := queue(c.Channel, "nack", nil)
	send(c.Channel, "", q, "a", "b", "c")
	first := get(c.Channel, q)
	expect(first.Redelivered, false, "redelivered")
	must(first.Nack(false, true))
	again := get(c.Channel, q)
	expect(fmt.Sprint(again.Redelivered, string(again.Body)), "truea", "requeued")
	must(again.Ack(false))
	second := get(c.Channel, q)
	expect(string(second.Body), "b", "second")
	must(second.Reject(false))
	send(c.Channel, "", q, "d", "e")
	get(c.Channel, q)
	get(c.Channel, q)
	must(get(c.Channel, q).Nack(true, true))
	for _, body := range []string{"c", "d", "e"} {
		d := get(c.Channel, q)
		expect(fmt.Sprint(d.Redelivered, string(d.Body)), "true"+body, "requeued together")
	}
}

func deadLetter(c client) {
	x, dead := exchange(c.Channel, "dlx", "topic", nil), queue(c.Channel, "dlx.dead", nil)
	bind(c.Channel, dead, "#", x, nil)
	arguments := func(key string, value interface{}) amqp.Table {
		return amqp.Table{"x-dead-letter-exchange": x, "x-dead-letter-routing-key": "died", key: value}
	}
	died := func(q, reason string) {
		d := get(c.Channel, dead)
		expect([]string{d.Exchange, d.RoutingKey, string(d.Body)}, []string{x, "died", "m"}, reason)
		deaths := d.Headers["x-death"].([]interface{})
		expect(len(deaths), 1, "deaths")
		death := deaths[0].(amqp.Table)
		_, isTime := death["time"].(time.Time)
		expect(isTime, true, "time")
		delete(death, "time")
		expect(death, amqp.Table{"queue": q, "reason": reason, "count": int64(1), "exchange": "",
			"routing-keys": []interface{}{q}}, "x-death")
		for key, value := range map[string]string{"queue": q, "reason": reason, "exchange": ""} {
			expect(d.Headers["x-first-death-"+key], value, key)
		}
	}

	rejecting := queue(c.Channel, "dlx.rejected", arguments("x-max-length", 10))
	send(c.Channel, "", rejecting, "m")
	must(get(c.Channel, rejecting).Reject(false))
	died(rejecting, "rejected")
	expiring := queue(c.Channel, "dlx.expired", arguments("x-message-ttl", 50))
	send(c.Channel, "", expiring, "m")
	died(expiring, "expired")
	full := queue(c.Channel, "dlx.maxlen", arguments("x-max-length", 1))
	send(c.Channel, "", full, "m", "n")
	died(full, "maxlen")
	expect(drain(c.Channel, full), "n", "what stays")
}

func prefetch(c client) {
	q := queue(c.Channel, "prefetch", nil)
	send(c.Channel, "", q, strings.Split("0123456789", "")...)
	must(c.Qos(3, 0, false))
	deliveries := consume(c.Channel, q, false)
	first := take(deliveries)
	take(deliveries)
	take(deliveries)
	expect(fmt.Sprint(counts(c.Channel, q)[0], len(deliveries)), "7 0", "waiting")
	must(first.Ack(false))
	fourth := take(deliveries)
	expect(fmt.Sprint(counts(c.Channel, q)[0], len(deliveries)), "6 0", "waiting")
	must(fourth.Ack(true))
	take(deliveries)
	take(deliveries)
	must(take(deliveries).Ack(true))
	expect(takeBodies(deliveries, 3), "7 8 9", "rest")
}

func ttlMessage(c client) {
	dead := queue(c.Channel, "ttl.dead", nil)
	q := queue(c.Channel, "ttl", amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
	started := time.Now()
	publish(c.Channel, "", q, amqp.Publishing{Expiration: "200", Body: []byte("short")})
	publish(c.Channel, "", q, amqp.Publishing{Expiration: "600000", Body: []byte("long")})
	d := take(consume(c.Channel, dead, true))
	expect(string(d.Body), "short", "expired")
	expect(time.Since(started) >= 200*time.Millisecond, true, "not before its time")
	expect(d.Expiration, "", "expiration of the dead")
	expect(d.Headers["x-death"].([]interface{})[0].(amqp.Table)["original-expiration"], "200", "original-expiration")
	expect(drain(c.Channel, q), "long", "what stays")
}

func ttlQueue(c client) {
	dead := queue(c.Channel, "qttl.dead", nil)
	q := queue(c.Channel, "qttl", amqp.Table{"x-message-ttl": 100, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
	send(c.Channel, "", q, "a", "b")
	expect(takeBodies(consume(c.Channel, dead, true), 2), "a b", "expired")
	expect(counts(c.Channel, q)[0], 0, "left")
	fleeting := queue(c.Channel, "qttl.expires", amqp.Table{"x-expires": 100})
	time.Sleep(time.Second)
	_, err := c.QueueInspect(fleeting)
	expect(errorCode(err), 404, "the unused queue did not expire")
}

func priorities(c client) {
	q := queue(c.Channel, "priorities", amqp.Table{"x-max-priority": 10})
	for _, priority := range []uint8{1, 5, 3, 0, 9, 5} {
		publish(c.Channel, "", q, amqp.Publishing{Priority: priority, Body: []byte(fmt.Sprint(priority))})
	}
	expect(drain(c.Channel, q), "9 5 5 3 1 0", "order")
}

func tx(c client) {
	other := channel(c.connection)
	q := queue(c.Channel, "tx", nil)
	must(c.Tx())
	send(c.Channel, "", q, "a", "b")
	expect(counts(other, q)[0], 0, "before commit")
	must(c.TxCommit())
	expect(counts(other, q)[0], 2, "after commit")
	send(c.Channel, "", q, "c")
	must(c.TxRollback())
	must(c.TxCommit())
	expect(counts(other, q)[0], 2, "after rollback")
	must(get(c.Channel, q).Ack(false))
	must(c.TxRollback())
	must(c.Channel.Close())
	expect(counts(other, q)[0], 2, "after the ack was rolled back")
}

func rpc(c client, replyTo string) {
	server := channel(c.connection)
	q := queue(server, "rpc", nil)
	replies, requests := consume(c.Channel, replyTo, true), consume(server, q, true)
	for i := 0; i < 5; i++ {
		id := fmt.Sprint("id", i)
		publish(c.Channel, "", q, amqp.Publishing{ReplyTo: replyTo, CorrelationId: id, Body: []byte(fmt.Sprint(i))})
		request := take(requests)
		if replyTo == "amq.rabbitmq.reply-to" {
			expect(strings.HasPrefix(request.ReplyTo, replyTo+"."), true, request.ReplyTo)
		}
		publish(server, "", request.ReplyTo, amqp.Publishing{CorrelationId: request.CorrelationId, Body: append(request.Body, '!')})
		reply := take(replies)
		expect(reply.CorrelationId+string(reply.Body), id+fmt.Sprint(i, "!"), "reply")
	}
}

func consumerCancel(c client) {
	q := queue(c.Channel, "cancel", nil)
	must(c.Qos(1, 0, false))
	deliveries := consume(c.Channel, q, false)
	send(c.Channel, "", q, "a", "b", "c")
	held := take(deliveries)
	must(c.Cancel("tag", false))
	must(held.Ack(false))
	expect(counts(c.Channel, q), [2]int{2, 0}, "after cancel")
	_, open := <-deliveries
	expect(open, false, "deliveries open")
}

func cancelByServer(c client) {
	q := queue(c.Channel, "cancelled", nil)
	cancelled := c.NotifyCancel(make(chan string, 1))
	consume(c.Channel, q, true)
	_, err := channel(c.connection).QueueDelete(q, false, false, false)
	must(err)
	select {
	case tag := <-cancelled:
		expect(tag, "tag", "cancelled")
	case <-time.After(deadline):
		panic(failure("no basic.cancel"))
	}
}

func properties(c client) {
	q := queue(c.Channel, "properties", nil)
	moment := time.Unix(1709210096, 0).UTC()
	headers := amqp.Table{"bool": true, "false": false, "byte": byte(200), "int8": int8(-7), "short": int16(-700), "int": int32(-70000),
		"long": int64(1) << 60, "float": float32(0.5), "double": 2.5, "decimal": amqp.Decimal{Scale: 2, Value: 314},
		"string": "häder", "bytes": []byte{0, 255}, "time": moment, "null": nil,
		"table": amqp.Table{"nested": amqp.Table{"deep": []interface{}{int32(1), "two", amqp.Table{"three": int32(3)}}}},
		"array": []interface{}{int32(1), int64(-2), "x", false, nil}, "empty": amqp.Table{}, "": "no name"}
	publish(c.Channel, "", q, amqp.Publishing{Headers: headers, ContentType: "text/plain", ContentEncoding: "gzip",
		DeliveryMode: 2, Priority: 7, CorrelationId: "correlation", ReplyTo: "reply", Expiration: "600000",
		MessageId: "message", Timestamp: moment, Type: "type", UserId: "guest", AppId: "application"})
	send(c.Channel, "", q, "none")
	d := get(c.Channel, q)
	d.Headers["time"] = d.Headers["time"].(time.Time).UTC()
	expect(d.Headers, headers, "headers")
	expect([]interface{}{d.ContentType, d.ContentEncoding, d.DeliveryMode, d.Priority, d.CorrelationId, d.ReplyTo, d.Expiration,
		d.MessageId, d.Timestamp.UTC(), d.Type, d.UserId, d.AppId}, []interface{}{"text/plain", "gzip", uint8(2), uint8(7),
		"correlation", "reply", "600000", "message", moment, "type", "guest", "application"}, "properties")
	d = get(c.Channel, q)
	expect([]interface{}{len(d.Headers), d.ContentType, d.DeliveryMode, d.Timestamp.IsZero()},
		[]interface{}{0, "", uint8(0), true}, "no properties")
}

func body10mb(c client) {
	q := queue(c.Channel, "body", nil)
	deliveries := consume(c.Channel, q, true)
	body := make([]byte, 10_000_000)
	for i := range body {
		body[i] = byte(i % 251 * 31)
	}
	publish(c.Channel, "", q, amqp.Publishing{Body: body})
	send(c.Channel, "", q, "")
	expect(bytes.Equal(take(deliveries).Body, body), true, "10 MB")
	expect(len(take(deliveries).Body), 0, "empty body")
}

func errorCode(err error) int {
	var reason *amqp.Error
	if !errors.As(err, &reason) {
		panic(failure(fmt.Sprint("no AMQP error: ", err)))
	}
	return reason.Code
}

func channelErrors(c client) {
	q, absent := prefix+"errors", prefix+"absent"
	_, err := c.QueueDeclare(q, false, false, false, false, nil)
	must(err)
	refused := func(code int, text string, action func(*amqp.Channel) error) {
		ch := channel(c.connection)
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		_ = action(ch) // the reason arrives by notification too, and for all methods alike
		select {
		case reason := <-closed:
			expect(fmt.Sprint(reason.Code, " ", reason.Reason), fmt.Sprint(code, " ", text), "refusal")
		case <-time.After(deadline):
			panic(failure("no channel.close"))
		}
	}
	refused(404, "NOT_FOUND - no queue '"+absent+"' in vhost '/'", func(ch *amqp.Channel) error {
		_, err := ch.QueueInspect(absent)
		return err
	})
	refused(406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '"+q+"' in vhost '/': "+
		"received 'true' but current is 'false'", func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(q, true, false, false, false, nil)
		return err
	})
	refused(406, "PRECONDITION_FAILED - unknown delivery tag 99", func(ch *amqp.Channel) error { return ch.Ack(99, false) })
	refused(404, "NOT_FOUND - no exchange '"+absent+"' in vhost '/'", func(ch *amqp.Channel) error {
		return ch.PublishWithContext(ctx, absent, "", false, false, amqp.Publishing{})
	})
	ch := channel(c.connection)
	send(ch, "", q, "works")
	expect(drain(ch, q), "works", "new channel")
	_, err = ch.QueueDelete(q, false, false, false)
	must(err)
}

func channels200(c client) {
	var channels [200]*amqp.Channel
	var deliveries [200]<-chan amqp.Delivery
	for i := range channels {
		channels[i] = channel(c.connection)
		deliveries[i] = consume(channels[i], queue(channels[i], fmt.Sprint("channel.", i), nil), true)
	}
	for i, ch := range channels {
		send(ch, "", fmt.Sprint(prefix, "channel.", (i+1)%200), fmt.Sprint(i))
	}
	for i := range channels {
		expect(takeBodies(deliveries[i], 1), fmt.Sprint((i+199)%200), "channel")
	}
	for i := 0; i < 200; i += 2 {
		must(channels[i].Close())
	}
	queue(channel(c.connection), "channel.again", nil)
}

// reconnect: amqp091-go leaves recovery to the program, which dials again when the deliveries end.
func reconnect(admin client) {
	q, err := admin.QueueDeclare(prefix+"reconnect", true, false, false, false, nil)
	must(err)
	send(admin.Channel, "", q.Name, "first")
	seen := []string{}
	for len(seen) < 3 {
		c := dial(proxyURL, amqp.Config{})
		must(c.Qos(1, 0, false))
		for d := range consume(c.Channel, q.Name, false) {
			seen = append(seen, fmt.Sprint(string(d.Body), " ", d.Redelivered))
			if len(seen) == 1 {
				cutConnections()
				continue
			}
			must(d.Ack(false))
			if len(seen) == 3 {
				must(c.connection.Close())
			} else {
				send(admin.Channel, "", q.Name, "second")
			}
		}
	}
	expect(seen, []string{"first false", "first true", "second false"}, "deliveries")
	_, err = admin.QueueDelete(q.Name, false, false, false)
	must(err)
}

func idleMinute() {
	c := dial(url, amqp.Config{Heartbeat: 10 * time.Second})
	expect(c.connection.Config.Heartbeat, 10*time.Second, "heartbeat")
	q := queue(c.Channel, "idle", nil)
	deliveries := consume(c.Channel, q, true)
	time.Sleep(65 * time.Second)
	expect(c.connection.IsClosed(), false, "closed after a minute")
	send(c.Channel, "", q, "awake")
	expect(takeBodies(deliveries, 1), "awake", "after a minute")
	must(c.connection.Close())
}

func init() {
	scenario("declare-publish-consume", declarePublishConsume)
	scenario("exchange-direct", exchangeDirect)
	scenario("exchange-fanout", exchangeFanout)
	scenario("exchange-topic", exchangeTopic)
	scenario("exchange-headers", exchangeHeaders)
	scenario("exchange-to-exchange", exchangeToExchange)
	scenario("alternate-exchange", alternateExchange)
	scenario("confirms-returns", confirmsReturns)
	scenario("nack-requeue", nackRequeue)
	scenario("dead-letter", deadLetter)
	scenario("prefetch", prefetch)
	scenario("ttl-message", ttlMessage)
	scenario("ttl-queue", ttlQueue)
	scenario("priorities", priorities)
	scenario("tx", tx)
	scenario("rpc-direct-reply", func(c client) { rpc(c, "amq.rabbitmq.reply-to") })
	scenario("rpc-reply-queue", func(c client) { rpc(c, queue(c.Channel, "", nil)) })
	scenario("consumer-cancel", consumerCancel)
	scenario("cancel-by-server", cancelByServer)
	scenario("properties", properties)
	scenario("body-10mb", body10mb)
	scenario("channel-errors", channelErrors)
	scenario("channels-200", channels200)
	scenario("reconnect", reconnect)
	scenarios["idle-minute"] = idleMinute
}
