/* SPDX-License-Identifier: Apache-2.0 */
/* coney/admin.h: listeners and threads are made and go. */
#include "coney/admin.h"

#include <errno.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "admin/api/api_shovels.h"
#include "admin/http/http.h"
#include "admin/http/https.h"
#include "admin/http/workers.h"
#include "admin/stats/stats.h"
#include "admin_fields.h"
#include "coney/log.h"
#include "coney/shovels.h"
#include "coney/sockets.h"
#include "coney/xalloc.h"

#define BACKLOG      128
#define CONTROL_MODE 0666 /* who is at the other end says the kernel; others log in with a password */

/* ---- listeners ---- */

static const char *kind_text(enum http_kind kind)
{
    return kind == HTTP_METRICS ? "metrics" : "HTTP API";
}

/* A port that nobody asked for may be taken: the first broker on a machine has it. */
static bool listen_tcp(struct admin *admin, enum http_kind kind, const struct config_http *from, char *why,
                       size_t why_size)
{
    int fd;

    if (from->port == CONFIG_PORT_NONE)
        return true;
    fd = socket_listen(from->ip, (uint16_t)from->port, BACKLOG);
    if (fd >= 0)
        return http_listen(admin->http, kind, fd, NULL, NULL);
    if (!from->is_asked) {
        log_info("no %s: port %u of %s: %s", kind_text(kind), from->port, from->ip, strerror(errno));
        return true;
    }
    snprintf(why, why_size, "cannot listen on %s port %u: %s", *from->ip ? from->ip : "any address",
             from->port, strerror(errno));
    return false;
}

static bool listen_tls(struct admin *admin, enum http_kind kind, const struct config_http *from, char *why,
                       size_t why_size)
{
    struct https *https;
    int fd;

    if (from->ssl_port == CONFIG_PORT_NONE)
        return true;
    https = https_new(http_base(admin->http), &from->tls, why, why_size);
    if (!https)
        return false;
    fd = socket_listen(from->ssl_ip, (uint16_t)from->ssl_port, BACKLOG);
    if (fd >= 0)
        return http_listen(admin->http, kind, fd, NULL, https);
    https_free(https);
    snprintf(why, why_size, "cannot listen on %s port %u: %s", *from->ssl_ip ? from->ssl_ip : "any address",
             from->ssl_port, strerror(errno));
    return false;
}

/* Beside the data directory, in which there are regular files only: who copies or checks them stumbles over
 * nothing else. */
static int default_path(const struct config *config, char *path, size_t size)
{
    size_t length = strlen(config->data_dir);

    while (length > 1 && config->data_dir[length - 1] == '/')
        length--;
    return snprintf(path, size, "%.*s.control", (int)length, config->data_dir);
}

static bool listen_control(struct admin *admin, char *why, size_t why_size)
{
    const struct config *config = admin->config;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    bool is_asked = *config->control_socket;
    int length, fd;

    if (strcmp(config->control_socket, "none") == 0 || (!is_asked && !*config->data_dir))
        return true;
    length = is_asked ? snprintf(path, sizeof path, "%s", config->control_socket)
                      : default_path(config, path, sizeof path);
    errno = ENAMETOOLONG;
    fd = (size_t)length < sizeof path ? socket_listen_unix(path, CONTROL_MODE, BACKLOG) : -1;
    if (fd >= 0)
        return http_listen(admin->http, HTTP_CONTROL, fd, path, NULL);
    if (!is_asked) {
        log_warning("no control socket %s: %s; see control_socket", path, strerror(errno));
        return true;
    }
    snprintf(why, why_size, "cannot listen on %s: %s", path, strerror(errno));
    return false;
}

static bool open_listeners(struct admin *admin, char *why, size_t why_size)
{
    const struct config *config = admin->config;

    snprintf(why, why_size, "the system refuses what the HTTP API needs");
    return listen_control(admin, why, why_size) &&
           listen_tcp(admin, HTTP_API, &config->management, why, why_size) &&
           listen_tls(admin, HTTP_API, &config->management, why, why_size) &&
           listen_tcp(admin, HTTP_METRICS, &config->prometheus, why, why_size) &&
           listen_tls(admin, HTTP_METRICS, &config->prometheus, why, why_size);
}

/* ---- life ---- */

struct admin *admin_new(struct server *server, const struct config *config, char *why, size_t why_size)
{
    struct admin *admin = xcalloc(1, sizeof *admin);

    snprintf(why, why_size, "the system refuses what the HTTP API needs");
    admin->server = server;
    admin->config = config;
    admin->workers = workers_new();
    admin->stats = stats_new(server, config->statistics_interval_ms);
    api_shovels_init(admin);
    admin->http = http_new(admin);
    if (admin->http && open_listeners(admin, why, why_size))
        return admin;
    admin_free(admin);
    return NULL;
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    http_free(admin->http);
    workers_free(admin->workers);
    stats_free(admin->stats);
    shovels_free(admin->shovels);
    free(admin);
}

static void begin(void *context)
{
    struct admin *admin = context;

    http_print(admin->http);
    if (!http_start(admin->http))
        log_error("no HTTP API: the system refuses a thread");
    api_shovels_begin(admin);
}

static void end(void *context)
{
    struct admin *admin = context;

    shovels_stop(admin->shovels);
    http_stop(admin->http);
    stats_stop(admin->stats);
}

struct server_company admin_company(struct admin *admin)
{
    return (struct server_company){begin, end, admin};
}
