/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SASL mechanisms. Each is one function from a response to a result; only RABBIT-CR-DEMO has a second round.
 */
#include "coney/sasl.h"

#include "coney/table.h"

#define MECHANISMS 5

static const char *const names[MECHANISMS] = {"AMQPLAIN", "ANONYMOUS", "EXTERNAL", "PLAIN", "RABBIT-CR-DEMO"};

const char *sasl_mechanism_name(enum sasl_mechanism mechanism)
{
    return names[mechanism];
}

bool sasl_mechanism_from_name(struct bytes name, enum sasl_mechanism *out)
{
    for (int i = 0; i < MECHANISMS; i++) {
        if (bytes_equal_string(name, names[i])) {
            *out = (enum sasl_mechanism)i;
            return true;
        }
    }
    return false;
}

void sasl_append_names(struct buffer *out, const struct sasl_settings *settings, bool has_certificates)
{
    const char *separator = "";

    for (int i = 0; i < MECHANISMS; i++) {
        if ((settings->enabled & SASL_MASK(i)) == 0 || (i == SASL_EXTERNAL && !has_certificates))
            continue;
        buffer_append(out, separator, strlen(separator));
        buffer_append(out, names[i], strlen(names[i]));
        separator = " ";
    }
}

static enum sasl_status malformed(struct sasl_result *result, const char *why)
{
    result->why = why;
    return SASL_MALFORMED;
}

/* A user name is fit to be looked up, compared and logged. */
static enum sasl_status done(struct sasl_result *result, struct bytes user, struct bytes password)
{
    if (user.size > SASL_USER_MAX)
        return malformed(result, "user name too long");
    if (!utf8_is_valid(user))
        return malformed(result, "user name is not UTF-8");
    result->user = user;
    result->password = password;
    return SASL_DONE;
}

/* NUL user NUL password, nothing before and no third NUL (RFC 4616 without its authorisation id). */
static enum sasl_status plain(struct bytes response, struct sasl_result *result)
{
    const uint8_t *end, *user, *separator;

    if (response.size == 0 || response.data[0] != '\0')
        return malformed(result, "PLAIN response does not begin with NUL");
    end = response.data + response.size;
    user = response.data + 1;
    separator = memchr(user, '\0', response.size - 1);
    if (separator == NULL)
        return malformed(result, "PLAIN response has no second NUL");
    if (memchr(separator + 1, '\0', (size_t)(end - separator - 1)) != NULL)
        return malformed(result, "PLAIN response has a third NUL");
    return done(result, (struct bytes){user, (size_t)(separator - user)},
                (struct bytes){separator + 1, (size_t)(end - separator - 1)});
}

static bool is_string(const struct field *field)
{
    return field->type == FIELD_LONGSTR || field->type == FIELD_BINARY;
}

static struct bytes string_of(const struct field *field)
{
    return is_string(field) ? field->bytes : (struct bytes){NULL, 0};
}

/* A table's contents, without the length. Either has to be a string, as for RabbitMQ 3.10: what the other is
 * then is refused like a wrong password. */
static enum sasl_status amqplain(struct bytes response, struct sasl_result *result)
{
    struct field user, password;

    if (!table_is_valid(response, TABLE_DEPTH_MAX))
        return malformed(result, "AMQPLAIN response is no table");
    if (!table_get(response, "LOGIN", &user) || !table_get(response, "PASSWORD", &password) ||
        (!is_string(&user) && !is_string(&password)))
        return malformed(result, "AMQPLAIN response without LOGIN or PASSWORD");
    return done(result, string_of(&user), string_of(&password));
}

/* The response is not looked at. A name that is none for a user is as no certificate: refused like a wrong
 * password. */
static enum sasl_status external(struct sasl *sasl, struct sasl_result *result)
{
    struct bytes name = sasl->certificate_name;

    result->is_external = true;
    if (name.size <= SASL_USER_MAX && utf8_is_valid(name))
        result->user = name;
    return SASL_DONE;
}

static enum sasl_status challenge(struct sasl *sasl, struct bytes response, struct sasl_result *result)
{
    enum sasl_status status = done(result, response, (struct bytes){NULL, 0});

    if (status != SASL_DONE)
        return status;
    put_bytes(sasl->user, response);
    sasl->user_size = (uint8_t)response.size;
    result->challenge = BYTES_LITERAL("Please tell me your password");
    return SASL_CHALLENGE;
}

enum sasl_status sasl_start(struct sasl *sasl, const struct sasl_settings *settings,
                            struct bytes certificate_name, struct bytes mechanism, struct bytes response,
                            struct sasl_result *result)
{
    *result = (struct sasl_result){0};
    *sasl = (struct sasl){.settings = settings, .certificate_name = certificate_name};
    if (!sasl_mechanism_from_name(mechanism, &sasl->mechanism) ||
        (settings->enabled & SASL_MASK(sasl->mechanism)) == 0)
        return malformed(result, "mechanism not offered");
    switch (sasl->mechanism) {
    case SASL_AMQPLAIN:
        return amqplain(response, result);
    case SASL_ANONYMOUS:
        return done(result, settings->anonymous_user, settings->anonymous_password);
    case SASL_EXTERNAL:
        return external(sasl, result);
    case SASL_PLAIN:
        return plain(response, result);
    case SASL_RABBIT_CR_DEMO:
        return challenge(sasl, response, result);
    }
    return malformed(result, "mechanism not offered");
}

enum sasl_status sasl_continue(struct sasl *sasl, struct bytes response, struct sasl_result *result)
{
    const struct bytes prefix = BYTES_LITERAL("My password is ");

    *result = (struct sasl_result){0};
    if (response.size < prefix.size || memcmp(response.data, prefix.data, prefix.size) != 0)
        return malformed(result, "unexpected answer to the challenge");
    return done(result, (struct bytes){sasl->user, sasl->user_size},
                (struct bytes){response.data + prefix.size, response.size - prefix.size});
}
