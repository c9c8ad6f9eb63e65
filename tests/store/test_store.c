/* SPDX-License-Identifier: Apache-2.0 */
/* store.h on the disk of sys_fake.h: what the simulation (sim_store.c) found or comes by rarely, told as
 * stories. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/arguments.h"
#include "broker/vhost_fields.h"
#include "coney/log.h"
#include "coney/properties.h"
#include "coney/xalloc.h"
#include "exhaustive.h"
#include "store/store_fields.h"
#include "world.h"

/* Calls are made to fail: that is not to be read of each. */
static void be_quiet(void)
{
    log_set_level(LOG_LEVEL_NONE);
}

TestSuite(store, .init = be_quiet, .timeout = 60);

/* ---- a client: one channel of one connection to vhost v0 ---- */

static struct {
    uint64_t id;
    enum method_id method; /* of the last reply */
    bool has_got, redelivered;
    uint64_t tag, number; /* of the last message that was got or delivered */
} client;

static void hear(struct world_vhost *v, void *owner, struct outbox_record *record)
{
    const struct outbox_delivery *delivery = (const void *)record;

    (void)v;
    if (owner != &client)
        return;
    if (record->kind == OUTBOX_CONTROL && record->flags == OUTBOX_ATTACHED)
        client.id = ((const struct outbox_attached *)(const void *)record)->connection;
    if (record->kind == OUTBOX_METHOD)
        client.method =
            (enum method_id)get_u32(((const struct outbox_method *)(const void *)record)->payload);
    if (record->kind != OUTBOX_GET_OK && record->kind != OUTBOX_DELIVER)
        return;
    client.has_got = true;
    client.redelivered = record->flags & OUTBOX_REDELIVERED;
    client.tag = delivery->delivery_tag;
    memcpy(&client.number, delivery->message->body, sizeof client.number);
}

static void run(struct world *w, struct batch *batch)
{
    world_run(&w->vhosts[0], batch, NULL);
    batch_clear(batch);
    world_settle(w);
}

static void call(struct world *w, uint16_t channel, const struct method *method)
{
    struct batch batch = {.kind = BATCH_COMMANDS, .connection = client.id};

    *batch_add(&batch) = (struct command){.kind = COMMAND_METHOD, .channel = channel, .method = method};
    run(w, &batch);
}

static void connect_client_to(struct world *w, struct arguments arguments)
{
    struct batch open = {.kind = BATCH_OPEN, .owner = &client};

    open.open = (struct batch_open){.user = BYTES_LITERAL("guest"), .user_channel_max = UINT32_MAX};
    world_run(&w->vhosts[0], &open, NULL);
    call(w, 1, &(struct method){.id = METHOD_CHANNEL_OPEN});
    call(w, 1,
         &(struct method){
             .id = METHOD_QUEUE_DECLARE,
             .queue_declare = {.queue = BYTES_LITERAL("q"), .durable = true, .arguments = arguments.table}});
    cr_assert_eq(client.method, METHOD_QUEUE_DECLARE_OK);
}

static void connect_client(struct world *w)
{
    connect_client_to(w, NO_ARGUMENTS);
}

static struct message *make_message(uint64_t number, uint64_t size, bool persistent)
{
    struct properties properties = {.flags = PROPERTY_DELIVERY_MODE,
                                    .delivery_mode = persistent ? DELIVERY_MODE_PERSISTENT : 1};
    struct buffer raw = {0};
    struct message *message;

    properties_encode(&raw, &properties);
    message =
        message_new(BYTES_LITERAL(""), BYTES_LITERAL("q"), (struct bytes){NULL, 0}, buffer_bytes(&raw), size);
    memset(message->body, 0, size);
    memcpy(message->body, &number, sizeof number);
    message_scan_properties(message);
    buffer_free(&raw);
    return message;
}

/* Messages numbered FROM to below BELOW, of SIZE octets, in one run of the vhost. */
static void publish(struct world *w, uint64_t from, uint64_t below, uint64_t size)
{
    struct batch batch = {.kind = BATCH_COMMANDS, .connection = client.id};

    for (uint64_t number = from; number < below; number++) {
        *batch_add(&batch) = (struct command){.kind = COMMAND_PUBLISH_BEGUN, .channel = 1};
        *batch_add(&batch) = (struct command){
            .kind = COMMAND_PUBLISH, .channel = 1, .message = make_message(number, size, true)};
    }
    run(w, &batch);
}

