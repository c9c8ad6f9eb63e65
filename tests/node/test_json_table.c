/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as field tables (management-http-api.md 1.1).
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "coney/json_table.h"
#include "coney/table.h"

static struct buffer out;
static char why[128];

/* Convert TEXT; the table is in OUT. */
static bool convert(const char *text)
{
    json_t *object = json_loads(text, JSON_ALLOW_NUL, NULL);
    bool done;

    cr_assert_not_null(object, "%s", text);
    buffer_clear(&out);
    done = table_from_json(&out, object, why, sizeof why);
    json_decref(object);
    return done;
}

static struct field get(const char *name)
{
    struct field field = {0};

    cr_assert(table_get(buffer_bytes(&out), name, &field), "%s", name);
    return field;
}

Test(json_table, values_become_the_fields_rabbitmq_makes)
{
    cr_assert(
        convert("{\"int\":5000000000,\"neg\":-1,\"real\":1.5,\"str\":\"a\\u0000b\",\"yes\":true,\"no\":false,"
                "\"null\":null,\"obj\":{\"k\":1},\"arr\":[1,\"x\",{\"d\":[]}],\"empty\":{}}"));
    cr_assert(table_is_valid(buffer_bytes(&out), TABLE_DEPTH_MAX));
    cr_expect_eq(get("int").type, FIELD_INT64);
    cr_expect_eq(get("int").i, 5000000000);
    cr_expect_eq(get("neg").i, -1);
    cr_expect_eq(get("real").type, FIELD_DOUBLE);
    cr_expect_float_eq(get("real").d, 1.5, 1e-12);
    cr_expect_eq(get("str").type, FIELD_LONGSTR);
    cr_expect_eq(get("str").bytes.size, 3);
    cr_expect(get("yes").type == FIELD_BOOL && get("yes").b);
    cr_expect(get("no").type == FIELD_BOOL && !get("no").b);
    cr_expect_eq(get("null").type, FIELD_VOID);
    cr_expect_eq(get("obj").type, FIELD_TABLE);
    cr_expect_eq(get("arr").type, FIELD_ARRAY);
    cr_expect_eq(get("empty").bytes.size, 0);
    buffer_free(&out);
}

Test(json_table, nested_values_are_where_they_were)
{
    struct table_iterator array;
    struct field field, inner;

    cr_assert(convert("{\"arr\":[1.0,null,{\"d\":\"e\"}]}"));
    array = array_begin(get("arr").bytes);
    cr_assert(array_next(&array, &field));
    cr_expect_eq(field.type, FIELD_DOUBLE);
    cr_assert(array_next(&array, &field));
    cr_expect_eq(field.type, FIELD_VOID);
    cr_assert(array_next(&array, &field));
    cr_assert(table_get(field.bytes, "d", &inner));
    cr_expect(bytes_equal_string(inner.bytes, "e"));
    cr_expect_not(array_next(&array, &field));
    buffer_free(&out);
}

Test(json_table, what_does_not_fit_is_refused)
{
    char text[512];

    snprintf(text, sizeof text, "{\"a\":1,\"%0300d\":1}", 0);
    cr_expect_not(convert(text));
    cr_expect_str_eq(why, "name '00000000000000000000...' is longer than 255 octets");
    cr_expect_eq(out.size, 0);
    cr_expect(convert("{\"1\":[[[[[[[[]]]]]]]]}"));
    cr_expect_not(convert("{\"1\":[[[[[[[[[]]]]]]]]]}"));
    cr_expect_str_eq(why, "nested deeper than 8 levels");
    buffer_free(&out);
}

/* ---- back ---- */

static void expect_json(json_t *value, const char *text)
{
    char *dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

    cr_expect_str_eq(dumped, text);
    free(dumped);
    json_decref(value);
}

Test(json_table, what_came_from_json_comes_back)
{
    static const char text[] =
        "{\"a\":[1,\"x\",{\"d\":[]}],\"i\":-5,\"n\":null,\"r\":1.5,\"s\":\"\u00e4\",\"t\":true}";

    cr_assert(convert(text));
    expect_json(json_from_table(buffer_bytes(&out), JSON_READABLE), text);
    expect_json(json_from_table(buffer_bytes(&out), JSON_EXACT), text);
    buffer_free(&out);
}

Test(json_table, what_json_cannot_say_is_readable_or_exact)
{
    static const struct {
        struct bytes table;
        const char *readable, *exact;
    } cases[] = {
        {BYTES_LITERAL("\1aS\0\0\0\2a\xff"), "{\"a\":\"a\ufffd\"}", "{\"a\":{\"base64\":\"Yf8=\"}}"},
        {BYTES_LITERAL("\1ax\0\0\0\1b"), "{\"a\":\"b\"}", "{\"a\":{\"base64\":\"Yg==\"}}"},
        {BYTES_LITERAL("\1at\1\1at\0"), "{\"a\":false}", "{\"base64\":\"AWF0AQFhdAA=\"}"},
        {BYTES_LITERAL("\1\xfft\1"), "{\"\ufffd\":true}", "{\"base64\":\"Af90AQ==\"}"},
        {BYTES_LITERAL("\2a\0t\1"), "{\"a\":true}", "{\"base64\":\"AmEAdAE=\"}"},
        {BYTES_LITERAL("\1af\x7f\xc0\0\0"), "{\"a\":null}", "{\"a\":null}"},
        {BYTES_LITERAL("\1aD\2\0\0\0\x7d"), "{\"a\":1.25}", "{\"a\":1.25}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_json(json_from_table(cases[i].table, JSON_READABLE), cases[i].readable);
        expect_json(json_from_table(cases[i].table, JSON_EXACT), cases[i].exact);
    }
}

Test(json_table, properties_by_their_names)
{
    expect_json(json_from_properties(BYTES_LITERAL("\x91\0\1t\2\2\xffx"), JSON_READABLE),
                "{\"content_type\":\"t\",\"delivery_mode\":2,\"expiration\":\"\ufffdx\"}");
    expect_json(json_from_properties(BYTES_LITERAL("\x91\0\1t\2\2\xffx"), JSON_EXACT),
                "{\"content_type\":\"t\",\"delivery_mode\":2,\"expiration\":{\"base64\":\"/3g=\"}}");
    expect_json(json_from_properties(BYTES_LITERAL("\x80\0\2t"), JSON_READABLE), "{}");
    expect_json(json_from_properties(BYTES_LITERAL("\x80\0\2t"), JSON_EXACT), "{\"base64\":\"gAACdA==\"}");
}
