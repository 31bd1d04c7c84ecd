/* check_http_wire.c: hostile bytes. Whatever comes in, the answer is a clear refusal or a closed
 * connection, no handler sees half a request, and the next client is served. */
#include "tests/unit/http_peer.h"

#include <sys/socket.h>
#include <unistd.h>

static struct peer peer;

static void
start(void)
{
	peer_start(&peer, &http_limits_default, 1);
}

static void
still_serves(void)
{
	const char *a = peer_ask(
	    &peer, "GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

	ck_assert_msg(strstr(a, "HTTP/1.1 200 OK") != NULL, "%.200s", a);
}

static void
stop(void)
{
	still_serves();
	peer_stop(&peer);
}

#define REQ(headers, body) "POST /echo HTTP/1.1\r\nHost: h\r\n" headers "\r\n" body

static const struct {
	const char *name, *bytes;
	const char *status; /* "" = closed without an answer */
	int more;           /* 0: FIN follows the bytes */
} wire[] = {
	{ "nothing", "", "", 0 },
	{ "half a request line", "GET /wh", "", 0 },
	{ "half a head", "GET /who HTTP/1.1\r\nHost: h\r\nX-A", "", 0 },
	{ "no version", "GET /who\r\n\r\n", "400", 1 },
	{ "another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "400", 1 },
	{ "a TLS hello", "\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03", "400", 1 },
	{ "HTTP/3.0", "GET /who HTTP/3.0\r\nHost: h\r\n\r\n", "400", 1 },
	{ "no Host", "GET /who HTTP/1.1\r\n\r\n", "400", 1 },
	{ "a space before the colon", "GET /who HTTP/1.1\r\nHost : h\r\n\r\n", "400", 1 },
	{ "a control character", "GET /who HTTP/1.1\r\nHost: h\r\nX: a\001b\r\n\r\n", "400", 1 },
	{ "a folded line", "GET /who HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", "400", 1 },
	{ "an empty name", "GET /who HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n", "400", 1 },
	{ "length: letters", REQ("Content-Length: abc\r\n", ""), "400", 1 },
	{ "length: negative", REQ("Content-Length: -1\r\n", ""), "400", 1 },
	{ "length: plus", REQ("Content-Length: +5\r\n", "hello"), "400", 1 },
	{ "length: hex", REQ("Content-Length: 0x5\r\n", "hello"), "400", 1 },
	{ "length: list", REQ("Content-Length: 5, 5\r\n", "hello"), "400", 1 },
	{ "length: overflow", REQ("Content-Length: 99999999999999999999\r\n", ""), "400", 1 },
	{ "length: huge", REQ("Content-Length: 9223372036854775807\r\n", ""), "413", 1 },
	{ "length: twice", REQ("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), "400", 1 },
	{ "both framings", REQ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
	    "400", 1 },
	{ "both framings, the other way",
	    REQ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), "400", 1 },
	{ "coding: unknown", REQ("Transfer-Encoding: gzip\r\n", ""), "400", 1 },
	{ "coding: two", REQ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), "400", 1 },
	{ "chunk: no number", REQ("Transfer-Encoding: chunked\r\n", "zz\r\nhello\r\n0\r\n\r\n"),
	    "400", 1 },
	{ "chunk: overflow", REQ("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nh"), "400",
	    1 },
	{ "chunk: cut", REQ("Transfer-Encoding: chunked\r\n", "5\r\nhel"), "", 0 },
	{ "chunk: no last one", REQ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"), "", 0 },
	{ "body: cut", REQ("Content-Length: 10\r\n", "hello"), "", 0 },
	{ "an unknown expectation", REQ("Expect: a-miracle\r\nContent-Length: 5\r\n", ""), "417",
	    1 },
};

START_TEST(bad_bytes_are_refused)
{
	int fd = peer_connect(&peer), end;
	char want[32];
	const char *a;

	peer_sendz(fd, wire[_i].bytes);
	if (!wire[_i].more)
		shutdown(fd, SHUT_WR);
	a = peer_read(fd, NULL, &end);
	snprintf(want, sizeof(want), "HTTP/1.1 %s ", wire[_i].status);
	if (wire[_i].status[0] == '\0')
		ck_assert_msg(a[0] == '\0', "%s: %.300s", wire[_i].name, a);
	else
		ck_assert_msg(strncmp(a, want, strlen(want)) == 0, "%s: %.300s", wire[_i].name, a);
	close(fd);
	ck_assert_msg(peer_entered == 0, "%s: a handler was called", wire[_i].name);
}
END_TEST

START_TEST(a_nul_in_the_head_is_refused)
{
	static const char bytes[] = "GET /who\0x HTTP/1.1\r\nHost: h\r\n\r\n";
	int fd = peer_connect(&peer), end;

	peer_send(fd, bytes, sizeof(bytes) - 1);
	ck_assert_int_eq(strncmp(peer_read(fd, NULL, &end), "HTTP/1.1 400 ", 13), 0);
	close(fd);
}
END_TEST

START_TEST(a_nul_in_an_http2_path_is_refused)
{
	static const char block[] = "\x82\x86\x04\x06/who\0x";
	int fd = peer_h2(&peer, NULL, 0);
	struct peer_frame f;

	peer_frame(fd, H2_HEADERS, 5, 1, block, sizeof(block) - 1);
	ck_assert_int_eq(peer_next(fd, H2_HEADERS, &f), 0);
	ck_assert_uint_eq(f.p[0], 0x8c); /* :status 400 */
	close(fd);
	ck_assert_int_eq(peer_entered, 0);
}
END_TEST

START_TEST(too_many_headers_are_refused)
{
	int fd = peer_connect(&peer), i, end;
	char line[32];

	peer_sendz(fd, "GET /who HTTP/1.1\r\nHost: h\r\n");
	for (i = 0; i < 200; i++) {
		snprintf(line, sizeof(line), "X-%d: v\r\n", i);
		peer_sendz(fd, line);
	}
	peer_sendz(fd, "\r\n");
	peer_read(fd, NULL, &end);
	ck_assert_int_ne(end, 0);
	close(fd);
	ck_assert_int_eq(peer_entered, 0);
}
END_TEST

START_TEST(an_endless_header_is_refused)
{
	static char piece[64 << 10];
	int fd = peer_connect(&peer), i, end;

	memset(piece, 'a', sizeof(piece));
	peer_sendz(fd, "GET /who HTTP/1.1\r\nHost: h\r\nX: ");
	for (i = 0; i < 64; i++)
		if (send(fd, piece, sizeof(piece), MSG_NOSIGNAL) < 0)
			break;
	peer_read(fd, NULL, &end);
	ck_assert_int_ne(end, 0);
	close(fd);
	ck_assert_int_eq(peer_entered, 0);
}
END_TEST

/* A refused request ends its connection: what follows it is not a request. */
START_TEST(nothing_is_smuggled_behind_a_refused_request)
{
	static const char *const first[] = {
		REQ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
		REQ("Content-Length: 5\r\nContent-Length: 0\r\n", "hello"),
		REQ("Transfer-Encoding: gzip\r\n", ""),
	};
	int fd = peer_connect(&peer), end;
	const char *a;

	peer_sendz(fd, first[_i]);
	(void)!send(fd, "GET /who HTTP/1.1\r\nHost: h\r\n\r\n", 30, MSG_NOSIGNAL);
	a = peer_read(fd, NULL, &end);
	ck_assert_ptr_null(strstr(a, "200 OK"));
	close(fd);
	ck_assert_int_eq(peer_entered, 0);
}
END_TEST

static const struct {
	const char *name;
	int type, flags;
	unsigned stream;
	const char *p;
	size_t n;
} frames[] = {
	{ "HEADERS on stream 0", H2_HEADERS, 5, 0, "\x82\x86\x84", 3 },
	{ "HEADERS on an even stream", H2_HEADERS, 5, 2, "\x82\x86\x84", 3 },
	{ "HEADERS that depend on themselves", H2_HEADERS, 0x25, 1, "\0\0\0\1\x10\x82\x86\x84", 8 },
	{ "broken HPACK", H2_HEADERS, 5, 1, "\xff\xff\xff\xff\xff\xff", 6 },
	{ "an index out of the table", H2_HEADERS, 5, 1, "\xfe", 1 },
	{ "padding longer than the frame", H2_HEADERS, 0xd, 1, "\xff\x82", 2 },
	{ "DATA on an idle stream", H2_DATA, 1, 1, "x", 1 },
	{ "DATA on stream 0", H2_DATA, 1, 0, "x", 1 },
	{ "RST on an idle stream", H2_RST, 0, 1, "\0\0\0\10", 4 },
	{ "RST of a wrong size", H2_RST, 0, 1, "\0", 1 },
	{ "SETTINGS of a wrong size", H2_SETTINGS, 0, 0, "\0\3\0", 3 },
	{ "SETTINGS with a window too large", H2_SETTINGS, 0, 0, "\0\4\xff\xff\xff\xff", 6 },
	{ "PING of a wrong size", H2_PING, 0, 0, "1234567", 7 },
	{ "PUSH_PROMISE from a client", H2_PUSH, 4, 1, "\0\0\0\2\x82", 5 },
	{ "WINDOW_UPDATE of nothing", H2_WINDOW, 0, 0, "\0\0\0\0", 4 },
	{ "WINDOW_UPDATE past the end", H2_WINDOW, 0, 0, "\x7f\xff\xff\xff", 4 },
	{ "CONTINUATION of nothing", H2_CONT, 4, 1, "\x82", 1 },
};

START_TEST(bad_frames_end_their_connection)
{
	int fd = peer_h2(&peer, NULL, 0);
	struct peer_frame f;

	peer_frame(
	    fd, frames[_i].type, frames[_i].flags, frames[_i].stream, frames[_i].p, frames[_i].n);
	ck_assert_msg(peer_next(fd, H2_PUSH, &f) == -1, "%s", frames[_i].name);
	close(fd);
	ck_assert_msg(peer_entered == 0, "%s: a handler was called", frames[_i].name);
}
END_TEST

START_TEST(a_frame_larger_than_agreed_ends_its_connection)
{
	static char big[9 + 20000] = { 0, 0x4e, 0x20, H2_DATA, 1, 0, 0, 0, 1 };
	int fd = peer_h2(&peer, NULL, 0);
	struct peer_frame f;

	peer_h2_request(fd, 1, "POST", "/echo", 1);
	(void)!send(fd, big, sizeof(big), MSG_NOSIGNAL); /* it may be closed half-way */
	ck_assert_int_eq(peer_next(fd, H2_PUSH, &f), -1);
	close(fd);
	ck_assert_int_eq(peer_entered, 0);
}
END_TEST

START_TEST(unknown_frames_are_skipped)
{
	int fd = peer_h2(&peer, NULL, 0);
	struct peer_frame f;

	peer_frame(fd, 0x42, 0xff, 0, "whatever", 8);
	peer_h2_request(fd, 1, "GET", "/who", 0);
	ck_assert_int_eq(peer_next(fd, H2_HEADERS, &f), 0);
	close(fd);
}
END_TEST

START_TEST(a_wrong_preface_is_closed)
{
	int fd = peer_connect(&peer), end;

	peer_sendz(fd, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
	peer_read(fd, NULL, &end);
	ck_assert_int_ne(end, 0);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http_wire");
	TCase *t = tcase_create("wire");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, start, stop);
	tcase_add_loop_test(t, bad_bytes_are_refused, 0, NELEM(wire));
	tcase_add_test(t, a_nul_in_the_head_is_refused);
	tcase_add_test(t, a_nul_in_an_http2_path_is_refused);
	tcase_add_test(t, too_many_headers_are_refused);
	tcase_add_test(t, an_endless_header_is_refused);
	tcase_add_loop_test(t, nothing_is_smuggled_behind_a_refused_request, 0, 3);
	tcase_add_loop_test(t, bad_frames_end_their_connection, 0, NELEM(frames));
	tcase_add_test(t, a_frame_larger_than_agreed_ends_its_connection);
	tcase_add_test(t, unknown_frames_are_skipped);
	tcase_add_test(t, a_wrong_preface_is_closed);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
