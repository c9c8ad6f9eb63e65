/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: RabbitMQ's `key = value` file, key names and units where the meaning is the same
 * (cli-and-metrics.md section 4), overridden by the environment and the command line's --set. One table in
 * config_keys.c knows every key; parsing, the sample file and the manual page are driven by it.
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
    char *path; /* of a UNIX socket; empty: none, HOST and PORT count */
    uint16_t port; /* 0: the kernel picks one */
    bool is_tls;   /* of listeners.ssl.* */
};

enum config_log_level {
    CONFIG_LOG_DEBUG,
    CONFIG_LOG_INFO,
    CONFIG_LOG_WARNING,
    CONFIG_LOG_ERROR,
    CONFIG_LOG_CRITICAL,
    CONFIG_LOG_NONE,
    CONFIG_LOG_UNSET, /* what else is said decides */
};

enum config_log_format { CONFIG_LOG_PLAINTEXT, CONFIG_LOG_JSON };

/* One place where log lines go. */
struct config_log_output {
    enum config_log_level level;
    enum config_log_format format;
};

/* Which part of a client's certificate EXTERNAL takes for the user's name. */
enum config_cert_login {
    CERT_LOGIN_DISTINGUISHED_NAME,
    CERT_LOGIN_COMMON_NAME,
    CERT_LOGIN_SUBJECT_ALTERNATIVE_NAME,
    CERT_LOGIN_SUBJECT_ALT_NAME, /* the same */
};

enum config_cert_san { CERT_SAN_DNS, CERT_SAN_IP, CERT_SAN_EMAIL, CERT_SAN_URI, CERT_SAN_OTHER_NAME };

/* A list of distinct words, in the order in which they were first set. */
struct config_words {
    char **words;
    size_t count;
};

/* A certificate for one server name (SNI). */
struct config_certificate {
    char *name; /* of the server, as the client asks for it */
    char *certfile;
    char *keyfile;
};

struct config_certificates {
    struct config_certificate *entries;
    size_t count;
};

/* ssl_options.*, and the same below management.ssl and prometheus.ssl. Paths are empty when not set. */
struct config_tls {
    char *certfile; /* may hold the chain */
    char *keyfile;
    char *cacertfile;
    char *crlfile;
    char *password; /* of keyfile */
    bool verify_peer;
    bool fail_if_no_peer_cert;
    uint32_t depth;
    struct config_words versions; /* tlsv1.3, tlsv1.2 */
    struct config_words ciphers;  /* OpenSSL's names, of both versions; none: the default */
    bool honor_cipher_order;
    bool honor_ecc_order;
    bool session_tickets;
    struct config_certificates sni; /* of ssl_options alone */
};

#define CONFIG_PORT_NONE 65536

/* Where an HTTP listener is; a port is any that is free when it is 0. */
struct config_http {
    char *ip;      /* empty: every address */
    uint32_t port; /* CONFIG_PORT_NONE: nowhere */
    bool is_asked; /* the port was set; else the listener may be missing */
    char *ssl_ip;
    uint32_t ssl_port;
    struct config_tls tls;
};

/* Every member is set after config_load(). Strings are never NULL. */
struct config {
    struct config_listener *listeners; /* AMQP's, plain and TLS, in the order in which they were set */
    size_t listener_count;
    uint32_t tcp_backlog;
    bool tcp_nodelay;
    bool tcp_keepalive;
    uint64_t tcp_sndbuf, tcp_recbuf; /* octets; 0: the system's choice */
    bool tcp_linger;
    uint32_t tcp_linger_timeout; /* seconds */
    bool proxy_protocol;         /* AMQP connections begin with a PROXY header */

    uint32_t threads; /* 0: one for each processor */

    uint32_t channel_max; /* 0: no limit, as for the next two */
    uint32_t frame_max;   /* octets */
    uint32_t initial_frame_max;
    uint32_t heartbeat;            /* seconds, 0: off */
    uint64_t handshake_timeout_ms; /* from accept to connection.open-ok */
    uint64_t ssl_handshake_timeout_ms;
    uint64_t max_message_size;    /* octets of body */
    uint64_t consumer_timeout_ms; /* 0: none */

    /* Bounds; 0: none. */
    uint64_t connection_max;
    uint64_t connection_max_per_user;
    uint64_t connection_max_per_vhost;
    uint64_t connection_max_per_address;
    uint64_t channel_max_per_node;
    uint64_t vhost_max;
    uint64_t consumer_max_per_channel;
    uint64_t unacked_max_per_channel;
    uint64_t bindings_max_per_exchange;
    uint32_t name_size_max;         /* octets of names of exchanges, queues, vhosts and users */
    uint32_t table_depth_max;       /* tables and arrays within each other */
    uint64_t table_size_max;        /* octets of one table on the wire */
    uint64_t connection_buffer_max; /* octets for one connection that its socket has not taken */

