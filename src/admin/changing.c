/* SPDX-License-Identifier: Apache-2.0 */
/* changing.h. */
#include "changing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

struct bytes body_bytes(const json_t *string)
{
    return (struct bytes){(const uint8_t *)json_string_value(string), json_string_length(string)};
}

const char *body_term(const json_t *value, char out[BODY_TERM_SIZE])
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (json_is_string(value))
        snprintf(out, BODY_TERM_SIZE, "<<\"%.100s\">>", json_string_value(value));
    else
        snprintf(out, BODY_TERM_SIZE, "%.120s", text ? text : "?");
    free(text);
    return out;
}

/* Cut at commas, without blanks around. */
static void split(struct bytes text, json_t *out)
{
    const char *at = (const char *)text.data, *end = at + text.size;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        const char *last = stop;

        while (at < last && *at == ' ')
            at++;
        while (last > at && last[-1] == ' ')
            last--;
        if (last > at)
            json_array_append_new(out, json_text((struct bytes){(const uint8_t *)at, (size_t)(last - at)}));
        at = comma ? comma + 1 : end;
    }
}

bool body_words(struct request *request, const json_t *words, const char *key, json_t **out)
{
    bool are_strings = json_is_array(words);
    char term[BODY_TERM_SIZE];

    for (size_t i = 0; i < json_array_size(words); i++)
        are_strings = are_strings && json_is_string(json_array_get(words, i));
    if (!are_strings && !json_is_string(words)) {
        reply_bad_request(request, "%s should be words, actually was %s", key, body_term(words, term));
        return false;
    }
    *out = json_array();
    if (json_is_string(words))
        split(body_bytes(words), *out);
    for (size_t i = 0; i < json_array_size(words); i++)
        json_array_append(*out, json_array_get(words, i));
    return true;
}

/* ---- answers ---- */

void reply_no_vhost(struct request *request)
{
    reply_error(request, 404, "not_found", "vhost_not_found");
}

void reply_not_safe(struct request *request)
{
    reply_error(request, 503, "service_unavailable",
                "the change is made but not yet on disk, which may be full: look at the node's alarms");
}

void reply_change(struct request *request, enum change_result result, bool is_new, const char *why)
{
    switch (result) {
    case CHANGE_MADE:
        reply_empty(request, is_new ? 201 : 204);
        break;
    case CHANGE_NO_VHOST:
        reply_no_vhost(request);
        break;
    case CHANGE_NO_USER:
    case CHANGE_MISSING:
        reply_not_found(request);
        break;
    case CHANGE_REFUSED:
        reply_bad_request(request, "%s", why);
        break;
    case CHANGE_NOT_SAFE:
        reply_not_safe(request);
        break;
    case CHANGE_STOPPING:
        reply_stopping(request);
        break;
    }
}
