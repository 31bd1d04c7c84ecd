/*
 * engine_ready_list.c: the ready list of a loop: whose step comes next.
 *
 * engine_fair.c decides by tenant; the tenant's plan gives its weight and its most in flight. Local
 * steps are urgent: they hold their run's commit, and cost next to nothing. Steps of a shard that
 * is being given back are held: they are the next owner's.
 */
#include <stdlib.h>

#include "engine.h"

#define PLANS_MAX 64u

int
plan_shares_init(struct plugin *p)
{
	const char *plan, *key;
	json_t *of, *v;
	char path[128];

	if (p->conf.plans == NULL)
		return 0;
	if (!json_is_object(p->conf.plans) || json_object_size(p->conf.plans) > PLANS_MAX)
		return ins_conf_error(p->host, "plans", "must map names of plans to shares");
	p->plans = ins_new(p->host, json_object_size(p->conf.plans) * sizeof *p->plans);
	json_object_foreach(p->conf.plans, plan, of)
	{
		struct plan_share *s = &p->plans[p->n_plans++];

		snprintf(s->plan, sizeof s->plan, "%s", plan);
		s->weight = 1;
		json_object_foreach(of, key, v)
		{
			json_int_t n = json_integer_value(v);

			snprintf(path, sizeof path, "plans.%.50s.%.50s", plan, key);
			if (strcmp(key, "weight") == 0 && n >= 1 && n <= 1000)
				s->weight = (unsigned)n;
			else if (strcmp(key, "in_flight") == 0 && json_is_integer(v) && n >= 0 &&
			    n <= 100000)
				s->in_flight = (unsigned)n;
			else
				return ins_conf_error(p->host, path,
				    "known are weight (1 to 1000) and in_flight (0 to 100000)");
		}
	}
	return 0;
}

static int
hold(const struct fair_item *it)
{
	const struct job *job = (const struct job *)(const void *)it;

	return job->run->state != RUN_GONE &&
	    engine_shard_leaving(job->run->engine, job->run->shard);
}

void
ready_init(struct engine *e)
{
	fair_init(&e->fair, hold);
}

int
ready_push(struct engine *e, struct job *job)
{
	const struct plugin *p = e->plugin;
	const struct plan_share *s = NULL;
	unsigned i;

	for (i = 0; i < p->n_plans && s == NULL; i++)
		if (strcmp(p->plans[i].plan, job->run->plan) == 0)
			s = &p->plans[i];
	if (fair_push(&e->fair, job->run->tenant_id, s == NULL ? 1 : s->weight,
		s == NULL ? 0 : s->in_flight, job->class == STEP_LOCAL, &job->item) != 0)
		return -INS_ENOMEM;
	job->run->n_waiting++;
	ins_add(p->metric.ready, NULL, 1);
	return 0;
}

struct job *
ready_next(struct engine *e)
{
	return (struct job *)(void *)fair_next(&e->fair);
}

static void
left_list(struct engine *e, struct job *job)
{
	job->run->n_waiting--;
	ins_add(e->plugin->metric.ready, NULL, -1);
}

void
ready_take(struct engine *e, struct job *job, int run)
{
	fair_take(&e->fair, &job->item, run);
	left_list(e, job);
}

void
ready_done(struct job *job)
{
	fair_done(&job->run->engine->fair, &job->item);
}

struct job *
ready_drop(struct engine *e)
{
	struct job *job = (struct job *)(void *)fair_drop(&e->fair);

	if (job != NULL)
		left_list(e, job);
	return job;
}
