/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's thread: what it allocated and others have freed comes home though it has nothing to do. */
#include <criterion/criterion.h>
#include <semaphore.h>
#include <stddef.h>
#include <time.h>

#include "coney/pool.h"
#include "store/worker.h"

#define BLOCKS     100
#define BLOCK_SIZE 1000

static struct worker worker;
static sem_t allocated;
static void *blocks[BLOCKS];

static void allocate(struct task *task)
{
    (void)task;
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = pool_alloc(BLOCK_SIZE);
    sem_post(&allocated);
}

Test(worker, memory_that_others_free_comes_home, .timeout = 30)
{
    const struct timespec look_again = {.tv_nsec = 10000000};
    struct task task = {.run = allocate};

    sem_init(&allocated, 0, 0);
    worker_init(&worker);
    cr_assert(worker_start(&worker, "worker"));
    worker_submit(&worker, &task);
    while (sem_wait(&allocated) != 0)
        ;
    for (int i = 0; i < BLOCKS; i++)
        pool_free(blocks[i], BLOCK_SIZE);
    pool_flush();
    while (pool_bytes_in_use())
        nanosleep(&look_again, NULL);
    worker_stop(&worker);
    worker_destroy(&worker);
    sem_destroy(&allocated);
}
