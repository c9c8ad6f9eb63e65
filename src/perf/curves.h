/* SPDX-License-Identifier: Apache-2.0 */
/* `coneyperf chart`: draws what others have measured, points that it is given as JSON. */
#ifndef PERF_CURVES_H
#define PERF_CURVES_H

/* The command line behind `chart`. Returns an exit code of options.h. */
int curves(int argc, char **argv);

#endif
