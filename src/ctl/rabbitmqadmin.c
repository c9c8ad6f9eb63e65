/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmqadmin's verbs. What may be declared and deleted stands in tables: which keys there are, which must
 * be given, what the others are if they are not, and the path. Values go to the broker as strings, which it
 * takes for booleans.
 */
#include "rabbitmqadmin.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"
#include "ctl_http.h"
#include "files.h"
#include "terms.h"
#include "verbs.h"

#define KEYS_MAX 8

struct key {
    const char *name;
    const char *value;                                     /* if it is not given; NULL: not sent then */
    enum { KEY_OPTIONAL, KEY_MANDATORY, KEY_EITHER } need; /* either: one of two of these */
    bool is_json;
};

struct object {
    const char *name;
    const char *path; /* {key} stands for a key's value */
    struct key keys[KEYS_MAX];
};

struct listed {
    const char *name;
    bool is_of_vhost;
    const char *columns[5];   /* by default; none: all */
    const char *json_keys[2]; /* shown as JSON */
};

#define MUST(name)                       \
    {                                    \
        name, NULL, KEY_MANDATORY, false \
    }
#define MAY(name, value)                 \
    {                                    \
        name, value, KEY_OPTIONAL, false \
    }
#define JSON(name, value)               \
    {                                   \
        name, value, KEY_OPTIONAL, true \
    }

static const struct object declarable[] = {
    {"exchange",
     "/exchanges/{vhost}/{name}",
     {MUST("name"), MUST("type"), MAY("auto_delete", "false"), MAY("durable", "true"),
      MAY("internal", "false"), JSON("arguments", "{}")}},
    {"queue",
     "/queues/{vhost}/{name}",
     {MUST("name"), MAY("auto_delete", "false"), MAY("durable", "true"), JSON("arguments", "{}"),
      MAY("node", NULL), MAY("queue_type", NULL)}},
    {"binding",
     "/bindings/{vhost}/e/{source}/{destination_char}/{destination}",
     {MUST("source"), MUST("destination"), MAY("destination_type", "queue"), MAY("routing_key", ""),
      JSON("arguments", "{}")}},
    {"vhost", "/vhosts/{name}", {MUST("name"), MAY("tracing", NULL)}},
    {"user",
     "/users/{name}",
     {MUST("name"),
      {"password", NULL, KEY_EITHER, false},
      {"password_hash", NULL, KEY_EITHER, false},
      MUST("tags"),
      MAY("hashing_algorithm", NULL)}},
    {"permission",
     "/permissions/{vhost}/{user}",
     {MUST("vhost"), MUST("user"), MUST("configure"), MUST("write"), MUST("read")}},
    {"parameter",
     "/parameters/{component}/{vhost}/{name}",
     {MUST("component"), MUST("name"), {"value", NULL, KEY_MANDATORY, true}}},
    {"policy",
     "/policies/{vhost}/{name}",
     {MUST("name"),
      MUST("pattern"),
      {"definition", NULL, KEY_MANDATORY, true},
      JSON("priority", "0"),
      MAY("apply-to", NULL)}},
    {"operator_policy",
     "/operator-policies/{vhost}/{name}",
     {MUST("name"),
      MUST("pattern"),
      {"definition", NULL, KEY_MANDATORY, true},
      JSON("priority", "0"),
      MAY("apply-to", NULL)}},
    {"vhost_limit",
     "/vhost-limits/{vhost}/{name}",
     {MUST("vhost"), MUST("name"), {"value", NULL, KEY_MANDATORY, true}}},
    {0},
};

static const struct object deletable[] = {
    {"exchange", "/exchanges/{vhost}/{name}", {MUST("name")}},
    {"queue", "/queues/{vhost}/{name}", {MUST("name")}},
    {"binding",
     "/bindings/{vhost}/e/{source}/{destination_char}/{destination}/{properties_key}",
     {MUST("source"), MUST("destination_type"), MUST("destination"), MAY("properties_key", "~")}},
    {"vhost", "/vhosts/{name}", {MUST("name")}},
    {"user", "/users/{name}", {MUST("name")}},
    {"permission", "/permissions/{vhost}/{user}", {MUST("vhost"), MUST("user")}},
    {"parameter", "/parameters/{component}/{vhost}/{name}", {MUST("component"), MUST("name")}},
    {"policy", "/policies/{vhost}/{name}", {MUST("name")}},
    {"operator_policy", "/operator-policies/{vhost}/{name}", {MUST("name")}},
    {"vhost_limit", "/vhost-limits/{vhost}/{name}", {MUST("vhost"), MUST("name")}},
    {0},
};

