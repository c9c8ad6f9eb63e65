/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of configuration keys. Numbers are strict: nothing before, nothing behind, no sign, no overflow.
 */
#include "config_value.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "coney/xalloc.h"

#define WORD_MAX 255 /* octets of a word that is in no list of names */

struct unit {
    const char *name;
    uint64_t factor;
};

/* RabbitMQ's: a single letter is binary (cli-and-metrics.md section 4). Letters in either case. */
static const struct unit size_units[] = {
    {"", 1},
    {"k", 1024},
    {"kb", 1000},
    {"kib", 1024},
    {"m", UINT64_C(1) << 20},
    {"mb", 1000000},
    {"mib", UINT64_C(1) << 20},
    {"g", UINT64_C(1) << 30},
    {"gb", 1000000000},
    {"gib", UINT64_C(1) << 30},
    {"t", UINT64_C(1) << 40},
    {"tb", UINT64_C(1000000000000)},
    {"tib", UINT64_C(1) << 40},
    {NULL, 0},
};

static const struct unit duration_units[] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

/* ---- parsing ---- */

/* Digits, then one of UNITS. */
static bool parse_number(const char *text, const struct unit *units, uint64_t *out)
{
    uint64_t number = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
            return false;
    }
    if (p == text)
        return false;
    p += strspn(p, " ");
    for (; units->name != NULL; units++) {
        if (strcasecmp(p, units->name) == 0)
            return !__builtin_mul_overflow(number, units->factor, out);
    }
    return false;
}

static bool is_none_word(const char *value)
{
    return strcmp(value, "infinity") == 0 || strcmp(value, "undefined") == 0;
}

bool config_parse_size(const char *text, uint64_t *octets)
{
    return parse_number(text, size_units, octets);
}

/* A number within KEY's bounds. */
static bool parse_bounded(const struct key *key, const char *value, const struct unit *units, uint64_t *out)
{
    if (key->none_too && is_none_word(value)) {
        *out = 0;
        return true;
    }
    if (!parse_number(value, units, out))
        return false;
    return (key->zero_too && *out == 0) || (*out >= (uint64_t)key->least && *out <= (uint64_t)key->most);
}

/* "0.4" or "40%", from 0 to MOST. */
static bool parse_fraction(const char *value, double most, double *out)
{
    bool dot = false, percent = false;
    double scale = 1, number = 0;
    const char *p = value;

    for (; (*p >= '0' && *p <= '9') || (*p == '.' && !dot); p++) {
        if (*p == '.') {
            dot = true;
            continue;
        }
        number = number * 10 + (*p - '0');
        scale *= dot ? 10 : 1;
    }
    if (p == value || (dot && p == value + 1))
        return false;
    percent = *p == '%';
    if (p[percent] != '\0' || p - value > 20)
        return false;
    number /= percent ? scale * 100 : scale;
    if (number > most)
        return false;
    *out = number;
    return true;
}

static int name_index(const char *const *names, const char *value)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], value) == 0)
            return i;
    }
    return -1;
}

/* Numbers with dots between: clients refuse anything else in a version. */
static bool is_version(const char *value)
{
    for (;;) {
        size_t digits = strspn(value, "0123456789");

        if (digits == 0)
            return false;
        value += digits;
        if (*value == '\0')
            return true;
        if (*value++ != '.')
            return false;
    }
}

/* ---- listeners ---- */

