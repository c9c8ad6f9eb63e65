/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h. A page is 64 KiB, aligned to its size, so a block finds its page by masking; the page knows the
 * pool that it belongs to and the class of its blocks.
 *
 *     page:  | struct page | block | block | ... | never used yet |
 *                                                ^ fresh
 *
 * Invariants:
 * 1. Only the owning thread touches a page, except `home->returned`, a stack that others push chains onto and
 *    the owner takes as a whole.
 * 2. A page is on its class's list exactly when it has a free or a fresh block.
 * 3. A pool outlives its thread: blocks of a finished thread may still come home. Nobody frees a pool; a new
 *    thread takes over one whose thread has ended.
 */
#include "coney/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "coney/clock.h"
#include "coney/xalloc.h"

#define PAGE_SIZE       ((size_t)64 * 1024)
#define CHUNK_PAGES     16 /* pages asked from the system at once, at first */
#define HUGE_SIZE       ((size_t)2 * 1024 * 1024)
#define HUGE_FROM       64      /* pages that a pool has when it begins to ask for huge ones: 4 MiB */
#define HUGE_SLOW_NS    1000000 /* a huge page that took longer cost more than 512 small ones */
#define HUGE_AGAIN      64      /* chunks of small pages before the next try: 64 MiB */
#define SPARE_PAGES_MAX 64      /* empty pages kept by a pool: 4 MiB */
#define FOREIGN_POOLS   32      /* other owners whose blocks are collected before a flush is forced */

#if defined(__SANITIZE_ADDRESS__)
#define POOL_IS_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_IS_MALLOC 1
#endif
#endif
#ifndef POOL_IS_MALLOC
#define POOL_IS_MALLOC                                                                  \
    0 /* 1: each block is malloc's own, so that the address sanitizer sees every misuse \
       */
#endif

static const uint16_t class_sizes[] = {32,   48,   64,   80,   96,   112,  128,   160,  192,
                                       224,  256,  320,  384,  512,  640,  768,   1024, 1280,
                                       1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384};
#define CLASSES (sizeof class_sizes / sizeof class_sizes[0])

_Static_assert(CLASSES <= 32, "a bit each in pool->empty");

struct block {
    struct block *next;
};

struct page {
    struct pool *home;
    struct page *next, *previous; /* pages of the class with room, or the spare list */
    struct block *free;
    uint8_t *fresh, *end;
    uint32_t used;
    uint16_t class;
    uint16_t listed;
};

struct foreign {
    struct pool *home;
    struct block *first, *last;
};

struct pool {
    struct page *room[CLASSES];
    struct page *spare;
    unsigned spares;
    unsigned pages;        /* in use */
    unsigned small_chunks; /* to map before a huge page is asked for again */
    uint32_t empty;        /* classes whose last page with room was empty since the last flush, a bit each */
    unsigned foreigners;
    struct foreign foreign[FOREIGN_POOLS];
    struct pool *next_orphan;
    _Atomic(struct block *) returned;
};

static _Thread_local struct pool *own;
static _Atomic uint64_t pages_in_use, large_in_use; /* octets */

static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool *orphans;
static pthread_key_t orphan_key;
static pthread_once_t orphan_once = PTHREAD_ONCE_INIT;

/* size (rounded up to 16) / 16 -> class */
static uint8_t class_of_size[POOL_BLOCK_MAX / 16 + 1];

static void pool_orphan(void *arg)
{
    struct pool *pool = arg;

    pool_flush();
    pthread_mutex_lock(&orphans_lock);
    pool->next_orphan = orphans;
    orphans = pool;
    pthread_mutex_unlock(&orphans_lock);
    own = NULL;
}

static void pool_setup(void)
{
    size_t class = 0;

    for (size_t i = 0; i <= POOL_BLOCK_MAX / 16; i++) {
        if (i * 16 > class_sizes[class])
            class ++;
        class_of_size[i] = (uint8_t) class;
    }
    pthread_key_create(&orphan_key, pool_orphan);
}

static struct pool *pool_adopt(void)
{
    struct pool *pool;

    pthread_once(&orphan_once, pool_setup);
    pthread_mutex_lock(&orphans_lock);
    pool = orphans;
    if (pool)
        orphans = pool->next_orphan;
    pthread_mutex_unlock(&orphans_lock);
    if (!pool)
        pool = xcalloc(1, sizeof *pool);
    pthread_setspecific(orphan_key, pool);
    own = pool;
    return pool;
}

static inline struct page *page_of(void *block)
{
    return (struct page *)((uintptr_t)block & ~(uintptr_t)(PAGE_SIZE - 1));
}

static void room_add(struct pool *pool, struct page *page)
{
    struct page *head = pool->room[page->class];

    page->previous = NULL;
    page->next = head;
    if (head)
        head->previous = page;
    pool->room[page->class] = page;
    page->listed = 1;
}

