/* ws_frame.c: see ws_frame.h. Pure, any thread. */
#include "net/ws_frame.h"

#include <openssl/evp.h>
#include <strings.h>

/* ---- UTF-8 ---- */

/* Table 3-7 of the Unicode standard: what may follow a first byte. Overlong forms, surrogates and
 * what lies past U+10FFFF end at their second byte. */
static int
ws_utf8_first(struct ws_utf8 *u, uint8_t c)
{
	u->lo = 0x80;
	u->hi = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		u->left = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		u->left = 2;
		if (c == 0xe0)
			u->lo = 0xa0;
		else if (c == 0xed)
			u->hi = 0x9f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		u->left = 3;
		if (c == 0xf0)
			u->lo = 0x90;
		else if (c == 0xf4)
			u->hi = 0x8f;
	} else {
		return -1;
	}
	return 0;
}

int
ws_utf8_feed(struct ws_utf8 *u, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	uint64_t word;

	while (p < end) {
		if (u->left > 0) {
			if (*p < u->lo || *p > u->hi)
				return -1;
			u->left--;
			u->lo = 0x80;
			u->hi = 0xbf;
			p++;
			continue;
		}
		while (end - p >= 8) {
			memcpy(&word, p, 8);
			if (word & UINT64_C(0x8080808080808080))
				break;
			p += 8;
		}
		if (p == end)
			break;
		if (*p >= 0x80 && ws_utf8_first(u, *p) != 0)
			return -1;
		p++;
	}
	return 0;
}

int
ws_utf8_valid(const char *p, size_t n)
{
	struct ws_utf8 u = { 0, 0, 0 };

	return ws_utf8_feed(&u, (const uint8_t *)p, n) == 0 && u.left == 0;
}

/* ---- from bytes ---- */

void
ws_parser_init(struct ws_parser *w, uint64_t frame_max, uint64_t message_max)
{
	memset(w, 0, sizeof(*w));
	w->frame_max = frame_max;
	w->message_max = message_max;
	w->head_want = 2;
}

static enum ws_got
ws_bad(struct ws_parser *w, struct ws_event *ret, unsigned code, const char *why)
{
	w->failed = 1;
	ret->code = code;
	ret->why = why;
	return WS_BAD;
}

/* The first two bytes. NULL, or what is wrong (§5.2, §5.4, §5.5). */
static const char *
ws_begin(struct ws_parser *w)
{
	unsigned len = w->head[1] & 0x7f;

	w->op = w->head[0] & 0x0f;
	w->fin = w->head[0] >> 7;
	if (w->head[0] & 0x70)
		return "a reserved bit is set";
	if (!(w->head[1] & 0x80))
		return "a frame of a client must be masked";
	switch (w->op) {
	case WS_OP_CONTINUATION:
		if (w->message_op == 0)
			return "a continuation of nothing";
		break;
	case WS_OP_TEXT:
	case WS_OP_BINARY:
		if (w->message_op != 0)
			return "a new message inside another";
		break;
	case WS_OP_CLOSE:
	case WS_OP_PING:
	case WS_OP_PONG:
		if (!w->fin)
			return "a control frame may not be fragmented";
		if (len > WS_CONTROL_MAX)
			return "a control frame is longer than 125 bytes";
		break;
	default: return "a reserved opcode";
	}
	w->head_want = (uint8_t)(6 + (len == 126 ? 2 : len == 127 ? 8 : 0));
	return NULL;
}

/* The whole head is there: length and mask. */
static enum ws_got
ws_head_done(struct ws_parser *w, struct ws_event *ret)
{
	unsigned len = w->head[1] & 0x7f, ext = w->head_want - 6u, i;

	w->left = len;
	if (ext > 0) {
		w->left = 0;
		for (i = 0; i < ext; i++)
			w->left = w->left << 8 | w->head[2 + i];
		if (w->left < (ext == 2 ? 126u : 65536u))
			return ws_bad(w, ret, WS_PROTOCOL, "a length in more bytes than it needs");
		if (w->left >> 63)
			return ws_bad(w, ret, WS_PROTOCOL, "a length past 63 bits");
	}
	memcpy(w->mask, w->head + 2 + ext, 4);
	w->mask_at = 0;
	w->in_payload = 1;
	if (w->op >= WS_OP_CLOSE) {
		w->control_n = 0;
		return WS_MORE;
	}
	if (w->left > w->frame_max)
		return ws_bad(w, ret, WS_TOO_BIG, "a frame is larger than this route takes");
	if (w->op != WS_OP_CONTINUATION) {
		w->message_op = w->op;
		w->message = 0;
		memset(&w->utf8, 0, sizeof(w->utf8));
	}
	if (w->left > w->message_max - w->message)
		return ws_bad(w, ret, WS_TOO_BIG, "a message is larger than this route takes");
	w->message += w->left;
	return WS_MORE;
}

static void
ws_unmask(struct ws_parser *w, uint8_t *p, size_t n)
{
	uint8_t turned[8];
	uint64_t mask, word;
	size_t i;

	for (i = 0; i < 8; i++)
		turned[i] = w->mask[(w->mask_at + i) & 3];
	memcpy(&mask, turned, 8);
	for (i = 0; n - i >= 8; i += 8) {
		memcpy(&word, p + i, 8);
		word ^= mask;
		memcpy(p + i, &word, 8);
	}
	for (; i < n; i++)
		p[i] ^= turned[i & 7];
	w->mask_at = (uint8_t)((w->mask_at + n) & 3);
}

