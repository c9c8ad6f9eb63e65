/* SPDX-License-Identifier: Apache-2.0 */
/* values.h: text to numbers, lists, tables and properties. */
#include "values.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/properties.h"
#include "coney/table.h"
#include "coney/xalloc.h"

#define NAME_SIZE 256

static uint64_t scale_of(const char *suffix)
{
    static const struct {
        const char *name;
        uint64_t scale;
    } scales[] = {{"", 1}, {"k", 1000}, {"K", 1000}, {"M", 1000000}, {"G", 1000000000}};

    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        if (strcmp(suffix, scales[i].name) == 0)
            return scales[i].scale;
    return 0;
}

bool value_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    uint64_t number, scale;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    scale = scale_of(end);
    if (errno || !scale || number > max / scale)
        return false;
    *out = number * scale;
    return true;
}

bool value_decimal(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return end != text && *end == 0 && isfinite(*out);
}

bool value_truth(const char *text, bool *out)
{
    *out = strcmp(text, "true") == 0;
    return *out || strcmp(text, "false") == 0;
}

void value_list(const char *text, const char ***list, size_t *count)
{
    while (*text) {
        size_t size = strcspn(text, ",");

        if (size) {
            char *part = xmalloc(size + 1);

            memcpy(part, text, size);
            part[size] = 0;
            *list = xrealloc(*list, (*count + 1) * sizeof **list);
            (*list)[(*count)++] = part;
        }
        text += size + (text[size] == ',');
    }
}

/* Take the next NAME=VALUE from *TEXT: 1, 0 at the end, -1 when it is none. */
static int next_pair(const char **text, char name[NAME_SIZE], char **value)
{
    size_t size = strcspn(*text, ","), name_size = strcspn(*text, "=,");

    if (!**text)
        return 0;
    if (name_size == 0 || name_size >= size || name_size >= NAME_SIZE)
        return -1;
    memcpy(name, *text, name_size);
    name[name_size] = 0;
    *value = xmalloc(size - name_size);
    memcpy(*value, *text + name_size + 1, size - name_size - 1);
    (*value)[size - name_size - 1] = 0;
    *text += size + ((*text)[size] == ',');
    return 1;
}

static void put_value(struct table_builder *builder, const char *name, const char *value)
{
    char *end;
    long long number;
    bool truth;

    errno = 0;
    number = strtoll(value, &end, 10);
    if (*value && *end == 0 && !errno)
        table_put_int(builder, name, number);
    else if (value_truth(value, &truth))
        table_put_bool(builder, name, truth);
    else
        table_put_longstr(builder, name, bytes_from_string(value));
}

bool value_table(const char *text, struct buffer *out)
{
    struct table_builder builder = table_builder_init(out);
    char name[NAME_SIZE], *value;
    int found;

    while ((found = next_pair(&text, name, &value)) > 0) {
        put_value(&builder, name, value);
        free(value);
    }
    return found == 0;
}

/* "contentType" is content_type: PerfTest has the names of its language. */
static void unbend(char out[NAME_SIZE], const char *name)
{
    size_t size = 0;

    for (; *name && size < NAME_SIZE - 2; name++) {
        if (isupper((unsigned char)*name))
            out[size++] = '_';
        out[size++] = (char)tolower((unsigned char)*name);
    }
    out[size] = 0;
}

static bool put_number(struct properties *properties, const char *name, const char *value, bool *is_sound)
{
    bool is_mode = strcmp(name, "delivery_mode") == 0, is_time = strcmp(name, "timestamp") == 0;
    uint64_t number = 0;

    if (!is_mode && !is_time && strcmp(name, "priority") != 0)
        return false;
    *is_sound = value_number(value, is_time ? UINT64_MAX : is_mode ? 2 : UINT8_MAX, &number);
    if (is_time)
        properties->timestamp = number;
    else if (is_mode)
        properties->delivery_mode = (uint8_t)number;
    else
        properties->priority = (uint8_t)number;
    properties->flags |= is_time ? PROPERTY_TIMESTAMP : is_mode ? PROPERTY_DELIVERY_MODE : PROPERTY_PRIORITY;
    return true;
}

/* VALUE becomes part of PROPERTIES if NAME is that of a text. */
static bool put_text(struct properties *properties, const char *name, const char *value, bool *is_sound)
{
    for (size_t i = 0; i < PROPERTY_TEXTS; i++) {
        if (strcmp(property_texts[i].name, name) != 0)
            continue;
        *is_sound = strlen(value) <= SHORTSTR_MAX;
        *property_text(properties, &property_texts[i]) = bytes_from_string(value);
        properties->flags |= property_texts[i].flag;
        return true;
    }
    return false;
}

#define VALUES_MAX 32

bool value_properties(const char *text, bool is_persistent, struct buffer *out, struct buffer *headers,
                      char wrong[64])
{
    struct properties properties = {0};
    struct table_builder builder = table_builder_init(headers);
    char name[NAME_SIZE], plain[NAME_SIZE], *values[VALUES_MAX];
    size_t count = 0;
    bool is_sound = true;
    int found = 0;

    while (text && is_sound && count < VALUES_MAX && (found = next_pair(&text, name, &values[count])) > 0) {
        const char *value = values[count++];

        unbend(plain, name);
        if (!put_text(&properties, plain, value, &is_sound) &&
            !put_number(&properties, plain, value, &is_sound))
            put_value(&builder, name, value);
        snprintf(wrong, 64, "%s", name);
    }
    if (found < 0)
        snprintf(wrong, 64, "%s", text);
    if (is_persistent && !(properties.flags & PROPERTY_DELIVERY_MODE)) {
        properties.flags |= PROPERTY_DELIVERY_MODE;
        properties.delivery_mode = DELIVERY_MODE_PERSISTENT;
    }
    if (headers->size)
        properties.flags |= PROPERTY_HEADERS;
    properties.headers = buffer_bytes(headers);
    properties_encode(out, &properties);
    while (count)
        free(values[--count]);
    return is_sound && found >= 0;
}
