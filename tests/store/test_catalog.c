/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.h on real files: what is put is read, and what is no catalog is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "catalog_text.h"
#include "coney/sys.h"
#include "coney/xalloc.h"
#include "sim/random.h"
#include "store/catalog.h"
#include "store/catalog_vfs.h"

#define B BYTES_LITERAL

static char made[] = "/tmp/coney-test-catalog-XXXXXX";
static char path[sizeof made + 16];
static const char *folder;
static struct sys *sys;

static void begin(void)
{
    folder = mkdtemp(made);
    cr_assert_not_null(folder);
    snprintf(path, sizeof path, "%s/catalog.db", folder);
    sys = sys_posix_new();
}

static void end(void)
{
    char command[sizeof made + 16];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    sys_free(sys);
    cr_expect_eq(system(command), 0); // NOLINT(cert-env33-c): a name that this file chose
}

TestSuite(catalog, .init = begin, .fini = end);

/* ---- helpers ---- */

static struct catalog *open_catalog(bool expect_new)
{
    struct catalog *catalog = NULL;
    char why[CATALOG_WHY_SIZE] = "";
    bool is_new = false;
    int error = catalog_open(sys, folder, &catalog, &is_new, why);

    cr_assert_eq(error, 0, "%s: %s", strerror(-error), why);
    cr_assert_eq(is_new, expect_new);
    return catalog;
}

static void done(struct catalog *catalog, int result)
{
    cr_assert_eq(result, 0, "%s: %s", strerror(-result), catalog_why(catalog));
}

static void expect_rows(struct catalog *catalog, const char *expected)
{
    int result;
    char *text = catalog_text(catalog, &result);

    done(catalog, result);
    cr_expect_str_eq(text, expected);
    free(text);
}

static void ignore_report(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static const struct catalog_vhost a_vhost = {.id = 7, .name = B("v"), .lsn = 70};
static const struct catalog_entry an_entry = {B("policies"), B("v"), B("p"), B("{}")};
static const struct catalog_exchange an_exchange = {7, 10, B("x"), B("topic"), B("args"), true, false};
static const struct catalog_queue a_queue = {7, 11, B("q"), B("args"), true, B("levels")};
static const struct catalog_binding a_binding = {7, 12, false, B("x"), B("q"), B("key"), B("args")};
static const struct catalog_run a_run = {7,   11,       255, 4096, 2048, INT64_MAX, {3, 1 << 20, 9999},
                                         777, B("live")};

static void put_one_of_each(struct catalog *catalog)
{
    done(catalog, catalog_put_state(catalog, &(struct catalog_state){1, 2, 0}));
    done(catalog, catalog_put_vhost(catalog, &a_vhost));
    done(catalog, catalog_put_entry(catalog, &an_entry));
    done(catalog, catalog_put_exchange(catalog, &an_exchange));
    done(catalog, catalog_put_queue(catalog, &a_queue));
    done(catalog, catalog_put_binding(catalog, &a_binding));
    done(catalog, catalog_put_run(catalog, &a_run));
}

#define ONE_OF_EACH                     \
    "state 1 2 0\n"                     \
    "vhost 7 70 v;\n"                   \
    "entry policies;v;p;\\7b\\7d;\n"    \
    "exchange 7 10 1 0 x;topic;args;\n" \
    "queue 7 11 1 q;args;levels;\n"     \
    "binding 7 12 0 x;q;key;args;\n"    \
    "run 7 11 255 4096 2048 9223372036854775807 3 1048576 9999 777 live;\n"

static void make_one_of_each(void)
{
    struct catalog *catalog = open_catalog(true);

    done(catalog, catalog_begin(catalog));
    put_one_of_each(catalog);
    done(catalog, catalog_commit(catalog));
    catalog_close(catalog);
}

static void patch_file(uint64_t offset, const void *octets, size_t size)
{
    struct sys_file *file = NULL;

    cr_assert_eq(sys_open(sys, path, SYS_WRITE | SYS_CREATE, &file), 0);
    cr_assert_eq(sys_write(sys, file, octets, size, offset), 0);
    sys_close(sys, file);
}

/* Do to the catalog what only SQL can: checksums stay right. */
static void tamper(const char *sql)
{
    struct catalog_vfs *vfs = catalog_vfs_new(sys, folder);
    sqlite3 *db = NULL;

    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, catalog_vfs_name(vfs)), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    catalog_vfs_free(vfs);
}