static const struct object closable[] = {{"connection", "/connections/{name}", {MUST("name")}}, {0}};
static const struct object purgable[] = {{"queue", "/queues/{vhost}/{name}/contents", {MUST("name")}}, {0}};

static const struct object publishable = {"publish",
                                          "/exchanges/{vhost}/{exchange}/publish",
                                          {MUST("routing_key"), MAY("payload", NULL),
                                           JSON("properties", "{}"), MAY("exchange", "amq.default"),
                                           MAY("payload_encoding", "string")}};
static const struct object gettable = {"get",
                                       "/queues/{vhost}/{queue}/get",
                                       {MUST("queue"), MAY("count", "1"), MAY("ackmode", "ack_requeue_true"),
                                        MAY("payload_file", NULL), MAY("encoding", "auto")}};

static const struct listed listable[] = {
    {"connections", false, {"name", "user", "channels"}, {NULL}},
    {"channels", false, {"name", "user"}, {NULL}},
    {"consumers", true, {NULL}, {NULL}},
    {"exchanges", true, {"name", "type"}, {NULL}},
    {"queues", true, {"name", "messages"}, {NULL}},
    {"bindings", true, {"source", "destination", "routing_key"}, {NULL}},
    {"users", false, {NULL}, {NULL}},
    {"vhosts", false, {"name", "messages"}, {NULL}},
    {"permissions", false, {NULL}, {NULL}},
    {"nodes", false, {"name", "type", "mem_used"}, {NULL}},
    {"parameters", false, {NULL}, {"value"}},
    {"policies", false, {NULL}, {"definition"}},
    {"operator_policies", false, {NULL}, {"definition"}},
    {"vhost_limits", false, {NULL}, {"value"}},
    {0},
};

static const struct listed showable[] = {
    {"overview",
     false,
     {"rabbitmq_version", "cluster_name", "queue_totals.messages", "object_totals.queues"},
     {NULL}},
    {0},
};

/* --- what is said --------------------------------------------------------------------------------------- */

void admin_usage(struct ctl *ctl, const char *format, ...)
{
    va_list values;

    fflush(stdout);
    fputs("\nERROR: ", stderr);
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, "\n\n%s --help for help\n\n", ctl->program);
    exit(1);
}

void admin_die(const char *format, ...)
{
    struct buffer shown = {0};
    va_list values;
    char *line = NULL;

    va_start(values, format);
    if (vasprintf(&line, format, values) < 0)
        abort();
    va_end(values);
    fflush(stdout);
    term_escape(&shown, line, strlen(line), TERM_KEEP_LINES);
    fprintf(stderr, "*** %.*s\n\n", (int)shown.size, shown.size ? (const char *)shown.data : "");
    buffer_free(&shown);
    free(line);
    exit(1);
}

void admin_say(struct ctl *ctl, const char *format, ...)
{
    va_list values;

    if (ctl->is_quiet || ctl->is_silent)
        return;
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
}

/* --- requests ------------------------------------------------------------------------------------------- */

/* rabbitmqadmin's words for what the broker refuses. */
static void check_answer(struct ctl *ctl, const struct answer *answer, const char *path)
{
    const char *prefix = ctl->tool == TOOL_ADMIN ? option(ctl, "path-prefix") : NULL;

    prefix = prefix ? prefix : "";
    if (answer->status == 400)
        admin_die("%s", answer_reason(ctl, answer));
    if (answer->status == 401)
        admin_die("Access refused: %s/api%s", prefix, path);
    if (answer->status == 404)
        admin_die("Not found: %s/api%s", prefix, path);
    if (answer->status >= 300)
        admin_die("Received response %ld for path %s/api%s\n%s", answer->status, prefix, path,
                  answer_reason(ctl, answer));
}

/* BODY is taken over. */
static struct answer request(struct ctl *ctl, const char *method, const char *path, json_t *body)
{
    struct answer answer = http_call(ctl, method, path, body);

