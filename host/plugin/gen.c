/*
 * gen.c: builds a generation beside the one that serves, publishes it, and buries the old.
 *
 * Building, on the control thread, goes in steps of which each may fail: stage the images, check
 * their migrations, make instances (or share those of the old generation whose image and
 * configuration are the same), resolve services, lay the routes, start. A failure frees what is new
 * and leaves the old untouched. When the plugin at fault is not `required`, the build begins again
 * without it. From the publication on nothing can fail.
 *
 * Counting: gen->counts[i] is touched by loop i alone. A loop reports once, when it neither serves
 * the generation nor has a task that holds it; with the last loop's report the control thread frees
 * it. See the essay in plugin.c for why a loop never frees anything of an image inside a task's
 * end.
 */
#include "plugin/gen.h"

#include "base/log.h"
#include "base/metric.h"
#include "plugin/api.h"
#include "plugin/ws.h"

#define GEN_ARENA (16u << 20)

static const struct gen_hooks *hooks;
static struct list gens;
static int slot = -1; /* of each loop; taken once in the life of the process */
static uint64_t last_id;
static _Atomic unsigned n_live; /* read by whoever scrapes the metrics */
static struct gen *newest;
static struct ins_metric *metric_reloads, *metric_skipped;

struct gen *
gen_current(struct ins_loop *loop)
{
	return loop->slots[slot];
}

struct gen *
gen_newest(void)
{
	return newest;
}

unsigned
gen_live(void)
{
	return n_live;
}

const struct list *
gen_list(void)
{
	return &gens;
}

void
gen_init(const struct gen_hooks *h)
{
	hooks = h;
	list_init(&gens);
	if (slot < 0)
		slot = loop_slot_new();
	last_id = 0;
	n_live = 0;
	newest = NULL;
	metric_reloads = metric_get(METRIC_COUNTER, "insula_reloads_total",
	    "generations that were built, by result", "result");
	metric_skipped = metric_get(METRIC_COUNTER, "insula_plugins_skipped_total",
	    "optional plugins that a generation went without, by plugin", "plugin");
}

const struct gen_member *
gen_member(const struct gen *g, const struct instance *inst)
{
	size_t i;

	for (i = 0; g != NULL && i < g->n_members; i++)
		if (g->members[i].inst == inst)
			return &g->members[i];
	return NULL;
}

/* ---- counting, on the loops ---- */

static void gen_loop_left(struct ins_loop *, void *);

static void
gen_report_idle(struct gen *g, struct ins_loop *loop)
{
	struct gen_count *c = &g->counts[loop->index];

	if (c->n == 0 && !c->serving)
		loop_post(loop_get(LOOP_CONTROL), gen_loop_left, g);
}

void
gen_hold(struct ins_ctx *ctx, struct gen *g)
{
	CHECK_OBJ(g, GEN_MAGIC);
	ASSERT(ctx->gen == NULL);
	g->counts[ctx->loop->index].n++;
	ctx->gen = g;
}

void
gen_drop(struct ins_ctx *ctx)
{
	struct gen *g = ctx->gen;

	if (g == NULL)
		return;
	CHECK_OBJ(g, GEN_MAGIC);
	ctx->gen = NULL;
	ASSERT(g->counts[ctx->loop->index].n > 0);
	g->counts[ctx->loop->index].n--;
	gen_report_idle(g, ctx->loop);
}

/* ---- the end of a generation ---- */

/* Frees the object itself; instances were given up before. */
static void
gen_free(struct gen *g)
{
	if (g->routes != NULL)
		route_free(g->routes);
	json_decref(g->skipped);
	conf_unref(g->conf);
	arena_fini(&g->arena);
	g->magic = 0;
	free(g);
}

static void
gen_loop_left(struct ins_loop *control, void *arg)
{
	struct gen *g = arg;
	size_t i;

	CHECK_OBJ(g, GEN_MAGIC);
	if (--g->loops_left != 0)
		return;
	list_remove(&g->link);
	n_live--;
	log_event(
	    INS_LOG_DEBUG, "generation.gone", json_pack("{s:I}", "generation", (json_int_t)g->id));
	for (i = g->n_members; i > 0; i--)
		if (--g->members[i - 1].inst->gens == 0)
			plugin_retire(g->members[i - 1].inst);
	gen_free(g);
}

