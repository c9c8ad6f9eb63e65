/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal.h: the journal's two threads. The commit thread steps; the sync thread syncs what it hands over with
 * wal_begin_sync(), so that it can write on. Whoever pushes wakes the commit thread from the backlog on that
 * it waits for: none for want of anything, enough for another write while a sync is under way.
 */
#include <errno.h>
#include <time.h>

#include "coney/clock.h"
#include "wal_fields.h"

#define NO_ROOM_NAP_NS UINT64_C(100000000)

/* ---- the sync thread ---- */

void wal_begin_sync(struct wal *wal)
{
    wal->awaits_sync = true;
    pthread_mutex_lock(&wal->sleep_lock);
    atomic_store(&wal->is_syncing, true);
    pthread_cond_signal(&wal->sync_wanted);
    pthread_mutex_unlock(&wal->sleep_lock);
}

/* False: there will be none. */
static bool wait_for_sync_wanted(struct wal *wal)
{
    bool is_wanted;

    pthread_mutex_lock(&wal->sleep_lock);
    while (!atomic_load(&wal->is_syncing) && !wal->no_more_syncs)
        pthread_cond_wait(&wal->sync_wanted, &wal->sleep_lock);
    is_wanted = atomic_load(&wal->is_syncing);
    pthread_mutex_unlock(&wal->sleep_lock);
    return is_wanted;
}

/* After an error no sync may ever begin: it would not tell of what this one lost. */
static void tell_synced(struct wal *wal, int error)
{
    pthread_mutex_lock(&wal->sleep_lock);
    if (!error)
        atomic_store(&wal->is_syncing, false);
    pthread_cond_broadcast(&wal->wake);
    pthread_mutex_unlock(&wal->sleep_lock);
}

static void *sync_thread(void *context)
{
    struct wal *wal = context;
    int error = 0;

    pthread_setname_np(pthread_self(), "coney-sync");
    while (!error && wait_for_sync_wanted(wal)) {
        error = wal_sync_apart(wal);
        tell_synced(wal, error);
    }
    return NULL;
}

/* ---- the commit thread's waits ---- */

/* Wait on `wake` until UNTIL (0: for ever); false when that has come. With sleep_lock held. */
static bool wait_for_wake(struct wal *wal, uint64_t until)
{
    struct timespec time = {(time_t)(until / 1000000000), (long)(until % 1000000000)};

    if (!until)
        return pthread_cond_wait(&wal->wake, &wal->sleep_lock) == 0;
    return pthread_cond_timedwait(&wal->wake, &wal->sleep_lock, &time) != ETIMEDOUT;
}

static uint64_t next_sync(const struct wal *wal)
{
    return wal_has_unsynced(wal) ? wal->sync_due_ns : 0;
}

/* Either the producer sees wake_at, or this thread sees what it pushed: all four accesses are sequentially
 * consistent. wal_wake() takes the lock, so it cannot come between the look and the wait. */
static void sleep_until_pushed(struct wal *wal)
{
    uint64_t until = next_sync(wal);

    pthread_mutex_lock(&wal->sleep_lock);
    atomic_store(&wal->wake_at, 0);
    while (!atomic_load(&wal->pushed) && !atomic_load(&wal->stopping) && wait_for_wake(wal, until))
        atomic_store(&wal->wake_at, 0);
    atomic_store(&wal->wake_at, WAL_NEVER);
    pthread_mutex_unlock(&wal->sleep_lock);
}

/* The same for wake_at and the backlog. */
static void sleep_until_synced(struct wal *wal, uint64_t or_backlog)
{
    pthread_mutex_lock(&wal->sleep_lock);
    atomic_store(&wal->wake_at, or_backlog);
    while (atomic_load(&wal->is_syncing) && !atomic_load(&wal->broken) &&
           atomic_load(&wal->backlog) < or_backlog) {
        wait_for_wake(wal, 0);
        atomic_store(&wal->wake_at, or_backlog);
    }
    atomic_store(&wal->wake_at, WAL_NEVER);
    pthread_mutex_unlock(&wal->sleep_lock);
}

