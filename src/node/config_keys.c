/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All there is to know about each key: its name, type, bounds, default, where its value goes, whether a
 * reload changes it, and what the sample file and the manual page say. Both are written from here by
 * tests/check-options, in this order. A default is parsed like any other value, so it cannot be one that a
 * file could not have.
 *
 * Then the keys of rabbitmq.conf that mean nothing here, each with the reason that is logged when it is used.
 */
#include "config_keys.h"

#include <stddef.h>

#define STRING_MAX SHORTSTR_MAX
#define PATH_MAX_  4096
#define MIB        (INT64_C(1) << 20)
#define DAY_MS     86400000

static const char *const level_names[] = {"debug", "info", "warning", "error", "critical", "none", NULL};
static const char *const format_names[] = {"plaintext", "json", NULL};
static const char *const queue_type_names[] = {"classic", "quorum", NULL};
static const char *const durability_names[] = {"strict", "relaxed", NULL};
static const char *const mechanism_names[] = {"AMQPLAIN", "ANONYMOUS",      "EXTERNAL",
                                              "PLAIN",    "RABBIT-CR-DEMO", NULL};
static const char *const verify_names[] = {"verify_none", "verify_peer", NULL};
static const char *const tls_version_names[] = {"tlsv1.3", "tlsv1.2", NULL};
static const char *const cert_login_names[] = {"distinguished_name", "common_name",
                                               "subject_alternative_name", "subject_alt_name", NULL};
static const char *const cert_san_names[] = {"dns", "ip", "email", "uri", "other_name", NULL};

#define AT(member) .offset = offsetof(struct config, member)

