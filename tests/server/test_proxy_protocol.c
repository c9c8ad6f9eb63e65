/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY protocol's headers: whom they name, how long they are, and what is none. Whom coneyd lets in
 * behind them, tests/blackbox/listeners_proxy_test.py tells.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "server/listen/proxy_protocol.h"
#include "server/session/peer.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FOUR      "\xc0\0\2\1\x7f\0\0\1\x30\x39\x16\x28" /* 192.0.2.1 port 12345, to 127.0.0.1 port 5672 */

static struct proxy_header header;

static enum proxy_result parse(const char *octets, size_t size)
{
    const char *why = NULL;
    enum proxy_result result = proxy_header_parse((const uint8_t *)octets, size, &header, &why);

    cr_expect((result == PROXY_REFUSED) == (why != NULL), "a reason where it is refused, and only there");
    return result;
}

#define PARSE(literal) parse(literal, sizeof(literal) - 1)

static void expect_peer(const char *expected)
{
    char text[PEER_TEXT_SIZE];

    cr_expect(header.is_proxied);
    cr_expect_str_eq(peer_text(&header.peer, text), expected);
}

Test(proxy_protocol, lines_of_text)
{
    cr_assert_eq(PARSE("PROXY TCP4 192.0.2.1 127.0.0.1 12345 5672\r\nAMQP"), PROXY_HEADER);
    cr_expect_eq(header.size, 43);
    expect_peer("192.0.2.1:12345");
    cr_assert_eq(PARSE("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"), PROXY_HEADER);
    expect_peer("[2001:db8::1]:0");
    cr_assert_eq(PARSE("PROXY UNKNOWN\r\n"), PROXY_HEADER);
    cr_expect_eq(header.size, 15);
    expect_peer("somebody");
    cr_assert_eq(PARSE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                 PROXY_HEADER, "the longest line that there is");
    cr_expect_eq(header.size, 107);
}

Test(proxy_protocol, binary)
{
    cr_assert_eq(PARSE(SIGNATURE "\x21\x11\0\x0c" FOUR "AMQP"), PROXY_HEADER);
    cr_expect_eq(header.size, 28);
    expect_peer("192.0.2.1:12345");
    cr_assert_eq(PARSE(SIGNATURE "\x21\x11\0\x0f" FOUR "ext"), PROXY_HEADER);
    cr_expect_eq(header.size, 31);
    cr_assert_eq(PARSE(SIGNATURE "\x21\0\0\0"), PROXY_HEADER);
    expect_peer("somebody");
    cr_assert_eq(PARSE(SIGNATURE "\x20\x11\0\x0c" FOUR), PROXY_HEADER);
    cr_expect_not(header.is_proxied, "the proxy speaks for itself");
}

Test(proxy_protocol, each_part_of_a_header_is_incomplete)
{
    static const char *const headers[] = {"PROXY TCP4 192.0.2.1 127.0.0.1 12345 5672\r\n",
                                          SIGNATURE "\x21\x11\0\x0c" FOUR};
    static const size_t sizes[] = {43, 28};

    for (size_t i = 0; i < 2; i++)
        for (size_t size = 0; size < sizes[i]; size++)
            cr_assert_eq(parse(headers[i], size), PROXY_INCOMPLETE, "header %zu, %zu octets", i, size);
}

Test(proxy_protocol, what_is_too_long_is_not_waited_for)
{
    char line[200];

    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY ", 6);
    cr_expect_eq(parse(line, 106), PROXY_INCOMPLETE);
    cr_expect_eq(parse(line, 107), PROXY_REFUSED);
    line[106] = '\r';
    line[107] = '\n';
    cr_expect_eq(parse(line, 108), PROXY_REFUSED);
    cr_expect_eq(PARSE(SIGNATURE "\x21\x11\x08\x00"), PROXY_REFUSED);
}

Test(proxy_protocol, an_ipv4_address_within_ipv6_is_no_loopback_of_ours)
{
    cr_assert_eq(PARSE("PROXY TCP6 ::ffff:127.0.0.1 ::1 1 2\r\n"), PROXY_HEADER);
    cr_expect_not(peer_is_loopback(&header.peer));
}
