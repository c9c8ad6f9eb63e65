/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal at standard input, for who wants keys as they are pressed or a word that is not shown. However
 * the program ends, by exit() or by a signal of the keyboard, the terminal is as it was. */
#ifndef CTL_TERMINAL_H
#define CTL_TERMINAL_H

#include <stdbool.h>
#include <termios.h>

/* Switch FLAGS of c_lflag off, until terminal_restore() or the end. False if standard input is no terminal.
 */
bool terminal_change(tcflag_t flags);
void terminal_restore(void);

#endif
