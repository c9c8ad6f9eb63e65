/* SPDX-License-Identifier: Apache-2.0 */
/* journal_seeded.h. Questions of the core wait in a list; saves of a level are answered in order, all else in
 * any. */
#include "journal_seeded.h"

#include <stdlib.h>
#include <string.h>

#include "broker/vhost_fields.h"
#include "coney/xalloc.h"
#include "kept.h"
#include "random.h"

enum question_kind { SAVE, FETCH, LOOK, MOVE };

struct question {
    enum question_kind kind;
    union {
        struct journal_save *save;
        struct journal_fetch *fetch;
        struct journal_look *look;
        struct run *moving;
    };
    struct kept_run *run;       /* a use: where to read */
    struct run_message *copies; /* SAVE: as they were; owned */
    uint64_t *live;             /* MOVE: which; owned */
};

enum checkpoint { NO_CHECKPOINT, SAVING, CAPTURING, COMMITTING };

struct journal_seeded {
    struct journal journal;
    struct kept kept;
    struct random random;
    struct journal_seeded_hooks hooks;
    uint64_t lsn, closed, durable, told; /* closed: of the last record that is not in an open group */
    bool in_group, is_sealed, is_restoring, outlives;
    struct question *questions;
    uint32_t question_count, question_capacity;
    enum checkpoint checkpoint;
    uint32_t checkpoint_era;
    uint64_t captured_lsn;
};

static struct journal_seeded *seeded_of(struct journal *journal)
{
    return (struct journal_seeded *)journal;
}

/* ---- records ---- */

static uint64_t seeded_append(struct journal *journal, const struct journal_record *record)
{
    struct journal_seeded *seeded = seeded_of(journal);

    if (seeded->is_restoring)
        return seeded->lsn;
    if (seeded->is_sealed)
        contradiction("a record of kind %d at the very end", (int)record->kind);
    seeded->lsn++;
    if (!seeded->in_group)
        seeded->closed = seeded->lsn;
    kept_append(&seeded->kept, record, seeded->lsn, journal->era);
    if (record->kind == JOURNAL_ENQUEUE && seeded->hooks.enqueued)
        seeded->hooks.enqueued(seeded->hooks.context, record, seeded->lsn);
    return seeded->lsn;
}

static void seeded_begin(struct journal *journal)
{
    struct journal_seeded *seeded = seeded_of(journal);

    if (seeded->in_group)
        contradiction("a group in a group");
    seeded->in_group = true;
}

static void seeded_commit(struct journal *journal)
{
    struct journal_seeded *seeded = seeded_of(journal);

    if (!seeded->in_group)
        contradiction("the end of no group");
    seeded->in_group = false;
    seeded->closed = seeded->lsn;
}

static void seeded_flush(struct journal *journal, uint64_t used)
{
    (void)used;
    if (seeded_of(journal)->in_group)
        contradiction("a group that goes on from run to run");
}

static uint64_t seeded_durable(const struct journal *journal)
{
    return ((const struct journal_seeded *)journal)->durable;
}

/* ---- questions ---- */

static struct question *ask(struct journal_seeded *seeded, enum question_kind kind, const struct run *run)
{
    struct question *question;

    if (seeded->is_sealed || seeded->is_restoring)
        contradiction("a question of kind %d at the wrong time", (int)kind);
    if (seeded->question_count == seeded->question_capacity) {
        seeded->question_capacity = seeded->question_capacity * 2 + 16;
        seeded->questions = xrealloc(seeded->questions, seeded->question_capacity * sizeof *question);
    }
    question = &seeded->questions[seeded->question_count++];
    *question = (struct question){.kind = kind};
    if (!run)
        return question;
    question->run = kept_run_find(&seeded->kept, run->place.file);
    if (!question->run->is_owned)
        contradiction("a run is read that was dropped");
    question->run->uses++;
    return question;
}

static void seeded_save(struct journal *journal, struct journal_save *save)
{
    struct question *question = ask(seeded_of(journal), SAVE, NULL);

    if (!save->count || save->count > RUN_MESSAGES_MAX || save->from != save->messages[0].number ||
        save->below != save->messages[save->count - 1].number + 1 || save->below - save->from > RUN_SPAN_MAX)
        contradiction("a save of %u messages from %llu to %llu", save->count, (unsigned long long)save->from,
                      (unsigned long long)save->below);
    question->save = save;
    question->copies = xmemdup(save->messages, save->count * sizeof *save->messages);
    for (uint32_t i = 0; i < save->count; i++) {
        if (i && save->messages[i].number <= save->messages[i - 1].number)
            contradiction("a save out of order");
        question->copies[i].message = kept_copy(save->messages[i].message);
    }
}

