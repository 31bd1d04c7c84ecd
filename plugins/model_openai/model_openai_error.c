/* model_openai_error.c: see model_openai_error.h. */

#include "plugins/model_openai/model_openai_error.h"

#include <insula/insula.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char hidden[] = "[hidden]";

/* Bytes of what looks like a secret at z: a word that begins like a key, or the word after
 * "Bearer". */
static size_t
secret_bytes(const char *z, const char *begin, const char *key)
{
	size_t key_n = strlen(key), n;

	if (key_n > 0 && strncmp(z, key, key_n) == 0)
		return key_n;
	n = strcspn(z, " \t\r\n\"',;)}]");
	if (strncmp(z, "sk-", 3) == 0 || strncmp(z, "isk_", 4) == 0)
		return n;
	if (z - begin >= 7 && strncasecmp(z - 7, "bearer ", 7) == 0)
		return n;
	return 0;
}

void
error_redact(const char *z, const char *key, char *out, size_t out_n)
{
	const char *begin = z;
	size_t at = 0, n;

	while (*z != '\0') {
		n = secret_bytes(z, begin, key);
		if (n > 0) {
			if (at + sizeof hidden > out_n)
				break;
			memcpy(out + at, hidden, sizeof hidden - 1);
			at += sizeof hidden - 1;
			z += n;
			continue;
		}
		for (n = 1; ((unsigned char)z[n] & 0xc0) == 0x80; n++)
			;
		if (at + n >= out_n)
			break;
		if ((unsigned char)*z < 0x20 || *z == 0x7f)
			out[at] = ' ';
		else
			memcpy(out + at, z, n);
		at += n;
		z += n;
	}
	out[at] = '\0';
}

/* RFC 9110 §10.2.3: seconds or an HTTP date. 0 when it is neither. */
static int64_t
retry_seconds(const char *p, size_t n, int64_t now_s)
{
	char z[40], *end;
	struct tm tm;
	int64_t s;

	if (n == 0 || n >= sizeof z)
		return 0;
	memcpy(z, p, n);
	z[n] = '\0';
	s = strtoll(z, &end, 10);
	if (end == z || *end != '\0') {
		memset(&tm, 0, sizeof tm);
		end = strptime(z, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		if (end == NULL || *end != '\0')
			return 0;
		s = (int64_t)timegm(&tm) - now_s;
	}
	return s < 1 ? 1 : s > ERROR_RETRY_MAX_S ? ERROR_RETRY_MAX_S : s;
}

static int
code_of(int status, const char *reason)
{
	switch (status) {
	case 400:
	case 413:
	case 422: return INS_EINVAL;
	case 429:
		/* our account with the provider is empty: waiting does not help, and it is not the
		 * client who sent too much */
		return strcmp(reason, "insufficient_quota") == 0 ? INS_EUPSTREAM : INS_ELIMIT;
	case 504: return INS_ETIMEOUT;
	default: return INS_EUPSTREAM;
	}
}

void
error_judge(int status, const json_t *body, const char *retry_after, size_t retry_after_n,
    const char *key, int64_t now_s, struct upstream_error *ret)
{
	const json_t *e = json_object_get(body, "error");
	const char *text, *reason;

	memset(ret, 0, sizeof *ret);
	/* an error inside a stream may carry the status that it would have had as its code */
	if (status == 200 && json_is_integer(json_object_get(e, "code")))
		status = (int)json_integer_value(json_object_get(e, "code"));
	/* {"error": {"message", "type", "code"}}, {"error": "text"}, {"message": "text"} and
	 * {"detail": "text"} are all in use */
	text = json_is_string(e) ? json_string_value(e)
				 : json_string_value(json_object_get(e, "message"));
	if (text == NULL)
		text = json_string_value(json_object_get(body, "message"));
	if (text == NULL)
		text = json_string_value(json_object_get(body, "detail"));
	reason = json_string_value(json_object_get(e, "code"));
	if (reason == NULL)
		reason = json_string_value(json_object_get(e, "type"));
	error_redact(text == NULL ? "" : text, key, ret->text, sizeof ret->text);
	error_redact(reason == NULL ? "" : reason, key, ret->reason, sizeof ret->reason);
	ret->code = code_of(status, ret->reason);
	ret->show = ret->code == INS_EINVAL && ret->text[0] != '\0';
	if (ret->code == INS_ELIMIT)
		ret->retry_s = retry_seconds(retry_after, retry_after_n, now_s);
}