/* False: the queue is empty. */
static bool get(struct world *w, bool no_ack)
{
    client.has_got = false;
    client.method = (enum method_id)0;
    call(w, 1,
         &(struct method){.id = METHOD_BASIC_GET,
                          .basic_get = {.queue = BYTES_LITERAL("q"), .no_ack = no_ack}});
    cr_assert(client.has_got || client.method == METHOD_BASIC_GET_EMPTY, "method %x", client.method);
    return client.has_got;
}

static void settle(struct world *w, uint64_t tag, unsigned flags)
{
    struct batch batch = {.kind = BATCH_COMMANDS, .connection = client.id};

    *batch_add(&batch) =
        (struct command){.kind = COMMAND_SETTLE, .flags = (uint8_t)flags, .channel = 1, .delivery_tag = tag};
    run(w, &batch);
}

static struct world *begin(uint64_t seed)
{
    struct world *w = world_new(seed, hear);

    cr_assert_eq(world_open(w), STORE_OPENED, "%s", w->why);
    return w;
}

static void open_again(struct world *w)
{
    cr_assert_eq(world_open(w), STORE_OPENED, "%s", w->why);
}

Test(store, a_new_folder_outlives_a_power_loss)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct world *w = begin(seed);

        world_put_entry(w, 0, 7);
        world_settle(w);
        cr_assert_eq(world_node_durable(w), world_node_lsn(w));
        world_crash(w, true);
        open_again(w);
        cr_assert_not(w->opened.is_new);
        cr_assert_eq(w->opened.vhosts, WORLD_VHOSTS);
        cr_assert_eq(w->entries[0], 7, "seed %llu", (unsigned long long)seed);
        world_free(w);
    }
}

Test(store, an_entry_that_went_stays_away)
{
    struct world *w = begin(1);

    world_put_entry(w, 1, 5);
    world_put_entry(w, 2, 6);
    world_put_entry(w, 1, 0);
    world_stop(w);
    open_again(w);
    cr_assert_eq(w->entries[1], 0);
    cr_assert_eq(w->entries[2], 6);
    world_free(w);
}

/* Entries, until the disk has no room for them. */
static uint64_t fill(struct world *w)
{
    uint64_t value = 0;

    sys_fake_capacity(w->fake, UINT64_C(200000));
    while (!w->is_full && value < 100000) {
        world_put_entry(w, 3, ++value);
        world_turn(w);
    }
    cr_assert(w->is_full, "the disk is not full after %llu entries", (unsigned long long)value);
    cr_assert_not(w->is_dead, "%s", w->why);
    return value;
}

Test(store, a_full_disk_heals)
{
    struct world *w = begin(2);
    uint64_t value = fill(w);

    world_settle(w);
    sys_fake_capacity(w->fake, 0);
    for (int i = 0; i < 1000; i++)
        world_turn(w);
    world_pass(w, 1000);
    world_settle(w);
    cr_assert_eq(world_node_durable(w), world_node_lsn(w));
    cr_assert_not(w->is_full);
    world_crash(w, true);
    open_again(w);
    cr_assert_eq(w->entries[3], value);
    world_free(w);
}

Test(store, a_stop_on_a_full_disk_ends)
{
    struct world *w = begin(2);

    fill(w);
    world_stop(w);
    sys_fake_capacity(w->fake, 0);
    open_again(w);
    cr_assert_gt(w->entries[3], 0);
    world_free(w);
}

/* ---- the end of the journal ---- */

static void unlink_journal(struct world *w)
{
    char path[64];

    for (int number = 0; number < 20; number++) {
        snprintf(path, sizeof path, "data/journal/%02d.wal", number);
        sys_unlink(w->sys, path);
    }
}

