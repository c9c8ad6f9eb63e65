/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-wal: what the journal alone can do. One producer keeps a window of records pushed and not given back,
 * as a runner does for publishers that wait for confirms; prints records per second and the median time from
 * push to done, for windows of 1 and 1,000 records and for one without bound.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "coney/xalloc.h"
#include "store/wal.h"
#include "tool.h"

#define FILE_SIZE   (UINT64_C(64) << 20)
#define FILE_COUNT  4
#define SAMPLES_MAX 2000000

struct bench {
    struct sys *sys;
    struct wal *wal;
    const char *folder;
    uint8_t *body;
    uint32_t size, window;
    uint64_t records;
    _Atomic bool ended;

    pthread_mutex_t lock;
    pthread_cond_t room;
    struct wal_chunk *spare; /* chunks to be used again */
    uint64_t done;           /* records */
    uint64_t *samples;       /* nanoseconds, one of each chunk */
    size_t sample_count;
};

static void on_done(void *context, struct wal_chunk *chunks, uint64_t file)
{
    struct bench *bench = context;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);

    wal_release(bench->wal, file - 1);
    pthread_mutex_lock(&bench->lock);
    while (chunks) {
        struct wal_chunk *chunk = chunks;

        chunks = chunk->next;
        bench->done += chunk->count;
        if (bench->sample_count < SAMPLES_MAX)
            bench->samples[bench->sample_count++] = now - chunk->lsn;
        chunk->next = bench->spare;
        bench->spare = chunk;
    }
    pthread_cond_signal(&bench->room);
    pthread_mutex_unlock(&bench->lock);
}

static void on_failed(void *context, int error)
{
    (void)context;
    die("%s", strerror(-error));
}

static bool on_record(void *context, uint64_t file, const uint8_t *record, size_t size,
                      char why[WAL_WHY_SIZE])
{
    (void)context;
    (void)file;
    (void)record;
    (void)size;
    (void)why;
    return true;
}

/* The worker that makes files ahead of need. */
static void *prepare(void *context)
{
    struct bench *bench = context;
    const struct timespec pause = {.tv_nsec = 1000000};

    while (!atomic_load(&bench->ended)) {
        int error = wal_prepare(bench->wal);

        if (error)
            die("%s", strerror(-error));
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Wait until ROOM more records may be pushed; returns a chunk for them. */
static struct wal_chunk *take_chunk(struct bench *bench, uint64_t pushed, uint64_t room)
{
    struct wal_chunk *chunk;

    pthread_mutex_lock(&bench->lock);
    while (pushed + room - bench->done > bench->window)
        pthread_cond_wait(&bench->room, &bench->lock);
    chunk = bench->spare;
    if (chunk)
        bench->spare = chunk->next;
    pthread_mutex_unlock(&bench->lock);
    return chunk ? chunk : xcalloc(1, sizeof *chunk);
}

static void produce(struct bench *bench)
{
    uint64_t most = bench->window < 200 ? (bench->window + 1) / 2 : 100;

    for (uint64_t pushed = 0; pushed < bench->records;) {
        uint64_t count = bench->records - pushed < most ? bench->records - pushed : most;
        struct wal_chunk *chunk = take_chunk(bench, pushed, count);

        chunk->count = 0;
        for (uint64_t i = 0; i < count; i++) {
            struct wal_item *item = wal_chunk_add(chunk);

            item->head_size = 30;
            item->first = bench->body;
            item->first_size = bench->size;
            item->second_size = 0;
        }
        chunk->lsn = clock_ns(CLOCK_MONOTONIC);
        if (wal_push(bench->wal, chunk, chunk))
            wal_wake(bench->wal);
        pushed += count;
    }
    take_chunk(bench, bench->records, bench->window);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void open_wal(struct bench *bench)
{
    const struct wal_settings settings = {
        .folder = bench->folder, .file_size = FILE_SIZE, .file_count = FILE_COUNT, .epoch = 1};
    struct wal_replay replay = {.each = on_record};
    char why[WAL_WHY_SIZE];

    bench->wal = wal_open(bench->sys, &settings, &replay, on_done, bench, why);
    if (!bench->wal)
        die("%s", why);
}

static void run(struct bench *bench, uint32_t window, uint64_t records)
{
    struct wal_counters before = wal_counters(bench->wal), after;
    uint64_t start = clock_ns(CLOCK_MONOTONIC), took, middle, slow;

    bench->window = window;
    bench->records = records;
    bench->done = bench->sample_count = 0;
    produce(bench);
    took = clock_ns(CLOCK_MONOTONIC) - start;
    after = wal_counters(bench->wal);
    qsort(bench->samples, bench->sample_count, sizeof *bench->samples, by_value);
    middle = bench->samples[bench->sample_count / 2];
    slow = bench->samples[bench->sample_count * 99 / 100];
    printf("%7u octets, window %7u: %9.0f records/s, %7.1f MiB/s, p50 %8.1f us, p99 %8.1f us, %6.1f records "
           "a sync, "
           "%5.1f%% in syncs\n",
           bench->size, window, (double)records * 1e9 / (double)took,
           (double)(after.octets - before.octets) / 1048576 * 1e9 / (double)took, (double)middle / 1e3,
           (double)slow / 1e3, (double)records / (double)(after.syncs - before.syncs),
           (double)(after.sync_ns - before.sync_ns) * 100 / (double)took);
}

static void usage(void)
{
    puts("Usage: bench-wal [--folder DIR] [--size OCTETS] [--records N]\n"
         "\n"
         "  --folder DIR    a new folder for the journal's files (default bench-wal.d): not removed\n"
         "  --size OCTETS   of each record (default 1024)\n"
         "  --records N     with the largest window (default 2000000)");
}

static void read_options(struct bench *bench, int argc, char **argv)
{
    static const struct option options[] = {{"folder", required_argument, NULL, 'f'},
                                            {"size", required_argument, NULL, 's'},
                                            {"records", required_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        switch (option) {
        case 'f':
            bench->folder = optarg;
            break;
        case 's':
            bench->size = (uint32_t)parse_number(optarg, 0, 1 << 24);
            break;
        case 'n':
            bench->records = parse_number(optarg, 1, 1000000000);
            break;
        case 'h':
            usage();
            exit(0);
        default:
            exit(2);
        }
}

int main(int argc, char **argv)
{
    struct bench bench = {.folder = "bench-wal.d", .size = 1024, .records = 2000000};
    uint64_t records;
    pthread_t worker;

    read_options(&bench, argc, argv);
    records = bench.records;
    pthread_mutex_init(&bench.lock, NULL);
    pthread_cond_init(&bench.room, NULL);
    bench.body = xcalloc(1, bench.size + 1);
    bench.samples = xmalloc(SAMPLES_MAX * sizeof *bench.samples);
    bench.sys = sys_posix_new();
    open_wal(&bench);
    if (!wal_start(bench.wal, on_failed, NULL) || pthread_create(&worker, NULL, prepare, &bench))
        die("no thread");
    run(&bench, 100000, records / 2 + 1); /* makes the files */
    run(&bench, 1, records / 1000 + 1);
    run(&bench, 1000, records);
    run(&bench, 100000, records);
    atomic_store(&bench.ended, true);
    pthread_join(worker, NULL);
    wal_close(bench.wal);
    sys_free(bench.sys);
    while (bench.spare) {
        struct wal_chunk *next = bench.spare->next;

        free(bench.spare);
        bench.spare = next;
    }
    free(bench.samples);
    free(bench.body);
    return 0;
}
