/* SPDX-License-Identifier: Apache-2.0 */
/* Surveys under way (coney/survey.h), for those who remove what one may stand at. */
#ifndef BROKER_SURVEY_CURSOR_H
#define BROKER_SURVEY_CURSOR_H

struct vhost;

/* GONE is about to be removed, NEXT stands behind it: whoever was to go on at GONE goes on there. */
void survey_move_on(struct vhost *vhost, const void *gone, void *next);

#endif
