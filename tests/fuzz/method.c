/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz the method codec: the input is the payload of a method frame. */
#include "method_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_method((struct bytes){data, size});
    return 0;
}
