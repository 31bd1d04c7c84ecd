/*
 * check_ws.c: the rules of RFC 6455, as a table of bytes sent and frames expected, in the order of
 * the Autobahn test suite (the number is that of its case, so that a reader finds the reasons
 * there; the cases are written anew). Each is sent in one piece and octet by octet.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/lib/host.h"
#include "tests/lib/wsraw.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

/*
 * Both columns are frames, separated by spaces: the first byte in hex (FIN, RSV, opcode), then
 * :TEXT, #HEX or *LENGTH (that many stars). "!HEX" is sent as it is, not as a frame. "x1002" is a
 * close frame with that code, and the end.
 */
static const struct {
	const char *id, *send, *expect;
} cases[] = {
	/* 1: messages */
	{ "1.1.1", "81:", "81:" },
	{ "1.1.2", "81*125", "81*125" },
	{ "1.1.3", "81*126", "81*126" },
	{ "1.1.4", "81*127", "81*127" },
	{ "1.1.5", "81*128", "81*128" },
	{ "1.1.6", "81*65535", "81*65535" },
	{ "1.1.7", "81*65536", "81*65536" },
	{ "1.2.1", "82#", "82#" },
	{ "1.2.3", "82*126", "82*126" },
	{ "1.2.6", "82*65535", "82*65535" },
	{ "1.2.7", "82*65536", "82*65536" },
	{ "1.2.9", "82#00ff80fe", "82#00ff80fe" },
	/* 2: pings and pongs */
	{ "2.1", "89:", "8a:" },
	{ "2.2", "89:Hello", "8a:Hello" },
	{ "2.3", "89#00fffefdfcfb00ff", "8a#00fffefdfcfb00ff" },
	{ "2.4", "89*125", "8a*125" },
	{ "2.5", "89*126", "x1002" },
	{ "2.7", "8a: 89:a", "8a:a" },
	{ "2.8", "8a:unasked 89:a", "8a:a" },
	{ "2.10", "89:0 89:1 89:2 89:3 89:4 89:5 89:6 89:7 89:8 89:9",
	    "8a:0 8a:1 8a:2 8a:3 8a:4 8a:5 8a:6 8a:7 8a:8 8a:9" },
	/* 3: reserved bits */
	{ "3.1", "c1:", "x1002" },
	{ "3.2", "81:ok a1:bad 89:", "81:ok x1002" },
	{ "3.3", "91:bad", "x1002" },
	{ "3.4", "f1:bad", "x1002" },
	{ "3.5", "e2:bad", "x1002" },
	{ "3.6", "b9:bad", "x1002" },
	{ "3.7", "f8#03e8", "x1002" },
	{ "3.8", "01:a c0:b", "x1002" },
	/* 4: reserved opcodes */
	{ "4.1.1", "83:", "x1002" },
	{ "4.1.2", "84:a", "x1002" },
	{ "4.1.3", "81:ok 85: 89:", "81:ok x1002" },
	{ "4.1.4", "86:a", "x1002" },
	{ "4.1.5", "87:", "x1002" },
	{ "4.2.1", "8b:", "x1002" },
	{ "4.2.2", "8c:a", "x1002" },
	{ "4.2.3", "81:ok 8d: 89:", "81:ok x1002" },
	{ "4.2.4", "8e:a", "x1002" },
	{ "4.2.5", "8f:", "x1002" },
	/* 5: fragments */
	{ "5.1", "09:a 80:b", "x1002" },
	{ "5.2", "0a:a 80:b", "x1002" },
	{ "5.3", "01:Hel 80:lo", "81:Hello" },
	{ "5.6", "01:Hel 89:ping 80:lo", "8a:ping 81:Hello" },
	{ "5.9", "80:a 81:b", "x1002" },
	{ "5.10", "80:a", "x1002" },
	{ "5.12", "00:a 81:b", "x1002" },
	{ "5.15", "01:a 80:b 00:c 81:d", "81:ab x1002" },
	{ "5.18", "01:a 81:b", "x1002" },
	{ "5.19", "01:a 00:b 89:1 00:c 00:d 89:2 80:e", "8a:1 8a:2 81:abcde" },
	{ "5.20", "02#00ff 8a:unasked 80#01", "82#00ff01" },
	{ "5.21", "08#03e8", "x1002" },
	/* 6: UTF-8 */
	{ "6.1.1", "81:", "81:" },
	{ "6.1.2", "01: 00: 80:", "81:" },
	{ "6.1.3", "01: 00:mid 80:", "81:mid" },
	{ "6.2.1", "81#48c3a4e282acf09f9880", "81#48c3a4e282acf09f9880" },
	{ "6.2.2", "01#c3 80#a4", "81#c3a4" },
	{ "6.2.3", "01#f0 00#9f 00#98 80#80", "81#f09f9880" },
	{ "6.2.4", "01#e2 89:in-between 00#82 80#ac", "8a:in-between 81#e282ac" },
	{ "6.3.1", "81#cebae1bdb9cf83cebcceb5eda080656469746564", "x1007" },
	{ "6.3.2", "01#cebae1bdb9 00#cf83cebcceb5eda080 80:edited", "x1007" },
	{ "6.4.1", "01:good 00#f4908080", "x1007" }, /* at once, before the message ends */
	{ "6.4.2", "01#f4 00#90", "x1007" },
	{ "6.4.3", "01#eda0", "x1007" },
	{ "6.6.1", "81#ce", "x1007" },
	{ "6.6.3", "81#cebae1", "x1007" },
	{ "6.6.5", "01#ceba 80#e1bd", "x1007" },
	{ "6.7.1", "81#00", "81#00" },
	{ "6.7.2", "81#c280", "81#c280" },
	{ "6.7.3", "81#e0a080", "81#e0a080" },
	{ "6.7.4", "81#f0908080", "81#f0908080" },
	{ "6.8.1", "81#f888808080", "x1007" },
	{ "6.8.2", "81#fc8480808080", "x1007" },
	{ "6.9.1", "81#7f", "81#7f" },
	{ "6.9.2", "81#dfbf", "81#dfbf" },
	{ "6.9.3", "81#efbfbf", "81#efbfbf" },
	{ "6.9.4", "81#f48fbfbf", "81#f48fbfbf" },
	{ "6.10.1", "81#f7bfbfbf", "x1007" },
	{ "6.11.1", "81#ed9fbf", "81#ed9fbf" },
	{ "6.11.2", "81#ee8080", "81#ee8080" },
	{ "6.11.3", "81#efbfbd", "81#efbfbd" },
	{ "6.11.5", "81#f4908080", "x1007" },
	{ "6.12.1", "81#80", "x1007" },
	{ "6.12.3", "81#80bf80bf", "x1007" },
	{ "6.13.1", "81#c020", "x1007" },
	{ "6.13.3", "81#f020", "x1007" },
	{ "6.14.1", "81#c2", "x1007" },
	{ "6.14.2", "81#e080", "x1007" },
	{ "6.14.6", "81#df", "x1007" },
	{ "6.16.1", "81#fe", "x1007" },
	{ "6.16.2", "81#ff", "x1007" },
	{ "6.17.1", "81#c0af", "x1007" },
	{ "6.17.2", "81#e080af", "x1007" },
	{ "6.17.3", "81#f08080af", "x1007" },
	{ "6.18.1", "81#c1bf", "x1007" },
	{ "6.18.3", "81#f08fbfbf", "x1007" },
	{ "6.19.1", "81#c080", "x1007" },
	{ "6.20.1", "81#eda080", "x1007" },
	{ "6.20.7", "81#edbfbf", "x1007" },
	{ "6.21.1", "81#eda080edb080", "x1007" },
	{ "6.22.1", "81#efbfbe", "81#efbfbe" },
	{ "6.23.1", "81#efbfbf", "81#efbfbf" },
	/* a text that is longer than a word, with the fault behind it */
	{ "6.24", "81#6162636465666768c3a46162636465666768ff", "x1007" },
	/* 7: closing */
	{ "7.1.1", "81:a 88#03e8", "81:a x1000" },
	{ "7.1.2", "88#03e8 88#03e8", "x1000" },
	{ "7.1.3", "88#03e8 89:a", "x1000" },
	{ "7.1.4", "88#03e8 81:a", "x1000" },
	{ "7.1.5", "01:a 88#03e8 80:b", "x1000" },
	{ "7.3.1", "88:", "x1005" },
	{ "7.3.2", "88#03", "x1002" },
	{ "7.3.3", "88#03e8", "x1000" },
	{ "7.3.4", "88#03e8626179", "x1000" },
	{ "7.3.6", "88*126", "x1002" },
	{ "7.5.1", "88#03e8cebaeda080", "x1007" },
	{ "7.7.1", "88#03e8", "x1000" },
	{ "7.7.2", "88#03e9", "x1001" },
	{ "7.7.4", "88#03eb", "x1003" },
	{ "7.7.5", "88#03ef", "x1007" },
	{ "7.7.9", "88#03f3", "x1011" },
	{ "7.7.10", "88#0bb8", "x3000" },
	{ "7.7.12", "88#0fa0", "x4000" },
	{ "7.7.13", "88#1387", "x4999" },
	{ "7.9.1", "88#0000", "x1002" },
	{ "7.9.2", "88#03e7", "x1002" },
	{ "7.9.3", "88#03ec", "x1002" },
	{ "7.9.4", "88#03ed", "x1002" },
	{ "7.9.5", "88#03ee", "x1002" },
	{ "7.9.6", "88#03f7", "x1002" },
	{ "7.9.8", "88#044c", "x1002" },
	{ "7.9.9", "88#07d0", "x1002" },
	{ "7.9.10", "88#0bb7", "x1002" },
	{ "7.13.1", "88#1388", "x1002" },
	{ "7.13.2", "88#ffff", "x1002" },
	/* 9, 10: large ones; the route takes 1 MiB */
	{ "9.1.3", "81*1048576", "81*1048576" },
	{ "9.2.3", "82*1048576", "82*1048576" },
	{ "9.3.1", "01*262144 00*262144 00*262144 80*262144", "81*1048576" },
	{ "10.1.1", "01*1300 00*1300 00*1300 80*36", "81*3936" },
	/* what Autobahn leaves out: masks, lengths, limits */
	{ "no mask", "!810548656c6c6f", "x1002" },
	{ "no mask, ping", "!8900", "x1002" },
	{ "126 in 16 bits of 125", "!81fe007d00000000", "x1002" },
	{ "65535 in 64 bits", "!81ff000000000000ffff00000000", "x1002" },
	{ "64 bits", "!82ff800000000000000000000000", "x1002" },
	{ "one byte too long", "!82ff000000000010000100000000", "x1009" },
	{ "too long in parts", "01*1048576 80*1", "x1009" },
	{ "a terabyte announced", "!82ff000001000000000000000000", "x1009" },
};