int wal_end_sync(struct wal *wal)
{
    if (wal->started)
        sleep_until_synced(wal, WAL_NEVER);
    else
        tell_synced(wal, wal_sync_apart(wal));
    wal->awaits_sync = atomic_load(&wal->is_syncing);
    return atomic_load(&wal->broken);
}

static bool is_full(const struct wal *wal)
{
    return wal->ordinal - atomic_load(&wal->released) >= wal_files_allowed(wal);
}

/* What is pushed meanwhile wakes nobody: it could not be written. */
static void sleep_until_released(struct wal *wal)
{
    uint64_t until = next_sync(wal);

    pthread_mutex_lock(&wal->sleep_lock);
    while (is_full(wal) && wait_for_wake(wal, until))
        ;
    pthread_mutex_unlock(&wal->sleep_lock);
}

static void nap(struct wal *wal)
{
    uint64_t until = clock_ns() + NO_ROOM_NAP_NS;

    pthread_mutex_lock(&wal->sleep_lock);
    while (!atomic_load(&wal->stopping) && wait_for_wake(wal, until))
        ;
    pthread_mutex_unlock(&wal->sleep_lock);
}

void wal_wake(struct wal *wal)
{
    if (atomic_load(&wal->wake_at) == WAL_NEVER || atomic_exchange(&wal->wake_at, WAL_NEVER) == WAL_NEVER)
        return;
    pthread_mutex_lock(&wal->sleep_lock);
    pthread_cond_broadcast(&wal->wake);
    pthread_mutex_unlock(&wal->sleep_lock);
}

/* ---- the commit thread ---- */

/* Waits for a sync come first: what the last step left is for the time after it. */
static bool is_finished(const struct wal *wal)
{
    return atomic_load(&wal->stopping) && !wal_is_syncing(wal) && !atomic_load(&wal->pushed);
}

static void *commit_thread(void *context)
{
    struct wal *wal = context;

    pthread_setname_np(pthread_self(), "coney-commit");
    for (;;) {
        int error = wal_step(wal);

        if (error && error != -EAGAIN)
            wal->failed(wal->failed_context, error);
        if (error == -EAGAIN)
            sleep_until_released(wal);
        else if (wal_waits(error) && !atomic_load(&wal->stopping))
            nap(wal);
        else if (error || is_finished(wal))
            break;
        else if (wal_is_syncing(wal))
            sleep_until_synced(wal, wal_enough(wal));
        else
            sleep_until_pushed(wal);
    }
    return NULL;
}

static void end_sync_thread(struct wal *wal)
{
    pthread_mutex_lock(&wal->sleep_lock);
    wal->no_more_syncs = true;
    pthread_cond_signal(&wal->sync_wanted);
    pthread_mutex_unlock(&wal->sleep_lock);
    pthread_join(wal->sync_thread, NULL);
}

bool wal_start(struct wal *wal, void (*failed)(void *context, int error), void *context)
{
    wal->failed = failed;
    wal->failed_context = context;
    atomic_store(&wal->stopping, false);
    wal->no_more_syncs = false;
    if (pthread_create(&wal->sync_thread, NULL, sync_thread, wal) != 0)
        return false;
    wal->started = true; /* the commit thread reads it */
    if (pthread_create(&wal->thread, NULL, commit_thread, wal) == 0)
        return true;
    wal->started = false;
    end_sync_thread(wal);
    return false;
}

void wal_stop(struct wal *wal)
{
    if (!wal->started)
        return;
    pthread_mutex_lock(&wal->sleep_lock);
    atomic_store(&wal->stopping, true);
    pthread_cond_broadcast(&wal->wake);
    pthread_mutex_unlock(&wal->sleep_lock);
    pthread_join(wal->thread, NULL);
    end_sync_thread(wal);
    wal->awaits_sync = atomic_load(&wal->is_syncing);
    wal->started = false;
}
