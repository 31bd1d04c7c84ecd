/*
 * engine_inbox.c: a run takes its messages: each becomes an event, or is dropped when the run can't
 * take it. The rows of run_ready that called for it go in the transaction that records the events,
 * or at once when there is nothing to record.
 */
#include <stdlib.h>

#include "engine.h"

static const char sql_inbox[] =
    "SELECT msg_id, kind, name, payload FROM run_inbox"
    " WHERE run_id = $1::uuid AND taken_seq IS NULL ORDER BY created_at, msg_id LIMIT 100";
static const char sql_drop[] =
    "UPDATE run_inbox SET taken_seq = -1 WHERE run_id = $1::uuid AND msg_id = $2";

void
engine_inbox_init(struct plugin *p)
{
	p->sql.inbox = ins_stmt_new(p->host, sql_inbox);
	p->sql.drop_message = ins_stmt_new(p->host, sql_drop);
}

/* It is recorded, and on its way to the log. */
static int
under_way(const struct run *run, const char *msg_id)
{
	const struct run_event *ev;
	const char *id;

	for (ev = run->pending; ev != NULL; ev = ev->next) {
		id = json_string_value(json_object_get(ev->data, "msg_id"));
		if (id != NULL && strcmp(id, msg_id) == 0)
			return 1;
	}
	return 0;
}

/* The event for a message; NULL when the run can't take it (any more). */
static struct run_event *
message_event(
    struct run *run, const char *id, const char *kind, const char *name, const char *payload)
{
	json_t *value = payload == NULL ? json_null() : json_loads(payload, JSON_DECODE_ANY, NULL);

	if (strcmp(kind, INS_MESSAGE_SIGNAL) == 0) {
		if (json_array_size(run->fold.signals) < FOLD_SIGNALS_MAX)
			return run_event_new(EV_SIGNAL_RECEIVED, -1, 0, NULL,
			    json_pack(
				"{s:s, s:s, s:o}", "msg_id", id, "signal", name, "payload", value));
	} else if (strcmp(kind, INS_MESSAGE_RESUME) == 0) {
		if (fold_interrupted(&run->fold) && !run_thread_busy(run))
			return run_event_new(EV_RESUMED, -1, 0, NULL,
			    json_pack("{s:s, s:o}", "msg_id", id, "value", value));
	} else {
		if (strcmp(kind, INS_MESSAGE_DELETE) == 0)
			run->deleting = 1;
		json_decref(value);
		return run_event_new(
		    EV_CANCEL_REQUESTED, -1, 0, NULL, json_pack("{s:s}", "msg_id", id));
	}
	json_decref(value);
	return NULL;
}

INS_AWAITS
static int
drop_message(ins_ctx *ctx, struct run *run, const char *msg_id, const char *kind)
{
	const char *tenant = run->tenant_id;
	ins_arg args[2] = { ins_text(run->run_id), ins_text(msg_id) };

	ins_log(ctx, INS_LOG_WARN, "runs.message_dropped",
	    json_pack("{s:s, s:s, s:s, s:s}", "run_id", run->run_id, "message_id", msg_id, "kind",
		kind, "text",
		"the run can't take it: nothing waits for a resume, or too many signals wait"));
	return ins_engine_batch(ctx, &tenant, 1,
	    &(const ins_call){ run->engine->plugin->sql.drop_message, args, 2 }, 1, NULL);
}

/* One look into the inbox. Returns how many events came of it, or an error; *ret_again: what was
 * read may be stale. */
INS_AWAITS
static int
take_some(ins_ctx *ctx, struct run *run, int *ret_again)
{
	const char *tenant = run->tenant_id;
	ins_arg id = ins_text(run->run_id);
	ins_rows *rows;
	size_t i;
	int r, n = 0;

	*ret_again = 0;
	r = ins_engine_batch(
	    ctx, &tenant, 1, &(const ins_call){ run->engine->plugin->sql.inbox, &id, 1 }, 1, &rows);
	if (r != 0)
		return r;
	for (i = 0; r == 0 && i < ins_rows_count(rows) && run->state != RUN_GONE; i++) {
		const char *msg = ins_value(rows, i, 0), *kind = ins_value(rows, i, 1);
		struct run_event *ev;

		if (run->fold.ended || under_way(run, msg))
			continue;
		ev = message_event(run, msg, kind, ins_value(rows, i, 2), ins_value(rows, i, 3));
		if (ev != NULL) {
			r = run_record(ctx, run, ev);
			n += r == 0;
			continue;
		}
		r = drop_message(ctx, run, msg, kind);
		*ret_again = r == 0; /* others may have taken what we read, meanwhile */
		break;
	}
	ins_rows_end(rows);
	return r == 0 ? n : r;
}

int
run_take_inbox(ins_ctx *ctx, struct run *run)
{
	int again, n = 0, r;

	do {
		r = take_some(ctx, run, &again);
		n += r > 0 ? r : 0;
	} while (r >= 0 && again);
	return r < 0 ? r : n;
}

/* The row of a time stays until the timer fired: our clock may be behind the database's. */
static int
time_to_come(const struct run *run, int64_t at_us)
{
	int64_t due = fold_due_us(&run->fold);

	return due != 0 && at_us >= due - 1000;
}

/* The rows go with the run's next commit, or now when there will be none. Those of a run that went
 * elsewhere meanwhile are its new owner's. */
INS_AWAITS
static int
settle(ins_ctx *ctx, struct run *run, const struct ready *q, int events)
{
	struct ready now = { 0 };
	unsigned i, k;

	for (k = 0; k < q->n && run->state != RUN_GONE; k++) {
		if (time_to_come(run, q->row[k].at_us))
			continue;
		for (i = 0; i < run->n_ready; i++)
			if (run->ready_ids[i] == q->row[k].id)
				break;
		if (i < run->n_ready && run->n_pending > 0)
			continue;
		if (i < run->n_ready)
			run->ready_ids[i] = run->ready_ids[--run->n_ready];
		if (run->n_pending == 0)
			now.row[now.n++] = q->row[k];
		else if (events > 0 && run->n_pending > run->n_flying &&
		    run->n_ready < RUNS_READY_IDS)
			run->ready_ids[run->n_ready++] = q->row[k].id;
		/* otherwise it is found again */
	}
	return now.n == 0 ? 0 : ready_delete(ctx, run->engine, &now);
}

int
run_take_messages(ins_ctx *ctx, struct run *run, const struct ready *q)
{
	int r;

	run_ref(run);
	r = run_take_inbox(ctx, run);
	if (r >= 0)
		r = settle(ctx, run, q, r);
	if (r >= 0)
		run_set_timer(run);
	run_rest(ctx, run);
	run_unref(run);
	return r;
}
