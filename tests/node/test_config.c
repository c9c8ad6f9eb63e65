/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file and its overrides (cli-and-metrics.md section 4).
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coney/config.h"
#include "coney/log.h"

static struct config config;
static char path[64];
static char reports[4096]; /* all that was reported, each line ended by a newline */

/* What is reported, with the file's changing name taken out. */
static void collect(void *context, const char *text)
{
    size_t used = strlen(reports);

    cr_assert_null(context);
    if (path[0] != '\0' && strncmp(text, path, strlen(path)) == 0)
        snprintf(reports + used, sizeof reports - used, "FILE%s\n", text + strlen(path));
    else
        snprintf(reports + used, sizeof reports - used, "%s\n", text);
}

static bool load_bytes(const char *text, size_t size, const char *const *overrides, size_t count)
{
    int fd;
    bool loaded;

    reports[0] = '\0';
    snprintf(path, sizeof path, "/tmp/coney-config-XXXXXX");
    fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, size), (ssize_t)size);
    close(fd);
    loaded = config_load(&config, &(struct config_source){path, NULL, overrides, count}, collect, NULL);
    unlink(path);
    return loaded;
}

static void load(const char *text)
{
    cr_assert(load_bytes(text, strlen(text), NULL, 0), "%s", reports);
}

static void expect_complaint(const char *text, const char *complaint)
{
    cr_assert_not(load_bytes(text, strlen(text), NULL, 0), "expected: %s", complaint);
    cr_expect_str_eq(reports, complaint);
}

static bool override(const char *text)
{
    reports[0] = '\0';
    return config_load(&config, &(struct config_source){.overrides = &text, .override_count = 1}, collect,
                       NULL);
}

Test(config, defaults_are_those_of_the_manual)
{
    cr_assert(config_load(&config, &(struct config_source){0}, collect, NULL));
    cr_expect_eq(config.listener_count, 2);
    cr_expect_str_eq(config.listeners[0].host, "127.0.0.1");
    cr_expect_eq(config.listeners[0].port, 5672);
    cr_expect_str_eq(config.listeners[1].host, "::1");
    cr_expect_eq(config.listeners[1].port, 5672);
    cr_expect_eq(config.tcp_backlog, 4096);
    cr_expect(config.tcp_nodelay);
    cr_expect_eq(config.threads, 0);
    cr_expect_eq(config.channel_max, 2047);
    cr_expect_eq(config.frame_max, 131072);
    cr_expect_eq(config.heartbeat, 60);
    cr_expect_eq(config.connection_max, 0);
    cr_expect_eq(config.handshake_timeout_ms, 10000);
    cr_expect_eq(config.max_message_size, 134217728);
    cr_expect_eq(config.consumer_timeout_ms, 1800000);
    cr_expect_float_eq(config.memory_watermark_relative, 0.4, 1e-9);
    cr_expect_eq(config.memory_watermark_absolute, 0);
    cr_expect_str_eq(config.data_dir, "");
    cr_expect_eq(config.journal_window, 268435456);
    cr_expect_eq(config.memory_window, 0);
    cr_expect_not(config.durability_relaxed);
    cr_expect_eq(config.disk_free_limit, 50000000);
    cr_expect_str_eq(config.default_user, "guest");
    cr_expect_str_eq(config.default_pass, "guest");
    cr_expect_str_eq(config.default_vhost, "/");
    cr_expect_str_eq(config.default_permissions_configure, ".*");
    cr_expect_str_eq(config.default_permissions_read, ".*");
    cr_expect_str_eq(config.default_permissions_write, ".*");
    cr_expect_eq(config.default_user_tags.count, 1);
    cr_expect_str_eq(config.default_user_tags.words[0], "administrator");
    cr_expect_eq(config.loopback_users.count, 1);
    cr_expect_str_eq(config.loopback_users.words[0], "guest");
    cr_expect_eq(config.auth_mechanisms.count, 2);
    cr_expect_str_eq(config.load_definitions, "");
    cr_expect_eq(config.default_queue_type, QUEUE_CLASSIC);
    cr_expect_str_eq(config.cluster_name, "");
    cr_expect_str_eq(config.product_name, "RabbitMQ");
    cr_expect_str_eq(config.product_version, "3.13.7");
    cr_expect_eq(config.log_level, CONFIG_LOG_INFO);
    config_free(&config);
}

