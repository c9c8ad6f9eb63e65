/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: loops, listeners, the directory of vhosts, users, and what all sessions are told.
 *
 * What is set before the loops start is read by all threads without a lock: configuration, texts, the loops
 * themselves. The directory of vhosts and the counts of connections are behind `lock`, taken at
 * connection.open and close only.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "coney/buffer.h"
#include "coney/clock.h"
#include "coney/config.h"
#include "coney/definitions.h"
#include "coney/events.h"
#include "coney/hash.h"
#include "coney/log.h"
#include "coney/sasl.h"
#include "coney/server.h"
#include "coney/users.h"
#include "loop.h"
#include "runner.h"
#include "server/listen/proxy_wait.h"
#include "server/session/peer.h"
#include "server/session/stream.h"

#define LOOPS_MAX 64

struct auth;
struct drain;
struct greeting;
struct journal;
struct listener;
struct logins;
struct loaded;
struct opening;
struct parameters;
struct service;
struct session;
struct store;
struct sys;
struct tally;
struct tls;

/* Why publishers are held. */
enum server_alarm_bit {
    SERVER_ALARM_MEMORY = 1,
    SERVER_ALARM_DISK = 2,
};

/* Octets, or the memory that there is times a factor. */
struct server_limit {
    uint64_t octets; /* 0: FACTOR counts */
    double factor;
};

struct server {
    _Atomic(const struct config *) config; /* exchanged by a reload (reload.c) */
    const struct config_source *source;    /* where it comes from; NULL: it stays */
    struct sys *sys;                       /* with a data directory: its files, */
    struct store *store;                   /* and what is kept in it */
    bool storage_is_finished;              /* storage_finish() was called */
    struct opening *opening;               /* while it is being opened */
    char node_name[300];
    char kept_cluster_name[300]; /* of the data directory; empty: none */
    _Atomic(struct greeting *) greeting;
    struct loop *loops;             /* the last is the door (loop.h), */
    unsigned loop_count;            /* the others run vhosts */
    unsigned spread_percent;        /* the first loop takes who has logged in until it is so busy */
    struct listener *listeners;     /* the door's, */
    struct mail shut;               /* and the letter that tells it to close them, once */
    struct proxy_waits proxy_waits; /* the door's */
    struct tls *tls;                /* NULL: no listener speaks TLS */
    struct service *service;
    struct drain *drain;
    struct users *users;
    struct parameters *parameters;
    struct auth *auth;
    struct logins *logins;
    struct sasl_settings sasl;
    struct buffer mechanisms[2]; /* ... plain, and over TLS */
    uint64_t started_ns;         /* on the monotonic clock */
    int64_t clock_offset_ms;     /* from the monotonic clock to milliseconds since 1970 */
    _Atomic uint64_t memory_high, memory_low;
    _Atomic unsigned alarms; /* enum server_alarm_bit: publishers are held */
    atomic_bool is_stopping;
    struct events_sink events;
    atomic_bool events_wanted;
    struct runner *events_runner; /* whose vhost carries them; NULL: none yet */
    _Atomic unsigned events_under_way;
    _Atomic unsigned visits; /* under way; see visit.c */
    _Atomic uint64_t connection_count;
    _Atomic unsigned arriving; /* sessions that the door has let in and no loop has started yet */
    _Atomic uint64_t channel_count;
    _Atomic uint64_t other_memory;   /* octets in use beside the pools', sampled */
    _Atomic uint64_t memory_sampled; /* ns: when */
    _Atomic uint64_t session_serial; /* the last that was given */

    pthread_mutex_t vhosts_lock; /* one vhost is made, changed or deleted at a time; held by who may wait */
    pthread_mutex_t change_lock; /* one change of users or parameters at a time (changes.c) */
    pthread_mutex_t lock;
    struct runner *runners;
    struct tally *by_user;    /* connections that have opened a vhost */
    struct tally *by_address; /* connections, when they are bounded */

    /* what who administers has set (node_control.c) */
    _Atomic unsigned real_alarms, rehearsed_alarms;    /* what `alarms` is made of (alarms.c) */
    struct server_limit memory_limit, disk_free_limit; /* behind `lock`; 0: the configuration's */
    atomic_bool is_suspended;                          /* listeners are shut, */
    atomic_bool app_is_stopped;                        /* and nobody is let in any more */
    atomic_bool is_draining;
    int log_levels[LOG_CATEGORY_COUNT]; /* the first loop's: enum log_level and 1; 0: the configuration's */

    struct event *alarm_timer;  /* the first loop's: when a vhost wants time to pass, */
    struct event *memory_timer; /* while memory is low, */
    struct event *disk_timer;   /* and with a data directory */
    struct event *signals[2];