/* Open what was tampered with: all that may come of it is an error. Returns it, of whichever step. */
static int try_file(void)
{
    struct catalog *catalog = NULL;
    char why[CATALOG_WHY_SIZE] = "";
    bool is_new;
    int error = catalog_open(sys, folder, &catalog, &is_new, why);
    int result;

    if (error) {
        cr_expect_null(catalog);
        cr_expect(strstr(why, "catalog.db: "), "%s", why);
        return error;
    }
    free(catalog_text(catalog, &result));
    error = catalog_check(catalog, ignore_report, NULL);
    catalog_close(catalog);
    return result ? result : error;
}

/* ---- rows ---- */

Test(catalog, every_kind_comes_back_after_reopening)
{
    struct catalog *catalog;

    make_one_of_each();
    catalog = open_catalog(false);
    expect_rows(catalog, ONE_OF_EACH);
    cr_expect_eq(catalog_check(catalog, ignore_report, NULL), 0);
    catalog_close(catalog);
}

Test(catalog, is_new_until_a_state_was_committed)
{
    struct catalog *catalog = open_catalog(true);

    catalog_close(catalog);
    catalog = open_catalog(true);
    done(catalog, catalog_begin(catalog));
    done(catalog, catalog_put_state(catalog, &(struct catalog_state){UINT64_MAX, 1, UINT64_MAX}));
    done(catalog, catalog_commit(catalog));
    catalog_close(catalog);
    catalog = open_catalog(false);
    expect_rows(catalog, "state 18446744073709551615 1 18446744073709551615\n");
    catalog_close(catalog);
}

Test(catalog, takes_any_octets_and_none)
{
    struct catalog *catalog = open_catalog(true);

    done(catalog, catalog_begin(catalog));
    done(catalog,
         catalog_put_entry(catalog, &(struct catalog_entry){{NULL, 0}, B(""), B("a\0b"), B("\xff'\"")}));
    done(catalog, catalog_put_entry(catalog, &(struct catalog_entry){{NULL, 0}, B(""), B("a"), {NULL, 0}}));
    done(catalog, catalog_commit(catalog));
    expect_rows(catalog, "entry ;;a;;\nentry ;;a\\00b;\\ff\\27\\22;\n");
    catalog_close(catalog);
}

Test(catalog, a_row_replaces_the_row_of_its_key)
{
    struct catalog *catalog = open_catalog(true);
    struct catalog_queue queue = a_queue;
    struct catalog_run run = a_run;
    struct catalog_vhost vhost = a_vhost;
    struct catalog_entry entry = an_entry;

    done(catalog, catalog_begin(catalog));
    put_one_of_each(catalog);
    vhost.lsn = 71;
    entry.json = B("1");
    queue.state = B("new");
    run.live = B("");
    run.live_octets = 0;
    done(catalog, catalog_put_state(catalog, &(struct catalog_state){1, 3, 0}));
    done(catalog, catalog_put_vhost(catalog, &vhost));
    done(catalog, catalog_put_entry(catalog, &entry));
    done(catalog, catalog_put_queue(catalog, &queue));
    done(catalog, catalog_put_run(catalog, &run));
    expect_rows(catalog,
                "state 1 3 0\nvhost 7 71 v;\nentry policies;v;p;1;\nexchange 7 10 1 0 x;topic;args;\n"
                "queue 7 11 1 q;args;new;\nbinding 7 12 0 x;q;key;args;\n"
                "run 7 11 255 4096 2048 9223372036854775807 3 1048576 9999 0 ;\n");
    done(catalog, catalog_put_queue_state(catalog, 7, 11, B("newer")));
    done(catalog, catalog_put_queue_state(catalog, 7, 12, B("nobody")));
    done(catalog, catalog_remove_run(catalog, 7, 11, 255, 4096));
    done(catalog, catalog_remove_run(catalog, 7, 11, 255, 4096));
    done(catalog, catalog_remove_entry(catalog, &entry));
    done(catalog, catalog_commit(catalog));
    expect_rows(catalog, "state 1 3 0\nvhost 7 71 v;\nexchange 7 10 1 0 x;topic;args;\n"
                         "queue 7 11 1 q;args;newer;\nbinding 7 12 0 x;q;key;args;\n");
    catalog_close(catalog);
}

