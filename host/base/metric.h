/*
 * metric.h: counters, gauges and histograms with one shard per loop, added up when somebody
 * scrapes.
 *
 * A shard is written by its thread alone, with relaxed atomics so that a scrape may read it: no
 * lock on the hot path. Threads without a loop share the control shard, 0, where additions compare
 * and swap. A metric is registered by name once and stays for the life of the process; registering
 * the same name again (a reloaded plugin) gives the same one, and another type or label fails.
 */
#ifndef HOST_METRIC_H
#define HOST_METRIC_H

#include "base/base.h"
#include "base/str.h"

#define METRIC_LABEL_VALUES_MAX 64 /* of one metric; further values count as "other" */
#define METRIC_LABEL_LEN_MAX 128   /* bytes of a label's value; longer ones are "other" */
#define METRICS_MAX 512            /* names; metric_get gives NULL past this */
#define METRIC_SHARDS_MAX 65

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
struct ins_metric;

/* Says how many loops there are and registers what is told of the process itself (memory, CPU
 * seconds, descriptors, start time, log lines lost). Idempotent. */
void metric_init(unsigned n_loops);
void metric_thread(
    unsigned shard); /* this thread's shard from now on: loop i is i + 1, control is 0 */
/* NULL when the name is invalid or exists with another type or label, or when there are too many.
 * label may be NULL, and is NULL for a histogram. Texts are copied. */
struct ins_metric *metric_get(
    enum metric_type, const char *name, const char *help, const char *label);
/* label_value is NULL without a label. A negative or not finite n does not change a counter. */
void metric_add(struct ins_metric *, const char *label_value, double n);
void metric_observe(struct ins_metric *, double seconds);
/* A gauge that is computed at scrape time, on the scraping thread. The same name again replaces the
 * function; fn == NULL removes it. */
void metric_func(const char *name, const char *help, double (*fn)(void *), void *arg);
/* Prometheus text format 0.0.4. Any thread. */
void metric_render(struct str *);

#endif
