/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as text. For Erlang's notation a JSON value first becomes a tree of terms, again of JSON: an array
 * is a list, a string a binary, {"t": [...]} a tuple and {"a": "..."} an atom; the printer knows nothing of
 * kinds.
 */
#include "terms.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"

/* Erlang's ~p: a term stays on its line if it is not wider than this and ends before the last column. */
#define TERM_WIDTH  60
#define TERM_COLUMN 80

void put_text(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

/* --- escaping ------------------------------------------------------------------------------------------- */

/* Octets of the character at TEXT if it is a whole one of UTF-8, else 0. */
static size_t utf8_size(const unsigned char *at, size_t left)
{
    size_t size = *at < 0x80             ? 1
                  : (*at & 0xe0) == 0xc0 ? 2
                  : (*at & 0xf0) == 0xe0 ? 3
                  : (*at & 0xf8) == 0xf0 ? 4
                                         : 0;

    if (size == 0 || size > left || *at == 0xc0 || *at == 0xc1)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* C1 controls (U+0080 to U+009F) drive terminals too, and so do marks that turn the direction of text. */
static bool is_control(const unsigned char *at, size_t size)
{
    if (size == 1)
        return *at < 0x20 || *at == 0x7f;
    if (size == 2)
        return at[0] == 0xc2 && at[1] < 0xa0;
    if (size == 3 && at[0] == 0xe2)
        return (at[1] == 0x80 && ((at[2] >= 0x8e && at[2] <= 0x8f) || (at[2] >= 0xa8 && at[2] <= 0xae))) ||
               (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9);
    return false;
}

/* The number of a control character of SIZE octets; all of them have at most three. */
static unsigned code_point(const unsigned char *at, size_t size)
{
    if (size == 1)
        return at[0];
    return size == 2 ? (at[0] & 0x1fU) << 6 | (at[1] & 0x3fU)
                     : (at[0] & 0xfU) << 12 | (at[1] & 0x3fU) << 6 | (at[2] & 0x3fU);
}

/* SIZE octets at AT, which are no whole character if SIZE is 0. Returns how many were written. */
static size_t put_escaped(struct buffer *out, const unsigned char *at, size_t size, enum term_escape how)
{
    char shown[8];

    if (size > 0 && how == TERM_IN_JSON) {
        snprintf(shown, sizeof shown, "\\u%04x", code_point(at, size));
        put_text(out, shown);
        return size;
    }
    size = size > 0 ? size : 1;
    for (size_t i = 0; i < size; i++) {
        snprintf(shown, sizeof shown, "\\%03o", at[i]);
        put_text(out, shown);
    }
    return size;
}

void term_escape(struct buffer *out, const char *text, size_t size, enum term_escape how)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + size;

    while (at < end) {
        size_t length = utf8_size(at, (size_t)(end - at));
        bool is_kept = how != TERM_ONE_LINE && (*at == '\n' || *at == '\t');

        if (length > 0 && (is_kept || !is_control(at, length))) {
            buffer_append(out, at, length);
            at += length;
        } else {
            at += put_escaped(out, at, length, how);
        }
    }
}

size_t term_width(const void *text, size_t size)
{
    const unsigned char *at = text;
    size_t width = 0;

    for (size_t i = 0; i < size; i++)
        width += (at[i] & 0xc0) != 0x80;
    return width;
}

/* --- cells ---------------------------------------------------------------------------------------------- */

/* The shortest text that reads back as the same number, with a point in it. */
static void put_real(struct buffer *out, double number)
{
    char shown[40];

    for (int digits = 1; digits <= 17; digits++) {
        snprintf(shown, sizeof shown, "%.*g", digits, number);
        if (strtod(shown, NULL) == number)
            break;
    }
    put_text(out, shown);
    if (!strpbrk(shown, ".en"))
        put_text(out, ".0");
}

/* Numbers, true, false; nothing for null. */
static void put_scalar(struct buffer *out, const json_t *value)
{
    char number[24];

    switch (json_typeof(value)) {
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        put_text(out, number);
        break;
    case JSON_REAL:
        put_real(out, json_real_value(value));
        break;
    case JSON_TRUE:
        put_text(out, "true");
        break;
    case JSON_FALSE:
        put_text(out, "false");
        break;
    default:
        break;
    }
}

static void put_string(struct buffer *out, const json_t *value)
{
    term_escape(out, json_string_value(value), json_string_length(value), TERM_ONE_LINE);
}

static void put_table(struct buffer *out, const json_t *table);

/* A string in quotes, with the escapes that such a string needs. */
static void put_quoted(struct buffer *out, const char *text, size_t size)
{
    static const char special[] = "\"\\\t\n\r", letters[] = "\"\\tnr";

    put_text(out, "\"");
    for (size_t i = 0, from = 0; i <= size; i++) {
        const char *found = i < size && text[i] ? strchr(special, text[i]) : NULL;

        if (!found && i < size)
            continue;
        term_escape(out, text + from, i - from, TERM_ONE_LINE);
        if (found) {
            put_text(out, "\\");
            buffer_append(out, &letters[found - special], 1);
        }
        from = i + 1;
    }
    put_text(out, "\"");
}

/* A value inside of a table: strings in quotes. */
static void put_in_table(struct buffer *out, const json_t *value)
{
    if (json_is_string(value)) {
        put_quoted(out, json_string_value(value), json_string_length(value));
    } else if (json_is_object(value)) {
        put_table(out, value);
    } else if (json_is_array(value)) {
        size_t i;
        json_t *item;

        put_text(out, "[");
        json_array_foreach(value, i, item)
        {
            put_text(out, i ? "," : "");
            put_in_table(out, item);
        }
        put_text(out, "]");
    } else {
        put_scalar(out, value);
    }
}

static void put_table(struct buffer *out, const json_t *table)
{
    const char *key, *comma = "";
    json_t *value;

    put_text(out, "[");
    json_object_foreach((json_t *)(uintptr_t)table, key, value)
    {
        put_text(out, comma);
        put_text(out, "{");
        put_quoted(out, key, strlen(key));
        put_text(out, ",");
        put_in_table(out, value);
        put_text(out, "}");
        comma = ",";
    }
    put_text(out, "]");
}

static void put_proplist(struct buffer *out, const json_t *object)
{
    const char *key, *comma = "";
    json_t *value;

    put_text(out, "[");
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        put_text(out, comma);
        put_text(out, "{");
        term_escape(out, key, strlen(key), TERM_ONE_LINE);
        put_text(out, ", ");
        term_cell(out, value, TERM_PLAIN);
        put_text(out, "}");
        comma = ", ";
    }
    put_text(out, "]");
}

