/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream over a socket that does not block: plain, or TLS whose handshake is over. A plain stream is
 * its descriptor and owns no buffer; calls on it are the system's. Of its loop's thread only.
 *
 * TLS differs in two things that callers must know. It may have octets that the socket will not announce any
 * more: `has_more`, then read again as soon as there is room. And a read may have to wait until the socket
 * can be written: `wants_write`.
 */
#ifndef SERVER_STREAM_H
#define SERVER_STREAM_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ssl_st;

struct stream {
    int fd;
    bool has_more;
    bool wants_write;
    bool is_broken;     /* TLS has failed, and must not be used any more, */
    bool is_ours;       /* for want of something in this node, */
    const char *why;    /* as OpenSSL says; NULL: it says nothing, it was the socket */
    struct ssl_st *tls; /* owned; NULL: plain */
};

/* The stream of TLS, owned from now on, whose handshake over the socket FD is done. */
struct stream stream_secured(int fd, struct ssl_st *tls);

/* Read into the COUNT places of IOV. Octets read, 0 at the peer's end, -1 with errno: EAGAIN when there is
 * nothing now. */
ssize_t stream_read(struct stream *stream, const struct iovec *iov, int count);

/* Write from the COUNT pieces of IOV, which are not empty. Octets taken, or -1 with errno: EAGAIN when none
 * is taken now; a later call must then begin with the same octets. TLS may hold back what it has taken until
 * stream_flush(). */
ssize_t stream_write(struct stream *stream, struct iovec *iov, unsigned count);

/* Give the socket all that was taken: 0, or -1 with errno, EAGAIN when it does not take all of it now. */
int stream_flush(struct stream *stream);

/* Say that nothing more will be written. */
void stream_shut(struct stream *stream);

/* Close the socket, whatever is under way; a peer that can hear it is told of the end. */
void stream_close(struct stream *stream);

#endif
