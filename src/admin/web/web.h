/* SPDX-License-Identifier: Apache-2.0 */
/* web.h: the operator's web page, as it was built into the program.
 *
 * The files are those of src/admin/web/, put into a table by src/admin/web/embed when coneyd is built.
 * Nothing here is ever allocated, freed or changed, so that any thread may look at any time. */
#ifndef CONEY_ADMIN_WEB_H
#define CONEY_ADMIN_WEB_H

#include <stddef.h>

/* What the page may do, to be sent as Content-Security-Policy with each file: talk to where it came from, and
 * nothing else. The page is written for it: there is no inline script or style. */
#define WEB_CONTENT_SECURITY_POLICY                                                                       \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* Names of files stay the same when their content changes, so a browser must ask each time (the entity tag
 * makes the answer a 304). To be sent as Cache-Control. */
#define WEB_CACHE_CONTROL "no-cache"

/* One file. The two encodings are two representations, and so have an entity tag each; an answer that chooses
 * between them says "Vary: Accept-Encoding". */
struct web_file {
    const char *path;            /* as in a URL, "/js/app.js" */
    const char *type;            /* Content-Type, with charset where it is text */
    const char *etag;            /* strong entity tag of octets, quotes included */
    const char *gzip_etag;       /* that of gzip */
    const unsigned char *octets; /* not terminated */
    const unsigned char *gzip; /* the same for "Content-Encoding: gzip"; NULL if that would not be smaller */
    size_t octets_len;
    size_t gzip_len; /* 0 if gzip is NULL */
};

/* The file for PATH, the decoded path of a request below the prefix of management.path_prefix; "/" is the
 * page itself. NULL: there is none. */
const struct web_file *web_find(const char *path);

#endif