/* Flip a bit of the batch that was written last. */
static void damage_last_batch(struct world *w)
{
    char path[64], best_path[64] = "";
    uint64_t best = 0, best_at = 0;
    uint8_t octets[80];
    struct sys_file *file;

    for (int number = 0; number < 20; number++) {
        snprintf(path, sizeof path, "data/journal/%02d.wal", number);
        if (sys_open(w->sys, path, SYS_READ, &file) != 0)
            continue;
        for (uint64_t at = 8192; sys_read(w->sys, file, octets, 80, at) == 80; at += 512)
            if (memcmp(octets, "BATC", 4) == 0 && get_u64(octets + 24) > best) {
                best = get_u64(octets + 24);
                best_at = at;
                memcpy(best_path, path, sizeof path);
            }
        sys_close(w->sys, file);
    }
    cr_assert_gt(best, 0);
    cr_assert_eq(sys_open(w->sys, best_path, SYS_WRITE, &file), 0);
    cr_assert_eq(sys_read(w->sys, file, octets, 1, best_at + 70), 1);
    octets[0] ^= 1;
    cr_assert_eq(sys_write(w->sys, file, octets, 1, best_at + 70), 0);
    cr_assert_eq(sys_sync(w->sys, file), 0);
    sys_close(w->sys, file);
}

static void expect_damage(struct world *w, const char *text)
{
    cr_assert_eq(world_open(w), STORE_DAMAGED, "it opens");
    cr_expect(strstr(w->why, text), "%s", w->why);
}

Test(store, damage_of_the_last_batch_is_told_after_a_clean_stop)
{
    struct world *w = begin(1);

    world_put_entry(w, 0, 7);
    world_stop(w);
    damage_last_batch(w);
    expect_damage(w, "data/journal/00.wal: offset ");
    world_free(w);
}

Test(store, a_last_batch_that_a_crash_may_have_torn_is_cut)
{
    struct world *w = begin(1);

    world_settle(w);
    store_care(w->store);
    world_settle(w);
    world_put_entry(w, 0, 7);
    world_settle(w);
    world_crash(w, false);
    damage_last_batch(w);
    open_again(w);
    cr_expect_gt(w->opened.cut, 0);
    cr_expect_eq(w->entries[0], 0);
    world_free(w);
}

Test(store, a_journal_that_is_gone_is_told)
{
    for (int way = 0; way < 2; way++) {
        struct world *w = begin(1);

        world_put_entry(w, 0, 7);
        world_settle(w);
        store_care(w->store); /* as happens once a second */
        world_settle(w);
        if (way)
            world_stop(w);
        else
            world_crash(w, false);
        unlink_journal(w);
        expect_damage(w, "data/journal: offset 0: no file of the journal");
        world_free(w);
    }
}

Test(store, what_the_system_refuses_is_not_damage)
{
    struct world *w = begin(1);
    uint64_t n = 0;

    connect_client(w);
    publish(w, 0, 50, 500);
    world_stop(w);
    do {
        enum store_result result;

        sys_fake_fail(w->fake, ++n, EIO);
        result = world_open(w);
        cr_expect_neq(result, STORE_DAMAGED, "call %llu: %s", (unsigned long long)n, w->why);
        if (result == STORE_OPENED)
            world_crash(w, false);
    } while (sys_fake_has_failed(w->fake));
    cr_expect_gt(n, 30);
    open_again(w);
    connect_client(w);
    for (uint64_t number = 0; number < 50; number++)
        cr_assert(get(w, true) && client.number == number);
    world_free(w);
}

/* ---- checkpoints ---- */

/* A second later: what the store's care and a checkpoint that is due do. */
static void tick(struct world *w)
{
    world_pass(w, 1100);
    if (!w->is_dead)
        store_care(w->store);
    world_settle(w);
}

Test(store, what_ends_a_node_says_why)
{
    bool failed = true, of_catalog = false, of_segments = false;

    for (uint64_t n = 1; failed; n++) {
        struct world *w = begin(4);

        connect_client(w);
        w->store->settings.memory_window = 0;
        for (uint64_t from = 0; from < 60 && !w->store->checkpoint.begun; from += 20)
            publish(w, from, from + 20, 400);
        sys_fake_fail(w->fake, n, EIO);
        for (uint64_t from = 100; from < 400 && !w->is_dead; from += 20)
            publish(w, from, from + 20, 400);
        failed = sys_fake_has_failed(w->fake);
        if (w->is_dead)
            cr_expect(strstr(w->why, strerror(EIO)), "call %llu: %s", (unsigned long long)n, w->why);
        of_catalog |= strstr(w->why, "the catalog cannot be written: data/catalog.db: ") != NULL;
        of_segments |= strstr(w->why, "the segments cannot be synced: ") != NULL;
        sys_fake_fail(w->fake, 0, 0);
        world_free(w);
    }
    cr_expect(of_catalog && of_segments);
}

