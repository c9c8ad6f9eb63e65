/* SPDX-License-Identifier: Apache-2.0 */
/* What is read from amqp:// and amqps:// URIs, what is refused, and what of them may be shown. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "coney/amqp_uri.h"
#include "coney/client.h"

static struct amqp_uri parse(const char *text)
{
    char why[AMQP_URI_WHY_SIZE] = "";
    struct amqp_uri uri;

    cr_assert(amqp_uri_parse(&uri, text, "mine", why), "%s: %s", text, why);
    return uri;
}

Test(amqp_uri, reads_all_parts)
{
    struct amqp_uri uri =
        parse("amqp://us%20er:p%40ss%2Fword@example.com:10000/v%2Fhost?heartbeat=30&"
              "connection_timeout=5000&channel_max=10&frame_max=8192&auth_mechanism=external&unknown=1");

    cr_expect_str_eq(uri.host, "example.com");
    cr_expect_eq(uri.port, 10000);
    cr_expect_str_eq(uri.user, "us er");
    cr_expect_str_eq(uri.password, "p@ss/word");
    cr_expect_str_eq(uri.vhost, "v/host");
    cr_expect(uri.has_heartbeat && uri.heartbeat == 30);
    cr_expect_eq(uri.timeout_ms, 5000);
    cr_expect_eq(uri.channel_max, 10);
    cr_expect_eq(uri.frame_max, 8192);
    cr_expect(uri.is_external);
    cr_expect_not(uri.is_tls);
    amqp_uri_free(&uri);
}

Test(amqp_uri, leaves_out_what_is_not_said)
{
    struct amqp_uri uri = parse("amqp://");

    cr_expect_null(uri.host);
    cr_expect_str_eq(uri.vhost, "mine");
    cr_expect_null(uri.user);
    amqp_uri_free(&uri);
    uri = parse("amqp:///other");
    cr_expect_null(uri.host);
    cr_expect_str_eq(uri.vhost, "other");
    amqp_uri_free(&uri);
    uri = parse("amqp://somebody@");
    cr_expect_null(uri.host);
    cr_expect_str_eq(uri.user, "somebody");
    cr_expect_null(uri.password);
    amqp_uri_free(&uri);
    uri = parse("amqp://h/");
    cr_expect_str_eq(uri.vhost, "mine");
    cr_expect_eq(uri.port, 5672);
    amqp_uri_free(&uri);
    uri = parse("amqp://h?heartbeat=0");
    cr_expect_str_eq(uri.host, "h");
    cr_expect(uri.has_heartbeat && uri.heartbeat == 0);
    amqp_uri_free(&uri);
}

Test(amqp_uri, reads_addresses_in_brackets)
{
    struct amqp_uri uri = parse("amqp://[::1]:5673/v");

    cr_expect_str_eq(uri.host, "::1");
    cr_expect_eq(uri.port, 5673);
    amqp_uri_free(&uri);
    uri = parse("AMQPS://u:p@[fe80::1]");
    cr_expect_str_eq(uri.host, "fe80::1");
    cr_expect_eq(uri.port, 5671);
    amqp_uri_free(&uri);
}

Test(amqp_uri, reads_what_tls_needs)
{
    struct amqp_uri uri =
        parse("amqps://h?cacertfile=/ca%20file.pem&certfile=/c.pem&keyfile=/k.pem&password=x&"
              "verify=verify_none&depth=3&server_name_indication=other&fail_if_no_peer_cert=true");

    cr_expect(uri.is_tls);
    cr_expect_not(uri.verifies);
    cr_expect_str_eq(uri.ca_file, "/ca file.pem");
    cr_expect_str_eq(uri.certificate_file, "/c.pem");
    cr_expect_str_eq(uri.key_file, "/k.pem");
    cr_expect_str_eq(uri.key_password, "x");
    cr_expect_str_eq(uri.server_name, "other");
    cr_expect_eq(uri.depth, 3);
    amqp_uri_free(&uri);
    uri = parse("amqps://h?server_name_indication=disable");
    cr_expect_str_eq(uri.server_name, "");
    cr_expect(uri.verifies);
    amqp_uri_free(&uri);
    uri = parse("amqp://u:p@h?password=of_a_key&verify=nonsense");
    cr_expect_str_eq(uri.password, "p");
    amqp_uri_free(&uri);
}

Test(amqp_uri, takes_the_first_mechanism)
{
    struct amqp_uri uri = parse("amqp://h?auth_mechanism=amqplain&auth_mechanism=external");

    cr_expect_not(uri.is_external);
    amqp_uri_free(&uri);
}

Test(amqp_uri, refuses_what_is_none)
{
    static const struct {
        const char *text, *why;
    } refused[] = {
        {"", "no scheme"},
        {"localhost", "no scheme"},
        {"http://h", "the scheme is neither amqp nor amqps"},
        {"amqpsomething://h", "the scheme is neither amqp nor amqps"},
        {"amqp://:5672", "a port without a host"},
        {"amqp://h:0", "the port is not a number from 1 to 65535"},
        {"amqp://h:65536", "the port is not a number from 1 to 65535"},
        {"amqp://h:", "the port is not a number from 1 to 65535"},
        {"amqp://h:5672x", "the port is not a number from 1 to 65535"},
        {"amqp://[::1", "an IPv6 address without its closing bracket"},
        {"amqp://[::1]x", "something other than a port behind an IPv6 address"},
        {"amqp://h/a/b", "a / in the vhost must be written %2F"},
        {"amqp://h/a%2", "a % that no two hexadecimal digits, or that 00, follow"},
        {"amqp://h/a%", "a % that no two hexadecimal digits, or that 00, follow"},
        {"amqp://h/%00", "a % that no two hexadecimal digits, or that 00, follow"},
        {"amqp://u%zz:p@h", "a % that no two hexadecimal digits, or that 00, follow"},
        {"amqp://h?heartbeat=soon", "heartbeat is not an integer from 0 to 65535"},
        {"amqp://h?heartbeat=-1", "heartbeat is not an integer from 0 to 65535"},
        {"amqp://h?heartbeat=", "heartbeat is not an integer from 0 to 65535"},
        {"amqp://h?channel_max=65536", "channel_max is not an integer from 0 to 65535"},
        {"amqp://h?auth_mechanism=crdemo", "auth_mechanism is none of plain, amqplain and external"},
        {"amqps://h?verify=maybe", "verify is neither verify_peer nor verify_none"},
        {"amqps://h?fail_if_no_peer_cert=1", "fail_if_no_peer_cert is neither true nor false"},
        {"amqps://h?cacertfile=%0", "a % that no two hexadecimal digits, or that 00, follow"},
    };

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char why[AMQP_URI_WHY_SIZE] = "";
        struct amqp_uri uri;

        cr_expect_not(amqp_uri_parse(&uri, refused[i].text, "/", why), "%s", refused[i].text);
        cr_expect_str_eq(why, refused[i].why, "%s: %s", refused[i].text, why);
        cr_expect_null(uri.host);
    }
}

Test(amqp_uri, takes_no_vhost_that_cannot_be_sent)
{
    char text[300] = "amqp://h/", why[AMQP_URI_WHY_SIZE];
    struct amqp_uri uri;

    memset(text + strlen(text), 'v', SHORTSTR_MAX);
    uri = parse(text);
    cr_expect_eq(strlen(uri.vhost), SHORTSTR_MAX);
    amqp_uri_free(&uri);
    text[strlen(text)] = 'v';
    cr_expect_not(amqp_uri_parse(&uri, text, "/", why));
    cr_expect_str_eq(why, "a vhost of more than 255 octets");
}

Test(amqp_uri, shows_no_secrets)
{
    static const struct {
        const char *text, *shown;
    } hidden[] = {
        {"amqp://user:secret@host:5672/vhost?password=secret", "amqp://host:5672/vhost"},
        {"amqps://user:se@cret@host", "amqps://host"},
        {"amqp://user:se/cr@et@host/v", "amqp://host/v"},
        {"amqp://user:secret?x@host", "amqp://"},
        {"amqp://host/v?password=se@cret", "amqp://"},
        {"amqp://host/v#secret", "amqp://host/v"},
        {"amqp://", "amqp://"},
        {"amqp:///v", "amqp:///v"},
        {"user:secret@host", ""},
        {"amqp:/user:secret://x@host", ""},
        {"user:secret@amqp://host", ""},
    };

    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        char *shown = amqp_uri_hide(hidden[i].text);

        cr_expect_str_eq(shown, hidden[i].shown, "%s: %s", hidden[i].text, shown);
        free(shown);
    }
}

Test(amqp_uri, makes_a_target)
{
    struct amqp_uri uri = parse("amqp://h/v?connection_timeout=7");
    struct client_target target = {0};

    amqp_uri_target(&uri, 10, &target);
    cr_expect_str_eq(target.host, "h");
    cr_expect(bytes_equal_string(target.user, "guest"));
    cr_expect(bytes_equal_string(target.password, "guest"));
    cr_expect(bytes_equal_string(target.vhost, "v"));
    cr_expect_eq(target.heartbeat, 10);
    cr_expect_eq(target.timeout_ms, 7);
    amqp_uri_free(&uri);
}

Test(amqp_uri, says_which_file_is_not_sound)
{
    struct amqp_uri uri = parse("amqps://h?cacertfile=/nonexistent/ca.pem");
    char why[AMQP_URI_WHY_SIZE];

    cr_expect_null(amqp_uri_tls(&uri, why));
    cr_expect_str_eq(why, "cacertfile /nonexistent/ca.pem cannot be read: No such file or directory");
    amqp_uri_free(&uri);
    uri = parse("amqps://h?verify=verify_none&certfile=/nonexistent/c.pem");
    cr_expect_null(amqp_uri_tls(&uri, why));
    cr_expect_str_eq(why, "/nonexistent/c.pem: cannot be taken as a certificate: No such file or directory");
    amqp_uri_free(&uri);
}
