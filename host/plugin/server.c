/*
 * server.c: start order, drain and stop of a whole host. Control thread.
 *
 * Up: state directory, loops, data, the first generation, listeners; each needs what stands before
 * it. Down is the reverse: not ready any more, no new connections, answers in flight end, the
 * plugins drain, data, loops. The drain is bounded by limits.drain; what is left then is cancelled,
 * and 5 s later the host goes without it and says what it was.
 */
#include "plugin/server_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"
#include "child/child.h"
#include "data/bus.h"
#include "data/pg.h"
#include "data/redis.h"
#include "data/relay.h"
#include "net/fetch.h"
#include "net/http.h"
#include "plugin/admin.h"
#include "plugin/api.h"
#include "plugin/request.h"
#include "plugin/ws.h"
#include "tenant/tenant.h"

#define DRAIN_POLL_MS 10
#define DRAIN_CUT_MS 5000 /* after the cancellation of what was left */
#define OLD_POLL_MS 1000  /* how often replaced generations are looked at */

struct server sv;

int
server_fail(char err[CONF_ERR_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, CONF_ERR_MAX, fmt, ap);
	va_end(ap);
	return -1;
}

unsigned
server_port(size_t i)
{
	return sv.listeners[i] == NULL ? 0 : http_listener_port(sv.listeners[i]);
}

const char *
server_admin_socket(void)
{
	return sv.admin;
}

void
server_default_state_dir(char ret[4096])
{
	const char *given = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME"),
		   *home = getenv("HOME");

	if (given != NULL && *given == '/')
		snprintf(ret, 4096, "%.*s", (int)strcspn(given, ":"), given);
	else if (geteuid() == 0)
		snprintf(ret, 4096, "/var/lib/insula");
	else if (xdg != NULL && *xdg == '/')
		snprintf(ret, 4096, "%s/insula/serve", xdg);
	else
		snprintf(ret, 4096, "%s/.local/state/insula/serve", home != NULL ? home : "/tmp");
}

int
server_mkdir(const char *path, char err[CONF_ERR_MAX])
{
	char *z = base_strdup(path), *p;
	int ret = 0;

	for (p = z + 1; ret == 0; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char c = *p;
		*p = '\0';
		if (mkdir(z, 0700) != 0 && errno != EEXIST && errno != EISDIR)
			ret = server_fail(err, "%s: %s", z, strerror(errno));
		*p = c;
		if (c == '\0')
			break;
	}
	free(z);
	return ret;
}

/* One host per state directory: a second would remove the images that the first has staged. */
static int
server_lock(char err[CONF_ERR_MAX])
{
	char why[256], *path;

	if (sv.conf->state_dir != NULL)
		snprintf(sv.dir, sizeof sv.dir, "%s", sv.conf->state_dir);
	else
		server_default_state_dir(sv.dir);
	if (server_mkdir(sv.dir, err) != 0)
		return -1;
	path = base_printf("%s/lock", sv.dir);
	sv.lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	free(path);
	if (sv.lock_fd < 0)
		return server_fail(err, "%.300s/lock: %s", sv.dir, strerror(errno));
	if (flock(sv.lock_fd, LOCK_EX | LOCK_NB) != 0)
		return server_fail(err,
		    "another host uses the state directory %.300s (set state_dir to run two)",
		    sv.dir);
	if (stage_init(sv.dir, why) != 0)
		return server_fail(err, "%s", why);
	return 0;
}

int
server_load(struct conf **ret, char err[CONF_ERR_MAX])
{
	struct conf_doc doc, extra;

	if (sv.opts.load(sv.opts.arg, &doc, err) != 0)
		return -1;
	if (sv.extra.root != NULL) {
		extra.root = json_deep_copy(sv.extra.root);
		extra.marks = json_deep_copy(sv.extra.marks);
		extra.env = json_object();
		conf_doc_merge(&doc, &extra);
	}
	*ret = conf_new(&doc, err);
	return *ret == NULL ? -1 : 0;
}