static void seeded_fetch(struct journal *journal, struct journal_fetch *fetch)
{
    ask(seeded_of(journal), FETCH, fetch->run)->fetch = fetch;
}

static void seeded_look(struct journal *journal, struct journal_look *look)
{
    ask(seeded_of(journal), LOOK, look->run)->look = look;
}

static void seeded_emptied(struct journal *journal, struct run *run)
{
    if (!(run->flags & RUN_LISTED))
        contradiction("a run leaves the catalog that is not there");
    kept_emptied(&seeded_of(journal)->kept, run);
}

static void seeded_drop(struct journal *journal, struct run *run)
{
    if (!(run->flags & RUN_DROPPED) || run->queue || run->flags & (RUN_LOADING | RUN_LOOKING | RUN_MOVING))
        contradiction("a run is dropped while it is in use");
    kept_drop(&seeded_of(journal)->kept, run);
}

static void ask_move(void *context, struct run *run)
{
    struct question *question = ask(context, MOVE, run);

    if (!(run->flags & RUN_MOVING))
        contradiction("a run is moved that is not moving");
    question->moving = run;
    question->live = xmemdup(run_live(run), run_words(run->span) * sizeof(uint64_t));
}

/* ---- answers ---- */

static void answer_save(struct journal_seeded *seeded, struct vhost *vhost, struct question *question,
                        bool failed)
{
    struct journal_save *save = question->save;

    save->failed = failed;
    if (failed)
        for (uint32_t i = 0; i < save->count; i++)
            message_unref(question->copies[i].message);
    else
        save->place =
            kept_run_write(&seeded->kept, save->queue_id, save->level, question->copies, save->count);
    free(question->copies);
    queue_saved(vhost, save);
}

/* Tell whether the run has been written again elsewhere since QUESTION was asked: where it was is a file that
 * is no more. */
static bool is_gone(const struct question *question)
{
    return !question->run->is_owned;
}

static void answer_fetch(struct vhost *vhost, const struct question *question, bool failed)
{
    struct journal_fetch *fetch = question->fetch;
    const struct kept_run *run = question->run;

    fetch->failed = failed || is_gone(question);
    for (uint32_t i = 0; !fetch->failed && i < run->count; i++) {
        uint64_t bit = run->messages[i].number - fetch->run->first;

        if (!run_bit(fetch->wanted, bit))
            continue;
        fetch->messages[fetch->count] = run->messages[i];
        fetch->messages[fetch->count++].message = kept_copy(run->messages[i].message);
    }
    queue_fetched(vhost, fetch);
}

static int by_deadline(const void *a, const void *b)
{
    const struct run_due *one = a, *other = b;

    if (one->deadline != other->deadline)
        return one->deadline < other->deadline ? -1 : 1;
    return one->number < other->number ? -1 : one->number > other->number;
}

static void answer_look(struct vhost *vhost, const struct question *question, bool failed)
{
    struct journal_look *look = question->look;
    const struct kept_run *run = question->run;
    struct run_due *list = xmalloc(run->count * sizeof *list);
    uint32_t count = 0;

    for (uint32_t i = 0; i < run->count; i++)
        if (run->messages[i].deadline != INT64_MAX)
            list[count++] = (struct run_due){run->messages[i].deadline, run->messages[i].number,
                                             run->messages[i].message->body_size};
    qsort(list, count, sizeof *list, by_deadline);
    look->failed = failed || is_gone(question);
    for (uint32_t i = look->from; i < count && look->count < JOURNAL_LOOK_MAX; i++)
        look->due[look->count++] = list[i];
    free(list);
    queue_looked(vhost, look);
}

static void answer_move(struct journal_seeded *seeded, struct vhost *vhost, const struct question *question,
                        bool failed)
{
    const struct kept_run *from = question->run;
    struct run_message *messages = xmalloc(from->count * sizeof *messages);
    struct run *run = question->moving;
    uint32_t old = run->place.file, count = 0;
    struct run_place place;

    for (uint32_t i = 0; i < from->count; i++) {
        if (!run_bit(question->live, from->messages[i].number - run->first))
            continue;
        messages[count] = from->messages[i];
        messages[count++].message = kept_copy(from->messages[i].message);
    }
    free(question->live);
    place = kept_run_write(&seeded->kept, from->queue, from->level, messages, count);
    free(messages);
    if (!run_moved(vhost, run, failed ? NULL : &place, count) || failed)
        kept_leave(&seeded->kept, place.file);
    else
        kept_leave(&seeded->kept, old);
}

