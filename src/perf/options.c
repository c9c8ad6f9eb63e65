/* SPDX-License-Identifier: Apache-2.0 */
/* options.h: the table of options, what reads it, and what of the values goes together. */
#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coney/bytes.h"
#include "coney/frame.h"
#include "coney/properties.h"
#include "coney/refuse.h"
#include "coney/xalloc.h"
#include "stamp.h"
#include "values.h"

enum kind { FLAG, NUMBER, LARGE, DECIMAL, TEXT, URI, URIS, ID, STEPS };

struct option {
    const char *longer, *shorter; /* without dashes; shorter "" if there is none */
    enum kind kind;
    size_t place; /* offset of the member */
    const char *argument;
    const char *help; /* NULL: an empty line goes before, with ARGUMENT as its title */
};

#define AT(member) offsetof(struct options, member)

static const struct option known[] = {
    {"", "", FLAG, 0, "Where", NULL},
    {"uri", "h", URI, AT(uris), "URI",
     "amqp://user:password@host:port/vhost, or amqps:; several are used in turn"},
    {"uris", "H", URIS, AT(uris), "URI,...", "several at once"},
    {"cacert", "", TEXT, AT(cacert), "FILE", "whose certificates are trusted"},
    {"cert", "", TEXT, AT(cert), "FILE", "our certificate"},
    {"key", "", TEXT, AT(key), "FILE", "its key"},
    {"server-name-indication", "sni", TEXT, AT(server_name), "NAME",
     "the server's name, if it is not the host's"},
    {"insecure", "", FLAG, AT(is_insecure), "", "look at no certificate"},
    {"framemax", "M", NUMBER, AT(frame_max), "OCTETS", "largest frame"},
    {"heartbeat", "b", NUMBER, AT(heartbeat), "SECONDS", "0: none, the default"},

    {"", "", FLAG, 0, "Publishers and consumers", NULL},
    {"producers", "x", NUMBER, AT(producers), "N", "connections that publish; 1"},
    {"consumers", "y", NUMBER, AT(consumers), "N", "connections that consume; 1"},
    {"producer-channel-count", "X", NUMBER, AT(producer_channels), "N", "channels of each, each a publisher"},
    {"consumer-channel-count", "Y", NUMBER, AT(consumer_channels), "N", "channels of each, each a consumer"},
    {"threads", "", NUMBER, AT(threads), "N", "of this program; 1"},

    {"", "", FLAG, 0, "How long", NULL},
    {"time", "z", DECIMAL, AT(time), "SECONDS", "publish so long; without it until interrupted"},
    {"pmessages", "C", LARGE, AT(pmessages), "N", "messages of each publisher"},
    {"cmessages", "D", LARGE, AT(cmessages), "N", "messages of each consumer"},
    {"shutdown-timeout", "st", DECIMAL, AT(shutdown_timeout), "SECONDS",
     "without a message until consumers end; 5"},

    {"", "", FLAG, 0, "Messages", NULL},
    {"size", "s", LARGE, AT(size), "OCTETS", "of a body; 32"},
    {"variable-size", "vs", STEPS, AT(sizes), "OCTETS:SECONDS", "several, gone through again and again"},
    {"rate", "r", DECIMAL, AT(rate), "N", "messages a second of each publisher; -1: no limit"},
    {"variable-rate", "vr", STEPS, AT(rates), "N:SECONDS", "several, gone through again and again"},
    {"publishing-interval", "P", DECIMAL, AT(interval_of_publishing), "SECONDS", "one message in each"},
    {"confirm", "c", NUMBER, AT(confirm), "N", "publisher confirms, N messages at most without one"},
    {"confirm-timeout", "ct", DECIMAL, AT(confirm_timeout), "SECONDS",
     "without a confirm until giving up; 30"},
    {"flag", "f", TEXT, AT(flags), "FLAG,...", "persistent, mandatory"},
    {"message-properties", "mp", TEXT, AT(properties), "NAME=VALUE,...",
     "others than properties are headers"},

    {"", "", FLAG, 0, "Consuming", NULL},
    {"qos", "q", NUMBER, AT(qos), "N", "prefetch of each consumer"},
    {"global-qos", "Q", NUMBER, AT(global_qos), "N", "prefetch of each channel"},
    {"multi-ack-every", "A", NUMBER, AT(ack_every), "N", "one ack for N messages; 1"},
    {"autoack", "a", FLAG, AT(is_autoack), "", "none at all"},
    {"nack", "na", FLAG, AT(is_nack), "", "nack instead of ack"},
    {"requeue", "re", TEXT, AT(requeue), "true|false", "with --nack; true"},
    {"consumer-rate", "R", DECIMAL, AT(consumer_rate), "N", "messages a second of each consumer"},

    {"", "", FLAG, 0, "Exchange and queues", NULL},
    {"type", "t", TEXT, AT(type), "TYPE", "of the exchange; direct"},
    {"exchange", "e", TEXT, AT(exchange), "NAME", "without it and --type: the default exchange"},
    {"queue", "u", TEXT, AT(queue), "NAME,...", "without it: one that is made up and deleted"},
    {"queue-pattern", "qp", TEXT, AT(pattern), "PATTERN", "names with a number in place of %d"},
    {"queue-pattern-from", "qpf", NUMBER, AT(pattern_from), "N", "the first number; 1"},
    {"queue-pattern-to", "qpt", NUMBER, AT(pattern_to), "N", "the last one"},
    {"routing-key", "k", TEXT, AT(routing_key), "KEY", "without it: the queue's name"},
    {"random-routing-key", "K", FLAG, AT(is_random_key), "", "another for each message"},
    {"queue-args", "qa", TEXT, AT(queue_args), "NAME=VALUE,...", "arguments of the queues"},
    {"quorum-queue", "qq", FLAG, AT(is_quorum), "",
     "the same as --queue-args x-queue-type=quorum -f persistent -ad false"},
    {"auto-delete", "ad", TEXT, AT(auto_delete), "true|false", "of the queues; true"},
    {"exclusive", "E", FLAG, AT(is_exclusive), "", "one consumer for each queue"},
    {"predeclared", "p", FLAG, AT(is_predeclared), "", "declare nothing"},
    {"skip-binding-queues", "sb", FLAG, AT(skips_binding), "", "bind nothing"},

    {"", "", FLAG, 0, "What is measured", NULL},
    {"drain", "", FLAG, AT(is_drain), "", "publish all (--pmessages), and only then consume"},
    {"churn", "", TEXT, AT(churned), "WHAT", "open and close connections, channels, queues or bindings"},
    {"check", "", FLAG, AT(is_check), "",
     "account for every message: exit code 3 if any is lost, doubled or damaged"},
    {"use-millis", "ms", FLAG, AT(uses_wall_clock), "",
     "the wall clock: for publishers and consumers on two machines"},

    {"", "", FLAG, 0, "Output", NULL},
    {"interval", "i", DECIMAL, AT(interval), "SECONDS", "between lines and samples; 1"},
    {"id", "d", ID, AT(id), "NAME", "of the run"},
    {"json", "", TEXT, AT(json), "FILE", "all figures; - is standard output"},
    {"chart", "", TEXT, AT(chart), "FILE", "rates and latencies over time: FILE.svg or FILE.html"},
    {"quiet", "", FLAG, AT(is_quiet), "", "no progress lines"},
    {"help", "?", FLAG, AT(is_help), "", "this text"},
    {"version", "v", FLAG, AT(is_version), "", ""},
};