    check_answer(ctl, &answer, path);
    return answer;
}

/* --- arguments KEY=VALUE -------------------------------------------------------------------------------- */

static const struct key *find_key(const struct object *object, const char *name, size_t size)
{
    for (size_t i = 0; i < KEYS_MAX && object->keys[i].name; i++)
        if (strlen(object->keys[i].name) == size && strncmp(object->keys[i].name, name, size) == 0)
            return &object->keys[i];
    return NULL;
}

static json_t *parse_value(const struct key *key, const char *value)
{
    json_t *parsed = key->is_json ? json_loads(value, JSON_DECODE_ANY, NULL) : json_string(value);

    if (parsed)
        return parsed;
    fflush(stdout);
    if (key->is_json)
        fprintf(stderr, "ERROR: Could not parse JSON:\n  %s\n", value);
    else
        fprintf(stderr, "ERROR: %s is not UTF-8\n", key->name);
    exit(1);
}

/* Those that must be there; of two that are either, one. */
static void check_mandatory(struct ctl *ctl, const struct object *object, const json_t *upload)
{
    bool has_either = false;
    const char *either = "";

    for (size_t i = 0; i < KEYS_MAX && object->keys[i].name; i++) {
        const struct key *key = &object->keys[i];
        bool is_given = json_object_get(upload, key->name) != NULL;

        if (key->need == KEY_MANDATORY && !is_given)
            admin_usage(ctl, "mandatory argument \"%s\" is required", key->name);
        if (key->need == KEY_EITHER) {
            has_either |= is_given;
            either = text(ctl, "%s%s'%s'", either, *either ? ", " : "", key->name);
        }
    }
    if (*either && !has_either)
        admin_usage(ctl, "one of mandatory arguments \"[%s]\" is required", either);
}

/* What the arguments from FIRST on say, with defaults. */
static json_t *parse_arguments(struct ctl *ctl, const struct object *object, int first)
{
    json_t *upload = json_object();

    for (size_t i = 0; i < KEYS_MAX && object->keys[i].name; i++)
        if (object->keys[i].value)
            json_object_set_new(upload, object->keys[i].name,
                                parse_value(&object->keys[i], object->keys[i].value));
    for (int i = first; i < ctl->arg_count; i++) {
        const char *argument = ctl->args[i], *equals = strchr(argument, '=');
        const struct key *key;

        if (!equals)
            admin_usage(ctl, "Argument \"%s\" not in the name=value format", argument);
        key = find_key(object, argument, (size_t)(equals - argument));
        if (!key)
            admin_usage(ctl, "Argument \"%.*s\" is not recognised", (int)(equals - argument), argument);
        json_object_set_new(upload, key->name, parse_value(key, equals + 1));
    }
    check_mandatory(ctl, object, upload);
    if (!find_key(object, "vhost", 5))
        json_object_set_new(upload, "vhost", json_string(ctl->vhost));
    return upload;
}

/* The path, its {keys} replaced by what UPLOAD has for them. */
static const char *fill_path(struct ctl *ctl, const char *template, const json_t *upload)
{
    const char *path = "", *open;

    while ((open = strchr(template, '{'))) {
        const char *close = strchr(open, '}');
        const char *name = text(ctl, "%.*s", (int)(close - open - 1), open + 1);
        const char *value;

        if (strcmp(name, "destination_char") == 0)
            value = text(ctl, "%.1s", json_string_value(json_object_get(upload, "destination_type")));
        else
            value = json_string_value(json_object_get(upload, name));
        path = text(ctl, "%s%.*s%s", path, (int)(open - template), template,
                    percent_encoded(ctl, value ? value : ""));
        template = close + 1;
    }
    return text(ctl, "%s%s", path, template);
}

static const struct object *find_object(struct ctl *ctl, const struct object *objects)
{
    if (ctl->arg_count == 0)
        admin_usage(ctl, "Type not specified");
    for (; objects->name; objects++)
        if (strcmp(objects->name, ctl->args[0]) == 0)
            return objects;
    admin_usage(ctl, "Type %s not recognised", ctl->args[0]);
}

/* --- declare, delete, close, purge ---------------------------------------------------------------------- */

