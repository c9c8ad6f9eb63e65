/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal.h: what was given back as done is there after any crash, what is there is a prefix of what was pushed,
 * a torn tail is cut, and damage is never taken for one.
 *
 * Every record holds its number and the life (between two crashes) in which it was pushed, so that one that
 * comes back from a tail that was cut is found out.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/bytes.h"
#include "coney/xalloc.h"
#include "exhaustive.h"
#include "sim/random.h"
#include "store/wal.h"
#include "sys_fake.h"

#define FOLDER      "data/journal"
#define FILE_SIZE   UINT64_C(32768)
#define FILE_COUNT  4
#define HEADERS     8192
#define BLOCK       512
#define RECORDS_MAX 20000
#define FILES_MAX   4000

struct rig {
    struct sys_fake *fake;
    struct sys *sys;
    struct wal_settings settings;
    struct wal_replay replay;
    struct wal *wal;
    char why[WAL_WHY_SIZE];
    uint64_t pushed;   /* number of the last record */
    uint64_t done;     /* of the last one given back */
    uint64_t promised; /* of the last one given back as being on stable storage */
    uint64_t replayed; /* of the last one, in the current opening */
    uint64_t first;    /* what the catalog would say */
    uint64_t synced;   /* the same */
    uint8_t life;
    uint8_t lives[RECORDS_MAX];
    uint64_t begins[FILES_MAX]; /* the first record of each file, 0: not known */
};

/* ---- records ---- */

static void fill_part(uint8_t *to, size_t size, uint64_t number, uint8_t life)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(number * 31 + life * 7 + i * 13 + (i >> 8));
}

static struct wal_chunk *new_chunk(void)
{
    return xcalloc(1, sizeof(struct wal_chunk));
}

/* A record in two parts, the second one a third of SIZE. */
static void add_record(struct rig *rig, struct wal_chunk *chunk, uint32_t size)
{
    struct wal_item *item = wal_chunk_add(chunk);
    uint64_t number = ++rig->pushed;
    uint8_t *octets = xmalloc(size + 1);

    cr_assert_lt(number, RECORDS_MAX);
    rig->lives[number] = rig->life;
    put_u64(item->head, number);
    put_u32(put_u8(item->head + 8, rig->life), size);
    item->head_size = 13;
    fill_part(octets, size, number, rig->life);
    item->owner = octets;
    item->second_size = size / 3;
    item->first_size = size - size / 3;
    item->first = octets;
    item->second = octets + item->first_size;
}

static void push_chunks(struct rig *rig, uint32_t chunks, uint32_t records, uint32_t size, bool relaxed)
{
    struct wal_chunk *first = NULL, *last = NULL;

    for (uint32_t i = 0; i < chunks; i++) {
        struct wal_chunk *chunk = new_chunk();

        chunk->relaxed = relaxed;
        for (uint32_t j = 0; j < records; j++)
            add_record(rig, chunk, size);
        *(first ? &last->next : &first) = chunk;
        last = chunk;
    }
    wal_push(rig->wal, first, last);
}

static void push(struct rig *rig, uint32_t size)
{
    push_chunks(rig, 1, 1, size, false);
}

static void free_chunks(struct wal_chunk *chunk)
{
    while (chunk) {
        struct wal_chunk *next = chunk->next;

        for (uint32_t i = 0; i < chunk->count; i++)
            free(chunk->items[i].owner);
        free(chunk);
        chunk = next;
    }
}

static void on_done(void *context, struct wal_chunk *chunks, uint64_t file)
{
    struct rig *rig = context;
    bool relaxed = true;

    for (struct wal_chunk *chunk = chunks; chunk; chunk = chunk->next) {
        for (uint32_t i = 0; i < chunk->count; i++)
            cr_assert_eq(get_u64(chunk->items[i].head), ++rig->done, "given back out of order");
        relaxed &= chunk->relaxed;
        if (chunk->count && !rig->begins[file])
            rig->begins[file] = get_u64(chunk->items[0].head);
    }
    if (!relaxed)
        rig->promised = rig->done;
    free_chunks(chunks);
}

static bool on_record(void *context, uint64_t file, const uint8_t *record, size_t size,
                      char why[WAL_WHY_SIZE])
{
    struct rig *rig = context;
    uint64_t number = get_u64(record);
    uint8_t life = record[8];
    uint8_t *expected = xmalloc(size);

    cr_assert_geq(size, 13);
    cr_assert_eq(get_u32(record + 9), size - 13);
    if (rig->replayed)
        cr_assert_eq(number, rig->replayed + 1, "record %lu after %lu", (unsigned long)number,
                     (unsigned long)rig->replayed);
    else if (rig->begins[file])
        cr_assert_eq(number, rig->begins[file]);
    cr_assert_leq(number, rig->pushed);
    cr_assert_eq(life, rig->lives[number], "record %lu came back from life %u", (unsigned long)number, life);
    fill_part(expected, size - 13, number, life);
    cr_assert_eq(memcmp(expected, record + 13, size - 13), 0);
    free(expected);
    rig->replayed = number;
    rig->begins[file] = rig->begins[file] ? rig->begins[file] : number;
    (void)why;
    return true;
}

/* ---- the rig ---- */