Test(config, file_is_read_with_comments_blanks_and_quotes)
{
    load("# a comment\r\n"
         "\n"
         "  heartbeat   =  30   # half\r\n"
         "default_user = 'with # inside'   # quoted\n"
         "default_pass=a=b\n"
         "cluster_name = two words\n"
         "heartbeat = 20");
    cr_expect_eq(config.heartbeat, 20, "the later line wins");
    cr_expect_str_eq(config.default_user, "with # inside");
    cr_expect_str_eq(config.default_pass, "a=b");
    cr_expect_str_eq(config.cluster_name, "two words");
    config_free(&config);
}

Test(config, command_line_overrides_the_file)
{
    static const char *const overrides[] = {"heartbeat=5", "default_pass=#1 'x'",
                                            "listeners.tcp.1 = 127.0.0.1:0"};

    cr_assert(load_bytes("heartbeat = 30\nlisteners.tcp.1 = 5673\n", 38, overrides, 3), "%s", reports);
    cr_expect_eq(config.heartbeat, 5);
    cr_expect_str_eq(config.default_pass, "#1 'x'", "the shell has had its quotes");
    cr_expect_eq(config.listener_count, 1);
    cr_expect_str_eq(config.listeners[0].host, "127.0.0.1");
    cr_expect_eq(config.listeners[0].port, 0);
    config_free(&config);
}

Test(config, listeners_replace_the_default_ones)
{
    load("listeners.tcp.default = 5673\nlisteners.tcp.a = 10.0.0.1:1\nlisteners.tcp.b = [fe80::1]:2\n"
         "listeners.tcp.c = :::3\n");
    cr_assert_eq(config.listener_count, 4);
    cr_expect_str_eq(config.listeners[0].host, "");
    cr_expect_str_eq(config.listeners[0].name, "default");
    cr_expect_eq(config.listeners[0].port, 5673);
    cr_expect_str_eq(config.listeners[1].host, "10.0.0.1");
    cr_expect_eq(config.listeners[1].port, 1);
    cr_expect_str_eq(config.listeners[2].host, "fe80::1");
    cr_expect_str_eq(config.listeners[3].host, "::");
    cr_expect_eq(config.listeners[3].port, 3);
    config_free(&config);

    load("listeners.tcp = none\n");
    cr_expect_eq(config.listener_count, 0);
    config_free(&config);
}

Test(config, units)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {{"1000", 1000},       {"64kB", 64000},        {"64KiB", 65536},     {"64k", 65536},
                 {"1MB", 1000000},     {"1MiB", 1048576},      {"1 M", 1048576},     {"2GB", 2000000000},
                 {"2GiB", 2147483648}, {"1TB", 1000000000000}, {"1t", 1099511627776}};
    static const struct {
        const char *text;
        uint64_t ms;
    } durations[] = {{"1500", 1500}, {"1500ms", 1500}, {"2s", 2000}, {"3m", 180000}, {"1h", 3600000}};
    char text[64];

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        snprintf(text, sizeof text, "vm_memory_high_watermark.absolute=%s", sizes[i].text);
        cr_assert(override(text), "%s", reports);
        cr_expect_eq(config.memory_watermark_absolute, sizes[i].bytes, "%s", sizes[i].text);
        config_free(&config);
    }
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        snprintf(text, sizeof text, "handshake_timeout=%s", durations[i].text);
        cr_assert(override(text), "%s", reports);
        cr_expect_eq(config.handshake_timeout_ms, durations[i].ms, "%s", durations[i].text);
        config_free(&config);
    }
}

Test(config, watermark_set_last_counts)
{
    load("vm_memory_high_watermark.absolute = 1GB\nvm_memory_high_watermark.relative = 25%\n");
    cr_expect_eq(config.memory_watermark_absolute, 0);
    cr_expect_float_eq(config.memory_watermark_relative, 0.25, 1e-9);
    config_free(&config);
    load("vm_memory_high_watermark.relative = 0.5\nvm_memory_high_watermark.absolute = 1GB\n");
    cr_expect_eq(config.memory_watermark_absolute, 1000000000);
    config_free(&config);
}

