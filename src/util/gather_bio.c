/* SPDX-License-Identifier: Apache-2.0 */
/* gather_bio.h. octets[begin..end) have been written and not been sent; there are no octets without memory
 * for them, and no memory without octets. */
#include "coney/gather_bio.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RECORD_MAX   (16384 + 512) /* with what encryption adds; a longer write is also good */
#define SMALL_BUFFER 2048          /* for a heartbeat, or some acks */

struct gather {
    int fd;
    uint8_t *octets;
    size_t begin, end, capacity;
};

static void drop(struct gather *gather)
{
    free(gather->octets);
    *gather = (struct gather){.fd = gather->fd};
}

/* Send what is held: 1, or -1 with errno. */
static int send_held(BIO *bio, struct gather *gather)
{
    while (gather->begin < gather->end) {
        ssize_t sent =
            send(gather->fd, gather->octets + gather->begin, gather->end - gather->begin, MSG_NOSIGNAL);

        if (sent >= 0) {
            gather->begin += (size_t)sent;
        } else if (errno != EINTR) {
            if (errno == EAGAIN)
                BIO_set_retry_write(bio);
            return -1;
        }
    }
    drop(gather);
    return 1;
}

/* Most that is written is either small and alone or the first of many. */
static bool make_room(struct gather *gather, size_t size)
{
    size_t held = gather->end - gather->begin, capacity = held + size;
    uint8_t *octets;

    if (gather->end + size <= gather->capacity)
        return true;
    if (capacity < GATHER_BIO_MAX + RECORD_MAX)
        capacity = capacity <= SMALL_BUFFER ? SMALL_BUFFER : GATHER_BIO_MAX + RECORD_MAX;
    octets = malloc(capacity);
    if (!octets)
        return false;
    if (held)
        memcpy(octets, gather->octets + gather->begin, held);
    free(gather->octets);
    gather->octets = octets;
    gather->begin = 0;
    gather->end = held;
    gather->capacity = capacity;
    return true;
}

static int write_record(BIO *bio, const char *data, size_t size, size_t *written)
{
    struct gather *gather = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (gather->end - gather->begin >= GATHER_BIO_MAX && send_held(bio, gather) < 0)
        return -1;
    if (!make_room(gather, size)) {
        ERR_raise(ERR_LIB_BIO, ERR_R_MALLOC_FAILURE); /* it is our failure, not the socket's */
        return -1;
    }
    memcpy(gather->octets + gather->end, data, size);
    gather->end += size;
    *written = size;
    return 1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    struct gather *gather = BIO_get_data(bio);

    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
        BIO_clear_retry_flags(bio);
        return send_held(bio, gather);
    case BIO_CTRL_WPENDING:
        return (long)(gather->end - gather->begin);
    default: /* what is not known has not been done */
        return 0;
    }
}

static int destroy(BIO *bio)
{
    struct gather *gather = BIO_get_data(bio);

    if (gather)
        drop(gather);
    free(gather);
    return 1;
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gather");
    if (!method || BIO_meth_set_write_ex(method, write_record) != 1 ||
        BIO_meth_set_ctrl(method, control) != 1 || BIO_meth_set_destroy(method, destroy) != 1) {
        BIO_meth_free(method);
        method = NULL;
    }
}

struct bio_st *gather_bio_new(int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct gather *gather;
    BIO *bio;

    pthread_once(&once, make_method);
    if (!method)
        return NULL;
    gather = calloc(1, sizeof *gather);
    bio = BIO_new(method);
    if (!gather || !bio) {
        BIO_free(bio);
        free(gather);
        return NULL;
    }
    gather->fd = fd;
    BIO_set_data(bio, gather);
    BIO_set_init(bio, 1);
    return bio;
}
