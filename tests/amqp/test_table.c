/* SPDX-License-Identifier: Apache-2.0 */
/* Reading field tables: every type, every truncation, nesting, and octets that mean harm. */
#include <criterion/criterion.h>
#include <math.h>

#include "coney/table.h"
#include "hostile.h"

#define TYPES "tbBsuUIilLfdDSATFVx"

/* A pair "k" with a value of each type, in the order of TYPES. */
static const struct bytes pairs[] = {
    BYTES_LITERAL("\1kt\2"),
    BYTES_LITERAL("\1kb\xff"),
    BYTES_LITERAL("\1kB\xff"),
    BYTES_LITERAL("\1ks\xff\xfe"),
    BYTES_LITERAL("\1ku\xff\xfe"),
    BYTES_LITERAL("\1kU\xff\xfd"),
    BYTES_LITERAL("\1kI\xff\xff\xff\xfc"),
    BYTES_LITERAL("\1ki\xff\xff\xff\xfc"),
    BYTES_LITERAL("\1kl\x80\0\0\0\0\0\0\1"),
    BYTES_LITERAL("\1kL\xff\xff\xff\xff\xff\xff\xff\xff"),
    BYTES_LITERAL("\1kf\x3f\xc0\0\0"),
    BYTES_LITERAL("\1kd\xbf\xf8\0\0\0\0\0\0"),
    BYTES_LITERAL("\1kD\2\0\0\1\x2c"),
    BYTES_LITERAL("\1kS\0\0\0\3a\0b"),
    BYTES_LITERAL("\1kA\0\0\0\5t\1b\7V"),
    BYTES_LITERAL("\1kT\0\0\0\0\1\2\3\4"),
    BYTES_LITERAL("\1kF\0\0\0\4\1nt\1"),
    BYTES_LITERAL("\1kV"),
    BYTES_LITERAL("\1kx\0\0\0\2\xff\0"),
};

static struct field value_of(char type)
{
    struct field field = {0};

    cr_assert(table_get(pairs[strchr(TYPES, type) - TYPES], "k", &field));
    cr_assert_eq(field.type, type);
    return field;
}

/* DEPTH levels of tables (or arrays) inside each other, the outermost, which is a table, counted. */
static void append_nested(struct buffer *out, unsigned depth, char type)
{
    size_t header = type == FIELD_TABLE ? 6 : 5; /* name, type, length */
    size_t size = (depth - 1) * header + (type == FIELD_ARRAY && depth > 1 ? 1 : 0);

    for (unsigned level = 1; level < depth; level++) {
        bool has_name = type == FIELD_TABLE || level == 1;

        size -= has_name ? 6 : 5;
        if (has_name)
            buffer_append(out, "", 1);
        buffer_append(out, &type, 1);
        put_u32(buffer_reserve(out, 4), (uint32_t)size);
        out->size += 4;
    }
}

Test(table, values_of_every_type_read_as_sent)
{
    int64_t integer;

    cr_expect(value_of('t').b);
    cr_expect_eq(value_of('b').i, -1);
    cr_expect_eq(value_of('B').i, 255);
    cr_expect_eq(value_of('s').i, -2);
    cr_expect_eq(value_of('u').i, 65534);
    cr_expect_eq(value_of('U').i, -3);
    cr_expect_eq(value_of('I').i, -4);
    cr_expect_eq(value_of('i').i, 4294967292);
    cr_expect_eq(value_of('l').i, INT64_MIN + 1);
    cr_expect_eq(value_of('L').i, -1);
    cr_expect_eq(value_of('f').d, 1.5);
    cr_expect_eq(value_of('d').d, -1.5);
    cr_expect_eq(value_of('D').decimal.scale, 2);
    cr_expect_eq(value_of('D').decimal.value, 300);
    cr_expect(bytes_equal(value_of('S').bytes, BYTES_LITERAL("a\0b")));
    cr_expect(bytes_equal(value_of('x').bytes, BYTES_LITERAL("\xff\0")));
    cr_expect_eq(value_of('T').u, 0x01020304);
    cr_expect_eq(value_of('V').raw.size, 1);
    for (const char *type = TYPES; *type != '\0'; type++) {
        struct field field = value_of(*type);

        cr_expect_eq(field_is_integer(&field, &integer), strchr("bBsuUIilL", *type) != NULL, "%c", *type);
        cr_expect(bytes_equal(field.raw, (struct bytes){pairs[type - (TYPES)].data + 2, field.raw.size}));
        cr_expect_eq(field.raw.size + 2, pairs[strchr(TYPES, *type) - (TYPES)].size);
    }
}

