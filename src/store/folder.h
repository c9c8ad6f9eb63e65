/* SPDX-License-Identifier: Apache-2.0 */
/* Folders whose names last: a synced file in a folder that nobody synced is lost with it. */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include "coney/sys.h"

/* Make PATH, or find it; its name in the folder around it is on stable storage then. 0 or a negative errno.
 */
int folder_make(struct sys *sys, const char *path);

#endif
