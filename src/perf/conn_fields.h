/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a connection share: conn.c (sockets), conn_login.c (class connection), conn_read.c
 * (frames). */
#ifndef PERF_CONN_FIELDS_H
#define PERF_CONN_FIELDS_H

#include "conn.h"

/* Take in the octets from P to P + SIZE: returns how many were used; the others are the front of a frame.
 * Stops when the connection fails. */
size_t conn_take(struct conn *conn, const uint8_t *p, size_t size);

/* A method of channel 0. */
void conn_take_connection_method(struct conn *conn, const struct method *method);

#endif
