/*
 * langgraph_stream.c: a run as server-sent events, and a run that is waited for.
 *
 * Every event has an id that says where the stream stands (langgraph_id.h), so that a client that
 * lost the connection goes on with Last-Event-ID and misses nothing that is recorded. An end that
 * is not the run's (a deadline, a watcher that was too slow) cuts the connection: clients come
 * back.
 */
#include "langgraph_stream.h"

static const char *const mode_names[LG_MODE_N] = {
#define LG_X(name, text) text,
	LG_MODES(LG_X)
#undef LG_X
};

static int
add_mode(ins_ctx *ctx, const char *z, size_t n, unsigned *modes)
{
	unsigned i;

	for (i = 0; i < LG_MODE_N; i++)
		if (strlen(mode_names[i]) == n && memcmp(mode_names[i], z, n) == 0) {
			*modes |= 1u << i;
			return 0;
		}
	ins_field(ctx, "stream_mode");
	return ins_fail(ctx, INS_EINVAL,
	    "stream_mode knows values, updates, messages, messages-tuple, events, tasks, "
	    "checkpoints, debug and custom, not %.*s",
	    n > 40 ? 40 : (int)n, z);
}

int
lg_modes_of(ins_ctx *ctx, const json_t *modes, unsigned *ret)
{
	const json_t *one;
	const char *z;
	size_t i;
	int r = 0;

	*ret = 0;
	if (json_is_string(modes))
		return add_mode(ctx, json_string_value(modes), json_string_length(modes), ret);
	json_array_foreach((json_t *)modes, i, one)
	{
		z = json_is_string(one) ? json_string_value(one) : "";
		if (r == 0)
			r = add_mode(ctx, z, strlen(z), ret);
	}
	return r;
}

int
lg_modes_query(ins_ctx *ctx, unsigned *ret)
{
	const char *z;
	uint32_t i;
	size_t n;
	int r;

	*ret = 0;
	for (i = 0; i < 32 && (z = ins_query_at(ctx, "stream_mode", i)) != NULL; i++)
		for (; *z != '\0'; z += n + (z[n] == ',')) {
			n = strcspn(z, ",");
			if ((r = add_mode(ctx, z, n, ret)) != 0)
				return r;
		}
	return 0;
}

int
lg_modes_of_creator(ins_ctx *ctx, const ins_rows *rows, size_t col, unsigned *ret)
{
	json_t *modes = lg_column_json(rows, 0, col);
	int r = lg_modes_of(ctx, modes, ret);

	json_decref(modes);
	if (*ret == 0)
		*ret = LG_MODE_VALUES;
	return r;
}

const char *
lg_modes_text(ins_ctx *ctx, unsigned modes)
{
	const char *z = "";
	unsigned i;

	for (i = 0; i < LG_MODE_N && z != NULL; i++)
		if ((modes & 1u << i) != 0)
			z = ins_printf(ctx, "%s%s%s", z, *z == '\0' ? "" : ",", mode_names[i]);
	return z == NULL ? "values" : z;
}

static json_t *
kept(struct stream *st, json_t *j)
{
	return ins_json_end(st->ctx, j);
}

static int
stream_init(struct stream *st, ins_ctx *ctx, struct lg *lg, const struct lg_streamed *s)
{
	memset(st, 0, sizeof *st);
	st->ctx = ctx;
	st->lg = lg;
	st->s = s;
	st->seq = s->from.after;
	st->skip = s->from.frames;
	st->begun = s->again;
	st->last_step = -1;
	st->held = kept(st, json_array());
	st->parent = kept(st, json_object());
	st->frames = kept(st, json_array());
	st->open = kept(st, json_object());
	st->complete = kept(st, json_object());
	st->whole = kept(st, json_object());
	st->partial = kept(st, json_object());
	st->metadata = kept(st,
	    json_pack("{s:s, s:s, s:s, s:s, s:i}", "graph_id", s->workflow, "assistant_id",
		s->assistant_id, "run_id", s->run_id, "thread_id",
		s->thread_id == NULL ? s->run_id : s->thread_id, "run_attempt", 1));
	return st->frames == NULL || st->held == NULL || st->parent == NULL || st->open == NULL ||
		st->complete == NULL || st->whole == NULL || st->partial == NULL ||
		st->metadata == NULL
	    ? ins_fail(ctx, INS_ENOMEM, "out of memory")
	    : 0;
}

#define FRAME_ID_MAX 96

/* The id of frame i of n. */
static void
frame_id(struct stream *st, int recorded, size_t i, size_t n, char id[FRAME_ID_MAX])
{
	const char *prefix = st->s->id_prefix == NULL ? "" : st->s->id_prefix;
	long long seq = (long long)st->seq;

	if (!recorded)
		snprintf(id, FRAME_ID_MAX, "%s%lld.%u", prefix, seq < 0 ? 0 : seq, ++st->pieces);
	else if (i + 1 == n)
		snprintf(id, FRAME_ID_MAX, "%s%lld", prefix, seq);
	else
		snprintf(id, FRAME_ID_MAX, "%s%lld-%zu", prefix, seq, i + 1);
}

