/* SPDX-License-Identifier: Apache-2.0 */
/* model.h */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "coney/xalloc.h"

void model_init(struct model *model)
{
    *model = (struct model){0};
    model->letters_end = &model->letters;
    for (int c = 0; c < CONNECTIONS; c++)
        for (int n = 0; n < CHANNELS; n++) {
            struct model_channel *channel = &model->channels[c][n];

            channel->model = model;
            channel->connection = c;
            channel->number = (uint16_t)(n + 1);
            for (int i = 0; i < CONSUMERS; i++)
                channel->consumers[i].channel = channel;
        }
}

/* ---- queues ---- */

static struct model_message *first_ready(const struct model_queue *queue)
{
    struct model_message *message = queue->messages;

    while (message && message->state != READY)
        message = message->next;
    return message;
}

static struct model_message *find(const struct model_queue *queue, uint64_t id)
{
    struct model_message *message;

    HASH_FIND(hh, queue->by_id, &id, sizeof id, message);
    return message;
}

static void uncount(struct model_queue *queue, const struct model_message *message)
{
    queue->ready -= message->state == READY;
    queue->unacked -= message->state == UNACKED;
    queue->was_empty |= !queue->ready;
}

static void set_state(struct model_queue *queue, struct model_message *message, enum model_state state)
{
    uncount(queue, message);
    message->state = state;
    queue->ready += state == READY;
    queue->unacked += state == UNACKED;
}

static void drop(struct model_queue *queue, struct model_message *message)
{
    uncount(queue, message);
    DL_DELETE(queue->messages, message);
    HASH_DEL(queue->by_id, message);
    free(message);
}

/* MESSAGE has no business in its queue any more. */
static void die(struct model *model, struct model_queue *queue, struct model_message *message)
{
    struct model_letter *letter;

    if (queue->has_dlx) {
        letter = xcalloc(1, sizeof *letter);
        letter->target = (int)(queue - model->queues) + 2;
        letter->id = message->id;
        letter->priority = message->priority;
        *model->letters_end = letter;
        model->letters_end = &letter->next;
    }
    drop(queue, message);
}

static enum model_place where(const struct model *model, const struct model_queue *queue,
                              const struct model_message *message, bool *departing)
{
    return model->where(model->context, (int)(queue - model->queues), message->id, departing);
}

static bool is_too_long(const struct model_queue *queue)
{
    return queue->overflow == DROP_HEAD && queue->max_length >= 0 &&
           queue->ready > (uint64_t)queue->max_length;
}

/* Twice in a run, a message may be delivered, come back and be delivered again. */
static struct model_heard *heard_of(struct model *model, int queue, const struct model_message *message)
{
    struct model_heard *found = NULL;

    for (uint32_t i = 0; i < model->heard_count; i++) {
        struct model_heard *heard = &model->heard[i];

        if (heard->done || heard->id != message->id || heard->queue != queue)
            continue;
        if (heard->redelivered == message->redelivered)
            return heard;
        found = heard;
    }
    return found;
}

/* MESSAGE is overdue: it goes, unless the core still has it, where it says. What is to be a dead letter goes
 * in two steps. */
static enum model_place let_expire(struct model *model, struct model_queue *queue,
                                   struct model_message *message)
{
    bool departing = false;
    enum model_place place = where(model, queue, message, &departing);

    if (place != NOWHERE)
        return place;
    if (!departing)
        die(model, queue, message);
    else if (message->state == READY)
        set_state(queue, message, DEPARTING);
    return NOWHERE;
}

/* HEAD of QUEUE, which is too long, was not dropped but is still there or was delivered: as something behind
 * it that was away had expired, of which this run tells too. True when there is such a thing; it goes. */
static bool expired_behind(struct model *model, struct model_queue *queue, const struct model_message *head)
{
    struct model_message *message;
    bool departing;

    if (where(model, queue, head, &departing) != HERE && !heard_of(model, (int)(queue - model->queues), head))
        return false;
    for (message = head->next; message; message = message->next)
        if (message->state == READY && message->deadline <= model->now &&
            let_expire(model, queue, message) == NOWHERE)
            return true;
    return false;
}

