/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where logins come from: turns, bounds, and what earlier failures cost.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>

#include "coney/bytes.h"
#include "coney/xalloc.h"
#include "server/session/login_sources.h"

#define MS        UINT64_C(1000000)
#define DELAY_MAX (5000 * MS)

static struct login_sources *sources;
static uint64_t now = 1000 * MS;

static void open_sources(void)
{
    sources = login_sources_new(DELAY_MAX);
}

static void close_sources(void)
{
    login_sources_free(sources);
}

TestSuite(login_sources, .init = open_sources, .fini = close_sources);

static struct login_address address_of(uint32_t number)
{
    struct peer peer = {.family = PEER_IPV4};

    put_u32(peer.address, number);
    return login_address_of(&peer);
}

static bool enter(struct login_place *place, uint32_t address, uint64_t *delay)
{
    struct login_address from = address_of(address);

    return login_sources_enter(sources, place, &from, now, delay);
}

/* A login that fails at once; returns how long it was held back, in ms. */
static uint64_t fail_from(uint32_t address)
{
    struct login_place place;
    uint64_t delay;

    cr_assert(enter(&place, address, &delay));
    login_sources_push(sources, &place);
    cr_assert_eq(login_sources_take(sources), &place);
    login_sources_leave(sources, &place, true, now);
    return delay / MS;
}

static uint64_t delay_from(uint32_t address)
{
    struct login_place place;
    uint64_t delay;

    cr_assert(enter(&place, address, &delay));
    login_sources_leave(sources, &place, false, now);
    return delay / MS;
}

/* ---- addresses ---- */

static struct login_address address_of_text(const char *text)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    struct peer peer;

    cr_assert_eq(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
    peer = peer_of((struct sockaddr *)&address);
    return login_address_of(&peer);
}

static bool is_same(const char *one, const char *other)
{
    struct login_address a = address_of_text(one), b = address_of_text(other);

    return memcmp(&a, &b, sizeof a) == 0;
}

