/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli; RFC 3720 appendix B.4): what guards everything that is written to disk. */
#ifndef CONEY_CRC32C_H
#define CONEY_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of SIZE octets at DATA that follow those whose checksum is CRC; 0 when there are none before.
 * So crc32c(crc32c(0, a), b) is the checksum of a and b together. Any thread, any alignment. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* The same, without the help of the processor's instruction for it: for tests. */
uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t size);

#endif