static void put_list(struct buffer *out, const json_t *list)
{
    size_t i;
    json_t *item;

    put_text(out, "[");
    json_array_foreach(list, i, item)
    {
        put_text(out, i ? ", " : "");
        term_cell(out, item, TERM_PLAIN);
    }
    put_text(out, "]");
}

void term_put_json(struct buffer *out, const json_t *value, size_t flags)
{
    char *shown = json_dumps(value, flags | JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

    if (shown)
        term_escape(out, shown, strlen(shown), TERM_IN_JSON);
    free(shown);
}

/* The three numbers of "AMQP 0-9-1". */
static bool is_protocol(const json_t *value, int version[3])
{
    const char *at = json_is_string(value) ? json_string_value(value) : "";
    char *end;

    if (strncmp(at, "AMQP ", 5) != 0)
        return false;
    at += 4;
    for (int i = 0; i < 3; i++, at = end) {
        if (*at != (i ? '-' : ' '))
            return false;
        version[i] = (int)strtol(at + 1, &end, 10);
        if (end == at + 1)
            return false;
    }
    return !*at;
}

/* "AMQP 0-9-1" -> {0,9,1}; anything else as it is. */
static void put_protocol(struct buffer *out, const json_t *value)
{
    int version[3];
    char shown[40];

    if (!is_protocol(value, version)) {
        term_cell(out, value, TERM_PLAIN);
        return;
    }
    snprintf(shown, sizeof shown, "{%d,%d,%d}", version[0], version[1], version[2]);
    put_text(out, shown);
}

void term_cell(struct buffer *out, const json_t *value, enum term_kind kind)
{
    if (!value || json_is_null(value))
        return;
    if (kind == TERM_JSON)
        term_put_json(out, value, JSON_SORT_KEYS);
    else if (kind == TERM_PROTOCOL && json_is_string(value))
        put_protocol(out, value);
    else if (json_is_object(value) && kind == TERM_PROPLIST)
        put_proplist(out, value);
    else if (json_is_object(value))
        put_table(out, value);
    else if (json_is_array(value) && kind == TERM_TABLE && json_array_size(value) == 0)
        put_text(out, "[]"); /* how RabbitMQ sends an empty table */
    else if (json_is_array(value))
        put_list(out, value);
    else if (json_is_string(value))
        put_string(out, value);
    else
        put_scalar(out, value);
}

/* --- JSON ----------------------------------------------------------------------------------------------- */

static const char *amqp_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "table";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "longstr";
    case JSON_INTEGER:
        return "long";
    case JSON_REAL:
        return "double";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    default:
        return "void";
    }
}

