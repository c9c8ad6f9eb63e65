/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the HTTP API. The connection is made with the first one and kept for the next. A broker that
 * cannot be reached, or does not let us in, ends the program with a text that says what to do; every other
 * answer is the caller's.
 */
#ifndef CTL_CTL_HTTP_H
#define CTL_CTL_HTTP_H

#include "ctl.h"

struct answer {
    long status;
    char *body; /* as it came, NUL added */
    size_t size;
    json_t *json; /* NULL: none, or not JSON */
};

/* A path below /api: each %s of FORMAT is replaced by the next argument, percent-encoded. */
char *api_path(struct ctl *ctl, const char *format, ...) __attribute__((returns_nonnull));

/* RAW percent-encoded. */
char *percent_encoded(struct ctl *ctl, const char *raw);

/* Ask. BODY is taken over and may be NULL. answer_free() gives the answer back. */
struct answer http_call(struct ctl *ctl, const char *method, const char *path, json_t *body) MUST_CHECK;

/* The same with octets as they are for a body. */
struct answer http_send(struct ctl *ctl, const char *method, const char *path, const char *body, size_t size,
                        const char *reason) MUST_CHECK;

/* Ask as USER, whatever the target says; no answer ends the program but that of a broker not reached. */
struct answer http_call_as(struct ctl *ctl, const char *path, const char *user,
                           const char *password) MUST_CHECK;

/* GET, with status 0 for a broker that cannot be reached. */
struct answer http_try(struct ctl *ctl, const char *path) MUST_CHECK;

/* GET, and hand each line to LINE as it comes, until that says false or the broker ends it. The answer has a
 * body only if it is not fine. */
struct answer http_lines(struct ctl *ctl, const char *path, bool (*line)(void *context, const char *text),
                         void *context) MUST_CHECK;

void answer_free(struct answer *answer);

/* 2xx. */
bool is_fine(const struct answer *answer);

/* Why the broker refused: the reason it gave, made readable. Lives as long as the program. */
const char *answer_reason(struct ctl *ctl, const struct answer *answer);

/* Report an answer that is not fine, as an error with what to do next, and free it. Returns the exit code. */
int answer_failure(struct ctl *ctl, struct answer *answer);

/* GET what must be there; an answer that is not fine ends the program. The caller frees the JSON. */
json_t *http_get(struct ctl *ctl, const char *path) __attribute__((returns_nonnull));

/* GET what may be missing: NULL for 404. */
json_t *http_find(struct ctl *ctl, const char *path);

/* Make the request and report a refusal. Returns the exit code. */
int http_do(struct ctl *ctl, const char *method, const char *path, json_t *body);

void http_free(struct http *http);

/* What the target is called in messages. */
const char *http_target_name(struct ctl *ctl);

/* Is it this machine's, spoken to by its socket? */
bool http_is_local(struct ctl *ctl);

#endif