/* Sends what was collected. recorded: of a recorded event, else of a piece. */
INS_AWAITS
static int
flush(struct stream *st, int recorded)
{
	size_t n = json_array_size(st->frames) / 2, i;
	char id[FRAME_ID_MAX], *text;
	int r = 0;

	for (i = 0; i < n && r == 0; i++) {
		frame_id(st, recorded, i, n, id);
		if (recorded && i < st->skip)
			continue;
		text = json_dumps(
		    json_array_get(st->frames, 2 * i + 1), JSON_COMPACT | JSON_ENCODE_ANY);
		if (text == NULL)
			return ins_fail(st->ctx, INS_ENOMEM, "out of memory");
		r = ins_sse(
		    st->ctx, json_string_value(json_array_get(st->frames, 2 * i)), id, ins_s(text));
		free(text);
	}
	if (recorded)
		st->skip = 0;
	json_array_clear(st->frames);
	return r;
}

static json_int_t
step_of(const json_t *event)
{
	return json_integer_value(json_object_get(event, "step"));
}

/*
 * A step may begin, and say something, while what led to it is still on its way to the log. Its
 * pieces wait here for that, so that clients see them after the event that began the step.
 */
static int
hold(struct stream *st, json_t *event)
{
	size_t bytes = json_dumpb(event, NULL, 0, JSON_COMPACT);

	if (step_of(event) <= st->last_step || st->held_bytes + bytes > LG_HELD_MAX)
		return 0;
	st->held_bytes += bytes;
	json_array_append(st->held, event);
	return 1;
}

static void
drop_held(struct stream *st, json_int_t step)
{
	size_t i = 0;

	while (i < json_array_size(st->held))
		if (step_of(json_array_get(st->held, i)) == step)
			json_array_remove(st->held, i);
		else
			i++;
}

INS_AWAITS
static int
tell_held(struct stream *st)
{
	json_t *event;
	size_t i = 0;
	int r = 0;

	while (r == 0 && i < json_array_size(st->held)) {
		event = json_array_get(st->held, i);
		if (step_of(event) > st->last_step) {
			i++;
			continue;
		}
		frames_of_delta(st, event);
		json_array_remove(st->held, i);
		r = flush(st, 0);
	}
	if (json_array_size(st->held) == 0)
		st->held_bytes = 0;
	return r;
}

INS_AWAITS
static int
tell(struct stream *st, json_t *event)
{
	const char *type = lg_text(event, "type");
	int r;

	if (type != NULL && strcmp(type, "delta") == 0) {
		if (hold(st, event))
			return 0;
		frames_of_delta(st, event);
		return flush(st, 0);
	}
	if (type != NULL && strcmp(type, "cut") == 0) {
		drop_held(st, step_of(event));
		frames_of_cut(st, event);
		return flush(st, 0);
	}
	frames_of_event(st, event);
	st->seq = json_integer_value(json_object_get(event, "seq"));
	st->pieces = 0;
	r = flush(st, 1);
	return r == 0 ? tell_held(st) : r;
}

/* The first event, unless the client is back. */
INS_AWAITS
static int
greet(struct stream *st)
{
	const char *prefix = st->s->id_prefix;
	ins_str text;

	if (st->s->again)
		return 0;
	text = ins_json_text(
	    st->ctx, kept(st, json_pack("{s:s, s:i}", "run_id", st->s->run_id, "attempt", 1)));
	return ins_sse(
	    st->ctx, "metadata", ins_printf(st->ctx, "%s-1", prefix == NULL ? "" : prefix), text);
}

/* A client that is back knows the state that it left at: what was under way then is not new. */
INS_AWAITS
static int
recall(struct stream *st)
{
	const ins_runs *runs;
	json_t *state;
	int r;

	if (!st->s->again || st->s->from.after < 0)
		return 0;
	runs = ins_service(st->ctx, st->lg->host, NEED_RUNS, 0, NULL);
	r = runs->state(st->ctx, runs->self, st->s->run_id, st->s->from.after, &state);
	if (r == -INS_ENOTFOUND) {
		ins_clear_error(st->ctx);
		ins_field(st->ctx, "last-event-id");
		return ins_fail(st->ctx, INS_EINVAL, "the run has no such event yet");
	}
	if (r != 0)
		return r;
	stream_recall(st, state);
	json_decref(state);
	return 0;
}

int
lg_stream_new(ins_ctx *ctx, struct lg *lg, const struct lg_streamed *s, struct stream **ret)
{
	struct stream *st = ins_alloc(ctx, sizeof *st);
	int r = st == NULL ? ins_fail(ctx, INS_ENOMEM, "out of memory")
			   : stream_init(st, ctx, lg, s);

	*ret = st;
	return r == 0 ? recall(st) : r;
}