#define KNOWN (sizeof known / sizeof *known)

/* ---- reading ---- */

static const struct option *find(const char *word, size_t size, bool is_longer)
{
    for (size_t i = 0; i < KNOWN; i++) {
        const char *name = is_longer ? known[i].longer : known[i].shorter;

        if (known[i].help && strlen(name) == size && strncmp(name, word, size) == 0)
            return &known[i];
    }
    return NULL;
}

static bool take(struct options *options, const struct option *option, const char *value, char *why)
{
    void *place = (char *)options + option->place;
    uint64_t number;

    switch (option->kind) {
    case FLAG:
        *(bool *)place = true;
        return true;
    case NUMBER:
        if (!value_number(value, UINT32_MAX, &number))
            return refuse(why, OPTIONS_WHY_SIZE, "--%s wants a number, not '%s'", option->longer, value);
        *(uint32_t *)place = (uint32_t)number;
        return true;
    case LARGE:
        return value_number(value, INT64_MAX, place) ||
               refuse(why, OPTIONS_WHY_SIZE, "--%s wants a number, not '%s'", option->longer, value);
    case DECIMAL:
        return value_decimal(value, place) ||
               refuse(why, OPTIONS_WHY_SIZE, "--%s wants a number, not '%s'", option->longer, value);
    case STEPS:
        return schedule_read(place, value) ||
               refuse(why, OPTIONS_WHY_SIZE,
                      "--%s wants VALUE:SECONDS, such as 200:30, at most %d times, not '%s'", option->longer,
                      SCHEDULE_STEPS_MAX, value);
    case URI: /* a password may have a comma in it */
        options->uris = xrealloc(options->uris, (options->uri_count + 1) * sizeof *options->uris);
        options->uris[options->uri_count++] = xstrdup(value);
        return true;
    case URIS:
        value_list(value, &options->uris, &options->uri_count);
        return true;
    case ID:
        free(options->id);
        options->id = xstrdup(value);
        return true;
    default:
        *(const char **)place = value;
        return true;
    }
}

