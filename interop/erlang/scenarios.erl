%% SPDX-License-Identifier: Apache-2.0
%% The scenarios of ../scenarios.txt with Erlang's amqp_client.
-module(scenarios).
-export([run/1]).
-include_lib("amqp_client/include/amqp_client.hrl").
-import(harness, [named/1, expect/2, eventually/2]).

run("reconnect") -> reconnect();
run("idle-minute") -> idle_minute();
run(Name) ->
    {Connection, Ch} = connect("AMQP_PORT", 60),
    scenario(Name, Ch, Connection),
    amqp_connection:close(Connection).

connect(Port, Heartbeat) ->
    {ok, Connection} = amqp_connection:start(#amqp_params_network{
        host = os:getenv("AMQP_HOST"), port = harness:port(Port), heartbeat = Heartbeat}),
    unlink(Connection),
    {Connection, channel(Connection)}.

channel(Connection) ->
    {ok, Ch} = amqp_connection:open_channel(Connection),
    Ch.

%% An exclusive queue that goes with the connection.
queue(Ch, Name) -> queue(Ch, Name, []).
queue(Ch, Name, Arguments) ->
    Full = case Name of "" -> <<>>; _ -> named(Name) end,
    #'queue.declare_ok'{queue = Q} =
        amqp_channel:call(Ch, #'queue.declare'{queue = Full, exclusive = true, arguments = Arguments}),
    Q.

exchange(Ch, Name, Type) -> exchange(Ch, Name, Type, []).
exchange(Ch, Name, Type, Arguments) ->
    #'exchange.declare_ok'{} = amqp_channel:call(Ch, #'exchange.declare'{
        exchange = named(Name), type = Type, auto_delete = true, arguments = Arguments}),
    named(Name).

bind(Ch, Q, X, Key) -> bind(Ch, Q, X, Key, []).
bind(Ch, Q, X, Key, Arguments) ->
    #'queue.bind_ok'{} = amqp_channel:call(Ch, #'queue.bind'{queue = Q, exchange = X, routing_key = Key, arguments = Arguments}).

