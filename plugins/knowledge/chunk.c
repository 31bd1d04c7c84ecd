/*
 * chunk.c: see chunk.h. Blocks first become units that are never cut (a heading, a sentence, a
 * table), then units are packed.
 */
#include "chunk.h"

#include <stdlib.h>
#include <string.h>

struct unit {
	uint32_t start, end;
	size_t at, n;
	uint32_t tokens;
	uint32_t block;
};

struct splitter {
	const char *text;
	const struct chunk_block *blocks;
	struct unit *units;
	size_t n_units, cap_units;
	struct chunks *out;
	/* the headings above, by level: where their text stands */
	struct {
		size_t at, n;
	} path[7];
	const char *why;
};

static int
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t';
}

uint32_t
chunk_tokens(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t i = 0, len;
	uint64_t thirds = 0;

	while (i < n) {
		if (is_space(p[i])) {
			i++;
			continue;
		}
		for (len = 0; i < n && !is_space(p[i]); i++) {
			if (u[i] >= 0xe3 && u[i] <= 0xed)
				thirds += 3; /* Chinese, Japanese, Korean: a character each */
			else if ((u[i] & 0xc0) != 0x80)
				len++;
		}
		thirds += len == 0 ? 0 : len <= 12 ? 4 : 4 * (len / 6);
	}
	return (uint32_t)((thirds + 2) / 3);
}

static uint32_t
code_points(const char *p, size_t n)
{
	uint32_t c = 0;
	size_t i;

	for (i = 0; i < n; i++)
		c += ((unsigned char)p[i] & 0xc0) != 0x80;
	return c;
}

static int
fail(struct splitter *s, const char *why)
{
	if (s->why == NULL)
		s->why = why;
	return -1;
}

/* *start goes on by the unit. */
static int
add_unit(struct splitter *s, uint32_t block, size_t at, size_t n, uint32_t *start)
{
	struct unit *u;

	if (n == 0)
		return 0;
	if (s->n_units == s->cap_units) {
		size_t cap = s->cap_units == 0 ? 256 : s->cap_units * 2;

		u = realloc(s->units, cap * sizeof *u);
		if (u == NULL)
			return fail(s, "memory ended");
		s->units = u;
		s->cap_units = cap;
	}
	u = &s->units[s->n_units++];
	u->at = at;
	u->n = n;
	u->start = *start;
	u->end = *start += code_points(s->text + at, n);
	u->tokens = chunk_tokens(s->text + at, n);
	u->block = block;
	return 0;
}

/* Bytes of the first sentence of p with the space after it. */
static size_t
sentence(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i + 2 < n && (unsigned char)p[i] == 0xe3 && (unsigned char)p[i + 1] == 0x80 &&
		    (unsigned char)p[i + 2] == 0x82) {
			i += 3; /* the ideographic full stop needs no space */
			break;
		}
		if (p[i] != '.' && p[i] != '!' && p[i] != '?' && p[i] != '\n')
			continue;
		if (p[i] != '\n')
			for (i++; i < n && strchr("\"')]", p[i]) != NULL && p[i] != '\0'; i++)
				continue;
		if (i >= n || is_space(p[i]))
			break;
	}
	while (i < n && is_space(p[i]))
		i++;
	return i < n ? i : n;
}

static size_t
line(const char *p, size_t n)
{
	const char *nl = memchr(p, '\n', n);

	return nl == NULL ? n : (size_t)(nl - p) + 1;
}

/* Bytes of p up to a gap, about `tokens` long; a text without gaps is cut between characters. */
static size_t
piece(const char *p, size_t n, uint32_t tokens)
{
	size_t want = tokens * 4, i;

	if (n <= want)
		return n;
	for (i = want; i > want / 2; i--)
		if (is_space(p[i - 1]))
			return i;
	for (i = want; i > 0 && ((unsigned char)p[i] & 0xc0) == 0x80; i--)
		continue;
	return i;
}

static int
add_block(struct splitter *s, uint32_t b, size_t at, size_t n)
{
	const struct chunk_block *block = &s->blocks[b];
	int whole = block->type == CHUNK_CODE || block->type == CHUNK_TABLE, r = 0;
	uint32_t start = block->start, max = whole ? CHUNK_TOKENS_HARD : CHUNK_TOKENS;
	size_t end = at + n, len, k;

	if (block->type == CHUNK_HEADING ||
	    (whole && chunk_tokens(s->text + at, n) <= CHUNK_TOKENS_HARD))
		return add_unit(s, b, at, n, &start);
	while (at < end && r == 0) {
		len = whole ? line(s->text + at, end - at) : sentence(s->text + at, end - at);
		while (len > 0 && r == 0) {
			k = chunk_tokens(s->text + at, len) > max ? piece(s->text + at, len, max)
								  : len;
			r = add_unit(s, b, at, k, &start);
			at += k;
			len -= k;
		}
	}
	return r;
}

/* The path of headings as text; whole headings only. */
static void
section(const struct splitter *s, char out[CHUNK_SECTION_MAX + 1])
{
	size_t n = 0;
	int i;

	for (i = 1; i <= 6; i++) {
		size_t sep = n == 0 ? 0 : 3;

		if (s->path[i].n == 0 || n + sep + s->path[i].n > CHUNK_SECTION_MAX)
			continue;
		memcpy(out + n, " > ", sep);
		memcpy(out + n + sep, s->text + s->path[i].at, s->path[i].n);
		n += sep + s->path[i].n;
	}
	out[n] = '\0';
}

