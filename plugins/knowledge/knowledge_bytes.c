/*
 * knowledge_bytes.c: bytes on their way into PostgreSQL and back: hashes, the text form of bytea,
 * base64, UTF-8. More than 64 KiB is worked on in the pool.
 */
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "knowledge.h"

int
bytes_is_uuid(const char *z)
{
	size_t i;

	for (i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (z[i] != '-')
				return 0;
		} else if (z[i] == '\0' || strchr("0123456789abcdefABCDEF", z[i]) == NULL) {
			return 0;
		}
	}
	return z[36] == '\0';
}

ptrdiff_t
bytes_bad_utf8(const char *p, size_t n)
{
	utf8proc_int32_t cp;
	utf8proc_ssize_t r;
	size_t i = 0;

	while (i < n) {
		if ((unsigned char)p[i] < 0x80) {
			i++;
			continue;
		}
		r = utf8proc_iterate((const utf8proc_uint8_t *)p + i,
		    (utf8proc_ssize_t)(n - i > 4 ? 4 : n - i), &cp);
		if (r <= 0)
			return (ptrdiff_t)i;
		i += (size_t)r;
	}
	return -1;
}

int
bytes_blank(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != ' ' && p[i] != '\n' && p[i] != '\r' && p[i] != '\t' && p[i] != '\f')
			return 0;
	return 1;
}

struct prepare {
	ins_str in;
	int check;
	char *sha256, *hex;
	ptrdiff_t bad;
	int failed;
};

static void
prepare(void *arg)
{
	static const char digits[] = "0123456789abcdef";
	struct prepare *w = arg;
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned md_n = 0;
	size_t i;

	w->bad = w->check ? bytes_bad_utf8(w->in.p, w->in.n) : -1;
	w->hex = malloc(w->in.n * 2 + 3);
	w->failed = w->hex == NULL ||
	    EVP_Digest(w->in.p, w->in.n, md, &md_n, EVP_sha256(), NULL) != 1;
	if (w->failed)
		return;
	for (i = 0; i < 32; i++) {
		w->sha256[2 * i] = digits[md[i] >> 4];
		w->sha256[2 * i + 1] = digits[md[i] & 15];
	}
	w->sha256[64] = '\0';
	memcpy(w->hex, "\\x", 2);
	for (i = 0; i < w->in.n; i++) {
		unsigned char c = (unsigned char)w->in.p[i];

		w->hex[2 * i + 2] = digits[c >> 4];
		w->hex[2 * i + 3] = digits[c & 15];
	}
	w->hex[w->in.n * 2 + 2] = '\0';
}

int
bytes_prepare(
    ins_ctx *ctx, ins_str p, int check_utf8, char sha256[65], ins_arg *ret_data, ptrdiff_t *ret_bad)
{
	struct prepare w = { .in = p, .check = check_utf8, .sha256 = sha256 };
	int r = 0;

	if (p.n > INLINE_BYTES)
		r = ins_blocking(ctx, prepare, &w);
	else
		prepare(&w);
	if (w.hex != NULL && ins_cleanup(ctx, free, w.hex) != 0) {
		free(w.hex);
		w.failed = 1;
	}
	if (r != 0)
		return r;
	if (w.failed)
		return -INS_ENOMEM;
	ret_data->p = w.hex;
	ret_data->n = p.n * 2 + 2;
	if (ret_bad != NULL)
		*ret_bad = w.bad;
	return 0;
}

ptrdiff_t
bytes_unbase64(const char *p, size_t n, char *out, size_t at, size_t cap)
{
	EVP_ENCODE_CTX *c = EVP_ENCODE_CTX_new();
	ptrdiff_t ret = -1;
	int len = 0, last = 0;

	/* OpenSSL writes three bytes for every four that it reads, padding included */
	if (c != NULL && n <= INT_MAX && n / 4 * 3 + 3 <= cap - at) {
		EVP_DecodeInit(c);
		if (EVP_DecodeUpdate(c, (unsigned char *)out + at, &len, (const unsigned char *)p,
			(int)n) >= 0 &&
		    EVP_DecodeFinal(c, (unsigned char *)out + at + len, &last) == 1)
			ret = (ptrdiff_t)at + len + last;
	}
	EVP_ENCODE_CTX_free(c);
	return ret;
}
