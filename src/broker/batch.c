/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h: the commands of a batch, in blocks from the pool. */
#include "coney/batch.h"

#include "coney/pool.h"

struct command *batch_add(struct batch *batch)
{
    struct command_block *block = batch->commands.last;

    if (!block || block->count == COMMAND_BLOCK) {
        struct command_block *added = pool_alloc(sizeof *added);

        added->next = NULL;
        added->count = 0;
        if (block)
            block->next = added;
        else
            batch->commands.first = added;
        batch->commands.last = block = added;
    }
    return &block->commands[block->count++];
}

void batch_take_back(struct batch *batch)
{
    batch->commands.last->count--;
}

void batch_clear(struct batch *batch)
{
    if (batch->kind == BATCH_COMMANDS) {
        struct command_block *block = batch->commands.first;

        while (block) {
            struct command_block *next = block->next;

            pool_free(block, sizeof *block);
            block = next;
        }
        batch->commands.first = batch->commands.last = NULL;
    }
    arena_clear(&batch->arena);
}