static struct vhost *make_no_vhost(void *context, struct bytes name, struct journal *journal, void **owner)
{
    (void)context;
    (void)name;
    (void)journal;
    (void)owner;
    return NULL;
}

static void random_zeros(void *context, void *out, size_t size)
{
    (void)context;
    memset(out, 0, size);
}

static void disk_is_full(void *context, bool full)
{
    (void)context;
    cr_assert_not(full);
}

Test(store, a_node_without_vhosts_has_checkpoints)
{
    struct sys_fake *fake = sys_fake_new(1);
    const struct store_settings settings = {
        .folder = "data", .journal_window = 4 * 32768, .journal_file_size = 32768, .memory_window = 1};
    const struct store_ops ops = {
        .make_vhost = make_no_vhost, .random = random_zeros, .disk_full = disk_is_full};
    char why[STORE_WHY_SIZE], json[1000];
    struct store_opened opened;
    struct store *store;

    memset(json, ' ', sizeof json);
    cr_assert_eq(store_open(sys_fake_sys(fake), &settings, &ops, &store, &opened, why), STORE_OPENED);
    for (int i = 0; i < 500; i++) {
        store_put_entry(store, BYTES_LITERAL("parameters"), BYTES_LITERAL(""), BYTES_LITERAL("p"),
                        (struct bytes){(const uint8_t *)json, sizeof json});
        for (int steps = 0; steps < 10 && store_step(store); steps++)
            continue;
        cr_assert_eq(store_counters(store).journal_backlog, 0, "entry %d waits", i);
    }
    cr_expect_geq(store_counters(store).checkpoints, 5);
    store_finish(store);
    store_free(store);
    sys_free(sys_fake_sys(fake));
}

/* ---- what is away ---- */

/* A window of memory that holds one message or two. */
static struct world *begin_small(uint64_t file_size)
{
    struct world *w = world_new(3, hear);

    w->settings = (struct store_settings){.folder = "data",
                                          .journal_window = 8 * 65536,
                                          .journal_file_size = 65536,
                                          .segment_file_size = file_size,
                                          .memory_window = 1000};
    open_again(w);
    connect_client(w);
    return w;
}

Test(store, what_came_back_and_is_away_again_is_redelivered)
{
    struct world *w = begin_small(65536);

    publish(w, 0, 40, 500);
    for (uint64_t times = 1; times < 4; times++) {
        uint64_t fetched = store_counters(w->store).fetched_runs;

        cr_assert(get(w, false));
        cr_assert_gt(store_counters(w->store).fetched_runs, fetched, "it was not away");
        cr_expect_eq(client.number, 0);
        cr_expect_eq(client.redelivered, times > 1, "got for the %llu. time", (unsigned long long)times);
        settle(w, client.tag, COMMAND_REJECT | COMMAND_REQUEUE);
        publish(w, 40 * times, 40 * times + 40, 500);
    }
    world_crash(w, true);
    open_again(w);
    connect_client(w);
    cr_assert(get(w, true) && client.number == 0 && client.redelivered);
    world_free(w);
}

enum { RUNS = 12, PER_RUN = 10 };

/* Of each of many runs one message is live, and what is live has been written again elsewhere; the catalog
 * does not know yet. */
static struct world *moved(void)
{
    struct world *w = begin_small(8192);
    uint64_t tags[RUNS * PER_RUN];

    for (uint64_t from = 0; from < RUNS * PER_RUN; from += PER_RUN)
        publish(w, from, from + PER_RUN, 700);
    for (unsigned i = 0; i < RUNS * PER_RUN; i++) {
        cr_assert(get(w, false));
        cr_assert_eq(client.number, i);
        tags[i] = client.tag;
    }
    for (unsigned i = 0; i < RUNS * PER_RUN; i++)
        if (i % PER_RUN)
            settle(w, tags[i], COMMAND_ACK);
    for (int ticks = 0; ticks < 20 && !store_counters(w->store).moved_runs; ticks++)
        tick(w);
    cr_assert_gt(store_counters(w->store).moved_runs, 0);
    return w;
}

static void expect_one_of_each(struct world *w, uint64_t n)
{
    connect_client(w);
    for (unsigned i = 0; i < RUNS; i++)
        cr_assert(get(w, true) && client.number == (uint64_t)i * PER_RUN, "call %llu: %u is gone",
                  (unsigned long long)n, i * PER_RUN);
    cr_assert_not(get(w, true));
}