/* A head that is away is dropped when it is back; one that is overdue and being fetched has left already. */
static void trim(struct model *model, struct model_queue *queue)
{
    while (is_too_long(queue)) {
        struct model_message *head = first_ready(queue);
        bool departing = false;

        if (where(model, queue, head, &departing) == AWAY)
            return;
        if (departing)
            set_state(queue, head, DEPARTING);
        else if (!expired_behind(model, queue, head))
            die(model, queue, head);
    }
}

static void insert(struct model_queue *queue, struct model_message *message)
{
    struct model_message *after = queue->messages ? queue->messages->prev : NULL;

    if (!after || after->level >= message->level) {
        DL_APPEND(queue->messages, message);
        return;
    }
    while (after != queue->messages && after->prev->level < message->level)
        after = after->prev;
    DL_PREPEND_ELEM(queue->messages, after, message);
}

/* ---- deliveries ---- */

static void check_consumer(const struct model_queue *queue, const struct model_consumer *consumer)
{
    const struct model_channel *channel = consumer->channel;

    if (!consumer->exists || channel->state != OPEN)
        fail("delivered to a consumer that is gone");
    if (!consumer->told)
        fail("delivered before consume-ok");
    if (queue->single_active && queue->active != consumer)
        fail("delivered to a consumer that is not the active one");
}

static struct model_delivery *delivery_add(struct model_channel *channel, int queue, uint64_t tag,
                                           struct model_message *message)
{
    struct model_delivery *delivery = xcalloc(1, sizeof *delivery);
    struct model_delivery *after = channel->deliveries ? channel->deliveries->prev : NULL;

    delivery->tag = tag;
    delivery->queue = queue;
    delivery->queue_number = channel->model->queues[queue].number;
    delivery->message = message;
    channel->delivery_count++;
    if (!after || after->tag < tag) {
        DL_APPEND(channel->deliveries, delivery);
        return delivery;
    }
    while (after != channel->deliveries && after->prev->tag > tag)
        after = after->prev;
    DL_PREPEND_ELEM(channel->deliveries, after, delivery);
    return delivery;
}

/* The answer to a get. */
static void got(struct model_queue *queue, const struct model_heard *heard, struct model_message *message)
{
    if (heard->no_ack) {
        drop(queue, message);
        return;
    }
    delivery_add(heard->channel, heard->queue, heard->tag, message);
    set_state(queue, message, UNACKED);
}

static void delivered(struct model *model, struct model_heard *heard, struct model_message *message)
{
    struct model_consumer *consumer = heard->consumer;
    struct model_queue *queue = &model->queues[heard->queue];
    struct model_delivery *delivery;

    heard->done = true;
    if (message->redelivered != heard->redelivered)
        fail("message %llu is %sredelivered from q%d to c%d.%u, returned %u times",
             (unsigned long long)message->id, heard->redelivered ? "" : "not ", heard->queue,
             heard->channel->connection, heard->channel->number, message->returns);
    if (heard->delivery_count != (queue->quorum ? message->returns : 0))
        fail("message %llu has delivery count %u", (unsigned long long)message->id, heard->delivery_count);
    if (!consumer) {
        got(queue, heard, message);
        return;
    }
    if (!consumer->no_ack) {
        delivery = delivery_add(consumer->channel, consumer->queue, heard->tag, message);
        delivery->consumer = consumer;
        consumer->unacked++;
        delivery->counts_globally = consumer->channel->prefetch_global && !queue->quorum;
        consumer->channel->unacked_global += delivery->counts_globally;
        set_state(queue, message, UNACKED);
    }
    check_consumer(queue, consumer);
    if (consumer->no_ack)
        drop(queue, message);
}

/* Letters that came together may stand in any order. In the run that they came in one may have been taken
 * before another was there, of a higher priority too. */
static bool came_together(const struct model_queue *queue, const struct model_message *one,
                          const struct model_message *other)
{
    return one->rank == other->rank && (one->level == other->level || one->rank == queue->letters_rank);
}

/* Deliver from the head what was heard to be delivered. */
static void deliver(struct model *model, int index)
{
    struct model_queue *queue = &model->queues[index];

    while (model->heard_count) {
        struct model_message *head = first_ready(queue), *message = head;
        struct model_heard *heard = NULL;

        for (; message; message = message->next) {
            if (message->state != READY)
                continue;
            if (!came_together(queue, head, message))
                break;
            heard = heard_of(model, index, message);
            if (heard)
                break;
        }
        if (!heard)
            return;
        delivered(model, heard, message);
    }
}