static bool same_level(const struct question *a, const struct question *b)
{
    return b->kind == SAVE && a->save->queue == b->save->queue && a->save->level == b->save->level;
}

/* Answer the question at AT, or the save before it that comes first. */
static void answer_at(struct journal_seeded *seeded, struct vhost *vhost, uint32_t at, bool failed)
{
    struct question question;

    for (uint32_t i = 0; seeded->questions[at].kind == SAVE && i < at; i++)
        if (same_level(&seeded->questions[at], &seeded->questions[i]))
            at = i;
    question = seeded->questions[at];
    seeded->question_count--;
    memmove(seeded->questions + at, seeded->questions + at + 1,
            (seeded->question_count - at) * sizeof *seeded->questions);
    switch (question.kind) {
    case SAVE:
        answer_save(seeded, vhost, &question, failed);
        break;
    case FETCH:
        answer_fetch(vhost, &question, failed);
        break;
    case LOOK:
        answer_look(vhost, &question, failed);
        break;
    case MOVE:
        answer_move(seeded, vhost, &question, failed);
        break;
    }
    if (question.run)
        kept_run_release(&seeded->kept, question.run);
}

static void inside(struct vhost *vhost, int64_t now, void (*call)(struct vhost *, void *), void *argument)
{
    struct batch batch = {.kind = BATCH_CALL};

    batch.call = call;
    batch.argument = argument;
    vhost_run(vhost, &batch, now);
}

static void nothing(struct vhost *vhost, void *argument)
{
    (void)vhost;
    (void)argument;
}

/* Reads never fail by chance: that would take queues out of service for good. */
static void answer_one(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;
    uint32_t at = random_below(&seeded->random, seeded->question_count);
    bool may_fail = seeded->questions[at].kind == SAVE || seeded->questions[at].kind == MOVE;

    answer_at(seeded, vhost, at, may_fail && random_percent(&seeded->random, 10));
}

static void answer_any(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;

    answer_at(seeded, vhost, random_below(&seeded->random, seeded->question_count), false);
}

void journal_seeded_answer_all(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    while (seeded->question_count)
        inside(vhost, now, answer_any, seeded);
}

static void answer_oldest(struct vhost *vhost, void *argument)
{
    answer_at(argument, vhost, 0, false);
}

void journal_seeded_answer_one(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    inside(vhost, now, answer_oldest, seeded);
}

uint32_t journal_seeded_questions(const struct journal_seeded *seeded)
{
    return seeded->question_count;
}

struct answers {
    struct journal_seeded *seeded;
    bool failed;
};

static void answer_saves(struct vhost *vhost, void *argument)
{
    const struct answers *answers = argument;
    struct journal_seeded *seeded = answers->seeded;

    for (uint32_t at = 0; at < seeded->question_count;) {
        if (seeded->questions[at].kind == SAVE)
            answer_at(seeded, vhost, at, answers->failed);
        else
            at++;
    }
}

void journal_seeded_answer_saves(struct journal_seeded *seeded, struct vhost *vhost, int64_t now, bool failed)
{
    inside(vhost, now, answer_saves, &(struct answers){seeded, failed});
}

static void fail_reads(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;

    for (uint32_t at = 0; at < seeded->question_count;) {
        if (seeded->questions[at].kind == FETCH || seeded->questions[at].kind == LOOK)
            answer_at(seeded, vhost, at, true);
        else
            at++;
    }
}

void journal_seeded_fail_reads(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    inside(vhost, now, fail_reads, seeded);
}

/* ---- memory ---- */

static bool has_saves(const struct journal_seeded *seeded)
{
    for (uint32_t i = 0; i < seeded->question_count; i++)
        if (seeded->questions[i].kind == SAVE)
            return true;
    return false;
}

void journal_seeded_limit(struct journal_seeded *seeded, struct vhost *vhost, int64_t now, uint64_t limit)
{
    seeded->journal.memory_limit = limit;
    inside(vhost, now, nothing, NULL);
}

void journal_seeded_evict_all(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    journal_seeded_limit(seeded, vhost, now, 0);
    while (has_saves(seeded))
        journal_seeded_answer_saves(seeded, vhost, now, false);
    journal_seeded_limit(seeded, vhost, now, UINT64_MAX);
}

