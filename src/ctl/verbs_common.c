/* SPDX-License-Identifier: Apache-2.0 */
/* What verbs of several files share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coney/buffer.h"
#include "terms.h"
#include "verbs.h"

bool user_exists(struct ctl *ctl, const char *user)
{
    json_t *found = http_find(ctl, api_path(ctl, "/users/%s", user));
    bool exists = found != NULL;

    json_decref(found);
    return exists;
}

bool vhost_exists(struct ctl *ctl, const char *vhost)
{
    json_t *found = http_find(ctl, api_path(ctl, "/vhosts/%s", vhost));
    bool exists = found != NULL;

    json_decref(found);
    return exists;
}

json_t *vhost_rows(struct ctl *ctl, const char *path)
{
    json_t *rows = http_find(ctl, path);

    if (!rows)
        exit(missing_vhost(ctl->vhost));
    return rows;
}

json_t *vhost_rows_or_none(struct ctl *ctl, const char *path)
{
    json_t *rows = vhost_rows(ctl, path);

    if (json_array_size(rows) == 0 && !vhost_exists(ctl, ctl->vhost)) {
        json_decref(rows);
        exit(missing_vhost(ctl->vhost));
    }
    return rows;
}

int missing_vhost(const char *vhost)
{
    fflush(stdout);
    fprintf(stderr, "Virtual host '%s' does not exist\n", vhost);
    return EX_DATAERR;
}

json_t *json_argument(const char *argument)
{
    json_error_t error;
    json_t *value = json_loads(argument, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);

    if (!value)
        failure(EX_UNAVAILABLE,
                "JSON decoding error. Reason: %s, at character %d\nPut the JSON in single quotes: "
                "'{\"max-length\":500}'",
                error.text, error.column);
    return value;
}

void print_json_line(const json_t *value)
{
    put_json(value, JSON_SORT_KEYS);
    putchar('\n');
}

int done(struct ctl *ctl, int code)
{
    json_t *status;

    if (code != EX_OK || ctl->format != FORMAT_JSON)
        return code;
    status = json_pack("{s:s,s:s}", "node", node_name(ctl), "result", "ok");
    print_json_line(status);
    json_decref(status);
    return code;
}

double seconds_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void pause_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    if (ms > 0)
        nanosleep(&time, NULL);
}

bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}
