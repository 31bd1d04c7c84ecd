/*
 * fuzz_sse: any bytes in any pieces. The first byte chooses the size of the pieces; the events must
 * be the same as those of the whole, since a network may split a stream anywhere.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/model_openai/model_openai_sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINE_MAX 512

static void
note(struct buf *out, const struct sse *s)
{
	buf_add(out, s->event, strlen(s->event) + 1);
	buf_add(out, s->data.n == 0 ? "" : s->data.p, s->data.n);
	buf_add(out, "\xff;", 2);
}

static void
events(const char *p, size_t n, size_t step, struct buf *out)
{
	enum sse_result r = SSE_MORE;
	size_t used, piece;
	struct sse s;

	sse_init(&s, LINE_MAX);
	while (n > 0 && r != SSE_TOO_LONG) {
		piece = n < step ? n : step;
		r = sse_feed(&s, p, piece, &used);
		assert(used > 0 && used <= piece);
		p += used;
		n -= used;
		if (r == SSE_EVENT)
			note(out, &s);
		assert(s.data.n <= LINE_MAX && s.line.n <= LINE_MAX);
	}
	if (r != SSE_TOO_LONG && (r = sse_end(&s)) == SSE_EVENT)
		note(out, &s);
	if (r == SSE_TOO_LONG)
		buf_add(out, "!", 1);
	sse_fini(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;

	if (size < 1)
		return 0;
	buf_init(&whole, 1 << 24);
	buf_init(&pieces, 1 << 24);
	events((const char *)data + 1, size - 1, size, &whole);
	events((const char *)data + 1, size - 1, 1 + data[0] % 17, &pieces);
	assert(whole.n == pieces.n && (whole.n == 0 || memcmp(whole.p, pieces.p, whole.n) == 0));
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
