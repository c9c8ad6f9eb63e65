/* SPDX-License-Identifier: Apache-2.0 */
/* page.h. */
#include "page.h"

#include <stdio.h>
#include <string.h>

#include "web.h"

static const struct web_file *find_file(const struct request *request)
{
    char path[256] = "/";
    size_t size = 0;

    for (unsigned i = 0; i < request->segment_count; i++) {
        struct bytes segment = request_segment(request, i);

        if (memchr(segment.data, 0, segment.size) || size + segment.size + 2 > sizeof path)
            return NULL;
        path[size] = '/';
        memcpy(path + size + 1, segment.data, segment.size);
        size += segment.size + 1;
        path[size] = 0;
    }
    return web_find(path);
}

static bool takes_gzip(const struct request *request)
{
    return request->accept_encoding && strstr(request->accept_encoding, "gzip");
}

/* The page's own links are relative: at management.path_prefix alone, without the slash, they would lead
 * elsewhere. */
static bool lacks_slash(const struct request *request)
{
    size_t size = strlen(request->path);

    return !request->segment_count && size && request->path[size - 1] != '/';
}

static void add_slash(struct request *request)
{
    char where[512];

    snprintf(where, sizeof where, "%s/", request->path);
    reply_header(request, "location", where);
    reply_empty(request, 301);
}

void page_answer(struct request *request)
{
    const struct web_file *file = find_file(request);
    bool is_gzip = file && file->gzip && takes_gzip(request);

    if (lacks_slash(request)) {
        add_slash(request);
        return;
    }
    if (!file) {
        reply_not_found(request);
        return;
    }
    if (request->verb != VERB_GET) {
        reply_empty(request, 405);
        return;
    }
    reply_header(request, "content-security-policy", WEB_CONTENT_SECURITY_POLICY);
    reply_header(request, "cache-control", WEB_CACHE_CONTROL);
    reply_header(request, "referrer-policy", "no-referrer");
    reply_header(request, "vary", "accept-encoding");
    reply_header(request, "etag", is_gzip ? file->gzip_etag : file->etag);
    if (request->if_none_match &&
        strcmp(request->if_none_match, is_gzip ? file->gzip_etag : file->etag) == 0) {
        reply_empty(request, 304);
        return;
    }
    reply_header(request, "content-type", file->type);
    if (is_gzip)
        reply_header(request, "content-encoding", "gzip");
    evbuffer_add_reference(request->out, is_gzip ? file->gzip : file->octets,
                           is_gzip ? file->gzip_len : file->octets_len, NULL, NULL);
    reply_empty(request, 200);
}
