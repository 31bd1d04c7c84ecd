/*
 * mock.c: the life of the one plugin under test, as a generation with one member. Follows gen.c
 * step by step: options and init, services, routes, start, serve, drain, retire.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "plugin/abi.h"
#include "plugin/api.h"
#include "plugin/request.h"
#include "plugin/trace.h"
#include "sdk/mock/mock_impl.h"

#define OFFERED                                                                                    \
	(INS_CAP_HTTP | INS_CAP_DB | INS_CAP_BUS | INS_CAP_FETCH | INS_CAP_AUTH | INS_CAP_ENGINE | \
	    INS_CAP_CHILD)

struct ins_mock *mock_current;

static char *
copy(const char *z)
{
	return z == NULL ? NULL : base_strdup(z);
}

ins_mock *
ins_mock_new(ins_entry_fn entry)
{
	struct ins_mock *m;
	const char *to_stderr = getenv("INSULA_MOCK_LOG");

	if (mock_current != NULL)
		base_panic(__FILE__, __LINE__, __func__,
		    "one mock at a time: ins_mock_free() the last one first");
	AN(entry);
	m = base_alloc(sizeof *m);
	m->entry = entry;
	m->offers_tail = &m->offers;
	arena_init(&m->arena, SIZE_MAX);
	m->db_calls = json_array();
	m->events = json_array();
	m->fetches = json_array();
	m->log_fd = memfd_create("insula-mock-log", MFD_CLOEXEC);
	ASSERT(m->log_fd >= 0);
	log_init(
	    to_stderr != NULL && strcmp(to_stderr, "1") == 0 ? 2 : m->log_fd, INS_LOG_DEBUG, 0);
	mock_current = m;
	mock_loop_init();
	metric_init(1);
	metric_thread(1);
	request_init();
	request_access_log(1);
	plugin_init();
	ins_mock_caller(m, INS_MOCK_TENANT, "mock", "", "*");
	return m;
}

const char *
ins_mock_error(const ins_mock *m)
{
	return m->error;
}

ins_host *
ins_mock_host(ins_mock *m)
{
	AN(m->inst);
	return plugin_host(m->inst);
}

void
ins_mock_caller(
    ins_mock *m, const char *tenant, const char *user, const char *plan, const char *permissions)
{
	free(m->tenant);
	free(m->user);
	free(m->plan);
	free(m->permissions);
	m->tenant = copy(tenant);
	m->user = copy(user);
	m->plan = copy(plan);
	m->permissions = copy(permissions);
}

void
ins_mock_provide(ins_mock *m, const char *iface, const char *name, const void *vtable)
{
	struct svc_offer *o = arena_alloc(&m->arena, sizeof *o);

	AZ(m->serving);
	o->iface = arena_strdup(&m->arena, iface);
	o->name = arena_strdup(&m->arena, name);
	o->vtable = vtable;
	*m->offers_tail = o;
	m->offers_tail = &o->next;
}

const void *
ins_mock_service(ins_mock *m, const char *iface, const char *name)
{
	const struct svc_offer *o;

	for (o = m->inst != NULL ? m->inst->offers : NULL; o != NULL; o = o->next)
		if (strcmp(o->iface, iface) == 0 && strcmp(o->name, name) == 0)
			return o->vtable;
	return NULL;
}

/* ---- what plugin.c, request.c and api_*.c ask of the layers that are not here ---- */

struct gen *
gen_current(struct ins_loop *loop)
{
	return mock_current->serving ? &mock_current->gen : NULL;
}

const struct gen_member *
gen_member(const struct gen *g, const struct instance *inst)
{
	return g != NULL && g->members[0].inst == inst ? &g->members[0] : NULL;
}

void
gen_hold(struct ins_ctx *ctx, struct gen *g)
{
	CHECK_OBJ(g, GEN_MAGIC);
	AZ(ctx->gen);
	g->counts[0].n++;
	ctx->gen = g;
}

void
gen_drop(struct ins_ctx *ctx)
{
	if (ctx->gen == NULL)
		return;
	ASSERT(ctx->gen->counts[0].n > 0);
	ctx->gen->counts[0].n--;
	ctx->gen = NULL;
}

