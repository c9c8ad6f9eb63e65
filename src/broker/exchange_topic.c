/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topic exchange (exchanges-queues-bindings.md 5.4): a trie over the words of the binding keys.
 *
 * A key is matched word by word against a set of nodes, the *active* ones: those that the words so far lead
 * to. A node is active once however many ways lead to it, so a pattern full of # costs at most its length for
 * each word of the key, and bindings that share no beginning with the key cost nothing.
 *
 * Invariants:
 * 1. Literal children are in topic->words, under their parent's address and their word; the children for *
 *    and # hang on their parent.
 * 2. Every node but the root has a binding or a child; without any binding there is no trie.
 * 3. node->step == topic->step exactly when the node is in the set being built.
 */
#include <assert.h>
#include <stddef.h>

#include "coney/pool.h"
#include "exchange.h"
#include "route.h"

struct node {
    UT_hash_handle hh;        /* topic->words, for a literal word */
    struct node *one, *rest;  /* the children for * and # */
    struct node *active[2];   /* next in the sets of this word and of the one before, in turn */
    uint64_t step;            /* the last set that it came into */
    struct binding *bindings; /* linked by peer; type_data is the address of the link to a binding */
    uint32_t literals;        /* children with a literal word */
    bool is_rest;             /* stands for # */
    uint8_t word_size;
    struct node *parent; /* with word: the key in topic->words */
    uint8_t word[];
};

struct topic {
    struct node *words;
    struct node *root;
    struct node *active[2];
    uint64_t step;
};

#define KEY_SIZE(word_size) (sizeof(struct node *) + (word_size))

/* A key of topic->words. */
struct probe {
    struct node *parent;
    uint8_t word[SHORTSTR_MAX];
};

static_assert(offsetof(struct node, word) == offsetof(struct node, parent) + sizeof(struct node *),
              "parent and word of a node are one key");
static_assert(offsetof(struct probe, word) == sizeof(struct node *), "and so are those of a probe");

/* What is left of a key. The empty key has no words, a key with n dots has n + 1. */
struct words {
    struct bytes rest;
    bool more;
};

static struct words words_begin(struct bytes key)
{
    return (struct words){key, key.size > 0};
}

static bool words_next(struct words *words, struct bytes *word)
{
    const uint8_t *dot;

    if (!words->more)
        return false;
    *word = words->rest;
    dot = words->rest.size ? memchr(words->rest.data, '.', words->rest.size) : NULL;
    words->more = dot != NULL;
    if (dot) {
        word->size = (size_t)(dot - word->data);
        words->rest = (struct bytes){dot + 1, words->rest.size - word->size - 1};
    }
    return true;
}

static struct node *find_literal(struct topic *topic, const struct probe *probe, size_t word_size)
{
    struct node *node;

    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): as much as KEY_SIZE is set */
    HASH_FIND(hh, topic->words, probe, KEY_SIZE(word_size), node);
    return node;
}

static bool is_one(struct bytes word)
{
    return bytes_equal(word, BYTES_LITERAL("*"));
}

static bool is_rest(struct bytes word)
{
    return bytes_equal(word, BYTES_LITERAL("#"));
}

/* The child of PARENT for WORD of a binding key; NULL when there is none. */
static struct node *find_child(struct topic *topic, struct node *parent, struct bytes word)
{
    struct probe probe;

    if (is_one(word))
        return parent->one;
    if (is_rest(word))
        return parent->rest;
    probe.parent = parent;
    put_bytes(probe.word, word);
    return find_literal(topic, &probe, word.size);
}

static struct node *node_new(struct node *parent, struct bytes word)
{
    struct node *node = pool_calloc(sizeof *node + word.size);

    node->parent = parent;
    node->word_size = (uint8_t)word.size;
    put_bytes(node->word, word);
    return node;
}

static struct node *add_child(struct topic *topic, struct node *parent, struct bytes word)
{
    struct node *node = node_new(parent, word);

    if (is_one(word)) {
        parent->one = node;
    } else if (is_rest(word)) {
        node->is_rest = true;
        parent->rest = node;
    } else {
        parent->literals++;
        HASH_ADD_KEYPTR(hh, topic->words, (uint8_t *)node + offsetof(struct node, parent),
                        KEY_SIZE(word.size), node);
    }
    return node;
}

