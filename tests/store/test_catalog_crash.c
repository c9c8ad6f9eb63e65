/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.h on a disk that fails, fills up and loses power: what is read afterwards is the state after one of
 * the transactions, none is half there, and none is gone whose commit had returned.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "catalog_text.h"
#include "exhaustive.h"
#include "sim/random.h"
#include "store/catalog.h"
#include "sys_fake.h"

#define B BYTES_LITERAL

/* A history is TRANSACTIONS transactions, each from its number alone; each ends in a state of its own. */
#define TRANSACTIONS 6
#define LARGE        2 /* transactions of the history of large ones */

static struct sys *sys; /* of the disk at hand */

typedef int (*transaction_function)(struct catalog *catalog, uint32_t number);

struct history {
    transaction_function transaction;
    uint32_t count;
    char *states[TRANSACTIONS + 1]; /* what is read after so many of them */
};

static struct bytes some_name(struct random *random)
{
    static const char names[] = "abcdefgh";

    return (struct bytes){(const uint8_t *)names + random_below(random, 8), 1};
}

/* Lengths that fill pages, and now and then more than one. */
static struct bytes some_octets(struct random *random, uint8_t octets[9000])
{
    uint32_t size = random_percent(random, 90) ? random_below(random, 300) : random_below(random, 9000);

    memset(octets, 'a' + (int)random_below(random, 26), size);
    return (struct bytes){octets, size};
}

static int change_something(struct catalog *catalog, struct random *random, uint64_t lsn)
{
    uint8_t octets[9000];
    uint32_t vhost = random_below(random, 3);
    struct bytes name = some_name(random);
    struct bytes data = some_octets(random, octets);
    uint64_t id = random_below(random, 30);
    struct catalog_binding binding = {vhost, lsn, id & 1, name, name, data, B("")};

    switch (random_below(random, 13)) {
    case 0:
        return catalog_put_vhost(catalog, &(struct catalog_vhost){vhost, name, lsn});
    case 1:
        return catalog_put_entry(catalog, &(struct catalog_entry){B("policies"), name, name, data});
    case 2:
        return catalog_remove_entry(catalog, &(struct catalog_entry){B("policies"), name, name, data});
    case 3:
        return catalog_put_exchange(catalog, &(struct catalog_exchange){vhost, lsn, name, name, data, 0, 1});
    case 4:
        return catalog_remove_exchange(catalog, vhost, name, lsn);
    case 5:
        return catalog_put_queue_state(catalog, vhost, id, data);
    case 6:
    case 10:
        return catalog_remove_queue(catalog, vhost, id);
    case 7:
        return catalog_put_binding(catalog, &binding);
    case 8:
        return catalog_remove_binding(catalog, &binding);
    case 9:
        return catalog_remove_run(catalog, vhost, id, 0, lsn % 5);
    case 11:
        return catalog_put_run(
            catalog,
            &(struct catalog_run){.vhost = vhost, .queue = id, .first = lsn % 5, .span = 9, .live = data});
    default:
        return catalog_put_queue(catalog, &(struct catalog_queue){vhost, id, name, B("args"), true, data});
    }
}

static int small_transaction(struct catalog *catalog, uint32_t number)
{
    struct random random = {number};
    uint32_t changes = 1 + random_below(&random, 60);
    int error = catalog_begin(catalog);

    if (error)
        return error;
    for (uint32_t i = 0; i < changes && !error; i++)
        error = change_something(catalog, &random, number);
    if (!error)
        error = catalog_put_state(catalog, &(struct catalog_state){1, number, number / 2});
    if (!error)
        return catalog_commit(catalog);
    cr_assert_eq(catalog_commit(catalog), error, "what failed must not be committed");
    return error;
}

