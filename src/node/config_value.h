/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of configuration keys by their type: from text into struct config. What keys there are is
 * config.c's.
 */
#ifndef NODE_CONFIG_VALUE_H
#define NODE_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coney/config.h"

enum key_type {
    KEY_BOOL,           /* bool */
    KEY_UINT32,         /* uint32_t */
    KEY_COUNT,          /* uint64_t; infinity: 0 */
    KEY_SIZE,           /* uint64_t, octets */
    KEY_DURATION,       /* uint64_t, ms */
    KEY_FRACTION,       /* double, 0 to 1 */
    KEY_STRING,         /* char * */
    KEY_VERSION,        /* char *, dotted numbers */
    KEY_ENUM,           /* an enum whose values are the places in names */
    KEY_EITHER,         /* bool: the first of two names is false, the second true */
    KEY_WORD,           /* struct config_words: one of names */
    KEY_MEMBER,         /* struct config_words: the key's last part is in it, or not */
    KEY_MEMBERS_NONE,   /* the same: "none" empties it */
    KEY_LISTENER,       /* the listeners */
    KEY_LISTENERS_NONE, /* the same: "none" empties them */
};

struct key {
    const char *name; /* a last part * stands for any word */
    const char *default_value;
    const char *doc;
    enum key_type type;
    bool zero_too;            /* 0 is allowed though LEAST is higher */
    bool none_too;            /* infinity and undefined are allowed, and mean 0 */
    bool replaces;            /* the first entry of a list replaces the default ones */
    size_t offset;            /* in struct config */
    int64_t least, most;      /* of numbers, and of the length of strings */
    size_t clears;            /* offset of a uint64_t to set to 0; 0: none */
    const char *const *names; /* NULL-terminated */
};

/* Parse VALUE for KEY, whose * is WORD, and set it. False, with CONFIG unchanged, when it is not valid. A
 * SUPERSEDED entry of a list is checked only; other superseded values are overwritten later. */
bool config_value_set(struct config *config, const struct key *key, const char *word, const char *value,
                      bool superseded);

/* Free what KEY's value holds and make it empty. */
void config_value_clear(struct config *config, const struct key *key);

/* Say what a value of KEY should be: "a whole number from 0 to 64". */
void config_value_expected(char *out, size_t size, const struct key *key);

#endif