/* queue_type=quorum is short for an argument. */
static void apply_queue_type(json_t *upload)
{
    json_t *type = json_object_get(upload, "queue_type");

    if (type)
        json_object_set(json_object_get(upload, "arguments"), "x-queue-type", type);
}

static int run_declare(struct ctl *ctl)
{
    const struct object *object = find_object(ctl, declarable);
    json_t *upload = parse_arguments(ctl, object, 1);
    const char *path = fill_path(ctl, object->path, upload);
    struct answer answer;

    apply_queue_type(upload);
    answer = request(ctl, strcmp(object->name, "binding") == 0 ? "POST" : "PUT", path, upload);
    answer_free(&answer);
    admin_say(ctl, "%s declared", object->name);
    return EX_OK;
}

static int delete_one(struct ctl *ctl, const struct object *objects, const char *said)
{
    const struct object *object = find_object(ctl, objects);
    json_t *upload = parse_arguments(ctl, object, 1);
    const char *path = fill_path(ctl, object->path, upload);
    struct answer answer;

    json_decref(upload);
    answer = request(ctl, "DELETE", path, NULL);
    answer_free(&answer);
    admin_say(ctl, "%s %s", object->name, said);
    return EX_OK;
}

static int run_delete(struct ctl *ctl)
{
    return delete_one(ctl, deletable, "deleted");
}

static int run_close(struct ctl *ctl)
{
    return delete_one(ctl, closable, "closed");
}

static int run_purge(struct ctl *ctl)
{
    return delete_one(ctl, purgable, "purged");
}

/* --- list, show ----------------------------------------------------------------------------------------- */

static const struct listed *find_listed(struct ctl *ctl, const struct listed *all, const char *verb)
{
    if (ctl->arg_count == 0)
        admin_usage(ctl, "Type not specified");
    for (; all->name; all++)
        if (strcmp(all->name, ctl->args[0]) == 0)
            return all;
    admin_usage(ctl, "Don't know how to %s %s", verb, ctl->args[0]);
}

/* ?columns=...&sort=... */
static const char *list_path(struct ctl *ctl, const struct listed *listed, const char *const *columns)
{
    const char *path = text(ctl, "/%s", listed->name), *sort = option(ctl, "sort"), *mark = "?";
    char *dash;

    while ((dash = strchr(path, '_')))
        *dash = '-';
    if (listed->is_of_vhost && ctl->is_vhost_given)
        path = text(ctl, "%s/%s", path, percent_encoded(ctl, ctl->vhost));
    for (size_t i = 0; columns && columns[i]; i++) {
        path = text(ctl, "%s%s%s", path, i ? "," : "?columns=", percent_encoded(ctl, columns[i]));
        mark = "&";
    }
    if (sort) {
        path = text(ctl, "%s%ssort=%s", path, mark, percent_encoded(ctl, sort));
        mark = "&";
    }
    return has_option(ctl, "sort-reverse") ? text(ctl, "%s%ssort_reverse=true", path, mark) : path;
}

static int list_any(struct ctl *ctl, const struct listed *all, const char *verb)
{
    const struct listed *listed = find_listed(ctl, all, verb);
    const char *const *columns = NULL;
    struct answer answer;
    const char *path;

    if (ctl->arg_count > 1)
        columns = (const char *const *)(ctl->args + 1); /* NULL ends it */
    else if (listed->columns[0] && admin_shows_default_columns(ctl))
        columns = listed->columns;
    path = list_path(ctl, listed, columns);
    answer = request(ctl, "GET", path, NULL);
    if (json_is_object(answer.json)) {
        json_t *one = json_pack("[O]", answer.json);

        admin_print(ctl, text(ctl, "[%s]", answer.body), one, columns, listed->json_keys);
        json_decref(one);
    } else {
        admin_print(ctl, answer.body, answer.json, columns, listed->json_keys);
    }
    answer_free(&answer);
    return EX_OK;
}

static int run_list(struct ctl *ctl)
{
    return list_any(ctl, listable, "list");
}

static int run_show(struct ctl *ctl)
{
    return list_any(ctl, showable, "show");
}

/* --- publish, get --------------------------------------------------------------------------------------- */