static struct rig *rig_new(void)
{
    struct rig *rig = xcalloc(1, sizeof *rig);

    rig->fake = sys_fake_new(1);
    rig->sys = sys_fake_sys(rig->fake);
    rig->settings = (struct wal_settings){
        .folder = FOLDER, .file_size = FILE_SIZE, .file_count = FILE_COUNT, .epoch = 77};
    rig->first = 1;
    cr_assert_eq(sys_make_folder(rig->sys, "data"), 0);
    cr_assert_eq(sys_sync_folder(rig->sys, "."), 0);
    return rig;
}

static bool rig_try_open(struct rig *rig)
{
    rig->replay =
        (struct wal_replay){.first = rig->first, .synced = rig->synced, .each = on_record, .context = rig};
    rig->replayed = 0;
    rig->why[0] = '\0';
    rig->life++;
    rig->wal = wal_open(rig->sys, &rig->settings, &rig->replay, on_done, rig, rig->why);
    return rig->wal;
}

/* What the opening found is from now on what was pushed. */
static void rig_open(struct rig *rig)
{
    cr_assert(rig_try_open(rig), "%s", rig->why);
    if (rig->replayed || rig->first <= 1)
        cr_assert_geq(rig->replayed, rig->promised, "%lu replayed, %lu promised",
                      (unsigned long)rig->replayed, (unsigned long)rig->promised);
    else
        cr_assert(!rig->begins[rig->first] || rig->begins[rig->first] > rig->promised);
    if (!rig->replayed && rig->begins[rig->first])
        rig->replayed = rig->begins[rig->first] - 1;
    rig->pushed = rig->done = rig->promised = rig->replayed;
    for (uint64_t i = 0; i < FILES_MAX; i++)
        if (rig->begins[i] > rig->pushed)
            rig->begins[i] = 0;
}

static void rig_close(struct rig *rig)
{
    if (rig->wal)
        free_chunks(wal_close(rig->wal));
    rig->wal = NULL;
}

static void rig_reopen(struct rig *rig)
{
    rig_close(rig);
    rig_open(rig);
}

static void rig_free(struct rig *rig)
{
    rig_close(rig);
    sys_free(rig->sys);
    free(rig);
}

static void step(struct rig *rig)
{
    int error = wal_step(rig->wal);

    cr_assert_eq(error, 0, "%s", strerror(-error));
    cr_assert_eq(wal_backlog(rig->wal), 0);
}

/* As the checkpoint does: the catalog names its first file, then those before are released. */
static void release(struct rig *rig, uint64_t last)
{
    rig->first = last + 1 > rig->first ? last + 1 : rig->first;
    wal_release(rig->wal, last);
}

/* ---- meddling with files ---- */

struct copy {
    char path[64];
    uint8_t *octets;
    uint64_t size;
};

static struct copy copy_of(struct rig *rig, unsigned number)
{
    struct copy copy;
    struct sys_file *file;

    snprintf(copy.path, sizeof copy.path, FOLDER "/%02u.wal", number);
    cr_assert_eq(sys_open(rig->sys, copy.path, SYS_READ, &file), 0);
    copy.size = (uint64_t)sys_size(rig->sys, file);
    copy.octets = xmalloc(copy.size);
    cr_assert_eq(sys_read(rig->sys, file, copy.octets, copy.size, 0), (ssize_t)copy.size);
    sys_close(rig->sys, file);
    return copy;
}

/* Make the file what COPY says, but SIZE octets of it. */
static void put_back(struct rig *rig, const struct copy *copy, uint64_t size)
{
    struct sys_file *file;

    cr_assert_eq(sys_open(rig->sys, copy->path, SYS_WRITE | SYS_CREATE | SYS_TRUNCATE, &file), 0);
    cr_assert_eq(sys_write(rig->sys, file, copy->octets, size, 0), 0);
    cr_assert_eq(sys_sync(rig->sys, file), 0);
    sys_close(rig->sys, file);
}

static void overwrite(struct rig *rig, unsigned number, uint64_t offset, const void *octets, size_t size)
{
    char path[64];
    struct sys_file *file;

    snprintf(path, sizeof path, FOLDER "/%02u.wal", number);
    cr_assert_eq(sys_open(rig->sys, path, SYS_WRITE, &file), 0);
    cr_assert_eq(sys_write(rig->sys, file, octets, size, offset), 0);
    cr_assert_eq(sys_sync(rig->sys, file), 0);
    sys_close(rig->sys, file);
}

static const uint8_t nothing[4096];

static void expect_refusal(struct rig *rig, const char *what)
{
    cr_assert_not(rig_try_open(rig));
    cr_expect(strstr(rig->why, what), "%s", rig->why);
    cr_expect_eq(rig->replay.error, -EBADMSG);
}

/* Three batches in the first file, two in the second, the last. */
static struct rig *five_batches(void)
{
    static const uint32_t sizes[] = {10, 12000, 100, 12000, 300};
    struct rig *rig = rig_new();

    rig_open(rig);
    for (unsigned i = 0; i < 5; i++) {
        push(rig, sizes[i]);
        step(rig);
    }
    cr_assert_eq(wal_file(rig->wal), 2);
    rig_close(rig);
    return rig;
}

