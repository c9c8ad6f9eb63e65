/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory this process may have: what the share of vm_memory_high_watermark.relative is taken of. */
#ifndef CONEY_SERVER_MEMORY_LIMIT_H
#define CONEY_SERVER_MEMORY_LIMIT_H

#include <stdint.h>

/* Octets of the machine's memory, or of the control group's where that allows less. */
uint64_t memory_total(void);

/*
 * The least limit, in octets, of the control groups that LIST names (the file /proc/self/cgroup) and of those
 * around them, below the folder MOUNT (/sys/fs/cgroup); UINT64_MAX if there is none. Both versions of control
 * groups are understood; what cannot be read is no limit.
 */
uint64_t memory_group_limit(const char *list, const char *mount);

#endif
