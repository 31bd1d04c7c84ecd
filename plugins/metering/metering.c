/*
 * metering.c: what tenants use, counted once for ever and priced in integers: descriptor, options,
 * start and stop. README.md says what it does.
 */
#include "metering.h"

#include <errno.h>
#include <stdlib.h>

static const char schema_text[] =
#include "plugins/metering/metering.inc"
    ;
static const char built_in[] =
#include "etc/prices.inc"
    ;

static char *
read_file(const char *path, size_t *ret_n, char err[PRICES_ERR_MAX])
{
	FILE *f = fopen(path, "re");
	char *p = malloc(PRICES_BYTES_MAX + 1);

	*ret_n = 0;
	if (f == NULL || p == NULL) {
		snprintf(err, PRICES_ERR_MAX, "%s", strerror(errno));
		free(p);
		p = NULL;
	} else {
		*ret_n = fread(p, 1, PRICES_BYTES_MAX + 1, f);
		if (ferror(f)) {
			snprintf(err, PRICES_ERR_MAX, "%s", strerror(errno));
			free(p);
			p = NULL;
		}
	}
	if (f != NULL)
		fclose(f);
	return p;
}

static int
load_prices(struct metering *m)
{
	char err[PRICES_ERR_MAX], *text = NULL;
	size_t n = sizeof built_in - 1;
	json_t *tree;
	int ours = *m->conf.prices == '\0';

	if (!ours && (text = read_file(m->conf.prices, &n, err)) == NULL)
		return ins_conf_error(m->host, "prices", "%s: %s", m->conf.prices, err);
	tree = prices_yaml(ours ? built_in : text, n, err);
	free(text);
	m->prices = tree == NULL ? NULL : prices_new(tree, err);
	json_decref(tree);
	if (m->prices == NULL)
		return ins_conf_error(
		    m->host, "prices", "%s: %s", ours ? "built in" : m->conf.prices, err);
	return 0;
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct metering *m = ins_new(host, sizeof *m);
	int r;

	m->host = host;
	m->conf = *(const struct conf *)conf;
	*ret_self = m;
	if (m->conf.max_ahead < 0)
		return ins_conf_error(host, "max_ahead", "must not be negative");
	if ((r = load_prices(m)) != 0)
		return r;
	m->events = ins_counter(
	    host, "usage_events_total", "Usage events, by what became of them.", "status");
	m->unpriced = ins_counter(host, "usage_unpriced_total",
	    "Usage that was stored without a cost, since nobody knows one.", "model");
	m->difference = ins_gauge(host, "usage_rollup_difference",
	    "Sums that were not those of the raw events when they were last compared.");
	store_init(m);
	m->vtable.size = sizeof m->vtable;
	m->vtable.self = m;
	m->vtable.record = meter_record;
	m->vtable.calls = meter_calls;
	if ((r = events_init(m)) == 0 && (r = sums_init(m)) == 0 && (r = bus_init(m)) == 0)
		r = ins_provide(host, INS_METER_IFACE, "metering", &m->vtable);
	return r;
}

static int
start(void *self, ins_loop *loop, void **ret_local)
{
	(void)self;
	return join_start(loop, ret_local);
}

static void
stop(void *self, ins_loop *loop, void *local)
{
	(void)self;
	(void)loop;
	join_stop(local);
}

static void
fini(void *self)
{
	prices_free(((struct metering *)self)->prices);
}

static const ins_option options[] = {
	INS_OPT_STR(struct conf, prices, "", "file of the price list; empty for the one built in"),
	INS_OPT_MS(struct conf, max_ahead, "5m",
	    "how far in the future the time of an event from outside may be"),
	INS_OPT_END(struct conf),
};

static const char *const schema[] = { "0001_metering", schema_text, NULL };

INS_PLUGIN(.name = "metering", .version = "1.0.0",
    .summary = "usage, counted once for ever and priced in integers",
    .caps = INS_CAP_HTTP | INS_CAP_DB | INS_CAP_BUS, .options = options, .schema = schema,
    .init = init, .start = start, .stop = stop, .fini = fini);