/* ---- what is written is read ---- */

Test(wal, gives_back_what_was_written_after_reopening)
{
    struct rig *rig = rig_new();

    rig->settings.file_size = UINT64_C(1) << 20;
    rig_open(rig);
    for (uint32_t size = 0; size < 50000; size = size * 2 + 1)
        push_chunks(rig, 2, 3, size, false);
    push_chunks(rig, 1, 0, 0, false);
    push_chunks(rig, 2, WAL_CHUNK_ITEMS, 40, true);
    step(rig);
    cr_assert_eq(rig->done, rig->pushed);
    rig_reopen(rig);
    cr_assert_eq(rig->replay.records, rig->pushed);
    cr_assert_eq(rig->replay.cut, 0);
    push(rig, 5);
    step(rig);
    rig_reopen(rig);
    cr_assert_eq(rig->replay.records, rig->pushed);
    rig_free(rig);
}

Test(wal, writes_what_one_push_handed_in_as_one_batch)
{
    struct rig *rig = rig_new();

    rig->settings.file_size = UINT64_C(64) << 20;
    rig_open(rig);
    push_chunks(rig, 4, 100, 50000, false);
    step(rig);
    cr_expect_eq(wal_counters(rig->wal).batches, 1);
    for (int i = 0; i < 4; i++)
        push_chunks(rig, 1, 100, 50000, false);
    step(rig);
    cr_expect_eq(wal_counters(rig->wal).batches, 3);
    cr_expect_eq(wal_counters(rig->wal).syncs, 3);
    cr_expect_eq(wal_counters(rig->wal).records, 800);
    rig_reopen(rig);
    cr_expect_eq(rig->replayed, 800);
    rig_free(rig);
}

Test(wal, syncs_what_is_relaxed_later)
{
    struct rig *rig = rig_new();

    rig->settings.sync_every_ms = 3600000;
    rig_open(rig);
    push_chunks(rig, 1, 1, 10, true);
    step(rig);
    cr_expect_eq(rig->done, 1);
    cr_expect_eq(wal_counters(rig->wal).syncs, 0);
    push(rig, 10);
    step(rig);
    cr_expect_eq(wal_counters(rig->wal).syncs, 1, "one that is not relaxed is synced, with all before it");
    rig_close(rig);
    rig->settings.sync_every_ms = 0;
    rig_open(rig);
    push_chunks(rig, 1, 1, 10, true);
    step(rig);
    step(rig);
    cr_expect_eq(wal_counters(rig->wal).syncs, 1);
    rig_free(rig);
}

/* ---- syncs that take long ---- */

Test(wal, writes_on_while_it_syncs)
{
    struct rig *rig = rig_new();

    rig->settings.sync_apart = 1000;
    rig_open(rig);
    push(rig, 1500);
    cr_assert_eq(wal_step(rig->wal), 0);
    cr_expect(wal_is_syncing(rig->wal));
    cr_expect_eq(rig->done, 0, "nothing is promised before the sync has ended");
    push(rig, 1500);
    push(rig, 1500);
    cr_assert_eq(wal_step(rig->wal), 0);
    cr_expect_eq(wal_counters(rig->wal).batches, 3);
    cr_expect_eq(wal_counters(rig->wal).syncs, 1);
    cr_expect_eq(rig->done, 1, "what was written during a sync is not synced by it");
    cr_assert_eq(wal_step(rig->wal), 0);
    cr_expect_eq(wal_counters(rig->wal).syncs, 2, "one for all that was written meanwhile");
    cr_expect_eq(rig->done, 3);
    cr_expect_not(wal_is_syncing(rig->wal));
    rig_free(rig);
}

Test(wal, gathers_a_little_while_it_syncs_and_syncs_that_at_once)
{
    struct rig *rig = rig_new();

    rig->settings.sync_apart = 1000;
    rig_open(rig);
    push(rig, 1500);
    cr_assert_eq(wal_step(rig->wal), 0);
    push(rig, 100);
    push_chunks(rig, 1, 1, 100, true);
    cr_assert_eq(wal_step(rig->wal), 0);
    cr_expect_eq(wal_counters(rig->wal).batches, 1);
    cr_expect_eq(rig->done, 1);
    step(rig);
    cr_expect_eq(wal_counters(rig->wal).batches, 2);
    cr_expect_eq(rig->done, 3);
    rig_free(rig);
}

Test(wal, gives_back_what_is_relaxed_in_its_turn)
{
    struct rig *rig = rig_new();

    rig->settings.sync_apart = 1000;
    rig->settings.sync_every_ms = 3600000;
    rig_open(rig);
    push(rig, 1500);
    cr_assert_eq(wal_step(rig->wal), 0);
    push_chunks(rig, 1, 1, 1500, true);
    cr_assert_eq(wal_step(rig->wal), 0);
    cr_expect_eq(rig->done, 2);
    cr_expect_eq(wal_counters(rig->wal).syncs, 1, "what is relaxed is content with being written");
    rig_free(rig);
}

Test(wal, syncs_at_once_where_that_is_quick)
{
    struct rig *rig = rig_new();

    rig->settings.sync_apart = 1;
    rig->settings.long_sync_ns = UINT64_C(3600000000000);
    rig_open(rig);
    push(rig, 1500);
    step(rig);
    cr_expect_eq(rig->done, 1);
    rig_free(rig);
}