static bool could_take(const struct model_queue *queue, const struct model_consumer *consumer)
{
    const struct model_channel *channel = consumer->channel;

    return consumer->exists && channel->state == OPEN &&
           (consumer->no_ack || !consumer->prefetch || consumer->unacked < consumer->prefetch) &&
           (queue->quorum || !channel->prefetch_global ||
            channel->unacked_global < channel->prefetch_global) &&
           (!queue->single_active || queue->active == consumer);
}

/* ---- enqueue ---- */

/* Tell whether a message of RANK may go straight to CONSUMER: nothing else waits, and it has room; who has
 * none now may have some at the end of the run. Letters that come together may have come in another order
 * than here, so they don't stand in each other's way; nor need a message have been handed to its queues in
 * the order of their names, so what no-ack consumers find taken may have been taken after them. */
static bool goes_straight(const struct model_queue *queue, uint64_t rank,
                          const struct model_consumer *consumer)
{
    const struct model_message *message;

    DL_FOREACH (queue->messages, message)
        if (message->state == READY && message->rank != rank)
            return false;
    return could_take(queue, consumer) ||
           (consumer->no_ack && (!queue->single_active || queue->active == consumer));
}

/* False when it is refused. TTL of the message, -1: none. */
static bool enqueue(struct model *model, int index, uint64_t id, uint8_t priority, int64_t ttl, uint64_t rank)
{
    struct model_queue *queue = &model->queues[index];
    struct model_message *message;
    struct model_heard *heard;

    if (queue->overflow != DROP_HEAD && queue->max_length >= 0 &&
        queue->ready >= (uint64_t)queue->max_length) {
        if (queue->overflow == REJECT_DLX && queue->has_dlx) {
            struct model_letter *letter = xcalloc(1, sizeof *letter);

            *letter = (struct model_letter){.target = index + 2, .id = id, .priority = priority};
            *model->letters_end = letter;
            model->letters_end = &letter->next;
        }
        return false;
    }
    if (find(queue, id))
        fail("message %llu would be in one queue twice", (unsigned long long)id);
    message = xcalloc(1, sizeof *message);
    message->id = id;
    message->priority = priority;
    message->level = priority < queue->max_priority ? priority : queue->max_priority;
    message->rank = rank ? rank : ++queue->next_rank;
    if (queue->ttl >= 0 && (ttl < 0 || queue->ttl < ttl))
        ttl = queue->ttl;
    message->deadline = ttl < 0 ? MODEL_NEVER : model->now + ttl + (ttl > 0);
    message->state = READY;
    heard = heard_of(model, index, message);
    if (heard && (!heard->consumer || !goes_straight(queue, message->rank, heard->consumer)))
        heard = NULL;
    queue->ready++;
    insert(queue, message);
    HASH_ADD(hh, queue->by_id, id, sizeof message->id, message);
    if (heard)
        delivered(model, heard, message);
    else
        trim(model, queue);
    return true;
}

/* All dead letters that are under way arrive. */
static void run_letters(struct model *model)
{
    uint64_t ranks[QUEUES] = {0};

    while (model->letters) {
        struct model_letter *letter = model->letters;

        model->letters = letter->next;
        if (!model->letters)
            model->letters_end = &model->letters;
        if (letter->target < QUEUES && model->queues[letter->target].exists) {
            if (!ranks[letter->target])
                ranks[letter->target] = ++model->queues[letter->target].next_rank;
            model->queues[letter->target].had_letters = true;
            model->queues[letter->target].letters_rank = ranks[letter->target];
            enqueue(model, letter->target, letter->id, letter->priority, -1, ranks[letter->target]);
        }
        free(letter);
    }
}

static int route(struct model *model, int exchange, int key, int out[QUEUES])
{
    int count = 0;

    if (exchange == 2) {
        if (model->queues[key].exists)
            out[count++] = key;
        return count;
    }
    for (int i = 0; i < QUEUES; i++)
        if (model->queues[i].exists && model->queues[i].bound[exchange][exchange ? 0 : key])
            out[count++] = i;
    return count;
}

