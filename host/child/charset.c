/*
 * charset.c: the character sets that a document may declare, by the labels of the WHATWG's Encoding
 * Standard, converted by iconv. ISO-8859-1 and US-ASCII mean windows-1252, as in every browser.
 *
 * The table is the list of what is supported: a converter that is not opened before the sandbox
 * closes cannot be opened at all.
 */
#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "child/doc.h"

static struct {
	const char *name;   /* iconv's */
	const char *labels; /* space-separated, lower case */
	iconv_t cd;
	int opened;
} sets[] = {
	{ "UTF-8", "utf-8 utf8 unicode-1-1-utf-8", NULL, 0 },
	{ "UTF-16LE", "utf-16 utf-16le", NULL, 0 },
	{ "UTF-16BE", "utf-16be", NULL, 0 },
	{ "CP1252",
	    "windows-1252 cp1252 x-cp1252 iso-8859-1 iso8859-1 latin1 l1 us-ascii ascii iso_8859-1",
	    NULL, 0 },
	{ "ISO-8859-15", "iso-8859-15 iso8859-15 latin9 l9 iso_8859-15", NULL, 0 },
	{ "ISO-8859-2", "iso-8859-2 iso8859-2 latin2 l2 iso_8859-2", NULL, 0 },
	{ "ISO-8859-5", "iso-8859-5 iso8859-5 cyrillic iso_8859-5", NULL, 0 },
	{ "ISO-8859-7", "iso-8859-7 iso8859-7 greek iso_8859-7", NULL, 0 },
	{ "CP1254", "windows-1254 cp1254 iso-8859-9 iso8859-9 latin5 l5", NULL, 0 },
	{ "CP1250", "windows-1250 cp1250", NULL, 0 },
	{ "CP1251", "windows-1251 cp1251", NULL, 0 },
	{ "CP1253", "windows-1253 cp1253", NULL, 0 },
	{ "CP1255", "windows-1255 cp1255 iso-8859-8 hebrew", NULL, 0 },
	{ "CP1256", "windows-1256 cp1256", NULL, 0 },
	{ "CP1257", "windows-1257 cp1257", NULL, 0 },
	{ "KOI8-R", "koi8-r koi8 koi", NULL, 0 },
	{ "KOI8-U", "koi8-u", NULL, 0 },
	{ "GB18030", "gb18030 gbk gb2312 chinese x-gbk gb_2312", NULL, 0 },
	{ "BIG5-HKSCS", "big5 big5-hkscs x-x-big5", NULL, 0 },
	{ "EUC-JP", "euc-jp x-euc-jp", NULL, 0 },
	{ "CP932", "shift_jis shift-jis sjis x-sjis windows-31j ms_kanji", NULL, 0 },
	{ "UHC", "euc-kr korean ks_c_5601-1987 windows-949", NULL, 0 },
};
#define N_SETS ((int)(sizeof sets / sizeof sets[0]))
#define CHARSET_UTF8 0
#define CHARSET_UTF16LE 1
#define CHARSET_UTF16BE 2
#define CHARSET_WEB_DEFAULT 3

static int
open_set(int i)
{
	if (!sets[i].opened) {
		sets[i].cd = iconv_open("UTF-8", sets[i].name);
		sets[i].opened = 1;
	}
	return sets[i].cd == (iconv_t)-1 ? -1 : 0;
}

void
charset_preload(void)
{
	int i;

	for (i = 0; i < N_SETS; i++)
		open_set(i);
}

int
charset_find(const char *label, size_t n)
{
	const char *p, *end;
	int i;

	while (n > 0 && strchr(" \t\r\n\"'", label[0]) != NULL)
		label++, n--;
	while (n > 0 && strchr(" \t\r\n\"'", label[n - 1]) != NULL)
		n--;
	if (n == 0)
		return -1;
	for (i = 0; i < N_SETS; i++)
		for (p = sets[i].labels; *p != '\0'; p = *end == '\0' ? end : end + 1) {
			end = p + strcspn(p, " ");
			if ((size_t)(end - p) == n && strncasecmp(p, label, n) == 0)
				return i;
		}
	return -1;
}

const char *
charset_name(int charset)
{
	return sets[charset].name;
}

int
charset_is_utf8(int charset)
{
	return charset == CHARSET_UTF8;
}

int
charset_decode(int charset, const char *p, size_t n, char **ret, size_t *ret_n)
{
	char *in = (char *)(uintptr_t)p, *out, *q, *grown;
	size_t in_left = n, cap = n + n / 8 + 64, used = 0, out_left;

	*ret = NULL;
	*ret_n = 0;
	if (open_set(charset) != 0)
		return -1;
	iconv(sets[charset].cd, NULL, NULL, NULL, NULL);
	out = malloc(cap);
	while (out != NULL && in_left > 0) {
		q = out + used;
		out_left = cap - used;
		if (iconv(sets[charset].cd, &in, &in_left, &q, &out_left) == (size_t)-1 &&
		    errno != E2BIG) {
			free(out);
			*ret_n = (size_t)(in - p);
			return -1;
		}
		used = cap - out_left;
		if (in_left == 0)
			break;
		cap += cap / 2;
		grown = realloc(out, cap);
		if (grown == NULL)
			free(out);
		out = grown;
	}
	if (out == NULL) {
		*ret_n = SIZE_MAX;
		return -1;
	}
	*ret = out;
	*ret_n = used;
	return 0;
}

/* The value of name=... in a tag's text, as the prescan of HTML 13.2.3.2 does for charset and
 * encoding. */
static int
attribute_charset(const char *p, const char *end, const char *name)
{
	size_t n = strlen(name), len;
	const char *v;

	for (; p + n < end; p++) {
		if (strncasecmp(p, name, n) != 0)
			continue;
		v = p + n;
		while (v < end && strchr(" \t\r\n", *v) != NULL)
			v++;
		if (v == end || *v != '=')
			continue;
		v++;
		while (v < end && strchr(" \t\r\n\"'", *v) != NULL)
			v++;
		for (len = 0; v + len < end && strchr(" \t\r\n\"';/>?", v[len]) == NULL; len++)
			continue;
		return charset_find(v, len);
	}
	return -1;
}

int
charset_sniff_html(const char *p, size_t n)
{
	const char *end = p + (n > 1024 ? 1024 : n), *q, *gt;
	int r;

	if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		return CHARSET_UTF8;
	if (n >= 2 && memcmp(p, "\xff\xfe", 2) == 0)
		return CHARSET_UTF16LE;
	if (n >= 2 && memcmp(p, "\xfe\xff", 2) == 0)
		return CHARSET_UTF16BE;
	for (q = p; q + 6 < end; q++) {
		if (*q != '<' || (strncasecmp(q, "<meta", 5) != 0 && memcmp(q, "<?xml", 5) != 0))
			continue;
		gt = memchr(q, '>', (size_t)(end - q));
		if (gt == NULL)
			break;
		r = attribute_charset(q + 5, gt, q[1] == '?' ? "encoding" : "charset");
		/* a page that we can read as far as this tag is not UTF-16, whatever it says */
		if (r == CHARSET_UTF16LE || r == CHARSET_UTF16BE)
			return CHARSET_UTF8;
		if (r >= 0)
			return r;
	}
	return doc_utf8_check(p, n) < 0 ? CHARSET_UTF8 : CHARSET_WEB_DEFAULT;
}