static void change_limit(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    static const uint64_t limits[] = {0, 0, 1000, 4000, 20000, UINT64_MAX};

    journal_seeded_limit(seeded, vhost, now,
                         limits[random_below(&seeded->random, sizeof limits / sizeof *limits)]);
}

/* ---- checkpoints ---- */

static void sink_state(void *context, uint64_t queue, struct bytes state)
{
    kept_capture_state(&((struct journal_seeded *)context)->kept, queue, state);
}

static void sink_run(void *context, struct run *run)
{
    kept_capture_run(&((struct journal_seeded *)context)->kept, run);
}

static void commit(struct journal_seeded *seeded)
{
    kept_commit(&seeded->kept, seeded->checkpoint_era);
    seeded->checkpoint = NO_CHECKPOINT;
}

static void checkpoint_go_on(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;
    struct checkpoint_sink sink = {sink_state, sink_run, seeded};

    switch (seeded->checkpoint) {
    case NO_CHECKPOINT:
        seeded->checkpoint_era = seeded->journal.era++;
        seeded->checkpoint = SAVING;
        break;
    case SAVING:
        if (!vhost_save_old(vhost, (uint16_t)seeded->checkpoint_era))
            seeded->checkpoint = CAPTURING;
        break;
    case CAPTURING:
        if (vhost_capture_states(vhost, &sink, 1 + random_below(&seeded->random, 4)))
            break;
        vhost_capture_runs(vhost, &sink);
        seeded->captured_lsn = seeded->closed;
        seeded->checkpoint = COMMITTING;
        break;
    case COMMITTING:
        if (seeded->durable >= seeded->captured_lsn)
            commit(seeded);
    }
}

void journal_seeded_checkpoint(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    do {
        inside(vhost, now, checkpoint_go_on, seeded);
        journal_seeded_sync(seeded, vhost, now);
        while (has_saves(seeded))
            journal_seeded_answer_saves(seeded, vhost, now, false);
    } while (seeded->checkpoint != NO_CHECKPOINT);
}

static void move_one(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;
    uint32_t count = HASH_COUNT(seeded->kept.runs);
    struct kept_run *run = seeded->kept.runs;

    if (!count)
        return;
    for (uint32_t skip = random_below(&seeded->random, count); skip; skip--)
        run = run->hh.next;
    vhost_move_runs(vhost, run->place.file, random_percent(&seeded->random, 70),
                    &(struct checkpoint_sink){NULL, ask_move, seeded});
}

static void move_all(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;
    uint32_t last = seeded->kept.last_file;
    struct checkpoint_sink sink = {NULL, ask_move, seeded};

    for (uint32_t file = 1; file <= last; file++) {
        vhost_move_runs(vhost, file, true, &sink);
        vhost_move_runs(vhost, file, false, &sink);
    }
}

void journal_seeded_move_all(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    inside(vhost, now, move_all, seeded);
}

/* ---- time ---- */

static void tell(struct vhost *vhost, void *argument)
{
    struct journal_seeded *seeded = argument;

    seeded->told = seeded->durable;
    vhost_journal_moved(vhost);
}

void journal_seeded_sync(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    seeded->durable = seeded->closed;
    inside(vhost, now, tell, seeded);
}

void journal_seeded_step(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    switch (random_below(&seeded->random, 16)) {
    case 0:
    case 1:
    case 2:
        if (seeded->durable < seeded->closed)
            seeded->durable +=
                1 + random_below(&seeded->random, (uint32_t)(seeded->closed - seeded->durable));
        break;
    case 3:
    case 4:
    case 5:
        if (seeded->told < seeded->durable)
            inside(vhost, now, tell, seeded);
        break;
    case 6:
        change_limit(seeded, vhost, now);
        break;
    case 7:
        inside(vhost, now, move_one, seeded);
        break;
    case 8:
    case 9:
        inside(vhost, now, checkpoint_go_on, seeded);
        break;
    default:
        if (seeded->question_count)
            inside(vhost, now, answer_one, seeded);
    }
}

bool journal_seeded_settle(struct journal_seeded *seeded, struct vhost *vhost, int64_t now)
{
    bool any = seeded->durable < seeded->closed || seeded->told < seeded->durable || seeded->question_count;

    if (seeded->told < seeded->closed)
        journal_seeded_sync(seeded, vhost, now);
    journal_seeded_answer_all(seeded, vhost, now);
    return any;
}