static void confirm_add(struct model_channel *channel, uint64_t lsn, bool refused)
{
    if (channel->confirm_count == channel->confirm_capacity) {
        channel->confirm_capacity = channel->confirm_capacity * 2 + 64;
        channel->confirms =
            xrealloc(channel->confirms, channel->confirm_capacity * sizeof *channel->confirms);
    }
    channel->published++;
    channel->confirms[channel->confirm_count++] =
        (struct model_confirm){.lsn = refused ? 0 : lsn, .outcome = refused ? 'n' : 'a'};
}

static void must_return(struct model *model, uint64_t id)
{
    if (model->returned_count == sizeof model->returned / sizeof *model->returned)
        fail("more is returned at once than the model has room for");
    model->returned[model->returned_count++] = id;
}

void model_publish(struct model_channel *channel, int exchange, int key, uint64_t id, uint8_t priority,
                   int64_t ttl, bool mandatory, uint64_t lsn)
{
    struct model *model = channel->model;
    int queues[QUEUES], count = route(model, exchange, key, queues);
    bool refused = false;

    if (channel->mode == TX) {
        struct model_held *held = xcalloc(1, sizeof *held);

        *held = (struct model_held){
            .id = id, .priority = priority, .ttl = ttl, .count = count, .mandatory = mandatory};
        for (int i = 0; i < count; i++)
            held->queues[i] = queues[i];
        /* The default exchange knows names only: there or not, the queue is looked for at commit. */
        if (exchange == 2) {
            held->queues[0] = key;
            held->count = 1;
        }
        if (!channel->held)
            channel->held_end = &channel->held;
        *channel->held_end = held;
        channel->held_end = &held->next;
        return;
    }
    for (int i = 0; i < count; i++)
        refused |= !enqueue(model, queues[i], id, priority, ttl, 0);
    if (!count && mandatory)
        must_return(model, id);
    if (channel->mode == CONFIRM)
        confirm_add(channel, lsn, refused);
}

/* ---- settlement ---- */

static void requeue(struct model *model, int index, struct model_message *message)
{
    struct model_queue *queue = &model->queues[index];

    message->redelivered = true;
    message->returns++;
    set_state(queue, message, READY);
    if (queue->delivery_limit >= 0 && message->returns > queue->delivery_limit)
        die(model, queue, message);
}

static void settle_message(struct model *model, int index, struct model_message *message, int how)
{
    if (how == SETTLE_HOW_REQUEUE)
        requeue(model, index, message);
    else if (how == SETTLE_HOW_REJECT)
        die(model, &model->queues[index], message);
    else
        drop(&model->queues[index], message);
}

static void settle_delivery(struct model_channel *channel, struct model_delivery *delivery, int how)
{
    if (delivery->message)
        settle_message(channel->model, delivery->queue, delivery->message, how);
    channel->unacked_global -= delivery->counts_globally;
    if (delivery->consumer)
        delivery->consumer->unacked--;
    DL_DELETE(channel->deliveries, delivery);
    channel->delivery_count--;
    free(delivery);
}

static void settle_or_hold(struct model_channel *channel, struct model_delivery *delivery, int how)
{
    if (channel->mode == TX) {
        delivery->held = true;
        delivery->how = how;
    } else {
        settle_delivery(channel, delivery, how);
    }
}

bool model_settle(struct model_channel *channel, uint64_t tag, bool multiple, int how)
{
    struct model_delivery *delivery, *next;
    bool found = multiple && tag == 0;

    DL_FOREACH (channel->deliveries, delivery)
        found |= delivery->tag == tag && !delivery->held;
    if (!found)
        return false;
    DL_FOREACH_SAFE (channel->deliveries, delivery, next)
        if (!delivery->held && (delivery->tag == tag || (multiple && (tag == 0 || delivery->tag < tag))))
            settle_or_hold(channel, delivery, how);
    return true;
}

void model_recover(struct model_channel *channel)
{
    struct model_delivery *delivery, *next;

    DL_FOREACH_SAFE (channel->deliveries, delivery, next)
        if (!delivery->held)
            settle_delivery(channel, delivery, SETTLE_HOW_REQUEUE);
}

void model_get(struct model_channel *channel, int index, bool no_ack)
{
    const struct model_queue *queue = &channel->model->queues[index];
    struct model_reply *reply;

    if (!queue->ready) {
        model_expect(channel, METHOD_BASIC_GET_EMPTY);
        return;
    }
    reply = model_expect(channel, REPLY_GET_OK);
    reply->queue = index;
    reply->queue_number = queue->number;
    reply->no_ack = no_ack;
}

