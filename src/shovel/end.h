/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a shovel: it connects, has its queue declared, and says shovel_end_ready(). */
#ifndef SHOVEL_END_H
#define SHOVEL_END_H

struct shovel_end;

/* Connect to its URIs, one after the other, until one of them answers. */
void end_open(struct shovel_end *end);

/* Say what waits to be said and let go of the client; shovel_end_gone() when it is gone, perhaps at once. */
void end_close(struct shovel_end *end);

/* Without a word. */
void end_drop(struct shovel_end *end);

#endif