/* ---- the window ---- */

static void count_name(void *context, const char *name)
{
    (void)name;
    ++*(uint32_t *)context;
}

static void expect_files(struct rig *rig, uint32_t most)
{
    uint32_t count = 0;

    cr_assert_eq(sys_list(rig->sys, FOLDER, count_name, &count), 0);
    cr_expect_leq(count, most);
}

Test(wal, uses_its_files_again_and_again)
{
    struct rig *rig = rig_new();

    rig_open(rig);
    for (int i = 0; i < 300; i++) {
        push_chunks(rig, 1, 2, (uint32_t)(i * 37 % 5000), false);
        cr_assert_eq(wal_prepare(rig->wal), 0);
        step(rig);
        if (wal_files_in_use(rig->wal) == FILE_COUNT)
            release(rig, wal_file(rig->wal) - 2);
        if (i % 7 == 0)
            rig_reopen(rig);
    }
    cr_expect_geq(wal_file(rig->wal), 20);
    expect_files(rig, FILE_COUNT);
    rig_free(rig);
}

/* So that a new node is ready soon; the next one is as large as all. */
Test(wal, first_file_is_small_and_the_next_one_made_at_once)
{
    struct rig *rig = rig_new();
    struct copy first, second;

    rig->settings.file_size = UINT64_C(4) << 20;
    rig_open(rig);
    push(rig, 1000);
    step(rig);
    cr_assert_eq(wal_prepare(rig->wal), 0);
    first = copy_of(rig, 0);
    second = copy_of(rig, 1);
    cr_expect_eq(first.size, UINT64_C(2) << 20);
    cr_expect_eq(second.size, rig->settings.file_size);
    free(first.octets);
    free(second.octets);
    push(rig, 3000000); /* more than there is room for in the first */
    step(rig);
    cr_expect_eq(wal_file(rig->wal), 2);
    release(rig, 1);
    while (wal_file(rig->wal) < 3) {
        push(rig, 900000);
        step(rig);
    }
    first = copy_of(rig, 0);
    cr_expect_eq(first.size, rig->settings.file_size, "used again it is as large as all");
    free(first.octets);
    rig_reopen(rig);
    rig_free(rig);
}

/* Soon enough for it to be made while the rest of the current one fills. */
Test(wal, next_file_is_asked_for_when_a_quarter_is_full)
{
    struct rig *rig = rig_new();

    rig->settings.file_size = UINT64_C(2) << 20;
    rig_open(rig);
    cr_expect_not(wal_needs_next(rig->wal), "nothing is written yet");
    push(rig, 400000);
    step(rig);
    cr_expect_not(wal_needs_next(rig->wal));
    push(rig, 200000);
    step(rig);
    cr_expect(wal_needs_next(rig->wal));
    push(rig, 1600000);
    step(rig);
    cr_expect_eq(wal_file(rig->wal), 2);
    rig_free(rig);
}

Test(wal, waits_for_a_release_when_all_files_are_in_use)
{
    struct rig *rig = rig_new();
    int error = 0;

    rig_open(rig);
    while (!error) {
        push(rig, 9000);
        error = wal_step(rig->wal);
    }
    cr_assert_eq(error, -EAGAIN);
    cr_assert_eq(wal_files_in_use(rig->wal), FILE_COUNT);
    cr_assert_eq(rig->done, rig->pushed - 1);
    cr_expect_eq(wal_prepare(rig->wal), 0);
    cr_expect_gt(wal_backlog(rig->wal), 9000);
    release(rig, 1);
    step(rig);
    cr_assert_eq(rig->done, rig->pushed);
    rig_reopen(rig);
    expect_files(rig, FILE_COUNT);
    rig_free(rig);
}

Test(wal, makes_a_file_larger_for_a_push_that_fits_in_none)
{
    struct rig *rig = rig_new();
    struct copy copy;

    rig_open(rig);
    push(rig, 10);
    push_chunks(rig, 3, 10, 2000, false);
    push(rig, 10);
    step(rig);
    cr_expect_eq(wal_file(rig->wal), 3);
    rig_reopen(rig);
    cr_assert_eq(rig->replay.records, 32);
    copy = copy_of(rig, 1);
    cr_expect_gt(copy.size, FILE_SIZE);
    free(copy.octets);
    for (int i = 0; i < 20; i++) {
        release(rig, wal_file(rig->wal) - 1);
        push(rig, 20000);
        step(rig);
    }
    for (unsigned i = 0; i < FILE_COUNT - 1; i++) {
        copy = copy_of(rig, i);
        cr_expect_eq(copy.size, FILE_SIZE);
        free(copy.octets);
    }
    rig_reopen(rig);
    rig_free(rig);
}

