/* usage.c: see usage.h. usage_cloudevent.c has the other form. */
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usage_int.h"

int
usage_refuse(char err[USAGE_ERR_MAX], const char *key, const char *why)
{
	snprintf(err, USAGE_ERR_MAX, "%.80s %s", key, why);
	return -1;
}

int
usage_text(const json_t *j, const char *key, unsigned max, int required, const char **ret,
    char err[USAGE_ERR_MAX])
{
	const json_t *v = json_object_get(j, key);
	char why[80];

	if (v == NULL || json_is_null(v)) {
		*ret = "";
		return required ? usage_refuse(err, key, "is missing") : 0;
	}
	if (!json_is_string(v) || json_string_length(v) > max ||
	    (required && json_string_length(v) == 0)) {
		snprintf(why, sizeof why, "must be a text of %s%u bytes",
		    required ? "1 .. " : "at most ", max);
		return usage_refuse(err, key, why);
	}
	*ret = json_string_value(v);
	return 0;
}

int
usage_count(const json_t *j, const char *key, int64_t *ret, char err[USAGE_ERR_MAX])
{
	const json_t *v = json_object_get(j, key);
	char why[80];

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) > USAGE_COUNT_MAX) {
		snprintf(why, sizeof why, "must be a whole number, 0 .. %lld",
		    (long long)USAGE_COUNT_MAX);
		return usage_refuse(err, key, why);
	}
	*ret = json_integer_value(v);
	return 0;
}

/* A whole number, or its digits as a text, since JSON's numbers end at 2^53 for some. */
static int
reported(const json_t *j, struct usage_line *line, char err[USAGE_ERR_MAX])
{
	const json_t *v = json_object_get(j, "cost_nanos");

	if (v == NULL || json_is_null(v))
		return 0;
	line->has_reported = 1;
	line->reported = json_integer_value(v);
	if (json_is_string(v) &&
	    money_parse(json_string_value(v), json_string_length(v), &line->reported) != 0)
		line->reported = -1;
	if ((!json_is_integer(v) && !json_is_string(v)) || line->reported < 0)
		return usage_refuse(err, "cost_nanos",
		    "must be whole nano-dollars: a number, or a text of at most 36 digits");
	return 0;
}

int
usage_counts(const json_t *j, struct usage_line *line, char err[USAGE_ERR_MAX])
{
	struct usage_counts *c = &line->counts;
	const json_t *details = json_object_get(j, "prompt_tokens_details");

	if (usage_count(j, "prompt_tokens", &c->prompt_tokens, err) != 0 ||
	    usage_count(j, "completion_tokens", &c->completion_tokens, err) != 0 ||
	    usage_count(details, "cached_tokens", &c->cached_tokens, err) != 0 ||
	    usage_count(j, "cached_tokens", &c->cached_tokens, err) != 0 ||
	    usage_count(j, "tool_calls", &c->tool_calls, err) != 0 || reported(j, line, err) != 0)
		return -1;
	if (c->cached_tokens > c->prompt_tokens)
		return usage_refuse(err, "cached_tokens", "must not be above prompt_tokens");
	return 0;
}

/* What of the totals no model accounts for. A total may be less than its parts when the sender
 * counts them apart; then nothing is left. */
static void
subtract(struct usage_line *rest, const struct usage_line *model)
{
	struct usage_counts *r = &rest->counts;
	const struct usage_counts *m = &model->counts;

#define INS_LESS(f) r->f = r->f > m->f ? r->f - m->f : 0
	INS_LESS(prompt_tokens);
	INS_LESS(completion_tokens);
	INS_LESS(cached_tokens);
	INS_LESS(tool_calls);
#undef INS_LESS
	if (r->cached_tokens > r->prompt_tokens)
		r->cached_tokens = r->prompt_tokens;
	if (model->has_reported)
		rest->reported = rest->reported > model->reported ? rest->reported - model->reported
								  : 0;
}

