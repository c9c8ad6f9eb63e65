/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h. OpenSSL keeps a queue of errors for each thread, which must be empty before a call: what is in it
 * decides what the call's failure means. */
#include "stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coney/gather_bio.h"
#include "server/tls/tls_failure.h"

#define RECORD_SIZE 16384 /* the most that TLS puts into one record (RFC 8446, 5.1) */

/* ---- TLS ---- */

/* The call that this thread made last has broken it; the first one says why. Leaves errno. */
static void note_broken(struct stream *stream)
{
    int error = errno;

    if (!stream->is_broken)
        stream->why = tls_failure(&stream->is_ours);
    stream->is_broken = true;
    errno = error;
}

/* What a failed call means, as errno; 0: the peer has ended the stream. A read that waits to write may have
 * octets behind it that the socket will not announce. */
static int meaning(struct stream *stream, int result, bool is_read)
{
    switch (SSL_get_error(stream->tls, result)) {
    case SSL_ERROR_WANT_READ:
        return EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        if (is_read)
            stream->wants_write = stream->has_more = true;
        return EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        note_broken(stream);
        return errno ? errno : ECONNRESET;
    default:
        note_broken(stream);
        return EPROTO;
    }
}

/* Fill SIZE octets at TO as far as there are octets; how far goes to *DONE. False with errno when that is
 * all, errno 0 being the peer's end. */
static bool read_into(struct stream *stream, uint8_t *to, size_t size, size_t *done)
{
    *done = 0;
    while (*done < size) {
        size_t n = 0;
        int result;

        ERR_clear_error();
        errno = 0;
        result = SSL_read_ex(stream->tls, to + *done, size - *done, &n);
        if (result <= 0) {
            errno = meaning(stream, result, true);
            return false;
        }
        *done += n;
    }
    return true;
}

static ssize_t tls_read(struct stream *stream, const struct iovec *iov, int count)
{
    ssize_t total = 0;

    stream->has_more = stream->wants_write = false;
    if (stream->is_broken) {
        errno = EPROTO;
        return -1;
    }
    for (int i = 0; i < count; i++) {
        size_t done;
        bool full = read_into(stream, iov[i].iov_base, iov[i].iov_len, &done);

        total += (ssize_t)done;
        if (full)
            continue;
        if (total && errno != EAGAIN)
            stream->has_more = true; /* the end, which the socket has told of already */
        if (total)
            return total;
        return errno ? -1 : 0;
    }
    stream->has_more = SSL_has_pending(stream->tls);
    return total;
}

/* The octets of one record: those of IOV's first piece if they fill one, else of as many as it takes, copied
 * together. */
static struct iovec next_record(const struct iovec *iov, unsigned count, uint8_t copy[RECORD_SIZE])
{
    size_t size = 0;

    if (count == 1 || iov->iov_len >= RECORD_SIZE)
        return (struct iovec){iov->iov_base, iov->iov_len < RECORD_SIZE ? iov->iov_len : RECORD_SIZE};
    for (unsigned i = 0; i < count && size < RECORD_SIZE; i++) {
        size_t part = iov[i].iov_len < RECORD_SIZE - size ? iov[i].iov_len : RECORD_SIZE - size;

        memcpy(copy + size, iov[i].iov_base, part);
        size += part;
    }
    return (struct iovec){copy, size};
}

/* One record: callers come again for the rest. */
static ssize_t tls_write(struct stream *stream, const struct iovec *iov, unsigned count)
{
    uint8_t copy[RECORD_SIZE];
    struct iovec record = next_record(iov, count, copy);
    size_t n = 0;
    int result;

    ERR_clear_error();
    errno = 0;
    result = SSL_write_ex(stream->tls, record.iov_base, record.iov_len, &n);
    if (result > 0)
        return (ssize_t)n;
    errno = meaning(stream, result, false);
    if (!errno)
        errno = EPIPE;
    return -1;
}

static int tls_flush(struct stream *stream)
{
    BIO *bio = SSL_get_wbio(stream->tls);

    ERR_clear_error();
    errno = 0;
    if (BIO_flush(bio) == 1)
        return 0;
    if (BIO_should_retry(bio)) {
        errno = EAGAIN;
        return -1;
    }
    note_broken(stream);
    if (!errno)
        errno = EPIPE;
    return -1;
}

/* ---- either ---- */

struct stream stream_secured(int fd, struct ssl_st *tls)
{
    BIO *gather = BIO_get_ktls_send(SSL_get_wbio(tls)) ? NULL : gather_bio_new(fd);

    if (gather) /* without it each record is sent by itself */
        SSL_set0_wbio(tls, gather);
    return (struct stream){.fd = fd, .tls = tls, .has_more = true};
}

ssize_t stream_read(struct stream *stream, const struct iovec *iov, int count)
{
    return stream->tls ? tls_read(stream, iov, count) : readv(stream->fd, iov, count);
}

ssize_t stream_write(struct stream *stream, struct iovec *iov, unsigned count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};

    return stream->tls ? tls_write(stream, iov, count) : sendmsg(stream->fd, &message, MSG_NOSIGNAL);
}

int stream_flush(struct stream *stream)
{
    return stream->tls ? tls_flush(stream) : 0;
}

/* Tell the peer that nothing more comes, if TLS is in a state to say it. What the socket does not take now is
 * not sent again. */
static void say_end(struct stream *stream)
{
    if (!stream->tls || stream->is_broken || SSL_in_init(stream->tls) ||
        SSL_get_shutdown(stream->tls) & SSL_SENT_SHUTDOWN)
        return;
    ERR_clear_error();
    SSL_shutdown(stream->tls);
}

void stream_shut(struct stream *stream)
{
    say_end(stream);
    shutdown(stream->fd, SHUT_WR);
}

void stream_close(struct stream *stream)
{
    say_end(stream);
    SSL_free(stream->tls);
    stream->tls = NULL;
    close(stream->fd);
}