Test(config, no_limit_is_zero)
{
    load("channel_max = 0\nframe_max = 0\nheartbeat = 0\nconnection_max = infinity\nconsumer_timeout = "
         "undefined\n");
    cr_expect_eq(config.channel_max, 0);
    cr_expect_eq(config.frame_max, 0);
    cr_expect_eq(config.connection_max, 0);
    cr_expect_eq(config.consumer_timeout_ms, 0);
    config_free(&config);
}

Test(config, lists)
{
    load("default_user_tags.monitoring = true\nauth_mechanisms.1 = ANONYMOUS\nloopback_users.bob = true\n");
    cr_assert_eq(config.default_user_tags.count, 1, "setting a tag replaces the default");
    cr_expect_str_eq(config.default_user_tags.words[0], "monitoring");
    cr_assert_eq(config.auth_mechanisms.count, 1);
    cr_expect_str_eq(config.auth_mechanisms.words[0], "ANONYMOUS");
    cr_expect_eq(config.loopback_users.count, 2, "guest stays until it is said otherwise");
    config_free(&config);

    load("loopback_users.guest = false\nauth_mechanisms.1 = PLAIN\nauth_mechanisms.1 = RABBIT-CR-DEMO\n");
    cr_expect_eq(config.loopback_users.count, 0);
    cr_assert_eq(config.auth_mechanisms.count, 1);
    cr_expect_str_eq(config.auth_mechanisms.words[0], "RABBIT-CR-DEMO");
    config_free(&config);

    load("loopback_users = none\n");
    cr_expect_eq(config.loopback_users.count, 0);
    config_free(&config);
}

Test(config, enums)
{
    load("default_queue_type = quorum\nlog.console.level = error\ntcp_listen_options.nodelay = false\n"
         "product.version = 4.1\n");
    cr_expect_eq(config.default_queue_type, QUEUE_QUORUM);
    cr_expect_eq(config.log_to_console.level, CONFIG_LOG_ERROR);
    cr_expect_not(config.tcp_nodelay);
    cr_expect_str_eq(config.product_version, "4.1");
    config_free(&config);
}

Test(config, storage)
{
    load("data_dir = /var/lib/coney\njournal_window = 16MiB\nmemory_window = 32MiB\ndurability = relaxed\n"
         "disk_free_limit.absolute = 2GB\n");
    cr_expect_str_eq(config.data_dir, "/var/lib/coney");
    cr_expect_eq(config.journal_window, 16777216);
    cr_expect_eq(config.memory_window, 33554432);
    cr_expect(config.durability_relaxed);
    cr_expect_eq(config.disk_free_limit, 2000000000);
    config_free(&config);

    load("durability = relaxed\ndurability = strict\nmemory_window = 0\n");
    cr_expect_not(config.durability_relaxed);
    cr_expect_eq(config.memory_window, 0);
    config_free(&config);
    cr_assert(override("data_dir="), "so that a folder of the file can be unset");
    cr_expect_str_eq(config.data_dir, "");
    config_free(&config);
}

/* ---- what is wrong ---- */

Test(config, unknown_keys_are_named_with_their_line)
{
    expect_complaint("heartbeat = 1\n\nheartbeet = 1\n",
                     "FILE:3: unknown key 'heartbeet'; did you mean 'heartbeat'?\n");
    expect_complaint("something.else = 1\n",
                     "FILE:1: unknown key 'something.else'; coney.conf(5) lists the keys\n");
    expect_complaint("listeners.tcp. = 1\n",
                     "FILE:1: unknown key 'listeners.tcp.'; did you mean 'listeners.tcp.*'?\n");
}