struct image *
stage_open(const char *name, const char *file, uint64_t grant, char err[256])
{
	snprintf(err, 256, "the mock maps no files");
	return NULL;
}

void
stage_close(struct image *im)
{
	mock_current->closed = 1;
}

void
stage_leak(struct image *im, const char *why)
{
	snprintf(mock_current->error, sizeof mock_current->error, "left over after stop: %s", why);
	mock_current->closed = 1;
}

struct conf *
conf_ref(struct conf *c)
{
	c->refs++;
	return c;
}

void
conf_unref(struct conf *c)
{
	if (--c->refs != 0)
		return;
	arena_fini(&c->arena);
	conf_doc_fini(&c->doc);
	free(c);
}

/* ---- start ---- */

/* Keys of marks and env as they would be in a configuration file. */
static void
prefix_paths(json_t **object, const char *path)
{
	json_t *all = json_object(), *value;
	const char *key;
	char at[CONF_PATH_MAX];

	json_object_foreach(*object, key, value)
	{
		snprintf(at, sizeof at, "%s.config%s%s", path, key[0] != '\0' ? "." : "", key);
		json_object_set(all, at, value);
	}
	json_decref(*object);
	*object = all;
}

static struct conf *
conf_of(struct ins_mock *m, const char *name, const char *options)
{
	struct conf *c = base_alloc(sizeof *c);
	struct conf_plugin *p = &c->plugins[c->n_plugins++];

	c->refs = 1;
	arena_init(&c->arena, 8u << 20);
	c->request_ms = MOCK_REQUEST_MS;
	c->drain_ms = MOCK_DRAIN_MS;
	c->body_max = 4 << 20;
	p->name = arena_strdup(&c->arena, name);
	p->path = arena_printf(&c->arena, "plugins.%s", name);
	p->required = 1;
	p->caps = UINT64_MAX;
	if (options == NULL)
		options = "";
	if (conf_doc_parse(&c->doc, "options", options, strlen(options), m->error) != 0) {
		arena_fini(&c->arena);
		free(c);
		return NULL;
	}
	prefix_paths(&c->doc.marks, p->path);
	prefix_paths(&c->doc.env, p->path);
	p->config = c->doc.root;
	return c;
}

static int
identify(ins_ctx *ctx, void *self)
{
	const struct ins_mock *m = mock_current;
	ins_principal p = { sizeof p, m->tenant, m->user, m->plan, m->permissions };

	if (m->tenant == NULL)
		return task_fail(ctx, INS_EUNAUTHENTICATED, "the request has no credential");
	return api_set_principal(ctx, &p);
}
static const ins_auth mock_auth = { sizeof mock_auth, NULL, identify };

static int
fail(struct ins_mock *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->error, sizeof m->error, fmt, ap);
	va_end(ap);
	return -1;
}

static int
open_image(struct ins_mock *m)
{
	struct image *im = &m->image;
	const ins_plugin *d;
	char why[ABI_ERR_MAX];
	uint64_t caps;

	im->magic = IMAGE_MAGIC;
	im->refs = 1;
	memset(im->sha256, '0', sizeof im->sha256 - 1);
	im->api.size = sizeof im->api;
	im->api.abi_minor = INS_ABI_MINOR;
	im->api.core = &api_core;
	im->api.task = &api_task;
	im->api.service = &api_service;
	im->api.metric = &api_metric;
	d = m->entry(&im->api);
	if (abi_descriptor(d, &im->desc, why) != 0)
		return fail(m, "%s", why);
	caps = im->desc.caps;
	if ((caps & ~OFFERED) != 0)
		return fail(m, "the mock does not offer every capability that %s asks for (%#llx)",
		    im->desc.name, (unsigned long long)(caps & ~OFFERED));
	im->api.http = caps & INS_CAP_HTTP ? &api_http : NULL;
	im->api.db = caps & INS_CAP_DB ? &api_db : NULL;
	im->api.bus = caps & INS_CAP_BUS ? &api_bus : NULL;
	im->api.fetch = caps & INS_CAP_FETCH ? &api_fetch : NULL;
	im->api.auth = caps & INS_CAP_AUTH ? &api_auth : NULL;
	im->api.engine = caps & INS_CAP_ENGINE ? &mock_engine : NULL;
	im->api.child = caps & INS_CAP_CHILD ? &api_child : NULL;
	return 0;
}