static void room_remove(struct pool *pool, struct page *page)
{
    if (page->previous)
        page->previous->next = page->next;
    else
        pool->room[page->class] = page->next;
    if (page->next)
        page->next->previous = page->previous;
    page->listed = 0;
}

static uint8_t *map(size_t size)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* SIZE octets aligned to ALIGNMENT. */
static uint8_t *map_aligned(size_t size, size_t alignment)
{
    uint8_t *raw = map(size + alignment);
    uint8_t *aligned;
    size_t before;

    if (raw == MAP_FAILED) {
        xalloc_refused();
        raw = map(size + alignment);
    }
    if (raw == MAP_FAILED) {
        fputs("out of memory\n", stderr);
        abort();
    }
    aligned = (uint8_t *)(((uintptr_t)raw + alignment - 1) & ~(uintptr_t)(alignment - 1));
    before = (size_t)(aligned - raw);
    if (before)
        munmap(raw, before);
    if (before < alignment)
        munmap(aligned + size, alignment - before);
    return aligned;
}

/* Put the pages of CHUNK, of SIZE octets, on the spare list. */
static void chunk_spare(struct pool *pool, uint8_t *chunk, size_t size)
{
    for (size_t i = size / PAGE_SIZE; i-- > 0;) {
        struct page *page = (struct page *)(chunk + i * PAGE_SIZE);

        page->next = pool->spare;
        pool->spare = page;
        pool->spares++;
    }
}

static void chunk_map_small(struct pool *pool)
{
    size_t size = CHUNK_PAGES * PAGE_SIZE;

    chunk_spare(pool, map_aligned(size, PAGE_SIZE), size);
}

/* One fault for 512. Where the system must compact memory first, or its hypervisor fetch what it had been
 * given back, that one fault takes longer than 512 of the small pages that lie about: small ones then, for a
 * while. */
static void chunk_map_huge(struct pool *pool)
{
    uint8_t *chunk = map_aligned(HUGE_SIZE, HUGE_SIZE);
    uint64_t start = clock_ns();

    madvise(chunk, HUGE_SIZE, MADV_HUGEPAGE);
    chunk_spare(pool, chunk, HUGE_SIZE);
    if (clock_ns() - start > HUGE_SLOW_NS)
        pool->small_chunks = HUGE_AGAIN;
}

/* A pool that grows under load asks for huge pages. */
static void chunk_map(struct pool *pool)
{
    if (pool->pages >= HUGE_FROM && !pool->small_chunks) {
        chunk_map_huge(pool);
        return;
    }
    if (pool->small_chunks)
        pool->small_chunks--;
    chunk_map_small(pool);
}

static struct page *page_new(struct pool *pool, size_t class)
{
    struct page *page;

    if (!pool->spare)
        chunk_map(pool);
    page = pool->spare;
    pool->spare = page->next;
    pool->spares--;
    pool->pages++;
    page->home = pool;
    page->class = (uint16_t) class;
    page->free = NULL;
    page->used = 0;
    page->fresh = (uint8_t *)page + ((sizeof *page + 15) & ~(size_t)15);
    page->end = (uint8_t *)page + PAGE_SIZE;
    room_add(pool, page);
    atomic_fetch_add_explicit(&pages_in_use, PAGE_SIZE, memory_order_relaxed);
    return page;
}

static void page_retire(struct pool *pool, struct page *page)
{
    room_remove(pool, page);
    pool->pages--;
    atomic_fetch_sub_explicit(&pages_in_use, PAGE_SIZE, memory_order_relaxed);
    if (pool->spares >= SPARE_PAGES_MAX) {
        munmap(page, PAGE_SIZE);
        return;
    }
    page->next = pool->spare;
    pool->spare = page;
    pool->spares++;
}

static inline void free_local(struct pool *pool, struct page *page, struct block *block)
{
    block->next = page->free;
    page->free = block;
    page->used--;
    if (!page->listed)
        room_add(pool, page);
    /* The last page with room stays until the next flush, so that a class which goes between zero and one
     * block costs nothing. */
    if (page->used == 0 && (page->next || page->previous))
        page_retire(pool, page);
    else if (page->used == 0)
        pool->empty |= UINT32_C(1) << page->class;
}

static void take_returned(struct pool *pool)
{
    struct block *block = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);

    while (block) {
        struct block *next = block->next;

        free_local(pool, page_of(block), block);
        block = next;
    }
}

static void *alloc_large(size_t size)
{
    atomic_fetch_add_explicit(&large_in_use, size, memory_order_relaxed);
    return xmalloc(size);
}

