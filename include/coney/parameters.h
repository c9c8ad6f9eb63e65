/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtime parameters as RabbitMQ has them: values with a name, which parts of the node ("components") are
 * configured by in a vhost, and global ones of the whole node, which mean what whoever put them says.
 * Operator policies and limits are parameters too when they are asked for, but are kept where they act
 * (policy.h, vhost.h).
 *
 * Thread-safe: one mutex, held for moments and never while anybody is called. Keeping what is set is the
 * business of who sets it (govern.h).
 */
#ifndef CONEY_PARAMETERS_H
#define CONEY_PARAMETERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "coney/bytes.h"

struct parameters;

#define PARAMETER_WHY_SIZE 512

/* What knows the values of one kind. Strings and context must last. */
struct parameter_component {
    const char *name;
    /* NULL: any object will do. False with WHY, as RabbitMQ words it after "Validation failed\n\n". Any
     * thread. */
    bool (*check)(void *context, struct bytes vhost, struct bytes name, const json_t *value,
                  char why[PARAMETER_WHY_SIZE]);
    /* NULL, or: it was set, or removed: look again. Any thread, which must not be held up; not called for
     * what is found at the start. */
    void (*changed)(void *context, struct bytes vhost, struct bytes name);
    void *context;
};

/* One of them; for a global one component and vhost are empty. VALUE is JSON text. */
struct parameter {
    struct bytes component, vhost, name, value;
};

/* Without components and values. Freed once nobody calls any more; NULL is fine. */
struct parameters *parameters_new(void);
void parameters_free(struct parameters *parameters);

/* From now on there are values of COMPONENT; one of that name that was there is replaced. */
void parameters_add_component(struct parameters *parameters, const struct parameter_component *component);

/* False with WHY when there is no such component, or VALUE is none of its. */
bool parameters_check(struct parameters *parameters, struct bytes component, struct bytes vhost,
                      struct bytes name, const json_t *value, char why[PARAMETER_WHY_SIZE]);
bool parameters_has_component(struct parameters *parameters, struct bytes name);

/* Store a value, unchecked; true when there was none. */
bool parameters_set(struct parameters *parameters, const struct parameter *parameter);

/* The same with a value that is not text yet; NULL: null. */
void parameters_set_json(struct parameters *parameters, struct bytes component, struct bytes vhost,
                         struct bytes name, const json_t *value);

/* Remove it; false when there is none. */
bool parameters_remove(struct parameters *parameters, struct bytes component, struct bytes vhost,
                       struct bytes name);

/* Tell the component that NAME was set or removed. */
void parameters_tell(struct parameters *parameters, struct bytes component, struct bytes vhost,
                     struct bytes name);

/* A copy of the value, to be freed; NULL when there is none. */
char *parameters_get(struct parameters *parameters, struct bytes component, struct bytes vhost,
                     struct bytes name);

/* A copy of all but the global ones, or of the global ones, in no order; to be given back. What VALUE points
 * to ends with a NUL. */
struct parameter *parameters_list(struct parameters *parameters, bool global, size_t *count);
void parameters_list_free(struct parameter *list, size_t count);

#endif