static void node_free(struct node *node)
{
    pool_free(node, sizeof *node + node->word_size);
}

static bool has_purpose(const struct node *node)
{
    return node->bindings || node->one || node->rest || node->literals > 0;
}

/* Free NODE and its ancestors as far as nothing needs them. True when the root went too. */
static bool prune(struct topic *topic, struct node *node)
{
    while (node && !has_purpose(node)) {
        struct node *parent = node->parent;

        if (!parent) {
            /* the root: nobody's child */
        } else if (parent->one == node) {
            parent->one = NULL;
        } else if (parent->rest == node) {
            parent->rest = NULL;
        } else {
            assert(topic->words);
            parent->literals--;
            HASH_DEL(topic->words, node);
        }
        node_free(node);
        node = parent;
    }
    return !node;
}

static void topic_add(struct exchange *exchange, struct binding *binding)
{
    struct topic *topic = exchange->type_data;
    struct words words = words_begin(binding->routing_key);
    struct bytes word;
    struct node *node;

    if (!topic) {
        topic = exchange->type_data = pool_calloc(sizeof *topic);
        topic->root = node_new(NULL, (struct bytes){0});
    }
    node = topic->root;
    while (words_next(&words, &word)) {
        struct node *child = find_child(topic, node, word);

        node = child ? child : add_child(topic, node, word);
    }
    binding->peer = node->bindings;
    if (binding->peer)
        binding->peer->type_data = &binding->peer;
    node->bindings = binding;
    binding->type_data = &node->bindings;
}

static void topic_remove(struct exchange *exchange, struct binding *binding)
{
    struct topic *topic = exchange->type_data;
    struct words words = words_begin(binding->routing_key);
    struct binding **link = binding->type_data;
    struct node *node = topic->root;
    struct bytes word;

    while (words_next(&words, &word))
        node = find_child(topic, node, word);
    *link = binding->peer;
    if (binding->peer)
        binding->peer->type_data = link;
    if (prune(topic, node)) {
        pool_free(topic, sizeof *topic);
        exchange->type_data = NULL;
    }
}

/* Make NODE active, and what # behind it reaches without a word. */
static void activate(struct topic *topic, struct node *node, unsigned set)
{
    for (; node && node->step != topic->step; node = node->rest) {
        node->step = topic->step;
        node->active[set] = topic->active[set];
        topic->active[set] = node;
    }
}

/* From the nodes active before WORD to those active behind it, in the other set. */
static void take_word(struct topic *topic, unsigned set, struct bytes word)
{
    struct probe probe;
    /* A key made by the broker may be longer than any that can be bound. */
    bool is_bindable = word.size <= SHORTSTR_MAX;

    if (is_bindable)
        put_bytes(probe.word, word);
    topic->step++;
    topic->active[!set] = NULL;
    for (struct node *node = topic->active[set]; node; node = node->active[set]) {
        if (node->is_rest)
            activate(topic, node, !set);
        activate(topic, node->one, !set);
        if (node->literals > 0 && is_bindable) {
            probe.parent = node;
            activate(topic, find_literal(topic, &probe, word.size), !set);
        }
    }
}

static void route_key(struct topic *topic, struct bytes key, struct route *route)
{
    struct words words = words_begin(key);
    unsigned set = 0;
    struct bytes word;

    topic->step++;
    topic->active[set] = NULL;
    activate(topic, topic->root, set);
    while (words_next(&words, &word) && topic->active[set]) {
        take_word(topic, set, word);
        set = !set;
    }
    for (struct node *node = topic->active[set]; node; node = node->active[set])
        for (struct binding *binding = node->bindings; binding; binding = binding->peer)
            route_to(route, binding);
}

static void topic_route(struct exchange *exchange, struct route *route)
{
    struct topic *topic = exchange->type_data;

    for (unsigned i = 0; topic && i < route->key_count; i++)
        route_key(topic, route->keys[i], route);
}

const struct exchange_type exchange_type_topic = {
    .name = "topic",
    .description = "AMQP topic exchange, as per the AMQP specification",
    .add = topic_add,
    .remove = topic_remove,
    .route = topic_route,
};