static bool is_address(const char *host)
{
    uint8_t address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Split PORT, IP:PORT or [IPv6]:PORT. An IPv6 address may stand without brackets, as RabbitMQ allows. */
static bool parse_ip_listener(const char *value, struct config_listener *out)
{
    const char *colon = strrchr(value, ':');
    const char *port_text = colon != NULL ? colon + 1 : value;
    char host[64] = "";
    uint64_t port;
    size_t size = colon != NULL ? (size_t)(colon - value) : 0;

    if (size >= sizeof host || !parse_number(port_text, no_units, &port) || port > UINT16_MAX)
        return false;
    memcpy(host, value, size);
    host[size] = '\0';
    if (size >= 2 && host[0] == '[' && host[size - 1] == ']') {
        memmove(host, host + 1, size - 2);
        host[size - 2] = '\0';
        if (strchr(host, ':') == NULL)
            return false;
    }
    if (colon != NULL && !is_address(host))
        return false;
    *out = (struct config_listener){.host = xstrdup(host), .path = xstrdup(""), .port = (uint16_t)port};
    return true;
}

/* "/PATH" or "unix:/PATH" */
static bool parse_listener(const char *value, struct config_listener *out)
{
    struct sockaddr_un address;

    if (strncmp(value, "unix:", 5) == 0)
        value += 5;
    if (value[0] != '/')
        return parse_ip_listener(value, out);
    if (strlen(value) >= sizeof address.sun_path)
        return false;
    *out = (struct config_listener){.host = xstrdup(""), .path = xstrdup(value)};
    return true;
}

static void listener_free(struct config_listener *listener)
{
    free(listener->name);
    free(listener->host);
    free(listener->path);
}

static void add_listener(struct config *config, struct config_listener listener)
{
    config->listeners =
        xrealloc(config->listeners, (config->listener_count + 1) * sizeof(*config->listeners));
    config->listeners[config->listener_count++] = listener;
}

static bool set_listener(struct config *config, const struct key *key, const char *name, const char *value,
                         bool superseded)
{
    struct config_listener listener;
    bool is_good;

    if (!parse_listener(value, &listener))
        return false;
    is_good = !key->is_tls || listener.path[0] == '\0';
    listener.name = xstrdup(name);
    listener.is_tls = key->is_tls;
    if (superseded || !is_good)
        listener_free(&listener);
    else
        add_listener(config, listener);
    return is_good;
}

static void clear_listeners(struct config *config, bool is_tls)
{
    size_t kept = 0;

    for (size_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].is_tls == is_tls)
            listener_free(&config->listeners[i]);
        else
            config->listeners[kept++] = config->listeners[i];
    }
    config->listener_count = kept;
    if (kept == 0) {
        free(config->listeners);
        config->listeners = NULL;
    }
}

static void copy_listeners(struct config *to, const struct config *from, bool is_tls)
{
    for (size_t i = 0; i < from->listener_count; i++) {
        struct config_listener copy = from->listeners[i];

        if (copy.is_tls != is_tls)
            continue;
        copy.name = xstrdup(copy.name);
        copy.host = xstrdup(copy.host);
        copy.path = xstrdup(copy.path);
        add_listener(to, copy);
    }
}

/* ---- certificates by name ---- */

static struct config_certificate *find_certificate(struct config_certificates *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcasecmp(list->entries[i].name, name) == 0)
            return &list->entries[i];
    }
    list->entries = xrealloc(list->entries, (list->count + 1) * sizeof(*list->entries));
    list->entries[list->count] = (struct config_certificate){xstrdup(name), xstrdup(""), xstrdup("")};
    return &list->entries[list->count++];
}

static void clear_certificates(struct config_certificates *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->entries[i].name);
        free(list->entries[i].certfile);
        free(list->entries[i].keyfile);
    }
    free(list->entries);
    *list = (struct config_certificates){0};
}

/* ---- lists of words ---- */

static void words_remove(struct config_words *words, const char *word)
{
    size_t kept = 0;

    for (size_t i = 0; i < words->count; i++) {
        if (strcmp(words->words[i], word) == 0)
            free(words->words[i]);
        else
            words->words[kept++] = words->words[i];
    }
    words->count = kept;
}

static void words_add(struct config_words *words, const char *word)
{
    words_remove(words, word);
    words->words = xrealloc(words->words, (words->count + 1) * sizeof(*words->words));
    words->words[words->count++] = xstrdup(word);
}

static void words_clear(struct config_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->words[i]);
    free(words->words);
    *words = (struct config_words){0};
}

static bool parse_bool(const char *value, bool *out)
{
    *out = strcmp(value, "true") == 0;
    return *out || strcmp(value, "false") == 0;
}

static bool set_member(struct config_words *words, const char *word, const char *value)
{
    bool is_member;

    if (!parse_bool(value, &is_member))
        return false;
    if (is_member)
        words_add(words, word);
    else
        words_remove(words, word);
    return true;
}

/* ---- setting ---- */

static void *member(struct config *config, const struct key *key)
{
    return (char *)config + key->offset;
}

static void set_string(char **string, const char *value)
{
    free(*string);
    *string = xstrdup(value);
}

static bool set_number(struct config *config, const struct key *key, const char *value)
{
    const struct unit *units = key->type == KEY_SIZE       ? size_units
                               : key->type == KEY_DURATION ? duration_units
                                                           : no_units;
    uint64_t number;

    if (!parse_bounded(key, value, units, &number))
        return false;
    if (key->type == KEY_UINT32)
        *(uint32_t *)member(config, key) = (uint32_t)number;
    else
        *(uint64_t *)member(config, key) = number;
    return true;
}