uint64_t journal_seeded_durable(const struct journal_seeded *seeded)
{
    return seeded->durable;
}

const struct message *journal_seeded_message(struct journal_seeded *seeded, const struct run *run,
                                             uint64_t number)
{
    return kept_message(&seeded->kept, run, number)->message;
}

void journal_seeded_seal(struct journal_seeded *seeded)
{
    seeded->is_sealed = true;
}

void journal_seeded_check(struct journal_seeded *seeded, struct vhost *vhost)
{
    kept_check(&seeded->kept, vhost);
}

/* ---- starting again ---- */

static void restoring_at(void *context, uint64_t lsn)
{
    ((struct journal_seeded *)context)->lsn = lsn;
}

/* A journal that is none: what would come back is put into its vhost to be looked at. */
static uint64_t glass_append(struct journal *journal, const struct journal_record *record)
{
    (void)record;
    return ((struct journal_seeded *)journal)->lsn;
}

static void glass_drop(struct journal *journal, struct run *run)
{
    (void)journal;
    (void)run;
}

static void glass_free(struct journal *journal)
{
    free(journal);
}

static void no_output(void *context, struct outbox_chunk *chunks)
{
    (void)context;
    (void)chunks;
}

static void no_chance(void *context, void *out, size_t size)
{
    (void)context;
    memset(out, 0, size);
}

static void compare(struct journal_seeded *seeded, struct vhost *vhost)
{
    static const struct journal_ops glass_ops = {.append = glass_append,
                                                 .begin = seeded_begin,
                                                 .commit = seeded_commit,
                                                 .durable = seeded_durable,
                                                 .emptied = glass_drop,
                                                 .drop = glass_drop,
                                                 .free = glass_free};
    const struct vhost_ops ops = {.output = no_output, .random = no_chance};
    struct journal_seeded *glass = xcalloc(1, sizeof *glass);
    struct vhost *back;

    glass->journal.ops = &glass_ops;
    glass->journal.memory_limit = UINT64_MAX;
    back = vhost_new(vhost->name, &vhost->settings, &ops, &glass->journal);
    kept_put_back(&seeded->kept, back, restoring_at, glass);
    kept_compare(&seeded->kept, vhost, back);
    vhost_free(back);
}

struct vhost *journal_seeded_restart(struct journal_seeded *seeded, struct vhost *vhost,
                                     struct vhost *(*make)(void *context, struct journal *journal),
                                     void *context)
{
    uint64_t lsn = seeded->lsn;

    compare(seeded, vhost);
    if (!make)
        return vhost;
    if (seeded->question_count || seeded->durable < seeded->closed)
        contradiction("a restart while something is under way");
    seeded->outlives = true;
    vhost_free(vhost);
    seeded->outlives = false;
    kept_crash(&seeded->kept);
    seeded->checkpoint = NO_CHECKPOINT;
    seeded->is_restoring = true;
    seeded->lsn = 0;
    vhost = make(context, &seeded->journal);
    kept_put_back(&seeded->kept, vhost, restoring_at, seeded);
    seeded->is_restoring = false;
    seeded->lsn = lsn;
    return vhost;
}

/* ---- making and freeing ---- */

static void seeded_free(struct journal *journal)
{
    struct journal_seeded *seeded = seeded_of(journal);

    if (seeded->outlives)
        return;
    if (seeded->question_count)
        contradiction("%u questions are left at the end, one of kind %d", seeded->question_count,
                      (int)seeded->questions[0].kind);
    kept_clear(&seeded->kept);
    free(seeded->questions);
    free(seeded);
}

struct journal *journal_seeded_journal(struct journal_seeded *seeded)
{
    return &seeded->journal;
}

struct journal_seeded *journal_seeded_new(uint64_t seed, const struct journal_seeded_hooks *hooks)
{
    static const struct journal_ops ops = {
        .append = seeded_append,
        .begin = seeded_begin,
        .commit = seeded_commit,
        .flush = seeded_flush,
        .durable = seeded_durable,
        .save = seeded_save,
        .fetch = seeded_fetch,
        .look = seeded_look,
        .emptied = seeded_emptied,
        .drop = seeded_drop,
        .free = seeded_free,
    };
    struct journal_seeded *seeded = xcalloc(1, sizeof *seeded);

    seeded->journal.ops = &ops;
    seeded->journal.memory_limit = UINT64_MAX;
    kept_init(&seeded->kept);
    seeded->random.state = seed;
    if (hooks)
        seeded->hooks = *hooks;
    return seeded;
}
