/*
 * langgraph_thread_stream.c: GET /threads/{id}/stream: the runs of a thread, one after the other,
 * for as long as the client stays.
 *
 * The next run is the one whose log began next; it is asked for in the database, since it may begin
 * on any host. An id is "<run id>:<place>", with the places of the run's own stream, and "<run
 * id>:end" for what follows its last event. Who is back with one goes on there; who comes without
 * one gets the run that is under way, from its beginning, and those after it; with -1 all of them.
 */
#include <stdlib.h>

#include "langgraph.h"

#define NOBODY "00000000-0000-0000-0000-000000000000"
#define POLL_MS 500
/* What a stream holds for each run, and each question, ends with its task: so the task ends at some
 * time. The client is back at once, by Location and Last-Event-ID. */
#define RUNS_MAX 256
#define POLLS_MAX 7200

enum { THREAD_RUN_MODES = 1, THREAD_LIFECYCLE = 2, THREAD_STATE_UPDATE = 4 };
static const char *const mode_names[] = { "run_modes", "lifecycle", "state_update" };
#define MODES (sizeof mode_names / sizeof *mode_names)

struct follow {
	ins_ctx *ctx;
	struct lg *lg;
	const char *thread_id;
	unsigned modes;
	/* the run that was told last, and when it began */
	char run_id[LG_UUID_LEN + 1], began[24];
};

/* The next run. Its texts end with its rows. */
struct next {
	const char *run_id, *began;
	int is_edit;
	struct lg_streamed s;
	ins_watch *watch;
};

static int
modes_of_query(ins_ctx *ctx, unsigned *ret)
{
	const char *z;
	uint32_t i;
	size_t n, k;

	*ret = 0;
	for (i = 0; i < 32 && (z = ins_query_at(ctx, "stream_mode", i)) != NULL; i++)
		for (; *z != '\0'; z += n + (z[n] == ',')) {
			n = strcspn(z, ",");
			for (k = 0; k < MODES; k++)
				if (strlen(mode_names[k]) == n && memcmp(mode_names[k], z, n) == 0)
					break;
			if (k == MODES) {
				ins_field(ctx, "stream_mode");
				return ins_fail(ctx, INS_EINVAL,
				    "stream_mode of a thread knows run_modes, lifecycle and "
				    "state_update");
			}
			*ret |= 1u << k;
		}
	if (*ret == 0)
		*ret = THREAD_RUN_MODES;
	return 0;
}

static void
stand_at(struct follow *f, const char *run_id, const char *began)
{
	snprintf(f->run_id, sizeof f->run_id, "%s", run_id);
	snprintf(f->began, sizeof f->began, "%s", began);
}

/* Before everything that is not over yet. */
INS_AWAITS
static int
stand_now(struct follow *f)
{
	ins_rows *rows;
	int r = ins_db(f->ctx, f->lg->sql[S_RUN_NEWEST], INS_ARGS(ins_text(f->thread_id)), &rows);

	stand_at(f, NOBODY, "0");
	if (r == 0 && ins_rows_count(rows) > 0)
		stand_at(f, ins_value(rows, 0, 0), ins_value(rows, 0, 1));
	return r;
}

static int
bad_id(ins_ctx *ctx)
{
	ins_field(ctx, "last-event-id");
	return ins_fail(ctx, INS_EINVAL, "Last-Event-ID is no id of an event of this thread");
}

/* Where the client left; *ret_in: in the middle of the run f->run_id, at *ret_place. */
INS_AWAITS
static int
stand_where(struct follow *f, struct lg_place *ret_place, int *ret_in)
{
	ins_str last = ins_header(f->ctx, "last-event-id");
	ins_rows *rows;
	char id[LG_UUID_LEN + 1];
	int r, end;

	*ret_in = 0;
	if (last.n == 0)
		return stand_now(f);
	stand_at(f, NOBODY, "0");
	if (ins_str_eq(last, "-1"))
		return 0;
	if (!lg_thread_place_parse(last.p, last.n, id, ret_place, &end))
		return bad_id(f->ctx);
	r = ins_db(
	    f->ctx, f->lg->sql[S_RUN_BEGAN], INS_ARGS(ins_text(f->thread_id), ins_text(id)), &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 0)
		return bad_id(f->ctx);
	stand_at(f, id, ins_value(rows, 0, 0));
	*ret_in = !end;
	return 0;
}