static bool set_port(struct config *config, const struct key *key, const char *value)
{
    uint64_t port = CONFIG_PORT_NONE;

    if (strcmp(value, "none") != 0 && (!parse_number(value, no_units, &port) || port > UINT16_MAX))
        return false;
    *(uint32_t *)member(config, key) = (uint32_t)port;
    return true;
}

static bool set_text(struct config *config, const struct key *key, const char *value)
{
    size_t size = strlen(value);

    if (size < (size_t)key->least || size > (size_t)key->most ||
        (key->type == KEY_VERSION && !is_version(value)) ||
        (key->type == KEY_ADDRESS && size != 0 && !is_address(value)))
        return false;
    set_string(member(config, key), value);
    return true;
}

/* One of KEY's names, as a number. */
static bool set_name(struct config *config, const struct key *key, const char *value)
{
    int index = name_index(key->names, value);

    if (index < 0)
        return false;
    if (key->type == KEY_EITHER)
        *(bool *)member(config, key) = index == 1;
    else
        memcpy(member(config, key), &index, sizeof index);
    return true;
}

static bool set_word(struct config *config, const struct key *key, const char *value, bool superseded)
{
    if (key->names != NULL ? name_index(key->names, value) < 0 : value[0] == '\0' || strlen(value) > WORD_MAX)
        return false;
    if (!superseded)
        words_add(member(config, key), value);
    return true;
}

static bool set_certificate(struct config *config, const struct key *key, const char *name, const char *value)
{
    struct config_certificate *certificate;

    if (value[0] == '\0' || strlen(value) > (size_t)key->most)
        return false;
    certificate = find_certificate(member(config, key), name);
    set_string(key->type == KEY_CERTIFICATE ? &certificate->certfile : &certificate->keyfile, value);
    return true;
}

static bool set_none(struct config *config, const struct key *key, const char *value)
{
    if (strcmp(value, "none") != 0)
        return false;
    config_value_clear(config, key);
    return true;
}

bool config_value_set(struct config *config, const struct key *key, const char *word, const char *value,
                      bool superseded)
{
    _Static_assert(sizeof(enum config_log_level) == sizeof(int) && sizeof(enum queue_type) == sizeof(int) &&
                       sizeof(enum config_log_format) == sizeof(int) &&
                       sizeof(enum config_cert_login) == sizeof(int) &&
                       sizeof(enum config_cert_san) == sizeof(int),
                   "KEY_ENUM writes an int");
    bool done = false;

    switch (key->type) {
    case KEY_BOOL:
        done = parse_bool(value, member(config, key));
        break;
    case KEY_PORT:
        done = set_port(config, key, value);
        break;
    case KEY_UINT32:
    case KEY_COUNT:
    case KEY_SIZE:
    case KEY_DURATION:
        done = set_number(config, key, value);
        break;
    case KEY_FRACTION:
        done = parse_fraction(value, 1, member(config, key));
        break;
    case KEY_FACTOR:
        done = parse_fraction(value, (double)key->most, member(config, key));
        break;
    case KEY_STRING:
    case KEY_VERSION:
    case KEY_ADDRESS:
        done = set_text(config, key, value);
        break;
    case KEY_ENUM:
    case KEY_LEVEL:
    case KEY_EITHER:
        done = set_name(config, key, value);
        break;
    case KEY_FIXED:
        done = strcmp(value, key->default_value) == 0;
        break;
    case KEY_WORD:
        done = set_word(config, key, value, superseded);
        break;
    case KEY_MEMBER:
        done = set_member(member(config, key), word, value);
        break;
    case KEY_LISTENER:
        done = set_listener(config, key, word, value, superseded);
        break;
    case KEY_MEMBERS_NONE:
    case KEY_LISTENERS_NONE:
        done = set_none(config, key, value);
        break;
    case KEY_CERTIFICATE:
    case KEY_CERTIFICATE_KEY:
        done = set_certificate(config, key, word, value);
        break;
    }
    if (done && key->clears != 0)
        memset((char *)config + key->clears, 0, sizeof(uint64_t)); /* of a double too: all bits 0 is 0.0 */
    return done;
}

