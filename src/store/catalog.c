/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog's tables and statements: doc/FORMAT.md, "Catalog", says what the columns mean.
 *
 * How it survives a loss of power: SQLite's rollback journal, journal_mode TRUNCATE, synchronous FULL. What a
 * page was is written to catalog.db-journal, and synced together with that file's name, before the page is
 * overwritten; the transaction is done when the journal has been cut to nothing and that is synced. A crash
 * before leaves a journal that the next opening plays back. A small transaction costs four syncs (journal,
 * its record count, the database, the cut), which is nothing as only checkpoints commit. A write-ahead log
 * would save three of them, but its end is where a checksum fails: one flipped bit there would take back
 * committed transactions in silence, while after a commit in this mode all is in one file, and what is wrong
 * with it is reported.
 *
 * Invariants:
 *  - A statement that fails within a transaction ends it (failed): SQLite may have rolled back by itself, and
 *    the rest must not then be committed row by row.
 *  - What is bound to a statement is borrowed for one step; every statement is bound anew each time.
 *  - Nothing read is believed: pages have checksums (catalog_vfs.c), and types and ranges of all columns are
 *    checked.
 *  - Memory: a page cache of 2 MiB; a larger transaction is written to the file before it commits.
 */
#include "catalog.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog_vfs.h"
#include "coney/xalloc.h"

#define TEXT(number)    #number
#define TEXT_OF(number) TEXT(number)
#define APPLICATION_ID  0x434f4e59 /* "CONY" */
#define DAMAGES_MAX     100        /* reported by one check of the pages */

enum statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_PUT_STATE,
    SQL_PUT_ENTRY,
    SQL_REMOVE_ENTRY,
    SQL_PUT_VHOST,
    SQL_PUT_EXCHANGE,
    SQL_REMOVE_EXCHANGE,
    SQL_PUT_QUEUE,
    SQL_PUT_QUEUE_STATE,
    SQL_REMOVE_QUEUE,
    SQL_REMOVE_QUEUE_RUNS,
    SQL_PUT_BINDING,
    SQL_REMOVE_BINDING,
    SQL_PUT_RUN,
    SQL_REMOVE_RUN,
    SQL_READ_STATE,
    SQL_READ_VHOSTS,
    SQL_READ_ENTRIES,
    SQL_READ_EXCHANGES,
    SQL_READ_QUEUES,
    SQL_READ_BINDINGS,
    SQL_READ_RUNS,
    SQL_CHECK,
    STATEMENTS
};

struct catalog {
    sqlite3 *db;
    struct catalog_vfs *vfs;
    char *path;
    sqlite3_stmt *statements[STATEMENTS];
    bool in_transaction;
    int failed; /* the first error of this transaction, which then can only be rolled back */
    char why[CATALOG_WHY_SIZE];
};

/* Secure deletion, on in some builds of SQLite, would write every freed page once more. */
static const char settings[] =
    "PRAGMA page_size = " TEXT_OF(CATALOG_VFS_PAGE) ";"
                                                    "PRAGMA locking_mode = EXCLUSIVE;"
                                                    "PRAGMA journal_mode = TRUNCATE;"
                                                    "PRAGMA synchronous = FULL;"
                                                    "PRAGMA cache_size = -2048;"
                                                    "PRAGMA temp_store = MEMORY;"
                                                    "PRAGMA mmap_size = 0;"
                                                    "PRAGMA secure_delete = OFF;"
                                                    "PRAGMA cell_size_check = ON;"
                                                    "PRAGMA trusted_schema = OFF;";

