/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz a shovel's value, and the properties that it then passes on: JSON of whoever may set parameters, and
 * behind a NUL properties as another broker sends them. What is refused is refused with a reason; properties
 * stay what can be decoded, and headers what can be read.
 */
#include "coney/properties.h"
#include "coney/table.h"
#include "fuzz.h"
#include "shovel/plan.h"
#include "shovel/rewrite.h"

#define WHY_SIZE 300

static bool has_valid_headers(const struct properties *properties)
{
    return !(properties->flags & PROPERTY_HEADERS) || table_is_valid(properties->headers, TABLE_DEPTH_MAX);
}

static void check_rewrite(const struct plan *plan, struct bytes raw)
{
    const struct rewrite_names names = {"cluster", "name", "/", plan->source.uris[0], plan->dest.uris[0]};
    struct properties before, after;
    struct buffer out = {0}, again = {0};
    struct bytes rewritten = rewrite_properties(&out, plan, &names, 1, raw);

    if (properties_decode(&before, raw)) {
        CHECK(properties_decode(&after, rewritten));
        CHECK((after.flags & before.flags) == before.flags);
        CHECK(!has_valid_headers(&before) || has_valid_headers(&after));
        rewrite_properties(&again, plan, &names, 2, rewritten);
    } else {
        CHECK(rewritten.data == raw.data && rewritten.size == raw.size);
    }
    buffer_free(&out);
    buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t text_size = strnlen((const char *)data, size);
    json_t *value = json_loadb((const char *)data, text_size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    char why[WHY_SIZE] = "";
    struct plan *plan;

    if (!value)
        return 0;
    plan = plan_new("name", value, why, sizeof why);
    CHECK(strnlen(why, sizeof why) < sizeof why && !plan == !!*why);
    if (plan && text_size < size)
        check_rewrite(plan, (struct bytes){data + text_size + 1, size - text_size - 1});
    plan_free(plan);
    json_decref(value);
    return 0;
}
