/* SPDX-License-Identifier: Apache-2.0 */
/* trial.h: what a node gives the store, as little as will do. */
#include "trial.h"

#include <stdlib.h>
#include <string.h>

#include "coney/vhost.h"
#include "coney/xalloc.h"

static void drop_output(void *context, struct outbox_chunk *chunks)
{
    (void)context;
    (void)chunks; /* nobody is connected, so there are none */
}

static void some_octets(void *context, void *out, size_t size)
{
    (void)context;
    memset(out, 1, size);
}

static struct vhost *make_vhost(void *context, struct bytes name, struct journal *journal, void **owner)
{
    static const struct vhost_settings settings = {.message_size_max = UINT64_MAX};
    static const struct vhost_ops ops = {.output = drop_output, .random = some_octets};
    struct trial *trial = context;
    struct trial_vhost *made;

    *owner = trial;
    trial->vhosts = xrealloc(trial->vhosts, (trial->count + 1) * sizeof *trial->vhosts);
    made = &trial->vhosts[trial->count++];
    made->journal = journal;
    made->vhost = vhost_new(name, &settings, &ops, journal);
    return made->vhost;
}

static bool take_entry(void *context, struct bytes section, struct bytes vhost, struct bytes name,
                       struct bytes json, char why[STORE_WHY_SIZE])
{
    (void)context;
    (void)section;
    (void)vhost;
    (void)name;
    (void)json;
    (void)why;
    return true;
}

static void post(void *context, void *owner, struct journal *journal)
{
    (void)context;
    (void)owner;
    (void)journal; /* whoever wants answers asks for them */
}

static void failed(void *context, const char *text)
{
    (void)context;
    (void)text; /* nothing is promised */
}

static void disk_full(void *context, bool full)
{
    (void)context;
    (void)full;
}

enum store_result trial_open(struct trial *trial, struct sys *sys, const struct store_settings *settings,
                             char why[STORE_WHY_SIZE])
{
    const struct store_ops ops = {.make_vhost = make_vhost,
                                  .entry = take_entry,
                                  .post = post,
                                  .failed = failed,
                                  .disk_full = disk_full,
                                  .random = some_octets,
                                  .context = trial};

    *trial = (struct trial){0};
    return store_open(sys, settings, &ops, &trial->store, &trial->opened, why);
}

void trial_close(struct trial *trial)
{
    for (size_t i = 0; i < trial->count; i++)
        vhost_free(trial->vhosts[i].vhost);
    free(trial->vhosts);
    store_free(trial->store);
}