Test(login_sources, networks_of_ipv6_and_addresses_of_ipv4)
{
    struct login_address v4 = address_of(0x01020304), mapped = address_of_text("::ffff:1.2.3.4");

    cr_expect_arr_eq(&v4, &mapped, sizeof v4);
    cr_expect(is_same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"));
    cr_expect_not(is_same("2001:db8:0:1::1", "2001:db8:0:2::1"));
    cr_expect_not(is_same("::ffff:1.2.3.4", "::ffff:1.2.3.5"));
    cr_expect_not(is_same("::1", "::"));
}

Test(login_sources, who_has_no_address_is_one)
{
    struct login_address local = login_address_of(&(struct peer){.family = PEER_UNIX});
    struct login_address unknown = login_address_of(&(struct peer){.family = PEER_UNKNOWN, .port = 1});
    struct login_address other = login_address_of(&(struct peer){.family = PEER_UNKNOWN, .port = 2});

    cr_expect_arr_eq(&unknown, &other, sizeof unknown);
    cr_expect_arr_neq(&unknown, &local, sizeof unknown);
}

/* ---- turns ---- */

Test(login_sources, addresses_take_turns)
{
    struct login_place many[4], one, other;
    uint64_t delay;

    for (int i = 0; i < 4; i++) {
        cr_assert(enter(&many[i], 1, &delay));
        login_sources_push(sources, &many[i]);
    }
    cr_assert(enter(&one, 2, &delay) && enter(&other, 3, &delay));
    login_sources_push(sources, &one);
    login_sources_push(sources, &other);
    cr_expect_eq(login_sources_take(sources), &many[0]);
    cr_expect_eq(login_sources_take(sources), &one);
    cr_expect_eq(login_sources_take(sources), &other);
    cr_expect_eq(login_sources_take(sources), &many[1]);
    cr_expect_eq(login_sources_take(sources), &many[2]);
    cr_expect_eq(login_sources_take(sources), &many[3]);
    cr_expect_null(login_sources_take(sources));
    for (int i = 0; i < 4; i++)
        login_sources_leave(sources, &many[i], false, now);
    login_sources_leave(sources, &one, false, now);
    login_sources_leave(sources, &other, false, now);
    cr_expect_eq(login_sources_info(sources).waiting, 0);
    cr_expect_eq(login_sources_info(sources).sources, 0, "who never failed is not remembered");
}

/* ---- failures ---- */

Test(login_sources, failures_hold_their_address_back_longer_and_longer)
{
    for (int i = 0; i < LOGIN_FAILURES_FREE + 1; i++)
        cr_expect_eq(fail_from(1), 0, "failure %d", i);
    cr_expect_eq(fail_from(1), 100);
    cr_expect_eq(fail_from(1), 200);
    cr_expect_eq(fail_from(1), 400);
    cr_expect_eq(fail_from(1), 800);
    cr_expect_eq(fail_from(1), 1600);
    cr_expect_eq(fail_from(1), 3200);
    cr_expect_eq(fail_from(1), 5000);
    cr_expect_eq(fail_from(1), 5000);
    cr_expect_eq(delay_from(1), 5000, "who has the password waits as well: he might have guessed it");
    cr_expect_eq(delay_from(2), 0, "others do not");
}

Test(login_sources, failures_are_forgiven_and_forgotten)
{
    for (int i = 0; i < LOGIN_FAILURES_FREE + 3; i++)
        fail_from(1);
    cr_expect_eq(delay_from(1), 400);
    now += LOGIN_FORGIVE_S * 1000 * MS;
    cr_expect_eq(delay_from(1), 200);
    now += LOGIN_FORGIVE_S * 1000 * MS * 2;
    cr_expect_eq(delay_from(1), 0);
    cr_expect_eq(login_sources_info(sources).sources, 1);
    now += LOGIN_FORGIVE_S * 1000 * MS * LOGIN_FAILURES_FREE;
    cr_expect_eq(delay_from(1), 0);
    cr_expect_eq(login_sources_info(sources).sources, 0);
}

Test(login_sources, failures_without_end_are_forgiven_in_the_end)
{
    for (int i = 0; i < 100000; i++)
        fail_from(1);
    now += 601 * 1000 * MS;
    cr_expect_eq(delay_from(1), 0);
}

/* ---- bounds ---- */

Test(login_sources, no_address_takes_all_the_room)
{
    struct login_place *places = xcalloc(LOGINS_PER_SOURCE + 2, sizeof *places);
    uint64_t delay;

    for (int i = 0; i < LOGINS_PER_SOURCE; i++)
        cr_assert(enter(&places[i], 1, &delay));
    cr_expect_not(enter(&places[LOGINS_PER_SOURCE], 1, &delay));
    cr_expect(enter(&places[LOGINS_PER_SOURCE], 2, &delay));
    login_sources_leave(sources, &places[0], false, now);
    cr_expect(enter(&places[LOGINS_PER_SOURCE + 1], 1, &delay), "one left, there is room for one");
    free(places);
}

Test(login_sources, slowed_address_has_little_room)
{
    struct login_place places[LOGINS_PER_SLOW_SOURCE + 1];
    uint64_t delay;

    for (int i = 0; i < LOGIN_FAILURES_FREE + 1; i++)
        fail_from(1);
    for (int i = 0; i < LOGINS_PER_SLOW_SOURCE; i++)
        cr_assert(enter(&places[i], 1, &delay));
    cr_expect_not(enter(&places[LOGINS_PER_SLOW_SOURCE], 1, &delay));
}

Test(login_sources, all_together_are_bounded)
{
    struct login_place *places = xcalloc(LOGINS_MAX + 1, sizeof *places);
    uint64_t delay;

    for (uint32_t i = 0; i < LOGINS_MAX; i++)
        cr_assert(enter(&places[i], i, &delay));
    cr_expect_not(enter(&places[LOGINS_MAX], LOGINS_MAX, &delay));
    cr_expect_eq(login_sources_info(sources).sources, LOGINS_MAX);
    for (uint32_t i = 0; i < LOGINS_MAX; i++)
        login_sources_leave(sources, &places[i], true, now);
    cr_expect_eq(login_sources_info(sources).waiting, 0);
    cr_expect_eq(login_sources_info(sources).sources, LOGIN_SOURCES_MAX,
                 "the first to fail are forgotten first");
    free(places);
}

/* Whatever comes in whatever order, nothing is lost and nothing is counted twice. */
Test(login_sources, any_order)
{
    static struct login_place places[64];
    bool is_in[64] = {false}, is_pushed[64] = {false};
    uint32_t random = 1, waiting = 0;
    uint64_t delay;

    for (int step = 0; step < 200000; step++) {
        unsigned i;

        random = random * 1664525 + 1013904223;
        i = random >> 26;
        now += (random >> 8) % (100 * MS);
        if (!is_in[i]) {
            cr_assert(enter(&places[i], i % 7, &delay));
            is_in[i] = true;
            waiting++;
        } else if (!is_pushed[i] && random & 128) {
            login_sources_push(sources, &places[i]);
            is_pushed[i] = true;
        } else if (!is_pushed[i]) {
            login_sources_leave(sources, &places[i], random & 64, now);
            is_in[i] = false;
            waiting--;
        } else {
            struct login_place *place = login_sources_take(sources);
            size_t taken = (size_t)(place - places);

            cr_assert_lt(taken, 64);
            cr_assert(is_pushed[taken]);
            login_sources_leave(sources, place, random & 64, now);
            is_in[taken] = is_pushed[taken] = false;
            waiting--;
        }
        cr_assert_eq(login_sources_info(sources).waiting, waiting);
        cr_assert_leq(login_sources_info(sources).sources, 7);
    }
}
