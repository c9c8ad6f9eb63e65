/* SPDX-License-Identifier: Apache-2.0 */
/* account.h: streams, made when the first message of theirs comes. */
#include "account.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"

#define WORD_BITS 64
#define WORDS_MIN 4
#define LOCKS     64

/* Bit i of the ring is for sequence `base` + i; base is a multiple of WORD_BITS, and the word at `first` is
 * base's. */
struct stream {
    uint64_t base;
    uint64_t received;
    uint64_t *ring;
    size_t words; /* a power of 2, or 0 */
    size_t first;
};

struct forgiven {
    uint64_t *sequences;
    size_t count, room;
};

struct account {
    unsigned publishers, lanes;
    struct stream **streams;      /* by lane, then publisher */
    struct forgiven *forgiven;    /* by publisher */
    pthread_mutex_t locks[LOCKS]; /* by publisher */
};

struct account *account_new(unsigned publishers, unsigned lanes)
{
    struct account *account = xcalloc(1, sizeof *account);

    account->publishers = publishers;
    account->lanes = lanes;
    account->streams = xcalloc((size_t)publishers * lanes, sizeof *account->streams);
    account->forgiven = xcalloc(publishers, sizeof *account->forgiven);
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&account->locks[i], NULL);
    return account;
}

void account_free(struct account *account)
{
    if (!account)
        return;
    for (size_t i = 0; i < (size_t)account->publishers * account->lanes; i++) {
        if (account->streams[i])
            free(account->streams[i]->ring);
        free(account->streams[i]);
    }
    for (unsigned i = 0; i < account->publishers; i++)
        free(account->forgiven[i].sequences);
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&account->locks[i]);
    free(account->streams);
    free(account->forgiven);
    free(account);
}

/* Make the ring hold WORDS words at least, with the first in front. */
static void widen(struct stream *stream, size_t words)
{
    size_t room = stream->words ? stream->words : WORDS_MIN;
    uint64_t *ring;

    while (room < words)
        room *= 2;
    ring = xcalloc(room, sizeof *ring);
    for (size_t i = 0; i < stream->words; i++)
        ring[i] = stream->ring[(stream->first + i) & (stream->words - 1)];
    free(stream->ring);
    stream->ring = ring;
    stream->words = room;
    stream->first = 0;
}

static bool stream_has(const struct stream *stream, uint64_t sequence)
{
    uint64_t offset = sequence - stream->base, word = offset / WORD_BITS;

    if (sequence < stream->base)
        return true;
    if (word >= stream->words)
        return false;
    return stream->ring[(stream->first + word) & (stream->words - 1)] >> (offset % WORD_BITS) & 1;
}

static bool stream_receive(struct stream *stream, uint64_t sequence)
{
    uint64_t offset, word;

    if (stream_has(stream, sequence))
        return false;
    offset = sequence - stream->base;
    word = offset / WORD_BITS;
    if (word >= stream->words)
        widen(stream, word + 1);
    stream->ring[(stream->first + word) & (stream->words - 1)] |= UINT64_C(1) << (offset % WORD_BITS);
    stream->received++;
    while (stream->ring[stream->first] == UINT64_MAX) {
        stream->ring[stream->first] = 0;
        stream->first = (stream->first + 1) & (stream->words - 1);
        stream->base += WORD_BITS;
    }
    return true;
}

bool account_receive(struct account *account, unsigned publisher, unsigned lane, uint64_t sequence)
{
    struct stream **stream = &account->streams[(size_t)lane * account->publishers + publisher];
    pthread_mutex_t *lock = &account->locks[publisher % LOCKS];
    bool is_first;

    pthread_mutex_lock(lock);
    if (!*stream)
        *stream = xcalloc(1, sizeof **stream);
    is_first = stream_receive(*stream, sequence);
    pthread_mutex_unlock(lock);
    return is_first;
}

void account_forgive(struct account *account, unsigned publisher, uint64_t sequence)
{
    struct forgiven *forgiven = &account->forgiven[publisher];

    if (forgiven->count == forgiven->room) {
        forgiven->room = forgiven->room ? forgiven->room * 2 : 16;
        forgiven->sequences = xrealloc(forgiven->sequences, forgiven->room * sizeof *forgiven->sequences);
    }
    forgiven->sequences[forgiven->count++] = sequence;
}

static int compare_sequences(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Messages that STREAM, which may be NULL, lacks of those PUBLISHED that are owed. */
static uint64_t lacks(const struct stream *stream, const struct forgiven *forgiven, uint64_t published)
{
    uint64_t received = stream ? stream->received : 0,
             missing = published > received ? published - received : 0;

    for (size_t i = 0; i < forgiven->count && missing; i++) {
        if (i && forgiven->sequences[i] == forgiven->sequences[i - 1])
            continue; /* returned and refused */
        if (!stream || !stream_has(stream, forgiven->sequences[i]))
            missing--;
    }
    return missing;
}

uint64_t account_lost(const struct account *account, const uint64_t *published)
{
    uint64_t lost = 0;

    for (unsigned publisher = 0; publisher < account->publishers; publisher++) {
        const struct forgiven *forgiven = &account->forgiven[publisher];

        if (forgiven->count)
            qsort(forgiven->sequences, forgiven->count, sizeof *forgiven->sequences, compare_sequences);
        for (unsigned lane = 0; lane < account->lanes; lane++)
            lost += lacks(account->streams[(size_t)lane * account->publishers + publisher], forgiven,
                          published[publisher]);
    }
    return lost;
}