static int
build_services(struct ins_mock *m)
{
	static const ins_need host_needs[] = { { INS_AUTH_IFACE, INS_OPTIONAL }, { NULL, 0 } };
	struct svc_party *p = m->party;
	size_t order[3], who;
	char why[256];

	p[0].name = m->inst->name;
	p[0].needs = m->image.desc.needs;
	p[0].offers = m->inst->offers;
	p[1].name = "the test";
	p[1].offers = m->offers;
	p[2].name = "the host";
	p[2].needs = host_needs;
	if (svc_resolve(p, 3, &m->gen.arena, order, &who, why) != 0)
		return fail(m, "%s", why);
	m->gen.members[0].slots = p[0].slots;
	m->gen.members[0].n_slots = p[0].n_slots;
	m->gen.auth = p[2].slots[0].n == 1 ? p[2].slots[0].offers[0]->vtable : &mock_auth;
	return 0;
}

static int
build_routes(struct ins_mock *m)
{
	const struct plugin_route *r;
	struct gen_route *gr;
	const char *why;

	m->gen.routes = route_new();
	for (r = m->inst->routes; r != NULL; r = r->next) {
		gr = arena_alloc(&m->gen.arena, sizeof *gr);
		AN(gr);
		gr->plugin = r;
		gr->pattern = r->pattern;
		why = route_add(m->gen.routes, r->method, r->pattern, gr);
		if (why != NULL)
			return fail(m, "route %s %s: %s", r->method, r->pattern, why);
	}
	return 0;
}

static void
free_gen(struct ins_mock *m)
{
	if (m->gen.magic == 0)
		return;
	route_free(m->gen.routes);
	free(m->gen.members);
	arena_fini(&m->gen.arena);
	conf_unref(m->gen.conf);
	memset(&m->gen, 0, sizeof m->gen);
}

int
ins_mock_start(ins_mock *m, const char *options)
{
	struct conf *c;

	if (m->inst != NULL)
		return fail(m, "it is started already");
	m->error[0] = '\0';
	m->closed = 0;
	memset(&m->image, 0, sizeof m->image);
	if (open_image(m) != 0)
		return -1;
	c = conf_of(m, m->image.desc.name, options);
	if (c == NULL)
		return -1;
	m->image.name = (char *)(uintptr_t)c->plugins[0].name;
	m->inst = plugin_new(c, &c->plugins[0], &m->image, m->error);
	if (m->inst == NULL) {
		conf_unref(c);
		return -1;
	}
	m->gen.magic = GEN_MAGIC;
	m->gen.id = 1;
	m->gen.conf = c;
	arena_init(&m->gen.arena, 8u << 20);
	m->gen.members = base_alloc(sizeof *m->gen.members);
	m->gen.n_members = 1;
	m->gen.members[0].inst = m->inst;
	if (build_services(m) != 0 || build_routes(m) != 0 ||
	    plugin_start(m->inst, m->error) != 0) {
		plugin_free(m->inst);
		m->inst = NULL;
		free_gen(m);
		return -1;
	}
	m->inst->gens = 1;
	m->serving = 1;
	api_bus_subscribe(m->inst);
	plugin_serve_loop(m->inst, &mock_loop);
	mock_settle();
	return 0;
}

/* ---- stop ---- */

static int
all_ended(int64_t ms)
{
	int64_t until = base_mono_us() + ms * 1000;

	mock_settle();
	while (mock_loop.n_tasks != 0 && base_mono_us() < until)
		mock_run_until(NULL,
		    mock_loop.n_timers != 0 && mock_loop.heap[1]->at_us < until
			? mock_loop.heap[1]->at_us
			: until);
	return mock_loop.n_tasks == 0;
}

struct mock_rule *
mock_rule_add(struct mock_rule **head)
{
	struct mock_rule *r = arena_alloc(&mock_current->arena, sizeof *r);

	AN(r);
	while (*head != NULL)
		head = &(*head)->next;
	*head = r;
	return r;
}

