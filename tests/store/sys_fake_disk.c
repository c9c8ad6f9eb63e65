/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys_fake_disk.h. What may survive a power loss follows what file systems and disks do, at their worst:
 *
 * Within one sector changes survive in order (the page cache holds but one version of it), and one of them
 * may be torn; between sectors there is no order. The size of a file is one that it had since its last sync.
 * Names survive each on its own; a rename does as a whole or not at all.
 */
#include "sys_fake_disk.h"

#include <stdlib.h>
#include <string.h>

#include "coney/xalloc.h"

/* ---- images ---- */

static void image_reserve(struct image *image, uint64_t room)
{
    uint64_t old = image->room;

    if (room <= old)
        return;
    image->room = old * 2 > room ? old * 2 : room;
    image->octets = xrealloc(image->octets, image->room);
    memset(image->octets + old, 0, image->room - old);
}

static void image_resize(struct image *image, uint64_t size)
{
    image_reserve(image, size);
    if (size < image->size)
        memset(image->octets + size, 0, image->size - size);
    image->size = size;
}

static void image_write(struct image *image, const uint8_t *data, uint64_t size, uint64_t offset)
{
    if (!size)
        return;
    image_reserve(image, offset + size);
    memcpy(image->octets + offset, data, size);
    if (offset + size > image->size)
        image->size = offset + size;
}

static void image_copy(struct image *to, const struct image *from)
{
    image_resize(to, 0);
    image_write(to, from->octets, from->size, 0);
}

/* ---- names ---- */

static struct name *names_find(const struct names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].path, path) == 0)
            return &names->list[i];
    return NULL;
}

static void names_remove(struct names *names, struct name *name)
{
    free(name->path);
    *name = names->list[--names->count];
}

static void names_set(struct names *names, const char *path, struct inode *inode)
{
    struct name *name = names_find(names, path);

    if (!name) {
        if (names->count == names->room) {
            names->room = names->room ? names->room * 2 : 16;
            names->list = xrealloc(names->list, names->room * sizeof *names->list);
        }
        name = &names->list[names->count++];
        name->path = xstrdup(path);
    }
    name->inode = inode;
}

static bool names_have(const struct names *names, const struct inode *inode)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->list[i].inode == inode)
            return true;
    return false;
}

static void names_clear(struct names *names)
{
    while (names->count)
        names_remove(names, &names->list[names->count - 1]);
    free(names->list);
    *names = (struct names){0};
}

/* Moves before this one may be lost: an inode's name then is not the one it is moved from. */
static void names_apply(struct names *names, const struct move *move)
{
    for (size_t i = names->count; i-- > 0;)
        if (names->list[i].inode == move->inode && (move->to || strcmp(names->list[i].path, move->from) == 0))
            names_remove(names, &names->list[i]);
    if (move->to)
        names_set(names, move->to, move->inode);
}

static bool is_root(const char *path)
{
    return strcmp(path, ".") == 0 || strcmp(path, "/") == 0;
}

char *disk_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder;

    if (!slash)
        return xstrdup(".");
    folder = xstrdup(path);
    folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

static bool is_in(const char *path, const char *folder)
{
    char *its = path ? disk_folder_of(path) : NULL;
    bool result = its && strcmp(its, folder) == 0;

    free(its);
    return result;
}

struct inode *disk_find(const struct disk *disk, const char *path)
{
    const struct name *name = names_find(&disk->now, path);

    return name ? name->inode : NULL;
}

bool disk_has_folder(const struct disk *disk, const char *path)
{
    const struct inode *inode = disk_find(disk, path);

    return is_root(path) || (inode && inode->is_folder);
}

static void disk_move(struct disk *disk, const char *from, const char *to, struct inode *inode)
{
    struct move *move;

    if (disk->move_count == disk->move_room) {
        disk->move_room = disk->move_room ? disk->move_room * 2 : 16;
        disk->moves = xrealloc(disk->moves, disk->move_room * sizeof *disk->moves);
    }
    move = &disk->moves[disk->move_count++];
    *move = (struct move){from ? xstrdup(from) : NULL, to ? xstrdup(to) : NULL, inode};
    names_apply(&disk->now, move);
    inode->named = to != NULL;
}

struct inode *disk_create(struct disk *disk, const char *path, bool is_folder)
{
    struct inode *inode = xcalloc(1, sizeof *inode);

    inode->is_folder = is_folder;
    inode->next = disk->inodes;
    disk->inodes = inode;
    disk_move(disk, NULL, path, inode);
    return inode;
}

void disk_rename(struct disk *disk, const char *from, const char *to)
{
    struct inode *replaced = disk_find(disk, to);
    struct inode *inode = disk_find(disk, from);

    if (replaced == inode)
        return;
    if (replaced)
        replaced->named = false;
    disk_move(disk, from, to, inode);
    disk_collect(disk);
}

