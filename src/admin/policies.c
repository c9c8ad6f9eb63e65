/* SPDX-License-Identifier: Apache-2.0 */
/* policies.h. */
#include "policies.h"

#include <stdlib.h>

#include "coney/arena.h"
#include "coney/survey.h"
#include "coney/xalloc.h"
#include "json.h"

struct copied {
    struct bytes name, pattern, json;
    const char *apply_to;
    int64_t priority;
};

struct copying {
    struct arena arena;
    enum policy_origin origin;
    struct bytes wanted;
    struct copied *items;
    size_t count, capacity;
};

/* ---- inside ---- */

static struct bytes keep(struct copying *copying, const char *text)
{
    return arena_copy(&copying->arena, bytes_from_string(text));
}

static void note(void *context, const struct policy *policy)
{
    struct copying *copying = context;

    if (copying->wanted.data && !bytes_equal_string(copying->wanted, policy->name))
        return;
    if (copying->count == copying->capacity) {
        copying->capacity = copying->capacity * 2 + 16;
        copying->items = xrealloc(copying->items, copying->capacity * sizeof *copying->items);
    }
    copying->items[copying->count++] = (struct copied){
        keep(copying, policy->name), keep(copying, policy->pattern), keep(copying, policy->json),
        policy_apply_to_name(policy->apply_to), policy->priority};
}

static void copy(struct vhost *vhost, void *argument)
{
    struct copying *copying = argument;

    survey_policies(vhost, copying->origin, note, copying);
}

/* ---- outside ---- */

static json_t *row_of(const struct copied *copied, struct bytes vhost)
{
    json_t *definition = json_loadb((const char *)copied->json.data, copied->json.size, JSON_ALLOW_NUL, NULL);

    return json_pack("{s:o,s:o,s:o,s:s,s:o,s:I}", "vhost", json_text(vhost), "name", json_text(copied->name),
                     "pattern", json_text(copied->pattern), "apply-to", copied->apply_to, "definition",
                     definition ? definition : json_object(), "priority", (json_int_t)copied->priority);
}

json_t *policies_json(struct server *server, struct bytes vhost, enum policy_origin origin, struct bytes name)
{
    struct copying copying = {.origin = origin, .wanted = name};
    json_t *out = json_array();

    visit_vhost(server, vhost, copy, &copying);
    for (size_t i = 0; i < copying.count; i++)
        json_array_append_new(out, row_of(&copying.items[i], vhost));
    free(copying.items);
    arena_clear(&copying.arena);
    return out;
}

json_t *policy_parameter(json_t *row, enum policy_origin origin)
{
    json_t *vhost = json_incref(json_object_get(row, "vhost"));
    json_t *name = json_incref(json_object_get(row, "name"));

    json_object_del(row, "vhost");
    json_object_del(row, "name");
    return json_pack("{s:o,s:o,s:s,s:o}", "value", row, "vhost", vhost, "component",
                     origin == POLICY_OPERATOR ? "operator_policy" : "policy", "name", name);
}