/* Changes more pages than SQLite keeps in memory, so that some are written before the commit. */
static int large_transaction(struct catalog *catalog, uint32_t number)
{
    uint8_t octets[9000];
    int error = catalog_begin(catalog);

    memset(octets, 'a' + (int)number, sizeof octets);
    for (uint32_t i = 0; i < 330 && !error; i++)
        error = catalog_put_queue(
            catalog, &(struct catalog_queue){1, i * 7 % 330, B("q"), B(""), false, {octets, sizeof octets}});
    if (!error)
        error = catalog_put_state(catalog, &(struct catalog_state){1, number, number / 2});
    if (!error)
        return catalog_commit(catalog);
    catalog_rollback(catalog);
    return error;
}

static void done(struct catalog *catalog, int result)
{
    cr_assert_eq(result, 0, "%s: %s", strerror(-result), catalog_why(catalog));
}

static void ignore_report(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static struct catalog *open_new(void)
{
    struct catalog *catalog = NULL;
    char why[CATALOG_WHY_SIZE] = "";
    bool is_new = false;
    int error = catalog_open(sys, ".", &catalog, &is_new, why);

    cr_assert_eq(error, 0, "%s", why);
    cr_assert(is_new);
    return catalog;
}

static char *read_state(struct catalog *catalog)
{
    int result;
    char *text = catalog_text(catalog, &result);

    done(catalog, result);
    return text;
}

/* Run through it once where nothing fails. */
static struct history history_new(transaction_function transaction, uint32_t count)
{
    struct history history = {.transaction = transaction, .count = count};
    struct catalog *catalog;

    sys = sys_fake_sys(sys_fake_new(1));
    catalog = open_new();
    history.states[0] = read_state(catalog);
    for (uint32_t i = 0; i < count; i++) {
        done(catalog, transaction(catalog, i + 1));
        history.states[i + 1] = read_state(catalog);
    }
    catalog_close(catalog);
    sys_free(sys);
    return history;
}

static void history_free(struct history *history)
{
    for (uint32_t i = 0; i <= history->count; i++)
        free(history->states[i]);
}

/* Do what is left of HISTORY after COMMITTED, up to the first error. Returns how many then are known to be
 * committed. */
static uint32_t go_on(struct catalog *catalog, const struct history *history, uint32_t committed, int *error)
{
    *error = 0;
    while (committed < history->count) {
        *error = history->transaction(catalog, committed + 1);
        if (*error)
            break;
        committed++;
    }
    return committed;
}

static uint32_t open_and_go_on(const struct history *history, int *error)
{
    struct catalog *catalog;
    char why[CATALOG_WHY_SIZE];
    uint32_t committed = 0;
    bool is_new;

    *error = catalog_open(sys, ".", &catalog, &is_new, why);
    if (!*error)
        committed = go_on(catalog, history, 0, error);
    catalog_close(catalog);
    return committed;
}

/* The catalog is in the state after COMMITTED transactions, or the one more whose commit did not return; it
 * is sound, and what is left of HISTORY can be done. */
static void expect_state(const struct history *history, uint32_t committed, const char *what, uint64_t n)
{
    struct catalog *catalog = NULL;
    char why[CATALOG_WHY_SIZE] = "";
    bool is_new = false;
    int error = catalog_open(sys, ".", &catalog, &is_new, why);
    char *text;

    cr_assert_eq(error, 0, "%s %ju: %s", what, (uintmax_t)n, why);
    text = read_state(catalog);
    if (committed < history->count && strcmp(text, history->states[committed]) != 0)
        committed++;
    cr_assert(strcmp(text, history->states[committed]) == 0, "%s %ju: not after transaction %u", what,
              (uintmax_t)n, committed);
    cr_assert_eq(is_new, committed == 0);
    cr_assert_eq(catalog_check(catalog, ignore_report, NULL), 0, "%s", catalog_why(catalog));
    cr_assert_eq(go_on(catalog, history, committed, &error), history->count);
    catalog_close(catalog);
    free(text);
}

/* Lose power at the N-th call, and, if AGAIN, while the next opening repairs what it finds. */
static bool lose_power(const struct history *history, uint64_t n, uint64_t seed, bool again)
{
    struct sys_fake *fake = sys_fake_new(seed);
    struct random random = {seed};
    uint32_t committed;
    bool was_stopped;
    int error;

    sys = sys_fake_sys(fake);
    sys_fake_stop(fake, n);
    committed = open_and_go_on(history, &error);
    was_stopped = sys_fake_is_stopped(fake);
    sys_fake_power_loss(fake, random_next(&random));
    if (again) {
        struct history nothing = {.transaction = history->transaction};

        sys_fake_stop(fake, 1 + random_below(&random, 30));
        open_and_go_on(&nothing, &error);
        sys_fake_power_loss(fake, random_next(&random));
    }
    expect_state(history, committed, "power lost at call", n);
    sys_free(sys);
    return was_stopped;
}

Test(catalog_crash, power_loss_at_every_call_leaves_a_committed_state, .disabled = !EXHAUSTIVE)
{
    struct history history = history_new(small_transaction, TRANSACTIONS);
    bool was_stopped = true;
    uint64_t n = 0;

    while (was_stopped) {
        n++;
        for (uint64_t seed = 0; seed < 2; seed++)
            was_stopped = lose_power(&history, n, n * 2 + seed, seed == 1);
    }
    cr_expect_gt(n, 10 * TRANSACTIONS);
    history_free(&history);
}

static int64_t size_of(const char *path)
{
    struct sys_file *file = NULL;
    int64_t size = 0;

    if (sys_open(sys, path, SYS_READ, &file) == 0)
        size = sys_size(sys, file);
    sys_close(sys, file);
    return size;
}

/* Tear the first write of the first page, if its journal is still there, behind the size of pages. */
static bool tear_header(void)
{
    static const uint8_t zeros[512 - 18];
    struct sys_file *file = NULL;

    if (size_of("./catalog.db") == 0 || size_of("./catalog.db-journal") == 0)
        return false;
    cr_assert_eq(sys_open(sys, "./catalog.db", SYS_WRITE, &file), 0);
    cr_assert_eq(sys_write(sys, file, zeros, sizeof zeros, 18), 0);
    sys_close(sys, file);
    return true;
}

Test(catalog_crash, a_torn_header_does_not_mislead)
{
    struct history history = history_new(small_transaction, 0);
    bool was_stopped = true;
    unsigned torn = 0;

    for (uint64_t n = 1; was_stopped; n++) {
        struct sys_fake *fake = sys_fake_new(n);
        int error;

        sys = sys_fake_sys(fake);
        sys_fake_stop(fake, n);
        open_and_go_on(&history, &error);
        was_stopped = sys_fake_is_stopped(fake);
        sys_fake_kill(fake);
        torn += tear_header();
        expect_state(&history, 0, "torn header, call", n); /* made, */
        expect_state(&history, 0, "torn header, call", n); /* and read from the disk */
        sys_free(sys);
    }
    cr_expect_gt(torn, 5);
    history_free(&history);
}

Test(catalog_crash, power_loss_in_a_transaction_larger_than_memory, .disabled = !EXHAUSTIVE)
{
    struct history history = history_new(large_transaction, LARGE);
    bool was_stopped = true;

    for (uint64_t n = 1; was_stopped; n += 151)
        was_stopped = lose_power(&history, n, n, n % 2);
    history_free(&history);
}

/* Let the N-th call fail once. A full disk is only that: what failed is done again, in the same catalog. */
static bool fail_call(const struct history *history, uint64_t n, int with)
{
    struct sys_fake *fake = sys_fake_new(n);
    struct catalog *catalog = NULL;
    char why[CATALOG_WHY_SIZE];
    uint32_t committed = 0;
    bool has_failed, is_new;
    int error;

    sys = sys_fake_sys(fake);
    sys_fake_fail(fake, n, with);
    error = catalog_open(sys, ".", &catalog, &is_new, why);
    if (!error)
        committed = go_on(catalog, history, 0, &error);
    if (error && with == ENOSPC) {
        cr_assert_eq(error, -ENOSPC);
        catalog = catalog ? catalog : open_new();
        committed = go_on(catalog, history, committed, &error);
        cr_assert_eq(committed, history->count, "%s", catalog_why(catalog));
    }
    cr_assert(error == 0 || error == -with, "call %ju: %s", (uintmax_t)n, strerror(-error));
    has_failed = sys_fake_has_failed(fake);
    sys_fake_stop(fake, 1); /* the process ends here: closing does nothing to the files */
    catalog_close(catalog);
    sys_fake_power_loss(fake, n);
    expect_state(history, committed, "failed call", n);
    sys_free(sys);
    return has_failed;
}

Test(catalog_crash, every_call_may_fail_once, .disabled = !EXHAUSTIVE)
{
    static const int errors[] = {EIO, ENOSPC, EMFILE};
    struct history history = history_new(small_transaction, TRANSACTIONS);

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        uint64_t n = 1;

        while (fail_call(&history, n, errors[i]))
            n++;
        cr_expect_gt(n, 2);
    }
    history_free(&history);
}

