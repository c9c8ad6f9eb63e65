/* SPDX-License-Identifier: Apache-2.0 */
/* count.h: room for counts. */
#include "count.h"

#include "coney/xalloc.h"

const uint64_t message_size_bounds[MESSAGE_SIZE_BOUNDS] = {100,     1000,     10000,    100000,
                                                           1000000, 10000000, 50000000, 100000000};

struct message_counts *channel_counts_made(struct channel *channel)
{
    channel->counts = xcalloc(1, sizeof *channel->counts);
    return channel->counts;
}

struct queue_counts *queue_counts_made(struct queue *queue)
{
    queue->counts = xcalloc(1, sizeof *queue->counts);
    return queue->counts;
}