int
lg_stream_tell(struct stream *st, ins_watch *watch)
{
	const ins_runs *runs = ins_service(st->ctx, st->lg->host, NEED_RUNS, 0, NULL);
	json_t *event;
	int r = greet(st);

	while (r == 0 && (r = runs->next(st->ctx, runs->self, watch, &event)) == 1) {
		r = tell(st, event);
		json_decref(event);
	}
	if (r != -INS_ENOTFOUND)
		return r;
	ins_clear_error(st->ctx); /* deleted under way: there is no more to tell */
	return 0;
}

void
lg_stream_ended(struct lg *lg, int r)
{
	ins_add(lg->streams, r == 0 ? "ended" : r == -INS_ECANCELED ? "left" : "cut", 1);
}

int
lg_stream(ins_ctx *ctx, struct lg *lg, const struct lg_streamed *s, ins_watch *watch)
{
	struct stream *st;
	int r = lg_stream_new(ctx, lg, s, &st);

	if (r != 0)
		return r;
	r = ins_stream(ctx, 200, "text/event-stream; charset=utf-8");
	if (r == 0)
		r = ins_heartbeat(ctx, lg->heartbeat_ms, ins_s(": heartbeat\n\n"));
	if (r == 0)
		r = lg_stream_tell(st, watch);
	if (r == -INS_ECANCELED && s->cancel_on_leave)
		lg_cancel_later(ctx, lg, s->run_id);
	lg_stream_ended(lg, r);
	return r;
}

/* ---------------------------------------------------------------- waiting */

/* What a run that ended left: its values, and what it waits for; or what went wrong. */
INS_AWAITS
static int
outcome(ins_ctx *ctx, struct lg *lg, const struct lg_streamed *s, const json_t *error, json_t **ret)
{
	const ins_runs *runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	const char *code = lg_text(error, "code"), *message = lg_text(error, "message");
	json_t *state, *interrupts, *all;
	int r;

	if (error != NULL) {
		*ret = json_pack("{s:{s:s, s:s}}", "__error__", "error",
		    code == NULL ? "Error" : code, "message", message == NULL ? "" : message);
		return 0;
	}
	r = runs->state(ctx, runs->self, s->run_id, -1, &state);
	if (r == -INS_ENOTFOUND) {
		ins_clear_error(ctx);
		*ret = json_null();
		return 0;
	}
	if (r != 0)
		return r;
	all = lg_values_json(state);
	interrupts = lg_interrupts_of_nodes(json_object_get(state, "interrupts"));
	if (json_is_object(all) && json_array_size(interrupts) > 0) {
		*ret = json_copy(all);
		json_object_set(*ret, "__interrupt__", interrupts);
	} else {
		*ret = json_incref(all);
	}
	json_decref(all);
	json_decref(interrupts);
	json_decref(state);
	return 0;
}

/* The error with which it ended, a new reference in *ret_error, or NULL. */
INS_AWAITS
static int
wait_for_end(ins_ctx *ctx, struct lg *lg, ins_watch *watch, json_t **ret_error)
{
	const ins_runs *runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	json_t *event;
	const char *type;
	int r;

	*ret_error = NULL;
	while ((r = runs->next(ctx, runs->self, watch, &event)) == 1) {
		type = lg_text(event, "type");
		if (type != NULL && strcmp(type, "RunEnded") == 0 &&
		    lg_get(event, "error") != NULL && *ret_error == NULL)
			*ret_error = json_incref(lg_get(event, "error"));
		json_decref(event);
	}
	if (r != -INS_ENOTFOUND)
		return r;
	ins_clear_error(ctx);
	return 0;
}

int
lg_wait(ins_ctx *ctx, struct lg *lg, const struct lg_streamed *s, ins_watch *watch)
{
	json_t *error = NULL, *reply = NULL;
	char *text = NULL;
	int r = ins_stream(ctx, 200, "application/json");

	/* White space before a JSON value means nothing, and keeps the connection. */
	if (r == 0)
		r = ins_heartbeat(ctx, lg->heartbeat_ms, ins_s("\n"));
	if (r == 0)
		r = wait_for_end(ctx, lg, watch, &error);
	if (r == 0)
		r = outcome(ctx, lg, s, error, &reply);
	if (r == 0)
		text = json_dumps(reply, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text != NULL)
		r = ins_write(ctx, text, strlen(text));
	else if (r == 0)
		r = ins_fail(ctx, INS_ENOMEM, "out of memory");
	free(text);
	json_decref(error);
	json_decref(reply);
	if (r == -INS_ECANCELED && s->cancel_on_leave)
		lg_cancel_later(ctx, lg, s->run_id);
	return r;
}