Test(table, containers_read_as_sent)
{
    struct field array = value_of('A');
    struct field table = value_of('F');
    struct table_iterator iterator = array_begin(array.bytes);
    struct field field;

    cr_assert(array_next(&iterator, &field));
    cr_expect(field.type == FIELD_BOOL && field.b);
    cr_assert(array_next(&iterator, &field));
    cr_expect(field.type == FIELD_INT8 && field.i == 7);
    cr_assert(array_next(&iterator, &field));
    cr_expect_eq(field.type, FIELD_VOID);
    cr_expect_not(array_next(&iterator, &field));

    cr_assert(table_get(table.bytes, "n", &field));
    cr_expect(field.type == FIELD_BOOL && field.b);
}

Test(table, nan_and_infinity_are_values)
{
    struct field field;

    cr_assert(table_is_valid(BYTES_LITERAL("\1kf\x7f\xc0\0\0"), TABLE_DEPTH_MAX));
    cr_assert(table_get(BYTES_LITERAL("\1kf\x7f\xc0\0\0"), "k", &field));
    cr_expect(isnan(field.d));
    cr_assert(table_is_valid(BYTES_LITERAL("\1kd\xff\xf0\0\0\0\0\0\0"), TABLE_DEPTH_MAX));
    cr_assert(table_get(BYTES_LITERAL("\1kd\xff\xf0\0\0\0\0\0\0"), "k", &field));
    cr_expect(isinf(field.d) && field.d < 0);
}

Test(table, iterates_in_the_order_sent_and_finds_the_first_of_a_name)
{
    struct bytes table = BYTES_LITERAL("\1bb\1\1ab\2\0b\3\1bb\4\2\xff\xfe"
                                       "b\5");
    struct table_iterator iterator = table_begin(table);
    struct field field;
    struct bytes name;

    cr_assert(table_is_valid(table, 1));
    for (int expected = 1; expected <= 5; expected++) {
        cr_assert(table_next(&iterator, &name, &field));
        cr_expect_eq(field.i, expected);
    }
    cr_expect_not(table_next(&iterator, &name, &field));
    cr_expect(table_get(table, "b", &field) && field.i == 1);
    cr_expect(table_get(table, "", &field) && field.i == 3);
    cr_expect(table_find(table, BYTES_LITERAL("\xff\xfe"), &field) && field.i == 5);
    cr_expect_not(table_get(table, "c", &field));
    cr_expect_eq(field.i, 5, "left as it was");
    cr_expect_not(table_get((struct bytes){0}, "b", &field));
}

Test(table, is_valid_whole_and_at_no_other_length)
{
    struct buffer all = {0};
    size_t boundaries = 0;

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        for (size_t size = 1; size < pairs[i].size; size++) {
            struct bytes cut = copy_of(pairs[i].data, size);
            struct field field;

            cr_expect_not(table_is_valid(cut, TABLE_DEPTH_MAX), "%c cut at %zu", (TYPES)[i], size);
            cr_expect_not(table_get(cut, "k", &field));
            free_copy(cut);
        }
        cr_expect(table_is_valid(pairs[i], TABLE_DEPTH_MAX), "%c", (TYPES)[i]);
        buffer_append_bytes(&all, pairs[i]);
    }
    for (size_t size = 0; size <= all.size; size++) {
        struct bytes cut = copy_of(all.data, size);

        boundaries += table_is_valid(cut, TABLE_DEPTH_MAX);
        free_copy(cut);
    }
    cr_expect_eq(boundaries, sizeof pairs / sizeof pairs[0] + 1);
    buffer_free(&all);
}

Test(table, knows_no_other_types)
{
    for (unsigned type = 0; type < 256; type++) {
        /* Zeros are a value, of length zero where there is a length, but a void leaves them as empty names
         * with the type octet 0. */
        uint8_t table[10] = {0, (uint8_t)type};
        static const unsigned char sizes[] = {2, 3, 4, 6, 7, 10};
        bool is_known = type != 0 && strchr(TYPES, (int)type) != NULL;
        bool is_read = false;

        for (size_t i = 0; i < sizeof sizes; i++)
            is_read |= table_is_valid((struct bytes){table, sizes[i]}, TABLE_DEPTH_MAX);
        cr_expect_eq(is_read, is_known, "type %u", type);
        cr_expect_eq(strcmp(field_type_name((uint8_t)type), "unknown") != 0, is_known, "type %u", type);
    }
}