Test(catalog, an_older_lsn_changes_nothing)
{
    struct catalog *catalog = open_catalog(true);
    struct catalog_exchange exchange = an_exchange;
    struct catalog_binding binding = a_binding;

    done(catalog, catalog_begin(catalog));
    done(catalog, catalog_put_exchange(catalog, &exchange));
    done(catalog, catalog_put_binding(catalog, &binding));
    exchange.lsn = 9;
    exchange.type = B("direct");
    binding.lsn = 11;
    done(catalog, catalog_put_exchange(catalog, &exchange));
    done(catalog, catalog_put_binding(catalog, &binding));
    expect_rows(catalog, "exchange 7 10 1 0 x;topic;args;\nbinding 7 12 0 x;q;key;args;\n");
    exchange.lsn = 20;
    binding.lsn = 21;
    done(catalog, catalog_put_exchange(catalog, &exchange));
    done(catalog, catalog_put_binding(catalog, &binding));
    expect_rows(catalog, "exchange 7 20 1 0 x;direct;args;\nbinding 7 21 0 x;q;key;args;\n");
    done(catalog, catalog_remove_exchange(catalog, 7, exchange.name, 20));
    done(catalog, catalog_remove_binding(catalog, &binding));
    expect_rows(catalog, "exchange 7 20 1 0 x;direct;args;\nbinding 7 21 0 x;q;key;args;\n");
    binding.lsn = 22;
    done(catalog, catalog_remove_exchange(catalog, 7, exchange.name, 21));
    done(catalog, catalog_remove_binding(catalog, &binding));
    expect_rows(catalog, "");
    catalog_close(catalog);
}

Test(catalog, a_queue_goes_with_its_runs)
{
    struct catalog *catalog = open_catalog(true);
    struct catalog_queue queue = a_queue;
    struct catalog_run run = a_run;

    done(catalog, catalog_begin(catalog));
    put_one_of_each(catalog);
    queue.id = run.queue = 12;
    done(catalog, catalog_put_queue(catalog, &queue));
    done(catalog, catalog_put_run(catalog, &run));
    done(catalog, catalog_remove_queue(catalog, 7, 12));
    expect_rows(catalog, ONE_OF_EACH);
    done(catalog, catalog_commit(catalog));
    catalog_close(catalog);
}

static bool count_two(void *context, const struct catalog_vhost *vhost)
{
    (void)vhost;
    return ++*(int *)context < 2;
}

Test(catalog, reading_ends_when_its_reader_says_so)
{
    struct catalog *catalog = open_catalog(true);
    int seen = 0;

    done(catalog, catalog_begin(catalog));
    for (uint32_t i = 0; i < 5; i++)
        done(catalog, catalog_put_vhost(catalog, &(struct catalog_vhost){i, B("v"), 1}));
    done(catalog, catalog_commit(catalog));
    cr_expect_eq(catalog_read(catalog, &(struct catalog_reader){.context = &seen, .vhost = count_two}),
                 -ECANCELED);
    cr_expect_eq(seen, 2);
    catalog_close(catalog);
}

/* ---- transactions ---- */

Test(catalog, what_was_not_committed_is_not_there)
{
    struct catalog *catalog;

    make_one_of_each();
    catalog = open_catalog(false);
    cr_expect_eq(catalog_put_vhost(catalog, &a_vhost), -EINVAL);
    cr_expect_eq(catalog_commit(catalog), -EINVAL);
    done(catalog, catalog_begin(catalog));
    cr_expect_eq(catalog_begin(catalog), -EINVAL);
    done(catalog, catalog_remove_queue(catalog, 7, 11));
    expect_rows(catalog,
                "state 1 2 0\nvhost 7 70 v;\nentry policies;v;p;\\7b\\7d;\nexchange 7 10 1 0 x;topic;args;\n"
                "binding 7 12 0 x;q;key;args;\n");
    catalog_rollback(catalog);
    expect_rows(catalog, ONE_OF_EACH);
    done(catalog, catalog_begin(catalog));
    done(catalog, catalog_remove_queue(catalog, 7, 11));
    catalog_close(catalog);
    catalog = open_catalog(false);
    expect_rows(catalog, ONE_OF_EACH);
    catalog_close(catalog);
}

