/* SPDX-License-Identifier: Apache-2.0 */
/* listing.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "listing.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "access.h"
#include "coney/node_control.h"
#include "coney/visit.h"
#include "coney/xalloc.h"
#include "json.h"

#define PART_SIZE         (32 << 10)
#define PAGE_SIZE_DEFAULT 100
#define PAGE_SIZE_MAX     500
#define MATCH_STEPS_MAX   10000

void listing_add(struct listing *listing, const char *vhost, struct bytes name, uint64_t id, uint32_t number)
{
    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity * 2 + 256;
        listing->keys = xrealloc(listing->keys, listing->capacity * sizeof *listing->keys);
    }
    listing->keys[listing->count++] =
        (struct listing_key){vhost, arena_copy(&listing->arena, name), id, number, NULL};
}

void listing_clear(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        json_decref(listing->keys[i].value);
    free(listing->keys);
    arena_clear(&listing->arena);
}

/* ---- collecting ---- */

static bool collect_everywhere(struct listing *listing)
{
    struct request *request = listing->request;
    size_t count;
    char **names = visit_vhost_names(request->server, &count);
    bool done = true;

    for (size_t i = 0; i < count; i++) {
        struct bytes name = bytes_from_string(names[i]);

        if (done && access_has_vhost(request, name)) {
            uint8_t *kept = arena_alloc(&listing->arena, name.size + 1);

            memcpy(kept, names[i], name.size + 1);
            done = listing->source->collect(listing, (const char *)kept);
        }
        free(names[i]);
    }
    free((void *)names);
    return done;
}

static bool collect(struct listing *listing)
{
    if (listing->source->is_of_node || listing->vhost)
        return listing->source->collect(listing, listing->vhost);
    return collect_everywhere(listing);
}

bool listing_collect(struct listing *listing, const char *vhost, enum survey_of of,
                     void (*slice)(struct vhost *vhost, void *survey))
{
    struct listing_survey survey = {.listing = listing, .vhost = vhost, .cursor = {.of = of}};

    while (!survey.cursor.is_at_end) {
        switch (visit_vhost(listing->request->server, bytes_from_string(vhost), slice, &survey)) {
        case VISIT_DONE:
            break;
        case VISIT_NO_VHOST:
            return true;
        case VISIT_STOPPING:
            reply_stopping(listing->request);
            return false;
        }
    }
    return true;
}

/* ---- filtering by name ---- */

static bool has_substring(struct bytes name, const char *part)
{
    size_t size = strlen(part);

    for (size_t at = 0; at + size <= name.size; at++)
        if (strncasecmp((const char *)name.data + at, part, size) == 0)
            return true;
    return false;
}

static void keep_matching(struct listing *listing, pcre2_code *pattern, const char *part)
{
    pcre2_match_data *data = pattern ? pcre2_match_data_create(1, NULL) : NULL;
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    size_t kept = 0;

    pcre2_set_match_limit(context, MATCH_STEPS_MAX);
    for (size_t i = 0; i < listing->count; i++) {
        struct bytes name = listing->keys[i].name;
        bool matches = pattern ? pcre2_match(pattern, name.data ? name.data : (const uint8_t *)"", name.size,
                                             0, 0, data, context) >= 0
                               : has_substring(name, part);

        if (matches)
            listing->keys[kept++] = listing->keys[i];
    }
    listing->count = kept;
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
}

