/* SPDX-License-Identifier: Apache-2.0 */
/* format.h: a few lines of text, replaced as a whole. */
#include "format.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 512

/* The format that coney's own text says; 0 when TEXT is something else. */
static long number_in(const char *text)
{
    static const char begin[] = "format ";
    char *end;
    long number;

    if (strncmp(text, begin, sizeof begin - 1) != 0)
        return 0;
    number = strtol(text + sizeof begin - 1, &end, 10);
    return *end == '\n' && number > 0 && number < INT_MAX ? number : 0;
}

/* What follows WORDS at the beginning of a line, up to its end; "?" where there is none, or no plain text. */
static void find_words(const char *text, const char *words, char out[64])
{
    const char *line = strstr(text, words);
    size_t size = line ? strspn(line + strlen(words), "0123456789.abcdefghijklmnopqrstuvwxyz+~-") : 0;

    snprintf(out, 64, "%.*s", size ? (int)(size < 63 ? size : 63) : 1, size ? line + strlen(words) : "?");
}

static void file_of(const char *folder, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

/* The file's text, "" without one. */
static void read_text(struct sys *sys, const char *folder, char text[TEXT_SIZE])
{
    char path[PATH_MAX];
    struct sys_file *file;
    ssize_t size;

    *text = '\0';
    file_of(folder, "format", path);
    if (sys_open(sys, path, SYS_READ, &file) != 0)
        return;
    size = sys_read(sys, file, text, TEXT_SIZE - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    sys_close(sys, file);
}

int format_check(struct sys *sys, const char *folder, char *why, size_t why_size)
{
    char text[TEXT_SIZE], writer[64], reader[64];
    long number;

    read_text(sys, folder, text);
    number = number_in(text);
    if (number <= FORMAT_VERSION)
        return 0;
    find_words(text, "\nwritten by coney ", writer);
    find_words(text, "\nread by coney ", reader);
    snprintf(
        why, why_size,
        "%.400s has format %ld, written by coney %s: coney %s and later can read it, this is %s, which knows "
        "formats up to %d",
        folder, number, writer, reader, PACKAGE_VERSION, FORMAT_VERSION);
    return -ENOTSUP;
}

static int write_text(struct sys *sys, const char *path, const char *text)
{
    struct sys_file *file;
    int error = sys_open(sys, path, SYS_WRITE | SYS_CREATE | SYS_TRUNCATE, &file);

    if (error)
        return error;
    error = sys_write(sys, file, text, strlen(text), 0);
    if (!error)
        error = sys_sync(sys, file);
    sys_close(sys, file);
    return error;
}

void format_write(struct sys *sys, const char *folder)
{
    char before[TEXT_SIZE], text[TEXT_SIZE], path[PATH_MAX], fresh[PATH_MAX];

    read_text(sys, folder, before);
    snprintf(text, sizeof text, "format %d\nwritten by coney %s\nread by coney %s and later\n",
             FORMAT_VERSION, PACKAGE_VERSION, FORMAT_READER);
    if (strcmp(before, text) == 0)
        return;
    file_of(folder, "format", path);
    file_of(folder, "format.new", fresh);
    if (write_text(sys, fresh, text) != 0 || sys_rename(sys, fresh, path) != 0)
        sys_unlink(sys, fresh);
}