/* What ssl_options.* and its like have in common. */
/* NOLINTBEGIN(bugprone-macro-parentheses): members and entries take none */
#define TLS_KEYS(prefix, member, live)                                                                       \
    {prefix ".certfile",                                                                                     \
     "",                                                                                                     \
     "Certificate in PEM, with the chain that leads to the CA, if any.",                                     \
     KEY_STRING,                                                                                             \
     AT(member.certfile),                                                                                    \
     .most = PATH_MAX_,                                                                                      \
     .is_live = (live),                                                                                      \
     .example = prefix ".certfile = /etc/coney/server.pem"},                                                 \
        {prefix ".keyfile",                                                                                  \
         "",                                                                                                 \
         "Its private key in PEM: PKCS#8 or PKCS#1, encrypted or not.",                                      \
         KEY_STRING,                                                                                         \
         AT(member.keyfile),                                                                                 \
         .most = PATH_MAX_,                                                                                  \
         .is_live = (live),                                                                                  \
         .example = prefix ".keyfile = /etc/coney/server.key"},                                              \
        {prefix ".password",                                                                                 \
         "",                                                                                                 \
         "The password of an encrypted key.",                                                                \
         KEY_STRING,                                                                                         \
         AT(member.password),                                                                                \
         .most = STRING_MAX,                                                                                 \
         .is_live = (live),                                                                                  \
         .is_secret = true,                                                                                  \
         .example = prefix ".password = secret"},                                                            \
        {prefix ".cacertfile",                                                                               \
         "",                                                                                                 \
         "Certificates of the CAs that clients' certificates may come from.",                                \
         KEY_STRING,                                                                                         \
         AT(member.cacertfile),                                                                              \
         .most = PATH_MAX_,                                                                                  \
         .is_live = (live),                                                                                  \
         .example = prefix ".cacertfile = /etc/coney/ca.pem"},                                               \
        {prefix ".crlfile",                                                                                  \
         "",                                                                                                 \
         "Revocation lists in PEM: a client's certificate that is on one is refused.",                       \
         KEY_STRING,                                                                                         \
         AT(member.crlfile),                                                                                 \
         .most = PATH_MAX_,                                                                                  \
         .is_live = (live),                                                                                  \
         .example = prefix ".crlfile = /etc/coney/crl.pem"},                                                 \
        {prefix ".verify", "verify_none",          "verify_peer: clients are asked for a certificate.",      \
         KEY_EITHER,       AT(member.verify_peer), .names = verify_names,                                    \
         .is_live = (live)},                                                                                 \
        {prefix ".fail_if_no_peer_cert",                                                                     \
         "false",                                                                                            \
         "With verify_peer: refuse clients that have none.",                                                 \
         KEY_BOOL,                                                                                           \
         AT(member.fail_if_no_peer_cert),                                                                    \
         .is_live = (live)},                                                                                 \
        {prefix ".depth",                                                                                    \
         "1",                                                                                                \
         "CA certificates that may stand between a client's and one of cacertfile.",                         \
         KEY_UINT32,                                                                                         \
         AT(member.depth),                                                                                   \
         .most = 255,                                                                                        \
         .is_live = (live)},                                                                                 \
        {prefix ".versions.*",                                                                               \
         "tlsv1.3 tlsv1.2",                                                                                  \
         "Versions of TLS; setting one replaces the default.",                                               \
         KEY_WORD,                                                                                           \
         AT(member.versions),                                                                                \
         .names = tls_version_names,                                                                         \
         .replaces = true,                                                                                   \
         .is_live = (live),                                                                                  \
         .example = prefix ".versions.1 = tlsv1.3\n" prefix ".versions.2 = tlsv1.2"},                        \
        {prefix ".ciphers.*",                                                                                \
         "",                                                                                                 \
         "Cipher suites by OpenSSL's names; those of TLS 1.3 begin with TLS_. Without any: Mozilla's "       \
         "intermediate set.",                                                                                \
         KEY_WORD,                                                                                           \
         AT(member.ciphers),                                                                                 \
         .replaces = true,                                                                                   \
         .is_live = (live),                                                                                  \
         .example = prefix ".ciphers.1 = TLS_AES_256_GCM_SHA384\n" prefix                                    \
                           ".ciphers.2 = ECDHE-ECDSA-AES256-GCM-SHA384"},                                    \
        {prefix ".honor_cipher_order",                                                                       \
         "false",                                                                                            \
         "Our order of cipher suites counts, not the client's.",                                             \
         KEY_BOOL,                                                                                           \
         AT(member.honor_cipher_order),                                                                      \
         .is_live = (live)},                                                                                 \
        {prefix ".honor_ecc_order",                                                                          \
         "false",                                                                                            \
         "Our order of key exchange groups counts, not the client's.",                                       \
         KEY_BOOL,                                                                                           \
         AT(member.honor_ecc_order),                                                                         \
         .is_live = (live)},                                                                                 \
        {prefix ".session_tickets",                                                                          \
         "true",                                                                                             \
         "Clients may come back with a ticket instead of a full handshake; the keys of the tickets change.", \
         KEY_BOOL,                                                                                           \
         AT(member.session_tickets),                                                                         \
         .is_live = (live)},                                                                                 \
        {prefix ".client_renegotiation", "false", "Renegotiation is always refused.", KEY_FIXED,             \
         .expected = "false: renegotiation is never allowed"},                                               \
    {                                                                                                        \
        prefix ".secure_renegotiate", "true", "The insecure one is always refused.", KEY_FIXED,              \
            .expected = "true: insecure renegotiation is never allowed"                                      \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

#define NO_LIMIT .none_too = true, .most = INT32_MAX, .is_live = true
#define LEVEL    .names = level_names, .is_live = true

/* clang-format off: one entry after the other, as short as it is */
const struct key config_keys[] = {
    {"listeners.tcp.*", "127.0.0.1:5672 [::1]:5672",
     "Where to accept AMQP: PORT, IP:PORT, [IPv6]:PORT or the path of a UNIX socket, one line for each, "
     "under any "
     "name. A PORT alone is every address of both families. Setting one replaces the default, which is this "
     "machine "
     "only; port 0 lets the kernel choose. Who comes by a UNIX socket counts as coming from this machine.",
     KEY_LISTENER, AT(listeners), .section = "Listeners",
     .example = "listeners.tcp.1 = 127.0.0.1:5672\nlisteners.tcp.2 = [::1]:5672"},
    {"listeners.tcp", "", "none: no plain AMQP listener.", KEY_LISTENERS_NONE, AT(listeners),
     .example = "listeners.tcp = none"},
    {"listeners.ssl.*", "", "Where to accept AMQP over TLS: PORT, IP:PORT or [IPv6]:PORT, usually 5671.",
     KEY_LISTENER, AT(listeners), .is_tls = true, .example = "listeners.ssl.1 = 5671"},
    {"listeners.ssl", "", "none: no AMQP listener with TLS.", KEY_LISTENERS_NONE, AT(listeners),
     .is_tls = true, .example = "listeners.ssl = none"},
    {"tcp_listen_options.backlog", "4096", "Connections that may wait to be accepted.", KEY_UINT32,
     AT(tcp_backlog), .least = 1, .most = 65535},
    {"tcp_listen_options.nodelay", "true", "Send small frames at once, without waiting for more.", KEY_BOOL,
     AT(tcp_nodelay), .is_live = true},
    {"tcp_listen_options.keepalive", "false", "Let the kernel find out whether silent peers are still there.",
     KEY_BOOL, AT(tcp_keepalive), .is_live = true},
    {"tcp_listen_options.sndbuf", "0", "The kernel's send buffer for each connection; 0: its own choice.",
     KEY_SIZE, AT(tcp_sndbuf), .least = 1024, .most = 1024 * MIB, .zero_too = true, .is_live = true},
    {"tcp_listen_options.recbuf", "0", "The kernel's receive buffer for each connection; 0: its own choice.",
     KEY_SIZE, AT(tcp_recbuf), .least = 1024, .most = 1024 * MIB, .zero_too = true, .is_live = true},
    {"tcp_listen_options.linger.on", "false",
     "Closing a socket waits for linger.timeout seconds until all is sent; with 0 what is not sent is lost.",
     KEY_BOOL, AT(tcp_linger), .is_live = true},
    {"tcp_listen_options.linger.timeout", "0", "Seconds, with linger.on.", KEY_UINT32, AT(tcp_linger_timeout),
     .most = 65535, .is_live = true},
    {"proxy_protocol", "false",
     "Connections begin with a PROXY header, version 1 or 2, which says the client's address. Without one "
     "they are "
     "refused: only the proxy may reach such a listener.",
     KEY_BOOL, AT(proxy_protocol), .is_live = true},
    {"threads", "0", "Event loops; 0: one for each processor, up to 4.", KEY_UINT32, AT(threads), .most = 64},

    {"channel_max", "2047", "Channels that a connection may have open at once; 0: no limit.", KEY_UINT32,
     AT(channel_max), .most = 65535, .is_live = true, .section = "Connections"},
    {"max_channels_per_connection", "", "The same as channel_max.", KEY_UINT32, AT(channel_max),
     .most = 65535, .is_live = true, .alias_of = "channel_max"},
    {"frame_max", "131072", "The largest frame in bytes, its 8 bytes of overhead included; 0: no limit.",
     KEY_UINT32, AT(frame_max), .least = 4096, .most = INT32_MAX, .zero_too = true, .is_live = true},
    {"initial_frame_max", "65536", "The largest frame before login.", KEY_UINT32, AT(initial_frame_max),
     .least = 4096, .most = 1 << 20, .is_live = true},
    {"heartbeat", "60", "Heartbeat interval in seconds that is suggested to clients; 0: none.", KEY_UINT32,
     AT(heartbeat), .most = 65535, .is_live = true},
    {"handshake_timeout", "10000", "Time from accepting a connection to its connection.open.", KEY_DURATION,
     AT(handshake_timeout_ms), .least = 1, .most = 3600000, .is_live = true},
    {"ssl_handshake_timeout", "5000", "Time from accepting a connection to the end of the TLS handshake.",
     KEY_DURATION, AT(ssl_handshake_timeout_ms), .least = 1, .most = 3600000, .is_live = true},
    {"auth_mechanisms.*", "PLAIN AMQPLAIN",
     "SASL mechanism to offer: PLAIN, AMQPLAIN, EXTERNAL (over TLS only), ANONYMOUS or RABBIT-CR-DEMO; "
     "setting one "
     "replaces the default.",
     KEY_WORD, AT(auth_mechanisms), .names = mechanism_names, .replaces = true,
     .example = "auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = AMQPLAIN"},
    {"auth_backends.1", "internal", "Users are coney's own; there is no other backend.", KEY_FIXED,
     .expected = "internal: users are coney's own, there is no other backend"},
    {"anonymous_login_user", "guest", "Whom the mechanism ANONYMOUS, if offered, logs in.", KEY_STRING,
     AT(anonymous_login_user), .most = STRING_MAX},
    {"anonymous_login_pass", "guest", "That user's password.", KEY_STRING, AT(anonymous_login_pass),
     .most = STRING_MAX, .is_secret = true},

    {"connection_max", "infinity", "Connections to this node.", KEY_COUNT, AT(connection_max), NO_LIMIT,
     .section = "Limits"},
    {"max_connections", "", "The same as connection_max.", KEY_COUNT, AT(connection_max), NO_LIMIT,
     .alias_of = "connection_max"},
    {"connection_max_per_user", "infinity", "Connections of one user who has no limit of their own.",
     KEY_COUNT, AT(connection_max_per_user), NO_LIMIT},
    {"connection_max_per_vhost", "infinity", "Connections to a vhost that has no limit of its own.",
     KEY_COUNT, AT(connection_max_per_vhost), NO_LIMIT},
    {"connection_max_per_address", "infinity", "Connections from one address.", KEY_COUNT,
     AT(connection_max_per_address), NO_LIMIT},
    {"channel_max_per_node", "infinity", "Channels of all connections together.", KEY_COUNT,
     AT(channel_max_per_node), NO_LIMIT},
    {"vhost_max", "infinity", "Virtual hosts.", KEY_COUNT, AT(vhost_max), NO_LIMIT},
    {"consumer_max_per_channel", "infinity", "Consumers of one channel.", KEY_COUNT,
     AT(consumer_max_per_channel), NO_LIMIT},
    {"unacked_max_per_channel", "infinity",
     "Deliveries that one channel may have without acknowledging them; at this bound it gets no more.",
     KEY_COUNT, AT(unacked_max_per_channel), NO_LIMIT},
    {"bindings_max_per_exchange", "infinity", "Bindings from one exchange.", KEY_COUNT,
     AT(bindings_max_per_exchange), NO_LIMIT},
    {"name_size_max", "255", "Bytes of a name of an exchange, queue, vhost or user.", KEY_UINT32,
     AT(name_size_max), .least = 16, .most = STRING_MAX, .is_live = true},
    {"table_depth_max", "64", "Tables and arrays within each other in arguments and headers.", KEY_UINT32,
     AT(table_depth_max), .least = 4, .most = 64, .is_live = true},
    {"table_size_max", "1MiB", "Bytes of one table of arguments or headers.", KEY_SIZE, AT(table_size_max),
     .least = 4096, .most = 1024 * MIB, .is_live = true},
    {"connection_buffer_max", "0",
     "Bytes kept for a connection whose socket does not take them, before its consumers get no more; 0: "
     "coney's "
     "choice.",
     KEY_SIZE, AT(connection_buffer_max), .least = 65536, .most = 1024 * MIB, .zero_too = true,
     .is_live = true},

    {"max_message_size", "134217728", "The largest message body.", KEY_SIZE, AT(max_message_size), .least = 1,
     .most = 536870912, .is_live = true, .section = "Messages and queues"},
    {"consumer_timeout", "1800000",
     "How long a consumer may keep a delivery without acknowledging it; 0 or undefined: for ever.",
     KEY_DURATION, AT(consumer_timeout_ms), .least = 1, .most = QUEUE_DURATION_MAX, .zero_too = true,
     .none_too = true, .is_live = true},
    {"default_queue_type", "classic", "Type of queues that are declared without x-queue-type.", KEY_ENUM,
     AT(default_queue_type), .names = queue_type_names},
    {"vm_memory_high_watermark.relative", "0.4",
     "Publishers are blocked while the broker uses more than this share of the machine's (or its cgroup's) "
     "memory.",
     KEY_FRACTION, AT(memory_watermark_relative),
     .clears = offsetof(struct config, memory_watermark_absolute), .is_live = true},
    {"vm_memory_high_watermark.absolute", "",
     "... or more than this much memory. Of the two, the one set last counts.", KEY_SIZE,
     AT(memory_watermark_absolute), .least = 1, .most = INT64_MAX, .is_live = true,
     .example = "vm_memory_high_watermark.absolute = 2GB"},
    {"total_memory_available_override_value", "0",
     "Take this for the machine's memory; 0: what the system says.", KEY_SIZE, AT(memory_total),
     .most = INT64_MAX, .is_live = true},

    {"data_dir", "",
     "Folder for durable exchanges, queues, messages, users and all else that lasts; it is made when it is "
     "not "
     "there. Without one everything lives in memory only. coneyd --data DIR sets it, coneyd --ephemeral "
     "unsets it.",
     KEY_STRING, AT(data_dir), .most = PATH_MAX_, .section = "Storage",
     .example = "data_dir = /var/lib/coney"},
    {"journal_window", "256MiB",
     "Space for the journal. A larger one means fewer checkpoints and a longer start after a crash.",
     KEY_SIZE, AT(journal_window), .least = 16 * MIB, .most = INT64_MAX},
    {"memory_window", "0",
     "Memory for messages; what is beyond goes to disk until its turn comes. 0: a share of the machine's (or "
     "its "
     "cgroup's) memory.",
     KEY_SIZE, AT(memory_window), .least = MIB, .most = INT64_MAX, .zero_too = true},
    {"durability", "strict",
     "When a durable thing is confirmed: strict once it is on stable storage, relaxed once it is written; it "
     "is then "
     "synced a moment later, and a power cut loses what was not. A policy's key durability says it for its "
     "queues.",
     KEY_EITHER, AT(durability_relaxed), .names = durability_names},
    {"disk_free_limit.absolute", "50MB",
     "Publishers are blocked while the disk of data_dir has less free space than this ...", KEY_SIZE,
     AT(disk_free_limit), .most = INT64_MAX, .clears = offsetof(struct config, disk_free_limit_relative),
     .is_live = true},
    {"disk_free_limit.relative", "",
     "... or than this many times the memory. Of the two, the one set last counts.", KEY_FACTOR,
     AT(disk_free_limit_relative), .most = 1000, .is_live = true,
     .example = "disk_free_limit.relative = 1.5"},

/* TLS for AMQP */
#define SECTION_TLS "TLS"
    {"ssl_options.sni.*.certfile", "",
     "A certificate for clients that ask for the server name that stands for *, www.example.com say; the "
     "other "
     "names get ssl_options.certfile.",
     KEY_CERTIFICATE, AT(tls.sni), .most = PATH_MAX_, .is_live = true, .section = SECTION_TLS,
     .example = "ssl_options.sni.mq.example.com.certfile = /etc/coney/mq.pem"},
    {"ssl_options.sni.*.keyfile", "", "Its private key.", KEY_CERTIFICATE_KEY, AT(tls.sni), .most = PATH_MAX_,
     .is_live = true, .example = "ssl_options.sni.mq.example.com.keyfile = /etc/coney/mq.key"},
    TLS_KEYS("ssl_options", tls, true),
    {"ssl_cert_login_from", "distinguished_name",
     "What of a client's certificate the mechanism EXTERNAL takes for the user's name: distinguished_name, "
     "common_name or subject_alternative_name.",
     KEY_ENUM, AT(ssl_cert_login_from), .names = cert_login_names, .is_live = true},
    {"ssl_cert_login_san_type", "dns",
     "With subject_alternative_name, its type: dns, ip, email, uri or other_name.", KEY_ENUM,
     AT(ssl_cert_login_san_type), .names = cert_san_names, .is_live = true},
    {"ssl_cert_login_san_index", "0", "... and which of that type, counted from 0.", KEY_UINT32,
     AT(ssl_cert_login_san_index), .most = 1000, .is_live = true},

    {"default_user", "guest", "The user that a new node starts with, unless definitions bring users.",
     KEY_STRING, AT(default_user), .most = STRING_MAX, .section = "Users and topology"},
    {"default_pass", "guest", "That user's password.", KEY_STRING, AT(default_pass), .most = STRING_MAX,
     .is_secret = true},
    {"default_vhost", "/", "The virtual host that a new node starts with.", KEY_STRING, AT(default_vhost),
     .least = 1, .most = STRING_MAX},
    {"default_user_tags.*", "administrator",
     "Tag of the default user, true or false; setting one replaces the default.", KEY_MEMBER,
     AT(default_user_tags), .replaces = true, .example = "default_user_tags.administrator = true"},
    {"default_permissions.configure", ".*", "What the default user may declare and delete.", KEY_STRING,
     AT(default_permissions_configure), .most = STRING_MAX},
    {"default_permissions.read", ".*", "What the default user may read.", KEY_STRING,
     AT(default_permissions_read), .most = STRING_MAX},
    {"default_permissions.write", ".*", "What the default user may write.", KEY_STRING,
     AT(default_permissions_write), .most = STRING_MAX},
    {"loopback_users.*", "guest", "Whether the user may log in from this machine only, true or false.",
     KEY_MEMBER, AT(loopback_users), .example = "loopback_users.guest = true"},
    {"loopback_users", "", "none: every user may log in from anywhere.", KEY_MEMBERS_NONE, AT(loopback_users),
     .example = "loopback_users = none"},
    {"load_definitions", "",
     "JSON file, as RabbitMQ exports it, with users, vhosts, permissions and topology to import at start and "
     "at "
     "each reload.",
     KEY_STRING, AT(load_definitions), .most = PATH_MAX_, .is_live = true,
     .example = "load_definitions = /etc/coney/definitions.json"},
    {"definitions.local.path", "", "The same as load_definitions.", KEY_STRING, AT(load_definitions),
     .most = PATH_MAX_, .is_live = true, .alias_of = "load_definitions"},
    {"management.load_definitions", "", "The same as load_definitions.", KEY_STRING, AT(load_definitions),
     .most = PATH_MAX_, .is_live = true, .alias_of = "load_definitions"},
    {"definitions.import_backend", "local_filesystem", "Definitions come from a file.", KEY_FIXED,
     .expected = "local_filesystem: definitions come from a file"},

    {"cluster_name", "", "By default made from the host's name.", KEY_STRING, AT(cluster_name),
     .most = STRING_MAX, .section = "What clients see", .example = "cluster_name = coney@example"},
    {"product.name", "RabbitMQ",
     "Clients choose their behaviour by these two; coney's own version is told beside them.", KEY_STRING,
     AT(product_name), .least = 1, .most = STRING_MAX},
    {"product.version", "3.13.7", "Dotted numbers.", KEY_VERSION, AT(product_version), .most = STRING_MAX},

    {"log.level", "info",
     "The least level that is logged, where neither output nor category says otherwise: debug, info, "
     "warning, error, "
     "critical or none.",
     KEY_LEVEL, AT(log_level), LEVEL, .section = "Log"},
    {"log.console", "true",
     "Log to standard error; to systemd's journal with priorities, where it is connected to "
     "that.",
     KEY_BOOL, AT(log_console), .is_live = true},
    {"log.console.level", "", "Level of that output.", KEY_LEVEL, AT(log_to_console.level), LEVEL,
     .example = "log.console.level = info"},
    {"log.console.formatter", "plaintext", "plaintext, or json: an object on each line.", KEY_ENUM,
     AT(log_to_console.format), .names = format_names, .is_live = true},
    {"log.file", "",
     "Log to this file in log.dir too; SIGUSR1 opens it again, after it was moved away. false: none.",
     KEY_STRING, AT(log_file), .most = PATH_MAX_, .is_live = true, .example = "log.file = coney.log"},
    {"log.dir", "/var/log/coney", "Folder of log.file.", KEY_STRING, AT(log_dir), .most = PATH_MAX_,
     .is_live = true},
    {"log.file.level", "", "Level of that output.", KEY_LEVEL, AT(log_to_file.level), LEVEL,
     .example = "log.file.level = info"},
    {"log.file.formatter", "plaintext", "plaintext, or json: an object on each line.", KEY_ENUM,
     AT(log_to_file.format), .names = format_names, .is_live = true},
    {"log.default.level", "",
     "Level of a category; where an output has a level as well, the higher one counts. default is what has "
     "no "
     "category of its own.",
     KEY_LEVEL, AT(log_default_level), LEVEL, .example = "log.default.level = info"},
    {"log.connection.level", "", "Connections, logins, TLS.", KEY_LEVEL, AT(log_connection_level), LEVEL,
     .example = "log.connection.level = info"},
    {"log.channel.level", "", "Errors that close channels and connections.", KEY_LEVEL, AT(log_channel_level),
     LEVEL, .example = "log.channel.level = info"},
    {"log.queue.level", "", "Queues.", KEY_LEVEL, AT(log_queue_level), LEVEL,
     .example = "log.queue.level = info"},
    {"log.storage.level", "", "The data directory.", KEY_LEVEL, AT(log_storage_level), LEVEL,
     .example = "log.storage.level = info"},

    {"control_socket", "",
     "Path of a UNIX socket for coneyctl, where root and the broker's own user need no password; by default "
     "beside the data directory: DIR.control. none: there is none.",
     KEY_STRING, AT(control_socket), .most = 107, .section = "HTTP API and metrics",
     .example = "control_socket = /run/coney/control"},
    {"management.tcp.port", "15672",
     "Port of the HTTP API and the web page; where it is not set and not free, there is none.", KEY_PORT,
     AT(management.port)},
    {"management.tcp.ip", "127.0.0.1", "Its address; ::, of IPv6 and IPv4: every one.", KEY_ADDRESS,
     AT(management.ip), .most = 64, .example = "management.tcp.ip = 127.0.0.1"},
    {"management.ssl.port", "none", "Port of the HTTP API over TLS, usually 15671.", KEY_PORT,
     AT(management.ssl_port)},
    {"management.ssl.ip", "127.0.0.1", "Its address; ::, of IPv6 and IPv4: every one.", KEY_ADDRESS,
     AT(management.ssl_ip), .most = 64, .example = "management.ssl.ip = 127.0.0.1"},
    TLS_KEYS("management.ssl", management.tls, false),
    {"management.path_prefix", "", "What the paths of the HTTP API begin with.", KEY_STRING,
     AT(management_path_prefix), .most = STRING_MAX, .example = "management.path_prefix = /mq"},
    {"management.http.max_body_size", "20000000", "Octets that the body of a request may have.", KEY_SIZE,
     AT(management_body_max), .least = 1024, .most = 1LL << 30},
    {"management.cors.allow_origins.*", "", "A web site whose pages may use the HTTP API.", KEY_WORD,
     AT(management_cors_origins), .replaces = true, .is_live = true,
     .example = "management.cors.allow_origins.1 = https://example.com"},
    {"management.login_session_timeout", "480", "Minutes for which a login at the web page is good.",
     KEY_COUNT, AT(management_login_session_timeout), .least = 1, .most = 525600, .is_live = true},
    {"prometheus.tcp.port", "15692",
     "Port of the metrics, which are told to everybody; where it is not set and not free, there is none.",
     KEY_PORT, AT(prometheus.port)},
    {"prometheus.tcp.ip", "127.0.0.1", "Its address; ::, of IPv6 and IPv4: every one.", KEY_ADDRESS,
     AT(prometheus.ip), .most = 64, .example = "prometheus.tcp.ip = 127.0.0.1"},
    {"prometheus.ssl.port", "none", "Port of the metrics over TLS, usually 15691.", KEY_PORT,
     AT(prometheus.ssl_port)},
    {"prometheus.ssl.ip", "127.0.0.1", "Its address; ::, of IPv6 and IPv4: every one.", KEY_ADDRESS,
     AT(prometheus.ssl_ip), .most = 64, .example = "prometheus.ssl.ip = 127.0.0.1"},
    TLS_KEYS("prometheus.ssl", prometheus.tls, false),
    {"prometheus.path", "/metrics", "Path of the metrics.", KEY_STRING, AT(prometheus_path), .least = 1,
     .most = STRING_MAX},
    {"prometheus.return_per_object_metrics", "false",
     "Metrics of each queue and connection, not of all together.", KEY_BOOL, AT(prometheus_per_object),
     .is_live = true},
    {"collect_statistics_interval", "5000",
     "Milliseconds between two looks at what moves, for the rates that the HTTP API tells; only while "
     "somebody asks for them.",
     KEY_UINT32, AT(statistics_interval_ms), .least = 50, .most = 3600000},
};
/* clang-format on */

const size_t config_key_count = sizeof config_keys / sizeof *config_keys;

static const char one_node[] = "coney is one node";
static const char own_scheduling[] = "coney schedules its work itself";
static const char no_erlang[] = "coney runs without Erlang";
static const char no_plugin[] = "coney has no such plugin";
static const char own_storage[] = "coney's queues decide themselves what is kept in memory";
static const char in_definitions[] = "put it into the file of load_definitions";
static const char tls_by_openssl[] = "coney's TLS is OpenSSL's and has no such choice";
static const char text_is_fixed[] = "coney's log lines have one text and one JSON form";

const struct ignored_key config_ignored[] = {
    {"auth_backends.*", "users are coney's own, there is no other backend", true},
    {"auth_cache.*", no_plugin, false},
    {"auth_http.*", no_plugin, false},
    {"auth_ldap.*", no_plugin, false},
    {"auth_oauth2.*", no_plugin, false},
    {"background_gc_*", no_erlang, false},
    {"channel_operation_timeout", "operations on a channel cannot hang in coney", false},
    {"channel_tick_interval", own_scheduling, false},
    {"classic_queue.*", own_storage, false},
    {"cluster_exchange_limit", "set bindings_max_per_exchange and vhost_max, or limits of vhosts", false},
    {"cluster_formation.*", one_node, false},
    {"cluster_keepalive_interval", one_node, false},
    {"cluster_partition_handling", one_node, false},
    {"cluster_queue_limit", "set the limit max-queues of each vhost", false},
    {"cluster_tags.*", one_node, false},
    {"collect_statistics", "coney counts always", false},
    {"credit_flow_default_credit", own_scheduling, false},
    {"default_limits.*", in_definitions, true},
    {"default_policies.*", in_definitions, true},
    {"default_users.*", in_definitions, true},
    {"definitions.http*", "definitions come from a file", true},
    {"definitions.skip_if_unchanged", "importing what is there already changes nothing", false},
    {"definitions.tls.*", "definitions come from a file", false},
    {"delegate_count", own_scheduling, false},
    {"deprecated_features.*", "what is deprecated in RabbitMQ stays allowed in coney", false},
    {"distribution.*", one_node, false},
    {"erlang.*", no_erlang, false},
    {"federation.*", no_plugin, false},
    {"heartbeat_interval", "the key is heartbeat", true},
    {"kernel.*", no_erlang, false},
    {"lazy_queue_explicit_gc_run_operation_threshold", own_storage, false},
    {"log.*.file", "there is one log file for all categories", false},
    {"log.console.formatter.*", text_is_fixed, false},
    {"log.console.use_stderr", "the console is standard error", false},
    {"log.console.stdio", "the console is standard error", false},
    {"log.exchange*", "log lines do not go to an exchange", false},
    {"log.file.formatter.*", text_is_fixed, false},
    {"log.file.rotation.*", "logrotate moves log files, and SIGUSR1 opens new ones", false},
    {"log.federation.level", "coney logs nothing of this kind", false},
    {"log.feature_flags.level", "coney logs nothing of this kind", false},
    {"log.journald*", "log.console goes to the journal when systemd connects it", false},
    {"log.ldap.level", "coney logs nothing of this kind", false},
    {"log.mirroring.level", "coney logs nothing of this kind", false},
    {"log.osiris.level", "coney logs nothing of this kind", false},
    {"log.prelaunch.level", "coney logs nothing of this kind", false},
    {"log.ra.level", "coney logs nothing of this kind", false},
    {"log.shovel.level", "coney logs nothing of this kind", false},
    {"log.syslog*", "coney does not speak syslog; the journal passes lines on", false},
    {"log.upgrade.level", "coney logs nothing of this kind", false},
    {"management.*", "coney's HTTP API has no such choice", false},
    {"management_agent.*", "coney counts always", false},
    {"message_store_shutdown_timeout", own_storage, false},
    {"mirroring_*", one_node, false},
    {"mnesia_table_loading_retry_*", no_erlang, false},
    {"motd_file", "coney prints none", false},
    {"mqtt.*", no_plugin, false},
    {"msg_store_*", own_storage, false},
    {"net_ticktime", one_node, false},
    {"node_tags.*", one_node, false},
    {"nodename", one_node, false},
    {"num_acceptors.*", "one loop accepts for all", false},
    {"password_hashing_module", "passwords that are set here get coney's own hash; imported hashes stay",
     false},
    {"peer_discovery*", one_node, false},
    {"prometheus.*", "coney's metrics have no such choice", false},
    {"proxy_protocol.*", "the key is proxy_protocol", true},
    {"queue_index_*", own_storage, false},
    {"queue_leader_locator", one_node, false},
    {"queue_master_locator", one_node, false},
    {"quorum_cluster_size", one_node, false},
    {"quorum_queue.*", one_node, false},
    {"raft.*", one_node, false},
    {"reverse_dns_lookups", "clients are known by their addresses", false},
    {"schema_definition_sync_*", one_node, false},
    {"shovel.*", no_plugin, false},
    {"ssl_allow_poodle_attack", "never", false},
    {"ssl_options.bypass_pem_cache", "files are read when they change", false},
    {"ssl_options.crl_check", "set ssl_options.crlfile", true},
    {"ssl_options.crl_sources.*", "set ssl_options.crlfile", true},
    {"ssl_options.dhfile", "keys are exchanged over elliptic curves, else in the group ffdhe2048", false},
    {"ssl_options.hibernate_after", no_erlang, false},
    {"ssl_options.log_level", "set log.connection.level", false},
    {"ssl_options.psk_identity", tls_by_openssl, true},
    {"ssl_options.reuse_session*", "ssl_options.session_tickets decides", false},
    {"stomp.*", no_plugin, false},
    {"stream.*", no_plugin, false},
    {"sysmon_handler.*", no_erlang, false},
    {"tcp_listen_options.buffer", "coney's buffers have one size", false},
    {"tcp_listen_options.exit_on_close", "who closes their half has said all they will", false},
    {"tcp_listen_options.reuseaddr", "always", false},
    {"tcp_listen_options.send_timeout*", "heartbeats find peers that do not read", false},
    {"tracking_execution_timeout", one_node, false},
    {"trust_store.*", "set ssl_options.cacertfile", true},
    {"vm_memory_calculation_strategy", "coney counts what it has allocated", false},
    {"vm_memory_high_watermark_paging_ratio", own_storage, false},
    {"web_*", no_plugin, false},
};

const size_t config_ignored_count = sizeof config_ignored / sizeof *config_ignored;
