/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values as RabbitMQ's error texts show them: as Erlang terms on one line. src/ctl/terms.c has more to
 * do (line breaks, atoms, AMQP's types, escapes for a terminal) on a tree of its own, and is a program's:
 * what both could share, a binary in quotes, is too little for a place below both.
 */
#ifndef SHOVEL_ERLANG_TERM_H
#define SHOVEL_ERLANG_TERM_H

#include <jansson.h>

/* VALUE as ~p prints it, on one line: <<"text">>, 1, true, [<<"a">>,<<"b">>], [{<<"key">>,1}]. Owned by the
 * caller. */
char *erlang_term(const json_t *value);

#endif