Test(wal, takes_fewer_or_smaller_files_when_told_so)
{
    struct rig *rig = rig_new();

    rig_open(rig);
    for (int i = 0; i < 8; i++) {
        push(rig, 20000);
        wal_step(rig->wal);
    }
    rig_close(rig);
    rig->settings.file_count = 2;
    rig->settings.file_size = FILE_SIZE / 2;
    rig_open(rig);
    push(rig, 20000);
    cr_expect_eq(wal_step(rig->wal), -EAGAIN);
    release(rig, 3);
    for (int i = 0; i < 20; i++) {
        step(rig);
        release(rig, wal_file(rig->wal) - 1);
        push(rig, 6000);
    }
    step(rig);
    rig_reopen(rig);
    release(rig, wal_file(rig->wal) - 1);
    push(rig, 1);
    step(rig);
    expect_files(rig, 2);
    rig_free(rig);
}

/* ---- damage, and what is none ---- */

Test(wal, refuses_a_file_cut_at_any_size, .disabled = !EXHAUSTIVE)
{
    struct rig *rig = five_batches();

    for (unsigned number = 0; number < 2; number++) {
        struct copy copy = copy_of(rig, number);

        for (uint64_t size = 0; size<copy.size; size += size> 16500 ? 61 : 1) {
            put_back(rig, &copy, size);
            expect_refusal(rig, copy.path);
        }
        put_back(rig, &copy, copy.size);
        free(copy.octets);
    }
    rig_open(rig);
    cr_assert_eq(rig->replayed, 5);
    rig_free(rig);
}

/* Only what is in the last batch may be given up for an octet that changed there. */
Test(wal, never_skips_an_octet_that_changed, .disabled = !EXHAUSTIVE)
{
    struct rig *rig = five_batches();
    uint64_t refused = 0, cut = 0, unharmed = 0;

    for (unsigned number = 0; number < 2; number++) {
        struct copy copy = copy_of(rig, number);

        for (uint64_t at = 0; at < copy.size; at += OCTET_STRIDE) {
            uint8_t flipped = copy.octets[at] ^ (uint8_t)(1 << at % 8);

            overwrite(rig, number, at, &flipped, 1);
            if (!rig_try_open(rig)) {
                refused++;
                cr_assert(strstr(rig->why, copy.path) && strstr(rig->why, "offset"), "%s", rig->why);
            } else if (rig->replayed == 4) {
                cut++;
                cr_assert_eq(number, 1);
            } else {
                unharmed++;
                cr_assert_eq(rig->replayed, 5);
            }
            rig_close(rig);
            overwrite(rig, number, at, &copy.octets[at], 1);
        }
        free(copy.octets);
    }
    cr_expect_gt(refused, 18000 / OCTET_STRIDE);
    cr_expect_geq(cut, (64 + 4 + 13 + 300) / OCTET_STRIDE);
    cr_expect_leq(cut, (64 + 4 + 13 + 300) / OCTET_STRIDE + 1);
    cr_expect_gt(unharmed, 20000 / OCTET_STRIDE);
    rig_free(rig);
}

Test(wal, mends_a_header_from_its_copy)
{
    struct rig *rig = five_batches();

    overwrite(rig, 0, 0, nothing, sizeof nothing);
    overwrite(rig, 1, 4096, nothing, sizeof nothing);
    rig_open(rig);
    cr_assert_eq(rig->replayed, 5);
    push(rig, 1);
    step(rig);
    rig_close(rig);
    overwrite(rig, 0, 4096, nothing, sizeof nothing);
    overwrite(rig, 1, 0, nothing, sizeof nothing);
    rig_open(rig);
    cr_assert_eq(rig->replayed, 6);
    rig_close(rig);
    overwrite(rig, 0, 0, nothing, sizeof nothing);
    overwrite(rig, 0, 4096, nothing, sizeof nothing);
    expect_refusal(rig, "00.wal: offset 0: both copies of the file's header are damaged");
    rig_free(rig);
}

Test(wal, cuts_a_torn_tail_for_good)
{
    struct rig *rig = rig_new();

    rig->settings.sync_every_ms = 3600000;
    rig_open(rig);
    push(rig, 100);
    step(rig);
    for (int i = 0; i < 3; i++) { /* none of them is known to be synced */
        push_chunks(rig, 1, 1, 300, true);
        step(rig);
    }
    rig_close(rig);
    overwrite(rig, 0, HEADERS + BLOCK + 200, nothing, 10);
    rig->promised = 1;
    rig_open(rig);
    cr_assert_eq(rig->replayed, 1);
    cr_expect_eq(rig->replay.cut, 3 * BLOCK);
    /* The next batch takes just the place of the torn one, and what was behind that must not follow it. */
    push(rig, 300);
    step(rig);
    rig_reopen(rig);
    cr_assert_eq(rig->replayed, 2);
    cr_expect_eq(rig->replay.cut, 0);
    rig_free(rig);
}

Test(wal, refuses_damage_before_the_tail)
{
    struct rig *rig = five_batches();
    struct copy first = copy_of(rig, 0), second = copy_of(rig, 1);

    overwrite(rig, 0, HEADERS, nothing, sizeof nothing);
    expect_refusal(rig, "00.wal: offset 8192: batch 1 ");
    put_back(rig, &first, first.size);
    overwrite(rig, 0, HEADERS + BLOCK * 25, nothing, 100);
    expect_refusal(rig, "00.wal: offset 20992: batch 3 ");
    put_back(rig, &first, first.size);
    overwrite(rig, 1, HEADERS + BLOCK, nothing, 100);
    expect_refusal(rig, "01.wal: offset 8192: batch 4 ");
    put_back(rig, &second, second.size);
    cr_assert_eq(sys_unlink(rig->sys, second.path), 0);
    rig->first = 2;
    expect_refusal(rig, "file 2 of the journal is missing");
    put_back(rig, &second, second.size);
    cr_assert_eq(sys_unlink(rig->sys, first.path), 0);
    rig->first = 1;
    expect_refusal(rig, "01.wal: offset 0: file 1 of the journal is missing");
    free(first.octets);
    free(second.octets);
    rig_free(rig);
}

