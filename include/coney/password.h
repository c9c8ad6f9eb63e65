/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords as they are stored: what is kept instead of one, and whether one matches it. Knows no users.
 *
 * A password set here is hashed with scrypt (RFC 7914), which costs whoever guesses as much time and memory
 * for each guess as it costs here once. The hashes of RabbitMQ (management-http-api.md 3.10) are taken and
 * given back as they are, so that its definitions can be imported. As text every secret is base64:
 *
 *     rabbit_password_hashing_sha256, _sha512, _md5    salt (4 octets) || H(salt || password)
 *     coney_password_hashing_scrypt                    log2 N || r || p || salt (16) || key (32)
 *
 * Any thread may call anything here. No more than PASSWORD_HASHES_AT_ONCE scrypts run at any time, others
 * wait: that bounds the memory that logins can take.
 */
#ifndef CONEY_PASSWORD_H
#define CONEY_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/bytes.h"

enum password_hashing {
    PASSWORD_SHA256,
    PASSWORD_SHA512,
    PASSWORD_MD5,    /* of old definitions: accepted, never made */
    PASSWORD_SCRYPT, /* what is made here */
};

/* Longest password taken, in octets. */
#define PASSWORD_MAX 4096

#define PASSWORD_HASHES_AT_ONCE 2

/* No secret has more: a salt of 4 octets and a hash of 64. */
#define PASSWORD_SECRET_MAX 68

/* What is stored. Size 0: there is no password, and none matches. */
struct password_secret {
    enum password_hashing hashing;
    size_t size;
    uint8_t octets[PASSWORD_SECRET_MAX];
};

/* "rabbit_password_hashing_sha256" and so on, and back. */
const char *password_hashing_name(enum password_hashing hashing);
bool password_hashing_from_name(struct bytes name, enum password_hashing *out);

/* The algorithm whose text is SIZE characters long, for definitions that do not name it. */
enum password_hashing password_hashing_from_size(size_t size);

/* Hash PASSWORD with scrypt and a random salt; takes some tens of milliseconds. False when the system has no
 * randomness or no memory for it. */
bool password_hash(struct password_secret *out, struct bytes password);

/* The same by HASHING, for whoever wants what RabbitMQ understands too. */
bool password_hash_as(struct password_secret *out, enum password_hashing hashing, struct bytes password);

/* Tell whether PASSWORD is the one. Takes as long for a wrong one as for the right one. */
bool password_matches(const struct password_secret *secret, struct bytes password);

/* Take as long as password_matches() does for what password_hash() made. */
void password_match_nothing(struct bytes password);

/* SECRET as text, to be freed by the caller; "" for none. */
char *password_to_base64(const struct password_secret *secret);

/* Text as made by the above. False when it is none, or asks for more memory or time than logins may take. */
bool password_from_base64(struct password_secret *out, struct bytes text, enum password_hashing hashing);

#endif
