/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that break the protocol: each of them gives an end with its reason, and whoever waits is told. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "coney/frame.h"
#include "coney/properties.h"
#include "peer.h"

struct breach {
    const char *octets;
    size_t size;
    const char *text; /* how what is told of it begins */
};

#define BREACH(octets, text)             \
    {                                    \
        octets, sizeof(octets) - 1, text \
    }

/* FRAME(type, channel, size, payload) */
#define FRAME(type, channel, size, payload) type "\0" channel "\0\0\0" size payload "\xce"

#define DELIVER                                                                                \
    FRAME("\1", "\1", "\x11", "\0\x3c\0\x3c\0\0\0\0\0\0\0\0\1\0\0\0\0") /* with a key too many \
                                                                         */
#define DELIVERED FRAME("\1", "\1", "\x10", "\0\x3c\0\x3c\0\0\0\0\0\0\0\0\1\0\0\0")
#define HEADER    FRAME("\2", "\1", "\x0e", "\0\x3c\0\0\0\0\0\0\0\0\0\5\0\0")

static const struct breach breaches[] = {
    BREACH("\1\0\0\0\0\0\4\0\0\0\0X", "broken 0 frame of type 1 that does not end with 206"),
    BREACH("\1\0\0\0\1\0\0", "broken 0 frame of type 1 with 65536 octets; the limit is 4096"),
    BREACH("\2\0\1\xff\xff\xff\xff", "broken 0 frame of type 2 with 4294967295 octets; the limit is 65536"),
    BREACH("\3\0\1\0\0\x10\1", "broken 0 frame of type 3 with 4097 octets"),
    BREACH("AMQP\0\0\x09\x01\0\0\0\0\0\0\0\0", "broken 0 frame of type 65 with 1342177289 octets"),
    BREACH(FRAME("\0", "\0", "\0", ""), "broken 0 frame of type 0 and 0 octets on channel 0"),
    BREACH(FRAME("\x08", "\0", "\1", "x"), "broken 0 frame of type 8 and 1 octets on channel 0"),
    BREACH(FRAME("\x08", "\1", "\0", ""), "broken 0 frame of type 8 on channel 1"),
    BREACH(FRAME("\4", "\1", "\0", ""), "broken 0 frame of type 4 on channel 1"),
    BREACH(FRAME("\3", "\0", "\1", "x"), "broken 0 frame of type 3 and 1 octets on channel 0"),
    BREACH(FRAME("\1", "\0", "\2", "\0\x0a"), "broken 0 method of channel 0 that cannot be decoded"),
    BREACH(FRAME("\1", "\0", "\4", "\x12\x34\0\1"), "broken 0 method of channel 0 that cannot be decoded"),
    BREACH(FRAME("\1", "\0", "\5", "\0\x0a\0\x29\5"), "broken 0 method of channel 0 that cannot be decoded"),
    BREACH(FRAME("\1", "\0", "\5", "\0\x0a\0\x29\0"), "broken 0 unexpected connection.open-ok"),
    BREACH(FRAME("\1", "\0", "\x0c", "\0\x0a\0\x1e\0\0\0\0\0\0\0\0"), "broken 0 unexpected connection.tune"),
    BREACH(FRAME("\1", "\0", "\x0c", "\0\x0a\0\x1f\0\0\0\0\0\0\0\0"),
           "broken 0 unexpected connection.tune-ok"),
    BREACH(FRAME("\1", "\0", "\4", "\0\x0a\0\x33"), "broken 0 unexpected connection.close-ok"),
    BREACH(FRAME("\1", "\0", "\x08", "\0\x14\0\x0b\0\0\0\0"), "broken 0 unexpected channel.open-ok"),
    BREACH(FRAME("\1", "\2", "\x08", "\0\x14\0\x0b\0\0\0\0"),
           "broken 0 frame of type 1 on channel 2, which is not open"),
    BREACH(FRAME("\1", "\1", "\x08", "\0\x14\0\x0b\0\0\0\0"),
           "broken 0 unexpected channel.open-ok on channel 1"),
    BREACH(FRAME("\1", "\1", "\4", "\0\x14\0\x29"), "broken 0 unexpected channel.close-ok on channel 1"),
    BREACH(FRAME("\1", "\1", "\4", "\0\x32\0\x15"), "broken 0 unexpected queue.bind-ok on channel 1"),
    BREACH(FRAME("\1", "\1", "\5", "\0\x3c\0\x48\0"), "broken 0 unexpected basic.get-empty on channel 1"),
    BREACH(FRAME("\1", "\1", "\x0e", "\0\x3c\0\x50\0\0\0\0\0\0\0\1\0\0"),
           "broken 0 method that cannot be decoded"),
    BREACH(FRAME("\1", "\1", "\x0d", "\0\x3c\0\x50\0\0\0\0\0\0\0\1\0"),
           "broken 0 confirm of what was not published"),
    BREACH(FRAME("\1", "\1", "\x0d", "\0\x3c\0\x78\0\0\0\0\0\0\0\0\1"),
           "broken 0 confirm of what was not published"),
    BREACH(FRAME("\1", "\1", "\x09", "\0\x3c\0\x28\0\0\0\0\0"),
           "broken 0 unexpected basic.publish on channel 1"),
    BREACH(FRAME("\1", "\1", "\x13", "\0\x3c\0\x47\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"),
           "broken 0 unexpected basic.get-ok on channel 1"),
    BREACH(DELIVER, "broken 0 method that cannot be decoded"),
    BREACH(HEADER, "broken 0 content header out of place"),
    BREACH(FRAME("\3", "\1", "\1", "x"), "broken 0 content body out of place"),
    BREACH(DELIVERED DELIVERED, "broken 0 method in the middle of content"),
    BREACH(DELIVERED FRAME("\3", "\1", "\1", "x"), "broken 0 content body out of place"),
    BREACH(DELIVERED HEADER HEADER, "broken 0 content header out of place"),
    BREACH(DELIVERED HEADER FRAME("\3", "\1", "\6", "123456"), "broken 0 content body out of place"),
    BREACH(DELIVERED HEADER FRAME("\3", "\1", "\4", "1234") FRAME("\3", "\1", "\2", "56"),
           "broken 0 content body out of place"),
    BREACH(DELIVERED HEADER FRAME("\3", "\1", "\5", "12345") FRAME("\3", "\1", "\1", "6"),
           "broken 0 content body out of place"),
    BREACH(DELIVERED FRAME("\2", "\1", "\x0d", "\0\x3c\0\0\0\0\0\0\0\0\0\5\0"),
           "broken 0 content header that cannot be decoded"),
    BREACH(DELIVERED FRAME("\2", "\1", "\0", ""), "broken 0 content header that cannot be decoded"),
    BREACH(DELIVERED FRAME("\2", "\1", "\x0e", "\0\x3d\0\0\0\0\0\0\0\0\0\5\0\0"),
           "broken 0 content header that cannot be decoded"),
    BREACH(DELIVERED FRAME("\2", "\1", "\x0e", "\0\x3c\0\0\0\0\0\0\0\1\0\1\0\0"),
           "broken 0 message of 65537 octets; the limit is 65536"),
    BREACH(DELIVERED FRAME("\2", "\1", "\x0e", "\0\x3c\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0"),
           "broken 0 message of 18446744073709551615 octets"),
};

