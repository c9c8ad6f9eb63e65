/* SPDX-License-Identifier: Apache-2.0 */
/* Shovels of a node: made with the operator's side, run while the node does. */
#ifndef ADMIN_API_SHOVELS_H
#define ADMIN_API_SHOVELS_H

struct admin;

/* Make admin->shovels, and have parameters checked and followed. */
void api_shovels_init(struct admin *admin);

/* The node serves: run what there is. */
void api_shovels_begin(struct admin *admin);

#endif
