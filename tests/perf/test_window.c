/* SPDX-License-Identifier: Apache-2.0 */
/* Confirms: alone, for several, out of order, and wrong ones. */
#include <criterion/criterion.h>

#include "perf/window.h"

struct seen {
    uint64_t tags[64];
    unsigned count;
};

static void note(void *context, uint64_t tag, uint64_t sent)
{
    struct seen *seen = context;

    cr_assert_eq(sent, 1000 + tag);
    seen->tags[seen->count++] = tag;
}

static void send_each(struct window *window, unsigned count)
{
    while (count--)
        window_send(window, 1, 1000 + window->next);
}

Test(window, has_room_for_its_size)
{
    struct window window;
    struct seen seen = {0};

    window_init(&window, 10);
    cr_expect_eq(window_room(&window), 10);
    send_each(&window, 10);
    cr_expect_eq(window_room(&window), 0);
    cr_expect(window_confirm(&window, 1, false, note, &seen));
    cr_expect_eq(window_room(&window), 1);
    cr_expect(window_confirm(&window, 7, true, note, &seen));
    cr_expect_eq(window_room(&window), 7);
    cr_expect_eq(seen.count, 7, "each once");
    cr_expect(window_confirm(&window, 0, true, note, &seen), "0: all of them");
    cr_expect_eq(window.waiting, 0);
    cr_expect_eq(seen.count, 10);
    window_free(&window);
}

Test(window, takes_confirms_in_any_order)
{
    struct window window;
    struct seen seen = {0};

    window_init(&window, 8);
    send_each(&window, 8);
    for (uint64_t tag = 8; tag > 1; tag--)
        cr_assert(window_confirm(&window, tag, false, note, &seen));
    cr_expect_eq(window.waiting, 1);
    send_each(&window, 7);
    cr_expect_eq(window_room(&window), 0);
    cr_expect(window_confirm(&window, 3, false, note, &seen), "again: no harm");
    cr_expect_eq(seen.count, 7);
    cr_expect(window_confirm(&window, 15, true, note, &seen));
    cr_expect_eq(seen.count, 15);
    cr_expect_eq(window_room(&window), 8);
    window_free(&window);
}

Test(window, keeps_no_more_than_its_ring)
{
    struct window window;
    struct seen seen = {0};

    window_init(&window, 8);
    send_each(&window, 8);
    for (uint64_t tag = 2; tag <= 16; tag++) { /* the first is never confirmed */
        cr_assert(window_confirm(&window, tag, false, note, &seen));
        if (window_room(&window))
            send_each(&window, 1);
    }
    cr_expect_leq(window.next - window.low, window.mask + 1);
    window_free(&window);
}

Test(window, refuses_what_was_not_sent)
{
    struct window window;
    struct seen seen = {0};

    window_init(&window, 8);
    send_each(&window, 3);
    cr_expect_not(window_confirm(&window, 4, false, note, &seen));
    cr_expect_not(window_confirm(&window, 4, true, note, &seen));
    cr_expect_not(window_confirm(&window, 0, false, note, &seen));
    cr_expect_eq(seen.count, 0);
    window_free(&window);
}