static const char making[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE node (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL,"
    " journal_first INTEGER NOT NULL, journal_synced INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;"
    "CREATE TABLE vhosts (id INTEGER NOT NULL PRIMARY KEY, name BLOB NOT NULL, lsn INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE entries (section BLOB NOT NULL, vhost BLOB NOT NULL, name BLOB NOT NULL, json BLOB NOT "
    "NULL,"
    " PRIMARY KEY (section, vhost, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE exchanges (vhost INTEGER NOT NULL, name BLOB NOT NULL, lsn INTEGER NOT NULL,"
    " type BLOB NOT NULL, arguments BLOB NOT NULL, auto_delete INTEGER NOT NULL, internal INTEGER NOT NULL,"
    " PRIMARY KEY (vhost, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE queues (vhost INTEGER NOT NULL, id INTEGER NOT NULL, name BLOB NOT NULL,"
    " arguments BLOB NOT NULL, auto_delete INTEGER NOT NULL, state BLOB NOT NULL,"
    " PRIMARY KEY (vhost, id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE bindings (vhost INTEGER NOT NULL, source BLOB NOT NULL, to_exchange INTEGER NOT NULL,"
    " destination BLOB NOT NULL, routing_key BLOB NOT NULL, arguments BLOB NOT NULL, lsn INTEGER NOT NULL,"
    " PRIMARY KEY (vhost, source, to_exchange, destination, routing_key, arguments)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE runs (vhost INTEGER NOT NULL, queue INTEGER NOT NULL, level INTEGER NOT NULL,"
    " first INTEGER NOT NULL, span INTEGER NOT NULL, next_deadline INTEGER NOT NULL, file INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, size INTEGER NOT NULL, live_octets INTEGER NOT NULL, live BLOB NOT NULL,"
    " PRIMARY KEY (vhost, queue, level, first)) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = " TEXT_OF(APPLICATION_ID) ";"
                                                       "PRAGMA user_version = " TEXT_OF(
                                                           CATALOG_VERSION) ";"
                                                                            "COMMIT";

/* Of version 1. */
static const char upgrading[] = "BEGIN IMMEDIATE;"
                                "ALTER TABLE node ADD COLUMN journal_synced INTEGER NOT NULL DEFAULT 0;"
                                "PRAGMA user_version = " TEXT_OF(CATALOG_VERSION) ";"
                                                                                  "COMMIT";

static const char *const statement_texts[STATEMENTS] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_PUT_STATE] = "REPLACE INTO node (one, epoch, journal_first, journal_synced)"
                      " VALUES (1, ?, ?, ?)",
    [SQL_PUT_ENTRY] = "REPLACE INTO entries (section, vhost, name, json) VALUES (?, ?, ?, ?)",
    [SQL_REMOVE_ENTRY] = "DELETE FROM entries WHERE section = ? AND vhost = ? AND name = ?",
    [SQL_PUT_VHOST] = "REPLACE INTO vhosts (id, name, lsn) VALUES (?, ?, ?)",
    [SQL_PUT_EXCHANGE] =
        "INSERT INTO exchanges (vhost, name, lsn, type, arguments, auto_delete, internal)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (vhost, name) DO UPDATE SET lsn = excluded.lsn,"
        " type = excluded.type, arguments = excluded.arguments, auto_delete = excluded.auto_delete,"
        " internal = excluded.internal WHERE excluded.lsn >= exchanges.lsn",
    [SQL_REMOVE_EXCHANGE] = "DELETE FROM exchanges WHERE vhost = ? AND name = ? AND lsn < ?",
    [SQL_PUT_QUEUE] = "REPLACE INTO queues (vhost, id, name, arguments, auto_delete, state)"
                      " VALUES (?, ?, ?, ?, ?, ?)",
    [SQL_PUT_QUEUE_STATE] = "UPDATE queues SET state = ?3 WHERE vhost = ?1 AND id = ?2",
    [SQL_REMOVE_QUEUE] = "DELETE FROM queues WHERE vhost = ? AND id = ?",
    [SQL_REMOVE_QUEUE_RUNS] = "DELETE FROM runs WHERE vhost = ? AND queue = ?",
    [SQL_PUT_BINDING] =
        "INSERT INTO bindings (vhost, source, to_exchange, destination, routing_key, arguments, lsn)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (vhost, source, to_exchange, destination, routing_key, arguments)"
        " DO UPDATE SET lsn = excluded.lsn WHERE excluded.lsn > bindings.lsn",
    [SQL_REMOVE_BINDING] = "DELETE FROM bindings WHERE vhost = ? AND source = ? AND to_exchange = ?"
                           " AND destination = ? AND routing_key = ? AND arguments = ? AND lsn < ?",
    [SQL_PUT_RUN] = "REPLACE INTO runs (vhost, queue, level, first, span, next_deadline, file, offset, size,"
                    " live_octets, live) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_REMOVE_RUN] = "DELETE FROM runs WHERE vhost = ? AND queue = ? AND level = ? AND first = ?",
    [SQL_READ_STATE] = "SELECT epoch, journal_first, journal_synced FROM node",
    [SQL_READ_VHOSTS] = "SELECT id, name, lsn FROM vhosts ORDER BY id",
    [SQL_READ_ENTRIES] = "SELECT section, vhost, name, json FROM entries ORDER BY section, vhost, name",
    [SQL_READ_EXCHANGES] = "SELECT vhost, lsn, name, type, arguments, auto_delete, internal FROM exchanges"
                           " ORDER BY vhost, name",
    [SQL_READ_QUEUES] =
        "SELECT vhost, id, name, arguments, auto_delete, state FROM queues ORDER BY vhost, id",
    [SQL_READ_BINDINGS] = "SELECT vhost, lsn, to_exchange, source, destination, routing_key, arguments"
                          " FROM bindings"
                          " ORDER BY vhost, source, to_exchange, destination, routing_key, arguments",
    [SQL_READ_RUNS] =
        "SELECT vhost, queue, level, first, span, next_deadline, file, offset, size, live_octets,"
        " live FROM runs ORDER BY vhost, queue, level, first",
    [SQL_CHECK] = "PRAGMA integrity_check(" TEXT_OF(DAMAGES_MAX) ")",
};

