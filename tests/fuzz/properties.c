/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz the properties codec: the input is the flags word and the values of a content header. */
#include "properties_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_properties((struct bytes){data, size});
    return 0;
}
