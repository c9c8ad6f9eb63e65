/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that give way to the event loops: logins, handshakes, the HTTP API's answers, statistics. */
#ifndef CONEY_NICER_H
#define CONEY_NICER_H

/* From now on the calling thread is nicer than the process's first one by BY, in the kernel's steps. Where
 * the kernel refuses (a service's filter may) nothing changes. */
void be_nicer(int by);

#endif