static bool read_words(struct options *options, int argc, char **argv, char *why)
{
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *value;
        size_t dashes = strspn(word, "-"), size;
        const struct option *option;

        if (dashes == 0 || dashes > 2 || !word[dashes])
            return refuse(why, OPTIONS_WHY_SIZE, "what is '%s'? All arguments are options; --help lists them",
                          word);
        size = strcspn(word + dashes, "=");
        value = word[dashes + size] ? word + dashes + size + 1 : NULL;
        option = find(word + dashes, size, dashes == 2);
        if (!option)
            return refuse(why, OPTIONS_WHY_SIZE, "there is no option %.*s; --help lists them",
                          (int)(dashes + size), word);
        if (option->kind != FLAG && !value)
            value = ++i < argc ? argv[i] : NULL;
        if (option->kind != FLAG && !value)
            return refuse(why, OPTIONS_WHY_SIZE, "%s wants %s behind it", word, option->argument);
        if (option->kind == FLAG && value)
            return refuse(why, OPTIONS_WHY_SIZE, "--%s takes no value", option->longer);
        if (!take(options, option, value, why))
            return false;
    }
    return true;
}

/* ---- what goes together ---- */

char *options_pattern(const char *pattern, unsigned number)
{
    const char *percent = strchr(pattern, '%'), *end;
    size_t size = strlen(pattern) + 64;
    char digits[64], *out;
    int width;

    if (!percent || strchr(percent + 1, '%'))
        return NULL;
    end = percent + 1 + strspn(percent + 1, "0123456789");
    if (*end != 'd' || end - percent > 3)
        return NULL;
    width = atoi(percent + 1); /* NOLINT(cert-err34-c): at most two digits, or none */
    if (percent[1] == '0')
        snprintf(digits, sizeof digits, "%0*u", width, number);
    else
        snprintf(digits, sizeof digits, "%*u", width, number);
    out = xmalloc(size);
    snprintf(out, size, "%.*s%s%s", (int)(percent - pattern), pattern, digits, end + 1);
    return out;
}

static bool take_names(struct options *options, char *why)
{
    if (options->pattern) {
        if (options->queue)
            return refuse(why, OPTIONS_WHY_SIZE, "--queue and --queue-pattern exclude each other");
        if (options->pattern_to < options->pattern_from)
            return refuse(why, OPTIONS_WHY_SIZE, "--queue-pattern wants a --queue-pattern-to of at least %u",
                          options->pattern_from);
        for (unsigned i = options->pattern_from; i <= options->pattern_to; i++) {
            char *name = options_pattern(options->pattern, i);

            if (!name)
                return refuse(why, OPTIONS_WHY_SIZE, "--queue-pattern wants one %%d in it, not '%s'",
                              options->pattern);
            options->queues = xrealloc(options->queues, (options->queue_count + 1) * sizeof *options->queues);
            options->queues[options->queue_count++] = name;
        }
    } else if (options->queue) {
        value_list(options->queue, &options->queues, &options->queue_count);
    }
    for (size_t i = 0; i < options->queue_count; i++)
        if (strlen(options->queues[i]) > SHORTSTR_MAX)
            return refuse(why, OPTIONS_WHY_SIZE, "a queue's name has at most %d octets", SHORTSTR_MAX);
    return true;
}

static bool take_flags(struct options *options, char *why)
{
    const char **flags = NULL;
    size_t count = 0;
    bool is_sound = true;

    if (options->flags)
        value_list(options->flags, &flags, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(flags[i], "persistent") == 0)
            options->is_persistent = true;
        else if (strcmp(flags[i], "mandatory") == 0)
            options->is_mandatory = true;
        else
            is_sound =
                refuse(why, OPTIONS_WHY_SIZE, "--flag knows persistent and mandatory, not '%s'", flags[i]);
        free((void *)(uintptr_t)flags[i]);
    }
    free(flags);
    return is_sound;
}

