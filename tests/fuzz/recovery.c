/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the opening of a data directory. The input is a list of commands that make one, on a disk in memory:
 * rows of the catalog, records of the journal, octets of a segment file, and at last octets over any of these
 * files. Checksums are right wherever a command does not overwrite them, since nothing would get further
 * otherwise: what is behind a checksum must not be believed either.
 *
 * Then the directory is inspected and opened, and if it opens time passes, so that runs are read. Whatever
 * opens must be sound as a start is tried by inspect(), and none may change what it looks at.
 */
#include <string.h>

#include "coney/batch.h"
#include "coney/crc32c.h"
#include "coney/inspect.h"
#include "coney/log.h"
#include "coney/vhost.h"
#include "coney/xalloc.h"
#include "fuzz.h"
#include "store/catalog.h"
#include "store/record.h"
#include "store/run_layout.h"
#include "store/segment.h"
#include "store/sys_fake.h"
#include "store/trial.h"
#include "store/wal.h"

#define FOLDER      "d"
#define EPOCH       UINT64_C(7)
#define WINDOW      (UINT64_C(64) << 10)
#define SEGMENT     FOLDER "/segments/00000001.seg"
#define SEGMENT_MAX 65536
#define STEPS_MAX   100
#define DAY_MS      86400000

/* ---- the input ---- */

static struct bytes input;

static uint64_t take_number(size_t octets)
{
    uint64_t number = 0;

    while (octets-- && input.size) {
        number = number << 8 | *input.data++;
        input.size--;
    }
    return number;
}

static struct bytes take_octets(size_t length_octets)
{
    size_t size = (size_t)take_number(length_octets);
    struct bytes taken = {input.data, size < input.size ? size : input.size};

    input.data += taken.size;
    input.size -= taken.size;
    return taken;
}

/* ---- making the directory ---- */

enum making_step {
    RECORD = 1, /* of the journal */
    BATCH,      /* what records there were is one */
    VHOST,
    EXCHANGE,
    QUEUE,
    BINDING,
    RUN,
    ENTRY,
    SEGMENT_RUN,    /* a run, whose checksums are made right */
    SEGMENT_OCTETS, /* octets behind it */
    OVERWRITE,      /* ends the list */
};

struct making {
    struct sys *sys;
    struct catalog *catalog;
    struct wal *wal;
    struct wal_chunk *chunk;
    uint8_t segment[SEGMENT_MAX];
    size_t segment_size;
};

static void free_chunks(void *context, struct wal_chunk *chunks, uint64_t file)
{
    (void)context;
    (void)file;
    while (chunks) {
        struct wal_chunk *next = chunks->next;

        free(chunks);
        chunks = next;
    }
}

static void end_batch(struct making *making)
{
    if (!making->chunk)
        return;
    wal_push(making->wal, making->chunk, making->chunk);
    making->chunk = NULL;
    wal_step(making->wal);
}

static void add_record(struct making *making, struct bytes record)
{
    struct wal_item *item;

    if (!making->chunk)
        making->chunk = xcalloc(1, sizeof *making->chunk);
    item = wal_chunk_add(making->chunk);
    item->first = record.data;
    item->first_size = (uint32_t)record.size;
    if (making->chunk->count == WAL_CHUNK_ITEMS)
        end_batch(making);
}

static void add_segment(struct making *making, struct bytes octets)
{
    if (octets.size > SEGMENT_MAX - making->segment_size)
        return;
    memcpy(making->segment + making->segment_size, octets.data, octets.size);
    making->segment_size += octets.size;
}

/* Make the checksums of a run of SIZE octets right, where its sizes say that they are. */
static void sum_run(uint8_t *run, size_t size)
{
    uint64_t index = RUN_HEADER, data, end;
    uint32_t count = get_le32(run + 8);

    data = index + get_le32(run + 36) + get_le32(run + 48);
    end = data + get_le64(run + 40);
    if (end < data || end > size || count > RUN_MESSAGES_MAX || count * RUN_ENTRY > get_le32(run + 36))
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *entry = run + index + i * RUN_ENTRY;
        uint64_t from = data + get_le32(entry + 4);
        uint64_t to = i + 1 < count ? data + get_le32(entry + RUN_ENTRY + 4) : end;

        if (from <= to && to <= end)
            put_le32(entry + 8, crc32c(0, run + from, to - from));
    }
    for (uint64_t at = index + get_le32(run + 36); at + RUN_DUE_ENTRY <= data; at += RUN_DUE_ENTRY)
        put_le32(run + at + 20, crc32c(0, run + at, 20));
    put_le32(run + 52, crc32c(0, run + index, get_le32(run + 36)));
    put_le32(run + 60, crc32c(0, run, 60));
}

