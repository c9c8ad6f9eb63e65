/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration. The table `keys` is all there is to know about a key: its name, type, bounds, default,
 * where its value goes, and what the manual says. A default is parsed like any other value, so it cannot be
 * one that a file could not have.
 *
 * The file is read line by line into assignments, the command line's overrides follow them, and then all are
 * applied in their order. An assignment that a later one of the same key supersedes is still checked.
 */
#include "coney/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/bytes.h"
#include "coney/xalloc.h"
#include "config_value.h"

#define FILE_SIZE_MAX ((size_t)1024 * 1024)

#define OVERRIDE "--set: " /* where an override stands */

#define STRING_MAX SHORTSTR_MAX
#define PATH_MAX_  4096

#define MIB (INT64_C(1) << 20)

/* ---- the keys ---- */

static const char *const level_names[] = {"debug", "info", "warning", "error", "critical", "none", NULL};
static const char *const queue_type_names[] = {"classic", "quorum", NULL};
static const char *const durability_names[] = {"strict", "relaxed", NULL};
static const char *const mechanism_names[] = {"AMQPLAIN", "ANONYMOUS", "PLAIN", "RABBIT-CR-DEMO", NULL};

#define AT(member) .offset = offsetof(struct config, member)

static const struct key keys[] = {
    {"listeners.tcp.*", "127.0.0.1:5672 and [::1]:5672",
     "Where to accept AMQP: PORT, IP:PORT or [IPv6]:PORT.", KEY_LISTENER, AT(listeners)},
    {"listeners.tcp", "", "none: no AMQP listener.", KEY_LISTENERS_NONE, AT(listeners)},
    {"tcp_listen_options.backlog", "128", "Connections that may wait to be accepted.", KEY_UINT32,
     AT(tcp_backlog), .least = 1, .most = 65535},
    {"tcp_listen_options.nodelay", "true", "Send small frames without waiting for more.", KEY_BOOL,
     AT(tcp_nodelay)},
    {"threads", "0", "Event loops; 0: one for each processor.", KEY_UINT32, AT(threads), .most = 64},
    {"channel_max", "2047", "Channels that a connection may have open at once; 0: no limit.", KEY_UINT32,
     AT(channel_max), .most = 65535},
    {"max_channels_per_connection", "", "The same as channel_max.", KEY_UINT32, AT(channel_max),
     .most = 65535},
    {"frame_max", "131072", "Largest frame in bytes, its 8 bytes of overhead included; 0: no limit.",
     KEY_UINT32, AT(frame_max), .least = 4096, .most = INT32_MAX, .zero_too = true},
    {"heartbeat", "60", "Heartbeat interval in seconds that is suggested to clients; 0: none.", KEY_UINT32,
     AT(heartbeat), .most = 65535},
    {"connection_max", "infinity", "Connections to this node.", KEY_COUNT, AT(connection_max),
     .most = INT32_MAX, .none_too = true},
    {"max_connections", "", "The same as connection_max.", KEY_COUNT, AT(connection_max), .most = INT32_MAX,
     .none_too = true},
    {"handshake_timeout", "10000", "Time from accepting a connection to its connection.open.", KEY_DURATION,
     AT(handshake_timeout_ms), .least = 1, .most = 3600000},
    {"max_message_size", "134217728", "Largest message body.", KEY_SIZE, AT(max_message_size), .least = 1,
     .most = 536870912},
    {"consumer_timeout", "1800000", "How long a consumer may keep a delivery without acknowledging it.",
     KEY_DURATION, AT(consumer_timeout_ms), .least = 1, .most = QUEUE_DURATION_MAX, .zero_too = true,
     .none_too = true},
    {"vm_memory_high_watermark.relative", "0.4", "Share of the memory above which publishers are blocked.",
     KEY_FRACTION, AT(memory_watermark_relative),
     .clears = offsetof(struct config, memory_watermark_absolute)},
    {"vm_memory_high_watermark.absolute", "",
     "Memory above which publishers are blocked, instead of a share.", KEY_SIZE,
     AT(memory_watermark_absolute), .least = 1, .most = INT64_MAX},
    {"data_dir", "", "Where to keep what is durable; none: everything lives in memory only.", KEY_STRING,
     AT(data_dir), .most = PATH_MAX_},
    {"journal_window", "256MiB", "Space for the journal, which bounds how long a start takes.", KEY_SIZE,
     AT(journal_window), .least = 16 * MIB, .most = INT64_MAX},
    {"memory_window", "", "Memory for messages, above which queues go to disk; 0: a share of the machine's.",
     KEY_SIZE, AT(memory_window), .least = MIB, .most = INT64_MAX, .zero_too = true},
    {"durability", "strict",
     "strict confirms what is on stable storage; relaxed what is written, and syncs it soon after.",
     KEY_EITHER, AT(durability_relaxed), .names = durability_names},
    {"disk_free_limit.absolute", "50MB", "Free disk space below which publishers are blocked.", KEY_SIZE,
     AT(disk_free_limit), .most = INT64_MAX},
    {"default_user", "guest", "User made on a new node.", KEY_STRING, AT(default_user), .most = STRING_MAX},
    {"default_pass", "guest", "The default user's password.", KEY_STRING, AT(default_pass),
     .most = STRING_MAX},
    {"default_vhost", "/", "Virtual host made on a new node.", KEY_STRING, AT(default_vhost), .least = 1,
     .most = STRING_MAX},
    {"default_permissions.configure", ".*", "What the default user may declare and delete.", KEY_STRING,
     AT(default_permissions_configure), .most = STRING_MAX},
    {"default_permissions.read", ".*", "What the default user may read.", KEY_STRING,
     AT(default_permissions_read), .most = STRING_MAX},
    {"default_permissions.write", ".*", "What the default user may write.", KEY_STRING,
     AT(default_permissions_write), .most = STRING_MAX},
    {"default_user_tags.*", "administrator",
     "Tag of the default user, true or false; setting one replaces the default.", KEY_MEMBER,
     AT(default_user_tags), .replaces = true},
    {"loopback_users.*", "guest", "Whether the user may log in from this machine only, true or false.",
     KEY_MEMBER, AT(loopback_users)},
    {"loopback_users", "", "none: every user may log in from anywhere.", KEY_MEMBERS_NONE,
     AT(loopback_users)},
    {"auth_mechanisms.*", "PLAIN AMQPLAIN", "SASL mechanism to offer; setting one replaces the default.",
     KEY_WORD, AT(auth_mechanisms), .names = mechanism_names, .replaces = true},
    {"anonymous_login_user", "guest", "Whom the mechanism ANONYMOUS logs in.", KEY_STRING,
     AT(anonymous_login_user), .most = STRING_MAX},
    {"anonymous_login_pass", "guest", "That user's password.", KEY_STRING, AT(anonymous_login_pass),
     .most = STRING_MAX},
    {"load_definitions", "", "JSON file with users, vhosts, permissions and topology to import at start.",
     KEY_STRING, AT(load_definitions), .most = PATH_MAX_},
    {"default_queue_type", "classic", "Type of queues declared without x-queue-type.", KEY_ENUM,
     AT(default_queue_type), .names = queue_type_names},
    {"cluster_name", "", "Name told to clients; by default made from the host's.", KEY_STRING,
     AT(cluster_name), .most = STRING_MAX},
    {"product.name", "RabbitMQ", "Product told to clients, which choose their behaviour by it.", KEY_STRING,
     AT(product_name), .least = 1, .most = STRING_MAX},
    {"product.version", "3.13.7", "Version told to clients, dotted numbers.", KEY_VERSION,
     AT(product_version), .most = STRING_MAX},
    {"log.level", "info", "Least level that is logged.", KEY_ENUM, AT(log_level), .names = level_names},
    {"log.console.level", "", "The same as log.level.", KEY_ENUM, AT(log_level), .names = level_names},
};