Test(wal, tells_what_is_missing_at_its_end_from_what_was_torn)
{
    struct rig *rig = five_batches();
    struct copy first = copy_of(rig, 0), second = copy_of(rig, 1);

    rig->synced = 5;
    overwrite(rig, 1, HEADERS + BLOCK * 24 + 70, nothing, 10);
    expect_refusal(rig, "01.wal: offset 20480: batch 5 is damaged or missing");
    rig->synced = 4; /* the fifth may have been torn */
    cr_assert(rig_try_open(rig), "%s", rig->why);
    cr_assert_eq(rig->replayed, 4);
    rig_close(rig);
    cr_assert_eq(sys_unlink(rig->sys, second.path), 0);
    expect_refusal(rig, "00.wal: offset 21504: batch 4 is damaged or missing");
    cr_assert_eq(sys_unlink(rig->sys, first.path), 0);
    expect_refusal(
        rig, "data/journal: offset 0: no file of the journal (NN.wal) is there, though batches up to 4");
    rig->synced = 0;
    rig->promised = 0;
    cr_expect(rig_try_open(rig), "%s", rig->why);
    free(first.octets);
    free(second.octets);
    rig_free(rig);
}

Test(wal, says_how_far_it_is_synced)
{
    struct rig *rig = rig_new();

    rig->settings.sync_every_ms = 3600000;
    rig_open(rig);
    cr_expect_eq(wal_synced(rig->wal), 0);
    push(rig, 10);
    step(rig);
    cr_expect_eq(wal_synced(rig->wal), 1);
    push_chunks(rig, 1, 1, 10, true);
    step(rig);
    cr_expect_eq(wal_synced(rig->wal), 1);
    cr_expect_eq(wal_sync(rig->wal), 0);
    cr_expect_eq(wal_synced(rig->wal), 2);
    rig_reopen(rig);
    cr_expect_eq(wal_synced(rig->wal), 2);
    rig_free(rig);
}

Test(wal, refuses_another_nodes_files)
{
    struct rig *rig = five_batches();

    rig->settings.epoch = 78;
    expect_refusal(rig, "belongs to another node");
    rig_free(rig);
}

Test(wal, changes_nothing_by_opening)
{
    struct rig *rig = five_batches();
    uint64_t before;

    overwrite(rig, 1, HEADERS + BLOCK * 24 + 70, nothing, 10);
    before = sys_fake_counters(rig->fake).octets_written;
    rig_try_open(rig);
    cr_assert_eq(rig->replayed, 4);
    rig_close(rig);
    cr_expect_eq(sys_fake_counters(rig->fake).octets_written, before);
    rig_free(rig);
}

/* ---- the disk fails ---- */

Test(wal, waits_for_room_on_the_disk_with_nothing_lost)
{
    struct rig *rig = rig_new();

    rig_open(rig);
    sys_fake_capacity(rig->fake, FILE_SIZE + 20000);
    push(rig, 15000);
    step(rig);
    cr_expect_eq(wal_prepare(rig->wal), -ENOSPC);
    push(rig, 15000);
    cr_expect_eq(wal_step(rig->wal), -ENOSPC);
    cr_expect_eq(wal_step(rig->wal), -ENOSPC);
    expect_files(rig, 1);
    sys_fake_capacity(rig->fake, 2 * FILE_SIZE + 20000);
    cr_expect_eq(wal_prepare(rig->wal), 0);
    step(rig);
    rig_reopen(rig);
    cr_expect_eq(rig->replayed, 2);
    rig_free(rig);
}

/* It is not the files' fault. */
Test(wal, tells_what_the_system_refuses_from_damage)
{
    struct rig *rig = five_batches();
    uint64_t n = 0;

    do {
        sys_fake_fail(rig->fake, ++n, EIO);
        if (rig_try_open(rig)) {
            cr_expect_eq(rig->replay.error, 0);
            rig_close(rig);
        } else {
            cr_expect_eq(rig->replay.error, -EIO, "call %ju: %s", (uintmax_t)n, rig->why);
        }
    } while (sys_fake_has_failed(rig->fake));
    cr_expect_gt(n, 10);
    rig_free(rig);
}

/* Some rounds of everything; returns at the first error that is neither -EAGAIN nor one of wal_waits(). */
static int live(struct rig *rig, struct random *random, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        int error;

        push_chunks(rig, 1 + random_below(random, 2), random_below(random, 4), random_below(random, 3000),
                    random_percent(random, 50));
        if (random_percent(random, 10))
            push(rig, 16384 + random_below(random, 9000));
        if (random_percent(random, 2))
            push(rig, 40000);
        if (random_percent(random, 30))
            wal_prepare(rig->wal);
        error = wal_step(rig->wal);
        if (error && error != -EAGAIN && !wal_waits(error))
            return error;
        if (random_percent(random, 50) && wal_file(rig->wal) > 2)
            release(rig, wal_file(rig->wal) - 1 - random_below(random, 2));
        if (random_percent(random, 30)) /* as a checkpoint does */
            rig->synced = wal_synced(rig->wal);
    }
    return 0;
}

