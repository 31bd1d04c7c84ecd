/*
 * metric.h: counters, gauges and histograms with one shard per loop, added up when somebody
 * scrapes.
 *
 * A shard is written by its thread alone, with relaxed atomics so that a scrape may read it: no
 * lock on the hot path. Threads without a loop use shard 0's neighbour, the control shard. A metric
 * is registered by name once and stays for the life of the process; registering the same name again
 * (a reloaded plugin) gives the same one, and another type or label fails.
 */
#ifndef HOST_METRIC_H
#define HOST_METRIC_H

#include "base/base.h"
#include "base/str.h"

#define METRIC_LABEL_VALUES_MAX 64

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
struct ins_metric;

void metric_init(unsigned n_loops);
void metric_thread(
    unsigned shard); /* this thread's shard from now on: loop i is i + 1, control is 0 */
/* NULL when the name is invalid or exists with another type or label. label may be NULL. */
struct ins_metric *metric_get(
    enum metric_type, const char *name, const char *help, const char *label);
void metric_add(struct ins_metric *, const char *label_value, double n);
void metric_observe(struct ins_metric *, double seconds);
/* A gauge that is computed at scrape time, on the scraping thread. */
void metric_func(const char *name, const char *help, double (*fn)(void *), void *arg);
/* Prometheus text format 0.0.4. */
void metric_render(struct str *);

#endif
