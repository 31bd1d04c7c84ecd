/*
 * json.c: untrusted JSON is scanned once without recursion before jansson sees it. Any thread.
 *
 * jansson's own depth limit is a compile-time 2,048, and every later walk over such a value
 * (json_decref, dumping, comparing) recurses as deep, on a coroutine's stack. So depth and encoding
 * are decided here, and jansson gets only what is flat enough.
 */
#include "base/json.h"

/* Unicode 15, table 3-7: well-formed byte sequences. */
size_t
json_utf8_len(const char *p, size_t n)
{
	const unsigned char *b = (const unsigned char *)p;
	unsigned char lo = 0x80, hi = 0xbf;
	size_t len;

	if (n == 0)
		return 0;
	if (b[0] < 0x80)
		return 1;
	if (b[0] >= 0xc2 && b[0] <= 0xdf) {
		len = 2;
	} else if (b[0] >= 0xe0 && b[0] <= 0xef) {
		len = 3;
		if (b[0] == 0xe0)
			lo = 0xa0;
		else if (b[0] == 0xed)
			hi = 0x9f; /* no surrogates */
	} else if (b[0] >= 0xf0 && b[0] <= 0xf4) {
		len = 4;
		if (b[0] == 0xf0)
			lo = 0x90;
		else if (b[0] == 0xf4)
			hi = 0x8f;
	} else {
		return 0;
	}
	if (n < len || b[1] < lo || b[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (b[i] < 0x80 || b[i] > 0xbf)
			return 0;
	return len;
}

int
json_utf8_valid(const char *p, size_t n)
{
	size_t i = 0, len;

	while (i < n) {
		uint64_t w;

		if (n - i >= sizeof w) {
			memcpy(&w, p + i, sizeof w);
			if ((w & UINT64_C(0x8080808080808080)) == 0) {
				i += sizeof w;
				continue;
			}
		}
		len = json_utf8_len(p + i, n - i);
		if (len == 0)
			return 0;
		i += len;
	}
	return 1;
}

/* "line 1 column 7" of byte at, both from 1, columns in bytes. */
static void
where(const char *p, size_t at, size_t *ret_line, size_t *ret_column)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < at; i++) {
		if (p[i] == '\n') {
			line++;
			column = 1;
		} else {
			column++;
		}
	}
	*ret_line = line;
	*ret_column = column;
}

static int
refuse(const char *p, size_t at, const char *what, char err[JSON_ERR_MAX])
{
	size_t line, column;

	where(p, at, &line, &column);
	snprintf(err, JSON_ERR_MAX, "line %zu column %zu: %s", line, column, what);
	return -1;
}

/* Depth and encoding. Brackets are counted, not matched: jansson does that. */
static int
prescan(const char *p, size_t n, char err[JSON_ERR_MAX])
{
	unsigned depth = 0;
	int in_string = 0;
	size_t len;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c >= 0x80) {
			len = json_utf8_len(p + i, n - i);
			if (len == 0)
				return refuse(p, i, "the text is not valid UTF-8", err);
			i += len - 1;
		} else if (in_string) {
			if (c == '\\')
				i++; /* the escaped byte is ASCII, or the next round's refusal */
			else if (c == '"')
				in_string = 0;
		} else if (c == '"') {
			in_string = 1;
		} else if (c == '[' || c == '{') {
			if (++depth > JSON_DEPTH_MAX) {
				char what[64];

				snprintf(what, sizeof what, "nested deeper than %d levels",
				    JSON_DEPTH_MAX);
				return refuse(p, i, what, err);
			}
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return 0;
}

json_t *
json_parse(const char *p, size_t n, char err[JSON_ERR_MAX])
{
	json_error_t e;
	json_t *j;

	err[0] = '\0';
	if (p == NULL || n == 0) {
		snprintf(err, JSON_ERR_MAX, "line 1 column 1: there is no JSON text, it is empty");
		return NULL;
	}
	if (prescan(p, n, err) != 0)
		return NULL;
	j = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (j == NULL)
		snprintf(err, JSON_ERR_MAX, "line %d column %d: %.100s", e.line > 0 ? e.line : 1,
		    e.column > 0 ? e.column : 1, e.text);
	return j;
}