static void live_through(uint64_t seed, bool power_goes)
{
    struct random random = {seed};
    struct rig *rig = rig_new();

    for (unsigned life = 0; life < 25; life++) {
        rig->settings.sync_every_ms = random_percent(&random, 50) ? 0 : 3600000;
        rig->settings.sync_apart = random_below(&random, 2) * random_below(&random, 4000);
        sys_fake_stop(rig->fake, 1 + random_below(&random, 30 + 200 * (life % 2)));
        if (rig_try_open(rig)) {
            rig_close(rig); /* how far it got is seen below */
            rig->life--;
        }
        sys_fake_stop(rig->fake, 0);
        if (power_goes)
            sys_fake_power_loss(rig->fake, random_next(&random));
        rig_open(rig);
        sys_fake_stop(rig->fake, 1 + random_below(&random, 300));
        live(rig, &random, 40);
        if (power_goes)
            sys_fake_power_loss(rig->fake, random_next(&random));
        else
            sys_fake_kill(rig->fake);
        rig_close(rig);
    }
    sys_fake_stop(rig->fake, 0);
    rig_open(rig);
    rig_free(rig);
}

Test(wal, keeps_its_promises_through_power_losses, .timeout = 120)
{
    for (uint64_t seed = 0; seed < (EXHAUSTIVE ? 150 : 15); seed++)
        live_through(seed, true);
}

Test(wal, keeps_its_promises_when_killed, .timeout = 120)
{
    for (uint64_t seed = 0; seed < (EXHAUSTIVE ? 40 : 5); seed++)
        live_through(1000 + seed, false);
}

/* What a killed process had written and not synced is there at the next opening, and from then on must last.
 */
Test(wal, syncs_what_it_replayed)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct rig *rig = rig_new();

        rig->settings.sync_every_ms = 3600000;
        rig_open(rig);
        push_chunks(rig, 1, 3, 2000, true);
        step(rig);
        sys_fake_kill(rig->fake);
        rig_close(rig);
        rig_open(rig);
        cr_assert_eq(rig->promised, 3);
        sys_fake_power_loss(rig->fake, seed);
        rig_reopen(rig);
        cr_assert_eq(rig->replayed, 3);
        rig_free(rig);
    }
}

/* Fail each call in turn, until a run needs no more. */
static void fail_every_call(int error, uint64_t sync_apart)
{
    bool failed = true;

    for (uint64_t n = 1; failed; n++) {
        struct rig *rig = rig_new();
        struct random random = {n};
        int result;

        rig->settings.sync_apart = sync_apart;
        sys_fake_fail(rig->fake, n, error);
        if (rig_try_open(rig)) {
            result = live(rig, &random, 25);
            if (result)
                cr_assert_eq(wal_step(rig->wal), result, "it went on after %s", strerror(-result));
        }
        failed = sys_fake_has_failed(rig->fake);
        rig_close(rig);
        sys_fake_power_loss(rig->fake, n);
        rig_open(rig);
        rig_free(rig);
    }
}

Test(wal, keeps_its_promises_when_a_call_fails, .timeout = 120)
{
    for (uint64_t sync_apart = 0; sync_apart <= 2000; sync_apart += 2000) {
        fail_every_call(EIO, sync_apart);
        fail_every_call(ENOSPC, sync_apart);
        fail_every_call(EMFILE, sync_apart);
    }
}

/* ---- threads ---- */

#define PRODUCERS 3
#define PUSHES    3000

struct crowd {
    struct wal *wal;
    _Atomic uint64_t next[PRODUCERS]; /* what each is to be given back next */
    _Atomic uint64_t done;
    uint64_t replayed[PRODUCERS];
};

struct producer {
    struct crowd *crowd;
    unsigned index;
    pthread_t thread;
};

static void on_crowd_done(void *context, struct wal_chunk *chunks, uint64_t file)
{
    struct crowd *crowd = context;

    (void)file;
    for (struct wal_chunk *chunk = chunks; chunk; chunk = chunk->next) {
        const uint8_t *head = chunk->items[0].head;

        cr_assert_eq(get_u64(head + 1), atomic_fetch_add(&crowd->next[head[0]], 1));
        atomic_fetch_add(&crowd->done, 1);
    }
    free_chunks(chunks);
}

static bool on_crowd_record(void *context, uint64_t file, const uint8_t *record, size_t size,
                            char why[WAL_WHY_SIZE])
{
    struct crowd *crowd = context;

    (void)file;
    (void)why;
    cr_assert_eq(size, 9);
    cr_assert_eq(get_u64(record + 1), crowd->replayed[record[0]]++);
    return true;
}