#define KEYS (sizeof keys / sizeof keys[0])

bool config_key_at(size_t index, struct config_key *out)
{
    if (index >= KEYS)
        return false;
    *out = (struct config_key){keys[index].name, keys[index].default_value, keys[index].doc};
    return true;
}

/* Whether NAME is the key; a last part * stands for any word, which *WORD then points to. */
static bool key_matches(const struct key *key, const char *name, const char **word)
{
    size_t size = strlen(key->name);

    if (key->name[size - 1] != '*') {
        *word = "";
        return strcmp(key->name, name) == 0;
    }
    *word = name + size - 1;
    return strncmp(key->name, name, size - 1) == 0 && **word != '\0';
}

static const struct key *key_find(const char *name, const char **word)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (key_matches(&keys[i], name, word))
            return &keys[i];
    }
    return NULL;
}

/* ---- loading ---- */

struct assignment {
    char *where; /* "FILE:LINE: " or OVERRIDE */
    char *key;
    char *value;
};

struct loading {
    struct config *config;
    config_report *report;
    void *context;
    bool failed;
    struct assignment *assignments;
    size_t count;
    bool set[KEYS]; /* whether an assignment has replaced the default */
};

static void complain(struct loading *loading, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct loading *loading, const char *where, const char *format, ...)
{
    char text[1024];
    int used = snprintf(text, sizeof text, "%s", where);
    va_list arguments;

    loading->failed = true;
    if (used < 0 || (size_t)used >= sizeof text)
        used = 0;
    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    loading->report(loading->context, text);
}