/* ---- building ---- */

struct build {
	struct conf *conf;
	const char *only;
	const json_t *disabled;
	uint8_t skip[CONF_PLUGINS_MAX]; /* optional ones that failed */
	json_t *skipped;                /* and why */
	struct gen *g;
	struct image *images[CONF_PLUGINS_MAX]; /* of g->members, until an instance took it */
	uint8_t fresh[CONF_PLUGINS_MAX];        /* of g->members: made by this build */
	size_t order[CONF_PLUGINS_MAX];         /* providers first */
	const struct conf_plugin *entries[CONF_PLUGINS_MAX];
	const struct conf_plugin *fault; /* whose failure it was; NULL = the configuration's */
	char *err;
};

static struct instance *
build_find_old(const char *name)
{
	size_t i;

	for (i = 0; newest != NULL && i < newest->n_members; i++)
		if (strcmp(newest->members[i].inst->name, name) == 0)
			return newest->members[i].inst;
	return NULL;
}

static int
build_too_many(struct build *b, const struct conf_plugin *p)
{
	json_t *report;
	char *text;

	if (stage_images(p->name) <= IMAGES_PER_PLUGIN_MAX)
		return 0;
	report = gen_report();
	text = json_dumps(report, JSON_COMPACT);
	conf_error(&b->conf->doc, p->path, b->err,
	    "%d images of %s are still in use; a reload waits for: %.300s", IMAGES_PER_PLUGIN_MAX,
	    p->name, text != NULL ? text : "");
	free(text);
	json_decref(report);
	return -1;
}

/* Image, and the old instance where image and configuration are the same. */
static int
build_stage(struct build *b)
{
	const struct conf_plugin *p;
	struct instance *old;
	struct gen *g = b->g;
	size_t i, k;

	for (i = 0; i < b->conf->n_plugins; i++) {
		p = &b->conf->plugins[i];
		if (b->skip[i] || json_object_get(b->disabled, p->name) != NULL)
			continue;
		b->fault = p;
		k = g->n_members;
		old = build_find_old(p->name);
		if (b->only != NULL && strcmp(b->only, p->name) != 0 && old != NULL &&
		    strcmp(old->entry->hash, p->hash) == 0)
			b->images[k] = stage_ref(old->image);
		else
			b->images[k] = plugin_stage(b->conf, p, b->err);
		if (b->images[k] == NULL)
			return -1;
		b->entries[k] = p;
		g->n_members++;
		if (old != NULL && old->image == b->images[k] &&
		    strcmp(old->entry->hash, p->hash) == 0) {
			g->members[k].inst = old;
			stage_close(b->images[k]); /* the instance has its own reference */
			b->images[k] = NULL;
		} else if (build_too_many(b, p) != 0) {
			return -1;
		}
	}
	b->fault = NULL;
	return 0;
}

static int
build_migrated(struct build *b)
{
	struct migrate_set sets[CONF_PLUGINS_MAX];
	size_t i, n = 0;

	if (hooks->migrated == NULL)
		return 0;
	for (i = 0; i < b->g->n_members; i++)
		if (b->images[i] != NULL && b->images[i]->desc.schema != NULL) {
			sets[n].area = b->images[i]->desc.name;
			sets[n++].schema = b->images[i]->desc.schema;
		}
	return n == 0 ? 0 : hooks->migrated(sets, n, b->err);
}

static int
build_instances(struct build *b)
{
	struct gen *g = b->g;
	struct image *im;
	size_t i;

	for (i = 0; i < g->n_members; i++) {
		if (g->members[i].inst != NULL)
			continue;
		b->fault = b->entries[i];
		im = b->images[i];
		b->images[i] = NULL;
		g->members[i].inst = plugin_new(b->conf, b->entries[i], im, b->err);
		if (g->members[i].inst == NULL)
			return -1;
		b->fresh[i] = 1;
	}
	b->fault = NULL;
	return 0;
}

