/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line. Options have the names that RabbitMQ's PerfTest has for the same thing, long and short; a
 * table in options.c has all of them, and --help is made from it.
 */
#ifndef PERF_OPTIONS_H
#define PERF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "coney/buffer.h"
#include "schedule.h"

#define OPTIONS_WHY_SIZE 300

/* Exit codes. */
enum {
    EXIT_DONE = 0,
    EXIT_USE = 1,    /* the command line cannot be followed */
    EXIT_BROKER = 2, /* the broker refused, closed or did not answer */
    EXIT_CHECK = 3,  /* --check found messages lost, duplicated, reordered or damaged */
};

enum churn { CHURN_NONE, CHURN_CONNECTIONS, CHURN_CHANNELS, CHURN_QUEUES, CHURN_BINDINGS };

struct options {
    bool is_help, is_version;
    const char **uris; /* owned array */
    size_t uri_count;
    char *id; /* owned */
    const char *cacert, *cert, *key, *server_name;
    bool is_insecure;
    uint32_t frame_max;
    uint32_t heartbeat;
    uint32_t threads;

    uint32_t producers, consumers;
    uint32_t producer_channels, consumer_channels;
    uint64_t size;
    struct schedule sizes; /* count 0: SIZE always */
    double rate;           /* messages a second and publisher; negative: no limit */
    double interval_of_publishing;
    struct schedule rates; /* made of the three; count 0: no limit */
    double consumer_rate;  /* negative: no limit */
    uint32_t confirm;      /* most that may wait for a confirm; 0: no confirms */
    double confirm_timeout;
    bool is_persistent, is_mandatory;
    const char *flags;
    const char *properties;
    struct buffer encoded_properties; /* flags and values of every message */
    struct buffer headers;            /* the table of headers among them */

    uint32_t qos, global_qos;
    uint32_t ack_every;
    bool is_autoack;
    bool is_nack;
    const char *requeue;

    const char *type;
    const char *exchange;
    const char **queues; /* owned array, cut at commas; also --queue-pattern's names, which are owned */
    size_t queue_count;
    const char *queue, *pattern;
    uint32_t pattern_from, pattern_to;
    const char *routing_key;
    bool is_random_key;
    const char *queue_args;
    struct buffer arguments; /* of queue.declare */
    bool is_predeclared;
    bool is_exclusive;
    bool is_quorum;
    bool skips_binding;
    const char *auto_delete;
    bool is_auto_delete;

    double time;                   /* s; 0: no limit */
    uint64_t pmessages, cmessages; /* of each publisher and consumer; 0: no limit */
    double shutdown_timeout;       /* s without a message until consumers give up */
    bool is_drain, is_check;
    const char *churned;
    enum churn churn;

    double interval; /* s between progress lines and samples */
    bool is_quiet;
    bool uses_wall_clock;
    const char *json, *chart;
};

/* Read ARGV, from its first option on. False with WHY; OPTIONS is to be freed in both cases. */
bool options_read(struct options *options, int argc, char **argv, char why[OPTIONS_WHY_SIZE]);

void options_free(struct options *options);

/* Print what --help says of the options. */
void options_help(FILE *out);

/* Fill in a name of --queue-pattern: PATTERN with NUMBER in place of its %d (or %03d and the like). Owned by
 * the caller; NULL if there is no such place in it, or anything else of a format. */
char *options_pattern(const char *pattern, unsigned number);

#endif
