/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the ways from JSON to field tables and back. The input is both: JSON of a request, and octets of a
 * message's headers or properties. A table made of JSON says the same again; octets become what can be
 * written as JSON, whatever they are.
 */
#include "coney/json_table.h"

#include "coney/table.h"
#include "fuzz.h"

static void check_json(const json_t *object)
{
    struct buffer table = {0};
    char why[128] = "";
    json_t *again;

    if (table_from_json(&table, object, why, sizeof why)) {
        CHECK(table_is_valid(buffer_bytes(&table), TABLE_BUILDER_DEPTH_MAX + 1));
        again = json_from_table(buffer_bytes(&table), JSON_EXACT);
        CHECK(json_equal(again, object));
        json_decref(again);
    } else {
        CHECK(*why && strlen(why) < sizeof why && table.size == 0);
    }
    buffer_free(&table);
}

/* JSON, which is taken over, can be written. */
static void check_written(json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

    CHECK(json && text);
    free(text);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {data, size};
    json_t *json = json_loadb((const char *)data, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

    if (json_is_object(json))
        check_json(json);
    json_decref(json);
    for (int fidelity = JSON_READABLE; fidelity <= JSON_EXACT; fidelity++) {
        check_written(json_from_table(input, (enum json_fidelity)fidelity));
        check_written(json_from_properties(input, (enum json_fidelity)fidelity));
        check_written(json_from_text(input, (enum json_fidelity)fidelity));
    }
    return 0;
}
