/* SPDX-License-Identifier: Apache-2.0 */
/* amqp_uri.h: reading. The text is cut at its delimiters first, and the pieces are decoded afterwards. */
#include "coney/amqp_uri.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coney/client.h"
#include "coney/refuse.h"
#include "coney/xalloc.h"

#define PORT_PLAIN 5672
#define PORT_TLS   5671
#define DEPTH_MAX  100

#define SCHEME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* ---- pieces ---- */

/* Where a URI is cut. */
struct pieces {
    struct bytes scheme, user_info, host, port, vhost, query;
    bool has_user_info, has_port;
};

/* Take what stands before the first DELIMITER off REST, and the delimiter too; false, and nothing is taken,
 * when there is none. */
static bool cut(struct bytes *rest, char delimiter, struct bytes *before)
{
    const uint8_t *at = rest->size ? memchr(rest->data, delimiter, rest->size) : NULL;
    size_t size;

    if (!at)
        return false;
    size = (size_t)(at - rest->data);
    *before = (struct bytes){rest->data, size};
    *rest = (struct bytes){at + 1, rest->size - size - 1};
    return true;
}

static bool cut_host(struct pieces *pieces, struct bytes authority, char *why)
{
    struct bytes bracketed;

    if (authority.size && authority.data[0] == '[') {
        if (!cut(&authority, ']', &bracketed))
            return refuse(why, AMQP_URI_WHY_SIZE, "an IPv6 address without its closing bracket");
        pieces->host = (struct bytes){bracketed.data + 1, bracketed.size - 1};
        if (authority.size == 0)
            return true;
        if (authority.data[0] != ':')
            return refuse(why, AMQP_URI_WHY_SIZE, "something other than a port behind an IPv6 address");
        pieces->has_port = true;
        pieces->port = (struct bytes){authority.data + 1, authority.size - 1};
        return true;
    }
    pieces->host = authority;
    pieces->has_port = cut(&authority, ':', &pieces->host);
    pieces->port = authority;
    return true;
}

static bool cut_pieces(struct pieces *pieces, const char *text, char *why)
{
    const char *after = strstr(text, "://");
    struct bytes rest, authority, piece;

    *pieces = (struct pieces){0};
    if (!after)
        return refuse(why, AMQP_URI_WHY_SIZE, "no scheme");
    pieces->scheme = (struct bytes){(const uint8_t *)text, (size_t)(after - text)};
    rest = bytes_from_string(after + 3);
    if (cut(&rest, '#', &piece))
        rest = piece;
    if (cut(&rest, '?', &piece)) {
        pieces->query = rest;
        rest = piece;
    }
    if (cut(&rest, '/', &authority))
        pieces->vhost = rest;
    else
        authority = rest;
    while (cut(&authority, '@', &piece)) { /* the last counts: some passwords are not encoded */
        pieces->user_info.data = pieces->has_user_info ? pieces->user_info.data : piece.data;
        pieces->user_info.size = (size_t)(piece.data + piece.size - pieces->user_info.data);
        pieces->has_user_info = true;
    }
    return cut_host(pieces, authority, why);
}

/* ---- values ---- */

static int hex_value(uint8_t digit)
{
    if (!isxdigit(digit))
        return -1;
    return isdigit(digit) ? digit - '0' : tolower(digit) - 'a' + 10;
}