Test(table, nests_to_a_depth_and_no_deeper)
{
    static const unsigned depths[] = {1, 2, 63, 64, 65, 66, 1000, 20000};
    static const char types[] = {FIELD_TABLE, FIELD_ARRAY};

    for (size_t t = 0; t < sizeof types; t++) {
        for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
            struct buffer table = {0};

            append_nested(&table, depths[i], types[t]);
            cr_expect_eq(table_is_valid(buffer_bytes(&table), TABLE_DEPTH_MAX), depths[i] <= 64, "%c %u",
                         types[t], depths[i]);
            cr_expect_eq(table_is_valid(buffer_bytes(&table), 100000), depths[i] <= 64);
            cr_expect_eq(table_is_valid(buffer_bytes(&table), 2), depths[i] <= 2);
            buffer_free(&table);
        }
    }
}

Test(table, lengths_beyond_the_container_are_refused)
{
    cr_expect_not(table_is_valid(BYTES_LITERAL("\1kS\xff\xff\xff\xff"), TABLE_DEPTH_MAX));
    cr_expect_not(table_is_valid(BYTES_LITERAL("\1kS\0\0\0\2a"), TABLE_DEPTH_MAX));
    cr_expect_not(table_is_valid(BYTES_LITERAL("\xffk"), TABLE_DEPTH_MAX));
    /* The string fits in the outer table but not in the inner one. */
    cr_expect_not(table_is_valid(BYTES_LITERAL("\1kF\0\0\0\7\1nS\0\0\0\1a"), TABLE_DEPTH_MAX));
    cr_expect_not(table_is_valid(BYTES_LITERAL("\1kA\0\0\0\5S\0\0\0\1a"), TABLE_DEPTH_MAX));
}

Test(table, rewrites_L_to_l_at_every_level_and_nothing_else)
{
    uint8_t table[] = "\1LL\0\0\0\0\0\0\0L"                  /* name and value with an L in them */
                      "\1SS\0\0\0\3LLL"                      /* a string of L */
                      "\1AA\0\0\0\11L\0\0\0\0\0\0\0\1"       /* in an array */
                      "\1FF\0\0\0\20\1aA\0\0\0\11LLLLLLLLL"; /* in an array in a table */
    static const uint8_t expected[] = "\1Ll\0\0\0\0\0\0\0L"
                                      "\1SS\0\0\0\3LLL"
                                      "\1AA\0\0\0\11l\0\0\0\0\0\0\0\1"
                                      "\1FF\0\0\0\20\1aA\0\0\0\11lLLLLLLLL";

    cr_assert(table_is_valid((struct bytes){table, sizeof table - 1}, TABLE_DEPTH_MAX));
    table_rewrite_L(table, sizeof table - 1);
    cr_expect_arr_eq(table, expected, sizeof table - 1);
}

/* Walk everything that a table, valid or not, lets one reach. */
static void walk(struct bytes container, bool is_array, unsigned depth)
{
    struct table_iterator iterator = table_begin(container);
    struct field field;
    struct bytes name;
    char text[64];

    while (is_array ? array_next(&iterator, &field) : table_next(&iterator, &name, &field)) {
        field_format(text, sizeof text, &field);
        cr_assert(field.raw.data >= container.data &&
                  field.raw.data + field.raw.size <= container.data + container.size);
        if ((field.type == FIELD_ARRAY || field.type == FIELD_TABLE) && depth > 0)
            walk(field.bytes, field.type == FIELD_ARRAY, depth - 1);
    }
}

Test(table, random_octets_do_no_harm)
{
    static const char likely[] = TYPES "\0\0\0\0\0\1\1\2\5";
    uint64_t state = 1;
    unsigned valid = 0;

    for (unsigned round = 0; round < 300000; round++) {
        uint8_t octets[48];
        size_t size = next_random(&state) % sizeof octets;
        struct buffer canonical = {0};
        struct bytes table;

        for (size_t i = 0; i < size; i++)
            octets[i] = (uint8_t)likely[next_random(&state) % (sizeof likely - 1)];
        table = copy_of(octets, size);
        walk(table, false, 100);
        table_canonical(&canonical, table);
        if (table_is_valid(table, TABLE_DEPTH_MAX)) {
            valid++;
            cr_assert_eq(canonical.size, size);
            cr_assert(table_is_valid(buffer_bytes(&canonical), TABLE_DEPTH_MAX));
            cr_assert(table_identical(table, buffer_bytes(&canonical)));
        }
        buffer_free(&canonical);
        free_copy(table);
    }
    cr_expect_gt(valid, 1000);
}
