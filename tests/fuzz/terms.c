/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz what coneyctl prints of a broker's answers: the first octet is the kind, the rest JSON. Nothing leaves
 * it that drives a terminal, and what is JSON stays the same.
 */
#include "ctl/terms.h"

#include "fuzz.h"

#define KINDS (TERM_ATOM + 1)

/* Line ends are those of lists only. */
static void check_printable(const struct buffer *shown, bool has_lines)
{
    CHECK(utf8_is_valid(buffer_bytes(shown)));
    for (size_t i = 0; i < shown->size; i++)
        CHECK((shown->data[i] >= ' ' && shown->data[i] != 0x7f) || (has_lines && shown->data[i] == '\n'));
    CHECK(term_width(shown->data, shown->size) <= shown->size);
}

static void check_json(const json_t *value)
{
    struct buffer shown = {0};
    json_t *again;

    term_put_json(&shown, value, JSON_SORT_KEYS);
    check_printable(&shown, false);
    again = json_loadb((const char *)shown.data, shown.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    CHECK(again && json_typeof(again) == json_typeof(value));
    json_decref(again);
    buffer_free(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer cell = {0}, pair = {0};
    enum term_kind kind;
    json_t *value, *shown;

    if (!size)
        return 0;
    kind = (enum term_kind)(data[0] % KINDS);
    value = json_loadb((const char *)data + 1, size - 1, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!value)
        return 0;
    term_cell(&cell, value, kind);
    check_printable(&cell, false);
    term_erlang_pair(&pair, "key", value, kind, 4);
    check_printable(&pair, true);
    shown = term_json(value, kind);
    check_json(shown);
    check_json(value);
    json_decref(shown);
    json_decref(value);
    buffer_free(&cell);
    buffer_free(&pair);
    return 0;
}
