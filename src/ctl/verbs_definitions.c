/* SPDX-License-Identifier: Apache-2.0 */
/* Export and import of definitions: everything but messages, as one JSON object. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coney/buffer.h"
#include "coney/xalloc.h"
#include "files.h"
#include "verbs.h"

/* --- export --------------------------------------------------------------------------------------------- */

static int only_json(struct ctl *ctl)
{
    const char *format = option(ctl, "format");

    if (!format || strcmp(format, "json") == 0)
        return EX_OK;
    return bad_arguments(ctl, EX_DATAERR, "Bad argument: Formatting should be one of: json");
}

static int export_definitions(struct ctl *ctl)
{
    const char *path = ctl->args[0];
    bool is_shown = strcmp(path, "-") == 0;
    char *folder = xstrdup(path), *dir = dirname(folder);
    struct answer answer;
    int code = only_json(ctl);

    if (code == EX_OK && !is_shown && access(dir, F_OK) != 0)
        code = bad_arguments(ctl, EX_DATAERR, "Bad argument: Directory %s does not exist", dir);
    free(folder);
    if (code != EX_OK)
        return code;
    if (!is_shown)
        info(ctl, "Exporting definitions in JSON to a file at \"%s\" ...", path);
    answer = http_send(ctl, "GET", "/definitions", NULL, 0, NULL);
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    if (is_shown) {
        put_safe_json(answer.body);
        putchar('\n');
    } else if (!file_write(path, answer.body, answer.size)) {
        code = failure(EX_CANTCREAT, "%s: %s", path, strerror(errno));
    }
    answer_free(&answer);
    return code;
}

/* --- import --------------------------------------------------------------------------------------------- */

static bool is_url(const char *path)
{
    return strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0;
}

/* Take the definitions of another broker, which is asked as `--url URL` would, with the same options for
 * https. */
static int fetch(struct ctl *ctl, const char *url, struct buffer *into)
{
    static const char *const kept[] = {"cacert", "cert", "key", "insecure"};
    struct option_given given[1 + sizeof kept / sizeof *kept] = {{"url", url}};
    struct ctl other = *ctl;
    struct answer answer;

    other.given = given;
    other.given_count = 1;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (has_option(ctl, kept[i]))
            given[other.given_count++] = (struct option_given){kept[i], option(ctl, kept[i])};
    other.http = NULL;
    other.memory = (struct arena){0};
    answer = http_send(&other, "GET", "/definitions", NULL, 0, NULL);
    if (!is_fine(&answer)) {
        int code = answer_failure(&other, &answer);

        http_free(other.http);
        arena_clear(&other.memory);
        return code;
    }
    buffer_append(into, answer.body, answer.size);
    answer_free(&answer);
    http_free(other.http);
    arena_clear(&other.memory);
    return EX_OK;
}

/* Read what is to be imported, from file, standard input or another broker. */
static int read_source(struct ctl *ctl, const char *path, struct buffer *into)
{
    if (!path) {
        info(ctl, "Importing definitions in JSON from standard input ...");
    } else if (is_url(path)) {
        info(ctl, "Importing definitions from another broker ...");
        fflush(stdout);
        return fetch(ctl, path, into);
    } else if (access(path, F_OK) != 0) {
        return bad_arguments(ctl, EX_DATAERR, "Bad argument: File %s does not exist", path);
    } else {
        info(ctl, "Importing definitions in JSON from a file at \"%s\" ...", path);
    }
    fflush(stdout);
    if (!file_read(into, path))
        return failure(EX_NOINPUT, "%s: %s", path ? path : "standard input", strerror(errno));
    return EX_OK;
}

static int import_definitions(struct ctl *ctl)
{
    const char *path = ctl->arg_count > 0 && strcmp(ctl->args[0], "-") != 0 ? ctl->args[0] : NULL;
    struct buffer content = {0};
    json_error_t error;
    struct answer answer;
    json_t *parsed;
    int code = only_json(ctl);

    if (code == EX_OK)
        code = read_source(ctl, path, &content);
    if (code != EX_OK) {
        buffer_free(&content);
        return code;
    }
    parsed = json_loadb((const char *)content.data, content.size, 0, &error);
    if (!json_is_object(parsed)) {
        json_decref(parsed);
        buffer_free(&content);
        return failure(EX_DATAERR,
                       "Failed to deserialise input (format: JSON) (error: %s, line %d, column %d)",
                       parsed ? "this is no object" : error.text, error.line, error.column);
    }
    json_decref(parsed);
    answer = http_send(ctl, "POST", "/definitions", (const char *)content.data, content.size, NULL);
    buffer_free(&content);
    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    info(ctl, "Successfully started definition import. This process is asynchronous and can take some time.");
    return done(ctl, EX_OK);
}

const struct verb verbs_definitions[] = {
    {"export_definitions",
     TOOL_CTL,
     "Definitions",
     1,
     1,
     "FILE|-",
     "Write users, vhosts, permissions, policies, exchanges, queues and bindings to a file",
     "export_definitions -",
     export_definitions,
     {{"format", 0, OPTION_TEXT}}},
    {"import_definitions",
     TOOL_CTL,
     "Definitions",
     0,
     1,
     "[FILE|-|URL]",
     "Add what a file, standard input or another broker has of these; what is there stays",
     "import_definitions http://guest:guest@old-rabbit:15672",
     import_definitions,
     {{"format", 0, OPTION_TEXT}, {"skip-if-unchanged", 0, OPTION_FLAG}}},
    {0},
};
