/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SASL mechanisms: from the octets of start-ok and secure-ok to a user name and a password, or malformed
 * (connection-and-channel.md 3.3). Knows no users: auth_decide() does.
 */
#ifndef CONEY_SASL_H
#define CONEY_SASL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/buffer.h"
#include "coney/bytes.h"

/* In order of their names, in which they are offered (cli-and-metrics.md 4). */
enum sasl_mechanism {
    SASL_AMQPLAIN,
    SASL_ANONYMOUS,
    SASL_EXTERNAL,
    SASL_PLAIN,
    SASL_RABBIT_CR_DEMO,
};

#define SASL_MASK(mechanism) (UINT32_C(1) << (mechanism))

/* Longest user name; a longer one is malformed. */
#define SASL_USER_MAX 255

enum sasl_status {
    SASL_DONE,      /* credentials are there */
    SASL_CHALLENGE, /* send result.challenge in connection.secure, then sasl_continue() */
    SASL_MALFORMED, /* result.why says what; connection-and-channel.md 3.3: drop */
};

/* Which of the mechanisms of a listener are on, and what they need to know. */
struct sasl_settings {
    uint32_t enabled; /* SASL_MASK() of each */
    struct bytes anonymous_user;
    struct bytes anonymous_password;
};

/* One login. Holds no memory that must be freed. */
struct sasl {
    const struct sasl_settings *settings;
    struct bytes certificate_name;
    enum sasl_mechanism mechanism;
    uint8_t user[SASL_USER_MAX];
    uint8_t user_size;
};

/* Bytes are borrowed from the response, the settings, or the struct sasl. */
struct sasl_result {
    struct bytes user;
    struct bytes password;
    bool is_external; /* there is no password: USER is the certificate's, empty when there is none */
    struct bytes challenge;
    const char *why;
};

/* "PLAIN", ... */
const char *sasl_mechanism_name(enum sasl_mechanism mechanism);

/* The mechanism by its name, case-sensitive; false for any other text. */
bool sasl_mechanism_from_name(struct bytes name, enum sasl_mechanism *out);

/* Append the names of the enabled mechanisms as connection.start has them: "AMQPLAIN PLAIN". EXTERNAL is
 * among them only where clients can have certificates. */
void sasl_append_names(struct buffer *out, const struct sasl_settings *settings, bool has_certificates);

/* Begin with the mechanism and response of start-ok. A mechanism that does not exist or is not enabled is
 * SASL_MALFORMED too: the peer sees no difference. CERTIFICATE_NAME is the user that the peer's certificate
 * names, empty when there is none; it must last as long as SASL. */
enum sasl_status sasl_start(struct sasl *sasl, const struct sasl_settings *settings,
                            struct bytes certificate_name, struct bytes mechanism, struct bytes response,
                            struct sasl_result *result);

/* Go on with the response of secure-ok, after SASL_CHALLENGE. */
enum sasl_status sasl_continue(struct sasl *sasl, struct bytes response, struct sasl_result *result);

#endif