    /* reload.c: the first loop's */
    struct event *hangup, *reopen;
    struct loaded *loaded; /* configurations read since the start, the newest first */
    bool is_importing;     /* definitions: vhosts are parked, or will be */
    unsigned to_be_parked;
};

static inline struct loop *server_door(const struct server *server)
{
    return &server->loops[server->loop_count];
}

/* Milliseconds since 1970, never stepping back. */
static inline int64_t server_now_ms(const struct server *server)
{
    return (int64_t)(clock_ns() / 1000000) + server->clock_offset_ms;
}

/* Milliseconds since 1970 as the machine's clock says, which may step: for people. */
static inline int64_t server_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Tell whether publishers are held. */
static inline unsigned server_alarms(const struct server *server)
{
    return atomic_load_explicit(&server->alarms, memory_order_relaxed);
}

/* Any thread: raise or clear an alarm. */
void server_set_alarm(struct server *server, enum server_alarm_bit alarm, bool on);

/* ... as if there was reason for it. */
void server_rehearse_alarm(struct server *server, enum server_alarm_bit alarm, bool on);

/* Any thread: what holds publishers, its octets computed from its factor if it has one. */
struct server_limit server_memory_limit(struct server *server);
uint64_t server_disk_free_limit(struct server *server);

/* Set WHICH, a limit of SERVER, until the next start; what follows from it is the caller's to do. */
void server_set_limit(struct server *server, struct server_limit *which, struct server_limit limit);

/* Any thread: octets in use, as the memory alarm sees them. */
uint64_t server_memory_used(const struct server *server);

/* Compute the memory watermarks again. */
void server_set_watermark(struct server *server);

void server_wake_everyone(struct server *server);

/* Where definitions go. */
struct definitions_target server_definitions_target(struct server *server);

/* A vhost called NAME with JOURNAL, in the directory. */
struct runner *server_make_vhost(struct server *server, struct bytes name, struct journal *journal);

/* What sessions need to know. */
uint32_t server_first_frame_max(const struct server *server);
uint32_t server_handshake_timeout_ms(const struct server *server);
uint64_t server_message_size_max(const struct server *server);
/* Octets that messages of one connection may take whose rest is still to come. */
uint64_t server_unfinished_max(const struct server *server);
struct bytes server_properties(const struct server *server);
struct bytes server_mechanisms(const struct server *server, bool is_tls);
struct method_connection_tune server_tune(const struct server *server);
const struct sasl_settings *server_sasl(const struct server *server);

/* The vhost called NAME, or NULL. */
struct runner *server_find_vhost(struct server *server, struct bytes name);

/* Tell whether the node, and the address that SESSION comes from, may have the connections that they have
 * now; false with WHY. */
bool server_has_room(struct server *server, const struct session *session, char why[REPLY_TEXT_SIZE]);

/* SESSION is about to open its vhost: count it for its user; false with WHY when there are enough. */
bool server_session_opens(struct server *server, struct session *session, char why[REPLY_TEXT_SIZE]);
void server_session_ended(struct server *server, struct session *session);

/* The door: a socket was accepted that speaks AMQP at once. */
void server_accepted(struct server *server, struct stream stream, const struct peer *peer);

/* First loop: FD is the other end of a connection of the node's own, see node_connect(). */
void server_connects(struct server *server, int fd, const struct user_info *user, bool is_trusted);

/* Any thread: a TLS handshake succeeded. */
void server_secured(struct server *server, struct stream stream, const struct peer *peer);

/* The door: SESSION's user has logged in, and it goes to the loop that will serve it. */
void server_lets_in(struct server *server, struct session *session);

/* SESSION is LOOP's from now on. */
void server_arrives(struct loop *loop, struct session *session);

/* Tell whether the door must wait: those that it has let in come first. */
bool server_is_crowded(struct server *server);

/* First loop, once: accept no more; then drain_shut(). */
void server_shut(struct server *server);

/* LOOP has its letter of it. */
void server_shuts(struct loop *loop);

/* First loop: close everything and end, as on SIGTERM. Once is enough. To send clients away gently:
 * drain_begin(). */
void server_stop(struct server *server);

/* LOOP has its letter of it. */
void server_stops(struct loop *loop);

/* First loop: RUNNER's deadline has come nearer. */
void server_alarm(struct server *server, struct runner *runner);

/* Each loop, at the end of each turn: raise or clear the memory alarm. */
void server_watch_memory(struct loop *loop);

/* ... and before it writes: go on with the sessions that were held by it. */
void server_release_blocked(struct loop *loop);

/* Tell whether LOOP must not sleep, since the alarm has changed. */
bool server_has_news(const struct loop *loop);

#endif
