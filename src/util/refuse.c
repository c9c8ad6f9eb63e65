/* SPDX-License-Identifier: Apache-2.0 */
/* refuse.h. */
#include "coney/refuse.h"

#include <stdarg.h>
#include <stdio.h>

bool refuse(char *why, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, size, format, arguments);
    va_end(arguments);
    return false;
}