void config_value_clear(struct config *config, const struct key *key)
{
    switch (key->type) {
    case KEY_STRING:
    case KEY_VERSION:
    case KEY_ADDRESS:
        free(*(char **)member(config, key));
        *(char **)member(config, key) = NULL;
        break;
    case KEY_WORD:
    case KEY_MEMBER:
    case KEY_MEMBERS_NONE:
        words_clear(member(config, key));
        break;
    case KEY_LISTENER:
    case KEY_LISTENERS_NONE:
        clear_listeners(config, key->is_tls);
        break;
    case KEY_CERTIFICATE:
    case KEY_CERTIFICATE_KEY:
        clear_certificates(member(config, key));
        break;
    default:
        break;
    }
}

/* ---- comparing and copying ---- */

static const void *member_of(const struct config *config, const struct key *key)
{
    return (const char *)config + key->offset;
}

static void print_words(FILE *out, const struct config_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        fprintf(out, "%s%s", i != 0 ? " " : "", words->words[i]);
}

static void print_listeners(FILE *out, const struct config *config, bool is_tls)
{
    const char *blank = "";

    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        bool v6 = strchr(listener->host, ':') != NULL;

        if (listener->is_tls != is_tls)
            continue;
        if (listener->path[0] != '\0')
            fprintf(out, "%s%s", blank, listener->path);
        else
            fprintf(out, "%s%s%s%s%s%u", blank, v6 ? "[" : "", listener->host, v6 ? "]" : "",
                    listener->host[0] != '\0' ? ":" : "", listener->port);
        blank = " ";
    }
}

static void print_certificates(FILE *out, const struct config_certificates *list, bool key)
{
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "%s%s:%s", i != 0 ? " " : "", list->entries[i].name,
                key ? list->entries[i].keyfile : list->entries[i].certfile);
}

static void print_number(FILE *out, const struct key *key, uint64_t number)
{
    if (number == 0 && key->none_too)
        fputs("infinity", out);
    else
        fprintf(out, "%llu", (unsigned long long)number);
}

static void print_name(FILE *out, const struct key *key, const void *value)
{
    int index;

    memcpy(&index, value, sizeof index);
    for (int i = 0; key->names[i] != NULL; i++) {
        if (i == index)
            fputs(key->names[i], out);
    }
}

static void print_value(FILE *out, const struct config *config, const struct key *key)
{
    const void *value = member_of(config, key);

    switch (key->type) {
    case KEY_BOOL:
        fputs(*(const bool *)value ? "true" : "false", out);
        break;
    case KEY_UINT32:
        print_number(out, key, *(const uint32_t *)value);
        break;
    case KEY_PORT:
        if (*(const uint32_t *)value == CONFIG_PORT_NONE)
            fputs("none", out);
        else
            print_number(out, key, *(const uint32_t *)value);
        break;
    case KEY_COUNT:
    case KEY_SIZE:
    case KEY_DURATION:
        print_number(out, key, *(const uint64_t *)value);
        break;
    case KEY_FRACTION:
    case KEY_FACTOR:
        fprintf(out, "%g", *(const double *)value);
        break;
    case KEY_STRING:
    case KEY_VERSION:
    case KEY_ADDRESS:
        fputs(*(char *const *)value, out);
        break;
    case KEY_ENUM:
    case KEY_LEVEL:
        print_name(out, key, value);
        break;
    case KEY_EITHER:
        fputs(key->names[*(const bool *)value], out);
        break;
    case KEY_FIXED:
        fputs(key->default_value, out);
        break;
    case KEY_WORD:
    case KEY_MEMBER:
    case KEY_MEMBERS_NONE:
        print_words(out, value);
        break;
    case KEY_LISTENER:
    case KEY_LISTENERS_NONE:
        print_listeners(out, config, key->is_tls);
        break;
    case KEY_CERTIFICATE:
    case KEY_CERTIFICATE_KEY:
        print_certificates(out, value, key->type == KEY_CERTIFICATE_KEY);
        break;
    }
}

char *config_value_text(const struct config *config, const struct key *key)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out != NULL) {
        print_value(out, config, key);
        fclose(out);
    }
    return text != NULL ? text : xstrdup("");
}

static void copy_certificates(struct config_certificates *to, const struct config_certificates *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct config_certificate *copy = find_certificate(to, from->entries[i].name);

        set_string(&copy->certfile, from->entries[i].certfile);
        set_string(&copy->keyfile, from->entries[i].keyfile);
    }
}

