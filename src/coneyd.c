/* SPDX-License-Identifier: Apache-2.0 */
/* coneyd, the broker: command line, configuration, and the server's life. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "coney/admin.h"
#include "coney/config.h"
#include "coney/log.h"
#include "coney/server.h"
#include "coney/xalloc.h"
#include "coneyd_inspect.h"

static const char usage[] =
    "usage: coneyd [options]\n"
    "  --config FILE     read FILE: RabbitMQ's `key = value` format\n"
    "  --set KEY=VALUE   override one key; may be given many times\n"
    "  --check-config    check the configuration and end\n"
    "  --data DIR        keep what is durable in DIR, like --set data_dir=DIR\n"
    "  --ephemeral       keep nothing: exchanges, queues and messages live in memory\n"
    "  --check DIR       say what is wrong with what is in DIR, which no coneyd may use, and end\n"
    "  --dump DIR        print what is in DIR as JSON lines, and end\n"
    "  --bodies          with --dump: messages' bodies too\n"
    "  --version         print the version and end\n"
    "  --help            print this and end\n";

struct command_line {
    const char *config_path;
    const char **overrides;
    size_t override_count;
    const char *data_dir; /* of --data */
    char *data_override;  /* what --data or --ephemeral make of it, the last override */
    bool is_ephemeral;
    bool check_only;
    const char *inspected; /* of --check or --dump */
    bool is_dumped, wants_bodies;
};

static void report(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "coneyd: %s\n", text);
}

/* Say where to keep things: DIR, or nowhere when it is empty. */
static void override_data_dir(struct command_line *line, const char *dir)
{
    static const char format[] = "data_dir=%s";
    size_t size = sizeof format + strlen(dir);

    line->data_override = xmalloc(size);
    snprintf(line->data_override, size, format, dir);
    line->overrides[line->override_count++] = line->data_override;
}

/* What is left on the command line, and what does not go together. Returns -1 to go on, else the exit code.
 */
static int finish(int argc, char **argv, struct command_line *line)
{
    if (optind < argc) {
        fprintf(stderr, "coneyd: what is '%s'?\n%s", argv[optind], usage);
        return EX_USAGE;
    }
    if (line->data_dir && line->is_ephemeral) {
        fprintf(stderr, "coneyd: --data and --ephemeral exclude each other\n%s", usage);
        return EX_USAGE;
    }
    if (line->data_dir && !*line->data_dir) {
        fprintf(stderr, "coneyd: --data wants a folder\n%s", usage);
        return EX_USAGE;
    }
    if (line->wants_bodies && !line->is_dumped) {
        fprintf(stderr, "coneyd: --bodies goes with --dump\n%s", usage);
        return EX_USAGE;
    }
    if (line->is_dumped)
        return coneyd_dump(line->inspected, line->wants_bodies);
    if (line->inspected)
        return coneyd_check(line->inspected);
    if (line->data_dir || line->is_ephemeral)
        override_data_dir(line, line->data_dir ? line->data_dir : "");
    return -1;
}

/* Returns -1 to go on, else the exit code. */
static int parse(int argc, char **argv, struct command_line *line)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"set", required_argument, NULL, 's'},
        {"check-config", no_argument, NULL, 'k'},
        {"ephemeral", no_argument, NULL, 'e'},
        {"data", required_argument, NULL, 'd'},
        {"version", no_argument, NULL, 'v'},
        {"check", required_argument, NULL, 'C'},
        {"dump", required_argument, NULL, 'D'},
        {"bodies", no_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            line->config_path = optarg;
            break;
        case 's':
            line->overrides[line->override_count++] = optarg;
            break;
        case 'k':
            line->check_only = true;
            break;
        case 'd':
            line->data_dir = optarg;
            break;
        case 'e':
            line->is_ephemeral = true;
            break;
        case 'C':
        case 'D':
            line->inspected = optarg;
            line->is_dumped = option == 'D';
            break;
        case 'b':
            line->wants_bodies = true;
            break;
        case 'v':
            puts("coneyd " PACKAGE_VERSION);
            return EX_OK;
        case 'h':
            fputs(usage, stdout);
            return EX_OK;
        default:
            fputs(usage, stderr);
            return EX_USAGE;
        }
    }
    return finish(argc, argv, line);
}