/* ---- files that are not what they should be ---- */

Test(catalog, another_version_is_refused_in_words)
{
    char why[CATALOG_WHY_SIZE] = "";
    struct catalog *catalog;
    bool is_new;

    make_one_of_each();
    tamper("PRAGMA user_version = 3");
    cr_expect_eq(catalog_open(sys, folder, &catalog, &is_new, why), -ENOTSUP);
    cr_expect(strstr(why, "has format version 3, this coney knows version 2"), "%s", why);
    tamper("PRAGMA user_version = 2");
    cr_expect_eq(try_file(), 0);
    tamper("PRAGMA application_id = 1");
    cr_expect_eq(try_file(), -EBADMSG);
}

Test(catalog, one_of_version_1_becomes_one_of_this)
{
    struct catalog *catalog;
    char *text;
    int result;

    make_one_of_each();
    tamper("ALTER TABLE node DROP COLUMN journal_synced; PRAGMA user_version = 1");
    for (int opening = 0; opening < 2; opening++) {
        catalog = open_catalog(false);
        expect_rows(catalog, ONE_OF_EACH);
        catalog_close(catalog);
    }
    catalog = open_catalog(false);
    catalog_begin(catalog);
    done(catalog, catalog_put_state(catalog, &(struct catalog_state){1, 2, 3}));
    done(catalog, catalog_commit(catalog));
    catalog_close(catalog);
    catalog = open_catalog(false);
    text = catalog_text(catalog, &result);
    cr_expect(strstr(text, "state 1 2 3\n"), "%s", text);
    free(text);
    catalog_close(catalog);
}

Test(catalog, garbage_is_refused)
{
    struct random random = {3};
    uint8_t octets[5000];

    for (size_t size = 1; size < sizeof octets; size += 1 + random_below(&random, 300)) {
        for (size_t i = 0; i < size; i++)
            octets[i] = (uint8_t)random_next(&random);
        patch_file(0, octets, size);
        cr_assert_eq(try_file(), -EBADMSG, "%zu octets", size);
    }
}

Test(catalog, a_missing_folder_is_the_systems_error)
{
    char why[CATALOG_WHY_SIZE] = "";
    struct catalog *catalog;
    bool is_new;

    cr_expect_eq(catalog_open(sys, "/nonexistent/folder", &catalog, &is_new, why), -ENOENT);
    cr_expect(strstr(why, "No such file"), "%s", why);
}

/* The file as it was made, to be spoilt again and again. */
static uint8_t *load_file(size_t *size)
{
    struct sys_file *file = NULL;
    uint8_t *octets;

    cr_assert_eq(sys_open(sys, path, SYS_READ, &file), 0);
    *size = (size_t)sys_size(sys, file);
    octets = xmalloc(*size);
    cr_assert_eq(sys_read(sys, file, octets, *size, 0), (ssize_t)*size);
    sys_close(sys, file);
    return octets;
}

static void store_file(const uint8_t *octets, size_t size)
{
    struct sys_file *file = NULL;

    cr_assert_eq(sys_open(sys, path, SYS_WRITE | SYS_CREATE | SYS_TRUNCATE, &file), 0);
    cr_assert_eq(sys_write(sys, file, octets, size, 0), 0);
    sys_close(sys, file);
}

Test(catalog, a_cut_file_is_damaged_and_an_empty_one_new)
{
    size_t size;
    uint8_t *octets;

    make_one_of_each();
    octets = load_file(&size);
    for (size_t cut = 1; cut < size; cut += 509) {
        store_file(octets, cut);
        cr_assert_eq(try_file(), -EBADMSG, "%zu of %zu octets", cut, size);
    }
    store_file(octets, 0);
    catalog_close(open_catalog(true));
    free(octets);
}

Test(catalog, every_flipped_bit_is_found)
{
    struct random random = {4};
    size_t size;
    uint8_t *octets;

    make_one_of_each();
    octets = load_file(&size);
    for (unsigned round = 0; round < 500; round++) {
        size_t at = random_below(&random, (uint32_t)size);
        uint8_t bit = (uint8_t)(1 << random_below(&random, 8));

        octets[at] ^= bit;
        store_file(octets, size);
        cr_assert_eq(try_file(), -EBADMSG, "bit %u of octet %zu", bit, at);
        octets[at] ^= bit;
    }
    free(octets);
}

