/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the reader of amqp:// URIs, which come from whoever may set a shovel. What was read and is written
 * again reads the same; what is shown of any text names no user, and of a URI the same place.
 */
#include "coney/amqp_uri.h"
#include "coney/buffer.h"
#include "fuzz.h"

static void put(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

static void put_number(struct buffer *out, const char *before, unsigned long number)
{
    char text[24];

    snprintf(text, sizeof text, "%lu", number);
    put(out, before);
    put(out, text);
}

/* BEFORE and TEXT, all of which is percent-encoded; nothing for NULL. */
static void put_text(struct buffer *out, const char *before, const char *text)
{
    char code[4];

    if (!text)
        return;
    put(out, before);
    for (; *text; text++) {
        snprintf(code, sizeof code, "%%%02X", (uint8_t)*text);
        put(out, code);
    }
}

static void put_tls(struct buffer *out, const struct amqp_uri *uri)
{
    put(out, uri->verifies ? "&verify=verify_peer" : "&verify=verify_none");
    if (uri->depth >= 0)
        put_number(out, "&depth=", (unsigned long)uri->depth);
    put_text(out, "&cacertfile=", uri->ca_file);
    put_text(out, "&certfile=", uri->certificate_file);
    put_text(out, "&keyfile=", uri->key_file);
    put_text(out, "&password=", uri->key_password);
    put_text(out, "&server_name_indication=", uri->server_name);
}

/* What says all that URI does; to be freed. */
static char *write_uri(const struct amqp_uri *uri)
{
    struct buffer out = {0};

    put(&out, uri->is_tls ? "amqps://" : "amqp://");
    put_text(&out, "", uri->user);
    put_text(&out, ":", uri->password);
    put(&out, uri->user ? "@" : "");
    put_text(&out, "", uri->host);
    if (uri->host)
        put_number(&out, ":", uri->port);
    put_text(&out, "/", uri->vhost);
    put_number(&out, "?connection_timeout=", uri->timeout_ms);
    put_number(&out, "&channel_max=", uri->channel_max);
    put_number(&out, "&frame_max=", uri->frame_max);
    if (uri->has_heartbeat)
        put_number(&out, "&heartbeat=", uri->heartbeat);
    put(&out, uri->is_external ? "&auth_mechanism=external" : "&auth_mechanism=plain");
    if (uri->is_tls)
        put_tls(&out, uri);
    buffer_append(&out, "", 1);
    return (char *)out.data;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_place(const struct amqp_uri *a, const struct amqp_uri *b)
{
    return a->is_tls == b->is_tls && a->port == b->port && same(a->host, b->host) && same(a->vhost, b->vhost);
}

static void check_again(const struct amqp_uri *uri)
{
    char *text = write_uri(uri), why[AMQP_URI_WHY_SIZE];
    struct amqp_uri again;

    CHECK(amqp_uri_parse(&again, text, "default", why));
    CHECK(is_same_place(uri, &again) && same(uri->user, again.user) && same(uri->password, again.password));
    CHECK(uri->is_external == again.is_external && uri->timeout_ms == again.timeout_ms &&
          uri->channel_max == again.channel_max && uri->frame_max == again.frame_max &&
          uri->has_heartbeat == again.has_heartbeat && uri->heartbeat == again.heartbeat);
    CHECK(uri->verifies == again.verifies && uri->depth == again.depth && same(uri->ca_file, again.ca_file) &&
          same(uri->certificate_file, again.certificate_file) && same(uri->key_file, again.key_file) &&
          same(uri->key_password, again.key_password) && same(uri->server_name, again.server_name));
    amqp_uri_free(&again);
    free(text);
}

/* URI is what SHOWN was made of; NULL: nothing. */
static void check_shown(const char *shown, const struct amqp_uri *uri)
{
    const char *scheme_end = strstr(shown, "://");
    char why[AMQP_URI_WHY_SIZE];
    struct amqp_uri again;

    CHECK(!*shown || scheme_end);
    CHECK(!strpbrk(shown, "@?#") && (!*shown || strchr(shown, ':') == scheme_end));
    /* Of a vhost with an @ that is not encoded the beginning may be a password: it is not shown. */
    if (!uri || !scheme_end[3] || strchr(uri->vhost, '@'))
        return;
    CHECK(amqp_uri_parse(&again, shown, "/", why));
    CHECK(is_same_place(uri, &again) && !again.user && !again.password);
    amqp_uri_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), *shown = amqp_uri_hide(text), why[AMQP_URI_WHY_SIZE] = "";
    struct amqp_uri uri;

    if (amqp_uri_parse(&uri, text, "/", why)) {
        CHECK(uri.vhost && *uri.vhost && strlen(uri.vhost) <= SHORTSTR_MAX && uri.port);
        CHECK(!uri.password || uri.user);
        check_again(&uri);
        check_shown(shown, &uri);
    } else {
        CHECK(*why && strlen(why) < sizeof why);
        CHECK(!uri.host && !uri.vhost && !uri.user && !uri.password); /* LeakSanitizer sees the rest */
        check_shown(shown, NULL);
    }
    amqp_uri_free(&uri);
    free(shown);
    free(text);
    return 0;
}
