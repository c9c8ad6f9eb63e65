/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What segment.c (files and writing), segment_read.c and segment_scan.c share. Invariants: segment.c.
 */
#ifndef STORE_SEGMENT_FIELDS_H
#define STORE_SEGMENT_FIELDS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "run_layout.h"
#include "segment.h"

#define SEGMENT_FILE_MAGIC   "CONEYSEG"
#define SEGMENT_FILE_VERSION 1
#define SEGMENT_FILE_HEADER  RUN_SECTOR
#define SEGMENT_OPEN_FILES   4

/* A file that is, or was, written to. */
struct written {
    struct sys_file *file; /* NULL: none */
    uint32_t number;
    bool dirty;
    uint64_t size;
};

struct known {
    uint32_t number;
    uint64_t size;
};

struct open_file {
    struct sys_file *file; /* NULL: the place is free */
    uint32_t number;       /* 0: to be closed by its last user */
    unsigned users;
    uint64_t used; /* `uses` when it was taken last */
};

struct segments {
    struct sys *sys;
    char *folder;
    uint64_t file_size;
    bool synced, names_changed;
    int sync_error;
    struct written current;
    struct written *unsynced;
    uint32_t unsynced_count;
    uint32_t next;       /* number of the next file */
    struct known *known; /* all files, ascending */
    uint32_t known_count;
    uint8_t *buffer;
    size_t buffer_size;
    _Atomic uint64_t octets;
    _Atomic uint32_t current_number;

    pthread_mutex_t mutex;
    struct open_file open[SEGMENT_OPEN_FILES];
    uint64_t uses, uses_at_sync;
};

/* A file that is open for reading until it is released. */
struct segment_handle {
    struct sys_file *file;
    struct open_file *place; /* NULL: the handle's own */
};

int segment_handle_take(struct segments *segments, uint32_t file, struct segment_handle *handle);
void segment_handle_release(struct segments *segments, struct segment_handle *handle);

/* A run that is being read. */
struct segment_reading {
    struct segments *segments;
    const struct run_place *place;
    char *why;
    struct segment_handle handle;
    struct run_layout layout;
    uint64_t shift; /* the run's first number less the one that its reader counts from */
    uint8_t *index;
    /* Octets of the run from window_from on. */
    uint8_t *window;
    uint64_t window_from, window_size;
    size_t window_room;
};

/* Open the file and read the run's header: `segments`, `place` and `why` are set, the rest is zeros. With an
 * error nothing is to be ended. All return 0 or a negative errno with WHY. */
int segment_reading_begin(struct segment_reading *reading);
void segment_reading_end(struct segment_reading *reading);
int segment_read_index(struct segment_reading *reading);
int segment_read_messages(struct segment_reading *reading, const uint64_t *wanted,
                          struct run_message *messages, uint32_t room, uint32_t *count);
int segment_read_due(struct segment_reading *reading, uint32_t from, struct run_due *due, uint32_t max,
                     uint32_t *count);

/* WHY says where and WHAT. Returns -EBADMSG. */
int segment_damaged(const struct segment_reading *reading, const char *what);

#endif
