/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the import of definitions.json into vhosts as they are. What is refused is refused with a reason; what
 * was taken and is kept can be taken again, from an empty broker on: else a data directory could not be
 * opened.
 */
#include "coney/definitions.h"

#include "coney/journal.h"
#include "coney/log.h"
#include "coney/parameters.h"
#include "coney/shovels.h"
#include "coney/users.h"
#include "coney/vhost.h"
#include "fuzz.h"

#define VHOSTS_MAX 8
#define KEPT_MAX   256

struct entry {
    char *section, *json;
    struct bytes vhost;
};

static struct {
    struct vhost *vhosts[VHOSTS_MAX];
    size_t vhost_count;
    struct entry kept[KEPT_MAX];
    size_t kept_count;
} at;

static struct bytes copy(struct bytes bytes)
{
    return (struct bytes){xmemdup(bytes.data ? bytes.data : (const uint8_t *)"", bytes.size), bytes.size};
}

static void drop_output(void *context, struct outbox_chunk *chunks)
{
    (void)context;
    (void)chunks;
    abort(); /* there are no connections */
}

static void no_chance(void *context, void *out, size_t size)
{
    (void)context;
    memset(out, 7, size);
}

static struct vhost *find_vhost(void *context, struct bytes name)
{
    (void)context;
    for (size_t i = 0; i < at.vhost_count; i++)
        if (bytes_equal(vhost_name(at.vhosts[i]), name))
            return at.vhosts[i];
    return NULL;
}

static struct vhost *make_vhost(void *context, struct bytes name)
{
    static const struct vhost_settings settings = {.message_size_max = 1 << 20};
    static const struct vhost_ops ops = {.output = drop_output, .random = no_chance};

    (void)context;
    CHECK(!find_vhost(NULL, name));
    if (at.vhost_count == VHOSTS_MAX)
        return NULL;
    return at.vhosts[at.vhost_count++] = vhost_new(name, &settings, &ops, journal_memory_new());
}

static void free_vhosts(void)
{
    while (at.vhost_count)
        vhost_free(at.vhosts[--at.vhost_count]);
}

static void warn(void *context, const char *text)
{
    (void)context;
    CHECK(*text);
}

static void keep(void *context, struct bytes section, struct bytes vhost, struct bytes name,
                 struct bytes json)
{
    (void)context;
    (void)name;
    CHECK(section.size && json.size);
    if (at.kept_count < KEPT_MAX)
        at.kept[at.kept_count++] =
            (struct entry){xstrndup(section.data, section.size), xstrndup(json.data, json.size), copy(vhost)};
}

static bool check_shovel(void *context, struct bytes vhost, struct bytes name, const json_t *value,
                         char why[PARAMETER_WHY_SIZE])
{
    (void)context;
    (void)vhost;
    (void)name;
    return shovels_check("name", value, why, PARAMETER_WHY_SIZE);
}

static struct definitions_target new_target(void)
{
    static const struct parameter_component shovel = {.name = "shovel", .check = check_shovel};
    struct definitions_target target = {.users = users_new(NULL, 0),
                                        .parameters = parameters_new(),
                                        .find_vhost = find_vhost,
                                        .make_vhost = make_vhost,
                                        .warn = warn};

    parameters_add_component(target.parameters, &shovel);
    make_vhost(NULL, BYTES_LITERAL("/"));
    return target;
}

static void free_target(struct definitions_target *target)
{
    parameters_free(target->parameters);
    users_free(target->users);
    free_vhosts();
}

/* Take what was kept into TARGET, which is empty. */
static void take_again(const struct definitions_target *target)
{
    struct definitions_result result = {0};
    char why[DEFINITIONS_WHY_SIZE] = "";

    for (size_t i = 0; i < at.kept_count; i++) {
        struct entry *entry = &at.kept[i];

        /* The journal has the vhosts' names. */
        if (entry->vhost.size && !find_vhost(NULL, entry->vhost))
            make_vhost(NULL, entry->vhost);
        if (!definitions_import_entry(target, bytes_from_string(entry->section),
                                      bytes_from_string(entry->json), &result, why)) {
            fprintf(stderr, "%s: %s\n", entry->json, why);
            abort();
        }
    }
    free(result.cluster_name);
}

static void forget_kept(void)
{
    while (at.kept_count) {
        struct entry *entry = &at.kept[--at.kept_count];

        free(entry->section);
        free(entry->json);
        free((void *)(uintptr_t)entry->vhost.data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct definitions_target target = new_target();
    struct definitions_result result;
    char why[DEFINITIONS_WHY_SIZE] = "";
    bool done;

    log_set_level(LOG_LEVEL_NONE);
    target.keep = keep;
    done = definitions_import(&target, (const char *)data, size, &result, why);
    CHECK(strnlen(why, sizeof why) < sizeof why && done == !*why);
    free(result.cluster_name);
    free_target(&target);

    target = new_target();
    take_again(&target);
    free_target(&target);
    forget_kept();
    return 0;
}
