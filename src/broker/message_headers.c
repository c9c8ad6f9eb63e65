/* SPDX-License-Identifier: Apache-2.0 */
/* Sender-selected keys and the delivery count in the headers of a message: octets to octets. */
#include "coney/message_headers.h"

#include <assert.h>

#include "coney/properties.h"

#define CC  "CC"
#define BCC "BCC"

/* Find the first CC and the first BCC in one pass: most messages with headers have neither. */
static void selectors_find(struct bytes headers, struct field *cc, struct field *bcc)
{
    struct table_iterator iterator = table_begin(headers);
    struct field field;
    struct bytes name;

    *cc = *bcc = (struct field){.type = FIELD_VOID};
    while (table_next(&iterator, &name, &field)) {
        if (cc->raw.size == 0 && bytes_equal(name, BYTES_LITERAL(CC)))
            *cc = field;
        else if (bcc->raw.size == 0 && bytes_equal(name, BYTES_LITERAL(BCC)))
            *bcc = field;
    }
}

static bool selector_is_bad(const struct field *field, const char *name, struct headers_bad_keys *bad)
{
    if (field->raw.size == 0 || field->type == FIELD_ARRAY)
        return false;
    *bad = (struct headers_bad_keys){name, field_type_name(field->type)};
    return true;
}

static void keys_append(struct buffer *more_keys, const struct field *selector, bool is_bcc)
{
    struct table_iterator iterator;
    struct field key;

    if (selector->type != FIELD_ARRAY)
        return;
    iterator = array_begin(selector->bytes);
    while (array_next(&iterator, &key)) {
        uint8_t *p;

        if (key.type != FIELD_LONGSTR || key.bytes.size > SHORTSTR_MAX)
            continue;
        p = put_u8(buffer_reserve(more_keys, 2 + key.bytes.size), is_bcc);
        more_keys->size = (size_t)(put_shortstr(p, key.bytes) - more_keys->data);
    }
}

bool headers_collect_keys(struct buffer *more_keys, struct bytes headers, bool *has_bcc,
                          struct headers_bad_keys *bad)
{
    struct field bcc;
    struct field cc;

    selectors_find(headers, &cc, &bcc);
    *has_bcc = bcc.raw.size != 0;
    if (selector_is_bad(&cc, CC, bad) || selector_is_bad(&bcc, BCC, bad))
        return false;
    keys_append(more_keys, &cc, false);
    keys_append(more_keys, &bcc, true);
    return true;
}

bool more_keys_next(struct bytes *more_keys, struct bytes *key, bool *is_bcc)
{
    if (more_keys->size == 0)
        return false;
    assert(more_keys->size >= 2 && more_keys->size - 2 >= more_keys->data[1]);
    *is_bcc = more_keys->data[0] != 0;
    *key = (struct bytes){more_keys->data + 2, more_keys->data[1]};
    more_keys->data += 2 + key->size;
    more_keys->size -= 2 + key->size;
    return true;
}

static bool name_is_in(struct bytes name, const char *const names[])
{
    for (; *names != NULL; names++) {
        if (bytes_equal_string(name, *names))
            return true;
    }
    return false;
}

void headers_copy_without(struct table_builder *builder, struct bytes headers, const char *const names[])
{
    struct table_iterator iterator = table_begin(headers);
    struct field field;
    struct bytes name;

    while (table_next(&iterator, &name, &field)) {
        if (!name_is_in(name, names))
            table_put_field(builder, name, &field);
    }
}

/* PROPERTIES without the header NAME, or with an integer in its place; as they are when they cannot be read.
 */
static void put_header(struct buffer *out, struct bytes properties, const char *name, const int64_t *value)
{
    const char *const names[] = {name, NULL};
    struct properties decoded;
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    if (!properties_decode(&decoded, properties)) {
        buffer_append_bytes(out, properties);
        return;
    }
    headers_copy_without(&builder, decoded.headers, names);
    if (value) {
        table_put_int(&builder, name, *value);
        decoded.flags |= PROPERTY_HEADERS;
    }
    decoded.headers = buffer_bytes(&headers);
    properties_encode(out, &decoded);
    buffer_free(&headers);
}

void properties_without_bcc(struct buffer *out, struct bytes properties)
{
    put_header(out, properties, BCC, NULL);
}

void properties_with_delivery_count(struct buffer *out, struct bytes properties, uint64_t count)
{
    int64_t value = (int64_t)count;

    put_header(out, properties, "x-delivery-count", &value);
}
