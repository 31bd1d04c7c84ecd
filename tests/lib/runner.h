/*
 * runner.h: runs of the workflow `stepper` through the API of a built host (house.h), for the tests
 * of the run engine. `c` is the client that they go through, `trace` the file that stepper writes
 * to.
 */
#ifndef TESTS_RUNNER_H
#define TESTS_RUNNER_H

#include "tests/lib/house.h"

extern struct client *c;
extern char trace[128];

const char *text(const json_t *j, const char *key);
json_int_t number(const json_t *j, const char *key);
/* Begins a run of stepper; its id (static). */
const char *begin(const char *input);
/* Runs to the end; the answer, the client's until its next call. */
const json_t *run(const char *input);
const json_t *get(const char *id);
void nap(void);
/* Asks until the run has this status. */
const json_t *until(const char *id, const char *status);
/* The types of the events, as "RunStarted StepCompleted RunEnded"; checks that there is no gap. */
const char *types(const json_t *run_json);
/* How often the file says that a step was called; name "" = any. */
int called(const char *id, const char *name);
void until_called(const char *id, const char *name, int times);
/* kill -9 of the host, and its next start; `c` is a new client. */
void crash(void);

#endif