struct bytes {
	unsigned char *p;
	size_t n;
};

static unsigned
hex2(const char *z)
{
	unsigned v = 0;

	ck_assert_int_eq(sscanf(z, "%2x", &v), 1);
	return v;
}

/* A frame of the notation behind its first byte: the payload. Returns what is behind it. */
static const char *
payload(const char *z, struct bytes *ret)
{
	size_t n = strcspn(z + 1, " "), i;

	ret->n = *z == '*' ? (size_t)atol(z + 1) : *z == '#' ? n / 2 : n;
	ret->p = base_alloc(ret->n + 1);
	for (i = 0; i < ret->n; i++)
		ret->p[i] = (unsigned char)(*z == '*' ? '*'
			: *z == '#'                   ? (int)hex2(z + 1 + 2 * i)
						      : z[1 + i]);
	return z + 1 + n;
}

/* The case's bytes as they go over the wire. */
static struct bytes
wire(const char *z)
{
	static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	struct bytes all = { base_alloc(2 << 20), 0 }, b;
	unsigned char *h;
	char raw[128];
	unsigned first;
	size_t i;

	for (; *z != '\0'; z += strspn(z, " ")) {
		if (*z == '!') {
			snprintf(raw, sizeof raw, "#%s", z + 1);
			z += 1 + strcspn(z + 1, " ");
			payload(raw, &b);
			memcpy(all.p + all.n, b.p, b.n);
			all.n += b.n;
			free(b.p);
			continue;
		}
		first = hex2(z);
		z = payload(z + 2, &b);
		h = all.p + all.n;
		*h++ = (unsigned char)first;
		*h++ = (unsigned char)(0x80 | (b.n < 126 ? b.n : b.n < 65536 ? 126 : 127));
		for (i = b.n < 126 ? 0 : b.n < 65536 ? 2 : 8; i > 0; i--)
			*h++ = (unsigned char)((unsigned long long)b.n >> (8 * (i - 1)));
		memcpy(h, mask, 4);
		h += 4;
		for (i = 0; i < b.n; i++)
			*h++ = b.p[i] ^ mask[i & 3];
		all.n = (size_t)(h - all.p);
		free(b.p);
	}
	return all;
}

