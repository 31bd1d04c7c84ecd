/*
 * failpoint.c: places where a test may end the host, as kill -9 would: the option `failpoint:
 * NAME:COUNT` does it when the engine comes to the place for the COUNT-th time.
 */
#include <stdlib.h>
#include <unistd.h>

#include "engine.h"

#define EXIT_STATUS 86

static const char *const names[FAILPOINTS] = { "before_commit", "mid_batch", "after_commit",
	"after_dispatch", "after_step", "takeover" };

int
failpoint_init(struct plugin *p)
{
	const char *spec = p->conf.failpoint, *colon = strchr(spec, ':');
	long count = colon == NULL ? 1 : strtol(colon + 1, NULL, 10);
	size_t n = colon == NULL ? strlen(spec) : (size_t)(colon - spec);
	int i;

	if (*spec == '\0')
		return 0;
	for (i = 0; i < FAILPOINTS; i++)
		if (strlen(names[i]) == n && strncmp(spec, names[i], n) == 0)
			break;
	if (i == FAILPOINTS || count < 1)
		return ins_conf_error(p->host, "failpoint",
		    "must be before_commit, mid_batch, after_commit, after_dispatch, after_step or "
		    "takeover, and a count");
	p->fail_at = i;
	atomic_store(&p->fail_after, (int)count);
	return 0;
}

static int
die_task(ins_ctx *ctx, void *arg)
{
	(void)ctx;
	(void)arg;
	_exit(EXIT_STATUS);
}

void
failpoint_hit(struct plugin *p, ins_loop *loop, enum failpoint at)
{
	if ((int)at != p->fail_at || atomic_fetch_sub(&p->fail_after, 1) != 1)
		return;
	/* the batch is sent before the next task of this loop has its turn */
	if (at == FAIL_MID_BATCH && ins_spawn(p->host, loop, "runs.failpoint", die_task, p) == 0)
		return;
	_exit(EXIT_STATUS);
}