static json_t *table_json(json_t *table);

static json_t *table_value_json(json_t *value)
{
    json_t *list, *item;
    size_t i;

    if (json_is_object(value))
        return table_json(value);
    if (!json_is_array(value))
        return json_incref(value);
    list = json_array();
    json_array_foreach(value, i, item)
    {
        json_array_append_new(list, json_pack("[so]", amqp_type(item), table_value_json(item)));
    }
    return list;
}

/* [["x-max-length","long",500], ...], as rabbitmqctl shows tables. */
static json_t *table_json(json_t *table)
{
    json_t *list = json_array(), *value;
    const char *key;

    json_object_foreach(table, key, value)
    {
        json_array_append_new(list, json_pack("[sso]", key, amqp_type(value), table_value_json(value)));
    }
    return list;
}

json_t *term_json(json_t *value, enum term_kind kind)
{
    struct buffer shown = {0};
    json_t *string;
    int version[3];

    if (!value || json_is_null(value))
        return json_string("");
    if (kind == TERM_PROTOCOL && is_protocol(value, version))
        return json_pack("[iii]", version[0], version[1], version[2]);
    if (kind == TERM_TABLE && json_is_object(value))
        return table_json(value);
    if (kind != TERM_JSON)
        return json_incref(value);
    term_put_json(&shown, value, JSON_SORT_KEYS);
    string = json_stringn((const char *)shown.data, shown.size);
    buffer_free(&shown);
    return string;
}

/* --- Erlang --------------------------------------------------------------------------------------------- */

static json_t *atom(const char *name)
{
    return json_pack("{s:s}", "a", name);
}

static json_t *erlang_tree(const json_t *value, enum term_kind kind);

static json_t *table_tree(const json_t *table)
{
    json_t *list = json_array(), *value;
    const char *key;

    json_object_foreach((json_t *)(uintptr_t)table, key, value)
    {
        json_array_append_new(
            list, json_pack("{s:[s,o,o]}", "t", key, atom(amqp_type(value)), erlang_tree(value, TERM_TABLE)));
    }
    return list;
}

static json_t *proplist_tree(const json_t *object)
{
    json_t *list = json_array(), *value;
    const char *key;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        json_array_append_new(list, json_pack("{s:[o,o]}", "t", atom(key), erlang_tree(value, TERM_ATOM)));
    }
    return list;
}

static json_t *list_tree(const json_t *items, enum term_kind kind)
{
    json_t *list = json_array(), *item;
    size_t i;

    json_array_foreach(items, i, item)
    {
        json_array_append_new(list, erlang_tree(item, kind));
    }
    return list;
}