void model_got(struct model_channel *channel, const struct model_reply *reply,
               const struct model_heard *heard)
{
    struct model *model = channel->model;
    struct model_heard *added = &model->heard[model->heard_count++];

    if (reply->in_vain || model->queues[reply->queue].number != reply->queue_number)
        fail("get-ok for a get in vain");
    *added = *heard;
    added->channel = channel;
    added->queue = reply->queue;
    added->no_ack = reply->no_ack;
}

void model_got_nothing(struct model_channel *channel, const struct model_reply *reply)
{
    struct model *model = channel->model;
    const struct model_queue *queue = &model->queues[reply->queue];

    if (!reply->in_vain && queue->exists && queue->number == reply->queue_number)
        model->got_nothing |= 1U << reply->queue;
}

void model_qos(struct model_channel *channel, uint32_t count, bool global)
{
    struct model_delivery *delivery;

    if (!global) {
        channel->prefetch = count;
        channel->prefetch_global = 0;
        return;
    }
    if (!channel->prefetch_global && count) {
        channel->unacked_global = 0;
        DL_FOREACH (channel->deliveries, delivery) {
            delivery->counts_globally = true;
            channel->unacked_global++;
        }
    }
    channel->prefetch_global = count;
}

/* ---- transactions ---- */

static void held_pop(struct model_channel *channel)
{
    struct model_held *held = channel->held;

    channel->held = held->next;
    free(held);
}

/* Into the queues that have the names now; true when one refused it. */
static bool commit_publish(struct model *model, const struct model_held *held)
{
    bool routed = false, refused = false;

    for (int i = 0; i < held->count; i++) {
        if (!model->queues[held->queues[i]].exists)
            continue;
        routed = true;
        refused |= !enqueue(model, held->queues[i], held->id, held->priority, held->ttl, 0);
    }
    if (held->mandatory && !routed)
        must_return(model, held->id);
    return refused;
}

/* What it rejects is where dead letters go before the channel fails and the rest comes back. */
bool model_commit(struct model_channel *channel)
{
    struct model *model = channel->model;
    struct model_delivery *delivery, *next;
    struct model_letter **published;
    bool refused = false;

    for (; channel->held; held_pop(channel))
        refused |= commit_publish(model, channel->held);
    published = model->letters_end;
    DL_FOREACH_SAFE (channel->deliveries, delivery, next)
        if (delivery->held)
            settle_delivery(channel, delivery, delivery->how);
    if (refused && model->letters_end != published)
        run_letters(model);
    return !refused;
}

void model_rollback(struct model_channel *channel)
{
    struct model_delivery *delivery;

    while (channel->held)
        held_pop(channel);
    DL_FOREACH (channel->deliveries, delivery)
        delivery->held = false;
}

/* ---- consumers ---- */

struct model_consumer *model_consume(struct model_channel *channel, int slot, int index, bool no_ack,
                                     int32_t priority)
{
    struct model_consumer *consumer = &channel->consumers[slot];
    struct model_queue *queue = &channel->model->queues[index];

    *consumer = (struct model_consumer){.exists = true,
                                        .no_ack = no_ack,
                                        .channel = channel,
                                        .queue = index,
                                        .order = ++channel->model->order,
                                        .priority = priority,
                                        .prefetch = no_ack ? 0 : channel->prefetch,
                                        .life = consumer->life + 1};
    if (queue->single_active && !queue->active)
        queue->active = consumer;
    return consumer;
}

/* The first of FOUND and the queue's consumers in the order of succession; returns how many there are. */
static uint32_t successors(struct model *model, int index, struct model_consumer **first)
{
    uint32_t count = 0;

    *first = NULL;
    for (int c = 0; c < CONNECTIONS; c++)
        for (int n = 0; n < CHANNELS; n++)
            for (int i = 0; i < CONSUMERS; i++) {
                struct model_consumer *consumer = &model->channels[c][n].consumers[i];

                if (!consumer->exists || consumer->queue != index)
                    continue;
                count++;
                if (!*first || consumer->priority > (*first)->priority ||
                    (consumer->priority == (*first)->priority && consumer->order < (*first)->order))
                    *first = consumer;
            }
    return count;
}

