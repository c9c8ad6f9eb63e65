/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data directory opened by nobody who serves it: its vhosts are there, say nothing to anybody, and go with
 * the trial. For --check, and for tests that want to know what a directory opens to.
 */
#ifndef STORE_TRIAL_H
#define STORE_TRIAL_H

#include <stddef.h>

#include "coney/store.h"

struct trial {
    struct store *store;
    struct store_opened opened;
    struct trial_vhost {
        struct vhost *vhost;
        struct journal *journal;
    } * vhosts;
    size_t count;
};

/* Open the settings' folder as a node does, by way of SYS, which with the folder must last. No thread is
 * started, and no vhost is shared. Close it whatever comes of it. */
enum store_result trial_open(struct trial *trial, struct sys *sys, const struct store_settings *settings,
                             char why[STORE_WHY_SIZE]);
void trial_close(struct trial *trial);

#endif
