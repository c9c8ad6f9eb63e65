/* SPDX-License-Identifier: Apache-2.0 */
/* utlist.h: what the linters see in the place of the real one; the reasons are in uthash.h beside it. */
#ifndef CONEY_LINT_UTLIST_H
#define CONEY_LINT_UTLIST_H

#include <stddef.h>

void *lint_link(const void *head, const void *element);
void *lint_unlink(const void *head, const void *element);
void *lint_follow(const void *element, const void *link);

#define DL_APPEND2(head, el, prev, next)           ((head) = lint_link((head), (el)))
#define DL_APPEND(head, el)                        DL_APPEND2(head, el, prev, next)
#define DL_PREPEND2(head, el, prev, next)          ((head) = lint_link((head), (el)))
#define DL_PREPEND(head, el)                       DL_PREPEND2(head, el, prev, next)
#define DL_PREPEND_ELEM2(head, at, el, prev, next) ((head) = lint_link(lint_link((head), (at)), (el)))
#define DL_PREPEND_ELEM(head, at, el)              DL_PREPEND_ELEM2(head, at, el, prev, next)
#define DL_APPEND_ELEM2(head, at, el, prev, next)  ((head) = lint_link(lint_link((head), (at)), (el)))
#define DL_APPEND_ELEM(head, at, el)               DL_APPEND_ELEM2(head, at, el, prev, next)
#define DL_CONCAT2(head, other, prev, next)        ((head) = lint_link((head), (other)))
#define DL_CONCAT(head, other)                     DL_CONCAT2(head, other, prev, next)
#define DL_DELETE2(head, el, prev, next)           ((head) = lint_unlink((head), (el)))
#define DL_DELETE(head, el)                        DL_DELETE2(head, el, prev, next)
#define DL_FOREACH2(head, el, next)                for ((el) = (head); (el) != NULL; (el) = lint_follow((el), (el)->next))
#define DL_FOREACH(head, el)                       DL_FOREACH2(head, el, next)
#define DL_FOREACH_SAFE2(head, el, tmp, next)                                 \
    for ((el) = (head), (tmp) = lint_follow((el), &(el)->next); (el) != NULL; \
         (el) = (tmp), (tmp) = lint_follow((el), &(el)->next))
#define DL_FOREACH_SAFE(head, el, tmp) DL_FOREACH_SAFE2(head, el, tmp, next)

#define LL_PREPEND2(head, el, next) ((head) = lint_link((head), (el)))
#define LL_PREPEND(head, el)        LL_PREPEND2(head, el, next)
#define LL_APPEND2(head, el, next)  ((head) = lint_link((head), (el)))
#define LL_APPEND(head, el)         LL_APPEND2(head, el, next)
#define LL_DELETE2(head, el, next)  ((head) = lint_unlink((head), (el)))
#define LL_DELETE(head, el)         LL_DELETE2(head, el, next)
#define LL_FOREACH2(head, el, next) DL_FOREACH2(head, el, next)
#define LL_FOREACH(head, el)        DL_FOREACH2(head, el, next)
#define DL_COUNT2(head, el, counter, next) \
    do {                                   \
        (counter) = 0;                     \
        DL_FOREACH2(head, el, next)        \
        (counter)++;                       \
    } while (0)
#define LL_COUNT(head, el, counter) \
    do {                            \
        (counter) = 0;              \
        LL_FOREACH (head, el)       \
            (counter)++;            \
    } while (0)
#define LL_FOREACH_SAFE2(head, el, tmp, next) DL_FOREACH_SAFE2(head, el, tmp, next)
#define LL_FOREACH_SAFE(head, el, tmp)        DL_FOREACH_SAFE2(head, el, tmp, next)

#endif
