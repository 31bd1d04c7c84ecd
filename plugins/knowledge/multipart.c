/* multipart.c: see multipart.h. */
#include "multipart.h"

#include <strings.h>

static int
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static ins_str
trim(const char *p, size_t n)
{
	while (n > 0 && is_blank(*p))
		p++, n--;
	while (n > 0 && is_blank(p[n - 1]))
		n--;
	return (ins_str){ p, n };
}

static int
is_token(ins_str s, const char *z)
{
	return s.n == strlen(z) && strncasecmp(s.p, z, s.n) == 0;
}

/* Takes "; name=value" or "; name=\"value\"" off the front of *s: 1, 0 at the end, -1 when it is
 * neither. */
static int
next_param(ins_str *s, ins_str *name, ins_str *value)
{
	const char *p = s->p, *end = s->p + s->n, *q;

	while (p < end && is_blank(*p))
		p++;
	if (p == end)
		return 0;
	if (*p++ != ';')
		return -1;
	while (p < end && is_blank(*p))
		p++;
	if (p == end)
		return 0; /* a last semicolon */
	q = memchr(p, '=', (size_t)(end - p));
	if (q == NULL || q == p)
		return -1;
	*name = trim(p, (size_t)(q - p));
	p = q + 1;
	if (p < end && *p == '"') {
		for (q = ++p; q < end && *q != '"'; q++)
			if (*q == '\\' && q + 1 < end && q[1] == '"')
				q++;
		if (q == end)
			return -1;
		*value = (ins_str){ p, (size_t)(q - p) };
		p = q + 1;
	} else {
		for (q = p; q < end && *q != ';'; q++)
			continue;
		*value = trim(p, (size_t)(q - p));
		p = q;
	}
	*s = (ins_str){ p, (size_t)(end - p) };
	return 1;
}

int
multipart_boundary(ins_str type, ins_str *ret)
{
	const char *semi = type.n == 0 ? NULL : memchr(type.p, ';', type.n);
	ins_str rest, name, value;
	size_t i;

	if (semi == NULL || !is_token(trim(type.p, (size_t)(semi - type.p)), "multipart/form-data"))
		return -1;
	rest = (ins_str){ semi, type.n - (size_t)(semi - type.p) };
	while (next_param(&rest, &name, &value) == 1) {
		if (!is_token(name, "boundary"))
			continue;
		if (value.n == 0 || value.n > MULTIPART_BOUNDARY_MAX ||
		    is_blank(value.p[value.n - 1]))
			return -1;
		for (i = 0; i < value.n; i++) /* bchars of RFC 2046, as browsers and curl keep to */
			if (value.p[i] <= ' ' || value.p[i] >= 0x7f ||
			    strchr("\"\\;", value.p[i]) != NULL)
				return -1;
		*ret = value;
		return 0;
	}
	return -1;
}

static int
bad(char err[160], const char *text)
{
	snprintf(err, 160, "the multipart body %s", text);
	return -1;
}

/*
 * The next delimiter line at or after p: where it begins (with its CRLF, unless it opens the body)
 * and what follows it. *last tells the closing one. NULL when there is none.
 */
static const char *
find_delimiter(const char *start, const char *p, const char *end, const char *mark, size_t mark_n,
    const char **after, int *last)
{
	const char *q, *r;

	for (;;) {
		if (p == start && (size_t)(end - p) >= mark_n - 2 &&
		    memcmp(p, mark + 2, mark_n - 2) == 0) {
			q = p; /* the first may stand without a CRLF before it */
			r = p + mark_n - 2;
		} else {
			q = memmem(p, (size_t)(end - p), mark, mark_n);
			if (q == NULL)
				return NULL;
			r = q + mark_n;
		}
		if (end - r >= 2 && r[0] == '-' && r[1] == '-') {
			*last = 1;
			*after = r + 2;
			return q;
		}
		while (r < end && is_blank(*r))
			r++;
		if (end - r >= 2 && r[0] == '\r' && r[1] == '\n') {
			*last = 0;
			*after = r + 2;
			return q;
		}
		p = q + 1; /* only the beginning of a longer line */
		if (p >= end)
			return NULL;
	}
}

