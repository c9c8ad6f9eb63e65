/* SPDX-License-Identifier: Apache-2.0 */
/* test_web.c: each file of the page is in the program, whole, with its type; and the page keeps to its
 * security policy. */
#include "admin/web/web.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef WEB_FILES /* a linter, which include.am does not reach */
#define WEB_FILES  ""
#define WEB_FOLDER ""
#endif

/* The files' names as the build knows them, cut at spaces. WEB_FILES and WEB_FOLDER come from include.am. */
static char names[] = WEB_FILES;

#define EACH_NAME(name, rest)                                                            \
    for (char *(rest) = NULL, *(name) = strtok_r(names, " \t", &(rest)); (name) != NULL; \
         (name) = strtok_r(NULL, " \t", &(rest)))

static const struct web_file *find_named(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "/%s", name);
    return web_find(path);
}

/* All that STREAM has, to be freed. */
static unsigned char *read_all(FILE *stream, size_t *len)
{
    size_t size = 1 << 20;
    unsigned char *octets = malloc(size);

    cr_assert(octets != NULL && stream != NULL);
    *len = fread(octets, 1, size, stream);
    cr_assert(*len < size);
    return octets;
}

static void check_same(const struct web_file *file, const unsigned char *octets, size_t len)
{
    cr_assert_eq(file->octets_len, len, "%s: %zu octets, not %zu", file->path, file->octets_len, len);
    cr_assert_arr_eq(file->octets, octets, len, "%s", file->path);
}

static const char *ending(const char *path)
{
    const char *dot = strrchr(path, '.');

    return dot == NULL ? "" : dot;
}

Test(web, has_each_file_whole)
{
    int files = 0;

    EACH_NAME(name, rest)
    {
        const struct web_file *file = find_named(name);
        char path[4096];
        size_t len;

        cr_assert(file != NULL, "%s is not there", name);
        snprintf(path, sizeof(path), "%s/%s", WEB_FOLDER, name);
        FILE *stream = fopen(path, "rb");
        unsigned char *octets = read_all(stream, &len);
        check_same(file, octets, len);
        free(octets);
        fclose(stream);
        files++;
    }
    cr_assert_gt(files, 20);
}

Test(web, has_a_gzip_of_the_same)
{
    EACH_NAME(name, rest)
    {
        const struct web_file *file = find_named(name);
        char path[] = "/tmp/coney-test-web-XXXXXX";
        char command[256];
        size_t len;

        if (file->gzip == NULL)
            continue;
        cr_assert_lt(file->gzip_len, file->octets_len);
        int fd = mkstemp(path);
        cr_assert_eq(write(fd, file->gzip, file->gzip_len), (ssize_t)file->gzip_len);
        close(fd);
        snprintf(command, sizeof(command), "gzip -dc <%s", path);
        FILE *stream =
            popen(command, "r"); /* NOLINT(cert-env33-c): the command is a constant but for mkstemp's name */
        unsigned char *octets = read_all(stream, &len);
        cr_assert_eq(pclose(stream), 0);
        check_same(file, octets, len);
        free(octets);
        unlink(path);
    }
    cr_assert(find_named("vendor/uplot.js")->gzip != NULL);
}

Test(web, knows_the_type_of_each)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},     {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"}, {".svg", "image/svg+xml"},
        {".txt", "text/plain; charset=utf-8"},
    };

    EACH_NAME(name, rest)
    {
        const struct web_file *file = find_named(name);
        const char *type = "none";

        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
            if (strcmp(ending(name), types[i].ending) == 0)
                type = types[i].type;
        }
        cr_expect_str_eq(file->type, type, "%s", name);
    }
}

Test(web, has_strong_entity_tags_that_tell_files_and_encodings_apart)
{
    const struct web_file *page = web_find("/index.html");
    const struct web_file *app = web_find("/js/app.js");

    cr_expect_eq(page->etag[0], '"');
    cr_expect_eq(page->etag[strlen(page->etag) - 1], '"');
    cr_expect_str_neq(page->etag, app->etag);
    cr_expect_str_neq(page->etag, page->gzip_etag);
}

Test(web, shows_the_page_at_the_root_and_nothing_that_is_not_there)
{
    cr_expect_eq(web_find("/"), web_find("/index.html"));
    cr_expect(web_find("/") != NULL);
    static const char *const others[] = {"",    "/a",        "/zzz",        "index.html",
                                         "/js", "/js/",      "/include.am", "/embed",
                                         "//",  "/../web.c", "/index.html/"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_expect(web_find(others[i]) == NULL, "%s", others[i]);
}

static bool has(const struct web_file *file, const char *text)
{
    return memmem(file->octets, file->octets_len, text, strlen(text)) != NULL;
}

Test(web, page_has_no_inline_script_or_style_and_asks_nobody_else)
{
    const struct web_file *page = web_find("/");
    static const char *const unwanted[] = {
        "<style", " style=", "<script>", "javascript:", "//", " onclick", " onload", "<base"};

    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
        cr_expect(!has(page, unwanted[i]), "%s", unwanted[i]);
    cr_expect(has(page, "<script src=\"js/app.js\" type=\"module\"></script>"));
    cr_expect(has(web_find("/style.css"), "light-dark("));
    cr_expect(!has(web_find("/style.css"), "@import") && !has(web_find("/style.css"), "url("));
}

/* Names come from whoever may declare a queue: nothing may take them for markup. */
Test(web, scripts_make_no_markup_of_data)
{
    static const char *const unwanted[] = {"innerHTML",      "outerHTML", "insertAdjacentHTML",
                                           "document.write", "eval(",     "new Function",
                                           ".cssText",       "DOMParser", "srcdoc"};

    EACH_NAME(name, rest)
    {
        if (strcmp(ending(name), ".js") != 0 || strncmp(name, "vendor/", 7) == 0)
            continue;
        for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
            cr_expect(!has(find_named(name), unwanted[i]), "%s: %s", name, unwanted[i]);
    }
}
