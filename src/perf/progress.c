/* SPDX-License-Identifier: Apache-2.0 */
/* progress.h: the same words as PerfTest, so that what reads these reads ours. */
#include "progress.h"

#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "options.h"
#include "samples.h"

FILE *progress_stream(const struct options *options)
{
    return options->json && strcmp(options->json, "-") == 0 ? stderr : stdout;
}

char *duration_text(char out[DURATION_SIZE], uint64_t ns)
{
    static const struct {
        uint64_t size;
        const char *name;
    } units[] = {{NS_PER_S, "s"}, {NS_PER_MS, "ms"}, {NS_PER_US, "us"}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        double value = (double)ns / (double)units[i].size;

        if (ns >= units[i].size) {
            snprintf(out, DURATION_SIZE, "%.*f %s",
                     value < 10    ? 2
                     : value < 100 ? 1
                                   : 0,
                     value, units[i].name);
            return out;
        }
    }
    snprintf(out, DURATION_SIZE, "%u ns", (unsigned)ns);
    return out;
}

static double us(uint64_t ns)
{
    return (double)ns / (double)NS_PER_US;
}

void progress_show(const struct options *options, const struct sample *sample)
{
    FILE *out = progress_stream(options);
    const struct quantiles *latency = &sample->latency, *confirm = &sample->confirm;
    bool is_terminal = isatty(fileno(out));

    fprintf(out, "%sid: %s, time %.3f s", is_terminal ? "\r\033[K" : "", options->id, sample->at);
    if (options->producers)
        fprintf(out, ", sent: %.0f msg/s", sample->sent);
    if (confirm->count)
        fprintf(out, ", confirmed: %.0f msg/s", sample->confirmed);
    if (options->consumers)
        fprintf(out, ", received: %.0f msg/s", sample->received);
    if (confirm->count)
        fprintf(out, ", median/99th confirm latency: %.0f/%.0f us", us(confirm->median), us(confirm->p99));
    if (latency->count)
        fprintf(out, ", min/median/75th/95th/99th consumer latency: %.0f/%.0f/%.0f/%.0f/%.0f us",
                us(latency->min), us(latency->median), us(latency->p75), us(latency->p95), us(latency->p99));
    fprintf(out, "%s", is_terminal ? "" : "\n");
    fflush(out);
}

void progress_end(const struct options *options)
{
    FILE *out = progress_stream(options);

    if (!options->is_quiet && isatty(fileno(out)))
        fprintf(out, "\n");
}
