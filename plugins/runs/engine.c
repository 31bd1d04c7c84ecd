/* engine.c: the table of a loop's runs and the life of struct run. */
#include "engine.h"

#include <ctype.h>
#include <stdlib.h>

/* The last digits of a uuid v7 are random. */
static unsigned
bucket(const char *run_id)
{
	return (unsigned)strtoul(run_id + 28, NULL, 16) & (RUNS_TABLE - 1);
}

struct run *
run_new(struct engine *e, const char *run_id)
{
	struct run *run = calloc(1, sizeof *run);

	if (run == NULL)
		return NULL;
	run->engine = e;
	run->refs = 1;
	run->snapped = -1;
	run->pending_tail = &run->pending;
	snprintf(run->run_id, sizeof run->run_id, "%s", run_id);
	run->cond = ins_cond_new(e->loop);
	return run;
}

void
run_ref(struct run *run)
{
	run->refs++;
}

void
run_unref(struct run *run)
{
	if (--run->refs > 0)
		return;
	run_drop_pending(run);
	fold_fini(&run->fold);
	json_decref(run->metadata);
	free(run->idem_key);
	ins_cond_free(run->cond);
	free(run);
}

struct run *
run_find(struct engine *e, const char *run_id)
{
	struct run *run = e->table[bucket(run_id)];

	while (run != NULL && strcmp(run->run_id, run_id) != 0)
		run = run->bucket_next;
	return run;
}

void
run_insert(struct run *run)
{
	struct run **head = &run->engine->table[bucket(run->run_id)];

	run->bucket_next = *head;
	*head = run;
	run->engine->n_live++;
	run_ref(run);
	ins_cond_broadcast(run->engine->arrived);
}

void
run_remove(struct run *run)
{
	struct run **at = &run->engine->table[bucket(run->run_id)];

	run->state = RUN_GONE;
	while (*at != NULL && *at != run)
		at = &(*at)->bucket_next;
	if (*at == NULL)
		return;
	*at = run->bucket_next;
	run->engine->n_live--;
	run_cancel_jobs(run);
	run_unref(run);
}

int
run_thread_busy(const struct run *run)
{
	const struct engine *e = run->engine;
	const struct run *other;
	unsigned i;

	if (run->thread_id[0] == '\0')
		return 0;
	for (i = 0; i < RUNS_TABLE; i++)
		for (other = e->table[i]; other != NULL; other = other->bucket_next)
			if (other != run && strcmp(other->thread_id, run->thread_id) == 0 &&
			    strcmp(other->tenant_id, run->tenant_id) == 0 &&
			    (other->promoting || other->n_pending > 0 ||
				(!other->fold.ended && !other->fold.stopped)))
				return 1;
	return 0;
}

void
run_rest(ins_ctx *ctx, struct run *run)
{
	int64_t until;

	(void)ctx;
	if (run->state == RUN_LIVE && run->n_pending == 0 && !run->promoting &&
	    run->committed > 0 && run->watches == NULL && run->sleeps && run_sleeps(run, &until))
		run_remove(run);
}

ins_principal
run_principal(const struct run *run)
{
	ins_principal p = { 0 };

	p.size = sizeof p;
	p.tenant_id = run->tenant_id;
	p.user_id = run->user_id;
	p.plan = run->plan;
	/* A step works through services, which ask for no permission; what the caller was allowed
	 * when the run began may have been taken away since. */
	p.permissions = "";
	return p;
}

const ins_workflow *
run_workflow(ins_ctx *ctx, struct plugin *p, const char *name, const char *version)
{
	const ins_workflow *wf;
	uint32_t i;

	for (i = 0; (wf = ins_service(ctx, p->host, NEED_WORKFLOW, i, NULL)) != NULL; i++)
		if (strcmp(wf->name, name) == 0 &&
		    (version == NULL || strcmp(wf->version, version) == 0))
			return wf;
	return NULL;
}

const char *
uuid_of(ins_ctx *ctx, const char *z)
{
	char *p = z == NULL || strlen(z) != 36 ? NULL : ins_strndup(ctx, z, 36);
	int i;

	for (i = 0; p != NULL && i < 36; i++) {
		int dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? p[i] != '-' : !isxdigit((unsigned char)p[i]))
			return NULL;
		p[i] = (char)tolower((unsigned char)p[i]);
	}
	return p;
}

void
run_log(ins_ctx *ctx, int level, const char *event, const struct run *run, const char *text)
{
	ins_log(ctx, level, event,
	    json_pack("{s:s, s:s, s:s, s:s}", "run_id", run->run_id, "tenant", run->tenant_id,
		"workflow", run->workflow, "text", text));
}

struct run_event *
run_event_parse(const ins_rows *rows, size_t row, size_t col)
{
	const char *step = ins_value(rows, row, col + 2);
	struct run_event *ev;

	ev = run_event_new(event_type_parse(ins_value(rows, row, col + 1)),
	    step == NULL ? -1 : (int32_t)ins_value_int(rows, row, col + 2),
	    (int32_t)ins_value_int(rows, row, col + 3), ins_value(rows, row, col + 4),
	    json_loads(ins_value(rows, row, col + 6), JSON_DECODE_ANY, NULL));
	if (ev == NULL || ev->type == EV_TYPES) {
		run_event_free(ev);
		return NULL;
	}
	ev->seq = ins_value_int(rows, row, col);
	ev->ts_us = ins_value_int(rows, row, col + 5);
	return ev;
}

void
engine_clear(struct engine *e)
{
	struct run *run;

	while ((run = e->queue) != NULL) {
		e->queue = run->queue_next;
		run_unref(run);
	}
	e->queue_tail = &e->queue;
	engine_drop_ready(e);
}