static bool filter(struct listing *listing)
{
    struct request *request = listing->request;
    const char *name = request_query(request, "name");
    pcre2_code *pattern = NULL;
    PCRE2_SIZE offset;
    int error;

    if (!name || !*name)
        return true;
    if (request_query_is_true(request, "use_regex")) {
        pattern =
            pcre2_compile((PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, PCRE2_CASELESS, &error, &offset, NULL);
        if (!pattern) {
            reply_bad_request(request, "Pagination parameters are invalid");
            return false;
        }
    }
    keep_matching(listing, pattern, name);
    pcre2_code_free(pattern);
    return true;
}

/* ---- sorting ---- */

static int compare_names(const void *a, const void *b)
{
    const struct listing_key *left = a, *right = b;
    int order = left->vhost && right->vhost ? strcmp(left->vhost, right->vhost) : 0;

    return order ? order : bytes_compare(left->name, right->name);
}

/* What "sort=name" asks for: the vhost decides only between equal names. */
static int compare_names_first(const void *a, const void *b)
{
    const struct listing_key *left = a, *right = b;
    int order = bytes_compare(left->name, right->name);

    return order ? order : compare_names(a, b);
}

/* What is not there first, then numbers, then all the rest as text. */
static int rank(const json_t *value)
{
    return !value || json_is_null(value) ? 0 : json_is_number(value) ? 1 : json_is_string(value) ? 2 : 3;
}

static int compare_values(const void *a, const void *b)
{
    const struct listing_key *left = a, *right = b;
    int order = rank(left->value) - rank(right->value);

    if (!order && rank(left->value) == 1) {
        double difference = json_number_value(left->value) - json_number_value(right->value);

        order = (difference > 0) - (difference < 0);
    } else if (!order && rank(left->value) == 2) {
        order = strcmp(json_string_value(left->value), json_string_value(right->value));
    } else if (!order && rank(left->value) == 3) {
        order = json_is_true(left->value) - json_is_true(right->value);
    }
    return order ? order : compare_names(a, b);
}

/* How many keys from FROM on are of one vhost, and no more than a slice. */
static size_t group(const struct listing *listing, size_t from, size_t end)
{
    size_t to = from + 1;

    while (to < end && to - from < LISTING_SLICE && listing->keys[to].vhost == listing->keys[from].vhost)
        to++;
    return to - from;
}

/* The rows of a slice, whichever way the source makes them. */
static void fetch_rows(struct listing *listing, size_t at, size_t count, const char *columns, json_t **rows)
{
    struct buffer text = {0};
    struct columns wanted;
    size_t ends[LISTING_SLICE], begin = 0;

    if (listing->source->fetch) {
        listing->source->fetch(listing, &listing->keys[at], count, rows);
        return;
    }
    columns_parse(&wanted, columns);
    listing->source->write(listing, &listing->keys[at], count, &wanted, &text, ends);
    for (size_t i = 0; i < count; i++) {
        rows[i] = ends[i] == begin
                      ? NULL
                      : json_loadb((const char *)text.data + begin, ends[i] - begin, JSON_ALLOW_NUL, NULL);
        begin = ends[i];
    }
    buffer_free(&text);
}

static void note_values(struct listing *listing, const char *field)
{
    json_t *rows[LISTING_SLICE];
    size_t count;

    for (size_t at = 0; at < listing->count; at += count) {
        count = group(listing, at, listing->count);
        fetch_rows(listing, at, count, field, rows);
        for (size_t i = 0; i < count; i++) {
            listing->keys[at + i].value = json_incref(rows[i] ? json_at(rows[i], field) : NULL);
            json_decref(rows[i]);
        }
    }
}

static void sort(struct listing *listing)
{
    struct request *request = listing->request;
    const char *field = request_query(request, "sort");
    bool is_given = field && *field, by_value = is_given && strcmp(field, "name") != 0;

    if (by_value)
        note_values(listing, field);
    if (listing->count)
        qsort(listing->keys, listing->count, sizeof *listing->keys,
              by_value   ? compare_values
              : is_given ? compare_names_first
                         : compare_names);
    if (!request_query_is_true(request, "sort_reverse"))
        return;
    for (size_t i = 0; i < listing->count / 2; i++) {
        struct listing_key key = listing->keys[i];

        listing->keys[i] = listing->keys[listing->count - 1 - i];
        listing->keys[listing->count - 1 - i] = key;
    }
}

/* ---- sending ---- */

/* Append a slice of rows, each after a comma but the first of all. */
static void send_slice(struct listing *listing, size_t at, size_t count, bool *is_first)
{
    struct request *request = listing->request;
    const char *columns = request_query(request, "columns");
    json_t *rows[LISTING_SLICE];

    fetch_rows(listing, at, count, columns, rows);
    for (size_t i = 0; i < count; i++) {
        if (!rows[i])
            continue;
        rows[i] = json_columns(rows[i], columns);
        evbuffer_add(request->out, ",", !*is_first);
        json_write(request->out, rows[i]);
        json_decref(rows[i]);
        *is_first = false;
    }
}

/* The same of a source that writes, when what it writes is not to be cut further. */
static void send_text_slice(struct listing *listing, size_t at, size_t count, const struct columns *wanted,
                            bool *is_first)
{
    struct request *request = listing->request;
    struct buffer text = {0};
    size_t ends[LISTING_SLICE], begin = 0;

    listing->source->write(listing, &listing->keys[at], count, wanted, &text, ends);
    for (size_t i = 0; i < count; i++) {
        if (ends[i] == begin)
            continue;
        evbuffer_add(request->out, ",", !*is_first);
        evbuffer_add(request->out, text.data + begin, ends[i] - begin);
        *is_first = false;
        begin = ends[i];
    }
    buffer_free(&text);
}

/* Write the rows FROM to TO; false when the client is gone. */
static bool send_rows(struct listing *listing, size_t from, size_t to)
{
    struct request *request = listing->request;
    struct columns wanted;
    bool is_first = true;
    size_t count;

    columns_parse(&wanted, request_query(request, "columns"));
    for (size_t at = from; at < to; at += count) {
        count = group(listing, at, to);
        if (listing->source->fetch || wanted.has_dots)
            send_slice(listing, at, count, &is_first);
        else
            send_text_slice(listing, at, count, &wanted, &is_first);
        if (evbuffer_get_length(request->out) > PART_SIZE && !reply_part(request))
            return false;
    }
    return true;
}

bool listing_is_whole(const struct request *request)
{
    return node_condition(request->server).run_state != NODE_STOPPING;
}

/* ---- pages ---- */

struct page {
    size_t number, size;
};

static bool parse_count(const char *text, size_t *out)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *out = value;
    return *text >= '0' && *text <= '9' && !*end && value < UINT32_MAX;
}

