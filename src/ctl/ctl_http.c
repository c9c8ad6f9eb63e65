/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client: libcurl on a UNIX socket or a URL. Nothing of libcurl is touched before the first request,
 * so that help and version cost nothing. */
#include "ctl_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "coney/buffer.h"
#include "coney/xalloc.h"

/* The second is where a broker puts it that is told of a data directory alone. */
#define DEFAULT_SOCKET  "/run/coney/control"
#define OTHER_SOCKET    "/var/lib/coney.control"
#define CONNECT_SECONDS 10L
#define REQUEST_SECONDS 120.0

/* Where requests go: a UNIX socket's path or a URL that may hold user and password. */
struct http_target {
    const char *socket, *url;
    const char *cacert, *cert, *key;
    bool is_insecure, is_any_host;
    const char *user, *password;
};

struct http {
    struct http_target target;
    CURL *curl;
    char *base; /* without the path */
    char error[CURL_ERROR_SIZE];
};

/* One request on its way. */
struct exchange {
    const char *method, *path;
    const char *body;
    size_t body_size;
    const char *reason;          /* header X-Reason, or NULL */
    const char *user, *password; /* instead of the target's */
    bool has_no_limit;           /* may take as long as it takes */
    bool may_fail;               /* status 0 when the broker is not reached */
    size_t (*receive)(char *data, size_t one, size_t size, void *context);
    void *context;
};

/* --- where to ------------------------------------------------------------------------------------------- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static struct http_target choose_target(struct ctl *ctl)
{
    struct http_target target = {
        .socket = option(ctl, "socket"),
        .url = option(ctl, "url"),
        .cacert = option(ctl, "cacert"),
        .cert = option(ctl, "cert"),
        .key = option(ctl, "key"),
        .is_insecure = has_option(ctl, "insecure"),
        .is_any_host = has_option(ctl, "any-host"),
        .user = option(ctl, "username"),
        .password = option(ctl, "password"),
    };

    if (target.socket && target.url)
        die(EX_USAGE, "--socket and --url exclude each other: give the one that leads to the broker");
    if (!target.socket && !target.url) {
        target.url = environment("CONEY_URL");
        target.socket = target.url ? NULL : environment("CONEY_SOCKET");
    }
    if (!target.socket && !target.url)
        target.socket = access(DEFAULT_SOCKET, F_OK) == 0 || access(OTHER_SOCKET, F_OK) != 0 ? DEFAULT_SOCKET
                                                                                             : OTHER_SOCKET;
    return target;
}

static struct http *http_of(struct ctl *ctl)
{
    struct http *http;
    size_t size;

    if (ctl->http)
        return ctl->http;
    http = xcalloc(1, sizeof *http);
    http->target = choose_target(ctl);
    http->base = xstrdup(http->target.socket ? "http://localhost" : http->target.url);
    if (http->target.url && !strstr(http->base, "://"))
        die(EX_USAGE, "%s is no URL: write http://user:password@host:15672 or https://...", http->base);
    for (size = strlen(http->base); size > 0 && http->base[size - 1] == '/'; size--)
        http->base[size - 1] = '\0';
    ctl->http = http;
    return http;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    if (http->curl) {
        curl_easy_cleanup(http->curl);
        curl_global_cleanup();
    }
    free(http->base);
    free(http);
}

/* Without the password that a URL may hold. */
const char *http_target_name(struct ctl *ctl)
{
    struct http *http = http_of(ctl);
    const char *scheme_end, *at;

    if (http->target.socket)
        return http->target.socket;
    scheme_end = strstr(http->base, "://") + 3;
    at = strrchr(http->base, '@');
    if (!at)
        return http->base;
    return text(ctl, "%.*s%s", (int)(scheme_end - http->base), http->base, at + 1);
}

bool http_is_local(struct ctl *ctl)
{
    return http_of(ctl)->target.socket != NULL;
}

/* --- paths ---------------------------------------------------------------------------------------------- */

static size_t encode(char *to, const char *from)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t size = 0;

    for (; *from; from++) {
        if (strchr(plain, *from))
            to[size++] = *from;
        else
            size += (size_t)sprintf(to + size, "%%%02X", (unsigned char)*from);
    }
    to[size] = '\0';
    return size;
}

