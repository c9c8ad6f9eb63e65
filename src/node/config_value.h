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
    KEY_PORT,           /* uint32_t, or none: CONFIG_PORT_NONE */
    KEY_COUNT,          /* uint64_t; infinity: 0 */
    KEY_SIZE,           /* uint64_t, octets */
    KEY_DURATION,       /* uint64_t, ms */
    KEY_FRACTION,       /* double, 0 to 1 */
    KEY_FACTOR,         /* double, 0 to most */
    KEY_STRING,         /* char * */
    KEY_VERSION,        /* char *, dotted numbers */
    KEY_ADDRESS,        /* char *, a numeric IP address, or empty */
    KEY_ENUM,           /* an enum whose values are the places in names */
    KEY_LEVEL,          /* enum config_log_level; without a default CONFIG_LOG_UNSET */
    KEY_EITHER,         /* bool: the first of two names is false, the second true */
    KEY_FIXED,          /* nothing: the default is the only value there is */
    KEY_WORD,           /* struct config_words: one of names, or any word */
    KEY_MEMBER,         /* struct config_words: the key's * is in it, or not */
    KEY_MEMBERS_NONE,   /* the same: "none" empties it */
    KEY_LISTENER,       /* the listeners, is_tls says which */
    KEY_LISTENERS_NONE, /* the same: "none" empties them */
    KEY_CERTIFICATE,    /* struct config_certificates: the certfile of the one called * */
    KEY_CERTIFICATE_KEY /* ... and its keyfile */
};

struct key {
    const char *name;          /* one * stands for any word */
    const char *default_value; /* of a list: with blanks between; "" for none */
    const char *doc;
    enum key_type type;
    size_t offset;            /* in struct config */
    int64_t least, most;      /* of numbers, and of the length of strings */
    bool zero_too;            /* 0 is allowed though LEAST is higher */
    bool none_too;            /* infinity and undefined are allowed, and mean 0 */
    bool replaces;            /* the first entry of a list replaces the default ones */
    bool is_live;             /* a reload changes it */
    bool is_secret;           /* its value is never shown */
    bool is_tls;              /* of listeners */
    size_t clears;            /* offset of a uint64_t or double to set to 0; 0: none */
    const char *const *names; /* NULL-terminated */
    const char *example;      /* lines "key = value" for the sample; NULL: the default is one */
    const char *alias_of;     /* another key that says the same; NULL: this is no alias */
    const char *section;      /* the heading that begins here; NULL: none */
    const char *expected;     /* what it should be, where the type alone does not say; NULL: the type does */
};

/* Parse VALUE for KEY, whose * is WORD, and set it. False, with CONFIG unchanged, when it is not valid. A
 * SUPERSEDED entry of a list is checked only; other superseded values are overwritten later. */
bool config_value_set(struct config *config, const struct key *key, const char *word, const char *value,
                      bool superseded);

/* Free what KEY's value holds and make it empty. */
void config_value_clear(struct config *config, const struct key *key);

/* KEY's value as it would be written, lists with blanks between; to be freed. */
char *config_value_text(const struct config *config, const struct key *key);

/* Make KEY's value of TO a copy of FROM's. */
void config_value_copy(struct config *to, const struct config *from, const struct key *key);

/* Say what a value of KEY should be: "a whole number from 0 to 64". */
void config_value_expected(char *out, size_t size, const struct key *key);

#endif