/* ---- errors ---- */

/* Say what is wrong in words, and return ERROR. */
static int refuse(struct catalog *catalog, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct catalog *catalog, int error, const char *format, ...)
{
    int used = snprintf(catalog->why, sizeof catalog->why, "%s: ", catalog->path);
    va_list arguments;

    if (used >= (int)sizeof catalog->why)
        return error;
    va_start(arguments, format);
    vsnprintf(catalog->why + used, sizeof catalog->why - (size_t)used, format, arguments);
    va_end(arguments);
    return error;
}

/* Take over what SQLite's CODE, of the call just made, means. */
static int refuse_code(struct catalog *catalog, int code)
{
    int system = catalog_vfs_error(catalog->vfs);
    const char *text = catalog->db ? sqlite3_errmsg(catalog->db) : sqlite3_errstr(code);

    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return refuse(catalog, -EBADMSG, "near offset %ju: %s",
                      (uintmax_t)catalog_vfs_last_read(catalog->vfs), text);
    case SQLITE_FULL:
        return refuse(catalog, -ENOSPC, "%s", text);
    case SQLITE_NOMEM:
        return refuse(catalog, -ENOMEM, "%s", text);
    case SQLITE_IOERR:
        if (code == SQLITE_IOERR_DATA)
            return refuse(catalog, -EBADMSG, "the page at offset %ju is damaged",
                          (uintmax_t)catalog_vfs_last_read(catalog->vfs));
        if (code == SQLITE_IOERR_SHORT_READ)
            return refuse(catalog, -EBADMSG, "ends too early, at offset %ju or before",
                          (uintmax_t)catalog_vfs_last_read(catalog->vfs));
        break;
    }
    return system ? refuse(catalog, system, "%s (%s)", text, strerrordesc_np(-system))
                  : refuse(catalog, -EIO, "%s", text);
}

