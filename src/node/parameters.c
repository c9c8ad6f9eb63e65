/* SPDX-License-Identifier: Apache-2.0 */
/* parameters.h: one table; a key is the three names, each behind its size. */
#include "coney/parameters.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coney/buffer.h"
#include "coney/hash.h"
#include "coney/xalloc.h"

#define COMPONENTS_MAX 8

struct entry {
    UT_hash_handle hh; /* by key */
    struct bytes key;
    struct parameter parameter; /* in octets */
    uint8_t octets[];
};

struct parameters {
    pthread_mutex_t mutex; /* guards all */
    struct entry *entries;
    struct parameter_component components[COMPONENTS_MAX];
    size_t component_count;
};

struct parameters *parameters_new(void)
{
    struct parameters *parameters = xcalloc(1, sizeof *parameters);

    pthread_mutex_init(&parameters->mutex, NULL);
    return parameters;
}

void parameters_free(struct parameters *parameters)
{
    struct entry *entry, *next;

    if (parameters == NULL)
        return;
    /* The table goes first: the entries stay linked without it. */
    entry = parameters->entries;
    HASH_CLEAR(hh, parameters->entries);
    for (; entry != NULL; entry = next) {
        next = entry->hh.next;
        free(entry);
    }
    pthread_mutex_destroy(&parameters->mutex);
    free(parameters);
}

/* ---- components ---- */

static struct parameter_component *find_component(struct parameters *parameters, struct bytes name)
{
    for (size_t i = 0; i < parameters->component_count; i++) {
        if (bytes_equal_string(name, parameters->components[i].name))
            return &parameters->components[i];
    }
    return NULL;
}

void parameters_add_component(struct parameters *parameters, const struct parameter_component *component)
{
    struct parameter_component *there;

    pthread_mutex_lock(&parameters->mutex);
    there = find_component(parameters, bytes_from_string(component->name));
    if (there == NULL && parameters->component_count == COMPONENTS_MAX)
        abort();
    if (there == NULL)
        there = &parameters->components[parameters->component_count++];
    *there = *component;
    pthread_mutex_unlock(&parameters->mutex);
}

/* A copy, to be called without the mutex. */
static bool get_component(struct parameters *parameters, struct bytes name, struct parameter_component *out)
{
    const struct parameter_component *there;

    pthread_mutex_lock(&parameters->mutex);
    there = find_component(parameters, name);
    if (there != NULL)
        *out = *there;
    pthread_mutex_unlock(&parameters->mutex);
    return there != NULL;
}

bool parameters_has_component(struct parameters *parameters, struct bytes name)
{
    struct parameter_component component;

    return get_component(parameters, name, &component);
}

bool parameters_check(struct parameters *parameters, struct bytes component, struct bytes vhost,
                      struct bytes name, const json_t *value, char why[PARAMETER_WHY_SIZE])
{
    struct parameter_component known;

    if (!get_component(parameters, component, &known)) {
        snprintf(why, PARAMETER_WHY_SIZE, "component %.*s not found", BYTES_ARG(component));
        return false;
    }
    if (known.check != NULL)
        return known.check(known.context, vhost, name, value, why);
    if (json_is_object(value))
        return true;
    snprintf(why, PARAMETER_WHY_SIZE, "%.*s should be an object", BYTES_ARG(name));
    return false;
}

void parameters_tell(struct parameters *parameters, struct bytes component, struct bytes vhost,
                     struct bytes name)
{
    struct parameter_component known;

    if (get_component(parameters, component, &known) && known.changed != NULL)
        known.changed(known.context, vhost, name);
}

/* ---- values ---- */

static void append_sized(struct buffer *key, struct bytes text)
{
    put_u32(buffer_reserve(key, 4), (uint32_t)text.size);
    key->size += 4;
    buffer_append_bytes(key, text);
}

static struct buffer make_key(struct bytes component, struct bytes vhost, struct bytes name)
{
    struct buffer key = {0};

    append_sized(&key, component);
    append_sized(&key, vhost);
    append_sized(&key, name);
    return key;
}

