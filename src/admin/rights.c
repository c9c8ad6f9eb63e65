/* SPDX-License-Identifier: Apache-2.0 */
/* rights.h. */
#include "rights.h"

#include <stdlib.h>

#include "coney/xalloc.h"
#include "json.h"

/* ---- inside ---- */

static void add(struct rights *rights, const struct right *right)
{
    struct arena *arena = &rights->arena;

    if (rights->count == rights->capacity) {
        rights->capacity = rights->capacity * 2 + 16;
        rights->items = xrealloc(rights->items, rights->capacity * sizeof *rights->items);
    }
    rights->items[rights->count++] = (struct right){
        arena_copy(arena, right->user), arena_copy(arena, right->exchange),
        arena_copy(arena, right->configure), arena_copy(arena, right->write), arena_copy(arena, right->read)};
}

static void note(void *context, const struct survey_permission *seen)
{
    struct right right = {
        .user = seen->user, .configure = seen->configure, .write = seen->write, .read = seen->read};

    add(context, &right);
}

static void note_topic(void *context, const struct survey_topic_permission *seen)
{
    struct right right = {
        .user = seen->user, .exchange = seen->exchange, .write = seen->write, .read = seen->read};

    add(context, &right);
}

static void copy(struct vhost *vhost, void *argument)
{
    struct rights *rights = argument;

    if (rights->are_topics)
        survey_topic_permissions(vhost, note_topic, rights);
    else
        survey_permissions(vhost, note, rights);
}

/* ---- outside ---- */

enum visit_result rights_get(struct rights *rights, struct server *server, struct bytes vhost,
                             bool are_topics)
{
    *rights = (struct rights){.are_topics = are_topics};
    return visit_vhost(server, vhost, copy, rights);
}

void rights_free(struct rights *rights)
{
    free(rights->items);
    arena_clear(&rights->arena);
}

json_t *right_json(const struct rights *rights, const struct right *right, struct bytes vhost)
{
    json_t *out = json_object();

    json_object_set_new(out, "user", json_text(right->user));
    json_object_set_new(out, "vhost", json_text(vhost));
    if (rights->are_topics)
        json_object_set_new(out, "exchange", json_text(right->exchange));
    else
        json_object_set_new(out, "configure", json_text(right->configure));
    json_object_set_new(out, "write", json_text(right->write));
    json_object_set_new(out, "read", json_text(right->read));
    return out;
}
