/* SPDX-License-Identifier: Apache-2.0 */
/* uthash.h: what the linters see in the place of the real one.
 *
 * The real macros unfold into dozens of branches, which an analyser takes for the program's own: it then
 * follows impossible paths (a removed element that is still linked), and spends most of its time there. Here
 * each of them is a call of a function that might return anything, and reads like what it means. A macro that
 * is missing here gets a line when somebody uses it. */
#ifndef CONEY_LINT_UTHASH_H
#define CONEY_LINT_UTHASH_H

#include <stddef.h>

typedef struct UT_hash_handle {
    void *prev;
    void *next;
    const void *key;
    unsigned keylen;
} UT_hash_handle;

void *lint_find(const void *head, const void *key, size_t keylen);
void *lint_add(const void *head, const void *key, size_t keylen, const void *element);
void *lint_remove(const void *head, const void *element);
void *lint_next(const void *element);
unsigned lint_count(const void *head);
unsigned lint_hash(const void *key, size_t keylen);

#define HASH_FIND(hh, head, keyptr, keylen, out) ((out) = lint_find((head), (keyptr), (keylen)))
#define HASH_FIND_STR(head, key, out)            HASH_FIND(hh, head, key, sizeof *(key), out)
#define HASH_FIND_INT(head, key, out)            HASH_FIND(hh, head, key, sizeof *(key), out)
#define HASH_FIND_PTR(head, key, out)            HASH_FIND(hh, head, key, sizeof *(key), out)

#define HASH_ADD_KEYPTR(hh, head, keyptr, keylen, el) ((head) = lint_add((head), (keyptr), (keylen), (el)))
#define HASH_ADD(hh, head, field, keylen, el)         ((head) = lint_add((head), &(el)->field, (keylen), (el)))
#define HASH_ADD_INT(head, field, el)                 HASH_ADD(hh, head, field, sizeof(el)->field, el)
#define HASH_ADD_PTR(head, field, el)                 HASH_ADD(hh, head, field, sizeof(el)->field, el)

#define HASH_DELETE(hh, head, el)        ((head) = lint_remove((head), (el)))
#define HASH_DEL(head, el)               HASH_DELETE(hh, head, el)
#define HASH_CLEAR(hh, head)             ((head) = NULL)
#define HASH_VALUE(keyptr, keylen, hash) ((hash) = lint_hash((keyptr), (keylen)))
#define HASH_SORT(head, compare)         ((void)(head), (void)(compare))
#define HASH_COUNT(head)                 lint_count(head)
#define HASH_CNT(hh, head)               lint_count(head)
#define HASH_ITER(hh, head, el, tmp) \
    for ((el) = (head), (tmp) = lint_next(el); (el) != NULL; (el) = (tmp), (tmp) = lint_next(el))

#endif