char *percent_encoded(struct ctl *ctl, const char *raw)
{
    char *encoded = arena_alloc(&ctl->memory, strlen(raw) * 3 + 1);

    encode(encoded, raw);
    return encoded;
}

char *api_path(struct ctl *ctl, const char *format, ...)
{
    struct buffer path = {0};
    va_list values;
    char *made;

    va_start(values, format);
    for (; *format; format++) {
        if (format[0] == '%' && format[1] == 's') {
            const char *value = percent_encoded(ctl, va_arg(values, const char *));

            buffer_append(&path, value, strlen(value));
            format++;
        } else {
            buffer_append(&path, format, 1);
        }
    }
    va_end(values);
    made = text(ctl, "%.*s", (int)path.size, (const char *)path.data);
    buffer_free(&path);
    return made;
}

/* --- requests ------------------------------------------------------------------------------------------- */

static size_t collect(char *data, size_t one, size_t size, void *context)
{
    buffer_append(context, data, one * size);
    return one * size;
}

static void set_target(CURL *curl, const struct http_target *target)
{
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    if (target->socket) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, target->socket);
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
        return;
    }
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_CAINFO, target->cacert);
    curl_easy_setopt(curl, CURLOPT_SSLCERT, target->cert);
    curl_easy_setopt(curl, CURLOPT_SSLKEY, target->key);
    if (target->is_insecure)
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    if (target->is_insecure || target->is_any_host)
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
}

/* Who asks: those named, else the URL's, else .netrc's. */
static void set_login(CURL *curl, const struct http_target *target, const struct exchange *exchange)
{
    const char *user = exchange->user ? exchange->user : target->user;
    const char *password = exchange->user ? exchange->password : target->password;

    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(curl, CURLOPT_NETRC,
                     (long)(target->socket || user ? CURL_NETRC_IGNORED : CURL_NETRC_OPTIONAL));
    curl_easy_setopt(curl, CURLOPT_USERNAME, user);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, password);
}

/* The text for a broker that was not reached; ends the program. */
static void die_unreached(struct ctl *ctl, const struct http *http, CURLcode code)
{
    const char *what = *http->error ? http->error : curl_easy_strerror(code);
    const char *name = http_target_name(ctl);
    const char *node = ctl->node ? ctl->node : name;
    long system_error = 0;

    /* libcurl speaks of a port even where there is none. */
    curl_easy_getinfo(http->curl, CURLINFO_OS_ERRNO, &system_error);
    if (http->target.socket && code == CURLE_COULDNT_CONNECT && system_error != 0)
        what = strerror((int)system_error);

    fflush(stdout);
    if (ctl->tool == TOOL_ADMIN) {
        fprintf(stderr, "*** Could not connect: %s: %s\n\n", name, what);
        exit(1);
    }
    if (code == CURLE_OPERATION_TIMEDOUT && ctl->timeout_s > 0) {
        fprintf(stderr, "Error: operation %s on node %s timed out. Timeout value used: %.0f\n",
                ctl->verb->name, node, ctl->timeout_s * 1000);
        exit(EX_TEMPFAIL);
    }
    fprintf(stderr,
            "Error: unable to perform an operation on node '%s'. Please see diagnostics information and "
            "suggestions "
            "below.\n\n%s: %s\n\n",
            node, name, what);
    if (http->target.socket)
        fprintf(stderr, " * Is coneyd running? systemctl status coney\n"
                        " * Another socket is named by --socket PATH or $CONEY_SOCKET; root and the broker's "
                        "own user may "
                        "use it\n"
                        " * Another machine's broker: --url http://USER:PASSWORD@HOST:15672 or $CONEY_URL\n");
    else
        fprintf(stderr,
                " * Is the address right, and does management.tcp.ip listen there?\n"
                " * TLS: name the authority with --cacert FILE; --insecure looks at no certificate\n");
    exit(EX_UNAVAILABLE);
}

