/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods: bytes to structs and back (AMQP 0-9-1 section 4.2; spec methods.tsv).
 *
 * The structs and the code are generated from methods.tsv (method_gen.h); this is what users include.
 * Decoding is in place: no allocation, no copy, and every check that a peer's bytes need is done here once,
 * so whoever holds a decoded method may trust it:
 *
 * - short strings are valid UTF-8; long strings are any octets;
 * - a table is given by its contents (without the 32-bit length) and has passed table_is_valid();
 * - reserved arguments have been skipped, whatever they held (connection-and-channel.md 6.1).
 */
#ifndef CONEY_METHOD_H
#define CONEY_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"
#include "coney/method_gen.h"

#define METHOD_CLASS(id) ((uint16_t)((uint32_t)(id) >> 16)) /* class-id of a method id */
#define METHOD_INDEX(id) ((uint16_t)((uint32_t)(id)))       /* method-id within its class */

enum method_status {
    METHOD_OK,
    METHOD_MALFORMED, /* too short, too long, or fewer than 4 octets: 501 */
    METHOD_UNKNOWN,   /* no such class and method: 503 */
    METHOD_BAD_UTF8,  /* a short string that is not UTF-8: 501, class and method 0 */
    METHOD_BAD_TABLE, /* a table argument that table_is_valid() refuses: 502 */
};

/* Decode the payload of a method frame. Strings and tables in OUT point into PAYLOAD. Where several things
 * are wrong the status that comes first in the enum is given. out->id is class and method as sent whenever
 * PAYLOAD has 4 octets, also with METHOD_UNKNOWN; the rest of OUT is meaningful only with METHOD_OK. */
enum method_status method_decode(struct method *out, struct bytes payload);

/* Octets that method_encode() writes: class-id, method-id and arguments, no frame. */
size_t method_encoded_size(const struct method *method);

/* Write METHOD at OUT, where method_encoded_size() octets fit, and return the end. Reserved arguments are
 * written as zero or empty. Short strings must not be longer than SHORTSTR_MAX; tables must be valid. */
uint8_t *method_encode(uint8_t *out, const struct method *method);

/* Tell whether METHOD, which a client sends on a channel, has a table of arguments that are not empty; it
 * goes to *OUT. */
bool method_arguments(const struct method *method, struct bytes *out);

/* Append METHOD as one whole method frame. */
void buffer_append_method(struct buffer *buffer, uint16_t channel, const struct method *method);

/* "queue.declare"; "unknown" for an id that is not in methods.tsv. */
const char *method_name(enum method_id id);

/* Tell whether a client may send ID: direction client->server or both. False for an unknown id. */
bool method_is_from_client(enum method_id id);

/* Tell whether a content header and body follow ID. */
bool method_has_content(enum method_id id);

#endif
