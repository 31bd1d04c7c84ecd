/*
 * plugin.c: the life of an instance: stage, options, init, start, drain, stop, fini, unmap.
 *
 * Only init and start may fail; the rest of the way down cannot. Going is asynchronous: each loop
 * stops the instance once its last background task there ended, and tells the control thread, which
 * takes the image away when all have. The stop of a loop is posted to that loop even when it could
 * run at once: the task that ended last still has cleanups in its arena, and those may be code of
 * this image.
 */
#include "plugin/plugin.h"

#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "plugin/gen.h"
#include "plugin/owner.h"
#include "plugin/trace.h"

static struct list instances;
static struct list kept; /* those whose image stays mapped: what is left of them may be in use */
static uint64_t last_id;
static unsigned n_instances;
static __thread struct instance *calling; /* its start, drain or stop runs on this thread */

static const char *
plugin_task_name(const struct instance *inst)
{
	return inst->name;
}

void
plugin_init(void)
{
	list_init(&instances);
	if (kept.next == NULL)
		list_init(&kept);
	task_plugin_name = plugin_task_name;
}

struct instance *
plugin_calling(void)
{
	return calling;
}

unsigned
plugin_instances(void)
{
	return n_instances;
}

int
plugin_file(
    const struct conf *conf, const struct conf_plugin *p, char ret[4096], char err[CONF_ERR_MAX])
{
	char dirs[300] = "";
	size_t i, n = 0;

	if (p->file != NULL && strchr(p->file, '/') != NULL) {
		snprintf(ret, 4096, "%s", p->file);
		if (access(ret, R_OK) == 0)
			return 0;
		return conf_error(&conf->doc, p->path, err, "%s: cannot be read", p->file);
	}
	for (i = 0; i < conf->n_plugin_path; i++) {
		if (p->file != NULL)
			snprintf(ret, 4096, "%s/%s", conf->plugin_path[i], p->file);
		else
			snprintf(ret, 4096, "%s/%s.so", conf->plugin_path[i], p->name);
		if (access(ret, R_OK) == 0)
			return 0;
		if (n < sizeof dirs)
			n += (size_t)snprintf(dirs + n, sizeof dirs - n, "%s%s", n != 0 ? ", " : "",
			    conf->plugin_path[i]);
	}
	return conf_error(&conf->doc, p->path, err, "there is no %s%s in %s",
	    p->file != NULL ? p->file : p->name, p->file != NULL ? "" : ".so", dirs);
}

struct image *
plugin_stage(struct conf *conf, const struct conf_plugin *p, char err[CONF_ERR_MAX])
{
	char file[4096], why[256];
	struct image *im;

	if (plugin_file(conf, p, file, err) != 0)
		return NULL;
	im = stage_open(p->name, file, p->caps, why);
	if (im == NULL)
		conf_error(&conf->doc, p->path, err, "%s", why);
	return im;
}

/* Memory, statements, image: what is left to take away once no code of the plugin runs any more. */
static void
plugin_release(struct instance *inst)
{
	char why[256];
	int clean = owner_sweep(inst, why) == 0;

	if (clean)
		stage_close(inst->image);
	else
		stage_leak(inst->image, why);
	list_remove(&inst->link);
	n_instances--;
	if (clean) {
		arena_fini(&inst->arena);
		conf_unref(inst->conf);
		inst->magic = 0;
		free((void *)(uintptr_t)inst->name);
		free(inst);
	} else {
		list_append(&kept, &inst->link);
	}
}