static json_t *base64(const struct buffer *content)
{
    size_t size = (content->size + 2) / 3 * 4;
    unsigned char *encoded = xmalloc(size + 1);
    json_t *shown;

    EVP_EncodeBlock(encoded, content->data, (int)content->size);
    shown = json_stringn((const char *)encoded, size);
    free(encoded);
    return shown;
}

static int run_publish(struct ctl *ctl)
{
    json_t *upload = parse_arguments(ctl, &publishable, 0);
    const char *path = fill_path(ctl, publishable.path, upload);
    struct buffer content = {0};
    struct answer answer;
    bool is_routed;

    if (!json_object_get(upload, "payload")) {
        if (!file_read(&content, NULL))
            admin_die("standard input cannot be read");
        json_object_set_new(upload, "payload", base64(&content));
        json_object_set_new(upload, "payload_encoding", json_string("base64"));
        buffer_free(&content);
    }
    answer = request(ctl, "POST", path, upload);
    is_routed = json_is_true(json_object_get(answer.json, "routed"));
    answer_free(&answer);
    admin_say(ctl, is_routed ? "Message published" : "Message published but NOT routed");
    return EX_OK;
}

/* Write the first message's payload to a file of its own. */
static void write_payload(const char *path, const json_t *message)
{
    json_t *payload = json_object_get(message, "payload");
    const char *encoding = json_string_value(json_object_get(message, "payload_encoding"));
    const char *content = json_string_value(payload);
    size_t size = json_string_length(payload);
    unsigned char *decoded = NULL;

    if (encoding && strcmp(encoding, "base64") == 0) {
        int length;

        decoded = xmalloc(size + 1);
        length = EVP_DecodeBlock(decoded, (const unsigned char *)content, (int)size);
        if (length < 0)
            admin_die("the broker's base64 cannot be read");
        while (size > 0 && content[size - 1] == '=') {
            length--;
            size--;
        }
        content = (const char *)decoded;
        size = (size_t)length;
    }
    if (!file_write(path, content, size))
        admin_die("%s cannot be written", path);
    free(decoded);
}

static int run_get(struct ctl *ctl)
{
    static const char *const columns[] = {"routing_key",   "exchange",    "message_count",
                                          "payload_bytes", "redelivered", NULL};
    json_t *upload = parse_arguments(ctl, &gettable, 0), *file = json_object_get(upload, "payload_file");
    const char *path = fill_path(ctl, gettable.path, upload);
    const char *to = json_string_length(file) ? text(ctl, "%s", json_string_value(file)) : NULL;
    struct answer answer;

    if (to && strcmp(json_string_value(json_object_get(upload, "count")), "1") != 0)
        admin_usage(ctl, "Cannot get multiple messages using payload_file");
    answer = request(ctl, "POST", path, upload);
    if (to && json_array_size(answer.json) > 0)
        write_payload(to, json_array_get(answer.json, 0));
    admin_print(ctl, answer.body, answer.json, to ? columns : NULL, NULL);
    answer_free(&answer);
    return EX_OK;
}

/* --- export, import ------------------------------------------------------------------------------------- */

static const char *definitions_path(struct ctl *ctl)
{
    return ctl->is_vhost_given ? api_path(ctl, "/definitions/%s", ctl->vhost) : "/definitions";
}

static const char *host_name(struct ctl *ctl)
{
    const char *host = ctl->tool == TOOL_ADMIN ? option(ctl, "host") : NULL;

    return host ? host : http_target_name(ctl);
}

static const char *only_argument(struct ctl *ctl)
{
    if (ctl->arg_count != 1)
        admin_usage(ctl, "Exactly one argument required");
    return ctl->args[0];
}

static int run_export(struct ctl *ctl)
{
    const char *file = only_argument(ctl), *path = definitions_path(ctl);
    struct answer answer = http_send(ctl, "GET", path, NULL, 0, NULL);

    check_answer(ctl, &answer, path);
    if (!file_write(file, answer.body, answer.size))
        admin_die("%s cannot be written", file);
    answer_free(&answer);
    admin_say(ctl, "Exported definitions for %s to \"%s\"", host_name(ctl), file);
    return EX_OK;
}