static void consumer_forget(struct model_consumer *consumer)
{
    struct model_delivery *delivery;

    consumer->exists = false;
    DL_FOREACH (consumer->channel->deliveries, delivery)
        if (delivery->consumer == consumer)
            delivery->consumer = NULL;
}

void model_cancel(struct model_channel *channel, struct model_consumer *consumer)
{
    struct model *model = channel->model;
    struct model_queue *queue = &model->queues[consumer->queue];
    struct model_consumer *first;
    uint32_t left;

    consumer_forget(consumer);
    left = successors(model, consumer->queue, &first);
    if (queue->active == consumer)
        queue->active = first;
    if (!left && queue->auto_delete)
        model_delete(model, consumer->queue);
}

/* ---- the ends of things ---- */

void model_purge(struct model *model, int index)
{
    struct model_queue *queue = &model->queues[index];
    struct model_message *message, *next;

    DL_FOREACH_SAFE (queue->messages, message, next)
        if (message->state == READY)
            drop(queue, message);
}

static void forget_deliveries(struct model_channel *channel, int index)
{
    struct model_delivery *delivery;

    DL_FOREACH (channel->deliveries, delivery)
        if (delivery->queue == index)
            delivery->message = NULL;
}

void model_delete(struct model *model, int index)
{
    struct model_queue *queue = &model->queues[index];

    for (int c = 0; c < CONNECTIONS; c++)
        for (int n = 0; n < CHANNELS; n++) {
            struct model_channel *channel = &model->channels[c][n];

            forget_deliveries(channel, index);
            for (int i = 0; i < CONSUMERS; i++)
                if (channel->consumers[i].exists && channel->consumers[i].queue == index) {
                    consumer_forget(&channel->consumers[i]);
                    channel->cancels[i]++;
                }
        }
    while (queue->messages)
        drop(queue, queue->messages);
    *queue = (struct model_queue){.number = queue->number, .next_rank = queue->next_rank};
}

void model_channel_end(struct model_channel *channel)
{
    struct model_reply *reply;

    model_rollback(channel);
    DL_FOREACH (channel->replies, reply)
        reply->in_vain = true;
    while (channel->deliveries)
        settle_delivery(channel, channel->deliveries, SETTLE_HOW_REQUEUE);
    for (;;) {
        struct model_consumer *oldest = NULL;

        for (int i = 0; i < CONSUMERS; i++)
            if (channel->consumers[i].exists && (!oldest || channel->consumers[i].order < oldest->order))
                oldest = &channel->consumers[i];
        if (!oldest)
            break;
        model_cancel(channel, oldest);
    }
}

void model_channel_open(struct model_channel *channel)
{
    channel->state = OPEN;
    channel->mode = NORMAL;
    channel->opened = ++channel->model->order;
    channel->tag = channel->published = channel->confirm_base = 0;
    channel->prefetch = channel->prefetch_global = channel->unacked_global = 0;
    channel->confirm_count = 0;
}

static void forget_replies(struct model_channel *channel)
{
    struct model_reply *reply, *next;

    DL_FOREACH_SAFE (channel->replies, reply, next)
        free(reply);
    channel->replies = NULL;
    memset(channel->cancels, 0, sizeof channel->cancels);
}

/* The channel of CONNECTION that was opened first after LAST; NULL when there is none. */
static struct model_channel *opened_after(struct model *model, int connection, uint64_t last)
{
    struct model_channel *first = NULL;

    for (int n = 0; n < CHANNELS; n++) {
        struct model_channel *channel = &model->channels[connection][n];

        if (channel->state != CLOSED && channel->opened > last && (!first || channel->opened < first->opened))
            first = channel;
    }
    return first;
}

/* In the order of their opening: one may have the last consumer of a queue that another has messages of. */
void model_connection_end(struct model *model, int connection)
{
    struct model_channel *channel = opened_after(model, connection, 0);

    for (; channel; channel = opened_after(model, connection, channel->opened))
        model_channel_end(channel);
    for (int i = 0; i < QUEUES; i++)
        if (model->queues[i].exists && model->queues[i].owner == connection)
            model_delete(model, i);
    for (int n = 0; n < CHANNELS; n++) {
        model->channels[connection][n].state = CLOSED;
        forget_replies(&model->channels[connection][n]);
    }
}