void disk_unlink(struct disk *disk, const char *path)
{
    disk_move(disk, path, NULL, disk_find(disk, path));
    disk_collect(disk);
}

static void free_move(struct move *move)
{
    free(move->from);
    free(move->to);
}

void disk_sync_folder(struct disk *disk, const char *folder)
{
    size_t left = 0;

    for (size_t i = 0; i < disk->move_count; i++) {
        struct move *move = &disk->moves[i];

        if (is_in(move->from, folder) || is_in(move->to, folder)) {
            names_apply(&disk->stable, move);
            free_move(move);
        } else {
            disk->moves[left++] = *move;
        }
    }
    disk->move_count = left;
    disk_collect(disk);
}

/* ---- content ---- */

static void forget_changes(struct inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++)
        free(inode->changes[i].data);
    inode->change_count = 0;
}

static void add_change(struct inode *inode, struct change change)
{
    if (inode->change_count == inode->change_room) {
        inode->change_room = inode->change_room ? inode->change_room * 2 : 16;
        inode->changes = xrealloc(inode->changes, inode->change_room * sizeof *inode->changes);
    }
    inode->changes[inode->change_count++] = change;
}

/* Whether the block at OFFSET of INODE is there, or could be given to it now. */
static bool allocate(struct disk *disk, struct inode *inode, uint64_t offset)
{
    uint64_t block = offset / DISK_BLOCK;

    if (block >= inode->allocated_room) {
        uint64_t room = block * 2 + 16;

        inode->allocated = xrealloc(inode->allocated, room * sizeof *inode->allocated);
        memset(inode->allocated + inode->allocated_room, 0, room - inode->allocated_room);
        inode->allocated_room = room;
    }
    if (inode->allocated[block])
        return true;
    if (disk->capacity && disk_left(disk) < DISK_BLOCK)
        return false;
    inode->allocated[block] = true;
    inode->allocated_count++;
    return true;
}

static void free_blocks_beyond(struct inode *inode, uint64_t size)
{
    for (uint64_t block = (size + DISK_BLOCK - 1) / DISK_BLOCK; block < inode->allocated_room; block++) {
        inode->allocated_count -= inode->allocated[block];
        inode->allocated[block] = false;
    }
}

size_t disk_write(struct disk *disk, struct inode *inode, const uint8_t *data, size_t size, uint64_t offset)
{
    uint64_t end = offset;

    while (end < offset + size && allocate(disk, inode, end))
        end = (end / DISK_BLOCK + 1) * DISK_BLOCK;
    if (end < offset + size)
        size = (size_t)(end - offset);
    if (size) {
        image_write(&inode->now, data, size, offset);
        add_change(inode, (struct change){.offset = offset, .size = size, .data = xmemdup(data, size)});
    }
    return size;
}

void disk_truncate(struct inode *inode, uint64_t size)
{
    bool shrinks = size < inode->now.size;

    free_blocks_beyond(inode, size);
    image_resize(&inode->now, size);
    add_change(inode, (struct change){.offset = size, .shrinks = shrinks});
}

void disk_sync(struct inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        const struct change *change = &inode->changes[i];

        if (change->data)
            image_write(&inode->stable, change->data, change->size, change->offset);
        else
            image_resize(&inode->stable, change->offset);
    }
    forget_changes(inode);
}

/* How much survives is itself left to chance, so that all and nothing are not rare. */
static uint32_t survival_percent(struct random *random)
{
    static const uint8_t percents[] = {0, 15, 50, 85, 100};

    return percents[random_below(random, sizeof percents)];
}

/* What befalls one sector: changes below CUT survive, and some octets of change CUT if it is torn. */
struct fate {
    size_t cut;
    bool torn, torn_end;
    uint32_t octets;
};

static struct fate fate_of_sector(uint64_t seed, uint64_t sector, size_t change_count, uint32_t percent)
{
    struct random random = {seed + sector * UINT64_C(0xd1342543de82ef95)};
    struct fate fate = {.cut = change_count};

    if (random_percent(&random, percent))
        return fate;
    fate.cut = random_percent(&random, 50) ? 0 : random_below(&random, (uint32_t)change_count);
    fate.torn = percent && random_percent(&random, 25);
    fate.torn_end = random_percent(&random, 50);
    fate.octets = random_below(&random, DISK_SECTOR);
    return fate;
}

/* Let the octets FROM .. TO - 1 of change number I, in one sector, survive as FATE has it. */
static void survive_sector(struct image *image, const struct change *change, size_t i, struct fate fate,
                           uint64_t from, uint64_t to)
{
    uint64_t part = fate.octets < to - from ? fate.octets : to - from;

    if (i == fate.cut && fate.torn && fate.torn_end)
        from = to - part;
    else if (i == fate.cut && fate.torn)
        to = from + part;
    else if (i >= fate.cut)
        return;
    image_write(image, change->data + (from - change->offset), to - from, from);
}