/* A header that holds VALUE, which may come from anywhere: it stays on its line. */
static const char *header_line(struct ctl *ctl, const char *name, const char *value)
{
    char *line = text(ctl, "%s: %s", name, value);

    for (char *at = line; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
    return line;
}

static long perform(struct ctl *ctl, const struct exchange *exchange)
{
    struct http *http = http_of(ctl);
    struct curl_slist *headers = NULL;
    double limit = ctl->timeout_s > 0 ? ctl->timeout_s : exchange->has_no_limit ? 0 : REQUEST_SECONDS;
    CURLcode code;
    long status = 0;
    CURL *curl;

    if (!http->curl) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        http->curl = curl_easy_init();
    }
    curl = http->curl;
    curl_easy_reset(curl);
    set_target(curl, &http->target);
    set_login(curl, &http->target, exchange);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->error);
    curl_easy_setopt(curl, CURLOPT_URL,
                     text(ctl, "%s%s%s", http->base, *exchange->path == '/' ? "/api" : "/", exchange->path));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(limit * 1000));
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, exchange->method);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, exchange->receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange->context);
    if (exchange->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, exchange->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body_size);
        headers = curl_slist_append(headers, "content-type: application/json");
        headers = curl_slist_append(headers, "expect:");
    }
    if (exchange->reason)
        headers = curl_slist_append(headers, header_line(ctl, "X-Reason", exchange->reason));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK && code != CURLE_WRITE_ERROR && exchange->may_fail)
        return 0;
    if (code != CURLE_OK && code != CURLE_WRITE_ERROR)
        die_unreached(ctl, http, code);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* RECEIVED is taken over. */
static struct answer answer_of(long status, struct buffer *received)
{
    struct answer answer = {.status = status};

    buffer_append(received, "", 1);
    answer.body = (char *)received->data;
    answer.size = received->size - 1;
    answer.json = json_loadb(answer.body, answer.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    return answer;
}

static struct answer collect_answer(struct ctl *ctl, struct exchange exchange)
{
    struct buffer received = {0};
    long status;

    exchange.receive = collect;
    exchange.context = &received;
    status = perform(ctl, &exchange);
    return answer_of(status, &received);
}

struct answer http_call(struct ctl *ctl, const char *method, const char *path, json_t *body)
{
    char *shown = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    struct exchange exchange = {.method = method, .path = path, .body = shown};
    struct answer answer;

    exchange.body_size = shown ? strlen(shown) : 0;
    json_decref(body);
    answer = collect_answer(ctl, exchange);
    free(shown);
    return answer;
}

struct answer http_send(struct ctl *ctl, const char *method, const char *path, const char *body, size_t size,
                        const char *reason)
{
    struct exchange exchange = {.method = method,
                                .path = path,
                                .body = body,
                                .body_size = size,
                                .reason = reason,
                                .has_no_limit = true};

    return collect_answer(ctl, exchange);
}

struct answer http_call_as(struct ctl *ctl, const char *path, const char *user, const char *password)
{
    struct exchange exchange = {.method = "GET", .path = path, .user = user, .password = password};

    return collect_answer(ctl, exchange);
}

struct answer http_try(struct ctl *ctl, const char *path)
{
    struct exchange exchange = {.method = "GET", .path = path, .may_fail = true};