Test(config, bad_values_say_what_would_be_right)
{
    expect_complaint("channel_max = 65536\n",
                     "FILE:1: channel_max: '65536' should be a whole number from 0 to 65535\n");
    expect_complaint("channel_max = -1\n",
                     "FILE:1: channel_max: '-1' should be a whole number from 0 to 65535\n");
    expect_complaint(
        "channel_max = 18446744073709551616\n",
        "FILE:1: channel_max: '18446744073709551616' should be a whole number from 0 to 65535\n");
    expect_complaint("frame_max = 4095\n",
                     "FILE:1: frame_max: '4095' should be 0, a whole number from 4096 to 2147483647\n");
    expect_complaint(
        "connection_max = many\n",
        "FILE:1: connection_max: 'many' should be infinity, a whole number from 0 to 2147483647\n");
    expect_complaint(
        "max_message_size = 64MX\n",
        "FILE:1: max_message_size: '64MX' should be a number of bytes from 1 to 536870912, or with a unit "
        "(kB, MB, GB or KiB, MiB, GiB), like 64MiB\n");
    expect_complaint(
        "max_message_size = 18446744073710GB\n",
        "FILE:1: max_message_size: '18446744073710GB' should be a number of bytes from 1 to 536870912, or "
        "with a unit (kB, MB, GB or KiB, MiB, GiB), like 64MiB\n");
    expect_complaint(
        "handshake_timeout = soon\n",
        "FILE:1: handshake_timeout: 'soon' should be a number of milliseconds from 1 to 3600000, or with "
        "a unit (ms, s, m, h, d), like 30s\n");
    expect_complaint(
        "vm_memory_high_watermark.relative = 1.1\n",
        "FILE:1: vm_memory_high_watermark.relative: '1.1' should be a share from 0 to 1, like 0.4 or "
        "40%\n");
    expect_complaint("tcp_listen_options.nodelay = yes\n",
                     "FILE:1: tcp_listen_options.nodelay: 'yes' should be true or false\n");
    expect_complaint(
        "log.level = loud\n",
        "FILE:1: log.level: 'loud' should be one of debug, info, warning, error, critical, none\n");
    expect_complaint("journal_window = 16777215\n",
                     "FILE:1: journal_window: '16777215' should be a number of bytes from 16777216 to "
                     "9223372036854775807, or with a unit (kB, MB, GB or KiB, MiB, GiB), like 64MiB\n");
    cr_expect_not(override("memory_window=1048575"));
    expect_complaint("durability = lax\n", "FILE:1: durability: 'lax' should be one of strict, relaxed\n");
    expect_complaint("default_queue_type = stream\n",
                     "FILE:1: default_queue_type: 'stream' should be one of classic, quorum\n");
    expect_complaint("product.version = 3.x\n",
                     "FILE:1: product.version: '3.x' should be numbers with dots between, like 3.13.7\n");
    expect_complaint(
        "loopback_users = guest\n",
        "FILE:1: loopback_users: 'guest' should be none; or did you mean loopback_users.NAME?\n");
}

Test(config, bad_listeners)
{
    static const char *const values[] = {"",           "amqp",  "65536",     "localhost:5672",
                                         "127.0.0.1:", ":5672", "[::1]5672", "[1.2.3.4]:5",
                                         "1.2.3:5672", "::1",   "[::1]:",    "::1]:5672"};
    char text[64];

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        snprintf(text, sizeof text, "listeners.tcp.1=%s", values[i]);
        cr_expect_not(override(text), "%s", text);
    }
    cr_expect_str_eq(reports, "--set: listeners.tcp.1: '::1]:5672' should be a port or a numeric "
                              "address with a port, like 5672, 127.0.0.1:5672 or [::1]:5672, or the path of "
                              "a UNIX socket, like /run/coney/amqp\n");
}

Test(config, secrets_are_not_reported)
{
    char text[512];

    memset(text, 's', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text, "default_pass=", 13);
    cr_expect_not(override(text));
    cr_expect_str_eq(reports, "--set: default_pass: '...' should be 0 to 255 bytes long\n");
}

Test(config, everything_wrong_is_reported_at_once)
{
    expect_complaint(
        "a = 1\nno assignment\nheartbeat = x\nheartbeat = 1\ndefault_user = 'open\ndefault_user = 'a' b\n",
        "FILE:2: 'no assignment' is no assignment; it should read: key = value\n"
        "FILE:5: the value's closing quote is missing or not at the end of the line\n"
        "FILE:6: the value's closing quote is missing or not at the end of the line\n"
        "FILE:1: unknown key 'a'; coney.conf(5) lists the keys\n"
        "FILE:3: heartbeat: 'x' should be a whole number from 0 to 65535\n");
}