/* The generation builder asks this before it makes instances; server_start without any set. */
static int
server_migrated(const struct migrate_set *sets, size_t n, char err[CONF_ERR_MAX])
{
	struct migrate_set all[CONF_PLUGINS_MAX + 1];
	char why[512];
	int r;

	if (sv.conf->pg_url == NULL)
		return n == 0
		    ? 0
		    : server_fail(err, "%s keeps tables, and data.pg.url is not set", sets[0].area);
	all[0].area = "host";
	all[0].schema = migrate_host_schema;
	if (n > 0) /* no plugin with tables: sets is NULL, which memcpy may not get */
		memcpy(all + 1, sets, n * sizeof *sets);
	if (sv.opts.migrate)
		r = migrate_run(sv.conf->pg_url, all, n + 1, 0, NULL, why);
	else
		r = migrate_check(sv.conf->pg_url, all, n + 1, why);
	if (r > 0)
		return server_fail(err, "%s; run `insula migrate` first", why);
	return r == 0 ? 0 : server_fail(err, "%s", why);
}

static const struct gen_hooks server_hooks = { server_routes, server_migrated };

static void
server_loop_start(struct ins_loop *loop, void *arg)
{
	if (sv.conf->pg_url != NULL)
		pg_loop_start(loop);
	if (sv.redis)
		redis_loop_start(loop);
	fetch_loop_start(loop);
	if (sv.conf->pg_url != NULL && loop->index == 0)
		outbox_start(loop);
}

/* The relay goes before the bus that it publishes to. */
static void
server_relay_stop(struct ins_loop *loop, void *arg)
{
	outbox_stop(loop);
}

static void
server_loop_stop(struct ins_loop *loop, void *arg)
{
	child_loop_stop(loop);
	fetch_loop_stop(loop);
	if (sv.redis)
		redis_loop_stop(loop);
	if (sv.conf->pg_url != NULL)
		pg_loop_stop(loop);
}

static int
server_listen(char err[CONF_ERR_MAX])
{
	struct http_limits limits = http_limits_default;
	const struct conf *c = sv.conf;
	char why[256];
	size_t i;

	limits.body_max = c->body_max;
	limits.conn_bytes_max = c->conn_bytes_max;
	limits.tasks_per_conn_max = (unsigned)c->tasks_per_conn_max;
	if (server_tls_load(c, sv.tls, err) != 0)
		return -1;
	sv.listening = conf_ref(sv.conf);
	for (i = 0; i < c->n_listen; i++) {
		char path[32];

		snprintf(path, sizeof path, "listen[%zu]", i);
		sv.listeners[i] = http_listen(
		    c->listen[i].address, &limits, sv.tls[i], request_entry, NULL, why);
		if (sv.listeners[i] == NULL)
			return conf_error(&c->doc, path, err, "%s", why);
	}
	if (c->admin_socket != NULL)
		snprintf(sv.admin, sizeof sv.admin, "%s", c->admin_socket);
	else
		snprintf(sv.admin, sizeof sv.admin, "%.4000s/admin.sock", sv.dir);
	sv.admin_listener = http_listen_unix(
	    sv.admin, &http_limits_default, admin_entry, NULL, why);
	if (sv.admin_listener == NULL)
		return server_fail(err, "%.250s (admin.socket sets another path)", why);
	return 0;
}

static void server_begin_drain(void);

static void
server_signal(uv_signal_t *h, int signum)
{
	char err[CONF_ERR_MAX], note[256];

	if (signum != SIGHUP) {
		log_msg(INS_LOG_INFO, "host.signal", "%s: draining", strsignal(signum));
		server_begin_drain();
	} else if (sv.draining) {
		log_msg(INS_LOG_INFO, "host.signal", "Hangup: ignored while draining");
	} else if (server_reload(NULL, err, note) == 0 && note[0] != '\0') {
		log_msg(INS_LOG_WARN, "host.needs_restart", "%s", note);
	}
}

static void
server_old_timer(uv_timer_t *t)
{
	if (gen_live() > 1)
		gen_cancel_old(sv.conf->drain_ms * 1000, 0);
}

static void
server_timers(void)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	uv_loop_t *uv = &loop_get(LOOP_CONTROL)->uv;
	size_t i;

	uv_timer_init(uv, &sv.drain_timer);
	uv_timer_init(uv, &sv.old_timer);
	uv_timer_start(&sv.old_timer, server_old_timer, OLD_POLL_MS, OLD_POLL_MS);
	uv_unref((uv_handle_t *)&sv.old_timer);
	for (i = 0; sv.opts.signals && i < NELEM(numbers); i++) {
		uv_signal_init(uv, &sv.signals[i]);
		uv_signal_start(&sv.signals[i], server_signal, numbers[i]);
	}
}

