/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shovels by hand: drive [HOST:PORT] < commands. HOST:PORT is what a URI without a host means (the user
 * guest). Commands, a line each:
 *
 *     put VHOST NAME JSON     answered by `ok`, or `refused REASONS`
 *     remove VHOST NAME       ok or none
 *     restart VHOST NAME      ok or none
 *     status                  the JSON array, on one line
 *
 * `ended VHOST NAME` is said when a shovel has moved what it was to move. Ends at the end of its input.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/client.h"
#include "coney/shovels.h"

#define WHY_SIZE 4096

static char self_host[100];
static uint16_t self_port;

static bool reach_self(void *context, const char *user, struct client_target *target)
{
    (void)context;
    if (!self_port) {
        errno = ECONNREFUSED;
        return false;
    }
    target->host = self_host;
    target->port = self_port;
    target->user = bytes_from_string(user ? user : "guest");
    target->password = BYTES_LITERAL("guest");
    return true;
}

static void on_ended(void *context, const char *vhost, const char *name)
{
    shovels_remove(*(struct shovels **)context, vhost, name);
    printf("ended %s %s\n", vhost, name);
    fflush(stdout);
}

static void put(struct shovels *shovels, const char *vhost, const char *name, const char *text)
{
    json_t *value = json_loads(text ? text : "", JSON_DECODE_ANY, NULL);
    char why[WHY_SIZE] = "no JSON\n";

    if (value && shovels_put(shovels, vhost, name, value, why, sizeof why)) {
        printf("ok\n");
    } else {
        for (char *p = why; (p = strchr(p, '\n'));)
            *p = '|';
        printf("refused %s\n", why);
    }
    json_decref(value);
}

static void say_status(struct shovels *shovels)
{
    json_t *status = shovels_status(shovels);
    char *text = json_dumps(status, JSON_COMPACT);

    printf("%s\n", text);
    free(text);
    json_decref(status);
}

static void obey(struct shovels *shovels, char *line)
{
    char *rest = line, *verb = strsep(&rest, " "), *vhost = strsep(&rest, " "), *name = strsep(&rest, " ");

    if (strcmp(verb, "status") == 0)
        say_status(shovels);
    else if (name && strcmp(verb, "put") == 0)
        put(shovels, vhost, name, rest);
    else if (name && strcmp(verb, "remove") == 0)
        printf("%s\n", shovels_remove(shovels, vhost, name) ? "ok" : "none");
    else if (name && strcmp(verb, "restart") == 0)
        printf("%s\n", shovels_restart(shovels, vhost, name) ? "ok" : "none");
    else
        printf("what?\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct shovels_settings settings = {"drive@localhost", "drive"};
    struct shovels *shovels;
    const struct shovels_ops ops = {reach_self, on_ended, &shovels};
    char *line = NULL, *colon;
    size_t size = 0;
    ssize_t length;

    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && (colon = strrchr(argv[1], ':'))) {
        snprintf(self_host, sizeof self_host, "%.*s", (int)(colon - argv[1]), argv[1]);
        self_port = (uint16_t)atoi(colon + 1);
    }
    shovels = shovels_new(&settings, &ops);
    if (!shovels_start(shovels))
        return 1;
    while ((length = getline(&line, &size, stdin)) > 0) {
        line[strcspn(line, "\n")] = 0;
        obey(shovels, line);
    }
    free(line);
    shovels_stop(shovels);
    shovels_free(shovels);
    return 0;
}