static int
disposition(ins_str value, struct multipart_part *part, char err[160])
{
	const char *semi = memchr(value.p, ';', value.n);
	ins_str rest = { value.p + value.n, 0 }, name, v;
	int r;

	if (semi != NULL)
		rest = (ins_str){ semi, value.n - (size_t)(semi - value.p) };
	if (!is_token(trim(value.p, value.n - rest.n), "form-data"))
		return bad(err, "holds a part that is not form-data");
	while ((r = next_param(&rest, &name, &v)) == 1) {
		if (is_token(name, "name"))
			part->name = v;
		else if (is_token(name, "filename"))
			part->filename = v;
	}
	return r < 0 ? bad(err, "holds a Content-Disposition that cannot be read") : 0;
}

static int
header(const char *p, size_t n, struct multipart_part *part, char err[160])
{
	const char *colon = memchr(p, ':', n);
	ins_str value;

	if (colon == NULL || colon == p)
		return bad(err, "holds a part with a broken header line");
	value = trim(colon + 1, n - (size_t)(colon + 1 - p));
	if (is_token((ins_str){ p, (size_t)(colon - p) }, "content-disposition"))
		return disposition(value, part, err);
	if (is_token((ins_str){ p, (size_t)(colon - p) }, "content-type"))
		part->type = value;
	else if (is_token((ins_str){ p, (size_t)(colon - p) }, "content-transfer-encoding") &&
	    !is_token(value, "binary") && !is_token(value, "8bit") && !is_token(value, "7bit"))
		return bad(err, "uses a Content-Transfer-Encoding, which form data must not");
	return 0;
}

/* The headers of a part, from p to the empty line; *ret is what follows it. */
static int
headers(
    const char *p, const char *end, struct multipart_part *part, const char **ret, char err[160])
{
	const char *limit = end - p > (ptrdiff_t)MULTIPART_HEAD_MAX ? p + MULTIPART_HEAD_MAX : end,
		   *eol;

	memset(part, 0, sizeof *part);
	part->type.p = "";
	for (;; p = eol + 2) {
		eol = memmem(p, (size_t)(limit - p), "\r\n", 2);
		if (eol == NULL)
			return bad(err,
			    limit == end ? "ends inside a part's headers"
					 : "holds a part whose headers are too long");
		if (eol == p)
			break;
		if (header(p, (size_t)(eol - p), part, err) != 0)
			return -1;
	}
	if (part->name.n == 0)
		return bad(err, "holds a part without a name");
	*ret = eol + 2;
	return 0;
}

int
multipart_parse(ins_str body, ins_str boundary, struct multipart_part parts[MULTIPART_PARTS_MAX],
    size_t *ret_n, char err[160])
{
	char mark[MULTIPART_BOUNDARY_MAX + 5];
	size_t mark_n = (size_t)snprintf(mark, sizeof mark, "\r\n--%.*s", INS_FMT(boundary)), n = 0;
	const char *end = body.p + body.n, *p = body.p, *after, *data;
	int last = 0;

	*ret_n = 0;
	if (body.n == 0)
		return bad(err, "is empty");
	if (find_delimiter(body.p, p, end, mark, mark_n, &after, &last) == NULL)
		return bad(err, "does not hold its boundary");
	while (!last) {
		if (n == MULTIPART_PARTS_MAX)
			return bad(err, "holds more than 32 parts");
		if (headers(after, end, &parts[n], &data, err) != 0)
			return -1;
		/* an empty body's CRLF is the one that ended the headers */
		p = find_delimiter(NULL, data - 2, end, mark, mark_n, &after, &last);
		if (p == NULL)
			return bad(err, "ends without its closing boundary");
		parts[n].body = (ins_str){ data, p < data ? 0 : (size_t)(p - data) };
		n++;
	}
	if (n == 0)
		return bad(err, "holds no parts");
	*ret_n = n;
	return 0;
}
