/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A BIO that gathers the records which OpenSSL writes and gives several of them to a socket in one system
 * call: OpenSSL writes each record of 16 KiB by itself. It owns memory only while it holds octets, and holds
 * GATHER_BIO_MAX and one record at most.
 */
#ifndef CONEY_GATHER_BIO_H
#define CONEY_GATHER_BIO_H

struct bio_st;

#define GATHER_BIO_MAX (128 * 1024) /* octets, from which on they are sent without being asked for it */

/* A BIO for SSL_set0_wbio() of a connection whose handshake is over, over the socket FD, which does not block
 * and stays the caller's. NULL: no memory. What was written goes out by BIO_flush(), which fails with
 * BIO_should_retry() when the socket does not take all of it now. */
struct bio_st *gather_bio_new(int fd);

#endif
