/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coneyctl: what its files share. One run is one `struct ctl`: the command line taken apart, the verb that it
 * names, and the connection to the broker, which is made when the first request is. A verb returns its exit
 * code, one of sysexits.h; what cannot be gone on from ends the process by way of die().
 *
 * Texts and columns are rabbitmqctl's (scripts read them); what comes from the broker is never written to a
 * terminal raw, see terms.h.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sysexits.h>

#include "coney/arena.h"

#define MUST_CHECK __attribute__((warn_unused_result))

/* Under which name the program runs decides which verbs there are. */
enum tool {
    TOOL_CONEYCTL = 1 << 0, /* all verbs */
    TOOL_CTL = 1 << 1,
    TOOL_DIAGNOSTICS = 1 << 2,
    TOOL_PLUGINS = 1 << 3,
    TOOL_QUEUES = 1 << 4,
    TOOL_UPGRADE = 1 << 5,
    TOOL_ADMIN = 1 << 6,
};

enum format {
    FORMAT_TABLE,
    FORMAT_JSON,
    FORMAT_CSV,
    FORMAT_PRETTY_TABLE,
    FORMAT_ERLANG,
};

struct ctl;

/* An option that one verb takes, beside those that all take. */
struct verb_option {
    const char *name;
    char letter; /* 0: long form only */
    enum {
        OPTION_FLAG,
        OPTION_TEXT,
        OPTION_NUMBER,
        OPTION_SECONDS
    } kind; /* numbers are whole, seconds not */
};

#define VERB_OPTIONS_MAX 10

struct verb {
    const char *name;
    unsigned tools;         /* besides coneyctl, whose all verbs are */
    const char *group;      /* heading in the list of verbs */
    int min_args, max_args; /* max_args -1: any number */
    const char *arguments;  /* as usage shows them */
    const char *summary;    /* one line */
    const char *example;    /* without the program's name */
    int (*run)(struct ctl *ctl);
    struct verb_option options[VERB_OPTIONS_MAX]; /* ends with one without a name, unless full */
};

struct option_given {
    const char *name, *value; /* value "" for a flag */
};

struct http;

struct ctl {
    const char *program; /* as it was called, without folders */
    enum tool tool;
    const struct verb *verb; /* NULL before it is known */
    const char *verb_name;   /* as given; NULL: none */

    int argc; /* as given, for messages */
    char **argv;
    char **args; /* what is neither option nor verb */
    int arg_count;
    struct option_given *given; /* each option, in order */
    int given_count;

    enum format format;
    const char *vhost; /* never NULL */
    bool is_vhost_given;
    bool is_quiet, is_silent; /* silent: quiet, and without header rows */
    bool has_no_headers;
    double timeout_s; /* 0: none was given */

    struct http *http;
    const char *node; /* NULL until it is asked for */
    struct arena memory;
};

/* --- options -------------------------------------------------------------------------------------------- */

/* Take ARGV apart into CTL. Options stand before or after the verb. Dies on what no verb could take; what the
 * verb itself does not take is reported by options_check(), once the verb is known. */
void options_parse(struct ctl *ctl, int argc, char **argv);
void options_check(struct ctl *ctl);

/* Print the names of the options that VERB takes, one a line. */
void options_print(const struct verb *verb);

/* The value of option NAME: NULL if it is not given, "" for a flag. The last one counts. */
const char *option(const struct ctl *ctl, const char *name);
bool has_option(const struct ctl *ctl, const char *name);
long option_number(const struct ctl *ctl, const char *name, long otherwise);

/* The list of all verbs, ended by one without a name. */
extern const struct verb *const verb_groups[];
const struct verb *verb_find(const struct ctl *ctl, const char *name);
bool verb_is_visible(const struct ctl *ctl, const struct verb *verb);

/* --- what is said --------------------------------------------------------------------------------------- */

/* A text that lives as long as the program. */
char *text(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3), returns_nonnull));

/* An informational line: "Listing queues ...". Nothing when quiet, or when the output is for programs. */
void info(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of result that is a text: also what --formatter json wraps into {"message": ...}. */
void result(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A failure: "Error:", a newline, the text. Returns CODE. */
int failure(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As failure(), and the process ends. */
void die(int code, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* The command line is wrong: says so, repeats it, and how the verb is used. Returns CODE. */
int bad_arguments(struct ctl *ctl, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The node's name, of -n or asked for. */
const char *node_name(struct ctl *ctl);

/* Write to standard output what the broker sent, control characters escaped; the second takes JSON's text,
 * which stays JSON. */
void put_safe(const char *text_from_broker);
void put_safe_json(const char *json_from_broker);

/* Write VALUE to standard output as JSON on one line, likewise; FLAGS are jansson's: JSON_SORT_KEYS or none.
 */
void put_json(const json_t *value, size_t flags);

/* The password that stands as argument INDEX, or else a line of standard input; NULL if there is none. */
const char *password_argument(struct ctl *ctl, int index);

/* A line of standard input, asked for and not shown where it is a terminal; NULL if there is none. */
const char *read_password(struct ctl *ctl);

#endif