static void add_run(struct making *making, struct bytes octets)
{
    size_t at = making->segment_size = (size_t)layout_round_up(making->segment_size);

    add_segment(making, octets);
    if (making->segment_size >= at + RUN_HEADER)
        sum_run(making->segment + at, making->segment_size - at);
}

/* Opened for the first row. */
static struct catalog *catalog_of(struct making *making)
{
    char why[CATALOG_WHY_SIZE];
    bool is_new;

    if (!making->catalog) {
        CHECK(catalog_open(making->sys, FOLDER, &making->catalog, &is_new, why) == 0 && !is_new);
        catalog_begin(making->catalog);
    }
    return making->catalog;
}

static void add_row(struct making *making, enum making_step command)
{
    struct catalog *catalog = catalog_of(making);
    uint32_t vhost = (uint32_t)take_number(1);
    uint64_t id = take_number(1);
    uint8_t flags = (uint8_t)take_number(1);
    struct bytes a = take_octets(1), b = take_octets(1), c = take_octets(1), d = take_octets(2);

    if (command == VHOST)
        catalog_put_vhost(catalog, &(struct catalog_vhost){.id = vhost, .name = a, .lsn = id});
    else if (command == EXCHANGE)
        catalog_put_exchange(catalog,
                             &(struct catalog_exchange){vhost, id, a, b, c, flags & 1, flags >> 1 & 1});
    else if (command == QUEUE)
        catalog_put_queue(catalog, &(struct catalog_queue){vhost, id, a, b, flags & 1, d});
    else if (command == BINDING)
        catalog_put_binding(catalog, &(struct catalog_binding){vhost, id, flags & 1, a, b, c, d});
    else if (command == ENTRY)
        catalog_put_entry(catalog, &(struct catalog_entry){a, b, c, d});
    else
        catalog_put_run(catalog,
                        &(struct catalog_run){.vhost = vhost,
                                              .queue = id,
                                              .level = flags,
                                              .first = a.size ? a.data[0] : 0,
                                              .span = (uint32_t)b.size,
                                              .next_deadline = c.size ? DAY_MS : INT64_MAX,
                                              .place = {.file = 1, .offset = 512, .size = take_number(2)},
                                              .live = d});
}

static void make_segment(struct making *making)
{
    uint8_t *header = making->segment;
    struct sys_file *file;

    if (making->segment_size <= RUN_SECTOR)
        return;
    memcpy(header, "CONEYSEG", 8);
    put_le32(header + 8, 1);
    put_le32(header + 12, 1);
    put_le32(header + RUN_SECTOR - 4, crc32c(0, header, RUN_SECTOR - 4));
    CHECK(sys_open(making->sys, SEGMENT, SYS_WRITE | SYS_CREATE, &file) == 0);
    sys_write(making->sys, file, making->segment, making->segment_size, 0);
    sys_close(making->sys, file);
}

/* One command; false at the end. */
static bool make_one(struct making *making)
{
    enum making_step command = (enum making_step)take_number(1);

    switch (command) {
    case RECORD:
        add_record(making, take_octets(2));
        return input.size;
    case BATCH:
        end_batch(making);
        return input.size;
    case SEGMENT_RUN:
        add_run(making, take_octets(2));
        return input.size;
    case SEGMENT_OCTETS:
        add_segment(making, take_octets(2));
        return input.size;
    case VHOST:
    case EXCHANGE:
    case QUEUE:
    case BINDING:
    case RUN:
    case ENTRY:
        add_row(making, command);
        return input.size;
    case OVERWRITE:
    default:
        return false;
    }
}

static void overwrite(struct sys *sys)
{
    static const char *const names[] = {FOLDER "/journal/00.wal", FOLDER "/catalog.db", SEGMENT,
                                        FOLDER "/catalog.db-journal"};

    while (input.size) {
        const char *name = names[take_number(1) % 4];
        uint64_t at = take_number(2) << (name == names[1]);
        struct bytes octets = take_octets(1);
        struct sys_file *file;

        if (sys_open(sys, name, SYS_WRITE, &file) != 0)
            continue;
        if (octets.size)
            sys_write(sys, file, octets.data, octets.size, at);
        else
            sys_truncate(sys, file, at);
        sys_close(sys, file);
    }
}

static bool drop_record(void *context, uint64_t file, const uint8_t *record, size_t size,
                        char why[WAL_WHY_SIZE])
{
    (void)context;
    (void)file;
    (void)record;
    (void)size;
    (void)why;
    return true;
}

