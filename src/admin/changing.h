/* SPDX-License-Identifier: Apache-2.0 */
/* What requests for changes (coney/changes.h) have in their bodies beside what body.h reads, and their
 * answers. */
#ifndef ADMIN_CHANGING_H
#define ADMIN_CHANGING_H

#include "admin/http/request.h"
#include "body.h"
#include "coney/changes.h"

/* A number of words: an array of strings, or one string with commas. Each is a new string in *OUT, an array;
 * false after answering. */
bool body_words(struct request *request, const json_t *words, const char *key, json_t **out);

/* VALUE as Erlang writes it, near enough. */
#define BODY_TERM_SIZE 160
const char *body_term(const json_t *value, char out[BODY_TERM_SIZE]);

struct bytes body_bytes(const json_t *string);

/* Answer what came of a change: 201 when IS_NEW, 204, or why not. */
void reply_change(struct request *request, enum change_result result, bool is_new, const char *why);

/* 503: done, but not on disk. */
void reply_not_safe(struct request *request);

/* 404 as RabbitMQ says it when the vhost of a write is not there. */
void reply_no_vhost(struct request *request);

#endif
