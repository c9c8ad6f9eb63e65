/* SPDX-License-Identifier: Apache-2.0 */
/* window.h: a ring with room for twice the window, since confirms need not come in order. */
#include "window.h"

#include <stdlib.h>

#include "coney/xalloc.h"

#define RING_MIN 16

void window_init(struct window *window, uint64_t size)
{
    uint64_t ring = RING_MIN;

    while (ring < 2 * size)
        ring *= 2;
    *window = (struct window){.mask = ring - 1, .low = 1, .next = 1, .size = size};
    window->sent = xcalloc(ring, sizeof *window->sent);
}

void window_free(struct window *window)
{
    free(window->sent);
    *window = (struct window){0};
}

uint64_t window_room(const struct window *window)
{
    uint64_t ring = window->mask + 1 - (window->next - window->low),
             free_places = window->size - window->waiting;

    return ring < free_places ? ring : free_places;
}

void window_send(struct window *window, uint64_t count, uint64_t now)
{
    for (uint64_t i = 0; i < count; i++)
        window->sent[window->next++ & window->mask] = now;
    window->waiting += count;
}

static void confirm_one(struct window *window, uint64_t tag, window_confirmed_fn *confirmed, void *context)
{
    uint64_t sent = window->sent[tag & window->mask];

    if (!sent)
        return;
    window->sent[tag & window->mask] = 0;
    window->waiting--;
    confirmed(context, tag, sent);
}

bool window_confirm(struct window *window, uint64_t tag, bool multiple, window_confirmed_fn *confirmed,
                    void *context)
{
    if (multiple && tag == 0)
        tag = window->next - 1;
    if (tag >= window->next || (tag == 0 && !multiple))
        return false;
    if (multiple) {
        for (; window->low <= tag; window->low++)
            confirm_one(window, window->low, confirmed, context);
    } else if (tag >= window->low) {
        confirm_one(window, tag, confirmed, context);
    }
    while (window->low < window->next && !window->sent[window->low & window->mask])
        window->low++;
    return true;
}
