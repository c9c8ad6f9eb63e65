/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import of definitions.json (management-http-api.md section 4), and what a new node has without it.
 *
 * The vhosts here are stand-ins that write down what they are told, checking queues and policies with the
 * core's own functions; so what is seen is exactly what the import asks of a vhost.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "coney/defaults.h"
#include "coney/definitions.h"
#include "coney/table.h"
#include "coney/users.h"
#include "coney/vhost.h"

struct vhost {
    char name[64];
    struct policy_set *policies;
};

static struct vhost vhosts[4];
static size_t vhost_count;
static struct users *users;
static struct definitions_result result;
static char why[DEFINITIONS_WHY_SIZE];
static char told[8192];   /* what vhosts were told, a line each */
static char warned[4096]; /* warnings, a line each */

/* What was kept, as a catalog would have it. */
struct kept {
    char section[32], vhost[64], name[128];
    char json[512];
};

static struct kept kept[32];
static size_t kept_count;
static size_t keep_calls;

static void tell(const struct vhost *vhost, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(const struct vhost *vhost, const char *format, ...)
{
    size_t used = strlen(told);
    va_list arguments;

    used += (size_t)snprintf(told + used, sizeof told - used, "%s: ", vhost->name);
    va_start(arguments, format);
    used += (size_t)vsnprintf(told + used, sizeof told - used, format, arguments);
    va_end(arguments);
    snprintf(told + used, sizeof told - used, "\n");
}

/* ---- the stand-ins ---- */

static const char *arguments_text(struct bytes table)
{
    static char text[512];
    struct table_iterator iterator = table_begin(table);
    struct field field;
    struct bytes name;
    size_t used = 0;

    text[0] = '\0';
    while (table_next(&iterator, &name, &field)) {
        char value[64];

        field_format(value, sizeof value, &field);
        used += (size_t)snprintf(text + used, sizeof text - used, " %.*s=%s", BYTES_ARG(name), value);
    }
    return text;
}

struct bytes vhost_name(const struct vhost *vhost)
{
    return bytes_from_string(vhost->name);
}

bool vhost_declare_exchange(struct vhost *vhost, const struct exchange_spec *spec, struct reply_error *error)
{
    if (bytes_equal_string(spec->type, "x-unknown"))
        return reply_error_set(error, REPLY_PRECONDITION_FAILED, "unknown exchange type 'x-unknown'");
    if (bytes_equal_string(spec->name, "different"))
        return reply_error_check_flag(error, "durable", "exchange", spec->name,
                                      bytes_from_string(vhost->name), true, false);
    tell(vhost, "exchange %.*s %.*s%s%s%s%s", BYTES_ARG(spec->name), BYTES_ARG(spec->type),
         spec->durable ? " durable" : "", spec->auto_delete ? " auto-delete" : "",
         spec->internal ? " internal" : "", arguments_text(spec->arguments));
    return true;
}

bool vhost_declare_queue(struct vhost *vhost, const struct queue_spec *spec, struct reply_error *error)
{
    struct queue_declare declare = {
        .name = spec->name, .vhost = bytes_from_string(vhost->name), .durable = spec->durable};
    struct queue_options options;

    if (!queue_options_parse(&options, spec->arguments, &declare, error))
        return false;
    tell(vhost, "queue %.*s%s%s%s", BYTES_ARG(spec->name), spec->durable ? " durable" : "",
         spec->auto_delete ? " auto-delete" : "", arguments_text(spec->arguments));
    return true;
}

bool vhost_bind(struct vhost *vhost, const struct binding_spec *spec, struct reply_error *error)
{
    if (bytes_equal_string(spec->source, "missing"))
        return reply_error_set(error, REPLY_NOT_FOUND, "no exchange 'missing' in vhost '%s'", vhost->name);
    tell(vhost, "bind %.*s to %s %.*s with %.*s%s", BYTES_ARG(spec->source),
         spec->to_exchange ? "exchange" : "queue", BYTES_ARG(spec->destination), BYTES_ARG(spec->routing_key),
         arguments_text(spec->arguments));
    return true;
}

void vhost_set_permission(struct vhost *vhost, struct bytes user, struct bytes configure, struct bytes write,
                          struct bytes read)
{
    tell(vhost, "permission of %.*s: %.*s %.*s %.*s", BYTES_ARG(user), BYTES_ARG(configure), BYTES_ARG(write),
         BYTES_ARG(read));
}

void vhost_set_topic_permission(struct vhost *vhost, struct bytes user, struct bytes exchange,
                                struct bytes write, struct bytes read)
{
    tell(vhost, "topic permission of %.*s on %.*s: %.*s %.*s", BYTES_ARG(user), BYTES_ARG(exchange),
         BYTES_ARG(write), BYTES_ARG(read));
}

bool vhost_set_policy(struct vhost *vhost, enum policy_origin origin, const struct policy_spec *spec,
                      char reason[POLICY_WHY_SIZE])
{
    const struct policy *policy;

    if (!policy_set_put(vhost->policies, origin, spec, reason))
        return false;
    policy = policy_set_find(vhost->policies, origin, spec->name);
    tell(vhost, "%s policy %s on %s %s priority %d %s", origin == POLICY_USER ? "user" : "operator",
         policy->name, policy_apply_to_name(policy->apply_to), policy->pattern, (int)policy->priority,
         policy->json);
    return true;
}

void vhost_set_limits(struct vhost *vhost, int64_t connections_max, int64_t queues_max)
{
    tell(vhost, "limits %d %d", (int)connections_max, (int)queues_max);
}

void vhost_set_default_queue_type(struct vhost *vhost, enum queue_type type)
{
    tell(vhost, "default queue type %s", queue_type_name(type));
}

static struct vhost *find_vhost(void *context, struct bytes name)
{
    (void)context;
    for (size_t i = 0; i < vhost_count; i++) {
        if (bytes_equal_string(name, vhosts[i].name))
            return &vhosts[i];
    }
    return NULL;
}

static struct vhost *make_vhost(void *context, struct bytes name)
{
    struct vhost *vhost = &vhosts[vhost_count];

    (void)context;
    if (vhost_count == sizeof vhosts / sizeof vhosts[0])
        return NULL;
    snprintf(vhost->name, sizeof vhost->name, "%.*s", BYTES_ARG(name));
    vhost->policies = policy_set_new();
    vhost_count++;
    tell(vhost, "made");
    return vhost;
}

static void note_warning(void *context, const char *text)
{
    size_t used = strlen(warned);

    (void)context;
    snprintf(warned + used, sizeof warned - used, "%s\n", text);
}

static void keep(void *context, struct bytes section, struct bytes vhost, struct bytes name,
                 struct bytes json)
{
    struct kept entry, *same = kept;

    (void)context;
    keep_calls++;
    cr_assert_lt(kept_count, sizeof kept / sizeof kept[0]);
    snprintf(entry.section, sizeof entry.section, "%.*s", BYTES_ARG(section));
    snprintf(entry.vhost, sizeof entry.vhost, "%.*s", BYTES_ARG(vhost));
    snprintf(entry.name, sizeof entry.name, "%.*s", BYTES_ARG(name));
    snprintf(entry.json, sizeof entry.json, "%.*s", BYTES_ARG(json));
    while (same < kept + kept_count &&
           (strcmp(same->section, entry.section) != 0 || strcmp(same->vhost, entry.vhost) != 0 ||
            strcmp(same->name, entry.name) != 0))
        same++;
    kept_count += same == kept + kept_count;
    *same = entry;
}

static const struct definitions_target *target(void)
{
    static struct definitions_target target;

    target = (struct definitions_target){.users = users,
                                         .find_vhost = find_vhost,
                                         .make_vhost = make_vhost,
                                         .warn = note_warning,
                                         .keep = keep};
    return &target;
}

static void set_up(void)
{
    users = users_new(NULL, 0);
    make_vhost(NULL, BYTES_LITERAL("/"));
    told[0] = '\0';
}

static void forget_all(void)
{
    for (size_t i = 0; i < vhost_count; i++)
        policy_set_free(vhosts[i].policies);
    vhost_count = 0;
    free(result.cluster_name);
    result = (struct definitions_result){0};
    users_free(users);
    users = NULL;
}

static void tear_down(void)
{
    forget_all();
}

TestSuite(definitions, .init = set_up, .fini = tear_down);

static bool import(const char *text)
{
    return definitions_import(target(), text, strlen(text), &result, why);
}

static void expect_told(const char *text, const char *expected)
{
    cr_assert(import(text), "%s", why);
    cr_expect_str_eq(told, expected);
}

static void expect_refused(const char *text, const char *reason)
{
    cr_assert_not(import(text), "expected: %s", reason);
    cr_expect_str_eq(why, reason);
}

/* ---- sections ---- */

Test(definitions, empty_definitions_change_nothing)
{
    expect_told("{}", "");
    expect_told("{\"rabbit_version\":\"3.13.7\",\"users\":[],\"explanation\":\"ignored\"}", "");
    cr_expect_eq(result.users, 0);
}

Test(definitions, users_come_with_their_hashes_tags_and_limits)
{
    struct password_secret secret;
    struct user_info info;

    cr_assert(
        import("{\"users\":["
               "{\"name\":\"a\",\"password_hash\":\"AQIDBPz2BxsoYAejC20L5jBFA2QeHfE37z+YMzLHDYAOjc7F\","
               "\"hashing_algorithm\":\"rabbit_password_hashing_sha256\",\"tags\":[\"administrator\",\"x\"],"
               "\"limits\":{\"max-connections\":3}},"
               "{\"name\":\"b\",\"password\":\"word\",\"tags\":\"monitoring, policymaker,\",\"limits\":[]},"
               "{\"name\":\"c\",\"password_hash\":\"\"},"
               "{\"name\":\"d\",\"password\":\"w\",\"administrator\":\"true\"},"
               "{\"name\":\"e\",\"password\":\"w\",\"administrator\":\"false\"}]}"),
        "%s", why);
    cr_expect_eq(result.users, 5);
    cr_assert(users_get(users, BYTES_LITERAL("a"), &info));
    cr_expect(user_info_has_tag(&info, "administrator") && user_info_has_tag(&info, "x"));
    cr_expect_eq(info.max_connections, 3);
    cr_expect_eq(info.max_channels, USER_LIMIT_NONE);
    cr_expect_str_eq(info.password_hash, "AQIDBPz2BxsoYAejC20L5jBFA2QeHfE37z+YMzLHDYAOjc7F");
    user_info_free(&info);

    cr_assert(users_get(users, BYTES_LITERAL("d"), &info));
    cr_expect(user_info_has_tag(&info, "administrator"));
    user_info_free(&info);
    cr_assert(users_get(users, BYTES_LITERAL("e"), &info));
    cr_expect_eq(info.tag_count, 0);
    user_info_free(&info);

    cr_assert(users_secret(users, BYTES_LITERAL("b"), &secret));
    cr_expect(password_matches(&secret, BYTES_LITERAL("word")));
    cr_assert(users_get(users, BYTES_LITERAL("b"), &info));
    cr_expect_eq(info.tag_count, 2);
    cr_expect(user_info_has_tag(&info, "monitoring") && user_info_has_tag(&info, "policymaker"));
    user_info_free(&info);
}

Test(definitions, algorithm_of_an_old_hash_is_known_by_its_length)
{
    struct user_info info;

    cr_assert(import("{\"users\":[{\"name\":\"a\",\"password_hash\":\"AQIDBAAAAAAAAAAAAAAAAAAAAAA=\"}]}"),
              "%s", why);
    cr_assert(users_get(users, BYTES_LITERAL("a"), &info));
    cr_expect_eq(info.hashing, PASSWORD_MD5);
    user_info_free(&info);
}

Test(definitions, vhosts_are_made_with_their_metadata)
{
    expect_told(
        "{\"vhosts\":[{\"name\":\"/\"},{\"name\":\"v\",\"metadata\":{\"default_queue_type\":\"quorum\"},"
        "\"limits\":{\"max-queues\":5}},{\"name\":\"w\",\"default_queue_type\":\"undefined\",\"limits\":[]}]"
        "}",
        "v: made\nv: default queue type quorum\nv: limits -1 5\nw: made\nw: limits -1 -1\n");
    cr_expect_eq(result.vhosts, 3);
}

Test(definitions, permissions)
{
    expect_told("{\"users\":[{\"name\":\"u\"}],"
                "\"permissions\":[{\"user\":\"u\",\"vhost\":\"/"
                "\",\"configure\":\"^c\",\"write\":\"\",\"read\":\".*\"}],"
                "\"topic_permissions\":[{\"user\":\"u\",\"vhost\":\"/\",\"exchange\":\"amq.topic\","
                "\"write\":\"^{username}\",\"read\":\".*\"}]}",
                "/: permission of u: ^c  .*\n/: topic permission of u on amq.topic: ^{username} .*\n");
}

Test(definitions, policies_of_users_and_operators)
{
    expect_told("{\"policies\":[{\"vhost\":\"/\",\"name\":\"p\",\"pattern\":\"^q\",\"apply-to\":\"queues\","
                "\"definition\":{\"max-length\":5},\"priority\":2}],"
                "\"parameters\":[{\"component\":\"operator_policy\",\"vhost\":\"/\",\"name\":\"o\",\"value\":"
                "{\"pattern\":\".*\",\"definition\":{\"expires\":9},\"priority\":0}},"
                "{\"component\":\"vhost-limits\",\"vhost\":\"/\",\"name\":\"limits\","
                "\"value\":{\"max-connections\":7}}]}",
                "/: user policy p on queues ^q priority 2 {\"max-length\":5}\n"
                "/: operator policy o on all .* priority 0 {\"expires\":9}\n"
                "/: limits 7 -1\n");
}

Test(definitions, topology)
{
    expect_told(
        "{\"bindings\":[{\"source\":\"x\",\"vhost\":\"/"
        "\",\"destination\":\"q\",\"destination_type\":\"queue\","
        "\"routing_key\":\"k\",\"arguments\":{\"n\":1}},"
        "{\"source\":\"x\",\"vhost\":\"/\",\"destination\":\"amq.fanout\",\"destination_type\":\"exchange\","
        "\"routing_key\":\"\",\"arguments\":{}},"
        "{\"source\":\"\",\"vhost\":\"/\",\"destination\":\"q\",\"routing_key\":\"q\"}],"
        "\"queues\":[{\"name\":\"q\",\"vhost\":\"/\",\"durable\":true,\"auto_delete\":false,"
        "\"arguments\":{\"x-max-length\":3}},"
        "{\"name\":\"r\",\"vhost\":\"/\",\"durable\":true,\"type\":\"quorum\",\"arguments\":[]}],"
        "\"exchanges\":[{\"name\":\"x\",\"vhost\":\"/\",\"type\":\"topic\",\"durable\":\"true\","
        "\"auto_delete\":true,\"internal\":true,\"arguments\":{\"alternate-exchange\":\"ae\"}}]}",
        "/: exchange x topic durable auto-delete internal alternate-exchange=ae\n"
        "/: queue q durable x-max-length=3\n"
        "/: queue r durable x-queue-type=quorum\n"
        "/: bind x to queue q with k n=1\n"
        "/: bind x to exchange amq.fanout with \n");
    cr_expect_eq(result.exchanges, 1);
    cr_expect_eq(result.queues, 2);
    cr_expect_eq(result.bindings, 2);
}

Test(definitions, cluster_name_is_given_back)
{
    cr_assert(import("{\"global_parameters\":[{\"name\":\"internal_cluster_id\",\"value\":\"x\"},"
                     "{\"name\":\"cluster_name\",\"value\":\"rabbit@h\"}]}"));
    cr_expect_str_eq(result.cluster_name, "rabbit@h");
}

/* ---- what is skipped ---- */

Test(definitions, what_rabbitmq_skips_is_skipped_with_a_warning)
{
    cr_assert(
        import("{\"exchanges\":[{\"name\":\"different\",\"vhost\":\"/\",\"type\":\"direct\"}],"
               "\"bindings\":[{\"source\":\"missing\",\"vhost\":\"/\",\"destination\":\"q\","
               "\"destination_type\":\"queue\",\"routing_key\":\"\"}],"
               "\"parameters\":[{\"component\":\"shovel\",\"vhost\":\"/\",\"name\":\"s\",\"value\":{}}]}"),
        "%s", why);
    cr_expect_str_eq(
        warned, "exchanges[0]: skipped: inequivalent arg 'durable' for exchange 'different' in vhost '/': "
                "received 'true' but current is 'false'\n"
                "bindings[0]: skipped: no exchange 'missing' in vhost '/'\n"
                "parameters[0]: skipped: there is no component 'shovel'\n");
    cr_expect_eq(result.exchanges, 0);
    cr_expect_eq(result.bindings, 0);
}

/* ---- what is wrong ---- */

Test(definitions, broken_json_is_located)
{
    expect_refused("{\n\"users\": [,]\n}", "line 2, column 11: unexpected token near ','");
    expect_refused("{\"users\":[],\"users\":[]}", "line 1, column 19: duplicate object key near '\"users\"'");
    expect_refused("[]", "should be a JSON object");
    cr_assert_not(import(""));
}

Test(definitions, wrong_shapes_say_where)
{
    expect_refused("{\"users\":{}}", "users: should be an array");
    expect_refused("{\"users\":[{\"name\":\"a\"},1]}", "users[1]: should be an object");
    expect_refused("{\"users\":[{}]}", "users[0]: 'name' is missing");
    expect_refused("{\"users\":[{\"name\":1}]}", "users[0]: 'name' should be a string");
    expect_refused("{\"users\":[{\"name\":\"a\",\"tags\":[1]}]}",
                   "users[0]: 'tags' should be an array of strings");
    expect_refused("{\"users\":[{\"name\":\"a\",\"limits\":{\"max-channels\":\"1\"}}]}",
                   "users[0]: 'max-channels' should be an integer");
    expect_refused("{\"users\":[{\"name\":\"a\",\"password\":\"\"}]}",
                   "users[0]: user 'a': blank passwords are not accepted");
    expect_refused("{\"users\":[{\"name\":\"a\",\"password_hash\":\"x\"}]}",
                   "users[0]: user 'a': password_hash is not the base64 of a salt of 4 octets and a hash");
    expect_refused("{\"users\":[{\"name\":\"a\",\"password_hash\":\"\",\"hashing_algorithm\":\"sha1\"}]}",
                   "users[0]: 'hashing_algorithm' 'sha1' is not known");
    expect_refused("{\"vhosts\":[{\"name\":\"\"}]}", "vhosts[0]: 'name' is empty");
    expect_refused("{\"vhosts\":[{\"name\":\"v\",\"default_queue_type\":\"stream\"}]}",
                   "vhosts[0]: 'default_queue_type' 'stream' is not supported");
    expect_refused("{\"parameters\":[{\"vhost\":\"/\",\"component\":\"vhost-limits\",\"name\":\"limits\"}]}",
                   "parameters[0]: 'value' is missing");
    expect_refused("{\"parameters\":[{\"vhost\":\"/\",\"component\":\"shovel\",\"name\":\"s\"}]}",
                   "parameters[0]: 'value' is missing");
    expect_refused("{\"queues\":[{\"name\":\"q\"}]}", "queues[0]: 'vhost' is missing");
    expect_refused("{\"queues\":[{\"name\":\"q\",\"vhost\":\"nope\"}]}",
                   "queues[0]: there is no vhost 'nope'");
    expect_refused("{\"queues\":[{\"name\":\"q\",\"vhost\":\"/\",\"durable\":\"yes\"}]}",
                   "queues[0]: 'durable' should be true or false");
    expect_refused("{\"queues\":[{\"name\":\"q\",\"vhost\":\"/\",\"arguments\":[1]}]}",
                   "queues[0]: 'arguments' should be an object");
    expect_refused("{\"queues\":[{\"name\":\"q\",\"vhost\":\"/\",\"arguments\":{\"a\":[[[[[[[[[]]]]]]]]]}}]}",
                   "queues[0]: 'arguments': nested deeper than 8 levels");
    expect_refused("{\"permissions\":[{\"user\":\"x\",\"vhost\":\"/\"}]}",
                   "permissions[0]: there is no user 'x'");
    expect_refused(
        "{\"users\":[{\"name\":\"u\"}],\"permissions\":[{\"user\":\"u\",\"vhost\":\"/\","
        "\"configure\":\"(\",\"write\":\"\",\"read\":\"\"}]}",
        "permissions[0]: 'configure' is no valid pattern: missing closing parenthesis at offset 1");
    expect_refused("{\"bindings\":[{\"source\":\"x\",\"vhost\":\"/\",\"destination\":\"q\","
                   "\"destination_type\":\"stream\",\"routing_key\":\"\"}]}",
                   "bindings[0]: 'destination_type' should be queue or exchange");
    expect_refused("{\"policies\":[{\"vhost\":\"/\",\"name\":\"p\",\"pattern\":\"\",\"definition\":{}}]}",
                   "policies[0]: policy 'p': no policy provided");
    expect_refused("{\"policies\":[{\"vhost\":\"/\",\"name\":\"p\",\"pattern\":\"\",\"priority\":\"1\","
                   "\"definition\":{\"max-length\":1}}]}",
                   "policies[0]: policy 'p': priority should be a number, actually was <<\"1\">>");
}

Test(definitions, what_coney_does_not_have_is_refused)
{
    expect_refused("{\"queues\":[{\"name\":\"s\",\"vhost\":\"/\",\"durable\":true,"
                   "\"arguments\":{\"x-queue-type\":\"stream\"}}]}",
                   "queues[0]: queue 's' in vhost '/': queue type 'stream' is not supported");
    expect_refused("{\"exchanges\":[{\"name\":\"x\",\"vhost\":\"/\",\"type\":\"x-unknown\"}]}",
                   "exchanges[0]: unknown exchange type 'x-unknown'");
}

Test(definitions, nothing_is_kept_of_a_failed_result)
{
    cr_assert_not(
        import("{\"global_parameters\":[{\"name\":\"cluster_name\",\"value\":\"c\"}],\"queues\":[1]}"));
    cr_expect_null(result.cluster_name);
}

/* ---- defaults ---- */

static void ignore_report(void *context, const char *text)
{
    (void)context;
    (void)text;
}

/* Make the defaults with one override of the configuration. */
static bool make_defaults(const char *override, const struct definitions_result *imported)
{
    struct config config;
    bool done;

    cr_assert(config_load(&config, &(struct config_source){NULL, NULL, &override, override != NULL},
                          ignore_report, NULL));
    done = defaults_make(target(), &config, imported, why);
    config_free(&config);
    return done;
}

Test(definitions, new_node_has_guest_with_all_rights)
{
    struct password_secret secret;
    struct user_info info;

    cr_expect(make_defaults(NULL, NULL), "%s", why);
    cr_expect_str_eq(told, "/: permission of guest: .* .* .*\n");
    cr_assert(users_secret(users, BYTES_LITERAL("guest"), &secret));
    cr_expect(password_matches(&secret, BYTES_LITERAL("guest")));
    cr_assert(users_get(users, BYTES_LITERAL("guest"), &info));
    cr_expect(user_info_has_tag(&info, "administrator"));
    cr_expect_eq(info.max_connections, USER_LIMIT_NONE);
    user_info_free(&info);
}

Test(definitions, imported_users_replace_guest)
{
    struct definitions_result imported = {.users = 1, .vhosts = 1};

    cr_expect(make_defaults("default_vhost=v", &imported));
    cr_expect_str_eq(told, "");
    imported.vhosts = 0;
    cr_expect(make_defaults("default_vhost=v", &imported));
    cr_expect_str_eq(told, "v: made\n");
    cr_expect_eq(users_count(users), 0);
}

Test(definitions, impossible_defaults_are_told)
{
    cr_expect_not(make_defaults("default_pass=", NULL));
    cr_expect_str_eq(why, "default_user 'guest': blank passwords are not accepted");
    cr_expect_not(make_defaults("default_permissions.write=(", NULL));
    cr_expect_str_eq(
        why, "default_permissions.write is no valid pattern: missing closing parenthesis at offset 1");
    cr_expect(make_defaults("default_user=", NULL), "no user is wanted then");
    cr_expect_eq(users_count(users), 0);
}

/* ---- what is kept ---- */

static const struct kept *find_kept(const char *section, const char *vhost, const char *name)
{
    for (size_t i = 0; i < kept_count; i++) {
        if (strcmp(kept[i].section, section) == 0 && strcmp(kept[i].vhost, vhost) == 0 &&
            strcmp(kept[i].name, name) == 0)
            return &kept[i];
    }
    return NULL;
}

static void expect_kept(const char *section, const char *vhost, const char *name, const char *json)
{
    const struct kept *entry = find_kept(section, vhost, name);

    cr_assert(entry != NULL, "%s %s %s", section, vhost, name);
    cr_expect_str_eq(entry->json, json);
}

static void put_back_one(const struct kept *entry)
{
    cr_expect(definitions_import_entry(target(), bytes_from_string(entry->section),
                                       bytes_from_string(entry->json), &result, why),
              "%s: %s", entry->json, why);
}

/* A fresh node of what was kept: users and vhosts first, all others from the last to the first. */
static void put_back(void)
{
    size_t count = kept_count, calls = keep_calls;

    forget_all();
    users = users_new(NULL, 0);
    told[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (strcmp(kept[i].section, "users") == 0 || strcmp(kept[i].section, "vhosts") == 0)
            put_back_one(&kept[i]);
    }
    for (size_t i = count; i-- > 0;) {
        if (strcmp(kept[i].section, "users") != 0 && strcmp(kept[i].section, "vhosts") != 0)
            put_back_one(&kept[i]);
    }
    cr_expect_eq(keep_calls, calls, "what is put back is not kept again");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of TEXT in order: what two vhosts were told, whatever came first. */
static char *sorted_lines(const char *text)
{
    char *copy = strdup(text), *rest = copy, *lines[128], *line, *out = calloc(1, strlen(text) + 2);
    size_t count = 0;

    while ((line = strsep(&rest, "\n")) != NULL && count < 128)
        lines[count++] = line;
    qsort(lines, count, sizeof lines[0], by_text);
    for (size_t i = 0; i < count; i++)
        strcat(strcat(out, lines[i]), "\n");
    free(copy);
    return out;
}

static void expect_same_users(const struct user_info *before, size_t before_count)
{
    size_t count;
    struct user_info *after = users_list(users, &count);

    cr_assert_eq(count, before_count);
    for (size_t i = 0; i < count; i++) {
        cr_expect(bytes_equal(after[i].name, before[i].name));
        cr_expect_str_eq(after[i].password_hash, before[i].password_hash);
        cr_expect_eq(after[i].hashing, before[i].hashing);
        cr_expect_eq(after[i].max_connections, before[i].max_connections);
        cr_expect_eq(after[i].max_channels, before[i].max_channels);
        cr_assert_eq(after[i].tag_count, before[i].tag_count);
        for (size_t j = 0; j < after[i].tag_count; j++)
            cr_expect_str_eq(after[i].tags[j], before[i].tags[j]);
        user_info_free(&after[i]);
    }
    free(after);
}

static const char everything[] =
    "{\"users\":[{\"name\":\"a\",\"password_hash\":\"AQIDBAAAAAAAAAAAAAAAAAAAAAA=\",\"tags\":[\"x\",\"y\"],"
    "\"limits\":{\"max-connections\":3}},"
    "{\"name\":\"b\",\"password\":\"word\",\"tags\":\"monitoring, policymaker\"},"
    "{\"name\":\"c\",\"password_hash\":\"\",\"limits\":{\"max-channels\":0}}],"
    "\"vhosts\":[{\"name\":\"v\",\"metadata\":{\"default_queue_type\":\"quorum\"},\"limits\":{\"max-queues\":"
    "5}},"
    "{\"name\":\"w\",\"limits\":[]},{\"name\":\"\\u00e4\",\"default_queue_type\":\"classic\"}],"
    "\"permissions\":[{\"user\":\"a\",\"vhost\":\"v\",\"configure\":\"^c\",\"write\":\"\",\"read\":\".*\"},"
    "{\"user\":\"a\",\"vhost\":\"w\",\"configure\":\"\",\"write\":\"\",\"read\":\"\"},"
    "{\"user\":\"b\",\"vhost\":\"v\",\"configure\":\"\",\"write\":\"^\\\\d\",\"read\":\"\"}],"
    "\"topic_permissions\":[{\"user\":\"a\",\"vhost\":\"v\",\"exchange\":\"amq.topic\",\"write\":\"w\","
    "\"read\":\"r\"},{\"user\":\"a\",\"vhost\":\"v\",\"exchange\":\"\",\"write\":\"1\",\"read\":\"2\"}],"
    "\"global_parameters\":[{\"name\":\"cluster_name\",\"value\":\"rabbit@h\"}],"
    "\"policies\":[{\"vhost\":\"v\",\"name\":\"p\",\"pattern\":\"^q\",\"apply-to\":\"queues\","
    "\"definition\":{\"max-length\":5,\"overflow\":\"reject-publish\"},\"priority\":2},"
    "{\"vhost\":\"w\",\"name\":\"p\",\"pattern\":\"\",\"definition\":{\"expires\":1}}],"
    "\"parameters\":[{\"component\":\"operator_policy\",\"vhost\":\"v\",\"name\":\"p\",\"value\":"
    "{\"pattern\":\".*\",\"definition\":{\"expires\":9},\"priority\":1.0}},"
    "{\"component\":\"vhost-limits\",\"vhost\":\"\\u00e4\",\"name\":\"limits\",\"value\":{\"max-"
    "connections\":7}}]}";

Test(definitions, everything_kept_makes_the_same_node_again)
{
    size_t count;
    struct user_info *before;
    char *told_before, *told_after;

    cr_assert(import(everything), "%s", why);
    before = users_list(users, &count);
    told_before = sorted_lines(told);
    put_back();
    told_after = sorted_lines(told);
    cr_expect_str_eq(told_after, told_before);
    expect_same_users(before, count);
    cr_expect_str_eq(result.cluster_name, "rabbit@h");
    cr_expect_eq(result.users, 3, "so that the default user is not made");
    cr_expect_eq(result.vhosts, 3);
    for (size_t i = 0; i < count; i++)
        user_info_free(&before[i]);
    free(before);
    free(told_before);
    free(told_after);
}

Test(definitions, each_thing_is_kept_under_its_own_key)
{
    static const char *const keys[][3] = {
        {"users", "", "a"},
        {"users", "", "b"},
        {"users", "", "c"},
        {"vhosts", "", "v"},
        {"vhosts", "", "w"},
        {"vhosts", "", "\u00e4"},
        {"permissions", "v", "a"},
        {"permissions", "w", "a"},
        {"permissions", "v", "b"},
        {"topic_permissions", "v", "a\namq.topic"},
        {"topic_permissions", "v", "a\n"},
        {"global_parameters", "", "cluster_name"},
        {"policies", "v", "p"},
        {"policies", "w", "p"},
        {"parameters", "v", "operator_policy\np"},
        {"parameters", "v", "vhost-limits\nlimits"},
        {"parameters", "w", "vhost-limits\nlimits"},
        {"parameters", "\u00e4", "vhost-limits\nlimits"},
    };

    cr_assert(import(everything), "%s", why);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        cr_expect_not_null(find_kept(keys[i][0], keys[i][1], keys[i][2]), "%s %s %s", keys[i][0], keys[i][1],
                           keys[i][2]);
    cr_expect_eq(kept_count, sizeof keys / sizeof keys[0]);
    for (size_t i = 0; i < kept_count; i++)
        cr_expect_null(strstr(kept[i].json, "\"word\""), "a password is never kept");
}

Test(definitions, names_with_ends_of_lines_are_kept_apart)
{
    size_t before;

    cr_assert(import("{\"vhosts\":[{\"name\":\"v\"}],\"users\":[{\"name\":\"a\",\"password\":\"p\"},"
                     "{\"name\":\"a\\nb\",\"password\":\"p\"}]}"),
              "%s", why);
    before = kept_count;
    cr_assert(import("{\"topic_permissions\":[{\"user\":\"a\\nb\",\"vhost\":\"v\",\"exchange\":\"c\","
                     "\"write\":\"\",\"read\":\"\"},{\"user\":\"a\",\"vhost\":\"v\",\"exchange\":\"b\\nc\","
                     "\"write\":\"\",\"read\":\"\"}]}"),
              "%s", why);
    cr_expect_eq(kept_count, before + 2);
}

Test(definitions, last_word_is_kept)
{
    cr_assert(import("{\"vhosts\":[{\"name\":\"v\",\"default_queue_type\":\"quorum\",\"limits\":"
                     "{\"max-queues\":5}}]}"));
    cr_assert(import("{\"vhosts\":[{\"name\":\"v\"}],\"parameters\":[{\"component\":\"vhost-limits\","
                     "\"vhost\":\"v\",\"name\":\"other\",\"value\":{\"max-queues\":6}}]}"));
    expect_kept("vhosts", "", "v", "{\"name\":\"v\",\"default_queue_type\":\"quorum\"}");
    expect_kept("parameters", "v", "vhost-limits\nlimits",
                "{\"vhost\":\"v\",\"component\":\"vhost-limits\",\"name\":\"limits\","
                "\"value\":{\"max-queues\":6}}");
    cr_expect_eq(kept_count, 2);
    cr_assert(import("{\"vhosts\":[{\"name\":\"v\",\"default_queue_type\":\"classic\"}]}"));
    expect_kept("vhosts", "", "v", "{\"name\":\"v\",\"default_queue_type\":\"classic\"}");
}

Test(definitions, what_is_skipped_or_refused_is_not_kept)
{
    cr_assert(import("{\"parameters\":[{\"component\":\"shovel\",\"vhost\":\"/\",\"name\":\"s\","
                     "\"value\":{}}]}"));
    cr_assert_not(import("{\"policies\":[{\"vhost\":\"/\",\"name\":\"p\",\"pattern\":\"\","
                         "\"definition\":{}}]}"));
    cr_assert_not(import("{\"users\":[{\"name\":\"a\",\"password\":\"\"}]}"));
    cr_expect_eq(kept_count, 0);
}

Test(definitions, defaults_are_kept)
{
    struct password_secret secret;
    struct user_info info;

    cr_expect(make_defaults("default_vhost=v", NULL), "%s", why);
    cr_expect_eq(kept_count, 3);
    expect_kept("vhosts", "", "v", "{\"name\":\"v\"}");
    put_back();
    cr_expect_str_eq(told, "v: made\nv: permission of guest: .* .* .*\n");
    cr_assert(users_secret(users, BYTES_LITERAL("guest"), &secret));
    cr_expect(password_matches(&secret, BYTES_LITERAL("guest")));
    cr_assert(users_get(users, BYTES_LITERAL("guest"), &info));
    cr_expect(user_info_has_tag(&info, "administrator"));
    user_info_free(&info);
}

static void expect_entry_refused(const char *section, const char *json, const char *reason)
{
    cr_expect_not(definitions_import_entry(target(), bytes_from_string(section), bytes_from_string(json),
                                           &result, why));
    cr_expect_str_eq(why, reason);
}

Test(definitions, bad_entries)
{
    expect_entry_refused("queues", "{}", "there is no section 'queues' whose entries are kept");
    expect_entry_refused("", "{}", "there is no section '' whose entries are kept");
    expect_entry_refused("users", "{", "line 1, column 1: string or '}' expected near end of file");
    expect_entry_refused("users", "[]", "users: should be an object");
    expect_entry_refused("users", "{}", "users: 'name' is missing");
    expect_entry_refused("permissions", "{\"user\":\"u\"}", "permissions: 'vhost' is missing");
}

/* ---- files ---- */

Test(definitions, file_is_loaded)
{
    char path[] = "/tmp/coney-definitions-XXXXXX", reason[DEFINITIONS_WHY_SIZE];
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "{\"users\":[{\"name\":\"u\"}]}", 24), 24);
    cr_expect(definitions_load(target(), path, &result, why), "%s", why);
    cr_expect_eq(users_count(users), 1);
    cr_assert_eq(write(fd, "x", 1), 1);
    cr_expect_not(definitions_load(target(), path, &result, why));
    snprintf(reason, sizeof reason, "%s: line 1, column 25: end of file expected near 'x'", path);
    cr_expect_str_eq(why, reason);
    close(fd);
    unlink(path);
}