counts(Ch, Q) ->
    #'queue.declare_ok'{message_count = Messages, consumer_count = Consumers} =
        amqp_channel:call(Ch, #'queue.declare'{queue = Q, passive = true}),
    {Messages, Consumers}.

send(Ch, X, Key, Bodies) -> [publish(Ch, X, Key, #amqp_msg{payload = Body}) || Body <- Bodies].

publish(Ch, X, Key, Message) ->
    ok = amqp_channel:call(Ch, #'basic.publish'{exchange = X, routing_key = Key}, Message).

consume(Ch, Q, NoAck) ->
    amqp_channel:subscribe(Ch, #'basic.consume'{queue = Q, no_ack = NoAck}, self()),
    receive #'basic.consume_ok'{consumer_tag = Tag} -> Tag end.

take() ->
    receive {#'basic.deliver'{} = Deliver, Message} -> {Deliver, Message}
    after 30000 -> error(no_delivery)
    end.

bodies(N) -> [begin {_, #amqp_msg{payload = Body}} = take(), Body end || _ <- lists:seq(1, N)].

no_delivery() -> receive {#'basic.deliver'{}, _} -> error(delivery_beyond_the_prefetch) after 0 -> ok end.

ack(Ch, Tag) -> ack(Ch, Tag, false).
ack(Ch, Tag, Multiple) -> amqp_channel:call(Ch, #'basic.ack'{delivery_tag = Tag, multiple = Multiple}).

try_get(Ch, Q, NoAck) ->
    case amqp_channel:call(Ch, #'basic.get'{queue = Q, no_ack = NoAck}) of
        {#'basic.get_ok'{} = Ok, Message} -> {Ok, Message};
        #'basic.get_empty'{} -> false
    end.

get(Ch, Q) -> eventually({message_in, Q}, fun() -> try_get(Ch, Q, false) end).

drain(Ch, Q) ->
    case try_get(Ch, Q, true) of
        false -> [];
        {_, #amqp_msg{payload = Body}} -> [Body | drain(Ch, Q)]
    end.

scenario("declare-publish-consume", Ch, _) ->
    <<"amq.gen-", _/binary>> = queue(Ch, ""),
    {Q, X} = {queue(Ch, "basics"), exchange(Ch, "basics", <<"direct">>)},
    bind(Ch, Q, X, <<"key">>),
    send(Ch, X, <<"key">>, [<<"m1">>, <<"m2">>, <<"m3">>]),
    Tag = consume(Ch, Q, false),
    [begin
        {Deliver, #amqp_msg{payload = Body}} = take(),
        #'basic.deliver'{exchange = X, routing_key = <<"key">>, redelivered = false, delivery_tag = D} = Deliver,
        expect(Body, Expected),
        ack(Ch, D)
     end || Expected <- [<<"m1">>, <<"m2">>, <<"m3">>]],
    #'basic.cancel_ok'{} = amqp_channel:call(Ch, #'basic.cancel'{consumer_tag = Tag}),
    expect(counts(Ch, Q), {0, 0}),
    expect(try_get(Ch, Q, true), false),
    send(Ch, <<>>, Q, [<<"g1">>, <<"g2">>]),
    {#'basic.get_ok'{message_count = 1}, #amqp_msg{payload = <<"g1">>}} = try_get(Ch, Q, true),
    #'queue.purge_ok'{message_count = 1} = amqp_channel:call(Ch, #'queue.purge'{queue = Q}),
    #'queue.unbind_ok'{} = amqp_channel:call(Ch, #'queue.unbind'{queue = Q, exchange = X, routing_key = <<"key">>}),
    send(Ch, <<>>, Q, [<<"left">>]),
    #'queue.delete_ok'{message_count = 1} = amqp_channel:call(Ch, #'queue.delete'{queue = Q});

scenario("exchange-direct", Ch, _) ->
    X = exchange(Ch, "direct", <<"direct">>),
    {A, B} = {queue(Ch, "direct.a"), queue(Ch, "direct.b")},
    [bind(Ch, Q, X, Key) || {Q, Key} <- [{A, <<"a">>}, {A, <<"both">>}, {B, <<"b">>}, {B, <<"both">>}]],
    [send(Ch, X, Key, [Key]) || Key <- [<<"a">>, <<"b">>, <<"both">>, <<"none">>]],
    expect({drain(Ch, A), drain(Ch, B)}, {[<<"a">>, <<"both">>], [<<"b">>, <<"both">>]});

scenario("exchange-fanout", Ch, _) ->
    X = exchange(Ch, "fanout", <<"fanout">>),
    Queues = [queue(Ch, Name) || Name <- ["fanout.1", "fanout.2", "fanout.3"]],
    [bind(Ch, Q, X, <<>>) || Q <- Queues],
    send(Ch, X, <<"whatever">>, [<<"1">>, <<"2">>]),
    [expect(drain(Ch, Q), [<<"1">>, <<"2">>]) || Q <- Queues];

scenario("exchange-topic", Ch, _) ->
    X = exchange(Ch, "topic", <<"topic">>),
    {A, B} = {queue(Ch, "topic.a"), queue(Ch, "topic.b")},
    [bind(Ch, Q, X, Key) || {Q, Key} <- [{A, <<"*.orange.*">>}, {B, <<"*.*.rabbit">>}, {B, <<"lazy.#">>}]],
    [send(Ch, X, Key, [Key]) || Key <- [
        <<"quick.orange.rabbit">>, <<"lazy.orange.elephant">>, <<"quick.orange.fox">>, <<"lazy.brown.fox">>,
        <<"lazy.pink.rabbit">>, <<"quick.brown.fox">>, <<"orange">>, <<"quick.orange.male.rabbit">>, <<"lazy">>]],
    expect(drain(Ch, A), [<<"quick.orange.rabbit">>, <<"lazy.orange.elephant">>, <<"quick.orange.fox">>]),
    expect(drain(Ch, B), [<<"quick.orange.rabbit">>, <<"lazy.orange.elephant">>, <<"lazy.brown.fox">>,
                          <<"lazy.pink.rabbit">>, <<"lazy">>]);

scenario("exchange-headers", Ch, _) ->
    X = exchange(Ch, "headers", <<"headers">>),
    {All, Any} = {queue(Ch, "headers.all"), queue(Ch, "headers.any")},
    {Pdf, Pages, Log} = {{<<"format">>, longstr, <<"pdf">>}, {<<"pages">>, signedint, 3}, {<<"type">>, longstr, <<"log">>}},
    bind(Ch, All, X, <<>>, [{<<"x-match">>, longstr, <<"all">>}, Pdf, Pages]),
    bind(Ch, Any, X, <<>>, [{<<"x-match">>, longstr, <<"any">>}, Pdf, Log]),
    [publish(Ch, X, <<>>, #amqp_msg{payload = Body, props = #'P_basic'{headers = Headers}}) || {Body, Headers} <- [
        {<<"1">>, [Pdf, Pages]}, {<<"2">>, [Pdf]}, {<<"3">>, [Log, Pages]}, {<<"4">>, [{<<"format">>, longstr, <<"zip">>}]},
        {<<"5">>, []}]],
    expect({drain(Ch, All), drain(Ch, Any)}, {[<<"1">>], [<<"1">>, <<"2">>, <<"3">>]});

scenario("exchange-to-exchange", Ch, _) ->
    {Source, Target} = {exchange(Ch, "e2e.source", <<"fanout">>), exchange(Ch, "e2e.target", <<"topic">>)},
    {Q, Other} = {queue(Ch, "e2e"), queue(Ch, "e2e.other")},
    bind(Ch, Q, Target, <<"a.#">>),
    bind(Ch, Other, Source, <<>>), % keeps the auto-delete source alive
    #'exchange.bind_ok'{} = amqp_channel:call(Ch, #'exchange.bind'{destination = Target, source = Source}),
    send(Ch, Source, <<"a.b">>, [<<"through">>]),
    send(Ch, Source, <<"b.a">>, [<<"not through">>]),
    expect(drain(Ch, Q), [<<"through">>]),
    #'exchange.unbind_ok'{} = amqp_channel:call(Ch, #'exchange.unbind'{destination = Target, source = Source}),
    send(Ch, Source, <<"a.b">>, [<<"unbound">>]),
    expect({drain(Ch, Q), drain(Ch, Other)}, {[], [<<"through">>, <<"not through">>, <<"unbound">>]});

scenario("alternate-exchange", Ch, _) ->
    Alternate = exchange(Ch, "ae", <<"fanout">>),
    X = exchange(Ch, "ae.main", <<"direct">>, [{<<"alternate-exchange">>, longstr, Alternate}]),
    {Routed, Rest} = {queue(Ch, "ae.routed"), queue(Ch, "ae.rest")},
    bind(Ch, Routed, X, <<"known">>),
    bind(Ch, Rest, Alternate, <<>>),
    send(Ch, X, <<"known">>, [<<"a">>]),
    send(Ch, X, <<"unknown">>, [<<"b">>]),
    expect({drain(Ch, Routed), drain(Ch, Rest)}, {[<<"a">>], [<<"b">>]});

scenario("confirms-returns", Ch, _) ->
    #'confirm.select_ok'{} = amqp_channel:call(Ch, #'confirm.select'{}),
    amqp_channel:register_return_handler(Ch, self()),
    Q = named("confirms"),
    #'queue.declare_ok'{} = amqp_channel:call(Ch, #'queue.declare'{queue = Q, durable = true}),
    Persistent = #amqp_msg{payload = <<"m">>, props = #'P_basic'{delivery_mode = 2}},
    [publish(Ch, <<>>, Q, Persistent) || _ <- lists:seq(1, 100)],
    expect(amqp_channel:wait_for_confirms(Ch, 30), true),
    #'queue.delete_ok'{message_count = 100} = amqp_channel:call(Ch, #'queue.delete'{queue = Q}),
    amqp_channel:register_confirm_handler(Ch, self()),
    Nowhere = named("nowhere"),
    ok = amqp_channel:call(Ch, #'basic.publish'{exchange = <<"amq.direct">>, routing_key = Nowhere, mandatory = true},
                           #amqp_msg{payload = <<"back">>}),
    receive {#'basic.return'{} = Return, #amqp_msg{payload = <<"back">>}} ->
        expect(Return, #'basic.return'{reply_code = 312, reply_text = <<"NO_ROUTE">>, exchange = <<"amq.direct">>, routing_key = Nowhere})
    end,
    receive #'basic.ack'{delivery_tag = 101} -> ok end,
    Full = queue(Ch, "confirms.full", [{<<"x-max-length">>, signedint, 1}, {<<"x-overflow">>, longstr, <<"reject-publish">>}]),
    send(Ch, <<>>, Full, [<<"fits">>]),
    receive #'basic.ack'{delivery_tag = 102} -> ok end,
    send(Ch, <<>>, Full, [<<"does not">>]),
    receive #'basic.nack'{delivery_tag = 103} -> ok end;

scenario("nack-requeue", Ch, _) ->
    Q = queue(Ch, "nack"),
    send(Ch, <<>>, Q, [<<"a">>, <<"b">>, <<"c">>]),
    {#'basic.get_ok'{delivery_tag = First, redelivered = false}, _} = get(Ch, Q),
    amqp_channel:call(Ch, #'basic.nack'{delivery_tag = First, requeue = true, multiple = false}),
    {#'basic.get_ok'{delivery_tag = Again, redelivered = true}, #amqp_msg{payload = <<"a">>}} = get(Ch, Q),
    ack(Ch, Again),
    {#'basic.get_ok'{delivery_tag = Second}, #amqp_msg{payload = <<"b">>}} = get(Ch, Q),
    amqp_channel:call(Ch, #'basic.reject'{delivery_tag = Second, requeue = false}),
    send(Ch, <<>>, Q, [<<"d">>, <<"e">>]),
    [_, _, {#'basic.get_ok'{delivery_tag = Last}, _}] = [get(Ch, Q) || _ <- lists:seq(1, 3)],
    amqp_channel:call(Ch, #'basic.nack'{delivery_tag = Last, requeue = true, multiple = true}),
    [begin
        {#'basic.get_ok'{redelivered = true}, #amqp_msg{payload = Body}} = get(Ch, Q),
        expect(Body, Expected)
     end || Expected <- [<<"c">>, <<"d">>, <<"e">>]];

scenario("dead-letter", Ch, _) ->
    {X, Dead} = {exchange(Ch, "dlx", <<"topic">>), queue(Ch, "dlx.dead")},
    bind(Ch, Dead, X, <<"#">>),
    Arguments = [{<<"x-dead-letter-exchange">>, longstr, X}, {<<"x-dead-letter-routing-key">>, longstr, <<"died">>}],
    Rejecting = queue(Ch, "dlx.rejected", Arguments),
    send(Ch, <<>>, Rejecting, [<<"m">>]),
    {#'basic.get_ok'{delivery_tag = Tag}, _} = get(Ch, Rejecting),
    amqp_channel:call(Ch, #'basic.reject'{delivery_tag = Tag, requeue = false}),
    died(Ch, Dead, Rejecting, <<"rejected">>),
    Expiring = queue(Ch, "dlx.expired", [{<<"x-message-ttl">>, signedint, 50} | Arguments]),
    send(Ch, <<>>, Expiring, [<<"m">>]),
    died(Ch, Dead, Expiring, <<"expired">>),
    Short = queue(Ch, "dlx.maxlen", [{<<"x-max-length">>, signedint, 1} | Arguments]),
    send(Ch, <<>>, Short, [<<"m">>, <<"n">>]),
    died(Ch, Dead, Short, <<"maxlen">>),
    expect(drain(Ch, Short), [<<"n">>]);

scenario("prefetch", Ch, _) ->
    Q = queue(Ch, "prefetch"),
    send(Ch, <<>>, Q, [<<N>> || N <- "0123456789"]),
    #'basic.qos_ok'{} = amqp_channel:call(Ch, #'basic.qos'{prefetch_count = 3}),
    consume(Ch, Q, false),
    [{#'basic.deliver'{delivery_tag = First}, _}, _, _] = [take() || _ <- lists:seq(1, 3)],
    {7, 1} = counts(Ch, Q),
    no_delivery(),
    ack(Ch, First),
    {#'basic.deliver'{delivery_tag = Fourth}, _} = take(),
    {6, 1} = counts(Ch, Q),
    no_delivery(),
    ack(Ch, Fourth, true),
    [_, _, {#'basic.deliver'{delivery_tag = Seventh}, _}] = [take() || _ <- lists:seq(1, 3)],
    ack(Ch, Seventh, true),
    expect(bodies(3), [<<"7">>, <<"8">>, <<"9">>]);

scenario("ttl-message", Ch, _) ->
    Dead = queue(Ch, "ttl.dead"),
    Q = queue(Ch, "ttl", [{<<"x-dead-letter-exchange">>, longstr, <<>>}, {<<"x-dead-letter-routing-key">>, longstr, Dead}]),
    Started = erlang:monotonic_time(millisecond),
    publish(Ch, <<>>, Q, #amqp_msg{payload = <<"short">>, props = #'P_basic'{expiration = <<"200">>}}),
    publish(Ch, <<>>, Q, #amqp_msg{payload = <<"long">>, props = #'P_basic'{expiration = <<"600000">>}}),
    consume(Ch, Dead, true),
    {_, #amqp_msg{payload = <<"short">>, props = #'P_basic'{expiration = undefined, headers = Headers}}} = take(),
    true = erlang:monotonic_time(millisecond) - Started >= 200,
    {_, array, [{table, Death}]} = lists:keyfind(<<"x-death">>, 1, Headers),
    expect(lists:keyfind(<<"original-expiration">>, 1, Death), {<<"original-expiration">>, longstr, <<"200">>}),
    expect(drain(Ch, Q), [<<"long">>]);

scenario("ttl-queue", Ch, Connection) ->
    Dead = queue(Ch, "qttl.dead"),
    Q = queue(Ch, "qttl", [{<<"x-message-ttl">>, signedint, 100}, {<<"x-dead-letter-exchange">>, longstr, <<>>},
                           {<<"x-dead-letter-routing-key">>, longstr, Dead}]),
    send(Ch, <<>>, Q, [<<"a">>, <<"b">>]),
    consume(Ch, Dead, true),
    expect(bodies(2), [<<"a">>, <<"b">>]),
    expect(counts(Ch, Q), {0, 0}),
    Fleeting = queue(Ch, "qttl.expires", [{<<"x-expires">>, signedint, 100}]),
    timer:sleep(1000),
    refused(Connection, 404, ["NOT_FOUND - no queue '", Fleeting, "' in vhost '/'"], fun(C) -> counts(C, Fleeting) end);

scenario("priorities", Ch, _) ->
    Q = queue(Ch, "priorities", [{<<"x-max-priority">>, signedint, 10}]),
    [publish(Ch, <<>>, Q, #amqp_msg{payload = Body, props = #'P_basic'{priority = Priority}}) || {Body, Priority} <- [
        {<<"1">>, 1}, {<<"5">>, 5}, {<<"3">>, 3}, {<<"none">>, undefined}, {<<"9">>, 9}, {<<"5">>, 5}]],
    expect(drain(Ch, Q), [<<"9">>, <<"5">>, <<"5">>, <<"3">>, <<"1">>, <<"none">>]);

scenario("tx", Ch, Connection) ->
    {Q, Other} = {queue(Ch, "tx"), channel(Connection)},
    #'tx.select_ok'{} = amqp_channel:call(Ch, #'tx.select'{}),
    send(Ch, <<>>, Q, [<<"a">>, <<"b">>]),
    {0, 0} = counts(Other, Q),
    #'tx.commit_ok'{} = amqp_channel:call(Ch, #'tx.commit'{}),
    {2, 0} = counts(Other, Q),
    send(Ch, <<>>, Q, [<<"c">>]),
    #'tx.rollback_ok'{} = amqp_channel:call(Ch, #'tx.rollback'{}),
    #'tx.commit_ok'{} = amqp_channel:call(Ch, #'tx.commit'{}),
    {2, 0} = counts(Other, Q),
    {#'basic.get_ok'{delivery_tag = Tag}, _} = get(Ch, Q),
    ack(Ch, Tag),
    #'tx.rollback_ok'{} = amqp_channel:call(Ch, #'tx.rollback'{}),
    amqp_channel:close(Ch),
    {2, 0} = counts(Other, Q);

scenario("rpc-direct-reply", Ch, Connection) -> rpc(Ch, channel(Connection), <<"amq.rabbitmq.reply-to">>);
scenario("rpc-reply-queue", Ch, Connection) -> rpc(Ch, channel(Connection), queue(Ch, ""));

scenario("consumer-cancel", Ch, _) ->
    Q = queue(Ch, "cancel"),
    #'basic.qos_ok'{} = amqp_channel:call(Ch, #'basic.qos'{prefetch_count = 1}),
    Tag = consume(Ch, Q, false),
    send(Ch, <<>>, Q, [<<"a">>, <<"b">>, <<"c">>]),
    {#'basic.deliver'{delivery_tag = Held}, _} = take(),
    #'basic.cancel_ok'{} = amqp_channel:call(Ch, #'basic.cancel'{consumer_tag = Tag}),
    ack(Ch, Held),
    expect(counts(Ch, Q), {2, 0}),
    no_delivery();

scenario("cancel-by-server", Ch, Connection) ->
    Q = queue(Ch, "cancelled"),
    Tag = consume(Ch, Q, true),
    #'queue.delete_ok'{} = amqp_channel:call(channel(Connection), #'queue.delete'{queue = Q}),
    receive #'basic.cancel'{consumer_tag = Tag} -> ok end;

scenario("properties", Ch, _) ->
    Q = queue(Ch, "properties"),
    Headers = [
        {<<"bool">>, bool, true}, {<<"byte">>, byte, -7}, {<<"unsignedbyte">>, unsignedbyte, 200}, {<<"short">>, short, -700},
        {<<"unsignedshort">>, unsignedshort, 60000}, {<<"int">>, signedint, -70000}, {<<"unsignedint">>, unsignedint, 4000000000},
        {<<"long">>, long, 1 bsl 60}, {<<"float">>, float, 0.5}, {<<"double">>, double, 2.5}, {<<"decimal">>, decimal, {2, 314}},
        {<<"string">>, longstr, <<"häder"/utf8>>}, {<<"bytes">>, binary, <<0, 255>>}, {<<"time">>, timestamp, 1709210096},
        {<<"null">>, void, undefined}, {<<"empty">>, table, []}, {<<>>, longstr, <<"no name">>},
        {<<"table">>, table, [{<<"nested">>, table, [{<<"deep">>, signedint, 1}]}]},
        {<<"array">>, array, [{signedint, 1}, {longstr, <<"two">>}, {table, [{<<"three">>, signedint, 3}]}, {void, undefined}]}],
    Sent = #'P_basic'{
        content_type = <<"text/plain">>, content_encoding = <<"gzip">>, headers = Headers, delivery_mode = 2, priority = 7,
        correlation_id = <<"correlation">>, reply_to = <<"reply">>, expiration = <<"600000">>, message_id = <<"message">>,
        timestamp = 1709210096, type = <<"type">>, user_id = <<"guest">>, app_id = <<"application">>, cluster_id = <<"cluster">>},
    publish(Ch, <<>>, Q, #amqp_msg{payload = <<"all">>, props = Sent}),
    publish(Ch, <<>>, Q, #amqp_msg{payload = <<"none">>}),
    {_, #amqp_msg{props = All}} = get(Ch, Q),
    {_, #amqp_msg{props = None}} = get(Ch, Q),
    expect(All, Sent),
    expect(None, #'P_basic'{});

scenario("body-10mb", Ch, _) ->
    Q = queue(Ch, "body"),
    Body = binary:part(binary:copy(list_to_binary([I * 31 rem 251 || I <- lists:seq(0, 250)]), 39841), 0, 10000000),
    consume(Ch, Q, true),
    send(Ch, <<>>, Q, [Body, <<>>]),
    [Big, None] = bodies(2),
    expect({Big =:= Body, None}, {true, <<>>});

scenario("channel-errors", First, Connection) ->
    {Q, Absent} = {named("errors"), named("absent")},
    #'queue.declare_ok'{} = amqp_channel:call(First, #'queue.declare'{queue = Q}),
    refused(Connection, 404, ["NOT_FOUND - no queue '", Absent, "' in vhost '/'"], fun(Ch) -> counts(Ch, Absent) end),
    refused(Connection, 406, ["PRECONDITION_FAILED - inequivalent arg 'durable' for queue '", Q,
                              "' in vhost '/': received 'true' but current is 'false'"],
            fun(Ch) -> amqp_channel:call(Ch, #'queue.declare'{queue = Q, durable = true}) end),
    refused(Connection, 406, "PRECONDITION_FAILED - unknown delivery tag 99", fun(Ch) -> ack(Ch, 99) end),
    refused(Connection, 404, ["NOT_FOUND - no exchange '", Absent, "' in vhost '/'"],
            fun(Ch) -> send(Ch, Absent, <<>>, [<<"x">>]) end),
    Ch = channel(Connection),
    send(Ch, <<>>, Q, [<<"still works">>]),
    expect(drain(Ch, Q), [<<"still works">>]),
    #'queue.delete_ok'{} = amqp_channel:call(Ch, #'queue.delete'{queue = Q});

scenario("channels-200", _, Connection) ->
    Channels = [channel(Connection) || _ <- lists:seq(1, 200)],
    [consume(Ch, queue(Ch, ["channel.", integer_to_list(I)]), true) || {I, Ch} <- lists:zip(lists:seq(1, 200), Channels)],
    [send(Ch, <<>>, named(["channel.", integer_to_list(I rem 200 + 1)]), [integer_to_binary(I)])
     || {I, Ch} <- lists:zip(lists:seq(1, 200), Channels)],
    expect(lists:sort([binary_to_integer(Body) || Body <- bodies(200)]), lists:seq(1, 200)),
    [amqp_channel:close(Ch) || Ch <- lists:sublist(Channels, 100)],
    queue(channel(Connection), "channel.again").

died(Ch, Dead, Q, Reason) ->
    {#'basic.get_ok'{routing_key = <<"died">>}, #amqp_msg{payload = <<"m">>, props = #'P_basic'{headers = Headers}}} = get(Ch, Dead),
    {_, array, [{table, Death}]} = lists:keyfind(<<"x-death">>, 1, Headers),
    {_, timestamp, _} = lists:keyfind(<<"time">>, 1, Death),
    expect(lists:sort(lists:keydelete(<<"time">>, 1, Death)), [
        {<<"count">>, long, 1}, {<<"exchange">>, longstr, <<>>}, {<<"queue">>, longstr, Q}, {<<"reason">>, longstr, Reason},
        {<<"routing-keys">>, array, [{longstr, Q}]}]),
    [expect(lists:keyfind(<<"x-first-death-", Key/binary>>, 1, Headers), {<<"x-first-death-", Key/binary>>, longstr, Value})
     || {Key, Value} <- [{<<"queue">>, Q}, {<<"reason">>, Reason}, {<<"exchange">>, <<>>}]].

rpc(Client, Server, ReplyTo) ->
    Q = queue(Server, "rpc"),
    consume(Client, ReplyTo, true),
    consume(Server, Q, true),
    [begin
        Body = integer_to_binary(I),
        publish(Client, <<>>, Q, #amqp_msg{payload = Body, props = #'P_basic'{reply_to = ReplyTo, correlation_id = Body}}),
        {#'basic.deliver'{routing_key = Q}, #amqp_msg{payload = Body, props = #'P_basic'{reply_to = Address, correlation_id = Id}}} = take(),
        true = string:prefix(Address, ReplyTo) =/= nomatch,
        publish(Server, <<>>, Address, #amqp_msg{payload = <<Body/binary, "!">>, props = #'P_basic'{correlation_id = Id}}),
        {_, #amqp_msg{payload = Reply, props = #'P_basic'{correlation_id = Id}}} = take(),
        expect(Reply, <<Body/binary, "!">>)
     end || I <- lists:seq(1, 5)].

%% A new channel in which the action is done is closed with that code and text; the connection stays.
refused(Connection, Code, Text, Action) ->
    Ch = channel(Connection),
    Ref = monitor(process, Ch),
    catch Action(Ch),
    receive {'DOWN', Ref, process, Ch, Reason} ->
        expect(Reason, {shutdown, {server_initiated_close, Code, iolist_to_binary(Text)}})
    after 30000 -> error(no_channel_close)
    end,
    true = is_process_alive(Connection).

%% amqp_client leaves recovery to the program.
reconnect() ->
    {AdminConnection, Admin} = connect("AMQP_PORT", 60),
    Q = named("reconnect"),
    #'queue.declare_ok'{} = amqp_channel:call(Admin, #'queue.declare'{queue = Q, durable = true}),
    send(Admin, <<>>, Q, [<<"first">>]),
    {Lost, Ch} = connect("PROXY_PORT", 60),
    Ref = monitor(process, Lost),
    consume(Ch, Q, false),
    {#'basic.deliver'{redelivered = false}, #amqp_msg{payload = <<"first">>}} = take(),
    harness:cut_connections(),
    receive {'DOWN', Ref, process, Lost, _} -> ok end,

    {Connection, Again} = connect("PROXY_PORT", 60),
    consume(Again, Q, false),
    {#'basic.deliver'{redelivered = true, delivery_tag = First}, #amqp_msg{payload = <<"first">>}} = take(),
    ack(Again, First),
    send(Admin, <<>>, Q, [<<"second">>]),
    {#'basic.deliver'{redelivered = false, delivery_tag = Second}, #amqp_msg{payload = <<"second">>}} = take(),
    ack(Again, Second),
    amqp_connection:close(Connection),
    #'queue.delete_ok'{} = amqp_channel:call(Admin, #'queue.delete'{queue = Q}),
    amqp_connection:close(AdminConnection).

idle_minute() ->
    {Connection, Ch} = connect("AMQP_PORT", 10),
    Q = queue(Ch, "idle"),
    consume(Ch, Q, true),
    timer:sleep(65000),
    {true, true} = {is_process_alive(Connection), is_process_alive(Ch)},
    no_delivery(),
    send(Ch, <<>>, Q, [<<"awake">>]),
    expect(bodies(1), [<<"awake">>]),
    amqp_connection:close(Connection).
