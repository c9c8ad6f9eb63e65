/* SPDX-License-Identifier: Apache-2.0 */
/* vhost.h: what somebody outside ends, be it connections or all that does not last. */
#include "vhost_fields.h"

bool vhost_close_connection(struct vhost *vhost, uint64_t id, const char *text)
{
    struct connection *connection = connection_find(vhost, id);

    if (!connection)
        return false;
    connection_fail(connection, (enum method_id)0, REPLY_CONNECTION_FORCED, "%s", text);
    return true;
}
