/* SPDX-License-Identifier: Apache-2.0 */
/* request.h: what was asked, and short answers. */
#include "request.h"

#include <event2/keyvalq_struct.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/json.h"
#include "http.h"

struct bytes request_segment(const struct request *request, unsigned index)
{
    if (index >= request->segment_count)
        return (struct bytes){(const uint8_t *)"", 0};
    return (struct bytes){(const uint8_t *)request->segments[index], request->sizes[index]};
}

const char *request_query(const struct request *request, const char *name)
{
    return evhttp_find_header(&request->query, name);
}

bool request_query_is_true(const struct request *request, const char *name)
{
    const char *value = request_query(request, name);

    return value && strcmp(value, "true") == 0;
}

json_t *request_json(struct request *request)
{
    if (request->json)
        return request->json;
    if (!request->body.size)
        request->json = json_object();
    else
        request->json =
            json_loadb((const char *)request->body.data, request->body.size, JSON_ALLOW_NUL, NULL);
    if (json_is_object(request->json))
        return request->json;
    json_decref(request->json);
    request->json = NULL;
    reply_bad_request(request, "not_json");
    return NULL;
}

void reply_header(struct request *request, const char *name, const char *value)
{
    evhttp_add_header(&request->headers, name, value);
}

void reply_empty(struct request *request, int status)
{
    request->status = status;
}

void reply_json(struct request *request, int status, json_t *json)
{
    request->status = status;
    reply_header(request, "content-type", "application/json");
    json_write(request->out, json);
    json_decref(json);
}

void reply_row(struct request *request, json_t *row)
{
    if (row)
        reply_json(request, 200, json_columns(row, request_query(request, "columns")));
    else
        reply_not_found(request);
}

static void reply_error_v(struct request *request, int status, const char *error, const char *format,
                          va_list arguments) __attribute__((format(printf, 4, 0)));

static void reply_error_v(struct request *request, int status, const char *error, const char *format,
                          va_list arguments)
{
    char reason[1024];

    vsnprintf(reason, sizeof reason, format, arguments);
    reply_json(request, status,
               json_pack("{s:s,s:o}", "error", error, "reason", json_text(bytes_from_string(reason))));
}

void reply_error(struct request *request, int status, const char *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    reply_error_v(request, status, error, format, arguments);
    va_end(arguments);
}

void reply_bad_request(struct request *request, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    reply_error_v(request, 400, "bad_request", format, arguments);
    va_end(arguments);
}

void reply_not_found(struct request *request)
{
    reply_error(request, 404, "Object Not Found", "Not Found");
}

void reply_refused(struct request *request, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    reply_error_v(request, 401, "not_authorised", format, arguments);
    va_end(arguments);
}

void reply_stopping(struct request *request)
{
    reply_error(request, 503, "service_unavailable", "the node is stopping");
}

void reply_begin(struct request *request, int status, const char *content_type)
{
    request->status = status;
    reply_header(request, "content-type", content_type);
}

bool reply_part(struct request *request)
{
    return http_flush(request);
}
