/* check_http.c: requests and answers over real sockets, HTTP/1.1 and HTTP/2 in clear text: what an
 * ordinary client sees. The limits are in check_http_limits.c, hostile bytes in check_http_wire.c.
 */
#include "tests/unit/http_peer.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct peer peer;

static void
start(void)
{
	struct http_limits limits = http_limits_default;

	limits.body_max = 64 << 10;
	peer_start(&peer, &limits, 2);
}

static void
stop(void)
{
	peer_stop(&peer);
}

static void
expect(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in \"%s\"", part, text);
}

/* Static table entries of RFC 7541 for :status. */
static void
expect_h2_status(int fd, unsigned stream, int status)
{
	struct peer_frame f;

	ck_assert_int_eq(peer_next(fd, H2_HEADERS, &f), 0);
	ck_assert_uint_eq(f.stream, stream);
	ck_assert_uint_eq(f.p[0],
	    status == 200       ? 0x88
		: status == 204 ? 0x89
		: status == 400 ? 0x8c
				: 0);
}

START_TEST(a_request_is_answered_in_full)
{
	const char *a = peer_ask(
	    &peer, "GET /who?a=1&b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

	expect(a, "HTTP/1.1 200 OK\r\n");
	expect(a, "\r\ncontent-type: text/plain\r\n");
	expect(a, "GET /who [a=1&b] from 127.0.0.1 by HTTP/1");
	ck_assert_ptr_null(strcasestr(a, "\r\nserver:"));
}
END_TEST

START_TEST(the_absolute_form_is_a_path_as_well)
{
	expect(peer_ask(
		   &peer, "GET http://h:1/who?q HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
	    "GET /who [q] from");
	expect(peer_ask(&peer, "GET http://h:1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
	    "404");
}
END_TEST

START_TEST(a_body_comes_by_length_and_by_chunks)
{
	expect(peer_ask(&peer,
		   "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
		   "Content-Length: 5\r\n\r\nhello"),
	    "\r\n\r\nhello");
	expect(peer_ask(&peer,
		   "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
		   "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
	    "\r\n\r\nhello");
}
END_TEST

START_TEST(a_client_that_asks_first_is_told_to_go_on)
{
	int fd = peer_connect(&peer);

	peer_sendz(fd,
	    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
	    "Expect: 100-continue\r\n\r\n");
	expect(peer_read(fd, "\r\n\r\n", NULL), "HTTP/1.1 100 Continue");
	peer_sendz(fd, "ok");
	expect(peer_read(fd, "\r\n\r\nok", NULL), "HTTP/1.1 200");
	close(fd);
}
END_TEST

START_TEST(head_has_the_length_and_no_body)
{
	const char *a = peer_ask(
	    &peer, "HEAD /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

	expect(a, "Content-Length: 37\r\n");
	ck_assert_str_eq(strstr(a, "\r\n\r\n"), "\r\n\r\n");
	a = peer_ask(&peer, "HEAD /stream?100 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	expect(a, "HTTP/1.1 200");
	ck_assert_str_eq(strstr(a, "\r\n\r\n"), "\r\n\r\n");
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
	int fd = peer_connect(&peer);
	const char *a, *first;

	peer_sendz(fd,
	    "GET /slow?30 HTTP/1.1\r\nHost: h\r\n\r\n"
	    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ntwo"
	    "GET /stream?10 HTTP/1.1\r\nHost: h\r\n\r\n"
	    "GET /who?last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	a = peer_read(fd, NULL, NULL);
	first = strstr(a, "slow");
	ck_assert_ptr_nonnull(first);
	ck_assert(first < strstr(a, "two"));
	ck_assert(strstr(a, "two") < strstr(a, "\r\n\r\na\r\nxxxxxxxxxx\r\n0\r\n\r\n"));
	expect(a, "[last]");
	close(fd);
}
END_TEST

START_TEST(a_silent_handler_becomes_an_error)
{
	const char *a = peer_ask(
	    &peer, "GET /mute HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

	expect(a, "HTTP/1.1 500 Internal Server Error");
	expect(a,
	    "{\"error\":{\"message\":\"The request was not answered.\",\"type\":\"server_error\","
	    "\"param\":null,\"code\":\"internal_error\"}}");
}
END_TEST

START_TEST(an_error_has_the_shape_that_openai_clients_read)
{
	const char *a = peer_ask(
	    &peer, "GET /error?9 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

	expect(a, "HTTP/1.1 429 Too Many Requests\r\n");
	expect(a, "\r\nretry-after: 1\r\n");
	expect(a, "\r\ncontent-type: application/json\r\n");
	expect(a,
	    "{\"error\":{\"message\":\"It \\\"failed\\\". Try "
	    "again.\",\"type\":\"rate_limit_error\","
	    "\"param\":\"a.b\",\"code\":\"rate_limit_exceeded\"}}");
	expect(peer_ask(&peer, "GET /error?2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
	    "\r\nwww-authenticate: Bearer\r\n");
}
END_TEST

START_TEST(headers_are_found_by_their_lower_case_name)
{
	expect(peer_ask(&peer,
		   "GET /header?x-thing HTTP/1.1\r\nHost: h\r\nX-THING: v w\r\n"
		   "Connection: close\r\n\r\n"),
	    "\r\n\r\nv w");
	expect(
	    peer_ask(&peer, "GET /header?host HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\n\r\n"),
	    "\r\n\r\nh:1");
	expect(peer_ask(&peer, "GET /header?x-no HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
	    "404");
}
END_TEST

START_TEST(only_header_fields_become_headers)
{
	const char *a = peer_ask(
	    &peer, "GET /set HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

	expect(a, "HTTP/1.1 204 No Content\r\n");
	expect(a, "\r\nx-one: 2\r\n");
	ck_assert_ptr_null(strstr(a, "x-bad"));
}
END_TEST

START_TEST(a_second_reply_is_refused)
{
	const char *a = peer_ask(
	    &peer, "GET /twice HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

	expect(a, "\r\n\r\nfirst");
	ck_assert_ptr_null(strstr(a, "second"));
}
END_TEST

START_TEST(a_stream_has_a_proper_end)
{
	int fd = peer_connect(&peer), end;
	const char *a;

	peer_sendz(fd, "GET /stream?2500 HTTP/1.1\r\nHost: h\r\n\r\n");
	a = peer_read(fd, "\r\n0\r\n\r\n", NULL);
	expect(a, "\r\ntransfer-encoding: chunked\r\n");
	peer_sendz(fd, "GET /stream?0 HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_read(fd, "\r\n\r\n0\r\n\r\n", NULL);
	close(fd);
	fd = peer_connect(&peer);
	peer_sendz(fd, "GET /stream?2500 HTTP/1.0\r\n\r\n");
	a = peer_read(fd, NULL, &end);
	ck_assert_int_eq(end, 1);
	ck_assert_ptr_null(strstr(a, "chunked"));
	ck_assert_uint_eq(strlen(strstr(a, "\r\n\r\n")), 4 + 2500);
	close(fd);
}
END_TEST

START_TEST(a_stream_begins_before_its_first_byte)
{
	int fd = peer_connect(&peer);

	peer_sendz(fd, "GET /beat?3600000 HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(peer_read(fd, "\r\n\r\n", NULL), "content-type: text/event-stream");
	close(fd);
	peer_await(&peer_live, 0);
}
END_TEST

START_TEST(a_silent_stream_beats)
{
	int fd = peer_connect(&peer);

	peer_sendz(fd, "GET /beat?20 HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_read(fd, "8\r\n: ping\n\n\r\n8\r\n: ping\n\n\r\n", NULL);
	close(fd);
	peer_await(&peer_live, 0);
}
END_TEST

START_TEST(a_cut_never_looks_like_an_end)
{
	int fd = peer_connect(&peer), end;
	const char *a;
	struct peer_frame f;

	peer_sendz(fd, "GET /cut?2500 HTTP/1.1\r\nHost: h\r\n\r\n");
	a = peer_read(fd, NULL, NULL);
	ck_assert_ptr_null(strstr(a, "\r\n0\r\n"));
	close(fd);

	fd = peer_connect(&peer); /* without chunks only a reset can tell */
	peer_sendz(fd, "GET /cut?2500 HTTP/1.0\r\n\r\n");
	peer_read(fd, NULL, &end);
	ck_assert_int_eq(end, -1);
	close(fd);

	fd = peer_h2(&peer, NULL, 0);
	peer_h2_request(fd, 1, "GET", "/cut?2500", 0);
	expect_h2_status(fd, 1, 200);
	do {
		ck_assert_int_ne(peer_next(fd, -1, &f), -1);
		ck_assert(f.type != H2_DATA || (f.flags & 1) == 0);
	} while (f.type != H2_RST);
	ck_assert_uint_eq(f.stream, 1);
	peer_h2_request(fd, 3, "GET", "/who", 0); /* the connection lives on */
	expect_h2_status(fd, 3, 200);
	close(fd);
}
END_TEST

START_TEST(http2_is_spoken_without_asking)
{
	int fd = peer_h2(&peer, NULL, 0);
	struct peer_frame f;

	peer_h2_request(fd, 1, "GET", "/who?q", 0);
	expect_h2_status(fd, 1, 200);
	ck_assert_int_eq(peer_next(fd, H2_DATA, &f), 0);
	f.p[f.n] = '\0';
	ck_assert_str_eq((char *)f.p, "GET /who [q] from 127.0.0.1 by HTTP/2");
	ck_assert_int_eq(f.flags & 1, 1);

	peer_h2_request(fd, 3, "POST", "/echo", 1);
	peer_frame(fd, H2_DATA, 0, 3, "he", 2);
	peer_frame(fd, H2_DATA, 1, 3, "llo", 3);
	expect_h2_status(fd, 3, 200);
	ck_assert_int_eq(peer_next(fd, H2_DATA, &f), 0);
	ck_assert_uint_eq(f.n, 5);
	ck_assert_mem_eq(f.p, "hello", 5);
	close(fd);
}
END_TEST

START_TEST(an_upgrade_to_http2_works)
{
	int fd = peer_connect(&peer);
	char head[512] = "";
	size_t n = 0;

	peer_sendz(fd,
	    "GET /who HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
	    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
	while (n < sizeof(head) - 1 && strstr(head, "\r\n\r\n") == NULL) {
		ck_assert_int_eq(recv(fd, head + n, 1, 0), 1);
		n++;
	}
	expect(head, "HTTP/1.1 101");
	peer_sendz(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	peer_frame(fd, H2_SETTINGS, 0, 0, NULL, 0);
	expect_h2_status(fd, 1, 200);
	peer_h2_request(fd, 3, "GET", "/who", 0);
	expect_h2_status(fd, 3, 200);
	close(fd);
}
END_TEST

START_TEST(a_client_that_leaves_cancels_its_task)
{
	int fd = peer_connect(&peer), h2;
	struct peer_frame f;

	peer_sendz(fd, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_await(&peer_live, 1);
	close(fd);
	peer_await(&peer_cancelled, 1);

	fd = peer_connect(&peer);
	peer_sendz(fd, "GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_read(fd, "first", NULL);
	close(fd);
	peer_await(&peer_cancelled, 2);

	h2 = peer_h2(&peer, NULL, 0);
	peer_h2_request(h2, 1, "GET", "/wait", 0);
	peer_await(&peer_live, 1);
	peer_frame(h2, H2_RST, 0, 1, "\0\0\0\10", 4);
	peer_await(&peer_cancelled, 3);
	peer_h2_request(h2, 3, "GET", "/who", 0);
	ck_assert_int_eq(peer_next(h2, H2_HEADERS, &f), 0);
	peer_h2_request(h2, 5, "GET", "/first", 0);
	ck_assert_int_eq(peer_next(h2, H2_HEADERS, &f), 0);
	close(h2);
	peer_await(&peer_cancelled, 4);
	peer_await(&peer_live, 0);
}
END_TEST

START_TEST(draining_ends_what_is_idle_and_lets_work_finish)
{
	int idle = peer_connect(&peer), fresh = peer_connect(&peer), busy = peer_connect(&peer);
	int h2 = peer_h2(&peer, NULL, 0), end;
	struct peer_frame f;

	peer_sendz(idle, "GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_read(idle, "by HTTP/1", NULL);
	peer_sendz(busy, "GET /slow?100 HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_h2_request(h2, 1, "GET", "/slow?100", 0);
	peer_await(&peer_entered, 3);
	http_drain(peer.listener);
	peer_read(fresh, NULL, &end);
	ck_assert_int_eq(end, 1);
	expect(peer_read(busy, NULL, NULL), "\r\nConnection: close\r\n");
	ck_assert_int_eq(peer_next(h2, H2_GOAWAY, &f), 0);
	ck_assert_int_eq(peer_next(h2, H2_HEADERS, &f), 0);
	ck_assert_int_eq(peer_next(h2, H2_PUSH, &f), -1); /* and then the end */
	close(idle);
	close(fresh);
	close(busy);
	close(h2);
}
END_TEST

static void
answer(struct http_req *req)
{
	http_reply(req, 200, "text/plain", "admin", 5);
	http_req_done(req);
}

START_TEST(a_unix_listener_is_for_its_owner_alone)
{
	char path[64], err[256] = "";
	struct http_listener *l, *again;
	struct stat st;

	snprintf(path, sizeof(path), "/tmp/check_http.%d.sock", (int)getpid());
	l = http_listen_unix(path, &http_limits_default, answer, NULL, err);
	ck_assert_msg(l != NULL, "%s", err);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	expect(peer_ask_unix(path, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
	    "\r\n\r\nadmin");
	again = http_listen_unix(path, &http_limits_default, answer, NULL, err);
	ck_assert_ptr_null(again);
	ck_assert_ptr_nonnull(strstr(err, "another process serves it"));
	http_close(l);
	ck_assert_int_ne(stat(path, &st), 0);
	peer_leave_socket(path); /* as after a crash */
	l = http_listen_unix(path, &http_limits_default, answer, NULL, err);
	ck_assert_msg(l != NULL, "%s", err);
	http_close(l);
}
END_TEST

START_TEST(an_address_that_cannot_be_served_is_named)
{
	static const char *const bad[] = { "nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
		"127.0.0.1:70000", "::1:80", "256.1.1.1:0", "[127.0.0.1:0" };
	char taken[64], err[256];
	size_t i;

	snprintf(taken, sizeof(taken), "127.0.0.1:%u", peer.port);
	ck_assert_ptr_null(http_listen(taken, &http_limits_default, NULL, answer, NULL, err));
	expect(err, taken);
	for (i = 0; i < NELEM(bad); i++) {
		ck_assert_ptr_null(
		    http_listen(bad[i], &http_limits_default, NULL, answer, NULL, err));
		expect(err, bad[i]);
	}
}
END_TEST

static const struct {
	const char *in, *out; /* NULL = refused */
	int plus;
} decode[] = {
	{ "", "", 0 },
	{ "abc", "abc", 0 },
	{ "a%20b", "a b", 0 },
	{ "%41%4a%4A", "AJJ", 0 },
	{ "a+b", "a+b", 0 },
	{ "a+b%2B", "a b+", 1 },
	{ "%", NULL, 0 },
	{ "%4", NULL, 0 },
	{ "%4g", NULL, 0 },
	{ "%-1", NULL, 0 },
	{ "a%00b", NULL, 0 },
	{ "%25%30%30", "%00", 0 }, /* once only */
	{ "%c3%a4", "\xc3\xa4", 0 },
};

START_TEST(percent_decoding_is_strict)
{
	struct arena a;
	char *out;

	arena_init(&a, 1 << 16);
	out = http_decode(&a, decode[_i].in, strlen(decode[_i].in), decode[_i].plus);
	if (decode[_i].out == NULL)
		ck_assert_ptr_null(out);
	else
		ck_assert_str_eq(out, decode[_i].out);
	ck_assert_ptr_null(http_decode(&a, "a\0b", 3, 0));
	arena_fini(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http");
	TCase *t = tcase_create("answers"), *pure = tcase_create("decode");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, a_request_is_answered_in_full);
	tcase_add_test(t, the_absolute_form_is_a_path_as_well);
	tcase_add_test(t, a_body_comes_by_length_and_by_chunks);
	tcase_add_test(t, a_client_that_asks_first_is_told_to_go_on);
	tcase_add_test(t, head_has_the_length_and_no_body);
	tcase_add_test(t, pipelined_requests_are_answered_in_order);
	tcase_add_test(t, a_silent_handler_becomes_an_error);
	tcase_add_test(t, an_error_has_the_shape_that_openai_clients_read);
	tcase_add_test(t, headers_are_found_by_their_lower_case_name);
	tcase_add_test(t, only_header_fields_become_headers);
	tcase_add_test(t, a_second_reply_is_refused);
	tcase_add_test(t, a_stream_has_a_proper_end);
	tcase_add_test(t, a_stream_begins_before_its_first_byte);
	tcase_add_test(t, a_silent_stream_beats);
	tcase_add_test(t, a_cut_never_looks_like_an_end);
	tcase_add_test(t, http2_is_spoken_without_asking);
	tcase_add_test(t, an_upgrade_to_http2_works);
	tcase_add_test(t, a_client_that_leaves_cancels_its_task);
	tcase_add_test(t, draining_ends_what_is_idle_and_lets_work_finish);
	tcase_add_test(t, a_unix_listener_is_for_its_owner_alone);
	tcase_add_test(t, an_address_that_cannot_be_served_is_named);
	tcase_add_loop_test(pure, percent_decoding_is_strict, 0, NELEM(decode));
	suite_add_tcase(s, t);
	suite_add_tcase(s, pure);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