static void
expect_all(struct wsraw *w, const char *id, const char *z)
{
	const struct wsgot *g;
	struct bytes b;
	unsigned first;

	for (; *z != '\0' && *z != 'x'; z += strspn(z, " ")) {
		first = hex2(z);
		z = payload(z + 2, &b);
		g = wsraw_next(w);
		ck_assert_msg(g->first == first && g->n == b.n && memcmp(g->p, b.p, b.n) == 0,
		    "%s: %02x with %zu bytes came, %02x with %zu expected; %.80s", id, g->first,
		    g->n, first, b.n, g->first == 0x88 && g->n > 2 ? g->p + 2 : "");
		free(b.p);
	}
	if (*z == 'x') {
		first = wsraw_closed(w, 0);
		ck_assert_msg(
		    first == (unsigned)atoi(z + 1), "%s: closed with %u, not %s", id, first, z + 1);
		return;
	}
	wsraw_frame(w, 0x88, "\x03\xe8", 2);
	ck_assert_msg(wsraw_closed(w, 0) == 1000, "%s: no clean end", id);
}

START_TEST(every_case_of_the_table_holds)
{
	struct bytes b;
	struct wsraw *w;
	size_t i, k;
	int one = 1, chopped;

	host_start("plugins: {anyone: {}, hello: {}}");
	for (i = 0; i < NELEM(cases); i++)
		for (chopped = 0; chopped <= 1; chopped++) {
			b = wire(cases[i].send);
			if (chopped && b.n > 4096) {
				free(b.p);
				continue;
			}
			w = wsraw_open(host_port(), "/v1/hello/echo", "");
			setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
			for (k = 0; chopped && k < b.n; k++)
				if (wsraw_bytes(w, b.p + k, 1) != 0)
					break;
			if (!chopped)
				wsraw_bytes(w, b.p, b.n);
			expect_all(w, cases[i].id, cases[i].expect);
			wsraw_free(w);
			free(b.p);
		}
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(frames_that_come_with_the_handshake_are_not_lost)
{
	struct wsraw *w;
	char head[] = "GET /v1/hello/echo HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\n"
		      "Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
		      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
		      "\x81\x82\x01\x02\x03\x04\x69\x6b";

	host_start("plugins: {anyone: {}, hello: {}}");
	w = wsraw_connect(host_port(), head);
	/* the answer's head ends the way a frame never begins */
	while (w->n < 4 || memmem(w->buf, w->n, "\r\n\r\n", 4) == NULL) {
		ssize_t n = recv(w->fd, w->buf + w->n, sizeof w->buf - w->n, 0);

		ck_assert_int_gt(n, 0);
		w->n += (size_t)n;
	}
	w->at = (size_t)((char *)memmem(w->buf, w->n, "\r\n\r\n", 4) - w->buf) + 4;
	wsraw_expect(w, "hi");
	wsraw_free(w);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ws");
	TCase *t = tcase_create("ws");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, every_case_of_the_table_holds);
	tcase_add_test(t, frames_that_come_with_the_handshake_are_not_lost);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