static void keep_report(void *context, const char *text)
{
    snprintf(context, CATALOG_WHY_SIZE, "%s", text);
}

/* A page with another's contents has the wrong checksum as well. */
Test(catalog, damage_is_said_with_its_place)
{
    struct catalog *catalog;
    char said[CATALOG_WHY_SIZE] = "";
    size_t size;
    uint8_t *octets;

    make_one_of_each();
    octets = load_file(&size);
    patch_file(5 * 4096, octets + 4 * 4096, 4096);
    catalog = open_catalog(false);
    cr_expect_eq(catalog_check(catalog, keep_report, said), -EBADMSG);
    cr_expect(strstr(said, "catalog.db: the page at offset 20480 is damaged"), "%s", said);
    catalog_close(catalog);
    free(octets);
}

/* SQLite sees no harm in a level of 256; levels end at 255. */
Test(catalog, a_number_out_of_its_range_is_damage)
{
    make_one_of_each();
    tamper("UPDATE runs SET level = 256");
    cr_expect_eq(try_file(), -EBADMSG);
}

Test(catalog, a_table_that_is_missing_is_damage)
{
    make_one_of_each();
    tamper("DROP TABLE bindings");
    cr_expect_eq(try_file(), -EBADMSG);
}

/* ---- speed ---- */

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#define MANY_QUEUES 100000
#define MANY_RUNS   10000

static void put_many(struct catalog *catalog)
{
    uint8_t live[256] = {1, 2, 3};
    char name[32];

    done(catalog, catalog_begin(catalog));
    for (uint32_t i = 0; i < MANY_QUEUES; i++) {
        struct catalog_queue queue = a_queue;

        queue.id = 1000 + i;
        queue.name = (struct bytes){(uint8_t *)name, (size_t)snprintf(name, sizeof name, "queue-%u", i)};
        done(catalog, catalog_put_queue(catalog, &queue));
    }
    for (uint32_t i = 0; i < MANY_RUNS; i++) {
        struct catalog_run run = a_run;

        run.first = (uint64_t)i * RUN_MESSAGES_MAX;
        run.live = (struct bytes){live, sizeof live};
        done(catalog, catalog_put_run(catalog, &run));
    }
    done(catalog, catalog_commit(catalog));
}

/* In an order that is none: hashes'. */
static void put_many_states(struct catalog *catalog)
{
    done(catalog, catalog_begin(catalog));
    for (uint64_t i = 0; i < MANY_QUEUES; i++)
        done(catalog, catalog_put_queue_state(catalog, 7, 1000 + i * 7919 % MANY_QUEUES, B("changed")));
    done(catalog, catalog_commit(catalog));
}

struct counted {
    uint32_t queues, changed, runs;
};

static bool count_queue(void *context, const struct catalog_queue *queue)
{
    struct counted *counted = context;

    counted->changed += bytes_equal_string(queue->state, "changed");
    counted->queues++;
    return true;
}

static bool count_run(void *context, const struct catalog_run *run)
{
    struct counted *counted = context;

    counted->runs += run->live.size == 256;
    return true;
}

/* The bounds are what sanitizers and a busy machine leave of a small fraction. */
Test(catalog, a_hundred_thousand_queues_are_soon_written_and_read)
{
    struct catalog *catalog = open_catalog(true);
    struct counted counted = {0};
    double begun = seconds(), put, changed, read;

    put_many(catalog);
    put = seconds();
    put_many_states(catalog);
    changed = seconds();
    catalog_close(catalog);
    catalog = open_catalog(true);
    done(catalog, catalog_read(catalog, &(struct catalog_reader){
                                            .context = &counted, .queue = count_queue, .run = count_run}));
    read = seconds();
    cr_log_info("%u queues and %u runs: put %.3f s, every state changed %.3f s, opened and read %.3f s",
                MANY_QUEUES, MANY_RUNS, put - begun, changed - put, read - changed);
    cr_expect(counted.queues == MANY_QUEUES && counted.changed == MANY_QUEUES && counted.runs == MANY_RUNS);
    cr_expect_lt(put - begun, 20);
    cr_expect_lt(changed - put, 20);
    cr_expect_lt(read - changed, 5);
    catalog_close(catalog);
}