static json_t *erlang_tree(const json_t *value, enum term_kind kind)
{
    struct buffer shown = {0};
    json_t *made;

    if (!value || json_is_null(value))
        return json_string("");
    if (kind == TERM_JSON || kind == TERM_PROTOCOL) {
        term_cell(&shown, value, kind);
        made = json_stringn(shown.size ? (const char *)shown.data : "", shown.size);
        buffer_free(&shown);
        return made;
    }
    if (json_is_string(value) && kind == TERM_ATOM)
        return atom(json_string_value(value));
    if (json_is_object(value))
        return kind == TERM_PROPLIST || kind == TERM_ATOM ? proplist_tree(value) : table_tree(value);
    if (json_is_array(value))
        return list_tree(value, kind == TERM_PROPLIST ? TERM_ATOM : kind);
    return json_deep_copy(value);
}

static bool is_plain_atom(const char *name)
{
    if (*name < 'a' || *name > 'z')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@") == strlen(name);
}

static void put_atom(struct buffer *out, const char *name)
{
    const char *quote = is_plain_atom(name) ? "" : "'";

    put_text(out, quote);
    term_escape(out, name, strlen(name), TERM_ONE_LINE);
    put_text(out, quote);
}

static void put_tree(struct buffer *out, const json_t *tree);

static void put_trees(struct buffer *out, const json_t *items, const char *open, const char *close)
{
    size_t i;
    json_t *item;

    put_text(out, open);
    json_array_foreach(items, i, item)
    {
        put_text(out, i ? "," : "");
        put_tree(out, item);
    }
    put_text(out, close);
}

/* On one line. */
static void put_tree(struct buffer *out, const json_t *tree)
{
    if (json_is_array(tree)) {
        put_trees(out, tree, "[", "]");
    } else if (json_is_string(tree)) {
        put_text(out, "<<");
        if (json_string_length(tree) > 0)
            put_quoted(out, json_string_value(tree), json_string_length(tree));
        put_text(out, ">>");
    } else if (json_object_get(tree, "a")) {
        put_atom(out, json_string_value(json_object_get(tree, "a")));
    } else if (json_object_get(tree, "t")) {
        put_trees(out, json_object_get(tree, "t"), "{", "}");
    } else {
        put_scalar(out, tree);
    }
}

static void put_spaces(struct buffer *out, size_t count)
{
    while (count-- > 0)
        put_text(out, " ");
}

/* On as many lines as it takes, COLUMN being where the first begins. */
static void put_pretty(struct buffer *out, const json_t *tree, size_t column)
{
    struct buffer flat = {0};
    const json_t *parts = json_is_array(tree) ? tree : json_object_get(tree, "t");
    size_t i, width, at = column + 1;
    json_t *part;

    put_tree(&flat, tree);
    width = term_width(flat.data, flat.size);
    if (!parts || (width <= TERM_WIDTH && column + width <= TERM_COLUMN)) {
        buffer_append(out, flat.data, flat.size);
        buffer_free(&flat);
        return;
    }
    put_text(out, json_is_array(tree) ? "[" : "{");
    json_array_foreach(parts, i, part)
    {
        bool is_pair_value = !json_is_array(tree) && i > 0;

        if (i > 0)
            put_text(out, is_pair_value ? "," : ",\n");
        if (i > 0 && !is_pair_value)
            put_spaces(out, at);
        buffer_clear(&flat);
        put_tree(&flat, part);
        put_pretty(out, part, at);
        if (!json_is_array(tree))
            at += term_width(flat.data, flat.size) + 1;
    }
    put_text(out, json_is_array(tree) ? "]" : "}");
    buffer_free(&flat);
}

void term_erlang_pair(struct buffer *out, const char *key, const json_t *value, enum term_kind kind,
                      size_t column)
{
    json_t *tree = json_pack("{s:[o,o]}", "t", atom(key), erlang_tree(value, kind));

    put_pretty(out, tree, column);
    json_decref(tree);
}
