/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the node fares: its process, its loops, its store, logins and TLS, and what all vhosts have counted.
 * For whoever administers: any thread that may wait (coney/visit.h).
 */
#ifndef CONEY_NODE_STATS_H
#define CONEY_NODE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/auth.h"
#include "coney/store.h"
#include "coney/survey.h"

struct server;
struct vhost;

#define NODE_LOOPS_MAX 64

struct node_loop {
    uint32_t turns;        /* made; wraps */
    uint32_t busy_percent; /* of the last tenth of a second or so that it was up */
    uint32_t sessions;
    uint32_t blocked; /* sessions that an alarm holds */
    uint64_t cpu_ns;  /* of its thread */
    uint64_t lag_ns;  /* from when it was asked until it looked */
};

/* What became of logins, by why they were refused if they were. */
struct node_logins {
    uint64_t results[LOGIN_RESULTS];
};

/* Of a listener that speaks TLS. */
struct node_certificate {
    char *server_name; /* that clients ask for; empty: of all others */
    char *file;
    int64_t expiry; /* seconds since 1970: when the first of the chain ends; 0: not known */
};

struct node_stats {
    /* the process */
    int64_t started_at;        /* ms since 1970 */
    uint64_t uptime_ms;        /* however the clock was set since */
    uint64_t resident;         /* octets */
    uint64_t cpu_ns;           /* user and system */
    uint64_t switches;         /* of context */
    uint64_t files, files_max; /* descriptors open, and as many as there may be */
    uint64_t sockets;          /* among them */

    /* memory, as the alarm sees it */
    uint64_t memory_used, memory_limit;
    bool has_memory_alarm, has_disk_alarm;

    /* where the data directory is; 0 without one */
    uint64_t disk_free, disk_free_limit;

    uint64_t connections; /* clients' sessions, logged in or not */
    uint64_t connections_blocked;

    unsigned loop_count;
    struct node_loop loops[NODE_LOOPS_MAX];

    /* of all vhosts, deleted ones too */
    uint64_t runs, batches; /* how often a loop began to run one; batches of commands that it ran then */
    uint64_t run_ns;        /* on the clock, inside vhosts: one loop at a time in each */

    struct node_logins logins, http_logins; /* of AMQP clients, and of the API's */
    uint64_t logins_recalled;               /* of those accepted: known already */
    uint64_t logins_slowed;                 /* had to wait for earlier failures */
    uint64_t logins_too_many;               /* refused unseen */
    uint32_t logins_waiting;                /* now */

    bool has_tls; /* a listener speaks it */
    uint64_t tls_handshakes, tls_failures, tls_by_kernel, tls_reloads, tls_failed_reloads;
    struct node_certificate *certificates;
    size_t certificate_count;

    bool has_store; /* false: nothing is kept, and the next is all 0 */
    struct store_counters store;

    uint64_t log_lost, log_left_out; /* lines; see log_missing() */
};

/* Look at all of it. False when the server stops; *OUT is to be given back in any case. */
bool node_stats(struct server *server, struct node_stats *out);
void node_stats_clear(struct node_stats *stats);

/* What all vhosts have, and have counted since the node began; those that are deleted too, so that counts
 * never go back. What cannot be added up is 0. WAIT_NS, if not NULL, is the longest that a vhost was waited
 * for, which others ran. False when the server stops. */
bool node_totals(struct server *server, struct survey_vhost *out, uint64_t *wait_ns);

/* For visits: add what VHOST has and has counted to the struct survey_vhost at SUM. */
void node_add_vhost(struct vhost *vhost, void *sum);

#endif
