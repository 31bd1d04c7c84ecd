/*
 * upstream_proc.h: starts the test upstream (upstream.c) beside a test and asks it what it saw. Any
 * thread; blocking. The program ends with the test, also when the test is killed: it holds one end
 * of a pipe.
 */
#ifndef TESTS_UPSTREAM_PROC_H
#define TESTS_UPSTREAM_PROC_H

#include <jansson.h>

struct upstream;

/* program: path of the built tests/lib/upstream; NULL = beside the running test's folder. Aborts,
 * saying why, when it cannot be started. */
struct upstream *upstream_start(const char *program);
void upstream_stop(struct upstream *);
int upstream_port(const struct upstream *);
/* "http://127.0.0.1:PORT/v1", for a provider's base_url. */
const char *upstream_base_url(const struct upstream *);
/* GET /stats, or GET /wait with this query ("disconnects=1", "active==0"); NULL when that did not
 * come within 30 s. A new reference. */
json_t *upstream_stats(struct upstream *);
json_t *upstream_wait(struct upstream *, const char *query);
/* One number of /stats. */
long long upstream_count(struct upstream *, const char *name);

#endif
