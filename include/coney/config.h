/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: RabbitMQ's `key = value` file, key names and units where the meaning is the same
 * (cli-and-metrics.md section 4), overridden by the command line's --set. One table in config.c knows every
 * key; parsing, the documentation and its tests are driven by it.
 *
 * Not to be confused with the build's config.h, which is compiled ahead of everything by the build itself.
 */
#ifndef CONEY_CONFIG_H
#define CONEY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/queue_options.h"

/* Where to listen. */
struct config_listener {
    char *name; /* what followed "listeners.tcp.": two entries of one name are one listener, the later wins */
    char *host; /* numeric IPv4 or IPv6 address, no brackets; empty: every address, both families */
    uint16_t port; /* 0: the kernel picks one */
};

enum config_log_level {
    CONFIG_LOG_DEBUG,
    CONFIG_LOG_INFO,
    CONFIG_LOG_WARNING,
    CONFIG_LOG_ERROR,
    CONFIG_LOG_CRITICAL,
    CONFIG_LOG_NONE,
};

/* A list of distinct words, in the order in which they were first set. */
struct config_words {
    char **words;
    size_t count;
};

/* Every member is set after config_load(). Strings are never NULL. */
struct config {
    struct config_listener *listeners; /* none: no AMQP listener */
    size_t listener_count;
    uint32_t tcp_backlog;
    bool tcp_nodelay;

    uint32_t threads; /* 0: one for each processor */

    uint32_t channel_max;          /* 0: no limit, as for the next two */
    uint32_t frame_max;            /* octets */
    uint32_t heartbeat;            /* seconds, 0: off */
    uint64_t connection_max;       /* 0: no limit */
    uint64_t handshake_timeout_ms; /* from accept to connection.open-ok */
    uint64_t max_message_size;     /* octets of body */
    uint64_t consumer_timeout_ms;  /* 0: none */

    /* The absolute one counts when it is not 0; of the two keys the one set last. */
    double memory_watermark_relative;   /* of the machine's or cgroup's memory, 0 to 1 */
    uint64_t memory_watermark_absolute; /* octets */

    char *data_dir;           /* folder of what is durable; empty: nothing is kept */
    uint64_t journal_window;  /* octets of journal that are not yet in segments or the catalog, at most */
    uint64_t memory_window;   /* octets of messages in memory; 0: the server chooses */
    bool durability_relaxed;  /* of queues and vhosts that nothing else is said about */
    uint64_t disk_free_limit; /* octets of free disk space, below which publishers are blocked */

    char *default_user; /* made on a new node, unless definitions bring users */
    char *default_pass;
    char *default_vhost;
    char *default_permissions_configure;
    char *default_permissions_read;
    char *default_permissions_write;
    struct config_words default_user_tags;
    struct config_words loopback_users; /* may log in from loopback addresses only */

    struct config_words auth_mechanisms; /* names of SASL mechanisms that exist */
    char *anonymous_login_user;          /* whom ANONYMOUS logs in */
    char *anonymous_login_pass;

    char *load_definitions; /* path of a file; empty: none */
    enum queue_type default_queue_type;
    char *cluster_name; /* empty: chosen by the server from the host's name */
    char *product_name; /* advertised, see connection-and-channel.md 3.1 */
    char *product_version;
    enum config_log_level log_level;
};

/* Is called once for each thing that is wrong, with one line of text: where ("FILE:LINE: " or "--set: "),
 * what, and what would be right. No newline at its end. */
typedef void config_report(void *context, const char *text);

/* Fill CONFIG with the defaults, then the file PATH (NULL: none), then the COUNT overrides "key=value" in
 * their order; later wins. Everything that is wrong is reported, not only the first thing. False when
 * something was: CONFIG is then freed already. */
bool config_load(struct config *config, const char *path, const char *const *overrides, size_t count,
                 config_report *report, void *context);

/* Free what CONFIG holds, not CONFIG itself. */
void config_free(struct config *config);

/* One key, for manuals and the tests that they are complete. */
struct config_key {
    const char *name;          /* a last part * stands for any word */
    const char *default_value; /* as it would be written; "" for none */
    const char *doc;           /* one line */
};

/* The INDEX-th known key; false behind the last. */
bool config_key_at(size_t index, struct config_key *out);

#endif
