/* gen_report.c: what still holds old generations: told to the operator, or cancelled. Control
 * thread, asking each loop. */
#include "base/log.h"
#include "plugin/gen.h"

#define REPORT_TASKS_MAX 100 /* named in one report */

struct report_arg {
	json_t *by_gen; /* id -> list */
	unsigned n;
};

static void
gen_report_loop(struct ins_loop *loop, void *arg)
{
	struct report_arg *a = arg;
	struct list *l;
	char id[24];

	for (l = loop->tasks.next; l != &loop->tasks && a->n < REPORT_TASKS_MAX; l = l->next) {
		struct ins_ctx *ctx = CONTAINER_OF(l, struct ins_ctx, link);

		if (ctx->gen == NULL)
			continue;
		snprintf(id, sizeof id, "%llu", (unsigned long long)ctx->gen->id);
		if (json_object_get(a->by_gen, id) == NULL)
			json_object_set_new(a->by_gen, id, json_array());
		json_array_append_new(json_object_get(a->by_gen, id),
		    json_pack("{s:s, s:s, s:i}", "task", ctx->name, "plugin",
			ctx->inst != NULL ? ctx->inst->name : "", "loop", loop->index));
		a->n++;
	}
}

json_t *
gen_report(void)
{
	struct report_arg a = { json_object(), 0 };
	json_t *list = json_array(), *tasks;
	const struct list *head = gen_list(), *l;
	char id[24];
	unsigned i;

	for (i = 0; i < loop_count(); i++)
		loop_call(loop_get((int)i), gen_report_loop, &a);
	for (l = head->next; l != head; l = l->next) {
		const struct gen *g = CONTAINER_OF(l, struct gen, link);

		snprintf(id, sizeof id, "%llu", (unsigned long long)g->id);
		tasks = json_object_get(a.by_gen, id);
		json_array_append_new(list,
		    json_pack("{s:I, s:b, s:I, s:o}", "id", (json_int_t)g->id, "serving",
			g->replaced_us == 0, "replaced_ms_ago",
			g->replaced_us == 0
			    ? (json_int_t)0
			    : (json_int_t)((base_mono_us() - g->replaced_us) / 1000),
			"tasks", tasks != NULL ? json_incref(tasks) : json_array()));
	}
	json_decref(a.by_gen);
	return json_pack("{s:o, s:o}", "generations", list, "waiting", plugin_waiting());
}

json_t *
gen_routes(void)
{
	const struct gen *g = gen_newest();
	const struct plugin_route *r;
	json_t *list = json_array();
	size_t i;

	for (i = 0; g != NULL && i < g->n_members; i++)
		for (r = g->members[i].inst->routes; r != NULL; r = r->next)
			json_array_append_new(list,
			    json_pack("{s:s, s:s, s:s, s:s}", "method", r->method, "pattern",
				r->pattern, "permission", r->is_public ? INS_PUBLIC : r->permission,
				"plugin", r->inst->name));
	return list;
}

struct cancel_arg {
	int64_t before_us;
	int all;
};

/* Requests end by their own deadline; other tasks have none. */
static void
gen_cancel_loop(struct ins_loop *loop, void *arg)
{
	const struct cancel_arg *a = arg;
	struct list *l;

	for (l = loop->tasks.next; l != &loop->tasks; l = l->next) {
		struct ins_ctx *ctx = CONTAINER_OF(l, struct ins_ctx, link);

		if (ctx->gen != NULL && !ctx->background && ctx->gen->replaced_us != 0 &&
		    ctx->gen->replaced_us < a->before_us && (a->all || ctx->http == NULL))
			task_cancel(ctx, INS_ECANCELED);
	}
}

void
gen_cancel_old(int64_t older_than_us, int all)
{
	struct cancel_arg a = { base_mono_us() - older_than_us, all };

	loop_call_all(gen_cancel_loop, &a);
}
