/* model_openai_sse.c: see model_openai_sse.h. */
#include "plugins/model_openai/model_openai_sse.h"

#include <string.h>

void
sse_init(struct sse *s, size_t max)
{
	memset(s, 0, sizeof *s);
	buf_init(&s->line, max);
	buf_init(&s->data, max);
}

void
sse_fini(struct sse *s)
{
	buf_fini(&s->line);
	buf_fini(&s->data);
}

static int
is_field(const char *p, size_t n, const char *name)
{
	return n == strlen(name) && memcmp(p, name, n) == 0;
}

/* One line without its end. */
static enum sse_result
take_line(struct sse *s, const char *p, size_t n)
{
	const char *colon, *value;
	size_t name_n, value_n;

	if (!s->begun) {
		s->begun = 1;
		if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
			p += 3;
			n -= 3;
		}
	}
	if (n == 0) {
		if (s->has_data) {
			s->ready = 1;
			return SSE_EVENT;
		}
		s->event[0] = '\0'; /* an event without data is no event */
		return SSE_MORE;
	}
	colon = memchr(p, ':', n);
	if (colon == p)
		return SSE_MORE;
	name_n = colon == NULL ? n : (size_t)(colon - p);
	value = colon == NULL ? p + n : colon + 1;
	value_n = (size_t)(p + n - value);
	if (value_n > 0 && *value == ' ') {
		value++;
		value_n--;
	}
	if (is_field(p, name_n, "data")) {
		if ((s->has_data && buf_add(&s->data, "\n", 1) != 0) ||
		    buf_add(&s->data, value, value_n) != 0)
			return SSE_TOO_LONG;
		s->has_data = 1;
	} else if (is_field(p, name_n, "event")) {
		if (value_n >= sizeof s->event)
			value_n = sizeof s->event - 1;
		memcpy(s->event, value, value_n);
		s->event[value_n] = '\0';
	}
	return SSE_MORE;
}

static void
begin_event(struct sse *s)
{
	s->data.n = 0;
	s->event[0] = '\0';
	s->has_data = s->ready = 0;
}

/* The first CR or LF, or end. */
static const char *
line_end(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));
	const char *cr = memchr(p, '\r', (size_t)((lf == NULL ? end : lf) - p));

	return cr != NULL ? cr : lf != NULL ? lf : end;
}

enum sse_result
sse_feed(struct sse *s, const char *p, size_t n, size_t *ret_used)
{
	const char *at = p, *end = p + n, *eol;
	enum sse_result r = SSE_MORE;

	if (s->ready)
		begin_event(s);
	while (at < end && r == SSE_MORE) {
		if (s->skip_lf) {
			/* the LF of a CRLF whose CR ended the line, perhaps in an earlier piece */
			s->skip_lf = 0;
			if (*at == '\n') {
				at++;
				continue;
			}
		}
		eol = line_end(at, end);
		if (eol == end || s->line.n > 0) {
			if (buf_add(&s->line, at, (size_t)(eol - at)) != 0)
				r = SSE_TOO_LONG;
			else if (eol < end)
				r = take_line(s, s->line.p, s->line.n);
			if (eol < end)
				s->line.n = 0;
		} else if ((size_t)(eol - at) > s->line.max) {
			r = SSE_TOO_LONG; /* the same bound, however the bytes were split */
		} else {
			r = take_line(s, at, (size_t)(eol - at));
		}
		if (eol < end)
			s->skip_lf = *eol == '\r';
		at = eol < end ? eol + 1 : end;
	}
	*ret_used = (size_t)(at - p);
	return r;
}

enum sse_result
sse_end(struct sse *s)
{
	enum sse_result r;

	if (s->ready)
		begin_event(s);
	if (s->line.n > 0) {
		r = take_line(s, s->line.p, s->line.n);
		s->line.n = 0;
		if (r != SSE_MORE)
			return r;
	}
	if (!s->has_data)
		return SSE_MORE;
	s->ready = 1;
	return SSE_EVENT;
}
