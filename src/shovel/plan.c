/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h. The value was looked at before (plan_check.c): what is here has the type that it should have. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "coney/buffer.h"
#include "coney/json_table.h"
#include "coney/shovels.h"
#include "coney/xalloc.h"

#define PREFETCH_DEFAULT        1000
#define RECONNECT_DELAY_DEFAULT 5

/* The first of the two that is there; SECOND may be NULL. */
static const json_t *get(const json_t *value, const char *first, const char *second)
{
    const json_t *found = json_object_get(value, first);

    return found || !second ? found : json_object_get(value, second);
}

static char *get_text(const json_t *value, const char *name)
{
    const json_t *found = json_object_get(value, name);

    return found ? xstrdup(json_string_value(found)) : NULL;
}

static void get_uris(struct plan_end *end, const json_t *value)
{
    const json_t *uri;
    size_t index;

    end->uri_count = json_is_array(value) ? json_array_size(value) : 1;
    end->uris = xcalloc(end->uri_count, sizeof *end->uris);
    if (!json_is_array(value)) {
        end->uris[0] = xstrdup(json_string_value(value));
        return;
    }
    json_array_foreach(value, index, uri)
    {
        end->uris[index] = xstrdup(json_string_value(uri));
    }
}

/* The table that an object stands for. */
static bool get_table(struct bytes *out, const json_t *value, const char *name, char *why, size_t why_size)
{
    const json_t *found = json_object_get(value, name);
    struct buffer table = {0};
    char reason[100];

    if (!found || json_object_size(found) == 0)
        return true;
    if (!table_from_json(&table, found, reason, sizeof reason)) {
        buffer_free(&table);
        snprintf(why, why_size, "%s: %s\n", name, reason);
        return false;
    }
    *out = buffer_bytes(&table);
    return true;
}

static enum ack_mode get_ack_mode(const json_t *value)
{
    const json_t *found = json_object_get(value, "ack-mode");
    const char *name = found ? json_string_value(found) : "on-confirm";

    if (strcmp(name, "no-ack") == 0)
        return ACK_NONE;
    return strcmp(name, "on-publish") == 0 ? ACK_ON_PUBLISH : ACK_ON_CONFIRM;
}

static int64_t get_delete_after(const json_t *value)
{
    const json_t *found = get(value, "src-delete-after", "delete-after");

    if (json_is_integer(found))
        return json_integer_value(found) < 0 ? 0 : json_integer_value(found);
    return found && strcmp(json_string_value(found), "queue-length") == 0 ? DELETE_QUEUE_LENGTH
                                                                          : DELETE_NEVER;
}

static double get_number(const json_t *found, double otherwise, double max)
{
    double number = found ? json_number_value(found) : otherwise;

    if (number < 0)
        return 0;
    return number > max ? max : number;
}

static void get_source(struct plan *plan, const json_t *value)
{
    get_uris(&plan->source, json_object_get(value, "src-uri"));
    plan->source.queue = get_text(value, "src-queue");
    plan->source.exchange = get_text(value, "src-exchange");
    plan->source.key = get_text(value, "src-exchange-key");
    if (plan->source.exchange && !plan->source.key)
        plan->source.key = xstrdup("");
    plan->source.is_predeclared = json_is_true(json_object_get(value, "src-predeclared"));
    plan->prefetch = (uint16_t)get_number(get(value, "src-prefetch-count", "prefetch-count"),
                                          PREFETCH_DEFAULT, UINT16_MAX);
    plan->delete_after = get_delete_after(value);
}

static void get_dest(struct plan *plan, const json_t *value)
{
    const json_t *properties = get(value, "dest-publish-properties", "publish-properties");

    get_uris(&plan->dest, json_object_get(value, "dest-uri"));
    plan->dest.queue = get_text(value, "dest-queue");
    plan->dest.exchange = get_text(value, "dest-exchange");
    plan->dest.key = get_text(value, "dest-exchange-key");
    plan->dest.is_predeclared = json_is_true(json_object_get(value, "dest-predeclared"));
    plan->adds_forward_headers = json_is_true(get(value, "dest-add-forward-headers", "add-forward-headers"));
    plan->adds_timestamp = json_is_true(get(value, "dest-add-timestamp-header", "add-timestamp-header"));
    if (properties && json_object_size(properties))
        plan->properties = json_deep_copy(properties);
}

struct plan *plan_new(const char *name, const json_t *value, char *why, size_t why_size)
{
    struct plan *plan;

    if (!shovels_check(name, value, why, why_size))
        return NULL;
    plan = xcalloc(1, sizeof *plan);
    plan->ack_mode = get_ack_mode(value);
    plan->reconnect_delay =
        get_number(json_object_get(value, "reconnect-delay"), RECONNECT_DELAY_DEFAULT, 86400);
    get_source(plan, value);
    get_dest(plan, value);
    if (get_table(&plan->source.args, value, "src-queue-args", why, why_size) &&
        get_table(&plan->dest.args, value, "dest-queue-args", why, why_size) &&
        get_table(&plan->consumer_args, value, "src-consumer-args", why, why_size))
        return plan;
    plan_free(plan);
    return NULL;
}

static void free_end(struct plan_end *end)
{
    for (size_t i = 0; i < end->uri_count; i++)
        free(end->uris[i]);
    free(end->uris);
    free(end->queue);
    free(end->exchange);
    free(end->key);
    free((void *)(uintptr_t)end->args.data);
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    free_end(&plan->source);
    free_end(&plan->dest);
    free((void *)(uintptr_t)plan->consumer_args.data);
    json_decref(plan->properties);
    free(plan);
}