/* A file is needed until the commit that names the places where its runs are now. */
Test(store, a_segment_file_outlives_the_commit_that_forgets_it)
{
    bool stopped = true;

    for (uint64_t n = 1; stopped; n++) {
        struct world *w = moved();

        sys_fake_stop(w->fake, n);
        for (int ticks = 0; ticks < 3; ticks++)
            tick(w);
        stopped = sys_fake_is_stopped(w->fake);
        world_crash(w, true);
        open_again(w);
        expect_one_of_each(w, n);
        world_free(w);
    }
}

/* ---- what was delivered ---- */

static void publish_with_priority(struct world *w, uint64_t number, uint8_t priority)
{
    struct batch batch = {.kind = BATCH_COMMANDS, .connection = client.id};
    struct message *message = make_message(number, 100, true);

    message->priority = priority;
    *batch_add(&batch) = (struct command){.kind = COMMAND_PUBLISH_BEGUN, .channel = 1};
    *batch_add(&batch) = (struct command){.kind = COMMAND_PUBLISH, .channel = 1, .message = message};
    run(w, &batch);
}

/* Of a priority of which there was nothing when the consumer came, too: what it was told by consume-ok holds.
 */
Test(store, what_was_delivered_of_a_new_priority_is_redelivered)
{
    struct arguments arguments = ARGUMENTS(INT("x-max-priority", 3));

    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *w = begin(seed);
        struct batch batch;

        connect_client_to(w, arguments);
        call(w, 1, &(struct method){.id = METHOD_BASIC_QOS, .basic_qos = {.prefetch_count = 1}});
        call(w, 1,
             &(struct method){
                 .id = METHOD_BASIC_CONSUME,
                 .basic_consume = {.queue = BYTES_LITERAL("q"), .consumer_tag = BYTES_LITERAL("t")}});
        cr_assert_eq(client.method, METHOD_BASIC_CONSUME_OK);
        publish_with_priority(w, 1, 0);
        publish_with_priority(w, 2, 3);
        cr_assert_eq(client.number, 1);
        batch = (struct batch){.kind = BATCH_COMMANDS, .connection = client.id};
        *batch_add(&batch) =
            (struct command){.kind = COMMAND_SETTLE, .flags = COMMAND_ACK, .channel = 1, .delivery_tag = 1};
        world_run(&w->vhosts[0], &batch, NULL); /* and nothing of that becomes durable */
        batch_clear(&batch);
        cr_assert_eq(client.number, 2);
        world_crash(w, true);
        open_again(w);
        connect_client_to(w, arguments);
        cr_assert(get(w, false));
        cr_assert_eq(client.number, 2);
        cr_expect(client.redelivered, "seed %llu", (unsigned long long)seed);
        world_free(w);
    }
}

/* ---- numbers that nobody can have written ---- */

/* A node with a message at number 0 of its queue, that has ended. */
struct hostile {
    struct world *w;
    uint32_t vhost;
    uint64_t epoch, queue;
};

static struct hostile hostile_begin(void)
{
    struct hostile h = {.w = begin(6)};

    connect_client(h.w);
    publish(h.w, 0, 1, 100);
    h.vhost = journal_of(h.w->vhosts[0].journal)->id;
    h.epoch = h.w->store->state.epoch;
    h.queue = queue_find(h.w->vhosts[0].vhost, BYTES_LITERAL("q"))->lsn;
    world_stop(h.w);
    return h;
}

static void free_chunk(void *context, struct wal_chunk *chunks, uint64_t file)
{
    (void)context;
    (void)file;
    for (uint32_t i = 0; i < chunks->count; i++)
        if (chunks->items[i].owner)
            message_unref(chunks->items[i].owner);
    free(chunks);
}

static bool pass_over(void *context, uint64_t file, const uint8_t *record, size_t size,
                      char why[WAL_WHY_SIZE])
{
    (void)context;
    (void)file;
    (void)record;
    (void)size;
    (void)why;
    return true;
}

