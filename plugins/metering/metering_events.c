/*
 * metering_events.c: POST /v1/usage/events: CloudEvents in, one or many, an answer for each.
 *
 * One object: 200 (accepted, or a duplicate), 409 (conflict) or 400. A list: 200 when each was
 * accepted or a duplicate, else 207, and `results` has each in its place. What is accepted is
 * committed. An event that cannot be taken does not keep the others out.
 */
#include "metering.h"

/* What a Content-Type promises: one event, a list of them, or whatever JSON it is. */
enum form { FORM_ANY, FORM_ONE, FORM_LIST };

static int
media(ins_ctx *ctx, enum form *ret)
{
	static const char *const taken[] = { [FORM_ANY] = "application/json",
		[FORM_ONE] = "application/cloudevents+json",
		[FORM_LIST] = "application/cloudevents-batch+json" };
	ins_str type = ins_header(ctx, "content-type");
	size_t i, n = 0;

	/* The binary mode of CloudEvents: attributes in headers, the body is the data alone. */
	if ((type.n < 23 || strncasecmp(type.p, "application/cloudevents", 23) != 0) &&
	    (ins_header(ctx, "ce-specversion").n > 0 || ins_header(ctx, "ce-id").n > 0))
		return ins_fail(ctx, INS_EMEDIA,
		    "the binary mode is not taken: send the event as application/cloudevents+json, "
		    "without ce- headers");
	*ret = FORM_ANY;
	while (n < type.n && type.p[n] != ';' && type.p[n] != ' ')
		n++;
	if (n == 0)
		return 0;
	for (i = 0; i < sizeof taken / sizeof *taken; i++)
		if (strlen(taken[i]) == n && strncasecmp(taken[i], type.p, n) == 0) {
			*ret = (enum form)i;
			return 0;
		}
	return ins_fail(ctx, INS_EMEDIA,
	    "Content-Type must be application/cloudevents+json, application/cloudevents-batch+json "
	    "or application/json");
}

static int
body(ins_ctx *ctx, json_t **ret)
{
	enum form form;
	int r = media(ctx, &form);

	*ret = NULL;
	if (r == 0)
		r = ins_json_parse(ctx, ins_body(ctx), ret);
	if (r == 0 && ins_json_end(ctx, *ret) == NULL)
		r = -INS_ENOMEM;
	if (r != 0)
		return r;
	if (!json_is_object(*ret) && !json_is_array(*ret))
		return ins_fail(
		    ctx, INS_EINVAL, "The body must be a CloudEvent or a list of them.");
	if (form == FORM_ONE && json_is_array(*ret))
		return ins_fail(ctx, INS_EINVAL,
		    "application/cloudevents+json is one event; a list of them is "
		    "application/cloudevents-batch+json");
	if (form == FORM_LIST && json_is_object(*ret))
		return ins_fail(
		    ctx, INS_EINVAL, "application/cloudevents-batch+json is a list of events");
	if (json_array_size(*ret) > METERING_BATCH_MAX)
		return ins_fail(
		    ctx, INS_ETOOBIG, "At most %u events in one request.", METERING_BATCH_MAX);
	return 0;
}

struct item {
	struct usage_event ev;
	struct usage_line line;
	enum outcome outcome;
	char *err;
};

static int
parse_all(ins_ctx *ctx, struct metering *m, const json_t *list, struct item *items, unsigned n)
{
	int64_t now = ins_now_us(), latest = now + m->conf.max_ahead * 1000;
	char err[USAGE_ERR_MAX];
	unsigned i;

	for (i = 0; i < n; i++) {
		struct item *it = &items[i];

		it->ev.lines = &it->line;
		it->outcome = OUTCOME_ACCEPTED;
		if (usage_parse_cloudevent(json_array_get(list, i), now, latest, &it->ev, err) ==
		    0) {
			usage_price(&it->ev, m->prices);
			continue;
		}
		it->outcome = OUTCOME_INVALID;
		it->err = ins_strndup(ctx, err, strlen(err));
		store_count(m, &it->ev, OUTCOME_INVALID);
	}
	return 0;
}

INS_AWAITS
static int
store_all(ins_ctx *ctx, struct metering *m, struct item *items, unsigned n)
{
	struct usage_event **good = ins_alloc(ctx, n * sizeof *good + 1);
	enum outcome *outcome = ins_alloc(ctx, n * sizeof *outcome + 1);
	unsigned i, n_good = 0;
	int r;

	if (good == NULL || outcome == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	for (i = 0; i < n; i++)
		if (items[i].outcome != OUTCOME_INVALID)
			good[n_good++] = &items[i].ev;
	r = store_events(ctx, m, good, n_good, NULL, 0, outcome);
	for (i = 0, n_good = 0; r == 0 && i < n; i++)
		if (items[i].outcome != OUTCOME_INVALID)
			items[i].outcome = outcome[n_good++];
	return r;
}

static const char *
reason(const struct item *it)
{
	if (it->outcome == OUTCOME_INVALID)
		return it->err != NULL ? it->err : "out of memory";
	return it->outcome == OUTCOME_CONFLICT
	    ? "another event with this source and id was counted before"
	    : NULL;
}

static json_t *
result(const struct item *it)
{
	return json_pack("{s:s, s:s, s:s, s:s*}", "id", it->ev.id, "source", it->ev.source,
	    "status", outcome_names[it->outcome], "error", reason(it));
}

static int
reply_one(ins_ctx *ctx, const struct item *it)
{
	if (it->outcome == OUTCOME_INVALID)
		return ins_fail(ctx, INS_EINVAL, "Not a usage event: %s", reason(it));
	if (it->outcome == OUTCOME_CONFLICT)
		return ins_fail(ctx, INS_ECONFLICT, "Not counted: %s", reason(it));
	return ins_reply_take(ctx, 200, result(it));
}

static int
reply_all(ins_ctx *ctx, const struct item *items, unsigned n)
{
	unsigned count[OUTCOMES] = { 0 }, i;
	json_t *results = json_array();

	for (i = 0; i < n; i++) {
		json_array_append_new(results, result(&items[i]));
		count[items[i].outcome]++;
	}
	return ins_reply_take(ctx, count[OUTCOME_CONFLICT] + count[OUTCOME_INVALID] > 0 ? 207 : 200,
	    json_pack("{s:i, s:i, s:i, s:i, s:o}", "accepted", (int)count[OUTCOME_ACCEPTED],
		"duplicate", (int)count[OUTCOME_DUPLICATE], "conflict",
		(int)count[OUTCOME_CONFLICT], "invalid", (int)count[OUTCOME_INVALID], "results",
		results));
}

INS_AWAITS
static int
events_post(ins_ctx *ctx, void *self)
{
	struct metering *m = self;
	struct item *items;
	json_t *j, *list;
	unsigned i, n;
	int r = body(ctx, &j);

	if (r != 0)
		return r;
	list = json_is_array(j) ? j : ins_json_end(ctx, json_pack("[O]", j));
	n = (unsigned)json_array_size(list);
	items = ins_alloc(ctx, n * sizeof *items + 1);
	if (list == NULL || items == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	r = parse_all(ctx, m, list, items, n);
	if (r == 0)
		r = store_all(ctx, m, items, n);
	for (i = 0; i < n; i++)
		usage_fini(&items[i].ev);
	if (r != 0)
		return r;
	return json_is_array(j) ? reply_all(ctx, items, n) : reply_one(ctx, &items[0]);
}

int
events_init(struct metering *m)
{
	return ins_route(m->host, "POST", "/v1/usage/events", "usage:write", events_post);
}
