/*
 * metric.c: the registry of metrics, their shards, and the Prometheus text.
 *
 * Registration and scraping take one lock; adding takes none. A label's values are an append-only
 * array: a place is filled in under the lock, then its count is published, so readers need no lock.
 * Cells of a shard are made by the first addition of the shard's thread.
 */
#include "base/metric.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

#define METRIC_MAGIC 0x4d455452u
#define OTHER METRIC_LABEL_VALUES_MAX /* the place of "other" */

/* OpenTelemetry's boundaries of http.server.request.duration. */
static const double bounds[] = { .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10 };
static const char *const bound_texts[] = { "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25",
	"0.5", "0.75", "1", "2.5", "5", "7.5", "10" };
#define N_BOUNDS NELEM(bounds)
/* cells of a histogram: one per bucket, the one above all bounds, and the sum */
#define CELL_SUM (N_BOUNDS + 1)
#define N_HISTOGRAM_CELLS (N_BOUNDS + 2)

struct ins_metric {
	uint32_t magic;
	enum metric_type type;
	const char *name, *help, *label;
	double (*fn)(void *); /* a computed gauge */
	void *fn_arg;
	unsigned n_values; /* published with release */
	const char *values[METRIC_LABEL_VALUES_MAX];
	double *cells[METRIC_SHARDS_MAX]; /* n_cells each */
	unsigned n_cells;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ins_metric *metrics[METRICS_MAX];
static unsigned n_metrics;
static __thread unsigned this_shard;

void
metric_thread(unsigned shard)
{
	ASSERT(shard < METRIC_SHARDS_MAX);
	this_shard = shard;
}

/* [a-zA-Z_:][a-zA-Z0-9_:]*; a label key has no colon and no leading "__". */
static int
name_valid(const char *z, int is_label)
{
	if (z[0] == '\0' || strlen(z) > METRIC_LABEL_LEN_MAX)
		return 0;
	if (is_label && (strncmp(z, "__", 2) == 0 || strcmp(z, "le") == 0))
		return 0;
	for (const char *p = z; *p != '\0'; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_')
			continue;
		if (*p == ':' && !is_label)
			continue;
		if (*p >= '0' && *p <= '9' && p > z)
			continue;
		return 0;
	}
	return 1;
}

static struct ins_metric *
find(const char *name)
{
	for (unsigned i = 0; i < n_metrics; i++)
		if (strcmp(metrics[i]->name, name) == 0)
			return metrics[i];
	return NULL;
}

/* With the lock. NULL when there are too many. */
static struct ins_metric *
make(enum metric_type type, const char *name, const char *help, const char *label)
{
	struct ins_metric *m;

	if (n_metrics == METRICS_MAX)
		return NULL;
	m = base_alloc(sizeof *m);
	m->magic = METRIC_MAGIC;
	m->type = type;
	m->name = base_strdup(name);
	m->help = base_strdup(help == NULL ? "" : help);
	m->label = label == NULL ? NULL : base_strdup(label);
	m->n_cells = type == METRIC_HISTOGRAM ? N_HISTOGRAM_CELLS : label != NULL ? OTHER + 1 : 1;
	metrics[n_metrics++] = m;
	return m;
}

struct ins_metric *
metric_get(enum metric_type type, const char *name, const char *help, const char *label)
{
	struct ins_metric *m;

	if (!name_valid(name, 0) || (label != NULL && !name_valid(label, 1)) ||
	    (label != NULL && type == METRIC_HISTOGRAM))
		return NULL;
	AZ(pthread_mutex_lock(&lock));
	m = find(name);
	if (m == NULL)
		m = make(type, name, help, label);
	else if (m->type != type || m->fn != NULL || (m->label == NULL) != (label == NULL) ||
	    (label != NULL && strcmp(m->label, label) != 0))
		m = NULL;
	AZ(pthread_mutex_unlock(&lock));
	return m;
}

static void
func_set(enum metric_type type, const char *name, const char *help, double (*fn)(void *), void *arg)
{
	struct ins_metric *m;

	ASSERT(name_valid(name, 0));
	AZ(pthread_mutex_lock(&lock));
	m = find(name);
	if (m == NULL)
		m = make(type, name, help, NULL);
	if (m != NULL) {
		ASSERT(m->type == type && m->label == NULL);
		m->fn = fn;
		m->fn_arg = arg;
	}
	AZ(pthread_mutex_unlock(&lock));
}

void
metric_func(const char *name, const char *help, double (*fn)(void *), void *arg)
{
	func_set(METRIC_GAUGE, name, help, fn, arg);
}

/* This thread's cells; racing makers (control shard only) settle it by compare and swap. */
static double *
cells_of(struct ins_metric *m)
{
	double *c = __atomic_load_n(&m->cells[this_shard], __ATOMIC_ACQUIRE), *mine;
	void *p;

	if (__builtin_expect(c != NULL, 1))
		return c;
	/* a cache line of its own: neighbours in memory belong to other threads */
	AZ(posix_memalign(&p, 64, (m->n_cells * sizeof *mine + 63) & ~(size_t)63));
	mine = memset(p, 0, m->n_cells * sizeof *mine);
	if (__atomic_compare_exchange_n(
		&m->cells[this_shard], &c, mine, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return mine;
	free(mine);
	return c;
}

static double
cell_load(const double *cell)
{
	double v;

	__atomic_load(cell, &v, __ATOMIC_RELAXED);
	return v;
}

static void
cell_add(double *cell, double n)
{
	double v = cell_load(cell), sum = v + n;

	if (this_shard != 0) {
		__atomic_store(cell, &sum, __ATOMIC_RELAXED);
		return;
	}
	while (!__atomic_compare_exchange(cell, &v, &sum, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		sum = v + n;
}

/* Place of a label's value; adds it while there is room. */
static unsigned
value_index(struct ins_metric *m, const char *value)
{
	unsigned i = 0, n = __atomic_load_n(&m->n_values, __ATOMIC_ACQUIRE);

	if (value == NULL)
		value = "";
	for (; i < n; i++)
		if (strcmp(m->values[i], value) == 0)
			return i;
	if (n == METRIC_LABEL_VALUES_MAX || strlen(value) > METRIC_LABEL_LEN_MAX)
		return OTHER;
	AZ(pthread_mutex_lock(&lock));
	n = m->n_values;
	for (i = 0; i < n; i++)
		if (strcmp(m->values[i], value) == 0)
			break;
	if (i == n) {
		if (n == METRIC_LABEL_VALUES_MAX) {
			i = OTHER;
		} else {
			m->values[n] = base_strdup(value);
			__atomic_store_n(&m->n_values, n + 1, __ATOMIC_RELEASE);
		}
	}
	AZ(pthread_mutex_unlock(&lock));
	return i;
}

void
metric_add(struct ins_metric *m, const char *label_value, double n)
{
	CHECK_OBJ(m, METRIC_MAGIC);
	if (m->type == METRIC_HISTOGRAM || !isfinite(n) || (m->type == METRIC_COUNTER && n < 0))
		return;
	cell_add(cells_of(m) + (m->label == NULL ? 0 : value_index(m, label_value)), n);
}

void
metric_observe(struct ins_metric *m, double seconds)
{
	double *cells;
	size_t i = 0;

	CHECK_OBJ(m, METRIC_MAGIC);
	if (m->type != METRIC_HISTOGRAM || !isfinite(seconds))
		return;
	while (i < N_BOUNDS && seconds > bounds[i])
		i++;
	cells = cells_of(m);
	cell_add(cells + i, 1);
	cell_add(cells + CELL_SUM, seconds);
}

static double
cell_sum(const struct ins_metric *m, unsigned i)
{
	double sum = 0;

	for (unsigned s = 0; s < METRIC_SHARDS_MAX; s++) {
		const double *c = __atomic_load_n(&m->cells[s], __ATOMIC_ACQUIRE);

		if (c != NULL)
			sum += cell_load(c + i);
	}
	return sum;
}

/* HELP escapes backslash and line feed; a label's value the quote too. */
static void
add_escaped(struct str *s, const char *z, int quote)
{
	for (; *z != '\0'; z++) {
		if (*z == '\n')
			str_add(s, "\\n", 2);
		else if (*z == '\\')
			str_add(s, "\\\\", 2);
		else if (*z == '"' && quote)
			str_add(s, "\\\"", 2);
		else
			str_add(s, z, 1);
	}
}

static void
add_value(struct str *s, double v)
{
	if (isnan(v))
		str_addz(s, " NaN\n");
	else if (isinf(v))
		str_addz(s, v > 0 ? " +Inf\n" : " -Inf\n");
	else
		str_addf(s, " %.*g\n", v == floor(v) && fabs(v) < 1e15 ? 16 : 12, v);
}

static void
render_histogram(struct str *s, const struct ins_metric *m)
{
	double total = 0;

	for (unsigned i = 0; i <= N_BOUNDS; i++) {
		total += cell_sum(m, i);
		str_addf(
		    s, "%s_bucket{le=\"%s\"}", m->name, i < N_BOUNDS ? bound_texts[i] : "+Inf");
		add_value(s, total);
	}
	str_addf(s, "%s_sum", m->name);
	add_value(s, cell_sum(m, CELL_SUM));
	/* the same sum as the last bucket: read twice they could differ */
	str_addf(s, "%s_count", m->name);
	add_value(s, total);
}

static void
render_labelled(struct str *s, const struct ins_metric *m)
{
	unsigned n = __atomic_load_n(&m->n_values, __ATOMIC_ACQUIRE);
	double other = cell_sum(m, OTHER);

	for (unsigned i = 0; i < n; i++) {
		double v = cell_sum(m, i);

		/* a real value "other" and the fold are one sample, not two of the same name */
		if (strcmp(m->values[i], "other") == 0) {
			v += other;
			other = 0;
		}
		str_addf(s, "%s{%s=\"", m->name, m->label);
		add_escaped(s, m->values[i], 1);
		str_addz(s, "\"}");
		add_value(s, v);
	}
	if (other != 0) {
		str_addf(s, "%s{%s=\"other\"}", m->name, m->label);
		add_value(s, other);
	}
}

void
metric_render(struct str *s)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	AZ(pthread_mutex_lock(&lock));
	for (unsigned i = 0; i < n_metrics; i++) {
		const struct ins_metric *m = metrics[i];

		str_addf(s, "# HELP %s ", m->name);
		add_escaped(s, m->help, 0);
		str_addf(s, "\n# TYPE %s %s\n", m->name, types[m->type]);
		if (m->type == METRIC_HISTOGRAM) {
			render_histogram(s, m);
		} else if (m->label != NULL) {
			render_labelled(s, m);
		} else {
			str_addz(s, m->name);
			add_value(s, m->fn != NULL ? m->fn(m->fn_arg) : cell_sum(m, 0));
		}
	}
	AZ(pthread_mutex_unlock(&lock));
}

static double
process_rss(void *arg)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long total = 0, pages = 0;

	if (f == NULL)
		return NAN;
	if (fscanf(f, "%ld %ld", &total, &pages) != 2)
		pages = 0;
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double
process_cpu(void *arg)
{
	struct rusage u;

	AZ(getrusage(RUSAGE_SELF, &u));
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double
process_fds(void *arg)
{
	DIR *d = opendir("/proc/self/fd");
	double n = -3; /* ".", ".." and the directory itself */

	if (d == NULL)
		return NAN;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static double
constant(void *arg)
{
	return *(double *)arg;
}

static double
lines_dropped(void *arg)
{
	return (double)log_dropped();
}

void
metric_init(unsigned n_loops)
{
	static double start;

	ASSERT(n_loops < METRIC_SHARDS_MAX);
	if (start == 0)
		start = (double)base_now_us() / 1e6;
	func_set(METRIC_GAUGE, "process_resident_memory_bytes", "Resident memory size in bytes.",
	    process_rss, NULL);
	func_set(METRIC_COUNTER, "process_cpu_seconds_total",
	    "Total user and system CPU time spent in seconds.", process_cpu, NULL);
	func_set(METRIC_GAUGE, "process_open_fds", "Number of open file descriptors.", process_fds,
	    NULL);
	func_set(METRIC_GAUGE, "process_start_time_seconds",
	    "Start time of the process since unix epoch in seconds.", constant, &start);
	func_set(METRIC_COUNTER, "log_lines_dropped_total",
	    "Log lines that the log's descriptor did not take.", lines_dropped, NULL);
}
