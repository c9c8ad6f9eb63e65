/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of messages on disk. A run holds up to RUN_MESSAGES_MAX messages of one level of one queue, ascending
 * by number, with an index, checksums, and, where messages have deadlines, a list of them by deadline.
 *
 * Runs of all queues stand one behind another in shared append-only files, FOLDER/NNNNNNNN.seg of up to
 * file_size octets. Nothing in a file ever changes: which messages of a run are still live is known to its
 * user alone, who tells how much of each file is live, so that files with nothing live can be removed and
 * those that are mostly dead rewritten (by writing their runs' live messages again elsewhere).
 *
 * Open are the file that is written to, those that wait for a sync, and at most four that were read of late.
 * The byte layout is in doc/FORMAT.md.
 *
 * One thread at a time writes, syncs, removes, sweeps and scans: the writer. Any thread reads, several at
 * once, and asks for the current file and the size.
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/message.h"
#include "coney/run.h"
#include "coney/sys.h"

struct segments;

#define SEGMENT_WHY_SIZE 512

/* Which run it is, checked when it is read: its messages' numbers are first .. first + span - 1, or some of
 * them, as when only those that were live have been written again. */
struct run_head {
    uint32_t vhost;
    uint64_t queue;
    uint8_t level;
    uint64_t first;
    uint32_t span;
};

/* FOLDER is made if it is not there; that its own name lasts is the caller's to see to, by syncing the folder
 * above it. SYNCED: files are for keeping; else they are never synced, and all segment files in the folder
 * are removed now. NULL with WHY when the system refuses. */
struct segments *segments_open(struct sys *sys, const char *folder, uint64_t file_size, bool synced,
                               char why[SEGMENT_WHY_SIZE]);
void segments_close(struct segments *segments);

/* Append a run of COUNT messages, ascending by number; they are borrowed for the call. HEAD's first and span
 * are not looked at. Returns 0, or a negative errno: then nothing was written as far as anybody is concerned,
 * and the next run begins a new file. -EINVAL: no run can be so (no message, more than RUN_MESSAGES_MAX, not
 * ascending, a span of 2^32 or more); -EFBIG: records of more than 4 GiB together. Delivery counts are kept
 * up to 65535, times to live not at all. */
int segments_write(struct segments *segments, const struct run_head *head, const struct run_message *messages,
                   uint32_t count, struct run_place *place);

/* What was written so far, files and names, is on stable storage. Returns 0 or a negative errno; when a
 * file's sync has failed all later calls fail too, as nobody can tell what was lost. Also closes files that
 * nobody has read since the last call (for which it is worth calling where nothing is synced). */
int segments_sync(struct segments *segments);

/* Read messages of a run, each with one reference, in order, into MESSAGES, which has room for ROOM; *COUNT
 * is how many. WANTED says which: bit n % 64 of word n / 64 is for number head->first + n, up to the span;
 * bits of numbers that the run does not have mean nothing. NULL: all. Returns 0; -EBADMSG with WHY (file,
 * offset, what) when the run is damaged, missing, not the one of HEAD and PLACE, or has more messages than
 * there is room for; another negative errno with WHY when the system refuses. With an error nothing was
 * returned. */
int segments_read(struct segments *segments, const struct run_head *head, const struct run_place *place,
                  const uint64_t *wanted, struct run_message *messages, uint32_t room, uint32_t *count,
                  char why[SEGMENT_WHY_SIZE]);

/* Read at most MAX entries of the list, which is in order of deadlines, then numbers, from the FROM-th (from
 * 0) on. *COUNT is how many there were: 0 behind the end. Errors as with segments_read(). */
int segments_read_due(struct segments *segments, const struct run_head *head, const struct run_place *place,
                      uint32_t from, struct run_due *due, uint32_t max, uint32_t *count,
                      char why[SEGMENT_WHY_SIZE]);

/* The file that runs are appended to now, 0 if the next one begins a new file; no other is written to any
 * more. */
uint32_t segments_current(const struct segments *segments);

/* Remove FILE, which nobody needs. Returns 0, also when it is gone already, or a negative errno. */
int segments_remove(struct segments *segments, uint32_t file);

/* Octets of all files. */
uint64_t segments_size(const struct segments *segments);

/* After opening: remove all files that IS_NEEDED denies; new ones get numbers above all that were there.
 * Returns 0, or the first negative errno after having tried all. */
int segments_sweep(struct segments *segments, bool (*is_needed)(void *context, uint32_t file), void *context);

/* Check every run header, index, list and message of FILE for --check: EACH is called for every run found, in
 * order, DAMAGE NULL for a sound one. Octets between runs that are none themselves (left by a write that
 * failed or was not synced before a crash, or a run whose header is damaged: who knows what should be there
 * can tell) and a damaged file header are passed with COUNT 0 and a head of zeros. Returns 0, or a negative
 * errno when the system refuses. */
int segments_scan(struct segments *segments, uint32_t file,
                  void (*each)(void *context, const struct run_head *head, const struct run_place *place,
                               uint64_t first, uint32_t count, const char *damage),
                  void *context);

#endif