void model_clear(struct model *model)
{
    for (int c = 0; c < CONNECTIONS; c++)
        model_connection_end(model, c);
    for (int i = 0; i < QUEUES; i++)
        if (model->queues[i].exists)
            model_delete(model, i);
    while (model->letters) {
        struct model_letter *letter = model->letters;

        model->letters = letter->next;
        free(letter);
    }
    for (int c = 0; c < CONNECTIONS; c++)
        for (int n = 0; n < CHANNELS; n++)
            free(model->channels[c][n].confirms);
}

/* ---- what follows by itself ---- */

static bool has_away(const struct model *model, const struct model_queue *queue)
{
    const struct model_message *message;
    bool departing;

    DL_FOREACH (queue->messages, message)
        if (where(model, queue, message, &departing) == AWAY)
            return true;
    return false;
}

/* What is away, or stands behind what is, is late to die; what is to be a dead letter must come back first.
 */
static void expire(struct model *model, struct model_queue *queue)
{
    struct model_message *message, *next;

    DL_FOREACH_SAFE (queue->messages, message, next) {
        if (message->state == UNACKED || (message->state == READY && message->deadline > model->now))
            continue;
        if (let_expire(model, queue, message) == HERE && !has_away(model, queue))
            fail("message %llu is overdue", (unsigned long long)message->id);
    }
}

static void fail_heard(const struct model *model, const struct model_heard *heard)
{
    const struct model_queue *queue = &model->queues[heard->queue];
    const struct model_message *message;
    unsigned lines = 12;
    bool departing;

    DL_FOREACH (queue->messages, message)
        if (lines && lines--)
            fprintf(stderr, "q%d: %llu level %u rank %llu %s%s, returns %u, expires in %lld\n", heard->queue,
                    (unsigned long long)message->id, message->level, (unsigned long long)message->rank,
                    message->state == READY     ? "ready"
                    : message->state == UNACKED ? "unacked"
                                                : "departing",
                    where(model, queue, message, &departing) == AWAY ? " away" : "", message->returns,
                    message->deadline == MODEL_NEVER ? -1LL : (long long)(message->deadline - model->now));
    message = find(queue, heard->id);
    fail("message %llu was delivered from q%d, where it is %s", (unsigned long long)heard->id, heard->queue,
         !message                  ? "not"
         : message->state == READY ? "behind another one"
                                   : "not ready");
}

/* Room of the global prefetch that was taken when TAG was delivered, as far as the model has come. */
static uint32_t global_room_taken(const struct model_channel *channel, uint64_t tag)
{
    const struct model_delivery *delivery;
    uint32_t taken = 0;

    DL_FOREACH (channel->deliveries, delivery)
        taken += delivery->counts_globally && delivery->tag < tag;
    return taken;
}

/* When all is done that a run does: nobody has more than its room. */
static void check_room(const struct model *model, const struct model_heard *heard)
{
    const struct model_consumer *consumer = heard->consumer;
    const struct model_queue *queue = &model->queues[heard->queue];
    const struct model_channel *channel = heard->channel;

    if (!consumer)
        return;
    if (!consumer->no_ack && consumer->prefetch && consumer->unacked > consumer->prefetch)
        fail("prefetch of %u exceeded", consumer->prefetch);
    if (channel->prefetch_global && !queue->quorum && !consumer->no_ack &&
        channel->unacked_global > channel->prefetch_global)
        fail("global prefetch of %u exceeded", channel->prefetch_global);
    if (channel->prefetch_global && !queue->quorum && consumer->no_ack &&
        global_room_taken(channel, heard->tag) >= channel->prefetch_global)
        fail("no-ack delivery past a global prefetch that is used up");
}

void model_finish(struct model *model)
{
    do {
        for (int i = 0; i < QUEUES; i++) {
            struct model_queue *queue = &model->queues[i];

            if (!queue->exists)
                continue;
            trim(model, queue);
            expire(model, queue);
            deliver(model, i);
        }
        if (!model->letters)
            break;
        run_letters(model);
    } while (true);
    for (uint32_t i = 0; i < model->heard_count; i++) {
        if (!model->heard[i].done)
            fail_heard(model, &model->heard[i]);
        check_room(model, &model->heard[i]);
    }
    model->heard_count = 0;
    for (int i = 0; i < QUEUES; i++) {
        struct model_queue *queue = &model->queues[i];

        if (model->got_nothing >> i & 1 && !queue->was_empty && queue->ready)
            fail("get-empty from q%d, which has %llu messages", i, (unsigned long long)queue->ready);
        queue->was_empty = !queue->ready;
        queue->letters_rank = 0;
    }
    model->got_nothing = 0;
}