static void *alloc_slow(struct pool *pool, size_t class)
{
    struct page *page;
    struct block *block;

    if (atomic_load_explicit(&pool->returned, memory_order_relaxed))
        take_returned(pool);
    page = pool->room[class];
    if (!page)
        page = page_new(pool, class);
    page->used++;
    block = page->free;
    if (block) {
        page->free = block->next;
    } else {
        block = (struct block *)page->fresh;
        page->fresh += class_sizes[class];
    }
    if (!page->free && page->fresh + class_sizes[class] > page->end)
        room_remove(pool, page);
    return block;
}

void *pool_alloc(size_t size)
{
    struct pool *pool = own;
    size_t class;
    struct page *page;
    struct block *block;

    if (size > POOL_BLOCK_MAX || POOL_IS_MALLOC)
        return alloc_large(size);
    if (__builtin_expect(!pool, 0))
        pool = pool_adopt();
    class = class_of_size[(size + 15) / 16];
    page = pool->room[class];
    /* Fast when the page keeps room after this block: the lists need no change. */
    if (page && page->free && page->free->next) {
        block = page->free;
        page->free = block->next;
        page->used++;
        return block;
    }
    if (page && !page->free && page->fresh + 2 * (size_t)class_sizes[class] <= page->end) {
        block = (struct block *)page->fresh;
        page->fresh += class_sizes[class];
        page->used++;
        return block;
    }
    return alloc_slow(pool, class);
}

void *pool_calloc(size_t size)
{
    return memset(pool_alloc(size), 0, size);
}

static void foreign_push(struct foreign *foreign)
{
    struct block *head = atomic_load_explicit(&foreign->home->returned, memory_order_relaxed);

    do
        foreign->last->next = head;
    while (!atomic_compare_exchange_weak_explicit(&foreign->home->returned, &head, foreign->first,
                                                  memory_order_release, memory_order_relaxed));
}

static void free_foreign(struct pool *pool, struct page *page, struct block *block)
{
    struct foreign *foreign;

    for (unsigned i = 0; i < pool->foreigners; i++) {
        foreign = &pool->foreign[i];
        if (foreign->home == page->home) {
            block->next = foreign->first;
            foreign->first = block;
            return;
        }
    }
    if (pool->foreigners == FOREIGN_POOLS)
        pool_flush();
    foreign = &pool->foreign[pool->foreigners++];
    *foreign = (struct foreign){page->home, block, block};
    block->next = NULL;
}

void pool_free(void *memory, size_t size)
{
    struct pool *pool = own;
    struct block *block = memory;
    struct page *page;

    if (!block)
        return;
    if (size > POOL_BLOCK_MAX || POOL_IS_MALLOC) {
        atomic_fetch_sub_explicit(&large_in_use, size, memory_order_relaxed);
        free(block);
        return;
    }
    if (__builtin_expect(!pool, 0))
        pool = pool_adopt();
    page = page_of(block);
    if (page->home == pool)
        free_local(pool, page, block);
    else
        free_foreign(pool, page, block);
}

void *pool_try_alloc(size_t size)
{
    void *memory;

    if (size <= POOL_BLOCK_MAX)
        return pool_alloc(size);
    memory = malloc(size);
    if (memory)
        atomic_fetch_add_explicit(&large_in_use, size, memory_order_relaxed);
    return memory;
}

void *pool_try_grow(void *block, size_t size, size_t larger)
{
    void *grown;

    if (size > POOL_BLOCK_MAX && !POOL_IS_MALLOC) {
        grown = realloc(block, larger);
        if (grown)
            atomic_fetch_add_explicit(&large_in_use, larger - size, memory_order_relaxed);
        return grown;
    }
    grown = pool_try_alloc(larger);
    if (!grown)
        return NULL;
    memcpy(grown, block, size);
    pool_free(block, size);
    return grown;
}

size_t pool_block_size(size_t size)
{
    if (size > POOL_BLOCK_MAX)
        return size;
    for (size_t i = 0; i < CLASSES; i++)
        if (size <= class_sizes[i])
            return class_sizes[i];
    return size;
}

static void retire_empty(struct pool *pool)
{
    for (; pool->empty; pool->empty &= pool->empty - 1) {
        struct page *page = pool->room[__builtin_ctz(pool->empty)];

        if (page && page->used == 0)
            page_retire(pool, page);
    }
}

bool pool_flush(void)
{
    struct pool *pool = own;

    if (!pool)
        return true;
    for (unsigned i = 0; i < pool->foreigners; i++)
        foreign_push(&pool->foreign[i]);
    pool->foreigners = 0;
    if (atomic_load_explicit(&pool->returned, memory_order_relaxed))
        take_returned(pool);
    retire_empty(pool);
    return !pool->pages;
}

uint64_t pool_bytes_in_use(void)
{
    return atomic_load_explicit(&pages_in_use, memory_order_relaxed) + pool_large_bytes_in_use();
}

uint64_t pool_large_bytes_in_use(void)
{
    return atomic_load_explicit(&large_in_use, memory_order_relaxed);
}
