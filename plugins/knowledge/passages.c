/* passages.c: see passages.h. The extraction program may have been taken over by its document: its
 * answer is checked like any other input. */
#include "passages.h"

#include <stdlib.h>

static int
fail(struct passages *p, const char *why)
{
	if (p->error[0] == '\0')
		snprintf(p->error, sizeof p->error, "%s", why);
	return -1;
}

static struct chunk_block *
read_blocks(struct passages *p, const json_t *list, size_t *ret_n)
{
	static const char *const names[] = { "heading", "paragraph", "list_item", "code", "table" };
	size_t n = json_array_size(list), i, t;
	struct chunk_block *b = calloc(n + 1, sizeof *b);

	for (i = 0; b != NULL && i < n; i++) {
		const json_t *j = json_array_get(list, i);
		const char *type = json_string_value(json_object_get(j, "type"));
		json_int_t start = json_integer_value(json_object_get(j, "start"));
		json_int_t end = json_integer_value(json_object_get(j, "end"));

		for (t = 0; t < 5 && (type == NULL || strcmp(type, names[t]) != 0); t++)
			continue;
		if (t == 5 || start < 0 || end <= start || end > INT32_MAX) {
			free(b);
			fail(p, "the extracted text cannot be read");
			return NULL;
		}
		b[i].type = (uint8_t)t;
		b[i].start = (uint32_t)start;
		b[i].end = (uint32_t)end;
		b[i].level = (uint8_t)json_integer_value(json_object_get(j, "level"));
		b[i].page = (uint32_t)json_integer_value(json_object_get(j, "page"));
	}
	if (b == NULL)
		fail(p, "memory ended");
	*ret_n = n;
	return b;
}

/* Appends one row to the last slice, or begins a new one. */
static int
add_row(struct passages *p, const char *row, size_t n)
{
	size_t s = p->n_slices == 0 ? 0 : p->n_slices - 1;
	char *q;

	if (p->n_slices == 0 || p->slice_n[s] + n + 2 > SLICE_BYTES) {
		if (p->n_slices == SLICES_MAX)
			return fail(p, "it falls into too many passages");
		s = p->n_slices;
		p->slices[s] = malloc(n + 3 > SLICE_BYTES ? n + 3 : SLICE_BYTES);
		if (p->slices[s] == NULL)
			return fail(p, "memory ended");
		p->n_slices++;
		p->slice_n[s] = 0;
	}
	q = p->slices[s];
	if (p->slice_n[s] > 0)
		p->slice_n[s]--; /* the closing bracket */
	q[p->slice_n[s]] = p->slice_n[s] == 0 ? '[' : ',';
	memcpy(q + p->slice_n[s] + 1, row, n);
	p->slice_n[s] += n + 2;
	q[p->slice_n[s] - 1] = ']';
	return 0;
}

static int
add_chunk(struct passages *p, const struct chunk *c, size_t ordinal)
{
	json_t *j = json_pack("{s:I, s:s, s:s%, s:I, s:I, s:I}", "o", (json_int_t)ordinal, "s",
	    c->section, "t", p->text.p + c->at, c->n, "a", (json_int_t)c->start, "z",
	    (json_int_t)c->end, "k", (json_int_t)c->tokens);
	char *row;
	int r;

	if (j != NULL && c->page != 0)
		json_object_set_new(j, "p", json_integer(c->page));
	row = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
	json_decref(j);
	if (row == NULL)
		return fail(p, "the extracted text cannot be read");
	r = add_row(p, row, strlen(row));
	free(row);
	return r;
}

void
passages_make(void *arg)
{
	struct passages *p = arg;
	struct chunk_block *blocks;
	struct chunks chunks;
	const char *why = NULL;
	json_t *text;
	size_t n, i;

	p->root = json_loadb(p->json.p, p->json.n, 0, NULL);
	text = json_object_get(p->root, "text");
	if (!json_is_string(text)) {
		fail(p, "the extracted text cannot be read");
		return;
	}
	p->text = (ins_str){ json_string_value(text), json_string_length(text) };
	p->title = json_string_value(json_object_get(p->root, "title"));
	if (p->title != NULL && strlen(p->title) > TITLE_MAX)
		p->title = NULL;
	p->characters = json_integer_value(json_object_get(p->root, "characters"));
	blocks = read_blocks(p, json_object_get(p->root, "blocks"), &n);
	if (blocks == NULL)
		return;
	if (chunk_split(p->text.p, p->text.n, blocks, n, &chunks, &why) != 0)
		fail(p, why);
	for (i = 0; p->error[0] == '\0' && i < chunks.n; i++)
		add_chunk(p, &chunks.p[i], i);
	p->n_chunks = chunks.n;
	if (p->error[0] == '\0' && chunks.n == 0)
		fail(p, "the document holds no text");
	chunks_fini(&chunks);
	free(blocks);
}

void
passages_fini(struct passages *p)
{
	size_t i;

	for (i = 0; i < p->n_slices; i++)
		free(p->slices[i]);
	json_decref(p->root);
	memset(p, 0, sizeof *p);
}