static struct entry *find(struct parameters *parameters, struct bytes component, struct bytes vhost,
                          struct bytes name)
{
    struct buffer key = make_key(component, vhost, name);
    struct entry *entry;

    HASH_FIND(hh, parameters->entries, key.data, key.size, entry);
    buffer_free(&key);
    return entry;
}

static struct bytes place(uint8_t **end, struct bytes text)
{
    struct bytes placed = {*end, text.size};

    *end = put_bytes(*end, text);
    *(*end)++ = '\0';
    return placed;
}

static struct entry *entry_new(const struct parameter *from)
{
    struct buffer key = make_key(from->component, from->vhost, from->name);
    size_t size = key.size + from->component.size + from->vhost.size + from->name.size + from->value.size + 5;
    struct entry *entry = xcalloc(1, sizeof *entry + size);
    uint8_t *end = entry->octets;

    entry->key = place(&end, buffer_bytes(&key));
    entry->parameter.component = place(&end, from->component);
    entry->parameter.vhost = place(&end, from->vhost);
    entry->parameter.name = place(&end, from->name);
    entry->parameter.value = place(&end, from->value);
    buffer_free(&key);
    return entry;
}

bool parameters_set(struct parameters *parameters, const struct parameter *parameter)
{
    struct entry *entry = entry_new(parameter), *old;

    pthread_mutex_lock(&parameters->mutex);
    old = find(parameters, parameter->component, parameter->vhost, parameter->name);
    if (old != NULL)
        HASH_DEL(parameters->entries, old);
    HASH_ADD_KEYPTR(hh, parameters->entries, entry->key.data, entry->key.size, entry);
    pthread_mutex_unlock(&parameters->mutex);
    free(old);
    return old == NULL;
}

void parameters_set_json(struct parameters *parameters, struct bytes component, struct bytes vhost,
                         struct bytes name, const json_t *value)
{
    char *json = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    parameters_set(parameters, &(struct parameter){component, vhost, name,
                                                   bytes_from_string(json != NULL ? json : "null")});
    free(json);
}

bool parameters_remove(struct parameters *parameters, struct bytes component, struct bytes vhost,
                       struct bytes name)
{
    struct entry *entry;

    pthread_mutex_lock(&parameters->mutex);
    entry = find(parameters, component, vhost, name);
    if (entry != NULL)
        HASH_DEL(parameters->entries, entry);
    pthread_mutex_unlock(&parameters->mutex);
    free(entry);
    return entry != NULL;
}

char *parameters_get(struct parameters *parameters, struct bytes component, struct bytes vhost,
                     struct bytes name)
{
    const struct entry *entry;
    char *value = NULL;

    pthread_mutex_lock(&parameters->mutex);
    entry = find(parameters, component, vhost, name);
    if (entry != NULL)
        value = xmemdup(entry->parameter.value.data, entry->parameter.value.size + 1);
    pthread_mutex_unlock(&parameters->mutex);
    return value;
}

static struct bytes copy(struct bytes text)
{
    return (struct bytes){xmemdup(text.data, text.size + 1), text.size};
}

struct parameter *parameters_list(struct parameters *parameters, bool global, size_t *count)
{
    struct parameter *list;
    const struct entry *entry;

    pthread_mutex_lock(&parameters->mutex);
    *count = 0;
    list = xcalloc(HASH_COUNT(parameters->entries), sizeof *list);
    for (entry = parameters->entries; entry != NULL; entry = entry->hh.next) {
        const struct parameter *from = &entry->parameter;

        if ((from->component.size == 0) == global)
            list[(*count)++] = (struct parameter){copy(from->component), copy(from->vhost), copy(from->name),
                                                  copy(from->value)};
    }
    pthread_mutex_unlock(&parameters->mutex);
    return list;
}

static void give_back(struct bytes text)
{
    free((void *)(uintptr_t)text.data);
}

void parameters_list_free(struct parameter *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        give_back(list[i].component);
        give_back(list[i].vhost);
        give_back(list[i].name);
        give_back(list[i].value);
    }
    free(list);
}
