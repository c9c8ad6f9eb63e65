/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What coneyd --check-config looks at beyond the configuration itself: the files that it names. Nothing is
 * made, changed or listened to.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coney/config.h"
#include "coney/log.h"
#include "coney/server.h"
#include "coney/tls_context.h"
#include "coney/xalloc.h"

struct checking {
    config_report *report;
    void *context;
    bool failed;
};

static void complain(struct checking *checking, const char *text)
{
    checking->failed = true;
    checking->report(checking->context, text);
}

static void complain_errno(struct checking *checking, const char *key, const char *path, const char *what)
{
    char text[SERVER_WHY_SIZE];

    snprintf(text, sizeof text, "%s: %s cannot be %s: %s", key, path, what, strerror(errno));
    complain(checking, text);
}

static void check_certificates(struct checking *checking, const struct config *config)
{
    char why[TLS_WHY_SIZE];
    bool has_tls = false;
    struct tls_contexts *contexts;

    for (size_t i = 0; i < config->listener_count; i++)
        has_tls = has_tls || config->listeners[i].is_tls;
    if (!has_tls)
        return;
    contexts = tls_contexts_new(&config->tls, why);
    if (!contexts)
        complain(checking, why);
    tls_contexts_leave(contexts);
}

/* It, or the folder that it will be made in. */
static void check_log_file(struct checking *checking, const struct config *config)
{
    struct log_settings settings;
    char *path, *copy;

    config_log_settings(config, &settings, &path);
    if (!path)
        return;
    copy = xstrdup(path);
    if (access(path, W_OK) < 0 && (errno != ENOENT || access(dirname(copy), W_OK | X_OK) < 0))
        complain_errno(checking, "log.file", path, "written");
    free(copy);
    free(path);
}

bool server_check_config(const struct config *config, config_report *report, void *context)
{
    struct checking checking = {.report = report, .context = context};

    check_certificates(&checking, config);
    check_log_file(&checking, config);
    if (*config->load_definitions && access(config->load_definitions, R_OK) < 0)
        complain_errno(&checking, "load_definitions", config->load_definitions, "read");
    return !checking.failed;
}
