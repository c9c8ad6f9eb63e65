/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of a request's body, as leniently as RabbitMQ takes them (management-http-api.md 1.1). Each
 * function that returns false has answered 400.
 */
#ifndef ADMIN_BODY_H
#define ADMIN_BODY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin/http/request.h"
#include "coney/buffer.h"
#include "coney/bytes.h"

/* That NAME, of the path, can be a short string. */
bool name_fits(struct request *request, struct bytes name);

/* That each of the COUNT names is there. */
bool body_has(struct request *request, json_t *body, const char *const *names, size_t count);

/* true, false, or these as strings; not there: false. */
bool body_bool(struct request *request, json_t *body, const char *name, bool *out);

/* An integer, or one as a string; not there: *OUT is left alone. */
bool body_int(struct request *request, json_t *body, const char *name, int64_t *out);

/* A string; not there: *OUT is left alone. Borrowed from BODY. */
bool body_text(struct request *request, json_t *body, const char *name, struct bytes *out);

/* The same of at most 255 octets. */
bool body_shortstr(struct request *request, json_t *body, const char *name, struct bytes *out);

/* An object as the contents of a table, appended to OUT; not there, null or []: nothing. */
bool body_table(struct request *request, json_t *body, const char *name, struct buffer *out);

/* The properties of a message, all optional, unknown ones ignored: as a content header has them. */
bool body_properties(struct request *request, json_t *properties, struct buffer *out);

#endif
