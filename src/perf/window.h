/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a publisher sent and the broker has not confirmed: when each was sent, by the delivery tag that its
 * confirm will name.
 *
 *     low .. next     may wait for a confirm: a time of 0 says that it came already
 *     next ..         not sent yet
 */
#ifndef PERF_WINDOW_H
#define PERF_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct window {
    uint64_t *sent; /* ns, at tag & mask */
    uint64_t mask;
    uint64_t low, next; /* tags */
    uint64_t size;      /* as many may wait */
    uint64_t waiting;
};

/* Called for each message that is confirmed, with its tag and when it was sent. */
typedef void window_confirmed_fn(void *context, uint64_t tag, uint64_t sent);

void window_init(struct window *window, uint64_t size);
void window_free(struct window *window);

/* How many may be sent now. */
uint64_t window_room(const struct window *window);

/* COUNT messages, for which there is room, were sent at NOW, which is not 0. */
void window_send(struct window *window, uint64_t count, uint64_t now);

/* Take a confirm. False when it names what was never sent. */
bool window_confirm(struct window *window, uint64_t tag, bool multiple, window_confirmed_fn *confirmed,
                    void *context);

#endif
