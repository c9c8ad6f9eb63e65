/* SPDX-License-Identifier: Apache-2.0 */
/* login_sources.h: a hash of addresses, a ring of those whose turn will come, a list of those to be
 * forgotten. */
#include "login_sources.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "coney/hash.h"
#include "coney/xalloc.h"

#define FIRST_DELAY_NS UINT64_C(100000000)
#define FORGIVE_NS     (LOGIN_FORGIVE_S * UINT64_C(1000000000))
#define FAILURES_MAX   64 /* more are not counted: what is over is forgotten within ten minutes */

struct login_source {
    UT_hash_handle hh;
    struct login_address address;
    struct login_source *prev,
        *next; /* sources->ring while something is pushed; sources->idle while none waits */
    struct login_place *first, *last; /* pushed */
    uint32_t waiting;                 /* entered */
    uint32_t failures;                /* at failed_at */
    uint64_t failed_at;
};

struct login_sources {
    struct login_source *by_address;
    struct login_source *ring; /* DL: the first is next */
    struct login_source *idle; /* DL: the first is the longest so */
    uint32_t count, idle_count, waiting;
    uint64_t delay_max;
};

struct login_address login_address_of(const struct peer *peer)
{
    struct login_address address = {{0}};

    switch (peer->family) {
    case PEER_IPV4:
        address.octets[10] = address.octets[11] = 0xff;
        memcpy(address.octets + 12, peer->address, 4);
        break;
    case PEER_IPV6:
        memcpy(address.octets, peer->address, peer_is_loopback(peer) ? 16 : 8);
        break;
    default:
        address.octets[15] = peer->family == PEER_UNIX ? 0xff : 0xfe; /* no network's: they end in zeros */
    }
    return address;
}

struct login_sources *login_sources_new(uint64_t delay_max)
{
    struct login_sources *sources = xcalloc(1, sizeof *sources);

    sources->delay_max = delay_max;
    return sources;
}

void login_sources_free(struct login_sources *sources)
{
    struct login_source *source, *next;

    if (!sources)
        return;
    source = sources->by_address;
    HASH_CLEAR(hh, sources->by_address);
    for (; source; source = next) {
        next = source->hh.next;
        free(source);
    }
    free(sources);
}

/* ---- the table ---- */

static struct login_source *find_or_make(struct login_sources *sources, const struct login_address *address)
{
    struct login_source *source;

    HASH_FIND(hh, sources->by_address, address, sizeof *address, source);
    if (source)
        return source;
    source = xcalloc(1, sizeof *source);
    source->address = *address;
    HASH_ADD(hh, sources->by_address, address, sizeof source->address, source);
    sources->count++;
    return source;
}

static void forget(struct login_sources *sources, struct login_source *source)
{
    HASH_DEL(sources->by_address, source);
    sources->count--;
    free(source);
}

static uint32_t failures_now(const struct login_source *source, uint64_t now)
{
    uint64_t forgiven = (now - source->failed_at) / FORGIVE_NS;

    return forgiven >= source->failures ? 0 : source->failures - (uint32_t)forgiven;
}

/* Nothing waits there any more: keep what has to be remembered, as long as there is room. */
static void becomes_idle(struct login_sources *sources, struct login_source *source, uint64_t now)
{
    if (!failures_now(source, now)) {
        forget(sources, source);
        return;
    }
    DL_APPEND(sources->idle, source);
    if (++sources->idle_count <= LOGIN_SOURCES_MAX)
        return;
    source = sources->idle;
    DL_DELETE(sources->idle, source);
    sources->idle_count--;
    forget(sources, source);
}

/* ---- coming and going ---- */

static uint64_t delay_of(const struct login_sources *sources, const struct login_source *source, uint64_t now)
{
    uint32_t failures = failures_now(source, now);
    uint64_t delay = FIRST_DELAY_NS;

    if (failures <= LOGIN_FAILURES_FREE)
        return 0;
    for (uint32_t i = LOGIN_FAILURES_FREE + 1; i < failures && delay < sources->delay_max; i++)
        delay *= 2;
    return delay < sources->delay_max ? delay : sources->delay_max;
}

bool login_sources_enter(struct login_sources *sources, struct login_place *place,
                         const struct login_address *address, uint64_t now, uint64_t *delay)
{
    struct login_source *source;
    uint32_t most;

    if (sources->waiting >= LOGINS_MAX)
        return false;
    source = find_or_make(sources, address);
    *delay = delay_of(sources, source, now);
    most = *delay ? LOGINS_PER_SLOW_SOURCE : LOGINS_PER_SOURCE;
    if (source->waiting >= most)
        return false; /* it has some waiting, so it stays known */
    if (!source->waiting && source->failures) {
        DL_DELETE(sources->idle, source);
        sources->idle_count--;
    }
    source->waiting++;
    sources->waiting++;
    *place = (struct login_place){.source = source};
    return true;
}

void login_sources_push(struct login_sources *sources, struct login_place *place)
{
    struct login_source *source = place->source;

    place->next = NULL;
    if (source->first)
        source->last->next = place;
    else {
        source->first = place;
        DL_APPEND(sources->ring, source);
    }
    source->last = place;
}

struct login_place *login_sources_take(struct login_sources *sources)
{
    struct login_source *source = sources->ring;
    struct login_place *place;

    if (!source)
        return NULL;
    place = source->first;
    source->first = place->next;
    DL_DELETE(sources->ring, source);
    if (source->first)
        DL_APPEND(sources->ring, source);
    return place;
}

void login_sources_leave(struct login_sources *sources, struct login_place *place, bool has_failed,
                         uint64_t now)
{
    struct login_source *source = place->source;

    if (has_failed) {
        uint32_t failures = failures_now(source, now);

        source->failures = failures < FAILURES_MAX ? failures + 1 : failures;
        source->failed_at = now;
    }
    sources->waiting--;
    if (!--source->waiting)
        becomes_idle(sources, source, now);
}

struct login_sources_info login_sources_info(const struct login_sources *sources)
{
    return (struct login_sources_info){.sources = sources->count, .waiting = sources->waiting};
}
