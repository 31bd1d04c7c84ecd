/*
 * str.c: a growing byte buffer with a stated maximum. Runs on the thread that owns the buffer.
 *
 * What does not fit is refused as a whole and sets `overflow`; callers check once at the end
 * instead of after each addition, and never send a cut-off text by accident.
 */
#include "base/str.h"

#include "base/json.h"

#define STR_FIRST 256u

void
str_init(struct str *s, size_t max)
{
	memset(s, 0, sizeof *s);
	s->max = max;
}

void
str_fini(struct str *s)
{
	free(s->p);
	memset(s, 0, sizeof *s);
}

void
str_reset(struct str *s)
{
	s->n = 0;
	s->overflow = 0;
	if (s->p != NULL)
		s->p[0] = '\0';
}

/* Room for n more bytes and the NUL; 0 when that passes the maximum. */
static int
str_room(struct str *s, size_t n)
{
	size_t cap;
	char *p;

	if (s->overflow)
		return 0;
	if (n > s->max || s->n > s->max - n) {
		s->overflow = 1;
		return 0;
	}
	if (s->p != NULL && s->n + n < s->cap)
		return 1;
	cap = s->cap == 0 ? STR_FIRST : s->cap * 2;
	if (cap < s->n + n + 1)
		cap = s->n + n + 1;
	p = realloc(s->p, cap);
	if (p == NULL) {
		s->overflow = 1;
		return 0;
	}
	s->p = p;
	s->cap = cap;
	return 1;
}

void
str_add(struct str *s, const void *p, size_t n)
{
	if (!str_room(s, n))
		return;
	if (n > 0)
		memcpy(s->p + s->n, p, n);
	s->n += n;
	s->p[s->n] = '\0';
}

void
str_addz(struct str *s, const char *z)
{
	str_add(s, z, strlen(z));
}

void
str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = s->p == NULL ? vsnprintf(NULL, 0, fmt, ap)
			 : vsnprintf(s->p + s->n, s->cap - s->n, fmt, ap);
	va_end(ap);
	if (n < 0) {
		s->overflow = 1;
	} else if (s->p != NULL && !s->overflow && s->n + (size_t)n < s->cap &&
	    s->n + (size_t)n <= s->max) {
		s->n += (size_t)n;
		return;
	} else if (str_room(s, (size_t)n)) {
		va_start(ap, fmt);
		vsnprintf(s->p + s->n, s->cap - s->n, fmt, ap);
		va_end(ap);
		s->n += (size_t)n;
		return;
	}
	if (s->p != NULL)
		s->p[s->n] = '\0';
}

static const char *
escape_of(unsigned char c, char buf[8])
{
	switch (c) {
	case '"': return "\\\"";
	case '\\': return "\\\\";
	case '\n': return "\\n";
	case '\r': return "\\r";
	case '\t': return "\\t";
	default: snprintf(buf, 8, "\\u%04x", c); return buf;
	}
}

void
str_add_json(struct str *s, const char *p, size_t n)
{
	char buf[8];
	size_t i = 0, run = 0, len;

	str_add(s, "\"", 1);
	while (i < n) {
		unsigned char c = (unsigned char)p[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			i++;
			continue;
		}
		len = c < 0x80 ? 0 : json_utf8_len(p + i, n - i);
		if (len > 0) {
			i += len;
			continue;
		}
		str_add(s, p + run, i - run);
		str_addz(s, c < 0x80 ? escape_of(c, buf) : "\xef\xbf\xbd");
		run = ++i;
	}
	str_add(s, p + run, n - run);
	str_add(s, "\"", 1);
}