    /* The absolute one counts when it is not 0; of the two keys the one set last. */
    double memory_watermark_relative;   /* of the machine's or cgroup's memory, 0 to 1 */
    uint64_t memory_watermark_absolute; /* octets */
    uint64_t memory_total;              /* octets, instead of what the system says; 0: the system's */

    char *data_dir;           /* folder of what is durable; empty: nothing is kept */
    uint64_t journal_window;  /* octets of journal that are not yet in segments or the catalog, at most */
    uint64_t memory_window;   /* octets of messages in memory; 0: the server chooses */
    bool durability_relaxed;  /* of queues and vhosts that nothing else is said about */
    uint64_t disk_free_limit; /* octets of free disk space, below which publishers are blocked */
    double disk_free_limit_relative; /* of the memory; 0: disk_free_limit counts */

    struct config_tls tls;
    enum config_cert_login ssl_cert_login_from; /* never CERT_LOGIN_SUBJECT_ALT_NAME */
    enum config_cert_san ssl_cert_login_san_type;
    uint32_t ssl_cert_login_san_index; /* of those of that type, from 0 */

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

    bool log_console;
    struct config_log_output log_to_console;
    char *log_dir;
    char *log_file; /* in log_dir, unless it begins with a slash; empty or "false": none */
    struct config_log_output log_to_file;
    enum config_log_level log_level; /* where neither output nor category say otherwise; never UNSET */
    enum config_log_level log_default_level;
    enum config_log_level log_connection_level;
    enum config_log_level log_channel_level;
    enum config_log_level log_queue_level;
    enum config_log_level log_storage_level;

    struct config_http management, prometheus;
    char *control_socket; /* path; empty: in the data directory, none: none */
    char *management_path_prefix;
    struct config_words management_cors_origins;
    uint64_t management_body_max;              /* octets of a request's body */
    uint64_t management_login_session_timeout; /* minutes */
    char *prometheus_path;
    bool prometheus_per_object;
    uint32_t statistics_interval_ms; /* between two looks at what moves, while somebody looks on */

    struct config_words notices; /* what was not taken from the sources and why, for the log */
};

/* Where a configuration comes from; later wins, from the first to the last member. The texts must stay as
 * long as it may be read again. */
struct config_source {
    const char *path; /* file; NULL: none. What matches conf.d/?*.conf in the same folder follows, by name */
    char *const *environment;     /* like environ: CONEY_HEARTBEAT=30 sets heartbeat; NULL: none */
    const char *const *overrides; /* "key=value" of the command line */
    size_t override_count;
};

/* Is called once for each thing that is wrong, with one line of text: where ("FILE:LINE: ", "--set: " or
 * "CONEY_KEY: "), what, and what would be right. No newline at its end. */
typedef void config_report(void *context, const char *text);

/* Fill CONFIG with the defaults, then what SOURCE says. Everything that is wrong is reported, not only the
 * first thing. False when something was: CONFIG is then freed already. */
bool config_load(struct config *config, const struct config_source *source, config_report *report,
                 void *context);

/* Free what CONFIG holds, not CONFIG itself. */
void config_free(struct config *config);

/* Is called for a key whose value differs. BEFORE and AFTER are as they would be written ("..." for secrets).
 */
typedef void config_change(void *context, const char *key, const char *before, const char *after,
                           bool is_live);

/* Compare what runs, RUNNING, with CONFIG, which was read later. What cannot change while running is
 * reported, and set back in CONFIG to what runs. Returns how many keys differ. */
size_t config_take_over(struct config *config, const struct config *running, config_change *change,
                        void *context);

/* What CONFIG says of the log, for log_configure(); the path is to be freed. */
struct log_settings;
void config_log_settings(const struct config *config, struct log_settings *settings, char **path);

/* The value that CONFIG has for the INDEX-th known key, as it would be written, "..." for a secret; to be
 * freed. NULL for a key that is another name of one, or has no value of its own. */
char *config_value_at(const struct config *config, size_t index);

/* Octets that TEXT says, "2GB" or 4096; false when it is no such size. */
bool config_parse_size(const char *text, uint64_t *octets);

/* One key, for manuals and the tests that they are complete. */
struct config_key {
    const char *section;       /* heading that begins with this key; NULL: none */
    const char *name;          /* a * stands for any word */
    const char *default_value; /* as it would be written; "" for none */
    const char *doc;           /* sentences */
    const char *example;       /* lines "key = value" for the sample; NULL: the default is one */
    const char *alias_of;      /* the key that this is another name of; NULL: none */
    bool is_live;              /* a reload changes it */
};

/* The INDEX-th known key; false behind the last. */
bool config_key_at(size_t index, struct config_key *out);

/* The INDEX-th pattern of keys that are RabbitMQ's and mean nothing here, and why; false behind the last. */
bool config_ignored_at(size_t index, const char **pattern, const char **reason);

#endif
