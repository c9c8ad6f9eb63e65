/* SPDX-License-Identifier: Apache-2.0 */
/* The broker as a whole: from a configuration to a running server and back. */
#ifndef CONEY_SERVER_H
#define CONEY_SERVER_H

#include <stdbool.h>

struct config;
struct config_source;
struct server;

#define SERVER_WHY_SIZE 600

enum server_failure {
    SERVER_STARTED,
    SERVER_BAD_DEFINITIONS,  /* load_definitions cannot be taken */
    SERVER_BAD_CERTIFICATES, /* ssl_options: a file cannot be taken */
    SERVER_CANNOT_LISTEN,    /* an address cannot be bound */
    SERVER_NO_RESOURCES,     /* the system refuses threads or descriptors */
    SERVER_DATA_IN_USE,      /* another process has the data directory */
    SERVER_DATA_DAMAGED,     /* what is in it is not sound, or of a version that is not known */
    SERVER_DATA_UNREADABLE,  /* it cannot be made, read or written */
};

/* Make a server of CONFIG, which must outlive it: users, vhosts, definitions, listeners bound, loops ready.
 * NULL, with *FAILURE and a reason in WHY, when something does not work. */
struct server *server_new(const struct config *config, enum server_failure *failure,
                          char why[SERVER_WHY_SIZE]);

/* Look at the files that CONFIG names, and change nothing. False when REPORT was told that one is missing or
 * does not fit. */
bool server_check_config(const struct config *config, void (*report)(void *context, const char *text),
                         void *context);

/* Before server_run(): where the configuration can be read again, on SIGHUP. SOURCE must outlive the server.
 */
void server_set_source(struct server *server, const struct config_source *source);

/* What runs beside the loops, on threads of its own: begun before "ready" is told, ended when the loops have
 * ended and before the data directory is closed. */
struct server_company {
    void (*begin)(void *context);
    void (*end)(void *context);
    void *context;
};

/* Print "listening amqp ADDRESS" for each listener and "ready" on standard output, and serve until SIGTERM or
 * SIGINT; connections are told 320 and everything is flushed. COMPANY may be NULL. Call once, from the main
 * thread. */
void server_run(struct server *server, const struct server_company *company);

/* After server_run(), or instead of it when something else could not be begun. */
void server_free(struct server *server);

#endif