void config_value_copy(struct config *to, const struct config *from, const struct key *key)
{
    const struct config_words *words = member_of(from, key);

    if (key->type == KEY_FIXED)
        return;
    config_value_clear(to, key);
    switch (key->type) {
    case KEY_STRING:
    case KEY_VERSION:
    case KEY_ADDRESS:
        *(char **)member(to, key) = xstrdup(*(char *const *)member_of(from, key));
        break;
    case KEY_WORD:
    case KEY_MEMBER:
    case KEY_MEMBERS_NONE:
        for (size_t i = 0; i < words->count; i++)
            words_add(member(to, key), words->words[i]);
        break;
    case KEY_LISTENER:
    case KEY_LISTENERS_NONE:
        copy_listeners(to, from, key->is_tls);
        break;
    case KEY_CERTIFICATE:
    case KEY_CERTIFICATE_KEY:
        copy_certificates(member(to, key), member_of(from, key));
        break;
    case KEY_BOOL:
    case KEY_EITHER:
        *(bool *)member(to, key) = *(const bool *)member_of(from, key);
        break;
    case KEY_UINT32:
    case KEY_PORT:
    case KEY_ENUM:
    case KEY_LEVEL:
        memcpy(member(to, key), member_of(from, key), sizeof(uint32_t));
        break;
    default:
        memcpy(member(to, key), member_of(from, key), sizeof(uint64_t));
        break;
    }
}

/* ---- what it should be ---- */

static void expected_names(char *out, size_t size, const char *const *names)
{
    size_t used = (size_t)snprintf(out, size, "one of");

    for (; *names != NULL && used < size; names++)
        used += (size_t)snprintf(out + used, size - used, " %s%s", *names, names[1] != NULL ? "," : "");
}

static void expected_number(char *out, size_t size, const struct key *key)
{
    snprintf(out, size, "%s%s%s from %lld to %lld%s", key->zero_too ? "0, " : "",
             key->none_too || key->type == KEY_COUNT ? "infinity, " : "",
             key->type == KEY_SIZE       ? "a number of bytes"
             : key->type == KEY_DURATION ? "a number of milliseconds"
                                         : "a whole number",
             (long long)key->least, (long long)key->most,
             key->type == KEY_SIZE       ? ", or with a unit (kB, MB, GB or KiB, MiB, GiB), like 64MiB"
             : key->type == KEY_DURATION ? ", or with a unit (ms, s, m, h, d), like 30s"
                                         : "");
}

static void expected_by_type(char *out, size_t size, const struct key *key)
{
    switch (key->type) {
    case KEY_BOOL:
    case KEY_MEMBER:
        snprintf(out, size, "true or false");
        break;
    case KEY_PORT:
        snprintf(out, size, "a port from 0 to 65535, where 0 is any that is free, or none");
        break;
    case KEY_UINT32:
    case KEY_COUNT:
    case KEY_SIZE:
    case KEY_DURATION:
        expected_number(out, size, key);
        break;
    case KEY_FRACTION:
        snprintf(out, size, "a share from 0 to 1, like 0.4 or 40%%");
        break;
    case KEY_FACTOR:
        snprintf(out, size, "a factor from 0 to %lld, like 1.5 or 50%%", (long long)key->most);
        break;
    case KEY_STRING:
        snprintf(out, size, "%lld to %lld bytes long", (long long)key->least, (long long)key->most);
        break;
    case KEY_CERTIFICATE:
    case KEY_CERTIFICATE_KEY:
        snprintf(out, size, "the path of a file");
        break;
    case KEY_VERSION:
        snprintf(out, size, "numbers with dots between, like 3.13.7");
        break;
    case KEY_ADDRESS:
        snprintf(out, size, "a numeric address, like 127.0.0.1 or ::1");
        break;
    case KEY_FIXED:
        snprintf(out, size, "%s", key->default_value);
        break;
    case KEY_WORD:
        if (key->names != NULL)
            expected_names(out, size, key->names);
        else
            snprintf(out, size, "1 to %d bytes long", WORD_MAX);
        break;
    case KEY_ENUM:
    case KEY_LEVEL:
    case KEY_EITHER:
        expected_names(out, size, key->names);
        break;
    case KEY_LISTENER:
        snprintf(out, size,
                 "a port or a numeric address with a port, like 5672, 127.0.0.1:5672 or [::1]:5672%s",
                 key->is_tls ? "" : ", or the path of a UNIX socket, like /run/coney/amqp");
        break;
    case KEY_MEMBERS_NONE:
    case KEY_LISTENERS_NONE:
        snprintf(out, size, "none; or did you mean %s.NAME?", key->name);
        break;
    }
}

void config_value_expected(char *out, size_t size, const struct key *key)
{
    if (key->expected != NULL)
        snprintf(out, size, "%s", key->expected);
    else
        expected_by_type(out, size, key);
}