Test(config, bad_overrides)
{
    cr_expect_not(override("heartbeat"));
    cr_expect_str_eq(reports, "--set: 'heartbeat' is no assignment; it should read: --set key=value\n");
    cr_expect_not(override("heartbeat=x"));
    cr_expect_str_eq(reports, "--set: heartbeat: 'x' should be a whole number from 0 to 65535\n");
}

Test(config, bad_files)
{
    static char huge[1024 * 1024 + 1];

    reports[0] = '\0';
    cr_expect_not(
        config_load(&config, &(struct config_source){.path = "/nonexistent/coney.conf"}, collect, NULL));
    cr_expect_str_eq(reports, "/nonexistent/coney.conf: cannot be read: No such file or directory\n");
    cr_expect_not(load_bytes("a\0b", 3, NULL, 0));
    cr_expect_str_eq(reports, "FILE: is no text in UTF-8\n");
    cr_expect_not(load_bytes("\xff\xfe", 2, NULL, 0));
    memset(huge, '\n', sizeof huge);
    cr_expect_not(load_bytes(huge, sizeof huge, NULL, 0));
    cr_expect_not(config_load(&config, &(struct config_source){.path = "/tmp"}, collect, NULL),
                  "a folder is no file");
}

Test(config, each_key_is_documented_and_has_a_default_that_can_be_set)
{
    struct config_key key;
    size_t count = 0;
    char text[512];

    while (config_key_at(count, &key)) {
        cr_expect_neq(key.doc[0], '\0', "%s", key.name);
        cr_expect_eq(key.doc[strlen(key.doc) - 1], '.', "%s: a sentence", key.name);
        if (key.default_value[0] != '\0' && strchr(key.name, '*') == NULL) {
            snprintf(text, sizeof text, "%s=%s", key.name, key.default_value);
            cr_expect(override(text), "%s", reports);
            config_free(&config);
        }
        count++;
    }
    cr_expect_gt(count, 30);
}

/* ---- the environment, and the folder beside the file ---- */

static bool load_environment(const char *first, const char *second)
{
    char *environment[] = {(char *)(uintptr_t) "PATH=/bin", (char *)(uintptr_t)first,
                           (char *)(uintptr_t)second, NULL};

    reports[0] = path[0] = '\0';
    return config_load(&config, &(struct config_source){.environment = environment}, collect, NULL);
}

Test(config, environment_sets_keys)
{
    cr_assert(load_environment("CONEY_HEARTBEAT=5", "CONEY_VM_MEMORY_HIGH_WATERMARK_ABSOLUTE=1GB"), "%s",
              reports);
    cr_expect_eq(config.heartbeat, 5);
    cr_expect_eq(config.memory_watermark_absolute, 1000000000);
    config_free(&config);

    cr_assert(load_environment("CONEY_LOOPBACK_USERS_BOB=true", "CONEY_LOOPBACK_USERS_Eve=true"), "%s",
              reports);
    cr_assert_eq(config.loopback_users.count, 3);
    cr_expect_str_eq(config.loopback_users.words[1], "bob", "capitals are what variables are made of");
    cr_expect_str_eq(config.loopback_users.words[2], "Eve", "where small letters are, the case is meant");
    config_free(&config);

    cr_assert(load_environment("CONEY_SSL_OPTIONS_SNI_MQ__EXAMPLE__COM_CERTFILE=/c",
                               "CONEY_SSL_OPTIONS_SNI_MQ__EXAMPLE__COM_KEYFILE=/k"),
              "%s", reports);
    cr_assert_eq(config.tls.sni.count, 1);
    cr_expect_str_eq(config.tls.sni.entries[0].name, "mq.example.com");
    cr_expect_str_eq(config.tls.sni.entries[0].certfile, "/c");
    cr_expect_str_eq(config.tls.sni.entries[0].keyfile, "/k");
    config_free(&config);
}

Test(config, environment_complains_and_tells)
{
    cr_expect_not(load_environment("CONEY_HEARTBEAT=x", "CONEY_DEFAULT_PASS=\xff"));
    cr_expect_str_eq(reports, "environment: CONEY_DEFAULT_PASS is no text in UTF-8\n"
                              "CONEY_HEARTBEAT: heartbeat: 'x' should be a whole number from 0 to 65535\n");
    cr_assert(load_environment("CONEY_PORT=tcp://10.0.0.1:5672", "CONEY_="));
    cr_assert_eq(config.notices.count, 2);
    cr_expect_str_eq(config.notices.words[0], "environment: CONEY_PORT names no key");
    config_free(&config);
}

