/*
 * server_health.c: /livez, /readyz and /metrics. Loops; nothing here suspends or waits.
 *
 * Ready means: this host can take requests now. PostgreSQL away is not ready. NATS or Redis away
 * is: runs go on, events wait in the outbox and what Redis holds may be lost, so a load balancer
 * must not take every host out at once.
 */
#include <stdatomic.h>

#include "base/metric.h"
#include "base/str.h"
#include "data/bus.h"
#include "data/pg.h"
#include "data/redis.h"
#include "net/http.h"
#include "plugin/server.h"

#define METRICS_TEXT_MAX (8u << 20)

static atomic_int state;
static int have_pg, have_nats, have_redis, metrics_public;

void
server_health_init(const struct conf *conf)
{
	have_pg = conf->pg_url != NULL;
	have_nats = conf->nats_url != NULL;
	have_redis = conf->redis_url != NULL;
	metrics_public = conf->metrics_public;
}

void
server_health_state(enum server_state s)
{
	state = s;
}

static void
health_live(struct http_req *req)
{
	http_reply(req, 200, "application/json", "{\"status\":\"live\"}", 17);
}

static const char *
health_word(int configured, int up)
{
	return !configured ? "not configured" : up ? "up" : "down";
}

static void
health_ready(struct http_req *req)
{
	int pg = !have_pg || pg_up(), nats = !have_nats || bus_up();
	int redis = !have_redis || redis_up();
	int ready = state == SERVER_SERVING && pg;
	char text[256];
	int n;

	n = snprintf(text, sizeof text,
	    "{\"status\":\"%s\",\"checks\":{\"host\":\"%s\",\"postgresql\":\"%s\",\"nats\":\"%s\","
	    "\"redis\":\"%s\"}}",
	    !ready              ? "not ready"
		: nats && redis ? "ready"
				: "degraded",
	    state == SERVER_STARTING       ? "starting"
		: state == SERVER_DRAINING ? "draining"
					   : "serving",
	    health_word(have_pg, pg), health_word(have_nats, nats), health_word(have_redis, redis));
	if (!ready)
		http_set_header(req, "retry-after", "1");
	http_reply(req, ready ? 200 : 503, "application/json", text, (size_t)n);
}

void
server_metrics(struct http_req *req)
{
	struct str s;

	str_init(&s, METRICS_TEXT_MAX);
	metric_render(&s);
	http_reply(
	    req, 200, "text/plain; version=0.0.4; charset=utf-8", s.p != NULL ? s.p : "", s.n);
	str_fini(&s);
}

static void
health_metrics(struct http_req *req)
{
	if (metrics_public)
		server_metrics(req);
	else
		http_reply_error(req, INS_ENOTFOUND,
		    "metrics are on the admin socket of this host (metrics: admin)", NULL, NULL);
}

const struct gen_host_route server_routes[] = {
	{ "GET", "/livez", health_live },
	{ "GET", "/readyz", health_ready },
	{ "GET", "/metrics", health_metrics },
	{ NULL, NULL, NULL },
};