static void *produce(void *context)
{
    struct producer *producer = context;
    struct crowd *crowd = producer->crowd;

    for (uint64_t i = 0; i < PUSHES; i++) {
        struct wal_chunk *chunk = new_chunk();
        struct wal_item *item = wal_chunk_add(chunk);

        put_u64(put_u8(item->head, (uint8_t)producer->index), i);
        item->head_size = 9;
        if (wal_push(crowd->wal, chunk, chunk))
            wal_wake(crowd->wal);
        while (i % 100 == 0 && atomic_load(&crowd->next[producer->index]) <= i)
            sched_yield();
    }
    return NULL;
}

static void on_failed(void *context, int error)
{
    (void)context;
    if (error != -ENOSPC)
        abort();
}

static void be_crowded(uint64_t sync_apart)
{
    struct rig *rig = rig_new();
    struct crowd crowd = {0};
    struct producer producers[PRODUCERS];
    struct wal_replay replay = {.each = on_crowd_record, .context = &crowd};

    rig->settings.file_size = UINT64_C(64) << 20;
    rig->settings.sync_apart = sync_apart;
    crowd.wal = wal_open(rig->sys, &rig->settings, &replay, on_crowd_done, &crowd, rig->why);
    cr_assert(crowd.wal && wal_start(crowd.wal, on_failed, NULL));
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.crowd = &crowd, .index = i};
        cr_assert_eq(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    wal_stop(crowd.wal);
    cr_assert_eq(atomic_load(&crowd.done), PRODUCERS * PUSHES);
    cr_assert_null(wal_close(crowd.wal));
    crowd.wal = wal_open(rig->sys, &rig->settings, &replay, on_crowd_done, &crowd, rig->why);
    cr_assert(crowd.wal, "%s", rig->why);
    cr_assert_eq(replay.records, PRODUCERS * PUSHES);
    wal_close(crowd.wal);
    rig_free(rig);
}

Test(wal, keeps_each_producers_order_and_loses_no_wakeup, .timeout = 60)
{
    be_crowded(0);
    be_crowded(1);
    be_crowded(100);
}

static void note_failure(void *context, int error)
{
    atomic_store((_Atomic int *)context, error);
}

/* Fail each call in turn, most of them with a sync under way; returns false when there is none left. */
static bool fail_beside_a_sync(uint64_t n)
{
    struct rig *rig = rig_new();
    _Atomic int failure = 0;
    bool failed;

    rig->settings.sync_apart = 1000;
    rig_open(rig);
    sys_fake_fail(rig->fake, n, EIO);
    cr_assert(wal_start(rig->wal, note_failure, &failure));
    for (int i = 0; i < 30; i++) {
        push(rig, i % 3 ? 1500 : 20);
        wal_wake(rig->wal);
    }
    wal_stop(rig->wal);
    failed = sys_fake_has_failed(rig->fake);
    cr_expect_eq(atomic_load(&failure), failed ? -EIO : 0, "call %ju", (uintmax_t)n);
    cr_expect_eq(wal_backlog(rig->wal) != 0, failed, "call %ju", (uintmax_t)n);
    rig_close(rig);
    sys_fake_power_loss(rig->fake, n);
    rig_open(rig);
    rig_free(rig);
    return failed;
}

Test(wal, promises_nothing_after_a_failure_beside_a_sync, .timeout = 60)
{
    uint64_t n = 1;

    while (fail_beside_a_sync(n))
        n++;
    cr_expect_gt(n, 10);
}

Test(wal, commit_thread_syncs_what_is_relaxed_by_itself, .timeout = 60)
{
    struct rig *rig = rig_new();

    rig->settings.sync_every_ms = 1;
    rig_open(rig);
    cr_assert(wal_start(rig->wal, on_failed, NULL));
    push_chunks(rig, 1, 1, 10, true);
    wal_wake(rig->wal);
    while (wal_counters(rig->wal).syncs == 0)
        sched_yield();
    rig_free(rig);
}

/* For the thread sanitizer: files beyond the window are removed while others are made. */
Test(wal, files_are_removed_while_others_are_made, .timeout = 60)
{
    struct rig *rig = rig_new();

    rig_open(rig);
    for (int i = 0; i < 400; i++)
        push(rig, 9000);
    wal_overdraw(rig->wal, true);
    cr_assert(wal_start(rig->wal, on_failed, NULL));
    while (wal_backlog(rig->wal)) {
        if (wal_files_in_use(rig->wal) > FILE_COUNT)
            release(rig, wal_file(rig->wal) - 1);
        else
            wal_release(rig->wal, 0);
    }
    wal_stop(rig->wal);
    cr_expect_eq(rig->done, 400);
    rig_free(rig);
}

Test(wal, commit_thread_goes_on_when_files_are_released, .timeout = 60)
{
    struct rig *rig = rig_new();

    rig_open(rig);
    for (int i = 0; i < 40; i++)
        push(rig, 9000);
    cr_assert(wal_start(rig->wal, on_failed, NULL));
    while (wal_backlog(rig->wal)) {
        uint64_t file = wal_file(rig->wal);

        if (wal_files_in_use(rig->wal) == FILE_COUNT)
            release(rig, file - 1);
        cr_assert_eq(wal_prepare(rig->wal), 0);
        sched_yield();
    }
    wal_stop(rig->wal);
    cr_expect_eq(rig->done, 40);
    rig_reopen(rig);
    rig_free(rig);
}