static double
server_metric_gens(void *arg)
{
	return gen_live();
}

static double
server_metric_images(void *arg)
{
	return (double)(stage_opened() - stage_closed());
}

static double
server_metric_leaked(void *arg)
{
	return (double)stage_leaked();
}

static double
server_metric_active(void *arg)
{
	return request_active();
}

/* Takes down what server_start brought up, in reverse; what was not is NULL. */
static void
server_stop(void)
{
	uv_loop_t *uv = &loop_get(LOOP_CONTROL)->uv;
	size_t i;

	for (i = 0; i < CONF_LISTEN_MAX; i++)
		if (sv.listeners[i] != NULL)
			http_close(sv.listeners[i]);
	server_tls_free(sv.tls);
	if (sv.admin_listener != NULL)
		http_close(sv.admin_listener);
	if (sv.conf->pg_url != NULL)
		loop_call(loop_get(0), server_relay_stop, NULL);
	relay_fini();
	bus_fini();
	loop_call_all(server_loop_stop, NULL);
	uv_close((uv_handle_t *)&sv.drain_timer, NULL);
	uv_close((uv_handle_t *)&sv.old_timer, NULL);
	for (i = 0; sv.opts.signals && i < NELEM(sv.signals); i++)
		uv_close((uv_handle_t *)&sv.signals[i], NULL);
	uv_run(uv, UV_RUN_NOWAIT);
	loop_stop_all();
	gen_fini();
	if (sv.conf->pg_url != NULL) {
		tenant_lookup_fini();
		pg_fini();
	}
	if (sv.redis)
		redis_fini();
	metric_func("insula_generations", "", NULL, NULL);
	metric_func("insula_plugin_images", "", NULL, NULL);
	metric_func("insula_plugin_images_leaked", "", NULL, NULL);
	metric_func("http_requests_active", "", NULL, NULL);
	ws_fini();
	server_tls_metrics(0);
	stage_fini();
	if (sv.lock_fd >= 0)
		close(sv.lock_fd);
	json_decref(sv.disabled);
	if (sv.extra.root != NULL)
		conf_doc_fini(&sv.extra);
	if (sv.listening != NULL)
		conf_unref(sv.listening);
	conf_unref(sv.conf);
	memset(&sv, 0, sizeof sv);
}

/* Plugins that kept crashing stay out, unless the operator has said that it does not go without. */
static void
server_quarantine(void)
{
	size_t i;

	for (i = 0; sv.opts.quarantined != NULL && i < sv.conf->n_plugins; i++) {
		const struct conf_plugin *p = &sv.conf->plugins[i];

		if (!sv.opts.quarantined(p->name))
			continue;
		if (!p->required)
			json_object_set_new(sv.disabled, p->name, json_true());
		log_msg(p->required ? INS_LOG_ERROR : INS_LOG_WARN, "plugin.quarantined", "%s: %s",
		    p->name, p->required ? "loaded all the same: it is required" : "left out");
	}
}

