/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker reads from and writes into the headers of messages, beside death (death.h): sender-selected
 * keys (CC, BCC) and the delivery count.
 *
 * Pure functions from octets to octets. Properties go in and come out raw: the flags word and the values. All
 * other properties and headers keep their octets and their order. Properties that do not decode, which a
 * message never has once it is published, come out as they went in.
 *
 * "More keys" are the routing keys of a message beyond the first, in the form that messages store: for each
 * an octet, 1 for BCC and else 0, and the key as a short string.
 */
#ifndef CONEY_MESSAGE_HEADERS_H
#define CONEY_MESSAGE_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"
#include "coney/table.h"

/* ---- sender-selected keys (exchanges-queues-bindings.md 5.1) ---- */

/* A CC or BCC header that is not an array: 406, "invalid message: {unacceptable_type_in_header,NAME,TYPE}".
 */
struct headers_bad_keys {
    const char *name; /* "CC" or "BCC" */
    const char *type; /* field_type_name() of what was sent */
};

/* Append to MORE_KEYS the longstr elements of HEADERS' CC array, then those of its BCC array, in order. Other
 * elements are ignored, and so are those above 255 octets, which no routing key can be. Sets *HAS_BCC when
 * there is a BCC header, with or without keys. False, with BAD filled and nothing appended, when one of the
 * two is not an array; CC is reported first. */
bool headers_collect_keys(struct buffer *more_keys, struct bytes headers, bool *has_bcc,
                          struct headers_bad_keys *bad);

/* Take one key off the front of MORE_KEYS; false at the end. */
bool more_keys_next(struct bytes *more_keys, struct bytes *key, bool *is_bcc);

/* Append PROPERTIES without the BCC header. A headers table that becomes empty stays present. */
void properties_without_bcc(struct buffer *out, struct bytes properties);

/* ---- delivery count (queue-features.md 7.3) ---- */

/* Append PROPERTIES with the header x-delivery-count (type l) set to COUNT in place of any that was there. */
void properties_with_delivery_count(struct buffer *out, struct bytes properties, uint64_t count);

/* ---- for editors of headers ---- */

/* Put all pairs of HEADERS, in their order, but those called one of NAMES, a list that NULL ends. */
void headers_copy_without(struct table_builder *builder, struct bytes headers, const char *const names[]);

#endif