/* Write RECORD behind what is in the journal. */
static void hostile_write(const struct hostile *h, const struct journal_record *record, uint64_t lsn)
{
    const struct store_settings *node = &h->w->settings;
    const struct wal_settings settings = {.folder = "data/journal",
                                          .file_size = node->journal_file_size,
                                          .file_count =
                                              (uint32_t)(node->journal_window / node->journal_file_size),
                                          .epoch = h->epoch};
    struct wal_replay replay = {.each = pass_over};
    char why[WAL_WHY_SIZE];
    struct wal *wal = wal_open(h->w->sys, &settings, &replay, free_chunk, NULL, why);
    struct wal_chunk *chunk = xcalloc(1, sizeof *chunk);

    cr_assert(wal, "%s", why);
    logged_encode(wal_chunk_add(chunk), record, h->vhost, lsn, NULL);
    wal_push(wal, chunk, chunk);
    cr_assert_eq(wal_step(wal), 0);
    cr_assert_null(wal_close(wal));
}

Test(store, numbers_that_cannot_be_are_damage)
{
    static const struct {
        enum journal_kind kind;
        uint64_t number, below, lsn;
    } records[] = {
        {JOURNAL_ENQUEUE, UINT64_C(1) << 61, 0, 1000}, {JOURNAL_ENQUEUE, UINT64_MAX, 0, 1000},
        {JOURNAL_ENQUEUE, UINT64_C(1) << 40, 0, 1000}, {JOURNAL_ENQUEUE, 1, 0, UINT64_MAX},
        {JOURNAL_PURGE, 1, UINT64_MAX, 1000},          {JOURNAL_PURGE, 1, UINT64_C(1) << 61, 1000},
        {JOURNAL_DELIVERED, UINT64_MAX, 0, 1000},      {JOURNAL_SETTLE, 0, 0, UINT64_C(1) << 63},
    };

    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct hostile h = hostile_begin();
        struct message *message = make_message(1, 100, true);
        const struct journal_record record = {.kind = records[i].kind,
                                              .queue = h.queue,
                                              .position = {0, records[i].number},
                                              .below = records[i].below,
                                              .deadline = INT64_MAX,
                                              .message = message};

        hostile_write(&h, &record, records[i].lsn);
        message_unref(message);
        cr_expect_eq(world_open(h.w), STORE_DAMAGED, "record %zu", i);
        cr_expect(strstr(h.w->why, "a number that cannot be"), "%s", h.w->why);
        world_free(h.w);
    }
}

/* Messages that last can be far apart, where those between them did not. */
Test(store, numbers_that_are_left_out_are_fine)
{
    const uint64_t far = UINT64_C(1) << 28;
    struct hostile h = hostile_begin();
    struct message *message = make_message(far, 100, true);

    hostile_write(&h,
                  &(struct journal_record){.kind = JOURNAL_ENQUEUE,
                                           .queue = h.queue,
                                           .position = {0, far},
                                           .deadline = INT64_MAX,
                                           .message = message},
                  1000);
    message_unref(message);
    open_again(h.w);
    connect_client(h.w);
    cr_expect(get(h.w, true) && client.number == 0);
    cr_expect(get(h.w, true) && client.number == far);
    publish(h.w, far + 1, far + 2, 100);
    cr_expect(get(h.w, true) && client.number == far + 1);
    world_free(h.w);
}

/* Whatever fails a node and ends it: what it made and did not sync, names of files too, the next one syncs
 * before it builds on it. */
Test(store, what_is_built_upon_is_on_stable_storage)
{
    bool has_failed = true;

    for (uint64_t n = 1; has_failed; n++) {
        struct world *w = world_new(1, hear);

        sys_fake_fail(w->fake, n, EIO);
        if (world_open(w) == STORE_OPENED) {
            world_put_entry(w, 0, 7);
            world_settle(w);
        }
        has_failed = sys_fake_has_failed(w->fake);
        world_crash(w, false);
        sys_fake_fail(w->fake, 0, 0);
        open_again(w);
        world_put_entry(w, 1, 8);
        world_settle(w);
        store_care(w->store);
        world_settle(w);
        world_crash(w, true);
        cr_assert_eq(world_open(w), STORE_OPENED, "call %llu: %s", (unsigned long long)n, w->why);
        cr_expect_eq(w->entries[1], 8, "call %llu", (unsigned long long)n);
        world_free(w);
    }
}

/* ---- a copy made meanwhile ---- */

static void note_copied(void *context, const char *why)
{
    snprintf(context, STORE_WHY_SIZE, "%s", why ? why : "done");
}

