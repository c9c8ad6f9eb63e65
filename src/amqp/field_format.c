/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values and types as RabbitMQ's error texts show them. A string at the top is shown bare, anything nested as
 * an Erlang term: <<"a">> for strings, {Name,Type,Value} for the pairs of a table, {Type,Value} for elements
 * of an array.
 */
#include "coney/table.h"

#include <stdio.h>
#include <stdlib.h>

/* A text that is cut at SIZE and measured beyond, as snprintf does. */
struct text {
    char *out;
    size_t size;
    size_t used;
};

static void text_add(struct text *text, const void *data, size_t size)
{
    if (size != 0 && text->used < text->size) {
        size_t room = text->size - text->used;

        memcpy(text->out + text->used, data, size < room ? size : room);
    }
    text->used += size;
}

static void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

const char *field_type_name(uint8_t type)
{
    switch (type) {
    case FIELD_BOOL:
        return "bool";
    case FIELD_INT8:
        return "byte";
    case FIELD_UINT8:
        return "unsignedbyte";
    case FIELD_INT16:
    case FIELD_INT16_STRICT:
        return "short";
    case FIELD_UINT16:
        return "unsignedshort";
    case FIELD_INT32:
        return "signedint";
    case FIELD_UINT32:
        return "unsignedint";
    case FIELD_INT64:
    case FIELD_INT64_OLD:
        return "long";
    case FIELD_FLOAT:
        return "float";
    case FIELD_DOUBLE:
        return "double";
    case FIELD_DECIMAL:
        return "decimal";
    case FIELD_LONGSTR:
        return "longstr";
    case FIELD_ARRAY:
        return "array";
    case FIELD_TIMESTAMP:
        return "timestamp";
    case FIELD_TABLE:
        return "table";
    case FIELD_VOID:
        return "void";
    case FIELD_BINARY:
        return "binary";
    default:
        return "unknown";
    }
}

/* The shortest decimal that reads back as VALUE, with a point or exponent so that it is seen to be a float.
 */
static void format_double(struct text *text, double value)
{
    char digits[40];

    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_add_string(text, digits);
    if (digits[strspn(digits, "-0123456789")] == '\0')
        text_add_string(text, ".0");
}

static void format_number(struct text *text, const struct field *field)
{
    char digits[40];

    switch (field->type) {
    case FIELD_TIMESTAMP:
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)field->u);
        break;
    case FIELD_DECIMAL:
        snprintf(digits, sizeof digits, "{%u,%lu}", field->decimal.scale,
                 (unsigned long)field->decimal.value);
        break;
    default:
        snprintf(digits, sizeof digits, "%lld", (long long)field->i);
        break;
    }
    text_add_string(text, digits);
}

static void format_quoted(struct text *text, struct bytes bytes)
{
    text_add_string(text, "<<\"");
    text_add(text, bytes.data, bytes.size);
    text_add_string(text, "\">>");
}

static void format_value(struct text *text, const struct field *field, bool is_nested, unsigned depth_left);

static void format_container(struct text *text, const struct field *field, unsigned depth_left)
{
    struct table_iterator iterator = table_begin(field->bytes);
    const char *separator = "";
    struct field value;
    struct bytes name;

    text_add_string(text, "[");
    while (depth_left > 0 && (field->type == FIELD_ARRAY ? array_next(&iterator, &value)
                                                         : table_next(&iterator, &name, &value))) {
        text_add_string(text, separator);
        text_add_string(text, "{");
        if (field->type == FIELD_TABLE) {
            format_quoted(text, name);
            text_add_string(text, ",");
        }
        text_add_string(text, field_type_name(value.type));
        text_add_string(text, ",");
        format_value(text, &value, true, depth_left - 1);
        text_add_string(text, "}");
        separator = ",";
    }
    text_add_string(text, "]");
}

static void format_value(struct text *text, const struct field *field, bool is_nested, unsigned depth_left)
{
    switch (field->type) {
    case FIELD_BOOL:
        text_add_string(text, field->b ? "true" : "false");
        break;
    case FIELD_FLOAT:
    case FIELD_DOUBLE:
        format_double(text, field->d);
        break;
    case FIELD_LONGSTR:
    case FIELD_BINARY:
        if (is_nested)
            format_quoted(text, field->bytes);
        else
            text_add(text, field->bytes.data, field->bytes.size);
        break;
    case FIELD_ARRAY:
    case FIELD_TABLE:
        format_container(text, field, depth_left);
        break;
    case FIELD_VOID:
        text_add_string(text, "undefined");
        break;
    default:
        format_number(text, field);
        break;
    }
}

int field_format(char *out, size_t size, const struct field *field)
{
    struct text text = {out, size, 0};

    format_value(&text, field, false, TABLE_DEPTH_MAX);
    if (size > 0)
        out[text.used < size ? text.used : size - 1] = '\0';
    return text.used > INT32_MAX ? INT32_MAX : (int)text.used;
}