static bool is_same_variable(const char *a, const char *b)
{
    for (; *a != '\0'; a++, b++)
        if ((*a == '.' ? '_' : *a) != (*b == '.' ? '_' : *b))
            return false;
    return *b == '\0';
}

Test(config, what_is_told_is_one_line)
{
    cr_assert_not(override("heart\nbeat=1"));
    cr_expect_str_eq(reports, "--set: unknown key 'heart beat'; did you mean 'heartbeat'?\n");
}

Test(config, each_key_has_a_variable_of_its_own)
{
    struct config_key a, b;

    for (size_t i = 0; config_key_at(i, &a); i++)
        for (size_t j = i + 1; config_key_at(j, &b); j++)
            cr_expect_not(is_same_variable(a.name, b.name), "%s, %s", a.name, b.name);
}

Test(config, files_of_the_folder_follow_by_name)
{
    static const char *const names[] = {"conf.d/20.conf", "conf.d/10.conf", "conf.d/30.conf~", "main.conf"};
    static const char *const texts[] = {"heartbeat = 20\n", "heartbeat = 10\nframe_max = 5000\n",
                                        "nonsense\n", "heartbeat = 1\nchannel_max = 7\n"};
    char folder[] = "/tmp/coney-conf-XXXXXX", name[128];

    cr_assert_not_null(mkdtemp(folder));
    snprintf(name, sizeof name, "%s/conf.d", folder);
    cr_assert_eq(mkdir(name, 0700), 0);
    for (size_t i = 0; i < 4; i++) {
        FILE *file;

        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        file = fopen(name, "w");
        fputs(texts[i], file);
        fclose(file);
    }
    reports[0] = '\0';
    cr_expect(config_load(&config, &(struct config_source){.path = name}, collect, NULL), "%s", reports);
    cr_expect_eq(config.heartbeat, 20);
    cr_expect_eq(config.frame_max, 5000);
    cr_expect_eq(config.channel_max, 7);
    config_free(&config);
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    snprintf(name, sizeof name, "%s/conf.d", folder);
    rmdir(name);
    rmdir(folder);
}

/* ---- keys that are not used ---- */

Test(config, keys_without_a_meaning_are_named_in_notices)
{
    load("heartbeat = 1\nmqtt.allow_anonymous = true\nlog.exchange = true\nlog.exchange.level = info\n"
         "cluster_formation.k8s.host = x\nmanagement.tcp.port = 1\n");
    cr_assert_eq(config.notices.count, 4);
    cr_expect_str_eq(strrchr(config.notices.words[0], ':') - strlen(":2: mqtt.allow_anonymous is ignored"),
                     ":2: mqtt.allow_anonymous is ignored: coney has no such plugin");
    config_free(&config);
    expect_complaint("ssl_options.crl_check = peer\n",
                     "FILE:1: ssl_options.crl_check is not supported: set ssl_options.crlfile\n");
}

Test(config, ignored_keys_are_no_keys_and_have_reasons)
{
    const char *pattern, *reason, *star;
    struct config_key key;

    for (size_t i = 0; config_ignored_at(i, &pattern, &reason); i++) {
        cr_expect_neq(reason[0], '\0', "%s", pattern);
        star = strchr(pattern, '*');
        cr_expect(star == NULL || strchr(star + 1, '*') == NULL, "%s: one star", pattern);
        for (size_t j = 0; config_key_at(j, &key); j++)
            cr_expect_str_neq(key.name, pattern);
    }
}

/* ---- TLS ---- */