int
server_start(const struct server_opts *opts, char err[CONF_ERR_MAX])
{
	char why[160];

	memset(&sv, 0, sizeof sv);
	sv.opts = *opts;
	sv.lock_fd = -1;
	sv.leaked_before = stage_leaked();
	sv.disabled = json_object();
	if (server_load(&sv.conf, err) != 0)
		return -1;
	server_quarantine();
	if (server_lock(err) != 0) {
		if (sv.lock_fd >= 0)
			close(sv.lock_fd);
		conf_unref(sv.conf);
		json_decref(sv.disabled);
		return -1;
	}
	log_level_set(sv.conf->log_level);
	server_health_init(sv.conf);
	server_health_state(SERVER_STARTING);
	loop_init((unsigned)sv.conf->loops);
	plugin_init();
	gen_init(&server_hooks);
	request_init();
	ws_init(sv.conf->websockets_max, sv.conf->websockets_tenant_max);
	request_access_log(sv.conf->access_log);
	api_engine_init();
	fetch_init();
	if (sv.conf->pg_url != NULL) {
		pg_init(sv.conf->pg_url);
		if (sv.conf->pg_read_url != NULL)
			pg_read_from(sv.conf->pg_read_url);
		tenant_lookup_init();
	}
	if (sv.conf->redis_url != NULL)
		sv.redis = redis_init(sv.conf->redis_url, why) == 0;
	metric_func("insula_generations", "generations alive", server_metric_gens, NULL);
	metric_func("insula_plugin_images", "plugin images mapped", server_metric_images, NULL);
	metric_func("insula_plugin_images_leaked", "plugin images kept mapped on purpose",
	    server_metric_leaked, NULL);
	metric_func("http_requests_active", "requests under way", server_metric_active, NULL);
	server_tls_metrics(1);
	loop_start();
	relay_init(sv.conf->nats_url);
	if (sv.conf->nats_url != NULL)
		bus_init(sv.conf->nats_url);
	loop_call_all(server_loop_start, NULL);
	server_timers();
	if (sv.conf->redis_url != NULL && !sv.redis)
		server_fail(err, "data.redis: %s", why);
	if (sv.redis != (sv.conf->redis_url != NULL) || server_migrated(NULL, 0, err) != 0 ||
	    gen_apply(sv.conf, NULL, sv.disabled, err) != 0 || server_listen(err) != 0) {
		if (gen_newest() != NULL) {
			server_begin_drain();
			uv_run(&loop_get(LOOP_CONTROL)->uv, UV_RUN_DEFAULT);
		}
		server_stop();
		return -1;
	}
	server_health_state(SERVER_SERVING);
	return 0;
}

/* ---- drain and stop ---- */

static int
server_idle(void)
{
	return http_connections() == 0 && request_active() == 0;
}

static void
server_drain_step(uv_timer_t *t)
{
	int64_t ms = (base_mono_us() - sv.drain_began_us) / 1000, limit = sv.conf->drain_ms;
	json_t *left;

	if (!sv.closed && (server_idle() || ms >= limit || sv.cut)) {
		if (ms >= limit)
			log_msg(INS_LOG_WARN, "host.drain_late",
			    "%u requests are cut after %lld ms", request_active(), (long long)ms);
		gen_close();
		sv.closed = 1;
		sv.unclean = !server_idle();
		sv.drain_began_us = base_mono_us();
		if (!server_idle())
			gen_cancel_old(-1, 1);
		return;
	}
	if (!sv.closed)
		return;
	if (gen_live() == 1 && plugin_instances() == 0) {
		sv.unclean |= stage_leaked() != sv.leaked_before;
		uv_stop(t->loop);
	} else if (ms >= DRAIN_CUT_MS) {
		sv.unclean = 1;
		left = gen_report();
		log_event(INS_LOG_ERROR, "host.drain_incomplete", left);
		uv_stop(t->loop);
	} else {
		gen_cancel_old(-1, 1);
	}
}

static void
server_begin_drain(void)
{
	size_t i;

	if (sv.draining) {
		sv.cut = 1;
		return;
	}
	sv.draining = 1;
	sv.drain_began_us = base_mono_us();
	server_health_state(SERVER_DRAINING);
	for (i = 0; i < CONF_LISTEN_MAX; i++)
		if (sv.listeners[i] != NULL)
			http_drain(sv.listeners[i]);
	if (sv.admin_listener != NULL)
		http_drain(sv.admin_listener);
	ws_drain();
	uv_timer_start(&sv.drain_timer, server_drain_step, 0, DRAIN_POLL_MS);
}

static void
server_quit_here(struct ins_loop *control, void *arg)
{
	server_begin_drain();
}

void
server_quit(void)
{
	loop_post(loop_get(LOOP_CONTROL), server_quit_here, NULL);
}

int
server_run(void)
{
	int unclean;

	uv_run(&loop_get(LOOP_CONTROL)->uv, UV_RUN_DEFAULT);
	unclean = sv.unclean;
	log_msg(
	    INS_LOG_INFO, "host.stopped", unclean ? "not everything ended by itself" : "drained");
	server_stop();
	return unclean ? -1 : 0;
}
