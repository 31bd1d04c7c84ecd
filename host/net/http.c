/*
 * http.c: what an answer looks like, apart from the library that sends it: reason phrases, the
 * error body, the check of header fields, percent-decoding. Any thread, except http_reply_error().
 */
#include "net/http.h"

#include "base/arena.h"
#include "base/err.h"

const struct http_limits http_limits_default = {
	.body_max = 4 << 20,
	.conn_bytes_max = 16 << 20,
	.tasks_per_conn_max = 128,
	.resets_per_10s_max = 200,
	.conns_max = 10000,
	.min_rate = 1024,
	.idle_ms = 60000,
	.write_stall_ms = 30000,
	.stream_buffer_max = 256 << 10,
};

#define ERROR_BODY_MAX (64u << 10)

const char *
http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 402, "Payment Required" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 422, "Unprocessable Content" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	size_t i;

	for (i = 0; i < NELEM(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return status < 400 ? "OK" : "Error";
}

void
http_error_body(struct str *ret, int code, const char *text, const char *hint, const char *field)
{
	const struct err_info *info = err_info(code);
	struct str message;

	str_init(&message, ERROR_BODY_MAX);
	str_addz(&message, text != NULL ? text : info->name);
	if (hint != NULL && hint[0] != '\0')
		str_addf(&message, " %s", hint);
	str_addz(ret, "{\"error\":{\"message\":");
	str_add_json(ret, message.p, message.n);
	str_addz(ret, ",\"type\":");
	str_add_json(ret, info->type, strlen(info->type));
	str_addz(ret, ",\"param\":");
	if (field != NULL && field[0] != '\0')
		str_add_json(ret, field, strlen(field));
	else
		str_addz(ret, "null");
	str_addz(ret, ",\"code\":");
	if (info->openai_code != NULL)
		str_add_json(ret, info->openai_code, strlen(info->openai_code));
	else
		str_addz(ret, "null");
	str_addz(ret, "}}");
	str_fini(&message);
}

int
http_reply_error(
    struct http_req *req, int code, const char *text, const char *hint, const char *field)
{
	int status = err_info(code)->http_status, rc;
	struct str body;

	if ((status == 429 || status == 503) && !http_has_header(req, "retry-after"))
		http_set_header(req, "retry-after", "1");
	if (status == 401 && !http_has_header(req, "www-authenticate"))
		http_set_header(req, "www-authenticate", "Bearer");
	str_init(&body, ERROR_BODY_MAX * 8);
	http_error_body(&body, code, text, hint, field);
	rc = http_reply(req, status, "application/json", body.p, body.n);
	str_fini(&body);
	return rc;
}

int
http_header_valid(const char *name, const char *value)
{
	static const char tchar[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"; /* RFC 9110 §5.6.2 */
	const unsigned char *p;

	if (name[0] == '\0' || name[strspn(name, tchar)] != '\0')
		return 0;
	for (p = (const unsigned char *)value; *p != '\0'; p++)
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			return 0;
	return 1;
}

static int
http_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

char *
http_decode(struct arena *a, const char *p, size_t n, int plus)
{
	char *out = arena_alloc(a, n + 1);
	size_t i, o = 0;
	int hi, lo;

	if (out == NULL)
		return NULL;
	for (i = 0; i < n; i++) {
		char c = p[i];

		if (c == '%') {
			hi = i + 1 < n ? http_hex(p[i + 1]) : -1;
			lo = i + 2 < n ? http_hex(p[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return NULL;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0')
			return NULL;
		out[o++] = c;
	}
	out[o] = '\0';
	return out;
}