/* Whoever goes on after an error is told the truth, too. */
Test(catalog_crash, a_commit_after_a_failed_call_is_a_commit, .disabled = !EXHAUSTIVE)
{
    struct history history = history_new(small_transaction, TRANSACTIONS);
    bool has_failed = true;

    for (uint64_t n = 1; has_failed; n++) {
        struct sys_fake *fake = sys_fake_new(n);
        struct catalog *catalog;
        uint32_t committed;
        int error;

        sys = sys_fake_sys(fake);
        catalog = open_new();
        sys_fake_fail(fake, n, EIO);
        committed = go_on(catalog, &history, 0, &error);
        has_failed = sys_fake_has_failed(fake);
        if (error)
            committed = go_on(catalog, &history, committed, &error);
        sys_fake_stop(fake, 1);
        catalog_close(catalog);
        sys_fake_power_loss(fake, n);
        expect_state(&history, committed, "went on after failed call", n);
        sys_free(sys);
    }
    history_free(&history);
}

struct failing_sync {
    struct sys_fake *fake;
    uint32_t in; /* syncs until the one that fails */
};

static void fail_sync(void *context)
{
    struct failing_sync *failing = context;

    if (failing->in && --failing->in == 0)
        sys_fake_fail(failing->fake, 1, EIO);
}

