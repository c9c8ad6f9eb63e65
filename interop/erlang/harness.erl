%% SPDX-License-Identifier: Apache-2.0
%% Runs the scenarios named on the command line, with the output protocol of ../run; address and expectations.
-module(harness).
-export([main/0, named/1, port/1, expect/2, eventually/2, cut_connections/0]).

-define(DEADLINE_MS, 30000).

%% Each scenario has a process of its own, so that neither a crash nor a late message reaches the next one.
main() ->
    logger:set_primary_config(level, critical),
    {ok, _} = application:ensure_all_started(amqp_client),
    Results = [run(Name) || Name <- init:get_plain_arguments()],
    halt(case lists:all(fun(Ok) -> Ok end, Results) of true -> 0; false -> 1 end).

run(Name) ->
    {Pid, Ref} = spawn_monitor(scenarios, run, [Name]),
    receive
        {'DOWN', Ref, process, Pid, normal} ->
            io:format("ok ~s~n", [Name]),
            true;
        {'DOWN', Ref, process, Pid, Reason} ->
            io:format("not ok ~s: ~0p~n", [Name, Reason]),
            false
    end.

named(Name) -> iolist_to_binary([os:getenv("AMQP_PREFIX"), Name]).

port(Variable) -> list_to_integer(os:getenv(Variable)).

expect(Same, Same) -> ok;
expect(Actual, Expected) -> error({expected, Expected, got, Actual}).

%% Wait until the condition gives something else than false, and return that.
eventually(What, Condition) -> eventually(What, Condition, ?DEADLINE_MS div 10).

eventually(What, _Condition, 0) -> error({waited_in_vain_for, What});
eventually(What, Condition, Left) ->
    case Condition() of
        false -> timer:sleep(10), eventually(What, Condition, Left - 1);
        Result -> Result
    end.

%% Cut everything that goes through PROXY_PORT; done on return.
cut_connections() ->
    {ok, Socket} = gen_tcp:connect("127.0.0.1", port("CUT_PORT"), [binary, {active, false}]),
    _ = gen_tcp:recv(Socket, 0),
    gen_tcp:close(Socket).