/* One line for each of usage.models; the first line has the totals and keeps the rest. */
static int
models(const json_t *list, struct usage_event *ev, char err[USAGE_ERR_MAX])
{
	int all_reported = 1;
	const char *name;
	json_t *model;

	if (list == NULL || json_is_null(list))
		return 0;
	if (!json_is_object(list) || json_object_size(list) >= USAGE_LINES_MAX)
		return usage_refuse(err, "usage.models", "must map at most 32 models to counts");
	json_object_foreach((json_t *)list, name, model)
	{
		struct usage_line *line = &ev->lines[ev->n_lines];

		memset(line, 0, sizeof *line);
		line->model = name;
		if (*name == '\0' || strlen(name) > USAGE_LABEL_MAX || !json_is_object(model))
			return usage_refuse(err, "usage.models", "must map names to counts");
		if (usage_counts(model, line, err) != 0)
			return -1;
		subtract(&ev->lines[0], line);
		all_reported &= line->has_reported;
		ev->n_lines++;
	}
	/* The total's cost is then partly theirs, nobody knows how much: never counted twice. */
	if (!all_reported)
		ev->lines[0].has_reported = 0;
	return 0;
}

static int
hash_all(const json_t *j, struct usage_event *ev, char err[USAGE_ERR_MAX])
{
	char *z = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
	int r = z == NULL ? -1 : usage_digest(z, strlen(z), ev->hash);

	free(z);
	return r == 0 ? 0 : usage_refuse(err, "the event", "cannot be hashed");
}

int
usage_parse(const json_t *j, int64_t dflt_time_us, const char *dflt_workflow,
    const char *dflt_run_id, struct usage_event *ev, char err[USAGE_ERR_MAX])
{
	struct usage_line *line = ev->lines;
	const json_t *usage = json_object_get(j, "usage"), *at = json_object_get(j, "time_us");

	ev->source = ev->id = ev->kind = ev->subject = ev->workflow = ev->run_id = "";
	ev->data = NULL;
	ev->data_text = NULL;
	ev->time_us = dflt_time_us;
	ev->n_lines = 1;
	memset(line, 0, sizeof *line);
	if (!json_is_object(j) || (usage != NULL && !json_is_object(usage)))
		return usage_refuse(err, "the event and its usage", "must be JSON objects");
	if (usage_text(j, "source", USAGE_NAME_MAX, 1, &ev->source, err) != 0 ||
	    usage_text(j, "id", USAGE_NAME_MAX, 1, &ev->id, err) != 0 ||
	    usage_text(j, "kind", USAGE_LABEL_MAX, 1, &ev->kind, err) != 0 ||
	    usage_text(j, "model", USAGE_LABEL_MAX, 0, &line->model, err) != 0 ||
	    usage_text(j, "workflow", USAGE_LABEL_MAX, 0, &ev->workflow, err) != 0 ||
	    usage_text(j, "run_id", USAGE_LABEL_MAX, 0, &ev->run_id, err) != 0 ||
	    usage_count(j, "duration_ms", &line->counts.duration_ms, err) != 0 ||
	    usage_counts(usage, line, err) != 0 ||
	    models(json_object_get(usage, "models"), ev, err) != 0)
		return -1;
	if (at != NULL && !json_is_integer(at))
		return usage_refuse(err, "time_us", "must be a whole number");
	if (at != NULL)
		ev->time_us = json_integer_value(at);
	if (ev->time_us < INSTANT_MIN_US || ev->time_us >= INSTANT_MAX_US)
		return usage_refuse(err, "time_us", "must be between 2000 and 2100");
	if (*ev->workflow == '\0' && dflt_workflow != NULL)
		ev->workflow = dflt_workflow;
	if (*ev->run_id == '\0' && dflt_run_id != NULL)
		ev->run_id = dflt_run_id;
	return hash_all(j, ev, err);
}

void
usage_fini(struct usage_event *ev)
{
	free(ev->data_text);
	ev->data_text = NULL;
}

void
usage_price(struct usage_event *ev, const struct prices *prices)
{
	struct price price;
	unsigned i;

	for (i = 0; i < ev->n_lines; i++) {
		struct usage_line *l = &ev->lines[i];
		struct usage_counts *c = &l->counts;

		l->priced = 1;
		l->cost = 0;
		l->prices = "";
		if (c->prompt_tokens == 0 && c->completion_tokens == 0 && !l->has_reported)
			continue; /* nothing that has a price */
		if (*l->model != '\0' && prices_find(prices, l->model, ev->time_us, &price) == 0) {
			l->cost = prices_cost(
			    &price, c->prompt_tokens, c->cached_tokens, c->completion_tokens);
			l->prices = price.version;
		} else if (l->has_reported &&
		    (l->reported > 0 || (c->prompt_tokens == 0 && c->completion_tokens == 0))) {
			/* Reported zeroes of tokens are what those say who know no price. */
			l->cost = l->reported;
			l->prices = "reported";
		} else {
			l->priced = 0;
		}
	}
}