/* PIECE percent-decoded, with a NUL; or NULL. */
static char *decode(struct bytes piece, char *why)
{
    char *out = xmalloc(piece.size + 1), *p = out;

    for (size_t i = 0; i < piece.size; i++) {
        uint8_t octet = piece.data[i];

        if (octet == '%') {
            int high = piece.size - i > 2 ? hex_value(piece.data[i + 1]) : -1;
            int low = piece.size - i > 2 ? hex_value(piece.data[i + 2]) : -1;

            octet = high < 0 || low < 0 ? 0 : (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (octet == 0) {
            refuse(why, AMQP_URI_WHY_SIZE, "a %% that no two hexadecimal digits, or that 00, follow");
            free(out);
            return NULL;
        }
        *p++ = (char)octet;
    }
    *p = 0;
    return out;
}

static bool decode_into(char **out, struct bytes piece, char *why)
{
    free(*out);
    *out = decode(piece, why);
    return *out != NULL;
}

static bool read_number(struct bytes piece, uint64_t max, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < piece.size; i++) {
        if (!isdigit(piece.data[i]))
            return false;
        *out = *out * 10 + (uint64_t)(piece.data[i] - '0');
        if (*out > max)
            return false;
    }
    return piece.size > 0;
}

/* ---- the query ---- */

enum parameter_kind { NUMBER, TEXT, MECHANISM, VERIFY, BOOLEAN, SERVER_NAME };

struct parameter {
    const char *name;
    enum parameter_kind kind;
    bool of_tls;  /* looked at in amqps only */
    uint64_t max; /* of a number */
};

static const struct parameter parameters[] = {
    {"heartbeat", NUMBER, false, UINT16_MAX},
    {"connection_timeout", NUMBER, false, UINT32_MAX},
    {"channel_max", NUMBER, false, UINT16_MAX},
    {"frame_max", NUMBER, false, UINT32_MAX},
    {"depth", NUMBER, true, DEPTH_MAX},
    {"auth_mechanism", MECHANISM, false, 0},
    {"cacertfile", TEXT, true, 0},
    {"certfile", TEXT, true, 0},
    {"keyfile", TEXT, true, 0},
    {"password", TEXT, true, 0},
    {"server_name_indication", SERVER_NAME, true, 0},
    {"verify", VERIFY, true, 0},
    {"fail_if_no_peer_cert", BOOLEAN, true, 0},
};

static void take_number(struct amqp_uri *uri, const char *name, uint64_t number)
{
    if (strcmp(name, "heartbeat") == 0) {
        uri->has_heartbeat = true;
        uri->heartbeat = (uint16_t)number;
    } else if (strcmp(name, "connection_timeout") == 0) {
        uri->timeout_ms = (uint32_t)number;
    } else if (strcmp(name, "channel_max") == 0) {
        uri->channel_max = (uint16_t)number;
    } else if (strcmp(name, "frame_max") == 0) {
        uri->frame_max = (uint32_t)number;
    } else {
        uri->depth = (int)number;
    }
}

static char **text_place(struct amqp_uri *uri, const char *name)
{
    if (strcmp(name, "cacertfile") == 0)
        return &uri->ca_file;
    if (strcmp(name, "certfile") == 0)
        return &uri->certificate_file;
    if (strcmp(name, "keyfile") == 0)
        return &uri->key_file;
    return strcmp(name, "password") == 0 ? &uri->key_password : &uri->server_name;
}

/* The first mechanism that is named counts. */
static bool take_mechanism(struct amqp_uri *uri, struct bytes value, bool *has_mechanism, char *why)
{
    bool is_external = bytes_equal_string(value, "external");

    if (!is_external && !bytes_equal_string(value, "plain") && !bytes_equal_string(value, "amqplain"))
        return refuse(why, AMQP_URI_WHY_SIZE, "auth_mechanism is none of plain, amqplain and external");
    if (!*has_mechanism)
        uri->is_external = is_external;
    *has_mechanism = true;
    return true;
}

static bool take_parameter(struct amqp_uri *uri, const struct parameter *parameter, struct bytes value,
                           bool *has_mechanism, char *why)
{
    uint64_t number;
    bool is_first;

    switch (parameter->kind) {
    case NUMBER:
        if (!read_number(value, parameter->max, &number))
            return refuse(why, AMQP_URI_WHY_SIZE, "%s is not an integer from 0 to %llu", parameter->name,
                          (unsigned long long)parameter->max);
        take_number(uri, parameter->name, number);
        return true;
    case MECHANISM:
        return take_mechanism(uri, value, has_mechanism, why);
    case VERIFY:
        is_first = bytes_equal_string(value, "verify_none");
        if (!is_first && !bytes_equal_string(value, "verify_peer"))
            return refuse(why, AMQP_URI_WHY_SIZE, "verify is neither verify_peer nor verify_none");
        uri->verifies = !is_first;
        return true;
    case BOOLEAN:
        if (!bytes_equal_string(value, "true") && !bytes_equal_string(value, "false"))
            return refuse(why, AMQP_URI_WHY_SIZE, "%s is neither true nor false", parameter->name);
        return true;
    case SERVER_NAME:
        if (bytes_equal_string(value, "disable"))
            value.size = 0;
        return decode_into(&uri->server_name, value, why);
    default:
        return decode_into(text_place(uri, parameter->name), value, why);
    }
}

static const struct parameter *find_parameter(const struct amqp_uri *uri, struct bytes name)
{
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (bytes_equal_string(name, parameters[i].name))
            return parameters[i].of_tls && !uri->is_tls ? NULL : &parameters[i];
    return NULL;
}

/* Parameters that are not known are for others, and ignored. */
static bool take_query(struct amqp_uri *uri, struct bytes query, char *why)
{
    bool has_mechanism = false;
    struct bytes pair, name;

    while (query.size) {
        const struct parameter *parameter;

        if (!cut(&query, '&', &pair)) {
            pair = query;
            query.size = 0;
        }
        if (!cut(&pair, '=', &name))
            continue;
        parameter = find_parameter(uri, name);
        if (parameter && !take_parameter(uri, parameter, pair, &has_mechanism, why))
            return false;
    }
    return true;
}

/* ---- the whole ---- */

static bool take_scheme(struct amqp_uri *uri, struct bytes scheme, char *why)
{
    char text[8];

    snprintf(text, sizeof text, "%.*s", BYTES_ARG(scheme));
    uri->is_tls = strcasecmp(text, "amqps") == 0;
    if (!uri->is_tls && strcasecmp(text, "amqp") != 0)
        return refuse(why, AMQP_URI_WHY_SIZE, "the scheme is neither amqp nor amqps");
    uri->port = uri->is_tls ? PORT_TLS : PORT_PLAIN;
    return true;
}

static bool take_host(struct amqp_uri *uri, const struct pieces *pieces, char *why)
{
    uint64_t port;

    if (pieces->host.size && !decode_into(&uri->host, pieces->host, why))
        return false;
    if (!pieces->has_port)
        return true;
    if (!uri->host)
        return refuse(why, AMQP_URI_WHY_SIZE, "a port without a host");
    if (!read_number(pieces->port, UINT16_MAX, &port) || port == 0)
        return refuse(why, AMQP_URI_WHY_SIZE, "the port is not a number from 1 to 65535");
    uri->port = (uint16_t)port;
    return true;
}

static bool take_user(struct amqp_uri *uri, const struct pieces *pieces, char *why)
{
    struct bytes password = pieces->user_info, user;

    if (!pieces->has_user_info)
        return true;
    if (!cut(&password, ':', &user))
        return decode_into(&uri->user, pieces->user_info, why);
    return decode_into(&uri->user, user, why) && decode_into(&uri->password, password, why);
}

static bool take_vhost(struct amqp_uri *uri, const struct pieces *pieces, const char *default_vhost,
                       char *why)
{
    if (pieces->vhost.size == 0) {
        uri->vhost = xstrdup(default_vhost);
        return true;
    }
    if (memchr(pieces->vhost.data, '/', pieces->vhost.size))
        return refuse(why, AMQP_URI_WHY_SIZE, "a / in the vhost must be written %%2F");
    if (!decode_into(&uri->vhost, pieces->vhost, why))
        return false;
    return strlen(uri->vhost) <= SHORTSTR_MAX ||
           refuse(why, AMQP_URI_WHY_SIZE, "a vhost of more than %d octets", SHORTSTR_MAX);
}

bool amqp_uri_parse(struct amqp_uri *out, const char *text, const char *default_vhost,
                    char why[AMQP_URI_WHY_SIZE])
{
    struct pieces pieces;

    *out = (struct amqp_uri){.verifies = true, .depth = -1};
    if (cut_pieces(&pieces, text, why) && take_scheme(out, pieces.scheme, why) &&
        take_host(out, &pieces, why) && take_user(out, &pieces, why) &&
        take_vhost(out, &pieces, default_vhost, why) && take_query(out, pieces.query, why))
        return true;
    amqp_uri_free(out);
    return false;
}

void amqp_uri_free(struct amqp_uri *uri)
{
    free(uri->host);
    free(uri->vhost);
    free(uri->user);
    free(uri->password);
    free(uri->ca_file);
    free(uri->certificate_file);
    free(uri->key_file);
    free(uri->key_password);
    free(uri->server_name);
    *uri = (struct amqp_uri){0};
}

char *amqp_uri_hide(const char *text)
{
    const char *authority = text + strspn(text, SCHEME_LETTERS), *end, *at;
    char *out = xmalloc(strlen(text) + 1);

    *out = 0;
    if (strncmp(authority, "://", 3) != 0)
        return out; /* nothing in it can be told from a password */
    authority += 3;
    end = authority + strcspn(authority, "?#");
    at = strrchr(authority, '@');
    if (at && at > end) /* in the query, or a password has a ? in it */
        end = authority;
    else if (at)
        at++;
    else
        at = authority;
    snprintf(out, strlen(text) + 1, "%.*s%.*s", (int)(authority - text), text, at > end ? 0 : (int)(end - at),
             at);
    return out;
}

void amqp_uri_target(const struct amqp_uri *uri, uint16_t heartbeat, struct client_target *target)
{
    target->host = uri->host;
    target->port = uri->port;
    target->server_name = uri->server_name;
    target->vhost = bytes_from_string(uri->vhost);
    target->user = bytes_from_string(uri->user ? uri->user : "guest");
    target->password = bytes_from_string(uri->password ? uri->password : "guest");
    target->mechanism = uri->is_external ? "EXTERNAL" : "PLAIN";
    target->heartbeat = uri->has_heartbeat ? uri->heartbeat : heartbeat;
    target->timeout_ms = uri->timeout_ms;
    target->channel_max = uri->channel_max;
    target->frame_max = uri->frame_max;
}