static int
build_services(struct build *b)
{
	static const ins_need host_needs[] = { { INS_AUTH_IFACE, INS_OPTIONAL }, { NULL, 0 } };
	struct svc_party *party;
	size_t order[CONF_PLUGINS_MAX + 1], who = 0, i, k;
	struct gen *g = b->g;
	char why[256];

	/* The host itself is the last party: it needs somebody who says who is calling. */
	party = arena_alloc(&g->arena, (g->n_members + 1) * sizeof *party);
	AN(party);
	for (i = 0; i < g->n_members; i++) {
		party[i].name = g->members[i].inst->name;
		party[i].needs = g->members[i].inst->image->desc.needs;
		party[i].offers = g->members[i].inst->offers;
	}
	party[g->n_members].name = "the host";
	party[g->n_members].needs = host_needs;
	if (svc_resolve(party, g->n_members + 1, &g->arena, order, &who, why) != 0) {
		b->fault = who < g->n_members ? b->entries[who] : NULL;
		return conf_error(&b->conf->doc, b->fault != NULL ? b->fault->path : "plugins",
		    b->err, "%s", why);
	}
	for (i = 0, k = 0; i <= g->n_members; i++)
		if (order[i] < g->n_members)
			b->order[k++] = order[i];
	for (i = 0; i < g->n_members; i++) {
		g->members[i].slots = party[i].slots;
		g->members[i].n_slots = party[i].n_slots;
	}
	if (party[g->n_members].slots[0].n == 1) {
		g->auth = party[g->n_members].slots[0].offers[0]->vtable;
		if (g->auth->size < sizeof *g->auth || g->auth->identify == NULL)
			return conf_error(&b->conf->doc, "plugins", b->err,
			    "the provider of " INS_AUTH_IFACE " has no identify");
	}
	return 0;
}

static int
build_routes(struct build *b)
{
	const struct gen_host_route *h;
	const struct plugin_route *r;
	struct gen *g = b->g;
	struct gen_route *gr;
	const char *why;
	size_t i;

	g->routes = route_new();
	for (h = hooks->routes; h->method != NULL; h++) {
		gr = arena_alloc(&g->arena, sizeof *gr);
		AN(gr);
		gr->host = h->handler;
		gr->pattern = h->pattern;
		AZ(route_add(g->routes, h->method, h->pattern, gr));
	}
	for (i = 0; i < g->n_members; i++)
		for (r = g->members[i].inst->routes; r != NULL; r = r->next) {
			gr = arena_alloc(&g->arena, sizeof *gr);
			AN(gr);
			gr->plugin = r;
			gr->pattern = r->pattern;
			why = route_add(g->routes, r->method, r->pattern, gr);
			if (why == NULL)
				continue;
			b->fault = b->entries[i];
			return conf_error(&b->conf->doc, b->fault->path, b->err, "route %s %s: %s",
			    r->method, r->pattern, why);
		}
	return 0;
}

static int
build_start(struct build *b)
{
	size_t i, k;

	for (i = 0; i < b->g->n_members; i++) {
		k = b->order[i];
		if (!b->fresh[k])
			continue;
		b->fault = b->entries[k];
		if (plugin_start(b->g->members[k].inst, b->err) != 0)
			return -1;
	}
	b->fault = NULL;
	return 0;
}

/* Frees all that this build made, in reverse. */
static void
build_undo(struct build *b)
{
	struct gen *g = b->g;
	size_t i;

	for (i = g->n_members; i > 0; i--)
		if (b->fresh[i - 1])
			plugin_free(g->members[i - 1].inst);
		else if (b->images[i - 1] != NULL)
			stage_close(b->images[i - 1]);
	gen_free(g);
	b->g = NULL;
}

static int
build_once(struct build *b, int start)
{
	struct gen *g;

	AZ(posix_memalign((void **)&g, 64, sizeof *g));
	memset(g, 0, sizeof *g);
	g->magic = GEN_MAGIC;
	arena_init(&g->arena, GEN_ARENA);
	list_init(&g->link);
	g->conf = conf_ref(b->conf);
	g->members = arena_alloc(&g->arena, (b->conf->n_plugins + 1) * sizeof *g->members);
	AN(g->members);
	b->g = g;
	b->fault = NULL;
	memset(b->images, 0, sizeof b->images);
	memset(b->fresh, 0, sizeof b->fresh);
	if (build_stage(b) == 0 && build_migrated(b) == 0 && build_instances(b) == 0 &&
	    build_services(b) == 0 && build_routes(b) == 0 && (!start || build_start(b) == 0))
		return 0;
	build_undo(b);
	return -1;
}