struct instance *
plugin_new(struct conf *conf, const struct conf_plugin *p, struct image *im, char err[CONF_ERR_MAX])
{
	char path[CONF_PATH_MAX];
	struct instance *inst;
	void *options = NULL;
	int i, r = 0;

	AZ(posix_memalign((void **)&inst, 64, sizeof *inst));
	memset(inst, 0, sizeof *inst);
	inst->magic = INSTANCE_MAGIC;
	inst->id = ++last_id;
	inst->name = base_strdup(p->name);
	inst->image = im;
	inst->conf = conf_ref(conf);
	inst->entry = p;
	inst->offers_tail = &inst->offers;
	arena_init(&inst->arena, INSTANCE_MEMORY_MAX);
	list_init(&inst->link);
	list_append(&instances, &inst->link);
	n_instances++;
	for (i = 0; i < LOOP_MAX; i++) {
		inst->loops[i].spawns_tail = &inst->loops[i].spawns;
		list_init(&inst->loops[i].conds);
	}

	snprintf(path, sizeof path, "%s.config", p->path);
	if (im->desc.options != NULL)
		r = conf_options(
		    &conf->doc, path, p->config, im->desc.options, &inst->arena, &options, err);
	else if (p->config != NULL && json_object_size(p->config) != 0)
		r = conf_error(&conf->doc, path, err, "%s has no options", p->name);
	if (r == 0) {
		inst->initing = 1;
		r = im->desc.init(plugin_host(inst), options, &inst->self);
		inst->initing = 0;
		if (r == 0 && inst->error[0] != '\0')
			r = -INS_EINVAL; /* it went on after an error that it was told of */
		if (r != 0 && inst->error[0] != '\0')
			snprintf(err, CONF_ERR_MAX, "%s", inst->error);
		else if (r != 0)
			conf_error(&conf->doc, p->path, err, "init of %s %s failed (%d)", p->name,
			    im->desc.version, r);
	}
	if (r == 0)
		return inst;
	/* A failed init has nothing to fini: what it allocated with ins_new() goes with the arena.
	 */
	plugin_release(inst);
	return NULL;
}

static void
plugin_start_loop(struct ins_loop *loop, void *arg)
{
	struct instance *inst = arg;
	struct plugin_local *l = &inst->loops[loop->index];

	inst->start_result = 0;
	if (inst->image->desc.start != NULL) {
		calling = inst;
		inst->start_result = inst->image->desc.start(inst->self, loop, &l->local);
		calling = NULL;
	}
	l->started = inst->start_result == 0;
}

/* Runs stop where start succeeded, and forgets the tasks that never began. */
static void
plugin_stop_here(struct instance *inst, struct ins_loop *loop)
{
	struct plugin_local *l = &inst->loops[loop->index];
	struct plugin_spawn *s;

	AZ(l->n_tasks);
	if (l->started && inst->image->desc.stop != NULL) {
		calling = inst;
		inst->image->desc.stop(inst->self, loop, l->local);
		calling = NULL;
	}
	l->started = 0;
	l->stopped = 1;
	while ((s = l->spawns) != NULL) {
		l->spawns = s->next;
		free(s);
	}
}

static void
plugin_stop_unserved(struct ins_loop *loop, void *arg)
{
	plugin_stop_here(arg, loop);
}

int
plugin_start(struct instance *inst, char err[CONF_ERR_MAX])
{
	unsigned i;

	inst->was_started = 1;
	for (i = 0; i < loop_count(); i++) {
		loop_call(loop_get((int)i), plugin_start_loop, inst);
		if (inst->start_result == 0)
			continue;
		if (inst->error[0] != '\0')
			snprintf(err, CONF_ERR_MAX, "%s", inst->error);
		else
			conf_error(&inst->conf->doc, inst->entry->path, err,
			    "start of %s %s failed on loop %u (%d)", inst->name,
			    inst->image->desc.version, i, inst->start_result);
		return -1;
	}
	return 0;
}

void
plugin_free(struct instance *inst)
{
	CHECK_OBJ(inst, INSTANCE_MAGIC);
	AZ(inst->gens);
	if (inst->was_started)
		loop_call_all(plugin_stop_unserved, inst);
	if (inst->image->desc.fini != NULL)
		inst->image->desc.fini(inst->self);
	plugin_release(inst);
}

static void
plugin_stopped(struct ins_loop *control, void *arg)
{
	struct instance *inst = arg;

	CHECK_OBJ(inst, INSTANCE_MAGIC);
	if (--inst->loops_left != 0)
		return;
	if (inst->image->desc.fini != NULL)
		inst->image->desc.fini(inst->self);
	log_event(INS_LOG_INFO, "plugin.unloaded",
	    json_pack("{s:s, s:s, s:s#}", "plugin", inst->name, "version",
		inst->image->desc.version, "sha256", inst->image->sha256, 12));
	plugin_release(inst);
}

/* On a loop, from its mailbox: no frame and no arena of the instance is below us. */
static void
plugin_try_stop(struct ins_loop *loop, void *arg)
{
	struct instance *inst = arg;
	struct plugin_local *l = &inst->loops[loop->index];

	if (l->stopped)
		return;
	l->stop_wanted = 1;
	if (l->n_tasks != 0)
		return;
	plugin_stop_here(inst, loop);
	loop_post(loop_get(LOOP_CONTROL), plugin_stopped, inst);
}

