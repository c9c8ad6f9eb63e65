/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h: over epoll. */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "coney/xalloc.h"
#include "conn.h"

#define EVENTS_MAX 256

static void on_wake(struct watcher *watcher, uint32_t events)
{
    struct loop *loop = (struct loop *)((char *)watcher - offsetof(struct loop, waker));
    uint64_t count;

    (void)events;
    if (read(loop->wake_fd, &count, sizeof count) < 0)
        return; /* somebody else's turn had it */
    if (loop->woken)
        loop->woken(loop);
}

bool loop_init(struct loop *loop)
{
    *loop = (struct loop){.epoll = -1, .wake_fd = -1, .waker = {.ready = on_wake}, .now = clock_now()};
    loop->last = &loop->first;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll < 0 || loop->wake_fd < 0)
        return false;
    loop->input = xmalloc(LOOP_INPUT_SIZE);
    loop_watch(loop, loop->wake_fd, &loop->waker, EPOLLIN, false);
    return true;
}

static void bury(struct loop *loop)
{
    struct conn *conn;

    while ((conn = loop->dead)) {
        loop->dead = conn->next_dead;
        free(conn);
    }
}

void loop_free(struct loop *loop)
{
    bury(loop);
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    timers_free(&loop->timers);
    free(loop->input);
}

void loop_watch(struct loop *loop, int fd, struct watcher *watcher, uint32_t events, bool is_change)
{
    struct epoll_event event = {.events = events, .data.ptr = watcher};

    if (epoll_ctl(loop->epoll, is_change ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) < 0)
        abort(); /* no memory */
}

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;

    while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void loop_ready(struct loop *loop, struct task *task)
{
    if (task->is_ready)
        return;
    task->is_ready = true;
    task->next = NULL;
    *loop->last = task;
    loop->last = &task->next;
    loop->ready_count++;
}

void loop_unready(struct loop *loop, struct task *task)
{
    struct task **place = &loop->first;

    if (!task->is_ready)
        return;
    task->is_ready = false;
    loop->ready_count--;
    while (*place && *place != task)
        place = &(*place)->next;
    if (*place)
        *place = task->next;
    if (loop->last == &task->next)
        loop->last = place;
}

/* As many as are ready now: those that become so meanwhile stand behind them, and are for the next turn. */
static void run_tasks(struct loop *loop)
{
    struct task *task;

    for (size_t count = loop->ready_count; count && (task = loop->first); count--) {
        loop_unready(loop, task);
        task->run(task);
    }
}

static int wait_for_events(struct loop *loop, struct epoll_event *events, uint64_t wait)
{
    struct timespec timeout = {.tv_sec = (time_t)(wait / NS_PER_S), .tv_nsec = (long)(wait % NS_PER_S)};
    int count = epoll_pwait2(loop->epoll, events, EVENTS_MAX, &timeout, NULL);

    if (count < 0 && errno == ENOSYS) /* before Linux 5.11 */
        count = epoll_wait(loop->epoll, events, EVENTS_MAX, (int)((wait + NS_PER_MS - 1) / NS_PER_MS));
    return count;
}

void loop_turn(struct loop *loop, uint64_t wait)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t next = timers_next(&loop->timers), now = clock_now();
    int count;

    if (loop->first || next <= now)
        wait = 0;
    else if (next - now < wait)
        wait = next - now;
    count = wait_for_events(loop, events, wait);
    loop->now = clock_now();
    for (int i = 0; i < count; i++) {
        struct watcher *watcher = events[i].data.ptr;

        watcher->ready(watcher, events[i].events);
    }
    timers_fire(&loop->timers, loop->now);
    run_tasks(loop);
    bury(loop);
}
