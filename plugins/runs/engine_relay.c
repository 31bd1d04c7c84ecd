/*
 * engine_relay.c: what loops and hosts tell each other about runs, over the host's relay. All of it
 * may be lost: who waits also polls, and who follows a run also reads its log.
 *
 *	ins.run.wake     a shard's number: something is due there
 *	ins.run.wanted   a run's id: somebody elsewhere watches it
 *	ins.run.<id>     what happens in a run that is watched elsewhere
 */
#include <stdlib.h>

#include "engine.h"

#define FOLLOW_MAX (256u << 10)

static void
on_wake(void *arg, const char *subject, ins_str data)
{
	struct engine *e = arg;
	char text[8];
	long shard;

	(void)subject;
	if (data.n == 0 || data.n >= sizeof text)
		return;
	memcpy(text, data.p, data.n);
	text[data.n] = '\0';
	shard = strtol(text, NULL, 10);
	if (shard >= 0 && shard < RUNS_SHARDS && e->fence[shard] != 0)
		engine_poll(NULL, e);
}

static void
on_wanted(void *arg, const char *subject, ins_str data)
{
	struct engine *e = arg;
	struct run *run;
	char id[37];

	(void)subject;
	if (data.n != sizeof id - 1)
		return;
	memcpy(id, data.p, data.n);
	id[data.n] = '\0';
	if ((run = run_find(e, id)) != NULL)
		run->relayed = 1;
	else
		memcpy(e->wanted_ids[e->n_wanted++ % RUNS_WANTED_IDS], id, sizeof id);
}

int
relay_is_wanted(const struct engine *e, const char *run_id)
{
	size_t i;

	for (i = 0; i < RUNS_WANTED_IDS; i++)
		if (memcmp(e->wanted_ids[i], run_id, 36) == 0)
			return 1;
	return 0;
}

int
engine_relays_open(struct engine *e)
{
	e->wakes = ins_relay_open(e->plugin->host, e->loop, RUNS_WAKE, on_wake, e);
	e->wanted = ins_relay_open(e->plugin->host, e->loop, RUNS_WANTED, on_wanted, e);
	return e->wakes == NULL || e->wanted == NULL ? -INS_ENOMEM : 0;
}

void
engine_wake(ins_ctx *ctx, struct engine *e, int shard)
{
	char text[8];

	if (e->fence[shard] != 0) {
		engine_poll(ctx, e);
		return;
	}
	snprintf(text, sizeof text, "%d", shard);
	ins_relay_publish(e->plugin->host, RUNS_WAKE, ins_s(text));
}

void
relay_json(struct engine *e, const char *run_id, const json_t *j)
{
	char subject[64], *text = json_dumps(j, JSON_COMPACT);

	snprintf(subject, sizeof subject, "ins.run.%s", run_id);
	if (text != NULL)
		ins_relay_publish(e->plugin->host, subject, ins_s(text));
	free(text);
}

void
relay_want(struct engine *e, const char *run_id)
{
	ins_relay_publish(e->plugin->host, RUNS_WANTED, ins_s(run_id));
}

static void
on_event(void *arg, const char *subject, ins_str data)
{
	json_t *j = data.n > FOLLOW_MAX ? NULL : json_loadb(data.p, data.n, 0, NULL);

	(void)subject;
	if (j != NULL)
		watch_relayed(arg, j);
	json_decref(j);
}

ins_relay *
relay_follow(struct engine *e, const char *run_id, ins_watch *w)
{
	char subject[64];

	snprintf(subject, sizeof subject, "ins.run.%s", run_id);
	return ins_relay_open(e->plugin->host, e->loop, subject, on_event, w);
}
