/* SPDX-License-Identifier: Apache-2.0 */
/* storage.h: what a data directory has of definitions' entries, and what of them is gone again. */
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/log.h"
#include "coney/parameters.h"
#include "coney/store.h"
#include "coney/users.h"
#include "desk.h"
#include "server/storage.h"

#define B BYTES_LITERAL

static char folder[] = "/tmp/coney-storage-XXXXXX";

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static void setup(void)
{
    log_set_level(LOG_LEVEL_NONE);
    cr_assert(mkdtemp(folder));
}

static void teardown(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(storage, .init = setup, .fini = teardown, .timeout = 60);

static struct vhost *no_vhost(void *context, struct bytes name)
{
    (void)context;
    (void)name;
    return NULL;
}

/* What the folder opens to: the users, or NULL with WHY. */
static struct users *open_users(struct server *server, char why[SERVER_WHY_SIZE])
{
    struct users *users = users_new(NULL, 0);
    const struct definitions_target target = {.users = users, .find_vhost = no_vhost};
    bool is_new;

    server->users = users;
    server->parameters = parameters_new();
    if (storage_open(server, &target, &is_new, why) == SERVER_STARTED)
        return users;
    users_free(users);
    return NULL;
}

static void put(struct server *server, const char *section, const char *name, const char *json)
{
    storage_keep(server, bytes_from_string(section), B(""), bytes_from_string(name), bytes_from_string(json));
}

Test(storage, an_entry_that_is_gone_is_forgotten)
{
    struct config config = {.data_dir = folder, .journal_window = 16 << 20, .memory_window = 1 << 20};
    char why[SERVER_WHY_SIZE] = "";
    struct user_info info;

    for (int start = 0; start < 3; start++) {
        struct server server = {.config = &config};
        struct users *users = open_users(&server, why);

        cr_assert(users, "%s", why);
        cr_expect_eq(users_count(users), start ? 1 : 0);
        cr_expect_str_eq(server.kept_cluster_name, start == 2 ? "again" : "");
        if (start == 0) {
            put(&server, "users", "kept", "{\"name\":\"kept\",\"tags\":[]}");
            put(&server, "users", "gone", "{\"name\":\"gone\",\"tags\":[]}");
            put(&server, "global_parameters", "cluster_name", "{\"name\":\"cluster_name\",\"value\":\"c\"}");
            put(&server, "users", "gone", "");
            put(&server, "users", "never there", "");
            put(&server, "permissions", "gone", "");
            put(&server, "global_parameters", "cluster_name", "");
        } else {
            cr_expect(users_get(users, B("kept"), &info));
            user_info_free(&info);
            put(&server, "global_parameters", "cluster_name",
                "{\"name\":\"cluster_name\",\"value\":\"again\"}");
        }
        storage_finish(&server);
        storage_close(&server);
        users_free(users);
        parameters_free(server.parameters);
    }
}