Test(definitions, unreadable_files)
{
    cr_expect_not(definitions_load(target(), "/nonexistent", &result, why));
    cr_expect_str_eq(why, "/nonexistent: cannot be read: No such file or directory");
    cr_expect_not(definitions_load(target(), "/tmp", &result, why));
    cr_expect_str_eq(why, "/tmp: cannot be read: Is a directory");
}

/* ---- while vhosts are in use ---- */

static unsigned visits;

/* What a running node does: only the vhost that is visited may be touched. */
static bool inside(void *context, struct bytes name, void (*work)(struct vhost *vhost, void *argument),
                   void *argument)
{
    struct vhost *vhost = find_vhost(context, name);

    visits++;
    if (vhost)
        work(vhost, argument);
    return vhost != NULL;
}

static bool import_inside(const char *text, const char *vhost)
{
    struct definitions_target running = *target();
    json_t *root = json_loads(text, 0, NULL);
    bool done;

    cr_assert_not_null(root);
    running.inside = inside;
    visits = 0;
    done = definitions_import_json(&running, root, bytes_from_string(vhost), &result, why);
    json_decref(root);
    return done;
}

Test(definitions, entries_of_one_vhost_are_taken_in_one_visit)
{
    cr_expect(import_inside("{\"vhosts\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"queues\":["
                            "{\"vhost\":\"a\",\"name\":\"1\"},{\"vhost\":\"a\",\"name\":\"2\"},"
                            "{\"vhost\":\"b\",\"name\":\"3\"},{\"vhost\":\"a\",\"name\":\"4\"}]}",
                            ""),
              "%s", why);
    cr_expect_str_eq(told, "a: made\nb: made\na: queue 1\na: queue 2\nb: queue 3\na: queue 4\n");
    cr_expect_eq(visits, 2 + 3);
}

