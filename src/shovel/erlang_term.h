/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values as RabbitMQ's error texts show them: as Erlang terms. */
#ifndef SHOVEL_ERLANG_TERM_H
#define SHOVEL_ERLANG_TERM_H

#include <jansson.h>

/* VALUE as ~p prints it, on one line: <<"text">>, 1, true, [<<"a">>,<<"b">>], [{<<"key">>,1}]. Owned by the
 * caller. */
char *erlang_term(const json_t *value);

#endif