const char *catalog_why(const struct catalog *catalog)
{
    return catalog->why;
}

/* ---- opening ---- */

static int run_script(struct catalog *catalog, const char *sql)
{
    int code;

    catalog_vfs_forget_error(catalog->vfs);
    code = sqlite3_exec(catalog->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : refuse_code(catalog, code);
}

/* Ask for the one number that is SQL's answer. */
static int ask(struct catalog *catalog, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    int error = 0;
    int code;

    catalog_vfs_forget_error(catalog->vfs);
    code = sqlite3_prepare_v2(catalog->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    else
        error = refuse_code(catalog, code);
    sqlite3_finalize(statement);
    return error;
}

/* Make the tables in a file that has none, or what an older version lacks; a file of somebody else's or of a
 * version to come is left alone. */
static int make_or_recognize(struct catalog *catalog)
{
    int64_t application = 0, version = 0, tables = 0;
    int error = ask(catalog, "PRAGMA application_id", &application);

    if (!error)
        error = ask(catalog, "PRAGMA user_version", &version);
    if (!error)
        error = ask(catalog, "SELECT count(*) FROM sqlite_schema", &tables);
    if (error)
        return error;
    if (application == 0 && version == 0 && tables == 0)
        return run_script(catalog, making);
    if (application != APPLICATION_ID)
        return refuse(catalog, -EBADMSG, "is no catalog of coney's");
    if (version == 1)
        return run_script(catalog, upgrading);
    if (version != CATALOG_VERSION)
        return refuse(catalog, -ENOTSUP, "has format version %lld, this coney knows version %d",
                      (long long)version, CATALOG_VERSION);
    return 0;
}

/* A statement that does not fit the file means that a table is not what it should be. */
static int prepare_statements(struct catalog *catalog)
{
    catalog_vfs_forget_error(catalog->vfs);
    for (unsigned i = 0; i < STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(catalog->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &catalog->statements[i], NULL);

        if ((code & 0xff) == SQLITE_ERROR)
            return refuse(catalog, -EBADMSG, "%s", sqlite3_errmsg(catalog->db));
        if (code != SQLITE_OK)
            return refuse_code(catalog, code);
    }
    return 0;
}

static int open_file(struct catalog *catalog, bool *is_new)
{
    int64_t states = 0;
    int code = sqlite3_open_v2(catalog->path, &catalog->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                   SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE,
                               catalog_vfs_name(catalog->vfs));
    int error = code == SQLITE_OK ? 0 : refuse_code(catalog, code);
    int reserved = CATALOG_VFS_RESERVED;

    if (!error) /* matters to a new file alone; others say it in their header */
        sqlite3_file_control(catalog->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    if (!error)
        error = run_script(catalog, settings);
    if (!error)
        error = make_or_recognize(catalog);
    if (!error)
        error = prepare_statements(catalog);
    if (!error)
        error = ask(catalog, "SELECT count(*) FROM node", &states);
    *is_new = states == 0;
    return error;
}

int catalog_open(struct sys *sys, const char *folder, struct catalog **opened, bool *is_new,
                 char why[CATALOG_WHY_SIZE])
{
    struct catalog *catalog = xcalloc(1, sizeof *catalog);
    int error;

    *opened = NULL;
    if (asprintf(&catalog->path, "%s/catalog.db", folder) < 0)
        abort(); /* as xmalloc() does */
    catalog->vfs = catalog_vfs_new(sys, folder);
    error = catalog->vfs ? open_file(catalog, is_new) : refuse(catalog, -ENOMEM, "cannot register a VFS");
    if (error) {
        memcpy(why, catalog->why, CATALOG_WHY_SIZE);
        catalog_close(catalog);
        return error;
    }
    *opened = catalog;
    return 0;
}

void catalog_close(struct catalog *catalog)
{
    if (!catalog)
        return;
    for (unsigned i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(catalog->statements[i]);
    sqlite3_close(catalog->db);
    catalog_vfs_free(catalog->vfs);
    free(catalog->path);
    free(catalog);
}

/* ---- changing ---- */

/* What is bound to a statement: a number or octets. */
struct value {
    struct bytes octets;
    uint64_t number;
    bool is_octets;
};

#define OCTETS(bytes)                        \
    {                                        \
        .octets = (bytes), .is_octets = true \
    }
#define NUMBER(value)     \
    {                     \
        .number = (value) \
    }
#define CHANGE(catalog, which, ...)                             \
    change(catalog, which, (const struct value[]){__VA_ARGS__}, \
           (int)(sizeof((const struct value[]){__VA_ARGS__}) / sizeof(struct value)))

static int bind_values(sqlite3_stmt *statement, const struct value *values, int count)
{
    int code = SQLITE_OK;

    assert(count == sqlite3_bind_parameter_count(statement));
    for (int i = 0; i < count && code == SQLITE_OK; i++)
        if (values[i].is_octets)
            code = sqlite3_bind_blob64(statement, i + 1, /* without octets too it must not be NULL */
                                       values[i].octets.size ? (const void *)values[i].octets.data : "",
                                       values[i].octets.size, SQLITE_STATIC);
        else
            code = sqlite3_bind_int64(statement, i + 1, (sqlite3_int64)values[i].number);
    return code;
}

static int change(struct catalog *catalog, enum statement which, const struct value *values, int count)
{
    sqlite3_stmt *statement = catalog->statements[which];
    int code;

    if (!catalog->in_transaction)
        return refuse(catalog, -EINVAL, "no transaction was begun");
    if (catalog->failed)
        return catalog->failed;
    catalog_vfs_forget_error(catalog->vfs);
    code = bind_values(statement, values, count);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_DONE)
        catalog->failed = refuse_code(catalog, code);
    sqlite3_reset(statement);
    return catalog->failed;
}

/* Run each of COUNT statements that remove what belongs to the thing with this key. */
static int change_each(struct catalog *catalog, const enum statement *which, size_t statements,
                       const struct value *key, int count)
{
    int error = 0;

    for (size_t i = 0; i < statements && !error; i++)
        error = change(catalog, which[i], key, count);
    return error;
}

int catalog_begin(struct catalog *catalog)
{
    int error;

    if (catalog->in_transaction)
        return refuse(catalog, -EINVAL, "a transaction was begun already");
    catalog->in_transaction = true;
    error = change(catalog, SQL_BEGIN, NULL, 0);
    if (error)
        catalog_rollback(catalog);
    return error;
}

int catalog_commit(struct catalog *catalog)
{
    int error = change(catalog, SQL_COMMIT, NULL, 0);

    catalog_rollback(catalog); /* what could not be committed; else it only ends the transaction here */
    return error;
}

/* What cannot be rolled back now is so from the journal, before the file is read again. */
void catalog_rollback(struct catalog *catalog)
{
    if (!sqlite3_get_autocommit(catalog->db)) {
        sqlite3_step(catalog->statements[SQL_ROLLBACK]);
        sqlite3_reset(catalog->statements[SQL_ROLLBACK]);
    }
    catalog->in_transaction = false;
    catalog->failed = 0;
}

int catalog_put_state(struct catalog *catalog, const struct catalog_state *state)
{
    return CHANGE(catalog, SQL_PUT_STATE, NUMBER(state->epoch), NUMBER(state->journal_first),
                  NUMBER(state->journal_synced));
}

int catalog_put_entry(struct catalog *catalog, const struct catalog_entry *entry)
{
    return CHANGE(catalog, SQL_PUT_ENTRY, OCTETS(entry->section), OCTETS(entry->vhost), OCTETS(entry->name),
                  OCTETS(entry->json));
}

int catalog_remove_entry(struct catalog *catalog, const struct catalog_entry *entry)
{
    return CHANGE(catalog, SQL_REMOVE_ENTRY, OCTETS(entry->section), OCTETS(entry->vhost),
                  OCTETS(entry->name));
}

int catalog_put_vhost(struct catalog *catalog, const struct catalog_vhost *vhost)
{
    return CHANGE(catalog, SQL_PUT_VHOST, NUMBER(vhost->id), OCTETS(vhost->name), NUMBER(vhost->lsn));
}

int catalog_put_exchange(struct catalog *catalog, const struct catalog_exchange *exchange)
{
    return CHANGE(catalog, SQL_PUT_EXCHANGE, NUMBER(exchange->vhost), OCTETS(exchange->name),
                  NUMBER(exchange->lsn), OCTETS(exchange->type), OCTETS(exchange->arguments),
                  NUMBER(exchange->auto_delete), NUMBER(exchange->internal));
}

int catalog_remove_exchange(struct catalog *catalog, uint32_t vhost, struct bytes name, uint64_t lsn)
{
    return CHANGE(catalog, SQL_REMOVE_EXCHANGE, NUMBER(vhost), OCTETS(name), NUMBER(lsn));
}

int catalog_put_queue(struct catalog *catalog, const struct catalog_queue *queue)
{
    return CHANGE(catalog, SQL_PUT_QUEUE, NUMBER(queue->vhost), NUMBER(queue->id), OCTETS(queue->name),
                  OCTETS(queue->arguments), NUMBER(queue->auto_delete), OCTETS(queue->state));
}

int catalog_put_queue_state(struct catalog *catalog, uint32_t vhost, uint64_t id, struct bytes state)
{
    return CHANGE(catalog, SQL_PUT_QUEUE_STATE, NUMBER(vhost), NUMBER(id), OCTETS(state));
}

int catalog_remove_queue(struct catalog *catalog, uint32_t vhost, uint64_t id)
{
    static const enum statement statements[] = {SQL_REMOVE_QUEUE_RUNS, SQL_REMOVE_QUEUE};

    return change_each(catalog, statements, sizeof statements / sizeof *statements,
                       (const struct value[]){NUMBER(vhost), NUMBER(id)}, 2);
}

int catalog_put_binding(struct catalog *catalog, const struct catalog_binding *binding)
{
    return CHANGE(catalog, SQL_PUT_BINDING, NUMBER(binding->vhost), OCTETS(binding->source),
                  NUMBER(binding->to_exchange), OCTETS(binding->destination), OCTETS(binding->routing_key),
                  OCTETS(binding->arguments), NUMBER(binding->lsn));
}

int catalog_remove_binding(struct catalog *catalog, const struct catalog_binding *binding)
{
    return CHANGE(catalog, SQL_REMOVE_BINDING, NUMBER(binding->vhost), OCTETS(binding->source),
                  NUMBER(binding->to_exchange), OCTETS(binding->destination), OCTETS(binding->routing_key),
                  OCTETS(binding->arguments), NUMBER(binding->lsn));
}

int catalog_put_run(struct catalog *catalog, const struct catalog_run *run)
{
    return CHANGE(catalog, SQL_PUT_RUN, NUMBER(run->vhost), NUMBER(run->queue), NUMBER(run->level),
                  NUMBER(run->first), NUMBER(run->span), NUMBER(run->next_deadline), NUMBER(run->place.file),
                  NUMBER(run->place.offset), NUMBER(run->place.size), NUMBER(run->live_octets),
                  OCTETS(run->live));
}

int catalog_remove_run(struct catalog *catalog, uint32_t vhost, uint64_t queue, uint8_t level, uint64_t first)
{
    return CHANGE(catalog, SQL_REMOVE_RUN, NUMBER(vhost), NUMBER(queue), NUMBER(level), NUMBER(first));
}

/* ---- reading ---- */

/* The row at which a statement stands. */
struct row {
    sqlite3_stmt *statement;
    const char *damage; /* the first column that is not what it should be */
};

static void note_damage(struct row *row, int column)
{
    if (!row->damage)
        row->damage = sqlite3_column_name(row->statement, column);
}

/* Numbers are 64 bits without a sign here, and the same bits with a sign there. */
static uint64_t number(struct row *row, int column, uint64_t max)
{
    uint64_t value = (uint64_t)sqlite3_column_int64(row->statement, column);

    if (sqlite3_column_type(row->statement, column) == SQLITE_INTEGER && value <= max)
        return value;
    note_damage(row, column);
    return 0;
}

static struct bytes octets(struct row *row, int column)
{
    const void *data;

    if (sqlite3_column_type(row->statement, column) != SQLITE_BLOB) {
        note_damage(row, column);
        return (struct bytes){0};
    }
    data = sqlite3_column_blob(row->statement, column);
    return data ? (struct bytes){data, (size_t)sqlite3_column_bytes(row->statement, column)}
                : BYTES_LITERAL("");
}

/* Give what a row says to the reader's function, unless it is damaged; false ends the reading. */
#define GIVE(row, reader, kind, value) \
    ((row)->damage || !(reader)->kind || (reader)->kind((reader)->context, value))

static bool give_state(struct row *row, const struct catalog_reader *reader)
{
    struct catalog_state state = {
        .epoch = number(row, 0, UINT64_MAX),
        .journal_first = number(row, 1, UINT64_MAX),
        .journal_synced = number(row, 2, UINT64_MAX),
    };

    return GIVE(row, reader, state, &state);
}

static bool give_vhost(struct row *row, const struct catalog_reader *reader)
{
    struct catalog_vhost vhost = {
        .id = (uint32_t)number(row, 0, UINT32_MAX),
        .name = octets(row, 1),
        .lsn = number(row, 2, UINT64_MAX),
    };

    return GIVE(row, reader, vhost, &vhost);
}

static bool give_entry(struct row *row, const struct catalog_reader *reader)
{
    struct catalog_entry entry = {
        .section = octets(row, 0),
        .vhost = octets(row, 1),
        .name = octets(row, 2),
        .json = octets(row, 3),
    };

    return GIVE(row, reader, entry, &entry);
}

static bool give_exchange(struct row *row, const struct catalog_reader *reader)
{
    struct catalog_exchange exchange = {
        .vhost = (uint32_t)number(row, 0, UINT32_MAX),
        .lsn = number(row, 1, UINT64_MAX),
        .name = octets(row, 2),
        .type = octets(row, 3),
        .arguments = octets(row, 4),
        .auto_delete = number(row, 5, 1),
        .internal = number(row, 6, 1),
    };

    return GIVE(row, reader, exchange, &exchange);
}

static bool give_queue(struct row *row, const struct catalog_reader *reader)
{
    struct catalog_queue queue = {
        .vhost = (uint32_t)number(row, 0, UINT32_MAX),
        .id = number(row, 1, UINT64_MAX),
        .name = octets(row, 2),
        .arguments = octets(row, 3),
        .auto_delete = number(row, 4, 1),
        .state = octets(row, 5),
    };

    return GIVE(row, reader, queue, &queue);
}

static bool give_binding(struct row *row, const struct catalog_reader *reader)
{
    struct catalog_binding binding = {
        .vhost = (uint32_t)number(row, 0, UINT32_MAX),
        .lsn = number(row, 1, UINT64_MAX),
        .to_exchange = number(row, 2, 1),
        .source = octets(row, 3),
        .destination = octets(row, 4),
        .routing_key = octets(row, 5),
        .arguments = octets(row, 6),
    };

    return GIVE(row, reader, binding, &binding);
}

static bool give_run(struct row *row, const struct catalog_reader *reader)
{
    struct catalog_run run = {
        .vhost = (uint32_t)number(row, 0, UINT32_MAX),
        .queue = number(row, 1, UINT64_MAX),
        .level = (uint8_t)number(row, 2, UINT8_MAX),
        .first = number(row, 3, UINT64_MAX),
        .span = (uint32_t)number(row, 4, UINT32_MAX),
        .next_deadline = number(row, 5, UINT64_MAX),
        .place = {.file = (uint32_t)number(row, 6, UINT32_MAX),
                  .offset = number(row, 7, UINT64_MAX),
                  .size = number(row, 8, UINT64_MAX)},
        .live_octets = number(row, 9, UINT64_MAX),
        .live = octets(row, 10),
    };

    return GIVE(row, reader, run, &run);
}

struct kind {
    const char *name;
    enum statement statement;
    bool (*give)(struct row *row, const struct catalog_reader *reader);
};

static int read_kind(struct catalog *catalog, const struct kind *kind, const struct catalog_reader *reader)
{
    struct row row = {.statement = catalog->statements[kind->statement]};
    bool goes_on = true;
    int error = 0;
    int code = SQLITE_ROW;

    catalog_vfs_forget_error(catalog->vfs);
    while (goes_on && !row.damage && (code = sqlite3_step(row.statement)) == SQLITE_ROW)
        goes_on = kind->give(&row, reader);
    if (!goes_on)
        error = -ECANCELED;
    else if (row.damage)
        error = refuse(catalog, -EBADMSG, "%s of %s is not what it can be", row.damage, kind->name);
    else if (code != SQLITE_DONE)
        error = refuse_code(catalog, code);
    sqlite3_reset(row.statement);
    return error;
}

static const struct kind kinds[] = {
    {"the state", SQL_READ_STATE, give_state},  {"a vhost", SQL_READ_VHOSTS, give_vhost},
    {"an entry", SQL_READ_ENTRIES, give_entry}, {"an exchange", SQL_READ_EXCHANGES, give_exchange},
    {"a queue", SQL_READ_QUEUES, give_queue},   {"a binding", SQL_READ_BINDINGS, give_binding},
    {"a run", SQL_READ_RUNS, give_run},
};
#define KINDS (sizeof kinds / sizeof *kinds)

int catalog_read(struct catalog *catalog, const struct catalog_reader *reader)
{
    const bool wanted[KINDS] = {reader->state, reader->vhost,   reader->entry, reader->exchange,
                                reader->queue, reader->binding, reader->run};
    int error = 0;

    for (size_t i = 0; i < KINDS && !error; i++)
        if (wanted[i])
            error = read_kind(catalog, &kinds[i], reader);
    return error;
}

/* ---- checking ---- */

/* Report what SQLite finds wrong with pages, and with rows against their table. */
static int check_pages(struct catalog *catalog, void (*report)(void *context, const char *text),
                       void *context)
{
    sqlite3_stmt *statement = catalog->statements[SQL_CHECK];
    int error = 0;
    int code;

    catalog_vfs_forget_error(catalog->vfs);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);

        if (text && strcmp(text, "ok") == 0)
            continue;
        error = refuse(catalog, -EBADMSG, "%s", text ? text : "damaged");
        report(context, catalog->why);
    }
    if (code != SQLITE_DONE) {
        error = refuse_code(catalog, code);
        if (error == -EBADMSG)
            report(context, catalog->why);
    }
    sqlite3_reset(statement);
    return error;
}

int catalog_check(struct catalog *catalog, void (*report)(void *context, const char *text), void *context)
{
    static const struct catalog_reader nobody;
    int worst = check_pages(catalog, report, context);

    for (size_t i = 0; i < KINDS && (worst == 0 || worst == -EBADMSG); i++) {
        int error = read_kind(catalog, &kinds[i], &nobody);

        if (error == -EBADMSG)
            report(context, catalog->why);
        if (error)
            worst = error;
    }
    return worst;
}
