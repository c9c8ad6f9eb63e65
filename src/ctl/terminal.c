/* SPDX-License-Identifier: Apache-2.0 */
/* terminal.h: what it was is kept aside, since exit() and signals pass no arguments. */
#include "terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t is_changed;

/* tcsetattr() may be called in a signal's handler. */
void terminal_restore(void)
{
    if (is_changed)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    is_changed = 0;
}

/* The handler is in place for one signal: the second time it ends the process. */
static void restore_and_end(int signal_number)
{
    terminal_restore();
    raise(signal_number);
}

bool terminal_change(tcflag_t flags)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    const struct sigaction ended = {.sa_handler = restore_and_end, .sa_flags = (int)SA_RESETHAND};
    struct termios changed;

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    is_changed = 1;
    atexit(terminal_restore);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        sigaction(ending[i], &ended, NULL);
    changed = before;
    changed.c_lflag &= ~flags;
    return tcsetattr(STDIN_FILENO, TCSANOW, &changed) == 0;
}
