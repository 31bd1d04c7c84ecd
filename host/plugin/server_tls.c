/*
 * server_tls.c: the certificates of the listeners: read before a start, a check or a reload goes
 * on, and handed to listeners that already serve. Control thread.
 */
#include "base/metric.h"
#include "plugin/server_impl.h"

void
server_tls_free(struct tls_conf *tls[CONF_LISTEN_MAX])
{
	size_t i;

	for (i = 0; i < CONF_LISTEN_MAX; i++) {
		tls_free(tls[i]);
		tls[i] = NULL;
	}
}

int
server_tls_load(const struct conf *c, struct tls_conf *ret[CONF_LISTEN_MAX], char err[CONF_ERR_MAX])
{
	char path[48], why[256];
	size_t i;

	memset(ret, 0, CONF_LISTEN_MAX * sizeof *ret);
	for (i = 0; i < c->n_listen; i++) {
		if (c->listen[i].tls == NULL)
			continue;
		ret[i] = tls_load(c->listen[i].tls, why);
		if (ret[i] != NULL)
			continue;
		snprintf(path, sizeof path, "listen[%zu].tls", i);
		server_tls_free(ret);
		return conf_error(&c->doc, path, err, "%s", why);
	}
	return 0;
}

int
server_tls_check(const struct conf *c, char err[CONF_ERR_MAX])
{
	struct tls_conf *tls[CONF_LISTEN_MAX];

	if (server_tls_load(c, tls, err) != 0)
		return -1;
	server_tls_free(tls);
	return 0;
}

int
server_tls_same_listeners(const struct conf *a, const struct conf *b)
{
	size_t i;

	if (a->n_listen != b->n_listen)
		return 0;
	for (i = 0; i < a->n_listen; i++)
		if (strcmp(a->listen[i].address, b->listen[i].address) != 0 ||
		    (a->listen[i].tls == NULL) != (b->listen[i].tls == NULL))
			return 0;
	return 1;
}

void
server_tls_install(struct tls_conf *tls[CONF_LISTEN_MAX])
{
	size_t i;

	for (i = 0; i < CONF_LISTEN_MAX; i++) {
		if (tls[i] == NULL)
			continue;
		http_listener_tls(sv.listeners[i], tls[i]);
		tls_free(sv.tls[i]);
		sv.tls[i] = tls[i];
		tls[i] = NULL;
	}
}

static double
server_tls_metric(void *arg)
{
	int64_t end, first = 0;
	size_t i;

	for (i = 0; i < CONF_LISTEN_MAX; i++) {
		end = sv.tls[i] != NULL ? tls_not_after(sv.tls[i]) : 0;
		if (end != 0 && (first == 0 || end < first))
			first = end;
	}
	return (double)first;
}

void
server_tls_metrics(int on)
{
	metric_func("tls_certificate_not_after_seconds",
	    on ? "when the first certificate ends, since 1970; 0 = none is served" : "",
	    on ? server_tls_metric : NULL, NULL);
}
