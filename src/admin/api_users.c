/* SPDX-License-Identifier: Apache-2.0 */
/* Users and who one is (management-http-api.md 3.10). */
#include "json.h"
#include "router.h"

static json_t *tags_json(const struct user_info *user)
{
    json_t *tags = json_array();

    for (size_t i = 0; i < user->tag_count; i++)
        json_array_append_new(tags, json_text(bytes_from_string(user->tags[i])));
    return tags;
}

static void show_asker(struct request *request)
{
    reply_json(
        request, 200,
        json_pack("{s:o,s:o}", "name", json_text(request->user.name), "tags", tags_json(&request->user)));
}

const struct route routes_users[] = {
    {"whoami", {[VERB_GET] = {show_asker, ACCESS_ANY}}},
    {NULL, {{NULL, ACCESS_OPEN}}},
};
