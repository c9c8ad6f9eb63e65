/* SPDX-License-Identifier: Apache-2.0 */
/* rows.h: the listing's id of a thing is its row. */
#include "rows.h"

#include "changing.h"

void rows_add(struct rows *rows, const char *vhost, struct bytes name, json_t *row)
{
    json_array_append_new(rows->kept, row);
    listing_add(rows->listing, vhost, name, (uint64_t)(uintptr_t)row, 0);
}

static struct bytes name_of(const json_t *row)
{
    return body_bytes(json_object_get(row, "name"));
}

void rows_add_all(struct rows *rows, const char *vhost, json_t *list)
{
    json_t *row;
    size_t i;

    json_array_foreach(list, i, row)
    {
        rows_add(rows, vhost, name_of(row), json_incref(row));
    }
    json_decref(list);
}

json_t *rows_pick(json_t *list, struct bytes name)
{
    json_t *row, *found = NULL;
    size_t i;

    json_array_foreach(list, i, row)
    {
        if (!found && bytes_equal(name_of(row), name))
            found = json_incref(row);
    }
    json_decref(list);
    return found;
}

static bool collect(struct listing *listing, const char *vhost)
{
    struct rows *rows = (struct rows *)(uintptr_t)listing->argument.data;

    rows->listing = listing;
    return rows->make(rows, vhost);
}

static void fetch(struct listing *listing, const struct listing_key *keys, size_t count, json_t **rows)
{
    (void)listing;
    for (size_t i = 0; i < count; i++)
        rows[i] = json_incref((json_t *)(uintptr_t)keys[i].id);
}

void rows_run(struct rows *rows, const char *vhost)
{
    static const struct listing_source of_node = {
        .collect = collect, .fetch = fetch, .is_of_node = true, .is_not_paged = true};
    static const struct listing_source of_vhosts = {.collect = collect, .fetch = fetch, .is_not_paged = true};

    rows->kept = json_array();
    listing_run(rows->request, rows->is_of_node ? &of_node : &of_vhosts, vhost,
                (struct bytes){(const uint8_t *)rows, sizeof *rows});
    json_decref(rows->kept);
}
