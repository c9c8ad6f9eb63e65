/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node is about, and what somebody who administers has it do. From any thread that may wait; what is
 * asked for is done, or begun, when a function returns.
 */
#ifndef CONEY_NODE_CONTROL_H
#define CONEY_NODE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/log.h"

struct config;
struct server;

enum node_run_state { NODE_RUNNING, NODE_APP_STOPPED, NODE_DRAINING, NODE_STOPPING };

/* What it is about now. */
struct node_condition {
    enum node_run_state run_state;
    bool is_suspended;           /* its AMQP listeners are */
    double memory_factor;        /* that the memory's limit was set by; 0: it was set in octets */
    const struct config *config; /* in force; read only, as long as the node runs */
    const char *config_path;     /* of the file; NULL: none */
};

/* Any thread; each part as it is at that moment. */
struct node_condition node_condition(struct server *server);

/* A socket that AMQP clients come by. */
struct node_listener {
    const char *ip; /* "::": every address */
    unsigned port;
    const char *path; /* of a UNIX socket; NULL: none */
    bool is_tls;
};

/* Show each that accepts. */
void node_show_listeners(struct server *server,
                         void (*show)(void *context, const struct node_listener *listener), void *context);

/* As SIGTERM, SIGUSR2 and SIGHUP do. */
void node_stop(struct server *server);
void node_drain(struct server *server);
void node_reload(struct server *server);

/* Close AMQP's listeners; who is in stays. And listen again, at the same addresses: false with WHY when one
 * cannot be had any more. Neither does anything when it is so already. */
void node_suspend_listeners(struct server *server);
bool node_resume_listeners(struct server *server, char *why, size_t why_size);

/* AMQP stops: nobody is let in, all clients are closed, and what does not last (queues, exchanges) is
 * deleted. And goes on. */
void node_stop_app(struct server *server);
bool node_start_app(struct server *server, char *why, size_t why_size);

enum node_alarm { NODE_ALARM_MEMORY, NODE_ALARM_DISK };

/* Publishers are held as if there was one, until it is taken back; a real one beside it comes and goes. */
void node_rehearse_alarm(struct server *server, enum node_alarm alarm, bool on);

/* Until the next start: OCTETS, or when that is 0 FACTOR times the memory that there is. */
void node_set_memory_limit(struct server *server, uint64_t octets, double factor);
/* False: there is no data directory. */
bool node_set_disk_free_limit(struct server *server, uint64_t octets, double factor);

/* Until the next start: log from LEVEL on, of one category, or of all when that is LOG_CATEGORY_COUNT. */
void node_set_log_level(struct server *server, enum log_category category, enum log_level level);

/* A copy of the data directory into the new folder PATH, and its size; false with WHY. */
bool node_backup(struct server *server, const char *path, uint64_t *octets, char *why, size_t why_size);

#endif