static int run_import(struct ctl *ctl)
{
    const char *file = only_argument(ctl), *path = definitions_path(ctl);
    struct buffer content = {0};
    struct answer answer;

    if (!file_read(&content, file))
        admin_die("%s cannot be read", file);
    buffer_append(&content, "", 1);
    answer = http_send(ctl, "POST", path, (const char *)content.data, content.size - 1, NULL);
    buffer_free(&content);
    check_answer(ctl, &answer, path);
    answer_free(&answer);
    admin_say(ctl,
              "Uploaded definitions from \"%s\" to %s. The import process may take some time. Consult server "
              "logs to "
              "track progress.",
              host_name(ctl), file);
    return EX_OK;
}

/* --- rabbitmqadmin itself ------------------------------------------------------------------------------- */

static void print_stanza(const struct object *objects, const char *verb)
{
    for (; objects->name; objects++) {
        const char *space = " ";

        printf("  %s%s%s", verb, *verb ? " " : "", objects->name);
        for (size_t i = 0; i < KEYS_MAX && objects->keys[i].name; i++) {
            const struct key *key = &objects->keys[i];

            printf(key->need == KEY_OPTIONAL ? "%s[%s=...]" : "%s%s=...", space, key->name);
            space = key->need == KEY_EITHER && objects->keys[i + 1].need == KEY_EITHER ? " OR " : " ";
        }
        putchar('\n');
    }
}

static void print_subcommands(struct ctl *ctl)
{
    const struct object one[] = {publishable, {0}}, other[] = {gettable, {0}};

    printf("Usage\n=====\n  %s [options] subcommand\n\n  where subcommand is one of:\n\nDisplay\n=======\n\n",
           ctl->program);
    for (size_t i = 0; listable[i].name; i++)
        printf("  list %s [<column>...]\n", listable[i].name);
    puts("  show overview [<column>...]\n\nObject Manipulation\n===================\n");
    print_stanza(declarable, "declare");
    print_stanza(deletable, "delete");
    print_stanza(closable, "close");
    print_stanza(purgable, "purge");
    puts("\nBroker Definitions\n==================\n\n  export <file>\n  import <file>\n\nPublishing and "
         "Consuming\n"
         "========================\n");
    print_stanza(one, "");
    print_stanza(other, "");
    puts("\n  * If payload is not specified on publish, standard input is used\n\n"
         "  * If payload_file is not specified on get, the payload will be shown on\n"
         "    standard output along with the message metadata\n\n"
         "  * If payload_file is specified on get, count must not be set\n");
}

static void print_options(struct ctl *ctl)
{
    printf("Usage\n=====\n  %s [options] subcommand\n\nOptions\n=======\n"
           "--help, -h              show this help message and exit\n"
           "--config=CONFIG, -c     configuration file [default: ~/.rabbitmqadmin.conf]\n"
           "--node=NODE, -N         section of the configuration file [default: default]\n"
           "--host=HOST, -H         connect to host HOST [default: localhost]\n"
           "--port=PORT, -P         connect to port PORT [default: 15672]\n"
           "--socket=PATH           connect to the broker's control socket instead\n"
           "--path-prefix=PREFIX    what stands before /api in paths\n"
           "--vhost=VHOST, -V       vhost [default: all for list, / for the others]\n"
           "--username=NAME, -u     [default: guest]\n"
           "--password=WORD, -p     [default: guest]\n"
           "--base-uri=URI, -U      host, port, user and password in one\n"
           "--quiet, -q             suppress status messages\n"
           "--ssl, -s               connect with TLS; --ssl-key-file, --ssl-cert-file, --ssl-ca-cert-file,\n"
           "                        --ssl-disable-hostname-verification, --ssl-insecure, -k\n"
           "--request-timeout=S, -t seconds [default: 120]\n"
           "--format=FORMAT, -f     table, tsv, long, kvp, bash, raw_json, pretty_json [default: table]\n"
           "--sort=KEY, -S; --sort-reverse, -R\n"
           "--depth=N, -d           how deep list shows objects [default: 1]\n"
           "--version               show version and exit\n\n"
           "More Help\n=========\n\n  %s help subcommands\n",
           ctl->program, ctl->program);
}

