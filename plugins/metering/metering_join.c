/*
 * metering_join.c: events that come one by one, stored together.
 *
 * Those of one tenant that wait on a loop share a transaction: the first to find nobody at it
 * stores for all of them, the others wait for it, and meanwhile the next lot gathers. There is no
 * timer: who comes alone is stored at once.
 */
#include <stdlib.h>

#include "metering.h"

struct local {
	ins_cond *cond;
	struct waiter *head, **tail;
	unsigned n;
	int storing;
};

void
waiter_unref(struct waiter *w)
{
	if (--w->refs > 0)
		return;
	json_decref(w->json);
	free(w->call_text);
	free(w);
}

struct waiter *
waiter_new(ins_ctx *ctx, const json_t *json)
{
	struct waiter *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->refs = 1;
	w->json = json_incref((json_t *)json);
	snprintf(w->tenant, sizeof w->tenant, "%s", ins_tenant_id(ctx));
	snprintf(w->subject, sizeof w->subject, "%s", ins_user_id(ctx));
	w->ev.lines = w->lines;
	return w;
}

int
waiter_call(struct waiter *w, const ins_call *call)
{
	size_t i, n = 0;
	char *p;

	if (call->n_args > WAITER_ARGS_MAX)
		return -INS_EINTERNAL;
	for (i = 0; i < call->n_args; i++)
		n += call->args[i].n + 1;
	p = w->call_text = malloc(n);
	if (p == NULL)
		return -INS_ENOMEM;
	for (i = 0; i < call->n_args; i++) {
		w->args[i] = call->args[i];
		if (call->args[i].p == NULL)
			continue;
		w->args[i].p = memcpy(p, call->args[i].p, call->args[i].n);
		p += call->args[i].n;
		*p++ = '\0';
	}
	w->call.stmt = call->stmt;
	w->call.args = w->args;
	w->call.n_args = call->n_args;
	return 0;
}

int
join_start(ins_loop *loop, void **ret_local)
{
	struct local *l = calloc(1, sizeof *l);

	if (l == NULL)
		return -INS_ENOMEM;
	l->tail = &l->head;
	l->cond = ins_cond_new(loop);
	*ret_local = l;
	return 0;
}

void
join_stop(void *local)
{
	struct local *l = local;

	ins_cond_free(l->cond);
	free(l);
}

/* Takes those of the tenant out of the queue. */
static unsigned
collect(struct local *l, const char *tenant, struct waiter **ret)
{
	struct waiter **at = &l->head, *w;
	unsigned n = 0;

	while ((w = *at) != NULL && n < METERING_JOIN_MAX) {
		if (strcmp(w->tenant, tenant) != 0) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		if (w->next == NULL)
			l->tail = at;
		l->n--;
		ret[n++] = w; /* with the queue's reference */
	}
	return n;
}

static void
leave(struct local *l, struct waiter *w)
{
	struct waiter **at;

	for (at = &l->head; *at != NULL; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			if (w->next == NULL)
				l->tail = at;
			l->n--;
			waiter_unref(w);
			return;
		}
}

/* In the leader's task. */
INS_AWAITS
static void
store_for_all(ins_ctx *ctx, struct metering *m, struct local *l, const char *tenant)
{
	struct waiter *lot[METERING_JOIN_MAX];
	struct usage_event *events[METERING_JOIN_MAX];
	enum outcome outcomes[METERING_JOIN_MAX];
	ins_call calls[METERING_JOIN_MAX];
	unsigned i, n = collect(l, tenant, lot), n_calls = 0;
	int r;

	if (n == 0)
		return;
	for (i = 0; i < n; i++) {
		events[i] = &lot[i]->ev;
		if (lot[i]->call.stmt != NULL)
			calls[n_calls++] = lot[i]->call;
	}
	l->storing = 1;
	r = store_events(ctx, m, events, n, calls, n_calls, outcomes);
	l->storing = 0;
	/* It is the leader that was cancelled, nobody else. */
	if (r == -INS_ECANCELED)
		r = -INS_EUNAVAILABLE;
	for (i = 0; i < n; i++) {
		lot[i]->r = r;
		lot[i]->outcome = r == 0 ? outcomes[i] : OUTCOME_INVALID;
		lot[i]->done = 1;
		waiter_unref(lot[i]);
	}
	ins_cond_broadcast(l->cond);
}

int
join_store(ins_ctx *ctx, struct metering *m, struct waiter *w)
{
	struct local *l = ins_local(ctx, m->host);
	int r = 0;

	if (l->n >= METERING_WAIT_MAX)
		return ins_fail(ctx, INS_ELIMIT, "too many usage events wait");
	w->refs++;
	*l->tail = w;
	l->tail = &w->next;
	l->n++;
	while (!w->done) {
		if (!l->storing)
			store_for_all(ctx, m, l, w->tenant);
		else if ((r = ins_cond_wait(ctx, l->cond, -1)) != 0 && !w->done)
			break;
	}
	if (w->done)
		return w->r;
	leave(l, w);
	return r;
}