unsigned
mock_rules_left(const struct mock_rule *r, char *why, size_t size, const char *what)
{
	for (; r != NULL; r = r->next)
		if (!r->used)
			return (unsigned)snprintf(why, size,
			    "left over after stop: an answer of the %s that nobody asked for: "
			    "%s%s%.200s",
			    what, r->method != NULL ? r->method : "", r->method != NULL ? " " : "",
			    r->part);
	return 0;
}

int
ins_mock_stop(ins_mock *m)
{
	struct ins_ctx *ctx;

	m->error[0] = '\0';
	if (m->inst == NULL)
		return 0;
	api_bus_unsubscribe(m->inst);
	plugin_drain_loop(m->inst, &mock_loop);
	if (!all_ended(MOCK_DRAIN_MS)) {
		task_cancel_all(&mock_loop);
		if (!all_ended(LOOP_STOP_MS)) {
			ctx = LIST_FIRST(&mock_loop.tasks, struct ins_ctx, link);
			fprintf(stderr,
			    "mock: the task \"%s\" waits and does not end when cancelled\n",
			    ctx->name);
			abort(); /* its stack is code of the plugin: there is no way on */
		}
		fail(m, "left over after stop: tasks had to be cancelled after %d s",
		    MOCK_DRAIN_MS / 1000);
	}
	m->serving = 0;
	m->inst->gens = 0;
	plugin_retire(m->inst);
	mock_settle();
	AN(m->closed);
	m->inst = NULL;
	free_gen(m);
	if (m->error[0] == '\0')
		mock_rules_left(m->db_rules, m->error, sizeof m->error, "database");
	if (m->error[0] == '\0')
		mock_rules_left(m->fetch_rules, m->error, sizeof m->error, "network");
	return m->error[0] == '\0' ? 0 : -1;
}

void
ins_mock_free(ins_mock *m)
{
	struct mock_rule *r;

	if (m == NULL)
		return;
	ins_mock_stop(m);
	mock_requests_free(m);
	for (r = m->db_rules; r != NULL; r = r->next)
		json_decref(r->rows);
	json_decref(m->db_calls);
	json_decref(m->events);
	json_decref(m->fetches);
	ins_mock_caller(m, NULL, NULL, NULL, NULL);
	log_init(2, INS_LOG_INFO, 0);
	close(m->log_fd);
	free(m->log);
	arena_fini(&m->arena);
	mock_loop_fini();
	mock_current = NULL;
	free(m);
}

/* ---- running ---- */

struct run {
	ins_task_fn fn;
	void *arg;
	int result, done;
};

static int
run_fn(struct ins_ctx *ctx, void *arg)
{
	struct run *r = arg;

	return r->fn(ctx, r->arg);
}

static void
run_setup(struct ins_ctx *ctx, void *arg)
{
	struct ins_mock *m = mock_current;

	ctx->inst = m->inst;
	gen_hold(ctx, &m->gen);
	trace_request_id(NULL, 0, ctx->request_id);
	trace_make(NULL, 0, ctx->traceparent);
	task_deadline(ctx, MOCK_REQUEST_MS);
	if (m->tenant != NULL)
		identify(ctx, NULL);
}

static void
run_end(struct ins_ctx *ctx, int result)
{
	struct run *r = ctx->arg;

	r->result = result;
	r->done = 1;
	if (result < 0)
		fail(mock_current, "%s",
		    ctx->err_text != NULL ? ctx->err_text : err_info(result)->name);
	gen_drop(ctx);
}

int
ins_mock_run(ins_mock *m, ins_task_fn fn, void *arg)
{
	struct run r = { fn, arg, 0, 0 };

	AN(m->serving);
	m->error[0] = '\0';
	AN(task_new("ins_mock_run", run_fn, &r, run_setup, run_end));
	mock_run_until(&r.done, INT64_MAX);
	if (!r.done)
		base_panic(__FILE__, __LINE__, __func__,
		    "the function waits for what nothing will bring, and does not end when "
		    "cancelled");
	return r.result;
}

void
ins_mock_advance(ins_mock *m, int64_t ms)
{
	mock_run_until(NULL, base_mono_us() + ms * 1000);
}
