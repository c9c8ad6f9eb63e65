/* SPDX-License-Identifier: Apache-2.0 */
/* The web page's files, to whoever asks: they hold nothing that one must log in for. */
#ifndef ADMIN_PAGE_H
#define ADMIN_PAGE_H

#include "admin/http/request.h"

/* Answer REQUEST, which is not below /api: with a file, 304 when the browser has it, 404, or 405. */
void page_answer(struct request *request);

#endif
