/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of parameters: components, values, and who is told. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/parameters.h"

#define B(text) BYTES_LITERAL(text)

static struct parameters *parameters;
static char why[PARAMETER_WHY_SIZE];
static char told[128];

static void set_up(void)
{
    parameters = parameters_new();
    told[0] = '\0';
}

static void tear_down(void)
{
    parameters_free(parameters);
}

TestSuite(parameters, .init = set_up, .fini = tear_down);

static bool set(struct bytes component, struct bytes vhost, struct bytes name, struct bytes value)
{
    return parameters_set(parameters, &(struct parameter){component, vhost, name, value});
}

static void expect_value(struct bytes component, struct bytes vhost, struct bytes name, const char *expected)
{
    char *value = parameters_get(parameters, component, vhost, name);

    if (expected == NULL)
        cr_expect_null(value);
    else
        cr_expect_str_eq(value, expected);
    free(value);
}

Test(parameters, the_last_value_counts_until_it_is_removed)
{
    cr_expect(set(B("c"), B("v"), B("n"), B("1")));
    cr_expect_not(set(B("c"), B("v"), B("n"), B("2")));
    expect_value(B("c"), B("v"), B("n"), "2");
    cr_expect(parameters_remove(parameters, B("c"), B("v"), B("n")));
    cr_expect_not(parameters_remove(parameters, B("c"), B("v"), B("n")));
    expect_value(B("c"), B("v"), B("n"), NULL);
}

Test(parameters, names_that_look_alike_together_are_different)
{
    set(B("a"), B("bc"), B("d"), B("1"));
    set(B("ab"), B("c"), B("d"), B("2"));
    set(B("a"), B("b"), B("cd"), B("3"));
    set(B(""), B(""), B("abcd"), B("4"));
    expect_value(B("a"), B("bc"), B("d"), "1");
    expect_value(B("ab"), B("c"), B("d"), "2");
    expect_value(B("a"), B("b"), B("cd"), "3");
    expect_value(B(""), B(""), B("abcd"), "4");
}

static void expect_count(bool global, size_t expected)
{
    size_t count;
    struct parameter *list = parameters_list(parameters, global, &count);

    cr_expect_eq(count, expected);
    parameters_list_free(list, count);
}

Test(parameters, global_ones_are_listed_apart)
{
    set(B(""), B(""), B("g"), B("1"));
    set(B("c"), B("v"), B("n"), B("1"));
    set(B("c"), B("w"), B("n"), B("1"));
    expect_count(true, 1);
    expect_count(false, 2);
}

static bool check(void *context, struct bytes vhost, struct bytes name, const json_t *value,
                  char reason[PARAMETER_WHY_SIZE])
{
    (void)context;
    (void)vhost;
    snprintf(reason, PARAMETER_WHY_SIZE, "%.*s is no number", BYTES_ARG(name));
    return json_is_integer(value);
}

static void changed(void *context, struct bytes vhost, struct bytes name)
{
    snprintf(context, sizeof told, "%.*s of %.*s", BYTES_ARG(name), BYTES_ARG(vhost));
}

static bool is_fine(struct bytes component, json_t *value)
{
    bool fine = parameters_check(parameters, component, B("v"), B("n"), value, why);

    json_decref(value);
    return fine;
}

Test(parameters, a_component_says_what_its_values_are)
{
    static const struct parameter_component plain = {.name = "c"}, strict = {"c", check, changed, told};

    cr_expect_not(is_fine(B("c"), json_object()));
    cr_expect_str_eq(why, "component c not found");
    parameters_add_component(parameters, &plain);
    cr_expect(parameters_has_component(parameters, B("c")));
    cr_expect(is_fine(B("c"), json_object()));
    cr_expect_not(is_fine(B("c"), json_integer(1)));
    parameters_tell(parameters, B("c"), B("v"), B("n"));
    parameters_add_component(parameters, &strict);
    cr_expect(is_fine(B("c"), json_integer(1)));
    cr_expect_not(is_fine(B("c"), json_object()));
    cr_expect_str_eq(why, "n is no number");
    cr_expect_str_eq(told, "");
    parameters_tell(parameters, B("c"), B("v"), B("n"));
    cr_expect_str_eq(told, "n of v");
}