Test(catalog_crash, no_transaction_commits_after_a_failed_sync)
{
    struct history history = history_new(small_transaction, TRANSACTIONS);

    for (uint32_t n = 1; n <= 4; n++) {
        struct sys_fake *fake = sys_fake_new(n);
        struct failing_sync failing = {fake, n};
        struct catalog *catalog;
        int error;

        sys = sys_fake_sys(fake);
        catalog = open_new();
        sys_fake_on_sync(fake, fail_sync, &failing);
        cr_assert_eq(go_on(catalog, &history, 0, &error), 0);
        cr_assert_eq(error, -EIO);
        for (unsigned again = 0; again < 3; again++) {
            cr_assert_eq(go_on(catalog, &history, 0, &error), 0, "after failed sync %u", n);
            cr_assert_eq(error, -EIO);
        }
        catalog_close(catalog);
        sys_free(sys);
    }
    history_free(&history);
}

Test(catalog_crash, a_full_disk_heals)
{
    struct history history = history_new(small_transaction, TRANSACTIONS);
    struct sys_fake *fake = sys_fake_new(1);
    struct catalog *catalog;
    uint32_t committed;
    char *text;
    int error;

    sys = sys_fake_sys(fake);
    catalog = open_new();
    sys_fake_capacity(fake, 100 * 1024);
    committed = go_on(catalog, &history, 0, &error);
    cr_assert_eq(error, -ENOSPC);
    text = read_state(catalog);
    cr_expect_str_eq(text, history.states[committed]);
    free(text);
    sys_fake_capacity(fake, 0);
    committed = go_on(catalog, &history, committed, &error);
    cr_expect_eq(committed, history.count, "%s", catalog_why(catalog));
    catalog_close(catalog);
    sys_fake_power_loss(fake, 1);
    expect_state(&history, committed, "full disk", 0);
    sys_free(sys);
    history_free(&history);
}