/* Returns false after answering. A size of 0: no pages were asked for. */
static bool parse_page(struct request *request, struct page *page)
{
    const char *number = request_query(request, "page"), *size = request_query(request, "page_size");

    *page = (struct page){0};
    if (!number)
        return true;
    page->size = PAGE_SIZE_DEFAULT;
    if (!parse_count(number, &page->number) || (size && !parse_count(size, &page->size))) {
        reply_bad_request(request, "Pagination parameters are invalid");
        return false;
    }
    if (page->number && page->size && page->size <= PAGE_SIZE_MAX)
        return true;
    reply_error(request, 400, "invalid_pagination_parameters",
                "Invalid pagination parameters: page number %zu, page size %s", page->number,
                size ? size : "undefined");
    return false;
}

/* As in RabbitMQ, the page after a last one that is full is there, and empty. */
static void send_page(struct listing *listing, const struct page *page, size_t total)
{
    struct request *request = listing->request;
    size_t from = (page->number - 1) * page->size, to = from + page->size;
    size_t pages = (listing->count + page->size - 1) / page->size;

    if (from > listing->count) {
        reply_error(request, 400, "page_out_of_range",
                    "Page out of range, page: %zu page size: %zu, len: %zu", page->number, page->size,
                    listing->count);
        return;
    }
    if (to > listing->count)
        to = listing->count;
    reply_begin(request, 200, "application/json");
    evbuffer_add_printf(request->out,
                        "{\"total_count\":%zu,\"filtered_count\":%zu,\"item_count\":%zu,\"page\":%zu,"
                        "\"page_size\":%zu,\"page_count\":%zu,\"items\":[",
                        total, listing->count, to - from, page->number, page->size, pages);
    if (send_rows(listing, from, to) && listing_is_whole(request))
        evbuffer_add_printf(request->out, "]}");
}

static void run(struct listing *listing)
{
    struct request *request = listing->request;
    struct page page = {0};
    size_t total;

    if ((!listing->source->is_not_paged && !parse_page(request, &page)) || !collect(listing))
        return;
    total = listing->count;
    if (page.size && !filter(listing))
        return;
    sort(listing);
    if (page.size) {
        send_page(listing, &page, total);
        return;
    }
    reply_begin(request, 200, "application/json");
    evbuffer_add_printf(request->out, "[");
    if (send_rows(listing, 0, listing->count) && listing_is_whole(request))
        evbuffer_add_printf(request->out, "]");
}

void listing_run(struct request *request, const struct listing_source *source, const char *vhost,
                 struct bytes argument)
{
    struct listing listing = {.request = request, .source = source, .vhost = vhost, .argument = argument};

    run(&listing);
    listing_clear(&listing);
}