/* A catalog takes long to make, and all begin alike. */
static void put_template(struct sys *sys)
{
    static uint8_t octets[1 << 16];
    static ssize_t size;
    char why[CATALOG_WHY_SIZE];
    struct catalog *catalog;
    struct sys_file *file;
    bool is_new;

    if (!size) {
        CHECK(catalog_open(sys, FOLDER, &catalog, &is_new, why) == 0);
        catalog_begin(catalog);
        catalog_put_state(catalog, &(struct catalog_state){EPOCH, 1, 0});
        CHECK(catalog_commit(catalog) == 0);
        catalog_close(catalog);
    }
    CHECK(sys_open(sys, FOLDER "/catalog.db", SYS_WRITE | SYS_CREATE, &file) == 0);
    if (size)
        sys_write(sys, file, octets, (size_t)size, 0);
    else
        size = sys_read(sys, file, octets, sizeof octets, 0);
    sys_close(sys, file);
}

static void make(struct sys *sys)
{
    struct making *making = xcalloc(1, sizeof *making);
    const struct wal_settings settings = {
        .folder = FOLDER "/journal", .file_size = WINDOW / 4, .file_count = 4, .epoch = EPOCH};
    struct wal_replay replay = {.each = drop_record};
    char why[WAL_WHY_SIZE];

    making->sys = sys;
    making->segment_size = RUN_SECTOR;
    CHECK(sys_make_folder(sys, FOLDER) == 0 && sys_make_folder(sys, FOLDER "/segments") == 0);
    put_template(sys);
    making->wal = wal_open(sys, &settings, &replay, free_chunks, NULL, why);
    CHECK(making->wal);
    while (make_one(making))
        continue;
    end_batch(making);
    CHECK(!making->catalog || catalog_commit(making->catalog) == 0);
    free_chunks(NULL, wal_close(making->wal), 0);
    catalog_close(making->catalog);
    make_segment(making);
    free(making);
    overwrite(sys);
}

/* ---- opening it ---- */

/* Let a day pass: what is due is looked for, and read where it has somewhere to go. */
static void pass_time(struct trial *trial)
{
    struct batch batch = {.kind = BATCH_TIMER};

    for (size_t i = 0; i < trial->count; i++)
        store_share(trial->vhosts[i].journal, trial->vhosts[i].vhost, trial);
    for (int step = 0; step < STEPS_MAX; step++) {
        for (size_t i = 0; i < trial->count; i++) {
            vhost_run(trial->vhosts[i].vhost, &batch, 2 * (int64_t)DAY_MS + step);
            store_answer(trial->vhosts[i].journal, trial->vhosts[i].vhost);
            vhost_flush(trial->vhosts[i].vhost);
        }
        if (!store_step(trial->store) && step)
            break;
    }
}

static enum store_result open_store(struct sys *sys)
{
    const struct store_settings settings = {
        .folder = FOLDER, .journal_window = WINDOW, .journal_file_size = WINDOW / 4, .memory_window = WINDOW};
    char why[STORE_WHY_SIZE] = "";
    struct trial trial;
    enum store_result result = trial_open(&trial, sys, &settings, why);

    CHECK(strnlen(why, sizeof why) < sizeof why && (result == STORE_OPENED) == !*why);
    if (result == STORE_OPENED)
        pass_time(&trial);
    trial_close(&trial);
    return result;
}

static void tell(void *context, const char *text)
{
    (void)context;
    CHECK(strlen(text) > 0);
}

static void tell_line(void *context, const char *kind, const struct inspect_field *fields, unsigned count)
{
    volatile uint8_t sum = 0;

    (void)context;
    CHECK(*kind && count);
    for (unsigned i = 0; i < count; i++)
        for (size_t at = 0; at < fields[i].octets.size; at++)
            sum = (uint8_t)(sum + fields[i].octets.data[at]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct inspect_sink sink = {.damage = tell, .note = tell, .line = tell_line, .wants_bodies = true};
    struct sys_fake *fake = sys_fake_new(1);
    struct sys *sys = sys_fake_sys(fake);
    struct inspect_summary summary;
    struct sys_file *lock;
    enum inspect_result found;

    log_set_level(LOG_LEVEL_NONE);
    input = (struct bytes){data, size};
    make(sys);
    CHECK(sys_open(sys, FOLDER "/lock", SYS_WRITE | SYS_CREATE, &lock) == 0);
    sys_close(sys, lock);
    found = inspect(sys, FOLDER, &sink, &summary);
    CHECK((found == INSPECT_SOUND) == !summary.damages);
    if (found == INSPECT_SOUND)
        CHECK(open_store(sys) == STORE_OPENED);
    else
        open_store(sys);
    sys_free(sys);
    return 0;
}