static bool take_tables(struct options *options, char *why)
{
    char wrong[64];

    if (options->is_quorum && !value_table("x-queue-type=quorum", &options->arguments))
        return false;
    if (options->queue_args && !value_table(options->queue_args, &options->arguments))
        return refuse(why, OPTIONS_WHY_SIZE, "--queue-args wants NAME=VALUE,..., not '%s'",
                      options->queue_args);
    if (!value_properties(options->properties, options->is_persistent, &options->encoded_properties,
                          &options->headers, wrong))
        return refuse(why, OPTIONS_WHY_SIZE,
                      "--message-properties: '%s' is no NAME=VALUE, or not a value for it", wrong);
    return options->encoded_properties.size <= FRAME_MIN_SIZE / 2 ||
           refuse(why, OPTIONS_WHY_SIZE, "--message-properties: too long");
}

static bool take_truths(struct options *options, char *why)
{
    bool requeue = true;

    options->is_auto_delete = !options->is_quorum;
    options->is_persistent |= options->is_quorum;
    if (options->auto_delete && !value_truth(options->auto_delete, &options->is_auto_delete))
        return refuse(why, OPTIONS_WHY_SIZE, "--auto-delete is true or false");
    if (options->requeue && !value_truth(options->requeue, &requeue))
        return refuse(why, OPTIONS_WHY_SIZE, "--requeue is true or false");
    if (options->is_nack && options->is_autoack)
        return refuse(why, OPTIONS_WHY_SIZE, "--nack and --autoack exclude each other");
    if (!requeue)
        options->requeue = NULL;
    else
        options->requeue = "true";
    return true;
}

static bool take_rates(struct options *options, char *why)
{
    if (options->interval_of_publishing < 0)
        return refuse(why, OPTIONS_WHY_SIZE, "--publishing-interval wants seconds");
    if (options->rates.count && (options->rate >= 0 || options->interval_of_publishing > 0))
        return refuse(why, OPTIONS_WHY_SIZE, "--variable-rate excludes --rate and --publishing-interval");
    if (options->interval_of_publishing > 0)
        options->rates = schedule_steady(1 / options->interval_of_publishing);
    else if (options->rate >= 0)
        options->rates = schedule_steady(options->rate);
    for (size_t i = 0; i < options->sizes.count; i++)
        if (options->sizes.steps[i].value > INT32_MAX)
            return refuse(why, OPTIONS_WHY_SIZE, "--variable-size: at most %d octets", INT32_MAX);
    return options->size <= INT32_MAX ||
           refuse(why, OPTIONS_WHY_SIZE, "--size: at most %d octets", INT32_MAX);
}

static bool take_churn(struct options *options, char *why)
{
    static const char *const names[] = {"", "connections", "channels", "queues", "bindings"};

    for (int i = CHURN_CONNECTIONS; options->churned && i <= CHURN_BINDINGS; i++)
        if (strcmp(options->churned, names[i]) == 0)
            options->churn = (enum churn)i;
    return !options->churned || options->churn != CHURN_NONE ||
           refuse(why, OPTIONS_WHY_SIZE, "--churn knows connections, channels, queues and bindings, not '%s'",
                  options->churned);
}

static bool smallest_size_is(const struct options *options, uint64_t least)
{
    for (size_t i = 0; i < options->sizes.count; i++)
        if (options->sizes.steps[i].value < (double)least)
            return false;
    return options->sizes.count || options->size >= least;
}

