/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of other web sites. They may read and change only where management.cors.allow_origins names them; a
 * browser that sends a login along with what a foreign page asks for would else act for that page.
 */
#ifndef ADMIN_ORIGIN_H
#define ADMIN_ORIGIN_H

#include "request.h"

/* Say what the page that REQUEST comes from may do, in headers. False after answering: nothing. */
bool origin_check(struct request *request);

#endif
