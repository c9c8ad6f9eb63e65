/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h: blocks keep what is written to them, come from one thread and are freed by another, all memory
 * comes back, and huge pages are asked for where they are soon there. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "coney/clock.h"
#include "coney/pool.h"
#include "coney/xalloc.h"
#include "sim/random.h"

#define BLOCKS 3000

struct held {
    uint8_t *block;
    size_t size;
    uint8_t mark;
};

static size_t some_size(struct random *random)
{
    return random_percent(random, 90) ? 1 + random_below(random, 700) : 1 + random_below(random, 40000);
}

static struct held hold(struct random *random)
{
    struct held held = {.size = some_size(random), .mark = (uint8_t)random_next(random)};

    held.block = pool_alloc(held.size);
    cr_assert_eq((uintptr_t)held.block % 16, 0);
    memset(held.block, held.mark, held.size);
    return held;
}

static void let_go(struct held *held)
{
    for (size_t i = 0; i < held->size; i += 13)
        cr_assert_eq(held->block[i], held->mark);
    cr_assert_eq(held->block[held->size - 1], held->mark);
    pool_free(held->block, held->size);
    held->block = NULL;
}

Test(pool, blocks_keep_what_is_written_and_memory_comes_back)
{
    struct held *held = xcalloc(BLOCKS, sizeof *held);
    struct random random = {1};
    uint64_t most;

    for (unsigned round = 0; round < 20 * BLOCKS; round++) {
        struct held *one = &held[random_below(&random, BLOCKS)];

        if (one->block)
            let_go(one);
        else
            *one = hold(&random);
    }
    most = pool_bytes_in_use();
    for (unsigned i = 0; i < BLOCKS; i++)
        if (held[i].block)
            let_go(&held[i]);
    /* A page of each size class may stay until a flush. */
    cr_expect_lt(pool_bytes_in_use(), most / 2 + 30 * 65536);
    cr_expect(pool_flush(), "nothing is left anywhere");
    cr_expect_eq(pool_bytes_in_use(), 0);
    free(held);
}

Test(pool, cleared_block_is_clear_also_when_it_was_used)
{
    for (int i = 0; i < 1000; i++) {
        uint8_t *block = pool_calloc(100);

        for (size_t at = 0; at < 100; at++)
            cr_assert_eq(block[at], 0);
        memset(block, 0xff, 100);
        pool_free(block, 100);
    }
    pool_free(NULL, 10);
}

Test(pool, block_size_covers_what_was_asked_for)
{
    for (size_t size = 1; size <= POOL_BLOCK_MAX + 100; size++)
        cr_assert_geq(pool_block_size(size), size);
}

/* ---- huge pages, by a clock and a madvise() of our own ---- */

#define BLOCKS_A_PAGE 3 /* of the largest */
#define PAGES_A_HUGE  32
#define PAGES_SLOW \
    (PAGES_A_HUGE + 64 * 16) /* between two tries: what the slow one brought, 64 MiB of small ones */
#define GROWN_MAX (4 * PAGES_SLOW * BLOCKS_A_PAGE)

static _Atomic uint64_t clock_at, clock_step;
static _Atomic unsigned huge_asked;
static void *grown[GROWN_MAX];
static unsigned grown_count;

uint64_t clock_ns(void)
{
    struct timespec now;

    if (clock_step)
        return atomic_fetch_add(&clock_at, clock_step);
    clock_gettime(CLOCK_MONOTONIC, &now); /* for the other tests of this program */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the C library's are reserved */
int madvise(void *memory, size_t size, int advice)
{
    (void)memory, (void)size;
    huge_asked += advice == MADV_HUGEPAGE;
    return 0;
}

/* Pages taken until the pool asked for a huge one. */
static unsigned grow_until_asked(void)
{
    unsigned asked = huge_asked, pages = 0;

    for (; huge_asked == asked && grown_count + BLOCKS_A_PAGE <= GROWN_MAX; pages++)
        for (unsigned i = 0; i < BLOCKS_A_PAGE; i++)
            grown[grown_count++] = pool_alloc(POOL_BLOCK_MAX);
    cr_assert_eq(huge_asked, asked + 1);
    return pages;
}

Test(pool, asks_for_huge_pages_less_while_they_are_slow_to_come)
{
    void *small = pool_alloc(32);
    bool is_malloc = pool_large_bytes_in_use() > 0;

    pool_free(small, 32);
    if (is_malloc) /* under the address sanitizer */
        return;
    clock_step = 500000;
    grow_until_asked();
    cr_expect_eq(grow_until_asked(), PAGES_A_HUGE);
    clock_step = 2000000;
    cr_expect_eq(grow_until_asked(), PAGES_A_HUGE);
    cr_expect_eq(grow_until_asked(), PAGES_SLOW);
    clock_step = 500000;
    cr_expect_eq(grow_until_asked(), PAGES_SLOW);
    cr_expect_eq(grow_until_asked(), PAGES_A_HUGE);
    while (grown_count)
        pool_free(grown[--grown_count], POOL_BLOCK_MAX);
    pool_flush();
    cr_expect_eq(pool_bytes_in_use(), 0);
}

/* ---- threads: each hands its blocks to the next one, which frees them ---- */

#define THREADS 4
#define MAILS   400 /* batches that each sends */
#define BATCH   50

struct mail {
    struct mail *next;
    struct held held[BATCH];
};

struct mailbox {
    _Atomic(struct mail *) mails;
};

static struct mailbox boxes[THREADS];

static void post_to(unsigned thread, struct mail *mail)
{
    struct mail *head = atomic_load(&boxes[thread].mails);

    do
        mail->next = head;
    while (!atomic_compare_exchange_weak(&boxes[thread].mails, &head, mail));
}

static unsigned read_mails(unsigned thread)
{
    struct mail *mail = atomic_exchange(&boxes[thread].mails, NULL);
    unsigned count = 0;

    while (mail) {
        struct mail *next = mail->next;

        for (unsigned i = 0; i < BATCH; i++)
            let_go(&mail->held[i]);
        pool_free(mail, sizeof *mail);
        mail = next;
        count++;
    }
    return count;
}

static void *work(void *argument)
{
    unsigned self = (unsigned)(uintptr_t)argument, got = 0;
    struct random random = {self};

    for (unsigned sent = 0; sent < MAILS; sent++) {
        struct mail *mail = pool_alloc(sizeof *mail);

        for (unsigned i = 0; i < BATCH; i++)
            mail->held[i] = hold(&random);
        post_to((self + 1) % THREADS, mail);
        got += read_mails(self);
        if (sent % 7 == 0)
            pool_flush();
    }
    while (got < MAILS)
        got += read_mails(self);
    pool_flush();
    return NULL;
}

static pthread_barrier_t all_here;

/* Takes over a pool, as all of them do at once: what is left in it by others comes home. */
static void *come_home(void *argument)
{
    (void)argument;
    pool_free(pool_alloc(1), 1);
    pthread_barrier_wait(&all_here);
    pool_flush();
    return NULL;
}

static void run_threads(void *(*run)(void *argument))
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* Threads that come later take over the pools of those that have ended: nothing piles up. */
Test(pool, blocks_freed_by_other_threads_come_home, .timeout = 60)
{
    pthread_barrier_init(&all_here, NULL, THREADS);
    for (int i = 0; i < 6; i++)
        run_threads(work);
    run_threads(come_home);
    cr_expect_eq(pool_bytes_in_use(), 0);
    pthread_barrier_destroy(&all_here);
}
