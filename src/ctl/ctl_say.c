/* SPDX-License-Identifier: Apache-2.0 */
/* What coneyctl says beside tables: informational lines, results, errors. Texts of results go to standard
 * output, errors to standard error; what a broker sent is escaped on the way. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coney/buffer.h"
#include "ctl.h"
#include "ctl_help.h"
#include "ctl_http.h"
#include "terminal.h"
#include "terms.h"

static __attribute__((format(printf, 2, 0))) char *format_text(struct ctl *ctl, const char *format,
                                                               va_list values)
{
    va_list again;
    char *written;
    int size;

    va_copy(again, values);
    size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (size < 0)
        abort();
    written = arena_alloc(&ctl->memory, (size_t)size + 1);
    vsnprintf(written, (size_t)size + 1, format, values);
    return written;
}

char *text(struct ctl *ctl, const char *format, ...)
{
    va_list values;
    char *written;

    va_start(values, format);
    written = format_text(ctl, format, values);
    va_end(values);
    return written;
}

static void write_escaped(FILE *to, const char *what, enum term_escape how)
{
    struct buffer out = {0};

    term_escape(&out, what, strlen(what), how);
    if (out.size > 0)
        fwrite(out.data, 1, out.size, to);
    buffer_free(&out);
}

static void write_safe(FILE *to, const char *what)
{
    write_escaped(to, what, TERM_KEEP_LINES);
}

void put_safe(const char *text_from_broker)
{
    write_safe(stdout, text_from_broker ? text_from_broker : "");
}

void put_safe_json(const char *json_from_broker)
{
    write_escaped(stdout, json_from_broker, TERM_IN_JSON);
}

void put_json(const json_t *value, size_t flags)
{
    struct buffer out = {0};

    term_put_json(&out, value, flags);
    if (out.size > 0)
        fwrite(out.data, 1, out.size, stdout);
    buffer_free(&out);
}

void info(struct ctl *ctl, const char *format, ...)
{
    va_list values;
    const char *line;

    if (ctl->is_quiet || ctl->is_silent || ctl->format == FORMAT_JSON || ctl->format == FORMAT_CSV)
        return;
    va_start(values, format);
    line = format_text(ctl, format, values);
    va_end(values);
    write_safe(stdout, line);
    putchar('\n');
}

void result(struct ctl *ctl, const char *format, ...)
{
    va_list values;
    const char *line;

    va_start(values, format);
    line = format_text(ctl, format, values);
    va_end(values);
    if (ctl->format == FORMAT_JSON) {
        json_t *wrapped = json_pack("{s:s}", "message", line);

        put_json(wrapped, 0);
        json_decref(wrapped);
    } else {
        write_safe(stdout, line);
    }
    putchar('\n');
}

static __attribute__((format(printf, 1, 0))) void print_failure(const char *format, va_list values)
{
    char *line = NULL;

    if (vasprintf(&line, format, values) < 0)
        abort();
    fflush(stdout);
    fputs("Error:\n", stderr);
    write_safe(stderr, line);
    fputc('\n', stderr);
    free(line);
}

int failure(int code, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    print_failure(format, values);
    va_end(values);
    return code;
}

void die(int code, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    print_failure(format, values);
    va_end(values);
    exit(code);
}

int bad_arguments(struct ctl *ctl, int code, const char *format, ...)
{
    va_list values;
    const char *line;

    va_start(values, format);
    line = format_text(ctl, format, values);
    va_end(values);
    fflush(stdout);
    fputs("Error (argument validation): ", stderr);
    write_safe(stderr, line);
    fputs("\nArguments given:\n\t", stderr);
    for (int i = 1; i < ctl->argc; i++) {
        write_safe(stderr, i > 1 ? " " : "");
        write_safe(stderr, ctl->argv[i]);
    }
    fputs("\n\n", stderr);
    help_usage(ctl, stderr);
    return code;
}

const char *node_name(struct ctl *ctl)
{
    struct answer answer;
    const char *name;

    if (ctl->node)
        return ctl->node;
    answer = http_call(ctl, "GET", "/overview?columns=node", NULL);
    name = answer.json ? json_string_value(json_object_get(answer.json, "node")) : NULL;
    ctl->node = name ? text(ctl, "%s", name) : http_target_name(ctl);
    answer_free(&answer);
    return ctl->node;
}

const char *read_password(struct ctl *ctl)
{
    bool is_terminal = terminal_change(ECHO);
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    const char *found = NULL;

    if (is_terminal)
        fputs("Password: ", stderr);
    size = getline(&line, &room, stdin);
    if (is_terminal) {
        terminal_restore();
        fputc('\n', stderr);
    }
    while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
        line[--size] = '\0';
    if (size > 0)
        found = text(ctl, "%s", line);
    free(line);
    if (found && !utf8_is_valid(bytes_from_string(found)))
        die(EX_DATAERR, "the password is not UTF-8");
    return found;
}

const char *password_argument(struct ctl *ctl, int index)
{
    if (index < ctl->arg_count)
        return ctl->args[index];
    if (!isatty(STDIN_FILENO))
        info(ctl, "Password: ");
    fflush(stdout);
    return read_password(ctl);
}
