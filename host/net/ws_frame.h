/*
 * ws_frame.h: the frames of RFC 6455, from and to bytes. Pure: no sockets, no clocks, no memory of
 * its own, so that the fuzzer and the unit tests need no server.
 *
 * The parser is the server's: it wants masked frames and knows no extension. It takes bytes as they
 * come, in pieces of any size, unmasks them in place, and refuses at the first byte that shows the
 * fault; text is checked as UTF-8 (RFC 3629) as it arrives.
 */
#ifndef HOST_WS_FRAME_H
#define HOST_WS_FRAME_H

#include "base/base.h"

#define WS_OP_CONTINUATION 0u
#define WS_OP_TEXT 1u
#define WS_OP_BINARY 2u
#define WS_OP_CLOSE 8u
#define WS_OP_PING 9u
#define WS_OP_PONG 10u

#define WS_CONTROL_MAX 125u /* bytes of a control frame's payload, §5.5 */
#define WS_REASON_MAX 123u  /* of which two are the code */
#define WS_HEAD_MAX 10u     /* bytes of an unmasked frame's head */
#define WS_ACCEPT_LEN 28u   /* of Sec-WebSocket-Accept */

/* Close codes of §7.4 and of IANA's registry. */
#define WS_NORMAL 1000u
#define WS_GOING_AWAY 1001u
#define WS_PROTOCOL 1002u
#define WS_NO_CODE 1005u  /* never on the wire */
#define WS_VANISHED 1006u /* never on the wire */
#define WS_BAD_DATA 1007u
#define WS_POLICY 1008u
#define WS_TOO_BIG 1009u
#define WS_INTERNAL 1011u
#define WS_RESTART 1012u
#define WS_TRY_LATER 1013u

/* UTF-8, resumable: state 0 is the start and the only good end. */
struct ws_utf8 {
	uint8_t left;   /* continuation bytes to come */
	uint8_t lo, hi; /* what the next of them may be */
};
/* 0, or -1 at the first byte that cannot be. */
int ws_utf8_feed(struct ws_utf8 *, const uint8_t *p, size_t n);
int ws_utf8_valid(const char *p, size_t n); /* the whole text; 1 or 0 */

struct ws_parser {
	uint64_t frame_max, message_max; /* bytes; set after ws_parser_init */
	uint64_t left;                   /* of the frame's payload */
	uint64_t message;                /* bytes of the message that the frames so far announced */
	struct ws_utf8 utf8;
	uint8_t head[14], head_n, head_want;
	uint8_t mask[4], mask_at;
	uint8_t op, fin;
	uint8_t message_op; /* 0 = between messages */
	uint8_t control[WS_CONTROL_MAX], control_n;
	uint8_t in_payload, failed;
};

enum ws_got {
	WS_MORE,    /* all bytes were taken */
	WS_PIECE,   /* of a message: p, n; end: it is complete */
	WS_CONTROL, /* op, p, n: in the parser, until the next call */
	WS_BAD,     /* code, why; the parser is through */
};
struct ws_event {
	uint8_t op; /* WS_OP_TEXT or _BINARY of a piece; the control frame's */
	int end;
	const uint8_t *p;
	size_t n;
	unsigned code; /* of WS_BAD: what to close with */
	const char *why;
};

void ws_parser_init(struct ws_parser *, uint64_t frame_max, uint64_t message_max);
/* Takes bytes from *p, which it may change, and moves *p and *n. To be called until WS_MORE. */
enum ws_got ws_parse(struct ws_parser *, uint8_t **p, size_t *n, struct ws_event *ret);

/* The head of an unmasked, final frame; returns its length. */
size_t ws_head(uint8_t out[WS_HEAD_MAX], unsigned op, uint64_t n);
/* Whether a peer may send this code, §7.4. */
int ws_code_valid(unsigned code);
/* What a close frame's payload says: WS_NO_CODE for none; -1 if malformed, -2 if the reason is not
 * UTF-8. */
int ws_close_code(const uint8_t *p, size_t n);
/* base64(SHA-1(key + the GUID of §1.3)), NUL-terminated. */
void ws_accept(char out[WS_ACCEPT_LEN + 1], const char *key, size_t n);
/* Whether it is base64 of 16 bytes, §4.1. */
int ws_key_valid(const char *key, size_t n);
/* Looks a token up in a comma-separated list of tokens, without regard to case if fold. */
int ws_token_in(const char *list, size_t n, const char *token, int fold);

#endif