static void expect_end(struct peer *peer, const struct breach *breach, size_t piece)
{
    struct client_channel *channel;
    char expected[256];
    const char *told;

    peer_open(peer, &peer_target);
    peer_login(peer, 4096);
    channel = peer_channel(peer, 1);
    client_call(channel, &(struct method){.id = METHOD_TX_SELECT}, peer_replied, peer);
    peer_say(peer, (struct bytes){(const uint8_t *)breach->octets, breach->size}, piece);
    peer_wait(peer, "closed:");
    snprintf(expected, sizeof expected, "\nclosed: %s", breach->text);
    told = peer_told(peer);
    cr_expect_not_null(strstr(told, expected), "not told: %s; but %s", breach->text, told);
    cr_expect_not_null(strstr(told, "failed: broken"));
    peer_hear_method(peer, 1, METHOD_TX_SELECT);
    cr_expect_geq(peer_hear_method(peer, 0, METHOD_CONNECTION_CLOSE).connection_close.reply_code, 311);
    peer_close(peer);
}

Test(client_broken, gives_a_reason_for_each_breach)
{
    struct peer peer;

    for (size_t i = 0; i < sizeof breaches / sizeof *breaches; i++) {
        expect_end(&peer, &breaches[i], SIZE_MAX);
        expect_end(&peer, &breaches[i], 1);
    }
}

/* What comes in place of the handshake. */
static const struct breach greetings[] = {
    BREACH("AMQP\0\0\x09\x01", "broken 0 the peer does not speak AMQP 0-9-1"),
    BREACH("HTTP/1.1 400 Bad Request\r\n", "broken 0 frame of type 72 with"),
    BREACH("220 mail.example.com ESMTP", "broken 0 frame of type 50 with"),
    BREACH(FRAME("\1", "\0", "\x12", "\0\x0a\0\x0a\1\0\0\0\0\0\0\0\0\0\0\0\0\0"),
           "broken 0 the peer speaks AMQP 1-0"),
    BREACH(FRAME("\1", "\0", "\x08", "\0\x0a\0\x14\0\0\0\0"), "broken 0 unexpected connection.secure"),
    BREACH(FRAME("\1", "\0", "\5", "\0\x0a\0\x29\0"), "broken 0 unexpected connection.open-ok"),
    BREACH(FRAME("\1", "\0", "\x0b", "\0\x0a\0\x32\0\xc8\0\0\0\0\0"), "broken 0 unexpected connection.close"),
    BREACH(FRAME("\1", "\1", "\x08", "\0\x14\0\x0b\0\0\0\0"),
           "broken 0 frame of type 1 on channel 1, which is not open"),
    BREACH("", "network 0 the connection ended before it was open: the peer closed it"),
};

Test(client_broken, gives_a_reason_for_strangers)
{
    struct peer peer;
    char expected[256];

    for (size_t i = 0; i < sizeof greetings / sizeof *greetings; i++) {
        peer_open(&peer, &peer_target);
        peer_hear_protocol_header(&peer);
        peer_say(&peer, (struct bytes){(const uint8_t *)greetings[i].octets, greetings[i].size}, SIZE_MAX);
        if (!greetings[i].size)
            shutdown(peer.fd, SHUT_RDWR);
        peer_wait(&peer, "closed:");
        snprintf(expected, sizeof expected, "closed: %s", greetings[i].text);
        cr_expect_eq(strncmp(peer_told(&peer), expected, strlen(expected)), 0, "%s", expected);
        peer_close(&peer);
    }
}

Test(client_broken, does_not_take_frames_that_are_too_small)
{
    struct peer peer;

    peer_open(&peer, &peer_target);
    peer_hear_protocol_header(&peer);
    peer_say_start(&peer, "PLAIN");
    peer_say_tune(&peer, 4095, 0);
    cr_expect_str_eq(peer_told(&peer), "closed: broken 0 the peer wants frames of 4095 octets at most");
    peer_close(&peer);
}