    return collect_answer(ctl, exchange);
}

/* --- lines ---------------------------------------------------------------------------------------------- */

struct line_reader {
    const struct http *http; /* whose status tells the one from the other */
    struct buffer pending;   /* the line's beginning, or an error's body */
    bool (*line)(void *context, const char *text);
    void *context;
};

/* What comes with an error is kept as it is. */
static size_t receive_lines(char *data, size_t one, size_t size, void *context)
{
    struct line_reader *reader = context;
    char *at = data, *end = data + one * size, *newline;
    long status = 0;

    curl_easy_getinfo(reader->http->curl, CURLINFO_RESPONSE_CODE, &status);
    while (status < 300 && (newline = memchr(at, '\n', (size_t)(end - at)))) {
        bool goes_on;

        buffer_append(&reader->pending, at, (size_t)(newline - at));
        buffer_append(&reader->pending, "", 1);
        goes_on = reader->line(reader->context, (const char *)reader->pending.data);
        buffer_clear(&reader->pending);
        if (!goes_on)
            return 0;
        at = newline + 1;
    }
    buffer_append(&reader->pending, at, (size_t)(end - at));
    return one * size;
}

struct answer http_lines(struct ctl *ctl, const char *path, bool (*line)(void *context, const char *text),
                         void *context)
{
    struct line_reader reader = {.http = http_of(ctl), .line = line, .context = context};
    struct exchange exchange = {
        .method = "GET", .path = path, .has_no_limit = true, .receive = receive_lines, .context = &reader};
    struct answer answer = {.status = perform(ctl, &exchange)};

    if (!is_fine(&answer))
        return answer_of(answer.status, &reader.pending);
    if (reader.pending.size > 0) {
        buffer_append(&reader.pending, "", 1);
        line(context, (const char *)reader.pending.data);
    }
    buffer_free(&reader.pending);
    return answer;
}

/* --- answers -------------------------------------------------------------------------------------------- */

void answer_free(struct answer *answer)
{
    free(answer->body);
    json_decref(answer->json);
    *answer = (struct answer){0};
}

bool is_fine(const struct answer *answer)
{
    return answer->status >= 200 && answer->status < 300;
}

/* RabbitMQ escapes some reasons for HTML. */
static void unescape_html(char *reason)
{
    static const struct {
        const char *name, *character;
    } entities[] = {{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}};
    char *to = reason;

    for (const char *from = reason; *from; to++) {
        size_t i;

        for (i = 0; i < sizeof entities / sizeof *entities; i++)
            if (strncmp(from, entities[i].name, strlen(entities[i].name)) == 0)
                break;
        *to = i < sizeof entities / sizeof *entities ? *entities[i].character : *from;
        from += i < sizeof entities / sizeof *entities ? strlen(entities[i].name) : 1;
    }
    *to = '\0';
}

const char *answer_reason(struct ctl *ctl, const struct answer *answer)
{
    json_t *reason = json_object_get(answer->json, "reason");
    char *shown;

    if (json_is_string(reason)) {
        shown = text(ctl, "%s", json_string_value(reason));
        unescape_html(shown);
        return shown;
    }
    if (reason && (shown = json_dumps(reason, JSON_COMPACT | JSON_ENCODE_ANY))) {
        const char *kept = text(ctl, "%s", shown);

        free(shown);
        return kept;
    }
    return text(ctl, "the broker answered %ld", answer->status);
}

int answer_failure(struct ctl *ctl, struct answer *answer)
{
    const char *reason = answer_reason(ctl, answer);
    long status = answer->status;
    bool has_reason = json_object_get(answer->json, "reason") != NULL;

    answer_free(answer);
    if (status == 401 || status == 403)
        return failure(
            EX_NOPERM,
            "%s: %s\nThis takes a user whose tags and permissions allow it: --url "
            "http://USER:PASSWORD@HOST:PORT; `coneyctl set_user_tags USER administrator` makes one",
            http_target_name(ctl), has_reason ? reason : "no user and password were given");
    if (status == 404 && (!has_reason || strcmp(reason, "Not Found") == 0))
        return failure(EX_UNAVAILABLE,
                       "%s does not know this request: is it a broker older than this program?",
                       http_target_name(ctl));
    return failure(EX_UNAVAILABLE, "%s", reason);
}

/* The JSON of an answer to GET PATH, which is given back; without any the program ends. */
static json_t *json_of(struct ctl *ctl, struct answer *answer, const char *path)
{
    json_t *found;

    if (!is_fine(answer))
        exit(answer_failure(ctl, answer));
    if (!answer->json)
        die(EX_PROTOCOL, "%s/api%s: this is not the JSON of a broker's HTTP API; is the port right?",
            http_target_name(ctl), path);
    found = json_incref(answer->json);
    answer_free(answer);
    return found;
}

json_t *http_get(struct ctl *ctl, const char *path)
{
    struct answer answer = http_call(ctl, "GET", path, NULL);

    return json_of(ctl, &answer, path);
}

json_t *http_find(struct ctl *ctl, const char *path)
{
    struct answer answer = http_call(ctl, "GET", path, NULL);

    if (answer.status != 404)
        return json_of(ctl, &answer, path);
    answer_free(&answer);
    return NULL;
}

int http_do(struct ctl *ctl, const char *method, const char *path, json_t *body)
{
    struct answer answer = http_call(ctl, method, path, body);

    if (!is_fine(&answer))
        return answer_failure(ctl, &answer);
    answer_free(&answer);
    return EX_OK;
}