/* Let go when the system refuses memory: enough for the work of some seconds, while publishers are held. */
#define RESERVE ((size_t)16 << 20)

static int serve(const struct config *config, const struct config_source *source)
{
    static const int codes[] = {[SERVER_BAD_DEFINITIONS] = EX_DATAERR, [SERVER_BAD_CERTIFICATES] = EX_CONFIG,
                                [SERVER_CANNOT_LISTEN] = EX_OSERR,     [SERVER_NO_RESOURCES] = EX_OSERR,
                                [SERVER_DATA_IN_USE] = EX_TEMPFAIL,    [SERVER_DATA_DAMAGED] = EX_DATAERR,
                                [SERVER_DATA_UNREADABLE] = EX_IOERR};
    char why[SERVER_WHY_SIZE];
    enum server_failure failure;
    struct server_company company;
    struct admin *admin;
    struct server *server;

    xalloc_keep_reserve(RESERVE);
    server = server_new(config, &failure, why);
    if (!server) {
        fprintf(stderr, "coneyd: %s\n", why);
        return codes[failure];
    }
    admin = admin_new(server, config, why, sizeof why);
    if (!admin) {
        fprintf(stderr, "coneyd: %s\n", why);
        server_free(server);
        return EX_OSERR;
    }
    company = admin_company(admin);
    server_set_source(server, source);
    server_run(server, &company);
    admin_free(admin);
    server_free(server);
    return EX_OK;
}

/* The log as CONFIG says; false, complained about, when its file cannot be opened. */
static bool configure_log(const struct config *config)
{
    struct log_settings settings;
    char *path;
    bool done;

    config_log_settings(config, &settings, &path);
    done = log_configure(&settings);
    if (!done)
        fprintf(stderr, "coneyd: log.file: %s cannot be opened: %s\n", path, strerrordesc_np(errno));
    free(path);
    return done;
}

static int run(const struct config *config, const struct config_source *source, bool check_only)
{
    int code;

    if (check_only)
        return server_check_config(config, report, NULL) ? EX_OK : EX_CONFIG;
    if (!configure_log(config))
        return EX_CANTCREAT;
    log_start();
    for (size_t i = 0; i < config->notices.count; i++)
        log_warning("%s", config->notices.words[i]);
    code = serve(config, source);
    log_stop();
    return code;
}

/* A password's hash takes 8 MiB for a moment, on whatever thread: that goes back to the system when it is
 * freed. Smaller blocks, most bodies among them, stay, as they would be asked for again. */
static void tune_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

/* The thread sanitizer makes its record of a thread's signals at the first call that blocks. A signal that
 * comes at that moment finds none, makes another, and is lost with it. So there is one before anybody sends
 * any: the first such call here would else be the loop's wait, right after `ready`. */
static void make_signals_count(void)
{
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
    nanosleep(&(struct timespec){0}, NULL);
#endif
#endif
}

int main(int argc, char **argv)
{
    struct command_line line = {.overrides = xcalloc((size_t)argc, sizeof(char *))};
    struct config config;
    struct config_source source;
    int code = parse(argc, argv, &line);

    make_signals_count();
    tune_memory();
    source = (struct config_source){line.config_path, environ, line.overrides, line.override_count};
    if (code < 0 && !config_load(&config, &source, report, NULL))
        code = EX_CONFIG;
    else if (code < 0) {
        code = run(&config, &source, line.check_only);
        config_free(&config);
    }
    free(line.overrides);
    free(line.data_override);
    return code;
}
