/* SPDX-License-Identifier: Apache-2.0 */
/* cursor.h. When the server stops nobody may visit any more: a cursor that is under way then is kept. */
#include "cursor.h"

#include <pthread.h>
#include <stdlib.h>

#include "coney/visit.h"
#include "coney/xalloc.h"

struct kept {
    struct survey_cursor cursor;
    struct kept *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept *all; /* for good; behind lock */

struct survey_cursor *cursor_new(enum survey_of of)
{
    struct kept *kept = xcalloc(1, sizeof *kept);

    kept->cursor.of = of;
    return &kept->cursor;
}

static void leave(struct vhost *vhost, void *argument)
{
    survey_end(vhost, argument);
}

void cursor_free(struct server *server, struct bytes vhost, struct survey_cursor *cursor)
{
    struct kept *kept = (struct kept *)(void *)cursor;

    _Static_assert(offsetof(struct kept, cursor) == 0, "one is the other");
    if (!cursor->has_begun || cursor->is_at_end ||
        visit_vhost_gone_too(server, vhost, leave, cursor) != VISIT_STOPPING) {
        free(kept);
        return;
    }
    pthread_mutex_lock(&lock);
    kept->next = all;
    all = kept;
    pthread_mutex_unlock(&lock);
}