/* Publish messages from NUMBER on and take as many old ones, and see a little of what follows from it. */
#define AT_ONCE 12
static void publish_and_take(struct world *w, uint64_t number)
{
    struct batch batch = {.kind = BATCH_COMMANDS, .connection = client.id};
    struct method get = {.id = METHOD_BASIC_GET, .basic_get = {.queue = BYTES_LITERAL("q"), .no_ack = true}};

    for (int i = 0; i < AT_ONCE; i++) {
        struct message *message = make_message(number + (uint64_t)i, 700, true);

        *batch_add(&batch) = (struct command){.kind = COMMAND_PUBLISH_BEGUN, .channel = 1};
        *batch_add(&batch) = (struct command){.kind = COMMAND_PUBLISH, .channel = 1, .message = message};
        *batch_add(&batch) = (struct command){.kind = COMMAND_METHOD, .channel = 1, .method = &get};
    }
    world_run(&w->vhosts[0], &batch, NULL);
    batch_clear(&batch);
    for (int i = 0; i < AT_ONCE / 4; i++)
        world_turn(w);
}

/* All messages of the queue, which must follow one another: how many, the first one's number in *FIRST. */
static uint64_t take_all(struct world *w, uint64_t *first)
{
    uint64_t count = 0;

    while (get(w, true)) {
        if (count == 0)
            *first = client.number;
        cr_assert_eq(client.number, *first + count);
        count++;
    }
    return count;
}

/* So many segments and files of the journal that the copy takes many slices, with commits between them. */
static void copy_while_it_changes(uint64_t seed, bool powerless)
{
    struct world *w = world_new(seed, hear);
    char why[STORE_WHY_SIZE] = "";
    uint64_t published = 600, first = 0, count;

    world_choose_settings(w);
    w->settings.journal_file_size = 32768;
    w->settings.journal_window = UINT64_C(3) * 32768;
    w->settings.segment_file_size = 8192;
    w->settings.memory_window = 1000;
    open_again(w);
    connect_client(w);
    for (uint64_t i = 0; i < published; i += 12)
        publish(w, i, i + 12, 700);
    for (uint64_t i = 0; i < 100; i++)
        cr_assert(get(w, true));
    world_settle(w);
    cr_assert(store_backup(w->store, "copy", note_copied, why));
    cr_expect_not(store_backup(w->store, "other", note_copied, NULL), "two at a time");
    for (; !*why; published += AT_ONCE)
        publish_and_take(w, published);
    cr_assert_str_eq(why, "done");
    if (powerless)
        world_crash(w, true);
    else
        world_stop(w);
    w->settings.folder = "copy";
    open_again(w);
    connect_client(w);
    count = take_all(w, &first);
    cr_expect(first >= 100 && first <= published - 500, "it begins with %llu", (unsigned long long)first);
    cr_expect(first + count >= 600 && first + count <= published, "it ends with %llu",
              (unsigned long long)(first + count));
    world_free(w);
}

Test(store, a_copy_made_meanwhile_is_of_one_moment)
{
    for (uint64_t seed = 1; seed <= (EXHAUSTIVE ? 60 : 6); seed++)
        copy_while_it_changes(seed, seed % 2);
}

Test(store, a_copy_needs_an_empty_folder)
{
    struct world *w = begin(1);
    char why[STORE_WHY_SIZE] = "";

    cr_assert(store_backup(w->store, "data", note_copied, why));
    world_settle(w);
    cr_expect_str_eq(why, "data: File exists");
    world_stop(w);
    world_free(w);
}

Test(store, a_copy_that_fails_is_no_data_directory)
{
    struct world *w = begin(3);
    uint64_t n = 0;
    char why[STORE_WHY_SIZE];

    connect_client(w);
    publish(w, 0, 300, 700);
    world_settle(w);
    do {
        char folder[32];

        snprintf(folder, sizeof folder, "copy%llu", (unsigned long long)++n);
        *why = '\0';
        sys_fake_fail(w->fake, n, ENOSPC);
        cr_assert(store_backup(w->store, folder, note_copied, why));
        world_settle(w);
        cr_assert_str_neq(why, "");
        cr_assert_not(w->is_dead, "call %llu: %s", (unsigned long long)n, w->why);
    } while (strcmp(why, "done") != 0);
    sys_fake_fail(w->fake, 0, 0);
    cr_expect_gt(n, 10);
    world_stop(w);
    w->settings.folder = "copy9";
    cr_expect_eq(world_open(w), STORE_DAMAGED, "%s", w->why);
    world_free(w);
}