/* Make stable what survives of the changes of INODE. */
static void survive(struct inode *inode, struct random *random)
{
    struct image *image = &inode->stable;
    size_t count = inode->change_count;
    size_t sized = random_below(random, (uint32_t)count + 1); /* changes whose sizes survive */
    uint32_t percent = survival_percent(random);
    uint64_t seed = random_next(random);
    uint64_t size = image->size;

    if (random_percent(random, 50))
        sized = count;
    for (size_t i = 0; i < count; i++) {
        const struct change *change = &inode->changes[i];
        uint64_t end = change->offset + change->size;

        if (!change->data) {
            if (i < sized)
                image_resize(image, size = change->offset);
            else if (change->shrinks)
                break; /* what came after it was written elsewhere */
            continue;
        }
        for (uint64_t at = change->offset; at < end;) {
            uint64_t sector = at / DISK_SECTOR;
            uint64_t next = (sector + 1) * DISK_SECTOR;

            survive_sector(image, change, i, fate_of_sector(seed, sector, count, percent), at,
                           next < end ? next : end);
            at = next;
        }
        if (i < sized && end > size)
            size = end;
    }
    image_resize(image, size);
    forget_changes(inode);
}

void disk_sync_badly(struct inode *inode, struct random *random)
{
    survive(inode, random);
}

/* ---- the whole ---- */

uint64_t disk_used(const struct disk *disk)
{
    uint64_t blocks = 0;

    for (const struct inode *inode = disk->inodes; inode; inode = inode->next)
        if (inode->named || inode->opened)
            blocks += inode->allocated_count;
    return blocks * DISK_BLOCK;
}

uint64_t disk_left(const struct disk *disk)
{
    uint64_t used = disk_used(disk);

    return disk->capacity > used ? disk->capacity - used : 0;
}

static bool is_needed(const struct disk *disk, const struct inode *inode)
{
    if (inode->named || inode->opened || names_have(&disk->stable, inode))
        return true;
    for (size_t i = 0; i < disk->move_count; i++)
        if (disk->moves[i].inode == inode)
            return true;
    return false;
}

static void free_inode(struct inode *inode)
{
    forget_changes(inode);
    free(inode->changes);
    free(inode->now.octets);
    free(inode->stable.octets);
    free(inode->allocated);
    free(inode);
}

void disk_collect(struct disk *disk)
{
    struct inode **at = &disk->inodes;

    while (*at) {
        struct inode *inode = *at;

        if (is_needed(disk, inode)) {
            at = &inode->next;
        } else {
            *at = inode->next;
            free_inode(inode);
        }
    }
}

void disk_close_all(struct disk *disk)
{
    for (struct inode *inode = disk->inodes; inode; inode = inode->next) {
        inode->opened = 0;
        inode->locked_by = NULL;
    }
    disk_collect(disk);
}

/* What is in a folder that is not there, is not there either. */
static void drop_orphans(struct names *names)
{
    bool dropped;

    do {
        dropped = false;
        for (size_t i = names->count; i-- > 0;) {
            char *folder = disk_folder_of(names->list[i].path);

            if (!is_root(folder) && !names_find(names, folder)) {
                names_remove(names, &names->list[i]);
                dropped = true;
            }
            free(folder);
        }
    } while (dropped);
}

/* What is seen again is what is stable. */
static void start_again(struct disk *disk)
{
    names_clear(&disk->now);
    for (struct inode *inode = disk->inodes; inode; inode = inode->next)
        inode->named = false;
    for (size_t i = 0; i < disk->stable.count; i++) {
        struct inode *inode = disk->stable.list[i].inode;

        names_set(&disk->now, disk->stable.list[i].path, inode);
        inode->named = true;
        image_copy(&inode->now, &inode->stable);
        free_blocks_beyond(inode, inode->now.size);
    }
    disk_close_all(disk);
}

void disk_power_loss(struct disk *disk, struct random *random)
{
    uint32_t percent = survival_percent(random);

    for (size_t i = 0; i < disk->move_count; i++) {
        if (random_percent(random, percent))
            names_apply(&disk->stable, &disk->moves[i]);
        free_move(&disk->moves[i]);
    }
    disk->move_count = 0;
    drop_orphans(&disk->stable);
    for (struct inode *inode = disk->inodes; inode; inode = inode->next)
        survive(inode, random);
    start_again(disk);
}

void disk_clear(struct disk *disk)
{
    for (size_t i = 0; i < disk->move_count; i++)
        free_move(&disk->moves[i]);
    free(disk->moves);
    names_clear(&disk->now);
    names_clear(&disk->stable);
    while (disk->inodes) {
        struct inode *inode = disk->inodes;

        disk->inodes = inode->next;
        free_inode(inode);
    }
    *disk = (struct disk){0};
}