void
plugin_retire(struct instance *inst)
{
	unsigned i;

	CHECK_OBJ(inst, INSTANCE_MAGIC);
	AZ(inst->gens);
	inst->loops_left = (int)loop_count();
	for (i = 0; i < loop_count(); i++)
		loop_post(loop_get((int)i), plugin_try_stop, inst);
}

/* End of a background task. */
static void
plugin_task_end(struct ins_ctx *ctx, int result)
{
	struct instance *inst = ctx->inst;
	struct plugin_local *l = &inst->loops[ctx->loop->index];

	if (result < 0 && !ctx->canceled)
		task_log(ctx, INS_LOG_ERROR, "task.failed",
		    json_pack("{s:s, s:s, s:s*, s:s*}", "task", ctx->name, "code",
			err_info(result)->name, "error", ctx->err_text, "detail", ctx->err_detail));
	gen_drop(ctx);
	ASSERT(l->n_tasks > 0);
	if (--l->n_tasks == 0 && l->stop_wanted)
		loop_post(ctx->loop, plugin_try_stop, inst);
}

struct plugin_begin {
	struct instance *inst;
	ins_task_fn fn;
	void *arg;
};

/* The task runs the plugin's function itself; what we needed to get here is on our caller's stack.
 */
static void
plugin_task_setup(struct ins_ctx *ctx, void *arg)
{
	const struct plugin_begin *b = arg;

	ctx->fn = b->fn;
	ctx->arg = b->arg;
	ctx->inst = b->inst;
	ctx->background = 1;
	ctx->last_words = calling == b->inst;
	trace_make(NULL, 0, ctx->traceparent);
	b->inst->loops[ctx->loop->index].n_tasks++;
}

int
plugin_spawn(
    struct instance *inst, struct ins_loop *loop, const char *name, ins_task_fn fn, void *arg)
{
	struct plugin_begin b = { inst, fn, arg };
	struct plugin_local *l = &inst->loops[loop->index];
	struct plugin_spawn *s;

	ASSERT(loop == loop_self());
	if (l->draining || l->stop_wanted)
		return -INS_ECANCELED;
	if (!l->serving) {
		s = base_alloc(sizeof *s);
		s->name = name;
		s->fn = fn;
		s->arg = arg;
		*l->spawns_tail = s;
		l->spawns_tail = &s->next;
		return 0;
	}
	return task_new(name, fn, &b, plugin_task_setup, plugin_task_end) == NULL ? -INS_ELIMIT : 0;
}

void
plugin_serve_loop(struct instance *inst, struct ins_loop *loop)
{
	struct plugin_local *l = &inst->loops[loop->index];
	struct plugin_spawn *s;

	l->serving = 1;
	while ((s = l->spawns) != NULL) {
		l->spawns = s->next;
		if (plugin_spawn(inst, loop, s->name, s->fn, s->arg) != 0)
			log_msg(INS_LOG_ERROR, "plugin.task_refused",
			    "%s: too many tasks for \"%s\"", inst->name, s->name);
		free(s);
	}
	l->spawns_tail = &l->spawns;
}

void
plugin_drain_loop(struct instance *inst, struct ins_loop *loop)
{
	struct plugin_local *l = &inst->loops[loop->index];
	struct list *p;

	if (l->started && inst->image->desc.drain != NULL) {
		calling = inst;
		inst->image->desc.drain(inst->self, loop, l->local);
		calling = NULL;
	}
	l->draining = 1;
	for (p = loop->tasks.next; p != &loop->tasks; p = p->next) {
		struct ins_ctx *ctx = CONTAINER_OF(p, struct ins_ctx, link);

		if (ctx->inst == inst && ctx->background && !ctx->last_words)
			task_cancel(ctx, INS_ECANCELED);
	}
}

json_t *
plugin_waiting(void)
{
	json_t *list = json_array();
	struct list *l;

	for (l = instances.next; l != &instances; l = l->next) {
		struct instance *inst = CONTAINER_OF(l, struct instance, link);
		if (inst->loops_left != 0)
			json_array_append_new(list,
			    json_pack("{s:s, s:s#, s:s}", "plugin", inst->name, "sha256",
				inst->image->sha256, 12, "waits_for", "its background tasks"));
	}
	return list;
}
