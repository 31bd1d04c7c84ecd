/*
 * extract_join.c: from picked sentences to an answer that reads well.
 *
 * Passages come in the order of their best sentence, sentences of a passage in document order.
 * Prose runs on in a paragraph, list items and code stand on lines of their own, and every run of
 * sentences that stood together in a passage ends with that passage's marker. A sentence that leads
 * on with a colon brings the items or the code that follow it.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "extract_int.h"

#define MARKER_ROOM 24u
#define FOLLOWERS_MAX 4u /* items or lines of code that a colon brings along */

unsigned
extract_tokens(ins_str text)
{
	size_t i, words = 0;
	int in = 0;

	for (i = 0; i < text.n; i++) {
		int space = isspace((unsigned char)text.p[i]) != 0;

		words += (size_t)(!space && !in);
		in = !space;
	}
	return (unsigned)((words * 4 + 2) / 3);
}

struct plan {
	size_t at[EXTRACT_PICKS_MAX]; /* sentences in the order they are written */
	size_t n;
};

static void
plan_add(struct plan *plan, size_t i)
{
	size_t k;

	for (k = 0; k < plan->n; k++)
		if (plan->at[k] == i)
			return;
	if (plan->n < EXTRACT_PICKS_MAX)
		plan->at[plan->n++] = i;
}

/* All of one passage: picked sentences in document order, with what a colon brings along. */
static void
plan_passage(const struct picker *p, unsigned passage, struct plan *plan)
{
	size_t i, k;

	for (i = 0; i < p->n; i++) {
		const struct pick_sentence *s = &p->v[i];

		if (s->passage != passage || !s->picked)
			continue;
		plan_add(plan, i);
		if (s->text.n == 0 || s->text.p[s->text.n - 1] != ':')
			continue;
		for (k = 1; k <= FOLLOWERS_MAX && i + k < p->n; k++) {
			const struct pick_sentence *f = &p->v[i + k];

			if (f->passage != passage ||
			    (f->at.kind != SENTENCE_ITEM && f->at.kind != SENTENCE_CODE))
				break;
			plan_add(plan, i + k);
		}
	}
}

/* The sentence with runs of white space as one space; code keeps its own. Returns the bytes. */
static size_t
copy_text(char *to, const struct pick_sentence *s)
{
	size_t i, n = 0;

	for (i = 0; i < s->text.n; i++) {
		char c = s->text.p[i];

		if (s->at.kind != SENTENCE_CODE && isspace((unsigned char)c)) {
			if (n > 0 && to[n - 1] == ' ')
				continue;
			c = ' ';
		}
		to[n++] = c;
	}
	return n;
}

/* What stands between two sentences. prev is NULL at the start of the answer. */
static const char *
gap(const struct pick_sentence *prev, const struct pick_sentence *s)
{
	if (prev == NULL)
		return s->at.kind == SENTENCE_ITEM ? "- "
		    : s->at.kind == SENTENCE_CODE  ? "    "
						   : "";
	if (s->at.kind == SENTENCE_CODE)
		return prev->at.kind == SENTENCE_CODE && prev->passage == s->passage ? "\n    "
										     : "\n\n    ";
	if (s->at.kind == SENTENCE_ITEM)
		return prev->at.kind == SENTENCE_ITEM && prev->passage == s->passage ? "\n- "
										     : "\n\n- ";
	if (prev->passage != s->passage || prev->at.kind == SENTENCE_CODE)
		return "\n\n";
	/* The second sentence of an item that was not picked with its first is prose. */
	if (prev->at.kind == SENTENCE_ITEM && prev->at.paragraph != s->at.paragraph)
		return "\n\n";
	return " ";
}

static void
add_marker(struct extract_result *ret, char *z, size_t n, const struct pick_sentence *s)
{
	size_t i;

	for (i = 0; i < ret->n_cited && ret->cited[i] != s->passage; i++)
		;
	if (i == ret->n_cited)
		ret->cited[ret->n_cited++] = s->passage;
	snprintf(z + n, MARKER_ROOM, s->at.kind == SENTENCE_CODE ? "\n\n[%zu]" : " [%zu]", i + 1);
}

/* A marker follows unless the next sentence of the answer is also next in the passage. */
static int
ends_run(const struct picker *p, const struct plan *plan, size_t k)
{
	if (k + 1 == plan->n)
		return 1;
	return p->v[plan->at[k + 1]].passage != p->v[plan->at[k]].passage ||
	    plan->at[k + 1] != plan->at[k] + 1;
}

/* Shortens the last piece of a too long answer at a word, so that something is said in any case. */
static size_t
shorten(const char *p, size_t n, unsigned tokens)
{
	unsigned words = tokens * 3 / 4, seen = 0;
	size_t i;

	if (words == 0)
		words = 1;
	for (i = 0; i < n; i++)
		if (p[i] == ' ' && i > 0 && ++seen == words)
			return i;
	return n;
}

int
extract_join(const struct picker *p, const size_t *order, size_t n_order, unsigned max_tokens,
    struct extract_result *ret)
{
	struct plan plan = { { 0 }, 0 };
	unsigned tokens = 0;
	int open = 0;
	size_t i;

	for (i = 0; i < n_order; i++)
		plan_passage(p, p->v[order[i]].passage, &plan);
	for (i = 0; i < plan.n; i++) {
		const struct pick_sentence *s = &p->v[plan.at[i]];
		const char *before = gap(i == 0 ? NULL : &p->v[plan.at[i - 1]], s);
		size_t n = strlen(before), m;
		char *z = malloc(n + s->text.n + MARKER_ROOM);
		ins_str body;

		if (z == NULL)
			return -INS_ENOMEM;
		memcpy(z, before, n);
		m = copy_text(z + n, s);
		body.p = z + n;
		body.n = m;
		if (max_tokens != 0 && tokens + extract_tokens(body) > max_tokens) {
			ret->cut = 1;
			if (i > 0) {
				free(z);
				if (open)
					add_marker(ret, ret->pieces[i - 1].text,
					    strlen(ret->pieces[i - 1].text), &p->v[plan.at[i - 1]]);
				break;
			}
			m = shorten(z + n, m, max_tokens);
		}
		tokens += extract_tokens(body);
		n += m;
		z[n] = 0;
		open = !ret->cut && !ends_run(p, &plan, i);
		if (!open)
			add_marker(ret, z, n, s);
		ret->pieces[ret->n_pieces].text = z;
		ret->pieces[ret->n_pieces++].passage = s->passage;
		if (ret->cut)
			break;
	}
	return 0;
}