/* ---- the file's lines ---- */

static void assign(struct loading *loading, const char *where, char *key, char *value)
{
    size_t size = (loading->count + 1) * sizeof(struct assignment);

    loading->assignments = xrealloc(loading->assignments, size);
    loading->assignments[loading->count++] =
        (struct assignment){xstrdup(where), xstrdup(key), xstrdup(value)};
}

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
        *--end = '\0';
    return text + strspn(text, " \t\r\n");
}

/* Take comments and quotes off a value, in place: 'in quotes, with a #'. NULL when something follows the
 * closing quote, or there is none. */
static char *unquote(char *value)
{
    char *end;

    value = trim(value);
    if (*value != '\'') {
        value[strcspn(value, "#")] = '\0';
        return trim(value);
    }
    end = strchr(++value, '\'');
    if (end == NULL || (end[1 + strspn(end + 1, " \t")] != '\0' && end[1 + strspn(end + 1, " \t")] != '#'))
        return NULL;
    *end = '\0';
    return value;
}

static void parse_line(struct loading *loading, const char *where, char *line)
{
    char *equals, *value;

    line = trim(line);
    if (*line == '\0' || *line == '#')
        return;
    equals = strchr(line, '=');
    if (equals == NULL || equals == line) {
        complain(loading, where, "'%s' is no assignment; it should read: key = value", line);
        return;
    }
    *equals = '\0';
    value = unquote(equals + 1);
    if (value == NULL)
        complain(loading, where, "the value's closing quote is missing or not at the end of the line");
    else
        assign(loading, where, trim(line), value);
}

static void parse_text(struct loading *loading, const char *path, char *text)
{
    unsigned number = 0;
    char *line;

    while ((line = strsep(&text, "\n")) != NULL) {
        size_t size = strlen(path) + 32;
        char *where = xmalloc(size);

        snprintf(where, size, "%s:%u: ", path, ++number);
        parse_line(loading, where, line);
        free(where);
    }
}

static void parse_file(struct loading *loading, const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = xmalloc(FILE_SIZE_MAX + 1);
    size_t size;

    if (file == NULL) {
        complain(loading, "", "%s: cannot be read: %s", path, strerrordesc_np(errno));
        free(text);
        return;
    }
    size = fread(text, 1, FILE_SIZE_MAX + 1, file);
    if (ferror(file))
        complain(loading, "", "%s: cannot be read: %s", path, strerrordesc_np(errno));
    else if (size > FILE_SIZE_MAX)
        complain(loading, "", "%s: larger than %zu bytes", path, FILE_SIZE_MAX);
    else if (memchr(text, '\0', size) != NULL || !utf8_is_valid((struct bytes){(uint8_t *)text, size}))
        complain(loading, "", "%s: is no text in UTF-8", path);
    else {
        text[size] = '\0';
        parse_text(loading, path, text);
    }
    fclose(file);
    free(text);
}

/* "KEY=VALUE" of the command line: the value as it is, the shell has had its quotes. */
static void parse_override(struct loading *loading, const char *text)
{
    char *copy = xstrdup(text), *equals = strchr(copy, '=');

    if (equals == NULL || equals == copy) {
        complain(loading, OVERRIDE, "'%s' is no assignment; it should read: --set key=value", text);
    } else if (!utf8_is_valid(bytes_from_string(text))) {
        complain(loading, OVERRIDE, "a value is no text in UTF-8");
    } else {
        *equals = '\0';
        assign(loading, OVERRIDE, trim(copy), trim(equals + 1));
    }
    free(copy);
}

