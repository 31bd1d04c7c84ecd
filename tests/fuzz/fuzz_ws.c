/* fuzz_ws.c: bytes of a WebSocket client, whole and octet by octet: both ways must give the same
 * messages, the same control frames and the same end, inside the limits, and text only as UTF-8. */
#include "net/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define FRAME_MAX 200u
#define MESSAGE_MAX 300u

/* What was understood, as one line of bytes. */
struct heard {
	uint8_t *p;
	size_t n;
	size_t message; /* bytes of the message that is being assembled */
	int failed;
};

static void
note(struct heard *h, unsigned tag, const void *p, size_t n)
{
	h->p = base_realloc(h->p, h->n + n + 2);
	h->p[h->n++] = (uint8_t)tag;
	if (n > 0)
		memcpy(h->p + h->n, p, n);
	h->n += n;
}

static void
feed(struct ws_parser *w, struct heard *h, uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	static uint8_t text[MESSAGE_MAX];
	struct ws_event ev;
	uint8_t code[2];

	while (!h->failed) {
		switch (ws_parse(w, &p, &n, &ev)) {
		case WS_MORE: ASSERT(n == 0 && p == end); return;
		case WS_PIECE:
			ASSERT(ev.op == WS_OP_TEXT || ev.op == WS_OP_BINARY);
			ASSERT(h->message + ev.n <= MESSAGE_MAX);
			if (ev.n > 0)
				memcpy(text + h->message, ev.p, ev.n);
			h->message += ev.n;
			if (!ev.end)
				break;
			ASSERT(
			    ev.op == WS_OP_BINARY || ws_utf8_valid((const char *)text, h->message));
			note(h, ev.op, text, h->message);
			h->message = 0;
			break;
		case WS_CONTROL:
			ASSERT(ev.op >= WS_OP_CLOSE && ev.n <= WS_CONTROL_MAX);
			note(h, ev.op, ev.p, ev.n);
			if (ev.op == WS_OP_CLOSE && ev.n >= 2 && ws_close_code(ev.p, ev.n) > 0)
				ASSERT(ws_utf8_valid((const char *)ev.p + 2, ev.n - 2));
			break;
		case WS_BAD:
			ASSERT(ws_code_valid(ev.code) && ev.why != NULL);
			code[0] = (uint8_t)(ev.code >> 8);
			code[1] = (uint8_t)ev.code;
			note(h, 0xff, code, 2);
			h->failed = 1;
			break;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct heard whole = { NULL, 0, 0, 0 }, single = { NULL, 0, 0, 0 };
	uint8_t *copy = base_alloc(n + 1), c;
	struct ws_parser w;
	size_t i;

	if (n > 0)
		memcpy(copy, data, n);
	ws_parser_init(&w, FRAME_MAX, MESSAGE_MAX);
	feed(&w, &whole, copy, n);
	ws_parser_init(&w, FRAME_MAX, MESSAGE_MAX);
	for (i = 0; i < n && !single.failed; i++) {
		c = data[i];
		feed(&w, &single, &c, 1);
	}
	ASSERT(whole.n == single.n && whole.failed == single.failed);
	ASSERT(whole.n == 0 || memcmp(whole.p, single.p, whole.n) == 0);
	ws_token_in((const char *)data, n, "websocket", 1);
	free(whole.p);
	free(single.p);
	free(copy);
	return 0;
}