/* Builds, and builds again without an optional plugin that failed. */
static int
build(struct build *b, int start)
{
	size_t i;

	while (build_once(b, start) != 0) {
		if (b->fault == NULL || b->fault->required) {
			json_decref(b->skipped);
			return -1;
		}
		i = (size_t)(b->fault - b->conf->plugins);
		b->skip[i] = 1;
		metric_add(metric_skipped, b->fault->name, 1);
		if (b->skipped == NULL)
			b->skipped = json_object();
		json_object_set_new(b->skipped, b->fault->name, json_string(b->err));
		log_event(INS_LOG_WARN, "plugin.skipped",
		    json_pack("{s:s, s:s}", "plugin", b->fault->name, "why", b->err));
	}
	b->g->skipped = b->skipped;
	return 0;
}

/* ---- publication ---- */

static void
gen_publish_loop(struct ins_loop *loop, void *arg)
{
	struct gen *next = arg, *old = gen_current(loop);
	size_t i;

	next->counts[loop->index].serving = 1;
	loop->slots[slot] = next;
	for (i = 0; i < next->n_members; i++)
		if (!next->members[i].inst->loops[loop->index].serving)
			plugin_serve_loop(next->members[i].inst, loop);
	ws_publish_loop(loop, next);
	if (old == NULL)
		return;
	for (i = old->n_members; i > 0; i--)
		if (gen_member(next, old->members[i - 1].inst) == NULL)
			plugin_drain_loop(old->members[i - 1].inst, loop);
	old->counts[loop->index].serving = 0;
	gen_report_idle(old, loop);
}

static void
gen_publish(struct build *b)
{
	struct gen *g = b->g, *old = newest;
	size_t i;

	g->id = ++last_id;
	g->loops_left = (int)loop_count();
	for (i = 0; i < g->n_members; i++)
		g->members[i].inst->gens++;
	list_append(&gens, &g->link);
	n_live++;
	newest = g;
	/* Deliveries pause between the two: what comes meanwhile waits in the stream. */
	for (i = 0; old != NULL && i < old->n_members; i++)
		if (gen_member(g, old->members[i].inst) == NULL)
			api_bus_unsubscribe(old->members[i].inst);
	if (old != NULL)
		old->replaced_us = base_mono_us();
	loop_call_all(gen_publish_loop, g);
	for (i = 0; i < g->n_members; i++)
		if (b->fresh[i])
			api_bus_subscribe(g->members[i].inst);
	log_event(INS_LOG_INFO, "generation.serving",
	    json_pack("{s:I, s:I}", "generation", (json_int_t)g->id, "plugins",
		(json_int_t)g->n_members));
}

int
gen_apply(struct conf *conf, const char *only, const json_t *disabled, char err[CONF_ERR_MAX])
{
	struct build *b = base_alloc(sizeof *b);
	int ret;

	b->conf = conf;
	b->only = only;
	b->disabled = disabled;
	b->err = err;
	ret = build(b, 1);
	if (ret == 0) {
		gen_publish(b);
	} else {
		log_event(INS_LOG_ERROR, "generation.refused", json_pack("{s:s}", "why", err));
	}
	metric_add(metric_reloads, ret == 0 ? "ok" : "refused", 1);
	free(b);
	return ret;
}

int
gen_check(struct conf *conf, char err[CONF_ERR_MAX])
{
	struct build *b = base_alloc(sizeof *b);
	int ret;

	b->conf = conf;
	b->err = err;
	ret = build(b, 0);
	if (ret == 0)
		build_undo(b);
	free(b);
	return ret;
}

/* A generation of the same configuration in which every plugin is disabled. */
void
gen_close(void)
{
	json_t *all = json_object();
	char err[CONF_ERR_MAX];
	size_t i;

	for (i = 0; i < newest->conf->n_plugins; i++)
		json_object_set_new(all, newest->conf->plugins[i].name, json_true());
	AZ(gen_apply(newest->conf, NULL, all, err));
	json_decref(all);
}

void
gen_fini(void)
{
	struct gen *g = newest;

	if (g == NULL)
		return;
	AZ(g->n_members);
	list_remove(&g->link);
	gen_free(g);
	newest = NULL;
	n_live = 0;
}
