/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The account of --check: which messages of each publisher came, so that at the end each one is known to have
 * come once, more often, or never. Where every message goes to several queues each of these is a lane;
 * otherwise there is one lane.
 *
 * What one publisher's messages did in one lane is a stream: all below `base` came, and of those above a bit
 * says it. While nothing is missing a stream costs no memory. Receivers may run at once.
 */
#ifndef PERF_ACCOUNT_H
#define PERF_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

struct account;

struct account *account_new(unsigned publishers, unsigned lanes) __attribute__((returns_nonnull));
void account_free(struct account *account);

/* Message SEQUENCE of PUBLISHER came by LANE. Tells whether it did so for the first time. Any thread. */
bool account_receive(struct account *account, unsigned publisher, unsigned lane, uint64_t sequence);

/* Message SEQUENCE is not owed: the broker refused it or gave it back. Only PUBLISHER's own thread. */
void account_forgive(struct account *account, unsigned publisher, uint64_t sequence);

/* How many of the PUBLISHED messages (by publisher) did not come, each counted for every lane. When nobody
 * receives any more. */
uint64_t account_lost(const struct account *account, const uint64_t *published);

#endif
