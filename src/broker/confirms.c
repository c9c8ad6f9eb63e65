/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publisher confirms (publish-consume-ack.md 3).
 *
 *     1 .. told       told
 *     told .. done    done, to be told by one ack with multiple at the end of the batch
 *     above           waits for the journal (pending), or is done out of order (singles)
 *
 * A nack is said at once, before any ack with multiple that would cover it.
 */
#include "connection.h"

#include <stdlib.h>
#include <utlist.h>

#include "coney/xalloc.h"
#include "count.h"
#include "vhost_fields.h"

static void tell(struct channel *channel, uint64_t sequence, unsigned flags)
{
    struct outbox_confirm *record =
        outbox_add(channel->connection, OUTBOX_CONFIRM, channel->number, sizeof *record, 21, true);

    record->record.flags = (uint8_t)flags;
    record->delivery_tag = sequence;
}

static struct pending_confirm *pending_at(struct confirms *confirms, uint32_t index)
{
    return &confirms->pending[(confirms->head + index) & (confirms->capacity - 1)];
}

static void pending_push(struct confirms *confirms, uint64_t sequence, uint64_t lsn)
{
    if (confirms->count == confirms->capacity) {
        uint32_t capacity = confirms->capacity ? confirms->capacity * 2 : 64;
        struct pending_confirm *pending = xmalloc(capacity * sizeof *pending);

        for (uint32_t i = 0; i < confirms->count; i++)
            pending[i] = *pending_at(confirms, i);
        free(confirms->pending);
        confirms->pending = pending;
        confirms->capacity = capacity;
        confirms->head = 0;
    }
    confirms->count++;
    *pending_at(confirms, confirms->count - 1) = (struct pending_confirm){sequence, lsn};
}

static void single_push(struct confirms *confirms, uint64_t sequence)
{
    if (confirms->single_count == confirms->single_capacity) {
        confirms->single_capacity = confirms->single_capacity ? confirms->single_capacity * 2 : 16;
        confirms->singles =
            xrealloc(confirms->singles, confirms->single_capacity * sizeof *confirms->singles);
    }
    confirms->singles[confirms->single_count++] = sequence;
}

static void wants_flush(struct channel *channel)
{
    if (channel->is_confirming)
        return;
    channel->is_confirming = true;
    DL_APPEND2(channel->connection->vhost->confirming, channel, confirming_prev, confirming_next);
}

void confirms_publish(struct channel *channel, uint64_t lsn, bool refused)
{
    struct confirms *confirms = channel->confirms;
    struct vhost *vhost = channel->connection->vhost;
    uint64_t sequence = ++confirms->published;

    if (refused) {
        tell(channel, sequence, OUTBOX_NACK);
        if (confirms->count == 0 && confirms->told == sequence - 1 && confirms->done <= confirms->told)
            confirms->told = confirms->done = sequence;
        return;
    }
    if (lsn > vhost->durable) {
        pending_push(confirms, sequence, lsn);
        channel_waits(channel);
    } else if (confirms->count == 0) {
        confirms->done = sequence;
    } else {
        single_push(confirms, sequence);
    }
    wants_flush(channel);
}

void confirms_flush(struct channel *channel)
{
    struct confirms *confirms = channel->confirms;
    struct vhost *vhost = channel->connection->vhost;

    if (confirms->count)
        vhost->durable = journal_durable(vhost->journal);
    while (confirms->count && pending_at(confirms, 0)->lsn <= vhost->durable) {
        confirms->done = pending_at(confirms, 0)->sequence;
        confirms->head = (confirms->head + 1) & (confirms->capacity - 1);
        confirms->count--;
    }
    /* With nothing waiting, what is done out of order is simply done. */
    if (confirms->count == 0 && confirms->single_count &&
        confirms->singles[confirms->single_count - 1] > confirms->done) {
        confirms->done = confirms->singles[confirms->single_count - 1];
        confirms->single_count = 0;
    }
    if (confirms->done > confirms->told) {
        count_confirms(channel, confirms->done - confirms->told);
        tell(channel, confirms->done, confirms->done - confirms->told > 1 ? OUTBOX_MULTIPLE : 0);
        confirms->told = confirms->done;
    }
    for (uint32_t i = 0; i < confirms->single_count; i++)
        if (confirms->singles[i] > confirms->told) {
            count_confirms(channel, 1);
            tell(channel, confirms->singles[i], 0);
        }
    confirms->single_count = 0;
}

void confirms_free(struct confirms *confirms)
{
    if (!confirms)
        return;
    free(confirms->pending);
    free(confirms->singles);
    free(confirms);
}

void channel_confirm_method(struct channel *channel, const struct method *method)
{
    if (method->id != METHOD_CONFIRM_SELECT) {
        channel_fail(channel, method->id, REPLY_COMMAND_INVALID, "unimplemented method");
        return;
    }
    if (channel->mode == CHANNEL_TX) {
        channel_fail(channel, method->id, REPLY_PRECONDITION_FAILED, "cannot switch from tx to confirm mode");
        return;
    }
    if (channel->mode == CHANNEL_NORMAL) {
        channel->mode = CHANNEL_CONFIRM;
        channel->confirms = xcalloc(1, sizeof *channel->confirms);
    }
    if (!method->confirm_select.nowait)
        channel_reply(channel, &(struct method){.id = METHOD_CONFIRM_SELECT_OK}, 0);
}
