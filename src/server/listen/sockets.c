/* SPDX-License-Identifier: Apache-2.0 */
/* coney/sockets.h. */
#include "coney/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool to_address(const char *host, uint16_t port, struct sockaddr_storage *out, socklen_t *size)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *size = sizeof *v4;
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *size = sizeof *v6;
    if (!*host) {
        v6->sin6_addr = in6addr_any;
        return true;
    }
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

/* The wildcard takes IPv4 clients too, as RabbitMQ's does. */
static bool takes_both(const char *host)
{
    return !*host || strcmp(host, "::") == 0;
}

/* Close FD, errno as it is. */
static int give_up(int fd)
{
    int error = errno;

    close(fd);
    errno = error;
    return -1;
}

int socket_listen(const char *host, uint16_t port, unsigned backlog)
{
    const int on = 1, v6_only = !takes_both(host);
    struct sockaddr_storage address;
    socklen_t size;
    int fd;

    if (!to_address(host, port, &address, &size)) {
        errno = EINVAL;
        return -1;
    }
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, (int)backlog) < 0)
        return give_up(fd);
    return fd;
}

/* ---- UNIX sockets ---- */

/* A socket that nobody listens to is left of a broker that has died. */
static bool remove_stale(const struct sockaddr_un *address)
{
    struct stat found;
    bool is_stale;
    int fd;

    if (lstat(address->sun_path, &found) < 0)
        return errno == ENOENT;
    errno = EADDRINUSE;
    if (!S_ISSOCK(found.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    is_stale = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    close(fd);
    errno = EADDRINUSE;
    return is_stale && unlink(address->sun_path) == 0;
}

int socket_listen_unix(const char *path, unsigned mode, unsigned backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (!remove_stale(&address))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, (mode_t)mode) < 0 ||
        listen(fd, (int)backlog) < 0)
        return give_up(fd);
    return fd;
}

bool socket_address(int fd, char host[SOCKET_HOST_SIZE], uint16_t *port)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char digits[8];

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
        (address.ss_family != AF_INET && address.ss_family != AF_INET6) ||
        getnameinfo((struct sockaddr *)&address, size, host, SOCKET_HOST_SIZE, digits, sizeof digits,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    *port = (uint16_t)strtoul(digits, NULL, 10);
    return true;
}

bool socket_text(int fd, char out[SOCKET_TEXT_SIZE])
{
    char host[SOCKET_HOST_SIZE];
    uint16_t port;
    bool v6;

    if (!socket_address(fd, host, &port))
        return false;
    v6 = strchr(host, ':') != NULL;
    snprintf(out, SOCKET_TEXT_SIZE, "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
    return true;
}
