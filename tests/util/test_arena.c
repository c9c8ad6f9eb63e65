/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h */
#include <criterion/criterion.h>

#include "coney/arena.h"

Test(arena, pieces_are_aligned_and_apart)
{
    struct arena arena = {0};
    uint8_t *pieces[2000];

    for (size_t i = 0; i < 2000; i++) {
        pieces[i] = arena_alloc(&arena, i % 50);
        cr_assert_eq((uintptr_t)pieces[i] % 8, 0);
        memset(pieces[i], (int)(i % 251), i % 50);
    }
    for (size_t i = 0; i < 2000; i++)
        for (size_t at = 0; at < i % 50; at++)
            cr_assert_eq(pieces[i][at], i % 251);
    arena_clear(&arena);
}

Test(arena, takes_pieces_of_any_size)
{
    struct arena arena = {0};

    for (size_t size = 1; size < 300000; size = size * 3 + 1)
        memset(arena_alloc(&arena, size), 7, size);
    arena_clear(&arena);
    arena_clear(&arena);
    memset(arena_alloc(&arena, 10), 7, 10); /* usable again */
    arena_clear(&arena);
}

Test(arena, copies_octets)
{
    struct arena arena = {0};
    char text[] = "text";
    struct bytes copy = arena_copy(&arena, bytes_from_string(text));

    text[0] = 'n';
    cr_expect(bytes_equal_string(copy, "text"));
    cr_expect_eq(arena_copy(&arena, (struct bytes){NULL, 0}).size, 0);
    arena_clear(&arena);
}