Test(config, tls)
{
    load("listeners.ssl.1 = 5671\nssl_options.certfile = /c\nssl_options.keyfile = "
         "/k\nssl_options.cacertfile = /a\n"
         "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\nssl_options.depth = 3\n"
         "ssl_options.versions.1 = tlsv1.2\nssl_options.ciphers.1 = ECDHE-RSA-AES128-GCM-SHA256\n"
         "ssl_cert_login_from = subject_alt_name\nssl_cert_login_san_type = email\nauth_mechanisms.1 = "
         "EXTERNAL\n"
         "listeners.tcp = none\nssl_options.client_renegotiation = false\nssl_options.secure_renegotiate = "
         "true\n");
    cr_assert_eq(config.listener_count, 1, "TLS stays when plain AMQP is none");
    cr_expect(config.listeners[0].is_tls);
    cr_expect(config.tls.verify_peer);
    cr_expect(config.tls.fail_if_no_peer_cert);
    cr_expect_eq(config.tls.depth, 3);
    cr_assert_eq(config.tls.versions.count, 1);
    cr_expect_str_eq(config.tls.versions.words[0], "tlsv1.2");
    cr_expect_str_eq(config.tls.ciphers.words[0], "ECDHE-RSA-AES128-GCM-SHA256");
    cr_expect_eq(config.ssl_cert_login_from, CERT_LOGIN_SUBJECT_ALTERNATIVE_NAME);
    cr_expect_eq(config.ssl_cert_login_san_type, CERT_SAN_EMAIL);
    config_free(&config);
    expect_complaint(
        "ssl_options.client_renegotiation = true\n",
        "FILE:1: ssl_options.client_renegotiation: 'true' should be false: renegotiation is never "
        "allowed\n");
    expect_complaint(
        "listeners.ssl.1 = /run/socket\n",
        "FILE:1: listeners.ssl.1: '/run/socket' should be a port or a numeric address with a port, like "
        "5672, 127.0.0.1:5672 or [::1]:5672\n");
}

Test(config, unix_listeners)
{
    char text[256];

    load("listeners.tcp.1 = /run/coney/amqp\nlisteners.tcp.2 = unix:/run/b\n");
    cr_expect_str_eq(config.listeners[0].path, "/run/coney/amqp");
    cr_expect_str_eq(config.listeners[1].path, "/run/b");
    config_free(&config);
    memset(text, 'x', 200);
    memcpy(text, "listeners.tcp.1=/", 17);
    text[200] = '\0';
    cr_expect_not(override(text), "longer than a socket's name may be");
    cr_expect_not(override("listeners.tcp.1=unix:relative"));
}

Test(config, of_absolute_and_relative_disk_limits_the_last_counts)
{
    load("disk_free_limit.relative = 1.5\ndisk_free_limit.absolute = 1GB\n");
    cr_expect_eq(config.disk_free_limit_relative, 0);
    config_free(&config);
    load("disk_free_limit.absolute = 1GB\ndisk_free_limit.relative = 1.5\n");
    cr_expect_float_eq(config.disk_free_limit_relative, 1.5, 1e-9);
    config_free(&config);
    expect_complaint(
        "disk_free_limit.relative = 1001\n",
        "FILE:1: disk_free_limit.relative: '1001' should be a factor from 0 to 1000, like 1.5 or 50%\n");
}

/* ---- the log ---- */

static enum log_level level_at(const char *text, enum log_category category, bool of_file)
{
    struct log_settings settings;
    enum log_level level;
    char *file;

    load(text);
    config_log_settings(&config, &settings, &file);
    level = (of_file ? settings.file : settings.console).least[category];
    free(file);
    config_free(&config);
    return level;
}

Test(config, levels_of_the_log)
{
    cr_expect_eq(level_at("", LOG_CATEGORY_QUEUE, false), LOG_LEVEL_INFO);
    cr_expect_eq(level_at("log.level = error\n", LOG_CATEGORY_QUEUE, true), LOG_LEVEL_ERROR);
    cr_expect_eq(level_at("log.console.level = debug\n", LOG_CATEGORY_QUEUE, false), LOG_LEVEL_DEBUG);
    cr_expect_eq(level_at("log.console.level = debug\n", LOG_CATEGORY_QUEUE, true), LOG_LEVEL_INFO);
    cr_expect_eq(level_at("log.level = error\nlog.queue.level = debug\n", LOG_CATEGORY_QUEUE, false),
                 LOG_LEVEL_DEBUG);
    cr_expect_eq(level_at("log.file.level = warning\nlog.queue.level = debug\n", LOG_CATEGORY_QUEUE, true),
                 LOG_LEVEL_WARNING);
    cr_expect_eq(level_at("log.file.level = debug\nlog.queue.level = critical\n", LOG_CATEGORY_QUEUE, true),
                 LOG_LEVEL_CRITICAL);
    cr_expect_eq(level_at("log.console = false\nlog.console.level = debug\n", LOG_CATEGORY_QUEUE, false),
                 LOG_LEVEL_NONE);
}