void model_restart(struct model *model)
{
    for (int i = 0; i < QUEUES; i++) {
        struct model_queue *queue = &model->queues[i];
        struct model_message *message, *next;

        if (!queue->exists)
            continue;
        if (!queue->durable) {
            model_delete(model, i);
            continue;
        }
        DL_FOREACH_SAFE (queue->messages, message, next)
            if (!queue->quorum && !model_is_persistent(message->id))
                drop(queue, message);
    }
}

/* ---- what must be heard ---- */

struct model_reply *model_expect(struct model_channel *channel, uint32_t method)
{
    struct model_reply *reply = xcalloc(1, sizeof *reply);

    reply->method = method;
    DL_APPEND(channel->replies, reply);
    return reply;
}

struct model_reply *model_reply(struct model_channel *channel)
{
    struct model_reply *reply = channel->replies;

    if (!reply)
        fail("a reply to nothing on channel %u", channel->number);
    DL_DELETE(channel->replies, reply);
    return reply;
}

void model_confirm(struct model_channel *channel, uint64_t tag, bool multiple, bool nack, uint64_t durable)
{
    bool any = false;
    uint32_t told = 0;

    if (tag <= channel->confirm_base || tag > channel->published)
        fail("confirm of %llu", (unsigned long long)tag);
    for (uint64_t i = multiple ? channel->confirm_base + 1 : tag; i <= tag; i++) {
        struct model_confirm *confirm = &channel->confirms[i - channel->confirm_base - 1];

        if (confirm->told)
            continue;
        if (confirm->outcome != (nack ? 'n' : 'a'))
            fail("publish %llu was %s", (unsigned long long)i, nack ? "nacked" : "acked");
        if (confirm->lsn > durable)
            fail("publish %llu was acked before it was durable", (unsigned long long)i);
        confirm->told = any = true;
    }
    if (!any)
        fail("publish %llu was confirmed twice", (unsigned long long)tag);
    while (told < channel->confirm_count && channel->confirms[told].told)
        told++;
    channel->confirm_count -= told;
    memmove(channel->confirms, channel->confirms + told, channel->confirm_count * sizeof *channel->confirms);
    channel->confirm_base += told;
}

static void check_channel_quiet(struct model *model, const struct model_channel *channel)
{
    if (channel->replies)
        fail("no answer (%s) on channel %u", method_name((enum method_id)channel->replies->method),
             channel->number);
    for (uint32_t i = 0; i < channel->confirm_count; i++)
        if (!channel->confirms[i].told)
            fail("publish %llu was not confirmed", (unsigned long long)channel->confirm_base + i + 1);
    for (int i = 0; i < CONSUMERS; i++) {
        const struct model_consumer *consumer = &channel->consumers[i];

        if (channel->cancels[i])
            fail("no basic.cancel for consumer %d", i);
        if (consumer->exists && model->queues[consumer->queue].ready &&
            could_take(&model->queues[consumer->queue], consumer))
            fail("messages of q%d wait beside consumer t%d of c%d.%u, which has room", consumer->queue, i,
                 channel->connection, channel->number);
    }
}

static void check_queue_quiet(const struct model *model, int index)
{
    const struct model_queue *queue = &model->queues[index];
    const struct model_message *message;

    if (is_too_long(queue))
        fail("q%d is too long", index);
    DL_FOREACH (queue->messages, message)
        if (message->state == DEPARTING || (message->state == READY && message->deadline <= model->now))
            fail("message %llu of q%d is overdue, and all is quiet", (unsigned long long)message->id, index);
}

void model_check_quiet(struct model *model)
{
    for (int i = 0; i < QUEUES; i++)
        if (model->queues[i].exists)
            check_queue_quiet(model, i);
    for (int c = 0; c < CONNECTIONS; c++)
        for (int n = 0; n < CHANNELS; n++)
            if (model->channels[c][n].state == OPEN)
                check_channel_quiet(model, &model->channels[c][n]);
}