static bool check_limits(const struct options *options, char *why)
{
    if (options->is_check && !smallest_size_is(options, STAMP_SIZE))
        return refuse(why, OPTIONS_WHY_SIZE,
                      "--check wants a --size of at least %d, for what it writes into every message",
                      STAMP_SIZE);
    if (options->is_check && (!options->producers || !options->consumers))
        return refuse(why, OPTIONS_WHY_SIZE, "--check wants producers and consumers in one run");
    if (options->is_drain && !options->pmessages)
        return refuse(why, OPTIONS_WHY_SIZE,
                      "--drain wants --pmessages: how many are published before they are consumed");
    if (options->is_drain && (!options->producers || !options->consumers))
        return refuse(why, OPTIONS_WHY_SIZE, "--drain wants producers and consumers");
    if (options->threads < 1 || options->threads > 256)
        return refuse(why, OPTIONS_WHY_SIZE, "--threads is from 1 to 256");
    if (options->producer_channels < 1 || options->consumer_channels < 1)
        return refuse(why, OPTIONS_WHY_SIZE, "a connection has at least one channel");
    if (options->frame_max && options->frame_max < FRAME_MIN_SIZE)
        return refuse(why, OPTIONS_WHY_SIZE, "--framemax is at least %d", FRAME_MIN_SIZE);
    if (options->heartbeat > UINT16_MAX || options->qos > UINT16_MAX || options->global_qos > UINT16_MAX)
        return refuse(why, OPTIONS_WHY_SIZE, "--heartbeat, --qos and --global-qos are at most %d",
                      UINT16_MAX);
    if (options->ack_every < 1)
        return refuse(why, OPTIONS_WHY_SIZE, "--multi-ack-every is at least 1");
    if (options->interval <= 0 || options->time < 0)
        return refuse(why, OPTIONS_WHY_SIZE, "--interval and --time are more than 0 seconds");
    if (options->exchange && strlen(options->exchange) > SHORTSTR_MAX)
        return refuse(why, OPTIONS_WHY_SIZE, "an exchange's name has at most %d octets", SHORTSTR_MAX);
    if (options->routing_key && strlen(options->routing_key) > SHORTSTR_MAX)
        return refuse(why, OPTIONS_WHY_SIZE, "a routing key has at most %d octets", SHORTSTR_MAX);
    if (options->is_predeclared && !options->queue_count && options->consumers)
        return refuse(why, OPTIONS_WHY_SIZE, "--predeclared wants to know the --queue to consume from");
    return true;
}

static void set_defaults(struct options *options)
{
    char text[64];
    time_t now = time(NULL);
    struct tm local;

    *options = (struct options){.threads = 1,
                                .producers = 1,
                                .consumers = 1,
                                .producer_channels = 1,
                                .consumer_channels = 1,
                                .size = STAMP_SIZE,
                                .rate = -1,
                                .consumer_rate = -1,
                                .confirm_timeout = 30,
                                .ack_every = 1,
                                .pattern_from = 1,
                                .shutdown_timeout = 5,
                                .interval = 1};
    localtime_r(&now, &local);
    strftime(text, sizeof text, "test-%H%M%S", &local);
    options->id = xstrdup(text);
}

bool options_read(struct options *options, int argc, char **argv, char why[OPTIONS_WHY_SIZE])
{
    set_defaults(options);
    if (!read_words(options, argc, argv, why))
        return false;
    if (options->is_help || options->is_version)
        return true;
    if (options->uri_count == 0)
        value_list("amqp://guest:guest@localhost:5672", &options->uris, &options->uri_count);
    if (!take_flags(options, why) || !take_truths(options, why) || !take_names(options, why) ||
        !take_tables(options, why) || !take_rates(options, why) || !take_churn(options, why) ||
        !check_limits(options, why))
        return false;
    /* Whoever acknowledges less often than the broker waits for would wait for ever. */
    if (options->qos && options->ack_every > options->qos)
        options->ack_every = options->qos;
    if (options->global_qos && options->ack_every > options->global_qos)
        options->ack_every = options->global_qos;
    return true;
}

static void free_list(const char **list, size_t count)
{
    while (count)
        free((void *)(uintptr_t)list[--count]);
    free(list);
}

void options_free(struct options *options)
{
    free_list(options->uris, options->uri_count);
    free_list(options->queues, options->queue_count);
    free(options->id);
    buffer_free(&options->encoded_properties);
    buffer_free(&options->headers);
    buffer_free(&options->arguments);
    *options = (struct options){0};
}

void options_help(FILE *out)
{
    for (size_t i = 0; i < KNOWN; i++) {
        const struct option *option = &known[i];
        char names[80];

        if (!option->help) {
            fprintf(out, "\n%s:\n", option->argument);
            continue;
        }
        snprintf(names, sizeof names, "%s%s%s--%s%s%s", *option->shorter ? "-" : "", option->shorter,
                 *option->shorter ? ", " : "", option->longer, *option->argument ? " " : "",
                 option->argument);
        fprintf(out, "  %-42s %s\n", names, option->help);
    }
}