/* Looks at a run, and prepares to tell it. */
INS_AWAITS
static int
watch(struct follow *f, struct next *n)
{
	const ins_runs *runs = ins_service(f->ctx, f->lg->host, NEED_RUNS, 0, NULL);

	n->s.thread_id = f->thread_id;
	n->s.id_prefix = ins_printf(f->ctx, "%s:", n->s.run_id);
	return runs->watch(
	    f->ctx, runs->self, n->s.run_id, n->s.from.after, INS_WATCH_STATE, &n->watch);
}

/* The next run, watched; its row is f's place now. 1 = there is one. */
INS_AWAITS
static int
next_run(struct follow *f, struct next *n)
{
	ins_rows *rows;
	int r = ins_db(f->ctx, f->lg->sql[S_RUN_NEXT],
	    INS_ARGS(ins_text(f->thread_id), ins_text(f->began), ins_text(f->run_id)), &rows);

	memset(n, 0, sizeof *n);
	if (r != 0 || ins_rows_count(rows) == 0)
		return r;
	stand_at(f, ins_value(rows, 0, 0), ins_value(rows, 0, 1));
	n->s.run_id = ins_printf(f->ctx, "%s", f->run_id);
	n->s.workflow = ins_printf(f->ctx, "%s", ins_value(rows, 0, 2));
	n->s.assistant_id = ins_value(rows, 0, 3) == NULL
	    ? ""
	    : ins_printf(f->ctx, "%s", ins_value(rows, 0, 3));
	n->is_edit = strcmp(ins_value(rows, 0, 5), "t") == 0;
	n->s.from.after = -1;
	r = lg_modes_of_creator(f->ctx, rows, 4, &n->s.modes);
	ins_rows_end(rows);
	return r == 0 ? 1 : r;
}

/* The run that the client left in the middle of: as next_run(), but for its place. */
INS_AWAITS
static int
same_run(struct follow *f, const struct lg_place *place, struct next *n)
{
	char wanted[LG_UUID_LEN + 1];
	int r;

	memcpy(wanted, f->run_id, sizeof wanted);
	memcpy(f->run_id, NOBODY, sizeof NOBODY);
	while ((r = next_run(f, n)) == 1 && strcmp(f->run_id, wanted) != 0)
		;
	if (r != 1)
		return r;
	n->s.from = *place;
	n->s.again = 1;
	return 1;
}

/* {"event", "data"} with the id that follows the run's last. */
INS_AWAITS
static int
say(struct follow *f, const char *event, const char *run_id, json_t *data)
{
	ins_str text = ins_json_text(f->ctx, ins_json_end(f->ctx, data));

	return ins_sse(f->ctx, event, ins_printf(f->ctx, "%s:end", run_id), text);
}

INS_AWAITS
static int
say_state(struct follow *f, const char *run_id)
{
	const ins_runs *runs = ins_service(f->ctx, f->lg->host, NEED_RUNS, 0, NULL);
	json_t *state;
	int r = runs->state(f->ctx, runs->self, run_id, -1, &state);

	if (r == -INS_ENOTFOUND) {
		ins_clear_error(f->ctx);
		return 0;
	}
	if (r != 0)
		return r;
	r = say(f, "state_update", run_id,
	    json_pack("{s:o, s:s}", "state", lg_state_json(f->thread_id, state), "thread_id",
		f->thread_id));
	json_decref(state);
	return r;
}

