/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_text.h. Numbers are written by hand: with many queues there are a million of them in one answer,
 * and printf would take most of its time.
 */
#include "metrics_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PART_SIZE ((size_t)192 << 10) /* what is sent at once */

/* ---- octets ---- */

void metrics_flush(struct metrics_text *text)
{
    struct evbuffer *out = text->request->out;

    if (!text->is_gone)
        evbuffer_add(out, text->buffer, text->used);
    text->written += text->used;
    text->used = 0;
    if (!text->is_gone && evbuffer_get_length(out) >= PART_SIZE)
        text->is_gone = !reply_part(text->request);
}

static void add(struct metrics_text *text, const char *octets, size_t size)
{
    while (size) {
        size_t part = size < METRIC_BUFFER - text->used ? size : METRIC_BUFFER - text->used;

        memcpy(text->buffer + text->used, octets, part);
        text->used += part;
        octets += part;
        size -= part;
        if (text->used == METRIC_BUFFER)
            metrics_flush(text);
    }
}

static void add_text(struct metrics_text *text, const char *octets)
{
    add(text, octets, strlen(octets));
}

/* ---- families ---- */

void metrics_family(struct metrics_text *text, enum metric_type type, const char *name, const char *help)
{
    static const char *const types[] = {
        [METRIC_GAUGE] = "gauge",         [METRIC_COUNTER] = "counter", [METRIC_UNTYPED] = "untyped",
        [METRIC_HISTOGRAM] = "histogram", [METRIC_SUMMARY] = "summary",
    };

    text->name_size =
        (size_t)snprintf(text->name, sizeof text->name, "%s%s", text->prefix ? text->prefix : "", name);
    add_text(text, "# TYPE ");
    add(text, text->name, text->name_size);
    add_text(text, " ");
    add_text(text, types[type]);
    add_text(text, "\n# HELP ");
    add(text, text->name, text->name_size);
    add_text(text, " ");
    add_text(text, help);
    add_text(text, "\n");
}

/* ---- samples ---- */

static void put_head(struct metrics_text *text, const char *suffix, const char *labels)
{
    add(text, text->name, text->name_size);
    add_text(text, suffix);
    if (*labels) {
        add(text, "{", 1);
        add_text(text, labels);
        add(text, "}", 1);
    }
    add(text, " ", 1);
}

void metrics_put(struct metrics_text *text, const char *labels, uint64_t value)
{
    char digits[24], *at = digits + sizeof digits;

    put_head(text, "", labels);
    *--at = '\n';
    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    add(text, at, (size_t)(digits + sizeof digits - at));
}

void metrics_put_suffixed(struct metrics_text *text, const char *suffix, const char *labels, double value)
{
    char digits[40];

    put_head(text, suffix, labels);
    if (isnan(value))
        snprintf(digits, sizeof digits, "NaN\n");
    else if (value == floor(value) && fabs(value) < 1e15)
        snprintf(digits, sizeof digits, "%.0f\n", value);
    else
        snprintf(digits, sizeof digits, "%.9g\n", value);
    add_text(text, digits);
}

void metrics_put_real(struct metrics_text *text, const char *labels, double value)
{
    metrics_put_suffixed(text, "", labels, value);
}

void metrics_one(struct metrics_text *text, enum metric_type type, const char *name, const char *help,
                 uint64_t value)
{
    metrics_family(text, type, name, help);
    metrics_put(text, "", value);
}

void metrics_one_real(struct metrics_text *text, enum metric_type type, const char *name, const char *help,
                      double value)
{
    metrics_family(text, type, name, help);
    metrics_put_real(text, "", value);
}

/* ---- labels ---- */

#define REPLACEMENT   "\xEF\xBF\xBD" /* U+FFFD */
#define ESCAPED_MAX   5              /* what one octet becomes at most */
#define CHARACTER_MAX 4

/* Octets of the character that TEXT begins with; 0: it is none, or one that stands for such. */
static size_t character(struct bytes text)
{
    uint8_t first = text.data[0];
    size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : CHARACTER_MAX;

    if (first < 0x80)
        return first != 0;
    if (size > text.size || (size == 3 && memcmp(text.data, REPLACEMENT, 3) == 0))
        return 0;
    return utf8_is_valid((struct bytes){text.data, size}) ? size : 0;
}

static char *put_octets(char *at, const void *octets, size_t size)
{
    memcpy(at, octets, size);
    return at + size;
}

static char *put_escaped(char *at, uint8_t octet)
{
    if (octet == '\n')
        return put_octets(at, "\\n", 2);
    if (octet == '"' || octet == '\\')
        *at++ = '\\';
    *at++ = (char)octet;
    return at;
}

static char *put_stranger(char *at, uint8_t octet)
{
    static const char digits[] = "0123456789ABCDEF";

    at = put_octets(at, REPLACEMENT, sizeof REPLACEMENT - 1);
    *at++ = digits[octet >> 4];
    *at++ = digits[octet & 15];
    return at;
}

static char *put_value(char *at, struct bytes value)
{
    while (value.size) {
        size_t size = character(value);

        if (size == 1)
            at = put_escaped(at, *value.data);
        else if (size)
            at = put_octets(at, value.data, size);
        else
            at = put_stranger(at, *value.data);
        size += !size;
        value.data += size;
        value.size -= size;
    }
    return at;
}

const char *metrics_label(struct arena *arena, const char *before, const char *name, struct bytes value)
{
    size_t before_size = strlen(before), name_size = strlen(name);
    char *label = arena_alloc(arena, before_size + name_size + value.size * ESCAPED_MAX + sizeof ",=\"\"");
    char *at = put_octets(label, before, before_size);

    if (before_size)
        *at++ = ',';
    at = put_octets(at, name, name_size);
    at = put_octets(at, "=\"", 2);
    at = put_value(at, value);
    put_octets(at, "\"", 2);
    return label;
}