Test(definitions, what_is_wrong_inside_says_where)
{
    cr_expect_not(import_inside("{\"vhosts\":[{\"name\":\"a\"}],\"queues\":[{\"vhost\":\"a\",\"name\":\"1\"},"
                                "{\"vhost\":\"a\",\"name\":5},{\"vhost\":\"a\",\"name\":\"3\"}]}",
                                ""));
    cr_expect_str_eq(why, "queues[1]: 'name' should be a string");
    cr_expect_not(import_inside("{\"queues\":[{\"vhost\":\"c\",\"name\":\"1\"}]}", ""));
    cr_expect_str_eq(why, "queues[0]: there is no vhost 'c'");
    cr_expect_not(import_inside("{\"queues\":[{\"name\":\"1\"}]}", ""));
    cr_expect_str_eq(why, "queues[0]: 'vhost' is missing");
}

Test(definitions, all_goes_to_the_vhost_that_is_named)
{
    cr_assert(import_inside("{\"vhosts\":[{\"name\":\"a\"},{\"name\":\"b\"}]}", ""));
    told[0] = '\0';
    cr_expect(
        import_inside("{\"users\":[{\"name\":\"u\"}],\"vhosts\":[{\"name\":\"c\"}],\"queues\":["
                      "{\"name\":\"1\"},{\"vhost\":\"b\",\"name\":\"2\"}],"
                      "\"policies\":[{\"name\":\"p\",\"pattern\":\"x\",\"definition\":{\"expires\":5}}]}",
                      "a"),
        "%s", why);
    cr_expect_str_eq(told, "a: user policy p on all x priority 0 {\"expires\":5}\na: queue 1\na: queue 2\n");
    cr_expect_eq(users_count(users), 0);
    cr_expect_str_eq(kept[kept_count - 1].vhost, "a");
}
