/* SPDX-License-Identifier: Apache-2.0 */
/* gather_bio.h: what is written comes out once and in order, in few calls, whatever the socket takes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/bio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/gather_bio.h"
#include "sim/random.h"

#define RECORD 16384

static int ends[2];
static BIO *bio;
static uint8_t next_out, next_in;

static void open_pair(void)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    bio = gather_bio_new(ends[0]);
    cr_assert_not_null(bio);
    next_out = next_in = 0;
}

static void close_pair(void)
{
    BIO_free(bio);
    close(ends[0]);
    close(ends[1]);
}

TestSuite(gather_bio, .init = open_pair, .fini = close_pair);

/* Tell whether it was taken; otherwise it may be tried again. */
static bool put(size_t size)
{
    uint8_t octets[RECORD];
    int taken;

    for (size_t i = 0; i < size; i++)
        octets[i] = (uint8_t)(next_out + i);
    taken = BIO_write(bio, octets, (int)size);
    if (taken < 0) {
        cr_assert(BIO_should_retry(bio));
        return false;
    }
    cr_assert_eq((size_t)taken, size);
    next_out = (uint8_t)(next_out + size);
    return true;
}

static size_t get(size_t size)
{
    uint8_t octets[RECORD];
    ssize_t got = read(ends[1], octets, size < RECORD ? size : RECORD);

    for (ssize_t i = 0; i < got; i++)
        cr_assert_eq(octets[i], next_in++);
    return got > 0 ? (size_t)got : 0;
}

static size_t get_all(void)
{
    size_t all = 0, got;

    while ((got = get(RECORD)))
        all += got;
    return all;
}

Test(gather_bio, holds_back_until_it_is_flushed_or_holds_much)
{
    cr_assert(put(100));
    cr_assert(put(RECORD));
    cr_assert_eq(get_all(), 0);
    cr_assert_eq(BIO_wpending(bio), 100 + RECORD);
    cr_assert_eq(BIO_flush(bio), 1);
    cr_assert_eq(get_all(), 100 + RECORD);
    cr_assert_eq(BIO_wpending(bio), 0);
    for (size_t held = 0; held < GATHER_BIO_MAX; held += RECORD)
        cr_assert(put(RECORD));
    cr_assert_eq(get_all(), 0);
    cr_assert(put(1));
    cr_assert_geq(get_all(), GATHER_BIO_MAX);
}

Test(gather_bio, takes_no_more_than_its_bound_while_nobody_reads)
{
    size_t taken = 0;

    while (put(RECORD))
        cr_assert_lt(taken += RECORD, 16U << 20);
    cr_assert_leq(BIO_wpending(bio), GATHER_BIO_MAX + RECORD);
    cr_assert_eq(BIO_flush(bio), -1);
    cr_assert(BIO_should_retry(bio));
    for (size_t got = 0; got < taken; got += get_all())
        BIO_flush(bio);
    cr_assert_eq(BIO_wpending(bio), 0);
}

Test(gather_bio, loses_and_doubles_nothing)
{
    struct random random = {7};
    size_t out = 0, in = 0;

    for (unsigned i = 0; i < 20000; i++) {
        size_t size = 1 + random_below(&random, i % 3 ? 300 : RECORD);

        if (put(size))
            out += size;
        if (random_below(&random, 4) == 0)
            BIO_flush(bio);
        if (random_below(&random, 3) == 0)
            in += get(1 + random_below(&random, RECORD));
    }
    while (BIO_flush(bio) != 1)
        in += get_all();
    cr_assert_eq(in + get_all(), out);
}

/* The socket's failure is no reason to try again, and is told. */
Test(gather_bio, tells_of_a_peer_that_is_gone)
{
    close(ends[1]);
    ends[1] = -1;
    cr_assert(put(10));
    cr_assert_eq(BIO_flush(bio), -1);
    cr_assert_eq(errno, EPIPE);
    cr_assert_not(BIO_should_retry(bio));
}