static int run_help(struct ctl *ctl)
{
    if (ctl->arg_count > 0 && strcmp(ctl->args[0], "subcommands") == 0)
        print_subcommands(ctl);
    else if (ctl->arg_count == 0 || strcmp(ctl->args[0], "config") == 0)
        print_options(ctl);
    else
        admin_usage(ctl, "help topic must be one of:\n  subcommands\n  config");
    return EX_OK;
}

/* An option that rabbitmqadmin has not: as Python's optparse tells it. */
static void check_options(struct ctl *ctl)
{
    for (int i = 0; i < ctl->given_count; i++) {
        if (ctl->given[i].name[0] != '-')
            continue;
        fprintf(stderr, "Usage\n=====\n  %s [options] subcommand\n\n%s: error: no such option: %s\n",
                ctl->program, ctl->program, ctl->given[i].name);
        exit(2);
    }
}

int admin_main(struct ctl *ctl)
{
    check_options(ctl);
    if (has_option(ctl, "version")) {
        printf("rabbitmqadmin %s\n", COMPATIBLE_VERSION);
        return EX_OK;
    }
    if (has_option(ctl, "help")) {
        print_options(ctl);
        return EX_OK;
    }
    admin_choose_target(ctl);
    if (ctl->verb)
        return ctl->verb->run(ctl);
    if (!ctl->verb_name)
        admin_usage(ctl, "Action not specified");
    if (strcmp(ctl->verb_name, "help") == 0)
        return run_help(ctl);
    admin_usage(ctl, "Action %s not understood", ctl->verb_name);
}

#define ADMIN "Declare, list, publish (rabbitmqadmin's verbs)"
#define FORMATS                                                                                   \
    {"format", 'f', OPTION_TEXT}, {"sort", 'S', OPTION_TEXT}, {"sort-reverse", 'R', OPTION_FLAG}, \
    {                                                                                             \
        "depth", 'd', OPTION_TEXT                                                                 \
    }

const struct verb verbs_admin[] = {
    {"close",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "connection name=NAME",
     "Close a connection",
     "close connection name='192.0.2.7:51234 -> 192.0.2.1:5672'",
     run_close,
     {{"vhost", 'V', OPTION_TEXT}}},
    {"declare",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "KIND KEY=VALUE...",
     "Declare an exchange, queue, binding, vhost, user, permission, policy, ...; `help declare` lists keys",
     "declare exchange name=orders type=topic durable=true",
     run_declare,
     {{"vhost", 'V', OPTION_TEXT}}},
    {"delete",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "KIND KEY=VALUE...",
     "Delete one of these",
     "delete queue name=invoices",
     run_delete,
     {{"vhost", 'V', OPTION_TEXT}}},
    {"export",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "FILE",
     "Write definitions to a file",
     "export definitions.json",
     run_export,
     {{"vhost", 'V', OPTION_TEXT}}},
    {"get",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "queue=NAME [KEY=VALUE...]",
     "Get messages from a queue; ackmode=ack_requeue_false takes them",
     "get queue=invoices count=2 ackmode=ack_requeue_false",
     run_get,
     {{"vhost", 'V', OPTION_TEXT}, FORMATS}},
    {"import",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "FILE",
     "Add definitions from a file",
     "import definitions.json",
     run_import,
     {{"vhost", 'V', OPTION_TEXT}}},
    {"list",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "KINDS [COLUMN...]",
     "List queues, exchanges, bindings, users, vhosts, permissions, connections, nodes, policies, ...",
     "list queues vhost name messages",
     run_list,
     {{"vhost", 'V', OPTION_TEXT}, FORMATS}},
    {"publish",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "routing_key=KEY [KEY=VALUE...]",
     "Publish a message; without a payload that of standard input",
     "publish exchange=orders routing_key=orders.new payload='{\"id\":1}'",
     run_publish,
     {{"vhost", 'V', OPTION_TEXT}}},
    {"purge",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "queue name=NAME",
     "Delete a queue's ready messages",
     "purge queue name=invoices",
     run_purge,
     {{"vhost", 'V', OPTION_TEXT}}},
    {"show",
     TOOL_ADMIN,
     ADMIN,
     0,
     -1,
     "overview [COLUMN...]",
     "Show totals",
     "show overview",
     run_show,
     {{"vhost", 'V', OPTION_TEXT}, FORMATS}},
    {0},
};