Test(config, path_of_the_log)
{
    struct log_settings settings;
    char *file;

    load("log.file = a.log\n");
    config_log_settings(&config, &settings, &file);
    cr_expect_str_eq(file, "/var/log/coney/a.log");
    free(file);
    config_free(&config);
    load("log.dir = /x\nlog.file = /y/b.log\n");
    config_log_settings(&config, &settings, &file);
    cr_expect_str_eq(file, "/y/b.log");
    free(file);
    config_free(&config);
    load("log.file = false\n");
    config_log_settings(&config, &settings, &file);
    cr_expect_null(file);
    config_free(&config);
}

/* ---- reading it again ---- */

static void note(void *context, const char *key, const char *before, const char *after, bool is_live)
{
    size_t used = strlen(reports);

    (void)context;
    snprintf(reports + used, sizeof reports - used, "%s %s: %s -> %s\n", is_live ? "live" : "restart", key,
             before, after);
}

Test(config, what_differs_is_told_and_what_needs_a_restart_is_set_back)
{
    struct config running;

    load("");
    running = config;
    load("heartbeat = 7\nthreads = 3\ndefault_pass = x\nlisteners.tcp.1 = [::1]:1\nlisteners.tcp.2 = /run/a\n"
         "loopback_users.bob = true\nauth_mechanisms.1 = PLAIN\nconnection_max = 5\nlog.level = error\n"
         "ssl_options.sni.a.b.certfile = /c\nssl_options.sni.a.b.keyfile = /k\nssl_options.ciphers.1 = X\n"
         "ssl_options.password = p\ndurability = relaxed\nvm_memory_high_watermark.relative = 0.5\n"
         "data_dir = /d\ntcp_listen_options.nodelay = false\n");
    reports[0] = '\0';
    cr_expect_eq(config_take_over(&config, &running, note, NULL), 16);
    cr_expect_str_eq(reports, "restart listeners.tcp.*: 127.0.0.1:5672 [::1]:5672 -> [::1]:1 /run/a\n"
                              "live tcp_listen_options.nodelay: true -> false\n"
                              "restart threads: 0 -> 3\n"
                              "live heartbeat: 60 -> 7\n"
                              "restart auth_mechanisms.*: PLAIN AMQPLAIN -> PLAIN\n"
                              "live connection_max: infinity -> 5\n"
                              "live vm_memory_high_watermark.relative: 0.4 -> 0.5\n"
                              "restart data_dir:  -> /d\n"
                              "restart durability: strict -> relaxed\n"
                              "live ssl_options.sni.*.certfile:  -> a.b:/c\n"
                              "live ssl_options.sni.*.keyfile:  -> a.b:/k\n"
                              "live ssl_options.password: ... -> ...\n"
                              "live ssl_options.ciphers.*:  -> X\n"
                              "restart default_pass: ... -> ...\n"
                              "restart loopback_users.*: guest -> guest bob\n"
                              "live log.level: info -> error\n");
    cr_expect_eq(config.heartbeat, 7);
    cr_expect_eq(config.threads, 0);
    cr_expect_str_eq(config.default_pass, "guest");
    cr_assert_eq(config.listener_count, 2);
    cr_expect_str_eq(config.listeners[0].host, "127.0.0.1");
    cr_expect_eq(config.loopback_users.count, 1);
    cr_expect_eq(config.auth_mechanisms.count, 2);
    cr_expect_not(config.durability_relaxed);
    reports[0] = '\0';
    config_free(&running);
    running = config;
    load("heartbeat = 7\n");
    config_take_over(&config, &running, note, NULL);
    reports[0] = '\0';
    cr_expect_eq(config_take_over(&config, &config, note, NULL), 0, "%s", reports);
    config_free(&running);
    config_free(&config);
}