/* Waits for the run's end, and tells what the client wants to know of it. */
INS_AWAITS
static int
tell_run(struct follow *f, struct next *n, struct stream *st)
{
	const ins_runs *runs = ins_service(f->ctx, f->lg->host, NEED_RUNS, 0, NULL);
	int told = !n->is_edit && (f->modes & (THREAD_RUN_MODES | THREAD_LIFECYCLE)) != 0, r = 0;
	json_t *event;

	if (told && (f->modes & THREAD_RUN_MODES) != 0) {
		r = lg_stream_tell(st, n->watch);
	} else {
		if (told && !n->s.again)
			r = ins_sse(f->ctx, "metadata", ins_printf(f->ctx, "%s:-1", n->s.run_id),
			    ins_json_text(f->ctx,
				ins_json_end(f->ctx,
				    json_pack("{s:s, s:i}", "run_id", n->s.run_id, "attempt", 1))));
		while (r == 0 && (r = runs->next(f->ctx, runs->self, n->watch, &event)) == 1) {
			json_decref(event);
			r = 0;
		}
		if (r == -INS_ENOTFOUND) {
			ins_clear_error(f->ctx);
			r = 0;
		}
	}
	if (r == 0 && told)
		r = say(f, "metadata", n->s.run_id,
		    json_pack("{s:s, s:s}", "status", "run_done", "run_id", n->s.run_id));
	if (r == 0 && n->is_edit && (f->modes & THREAD_STATE_UPDATE) != 0)
		r = say_state(f, n->s.run_id);
	return r;
}

/* A run that was deleted meanwhile is none. 1 = it can be told. */
INS_AWAITS
static int
prepare(struct follow *f, struct next *n, struct stream **ret)
{
	int r = watch(f, n);

	if (r == -INS_ENOTFOUND) {
		ins_clear_error(f->ctx);
		return 0;
	}
	if (r == 0)
		r = lg_stream_new(f->ctx, f->lg, &n->s, ret);
	return r == 0 ? 1 : r;
}

INS_AWAITS
static int
follow(struct follow *f, struct next *n, struct stream *st)
{
	int runs = 0, polls = 0, r = 0;

	while (r == 0 && runs < RUNS_MAX && polls < POLLS_MAX) {
		if (st != NULL) {
			runs++;
			r = tell_run(f, n, st);
			st = NULL;
			continue;
		}
		r = next_run(f, n);
		if (r == 1)
			r = prepare(f, n, &st);
		else if (r == 0 && (r = ins_sleep(f->ctx, POLL_MS)) == 0)
			polls++;
		if (r == 1)
			r = 0;
	}
	return r != 0 ? r : ins_fail(f->ctx, INS_ETIMEOUT, "the stream was open long enough");
}

INS_AWAITS
static int
thread_stream(ins_ctx *ctx, void *self)
{
	struct follow f = { .ctx = ctx, .lg = self, .thread_id = lg_path_id(ctx, "id", "thread") };
	const char *modes = "";
	struct next n;
	struct stream *st = NULL;
	struct lg_place place;
	ins_rows *rows;
	size_t i;
	int in, r = f.thread_id == NULL ? -INS_ENOTFOUND : modes_of_query(ctx, &f.modes);

	if (r != 0 || (r = lg_thread_get(ctx, self, f.thread_id, &rows)) != 0 ||
	    (r = stand_where(&f, &place, &in)) != 0)
		return r;
	/* What can be refused is, before there is a stream. */
	if (in && (r = same_run(&f, &place, &n)) == 1)
		r = prepare(&f, &n, &st);
	if (r < 0)
		return r;
	for (i = 0; i < MODES; i++)
		if ((f.modes & 1u << i) != 0)
			modes = ins_printf(
			    ctx, "%s%s%s", modes, *modes == '\0' ? "" : ",", mode_names[i]);
	ins_set_header(ctx, "location",
	    ins_printf(ctx, "/threads/%s/stream?stream_mode=%s", f.thread_id, modes));
	r = ins_stream(ctx, 200, "text/event-stream; charset=utf-8");
	if (r == 0)
		r = ins_heartbeat(ctx, f.lg->heartbeat_ms, ins_s(": heartbeat\n\n"));
	if (r == 0)
		r = follow(&f, &n, st);
	lg_stream_ended(self, r);
	return r;
}

int
lg_thread_stream_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "GET", "/threads/{id}/stream", "runs:read", thread_stream },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}