/* ---- applying ---- */

/* How many letters to change, add or take to make B of A; looked at only for short names. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t width = strlen(b);

    if (width >= sizeof row / sizeof row[0])
        return UINT32_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < width; j++) {
            unsigned best = diagonal + (a[i] != b[j]);

            diagonal = row[j + 1];
            best = diagonal + 1 < best ? diagonal + 1 : best;
            row[j + 1] = row[j] + 1 < best ? row[j] + 1 : best;
        }
    }
    return row[width];
}

static void complain_unknown(struct loading *loading, const struct assignment *assignment)
{
    const char *nearest = NULL;
    unsigned least = 4;

    for (size_t i = 0; i < KEYS; i++) {
        unsigned d = distance(assignment->key, keys[i].name);

        if (d < least) {
            least = d;
            nearest = keys[i].name;
        }
    }
    if (nearest != NULL)
        complain(loading, assignment->where, "unknown key '%s'; did you mean '%s'?", assignment->key,
                 nearest);
    else
        complain(loading, assignment->where, "unknown key '%s'; coney.conf(5) lists the keys",
                 assignment->key);
}

static bool is_superseded(const struct loading *loading, size_t index)
{
    for (size_t i = index + 1; i < loading->count; i++) {
        if (strcmp(loading->assignments[i].key, loading->assignments[index].key) == 0)
            return true;
    }
    return false;
}

static void apply(struct loading *loading, size_t index)
{
    const struct assignment *assignment = &loading->assignments[index];
    const char *word;
    const struct key *key = key_find(assignment->key, &word);
    char expected[512];

    if (key == NULL) {
        complain_unknown(loading, assignment);
        return;
    }
    if ((key->replaces || key->type == KEY_LISTENER) && !loading->set[key - keys])
        config_value_clear(loading->config, key);
    loading->set[key - keys] = true;
    if (!config_value_set(loading->config, key, word, assignment->value, is_superseded(loading, index))) {
        /* A string is wrong only in its length, and may be a password. */
        config_value_expected(expected, sizeof expected, key);
        complain(loading, assignment->where, "%s: '%s' should be %s", assignment->key,
                 key->type == KEY_STRING ? "..." : assignment->value, expected);
    }
}

/* Parse the defaults. Those of lists are several values with blanks between. */
static void set_defaults(struct config *config)
{
    static const struct config none;

    *config = none;
    for (size_t i = 0; i < KEYS; i++) {
        const struct key *key = &keys[i];

        if (key->type == KEY_LISTENER) {
            config_value_set(config, key, "default", "127.0.0.1:5672", false);
            config_value_set(config, key, "default6", "[::1]:5672", false);
        } else if (key->type == KEY_MEMBER) {
            config_value_set(config, key, key->default_value, "true", false);
        } else if (key->type == KEY_WORD) {
            config_value_set(config, key, "1", "PLAIN", false);
            config_value_set(config, key, "2", "AMQPLAIN", false);
        } else if (key->default_value[0] != '\0' || key->type == KEY_STRING) {
            /* An alias has no default of its own: it must not undo that of its key. */
            config_value_set(config, key, "", key->default_value, false);
        }
    }
}

bool config_load(struct config *config, const char *path, const char *const *overrides, size_t count,
                 config_report *report, void *context)
{
    struct loading loading = {.config = config, .report = report, .context = context};

    set_defaults(config);
    if (path != NULL)
        parse_file(&loading, path);
    for (size_t i = 0; i < count; i++)
        parse_override(&loading, overrides[i]);
    for (size_t i = 0; i < loading.count; i++)
        apply(&loading, i);
    for (size_t i = 0; i < loading.count; i++) {
        free(loading.assignments[i].where);
        free(loading.assignments[i].key);
        free(loading.assignments[i].value);
    }
    free(loading.assignments);
    if (loading.failed)
        config_free(config);
    return !loading.failed;
}

void config_free(struct config *config)
{
    for (size_t i = 0; i < KEYS; i++)
        config_value_clear(config, &keys[i]);
}
