/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Argument tables for tests, written as a list:
 *
 *     struct arguments a = ARGUMENTS(INT("x-expires", 1000), STR("x-overflow", "drop-head"));
 *     queue_options_parse(&options, a.table, ...);
 *
 * The memory is a static ring: a table is valid until eight more have been made.
 */
#ifndef TESTS_BROKER_ARGUMENTS_H
#define TESTS_BROKER_ARGUMENTS_H

#include <string.h>

#include "coney/table.h"

struct argument_item {
    const char *name;
    char type;
    int64_t number;
    const char *text;
};

struct arguments {
    struct bytes table;
};

#define INT(name, value)       ((struct argument_item){name, 'I', value, NULL})
#define INT8(name, value)      ((struct argument_item){name, 'b', value, NULL})
#define INT64(name, value)     ((struct argument_item){name, 'l', value, NULL})
#define TIMESTAMP(name, value) ((struct argument_item){name, 'T', value, NULL})
#define BOOL(name, value)      ((struct argument_item){name, 't', value, NULL})
#define DOUBLE(name, whole)    ((struct argument_item){name, 'd', whole, NULL})
#define VOID(name)             ((struct argument_item){name, 'V', 0, NULL})
#define STR(name, value)       ((struct argument_item){name, 'S', 0, value})
#define ARGUMENTS(...)                                          \
    arguments_make((const struct argument_item[]){__VA_ARGS__}, \
                   sizeof((const struct argument_item[]){__VA_ARGS__}) / sizeof(struct argument_item))
#define NO_ARGUMENTS ((struct arguments){{NULL, 0}})

static inline uint8_t *argument_put(uint8_t *p, const struct argument_item *item)
{
    double number = (double)item->number;
    uint64_t raw;

    p = put_u8(put_shortstr(p, bytes_from_string(item->name)), (uint8_t)item->type);
    switch (item->type) {
    case 'I':
        return put_u32(p, (uint32_t)item->number);
    case 'b':
    case 't':
        return put_u8(p, (uint8_t)item->number);
    case 'l':
    case 'T':
        return put_u64(p, (uint64_t)item->number);
    case 'd':
        memcpy(&raw, &number, sizeof raw);
        return put_u64(p, raw);
    case 'S':
        return put_longstr(p, bytes_from_string(item->text));
    default:
        return p;
    }
}

static inline struct arguments arguments_make(const struct argument_item *items, size_t count)
{
    static uint8_t ring[8][4096];
    static unsigned turn;
    uint8_t *start = ring[turn++ % 8], *p = start;

    for (size_t i = 0; i < count; i++)
        p = argument_put(p, &items[i]);
    return (struct arguments){{start, (size_t)(p - start)}};
}

#endif