static void
ws_frame_done(struct ws_parser *w)
{
	w->in_payload = 0;
	w->head_n = 0;
	w->head_want = 2;
}

static enum ws_got
ws_data(struct ws_parser *w, uint8_t *p, size_t n, struct ws_event *ret)
{
	ret->op = w->message_op;
	ret->p = p;
	ret->n = n;
	ret->end = w->left == 0 && w->fin;
	if (w->message_op == WS_OP_TEXT &&
	    (ws_utf8_feed(&w->utf8, p, n) != 0 || (ret->end && w->utf8.left != 0)))
		return ws_bad(w, ret, WS_BAD_DATA, "a text is not UTF-8");
	if (w->left == 0)
		ws_frame_done(w);
	if (ret->end)
		w->message_op = 0;
	return WS_PIECE;
}

static enum ws_got
ws_payload(struct ws_parser *w, uint8_t **p, size_t *n, struct ws_event *ret)
{
	uint8_t *at = *p;
	size_t take = *n < w->left ? *n : (size_t)w->left;

	ws_unmask(w, at, take);
	*p += take;
	*n -= take;
	w->left -= take;
	if (w->op < WS_OP_CLOSE)
		return ws_data(w, at, take, ret);
	memcpy(w->control + w->control_n, at, take);
	w->control_n = (uint8_t)(w->control_n + take);
	if (w->left > 0)
		return WS_MORE;
	ws_frame_done(w);
	ret->op = w->op;
	ret->p = w->control;
	ret->n = w->control_n;
	return WS_CONTROL;
}

enum ws_got
ws_parse(struct ws_parser *w, uint8_t **p, size_t *n, struct ws_event *ret)
{
	enum ws_got got;
	const char *why;

	memset(ret, 0, sizeof(*ret));
	ASSERT(!w->failed);
	for (;;) {
		/* An empty payload is an event of its own, before the next byte. */
		if (w->in_payload && (*n > 0 || w->left == 0)) {
			got = ws_payload(w, p, n, ret);
			if (got != WS_MORE)
				return got;
			continue;
		}
		if (*n == 0)
			return WS_MORE;
		w->head[w->head_n++] = *(*p)++;
		--*n;
		if (w->head_n < w->head_want)
			continue;
		if (w->head_n == 2) {
			why = ws_begin(w);
			if (why != NULL)
				return ws_bad(w, ret, WS_PROTOCOL, why);
		} else if (ws_head_done(w, ret) == WS_BAD) {
			return WS_BAD;
		}
	}
}

/* ---- to bytes ---- */

size_t
ws_head(uint8_t out[WS_HEAD_MAX], unsigned op, uint64_t n)
{
	unsigned i, ext = n < 126 ? 0 : n < 65536 ? 2 : 8;

	out[0] = (uint8_t)(0x80 | op);
	out[1] = (uint8_t)(ext == 0 ? n : ext == 2 ? 126 : 127);
	for (i = 0; i < ext; i++)
		out[2 + i] = (uint8_t)(n >> (8 * (ext - 1 - i)));
	return 2 + ext;
}

int
ws_code_valid(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	    (code >= 3000 && code <= 4999);
}

int
ws_close_code(const uint8_t *p, size_t n)
{
	unsigned code;

	if (n == 0)
		return (int)WS_NO_CODE;
	if (n == 1)
		return -1;
	code = (unsigned)p[0] << 8 | p[1];
	if (!ws_code_valid(code))
		return -1;
	return ws_utf8_valid((const char *)p + 2, n - 2) ? (int)code : -2;
}

/* ---- the handshake's words ---- */

void
ws_accept(char out[WS_ACCEPT_LEN + 1], const char *key, size_t n)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t text[24 + sizeof(guid) - 1], digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	ASSERT(n == 24);
	memcpy(text, key, 24);
	memcpy(text + 24, guid, sizeof(guid) - 1);
	AN(EVP_Digest(text, sizeof(text), digest, &len, EVP_sha1(), NULL));
	ASSERT(EVP_EncodeBlock((uint8_t *)out, digest, (int)len) == (int)WS_ACCEPT_LEN);
}

int
ws_key_valid(const char *key, size_t n)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789+/";
	size_t i;

	if (n != 24 || key[22] != '=' || key[23] != '=')
		return 0;
	for (i = 0; i < 22; i++)
		if (memchr(alphabet, key[i], sizeof(alphabet) - 1) == NULL)
			return 0;
	return 1;
}

int
ws_token_in(const char *list, size_t n, const char *token, int fold)
{
	size_t len = strlen(token), at = 0, k, first;

	while (at < n) {
		while (at < n && (list[at] == ',' || list[at] == ' ' || list[at] == '\t'))
			at++;
		first = at;
		while (at < n && list[at] != ',')
			at++;
		for (k = at; k > first && (list[k - 1] == ' ' || list[k - 1] == '\t'); k--)
			;
		if (k - first == len &&
		    (fold ? strncasecmp(list + first, token, len) == 0
			  : memcmp(list + first, token, len) == 0))
			return 1;
	}
	return 0;
}