/* Units [from, to) become a passage. */
static int
emit(struct splitter *s, size_t from, size_t to)
{
	const struct unit *a = &s->units[from], *z = &s->units[to - 1];
	struct chunk *c;
	size_t k;

	if (s->out->n == CHUNKS_MAX)
		return fail(s, "it falls into too many passages");
	if (s->out->n == s->out->cap) {
		size_t cap = s->out->cap == 0 ? 32 : s->out->cap * 2;

		c = realloc(s->out->p, cap * sizeof *c);
		if (c == NULL)
			return fail(s, "memory ended");
		s->out->p = c;
		s->out->cap = cap;
	}
	c = &s->out->p[s->out->n++];
	c->start = a->start;
	c->end = z->end;
	c->at = a->at;
	c->n = z->at + z->n - a->at;
	c->page = s->blocks[a->block].page;
	c->tokens = 0;
	for (k = from; k < to; k++)
		c->tokens += s->units[k].tokens;
	while (c->n > 0 && is_space(s->text[c->at + c->n - 1])) {
		c->n--;
		c->end--;
	}
	section(s, c->section);
	return 0;
}

/* Where the next passage begins so that it repeats at most CHUNK_OVERLAP tokens of [from, to). */
static size_t
overlap(const struct splitter *s, size_t from, size_t to)
{
	uint32_t tokens = 0;
	size_t k = to;

	while (k > from + 1) {
		const struct unit *u = &s->units[k - 1];
		uint8_t type = s->blocks[u->block].type;

		if ((type != CHUNK_PARAGRAPH && type != CHUNK_LIST_ITEM) ||
		    tokens + u->tokens > CHUNK_OVERLAP)
			break;
		tokens += u->tokens;
		k--;
	}
	return k;
}

static uint32_t
tokens_of(const struct splitter *s, size_t from, size_t to)
{
	uint32_t t = 0;

	while (from < to)
		t += s->units[from++].tokens;
	return t;
}

/* Tokens of the block that unit i begins; 0 when i is not its first. */
static uint32_t
block_tokens(const struct splitter *s, size_t i)
{
	size_t k = i;

	if (i > 0 && s->units[i - 1].block == s->units[i].block)
		return 0;
	while (k < s->n_units && s->units[k].block == s->units[i].block)
		k++;
	return tokens_of(s, i, k);
}

static void
enter_heading(struct splitter *s, const struct unit *u)
{
	int level = s->blocks[u->block].level, i;

	if (level < 1 || level > 6)
		level = 6;
	s->path[level].at = u->at;
	s->path[level].n = u->n;
	for (i = level + 1; i <= 6; i++)
		s->path[i].n = 0;
}

static int
pack(struct splitter *s)
{
	size_t from = 0, i;
	uint32_t tokens = 0, whole;
	int body = 0; /* [from, i) holds more than headings and repetition */

	for (i = 0; i < s->n_units; i++) {
		const struct unit *u = &s->units[i];

		if (s->blocks[u->block].type == CHUNK_HEADING) {
			if (body) {
				if (emit(s, from, i) != 0)
					return -1;
				from = i;
				tokens = 0;
				body = 0;
			}
			enter_heading(s, u);
			tokens += u->tokens;
			continue;
		}
		whole = block_tokens(s, i);
		/* a block that fits into a passage of its own is not begun in one where it does not
		 * fit */
		if (body &&
		    (tokens + u->tokens > CHUNK_TOKENS ||
			(whole <= CHUNK_TOKENS && tokens + whole > CHUNK_TOKENS))) {
			if (emit(s, from, i) != 0)
				return -1;
			from = overlap(s, from, i);
			tokens = tokens_of(s, from, i);
			if (tokens + (whole > 0 && whole <= CHUNK_TOKENS ? whole : u->tokens) >
			    CHUNK_TOKENS) {
				from = i;
				tokens = 0;
			}
		}
		tokens += u->tokens;
		body = 1;
	}
	return emit(s, from, s->n_units);
}

int
chunk_split(const char *text, size_t n, const struct chunk_block *blocks, size_t n_blocks,
    struct chunks *ret, const char **why)
{
	struct splitter s = { .text = text, .blocks = blocks, .out = ret };
	size_t b, at = 0, end;
	uint32_t cp = 0;
	int r = 0;

	memset(ret, 0, sizeof *ret);
	for (b = 0; b < n_blocks && r == 0; b++) {
		if (blocks[b].start < cp || blocks[b].end <= blocks[b].start) {
			r = fail(&s, "its blocks overlap");
			break;
		}
		for (; cp < blocks[b].start && at < n; cp++)
			for (at++; at < n && ((unsigned char)text[at] & 0xc0) == 0x80; at++)
				continue;
		for (end = at; cp < blocks[b].end && end < n; cp++)
			for (end++; end < n && ((unsigned char)text[end] & 0xc0) == 0x80; end++)
				continue;
		if (cp != blocks[b].end)
			r = fail(&s, "its blocks lie outside its text");
		else
			r = add_block(&s, (uint32_t)b, at, end - at);
		at = end;
	}
	if (r == 0 && s.n_units > 0)
		r = pack(&s);
	free(s.units);
	if (r != 0)
		chunks_fini(ret);
	*why = s.why;
	return r;
}

void
chunks_fini(struct chunks *c)
{
	free(c->p);
	memset(c, 0, sizeof *c);
}
