/* check_http_limits.c: what one connection may cost: bodies, tasks, resets, slow senders, clients
 * that do not read. Each test has a listener with limits of its own. */
#include "net/http_guard.h"
#include "tests/unit/http_peer.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct peer peer;
static struct http_limits limits;

static void
defaults(void)
{
	limits = http_limits_default;
}

static void
expect(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in \"%.300s\"", part, text);
}

static long
rss_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	ck_assert_int_eq(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Sends until the peer refuses or n bytes are out. */
static void
push(int fd, long n)
{
	static char piece[64 << 10];
	ssize_t k;

	for (; n > 0; n -= k) {
		k = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);
		if (k <= 0)
			return;
	}
}

START_TEST(a_100_mb_body_gets_its_413_and_no_memory)
{
	static const char *const requests[] = {
		"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 104857600\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6400000\r\n"
	};
	long before;
	const char *a;
	int fd;

	peer_start(&peer, &limits, 1);
	before = rss_kib();
	fd = peer_connect(&peer);
	peer_sendz(fd, requests[_i]);
	push(fd, 100 << 20); /* all of it before reading a byte, as simple clients do */
	a = peer_read(fd, "}}", NULL);
	expect(a, "HTTP/1.1 413 ");
	expect(a, "{\"error\":{\"message\":\"The request body is larger than 4194304 bytes.\",");
	expect(a, "\"code\":\"request_too_large\"}}");
	ck_assert_int_lt(rss_kib() - before, 24 << 10);
	close(fd);
	peer_stop(&peer);
	ck_assert_int_eq(peer_entered, 0);
}
END_TEST

START_TEST(a_body_of_just_the_limit_is_taken)
{
	const char *a;
	int fd;

	limits.body_max = 5;
	peer_start(&peer, &limits, 1);
	a = peer_ask(&peer,
	    "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
	    "Content-Length: 5\r\n\r\n12345");
	expect(a, "\r\n\r\n12345");
	a = peer_ask(&peer,
	    "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
	    "Content-Length: 6\r\n\r\n123456");
	expect(a, "HTTP/1.1 413");
	a = peer_ask(&peer,
	    "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
	    "Content-Length: 6\r\n\r\n");
	expect(a, "HTTP/1.1 413");
	fd = peer_h2(&peer, NULL, 0);
	close(fd);
	peer_stop(&peer);
}
END_TEST

/* All that h2o can say on HTTP/2: the stream is refused, the connection lives on. */
START_TEST(too_large_a_body_on_http2_resets_its_stream)
{
	struct peer_frame f;
	int fd;

	limits.body_max = 1000;
	peer_start(&peer, &limits, 1);
	fd = peer_h2(&peer, NULL, 0);
	peer_h2_request(fd, 1, "POST", "/echo", 1);
	peer_frame(fd, H2_DATA, 1, 1, (char[1001]){ 0 }, 1001);
	ck_assert_int_eq(peer_next(fd, H2_RST, &f), 0);
	ck_assert_mem_eq(f.p, "\0\0\0\7", 4); /* REFUSED_STREAM */
	peer_h2_request(fd, 3, "GET", "/who", 0);
	ck_assert_int_eq(peer_next(fd, H2_HEADERS, &f), 0);
	close(fd);
	peer_stop(&peer);
}
END_TEST

START_TEST(bodies_in_arrival_are_weighed_per_connection)
{
	static char piece[16 << 10];
	static struct peer_frame f;
	int fd, other, i, k;

	limits.body_max = 1 << 20;
	limits.conn_bytes_max = 2 << 20;
	peer_start(&peer, &limits, 1);
	other = peer_h2(&peer, NULL, 0);
	fd = peer_h2(&peer, NULL, 0);
	for (i = 0; i < 5; i++)
		peer_h2_request(fd, (unsigned)(2 * i + 1), "POST", "/echo", 1);
	/* 5 x 992 KiB, without an end: cut on the way */
	for (k = 0; k < 62; k++)
		for (i = 0; i < 5; i++) {
			unsigned char head[9] = { 0, 0x40, 0, H2_DATA, 0, 0, 0, 0,
				(unsigned char)(2 * i + 1) };

			if (send(fd, head, 9, MSG_NOSIGNAL) != 9 ||
			    send(fd, piece, sizeof(piece), MSG_NOSIGNAL) != (ssize_t)sizeof(piece))
				goto out;
		}
out:
	ck_assert_int_eq(peer_next(fd, H2_PUSH, &f), -1);
	peer_h2_request(other, 1, "GET", "/who", 0);
	ck_assert_int_eq(peer_next(other, H2_HEADERS, &f), 0);
	close(fd);
	close(other);
	peer_stop(&peer);
	ck_assert_int_eq(peer_entered, 1);
}
END_TEST

/* One upload after the other is no crowd, however much they are together. */
START_TEST(bodies_that_were_answered_weigh_nothing)
{
	static char piece[16 << 10];
	struct peer_frame f;
	unsigned i, k;
	int fd;

	limits.body_max = 1 << 20;
	limits.conn_bytes_max = 2 << 20;
	peer_start(&peer, &limits, 1);
	fd = peer_h2(&peer, NULL, 0);
	for (i = 1; i < 20; i += 2) {
		peer_h2_request(fd, i, "POST", "/set", 1);
		for (k = 0; k < 63; k++)
			peer_frame(fd, H2_DATA, k == 62, i, piece, sizeof(piece));
		ck_assert_int_eq(peer_next(fd, H2_HEADERS, &f), 0);
		ck_assert_uint_eq(f.stream, i);
	}
	close(fd);
	peer_stop(&peer);
}
END_TEST

START_TEST(tasks_of_a_connection_are_counted)
{
	struct peer_frame f;
	unsigned i;
	int fd;

	limits.tasks_per_conn_max = 4;
	peer_start(&peer, &limits, 1);
	fd = peer_h2(&peer, NULL, 0);
	for (i = 0; i < 4; i++)
		peer_h2_request(fd, 2 * i + 1, "GET", "/wait", 0);
	peer_await(&peer_live, 4);
	peer_h2_request(fd, 9, "GET", "/wait", 0);
	ck_assert_int_eq(peer_next(fd, H2_DATA, &f), 0);
	f.p[f.n] = '\0';
	expect((char *)f.p, "\"code\":\"service_unavailable\"");
	ck_assert_int_eq(peer_live, 4);
	close(fd);
	peer_await(&peer_cancelled, 4);
	peer_stop(&peer);
}
END_TEST

START_TEST(a_storm_of_resets_closes_its_connection)
{
	struct peer_frame f;
	unsigned i;
	int fd;

	peer_start(&peer, &limits, 1);
	fd = peer_h2(&peer, NULL, 0);
	for (i = 0; i < 2000; i++) {
		unsigned char b[] = { 0, 0, 9, H2_HEADERS, 5, 0, 0,
			(unsigned char)((2 * i + 1) >> 8), (unsigned char)(2 * i + 1), 0x82, 0x86,
			0x04, 5, '/', 'w', 'a', 'i', 't',
			/* and at once */ 0, 0, 4, H2_RST, 0, 0, 0,
			(unsigned char)((2 * i + 1) >> 8), (unsigned char)(2 * i + 1), 0, 0, 0, 8 };

		if (send(fd, b, sizeof(b), MSG_NOSIGNAL) != (ssize_t)sizeof(b))
			break;
	}
	ck_assert_int_eq(peer_next(fd, H2_PUSH, &f), -1);
	close(fd);
	peer_await(&peer_live, 0);
	ck_assert_int_le(peer_most, (int)limits.tasks_per_conn_max);
	ck_assert_int_le(peer_entered, (int)limits.resets_per_10s_max + 1);
	peer_stop(&peer);
}
END_TEST

static void
await_connections(unsigned n)
{
	int i;

	for (i = 0; i < 20000 && http_connections() != n; i++)
		poll(NULL, 0, 1);
	ck_assert_uint_eq(http_connections(), n);
}

START_TEST(connections_of_a_loop_are_counted)
{
	int fd[3], more, i, end;

	limits.conns_max = 3;
	peer_start(&peer, &limits, 1);
	for (i = 0; i < 3; i++) {
		fd[i] = peer_connect(&peer);
		peer_sendz(fd[i], "GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
		peer_read(fd[i], "first", NULL);
	}
	more = peer_connect(&peer);
	peer_read(more, NULL, &end);
	ck_assert_int_ne(end, 0);
	close(fd[0]);
	peer_await(&peer_live, 2);
	await_connections(2); /* the task ends before its connection does */
	expect(
	    peer_ask(&peer, "GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), "200 OK");
	close(fd[1]);
	close(fd[2]);
	close(more);
	peer_await(&peer_live, 0);
	peer_stop(&peer);
}
END_TEST

START_TEST(idle_connections_are_closed)
{
	int fresh, used, h2, end;

	limits.idle_ms = 150;
	peer_start(&peer, &limits, 1);
	fresh = peer_connect(&peer);
	used = peer_connect(&peer);
	h2 = peer_h2(&peer, NULL, 0);
	peer_sendz(used, "GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_read(used, "by HTTP/1", NULL);
	ck_assert_str_eq(peer_read(fresh, NULL, &end), "");
	ck_assert_int_eq(end, 1);
	peer_read(used, NULL, &end);
	ck_assert_int_eq(end, 1);
	ck_assert_int_eq(peer_next(h2, H2_PUSH, &(struct peer_frame){ 0 }), -1);
	close(fresh);
	close(used);
	close(h2);
	peer_stop(&peer);
}
END_TEST

/* Heads and bodies that come by drops, and some that stop; and one that is slow but fast enough. */
START_TEST(slow_senders_are_shown_the_door)
{
	static const char *const begin[] = { "GET /who HTTP/1.1\r\nHost: h\r\nX-A: ",
		"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2328\r\n",
		"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n", "GET / HT" };
	enum { N = NELEM(begin), FAIR = N, H2 };
	struct pollfd p[N + 2];
	unsigned i, left = N + 1;
	char piece[400];
	int end, fair = 0;

	memset(piece, 'x', sizeof(piece));
	limits.min_rate = 1000;
	peer_start(&peer, &limits, 2);
	for (i = 0; i < N; i++) {
		p[i].fd = peer_connect(&peer);
		peer_sendz(p[i].fd, begin[i]);
	}
	p[FAIR].fd = peer_connect(&peer);
	peer_sendz(p[FAIR].fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
	p[H2].fd = peer_h2(&peer, NULL, 0);
	peer_h2_request(p[H2].fd, 1, "POST", "/echo", 1);
	for (i = 0; i < N + 2; i++)
		p[i].events = POLLRDHUP;
	while (left > 0) {
		poll(NULL, 0, 100);
		poll(p, N + 2, 0);
		for (i = 0; i < N + 2; i++) {
			if (i == FAIR && fair < 99000) {
				peer_send(p[i].fd, piece, sizeof(piece)); /* 4,000 bytes/s */
				fair += (int)sizeof(piece);
			}
			if (i < 3 && p[i].fd >= 0)
				(void)!send(p[i].fd, "x", 1, MSG_NOSIGNAL);
			if (p[i].fd < 0 || (p[i].revents & (POLLRDHUP | POLLHUP)) == 0)
				continue;
			ck_assert_uint_ne(i, FAIR);
			if (i < N)
				expect(peer_read(p[i].fd, NULL, &end), "HTTP/1.1 408 ");
			close(p[i].fd);
			p[i].fd = -1;
			left--;
		}
	}
	close(p[FAIR].fd);
	peer_stop(&peer);
	ck_assert_int_eq(peer_entered, 0);
}
END_TEST

START_TEST(a_writer_waits_for_a_client_that_does_not_read)
{
	int fd;
	long half;

	peer_start(&peer, &limits, 1);
	fd = peer_connect(&peer);
	peer_sendz(fd, "GET /stream?50000000 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	peer_parked(&peer);
	half = peer_written;
	ck_assert_int_gt(half, 0);
	ck_assert_int_lt(half, 20000000); /* the kernel's buffers and 256 KiB of ours */
	ck_assert_int_eq(peer_live, 1);
	peer_drop(fd, 50000000);
	close(fd);
	peer_await(&peer_live, 0);
	ck_assert_int_eq(peer_written, 50000000);
	peer_stop(&peer);
}
END_TEST

START_TEST(a_client_that_never_reads_is_cut)
{
	int fd, h2, small = 4096;

	limits.write_stall_ms = 300;
	peer_start(&peer, &limits, 1);
	fd = peer_connect(&peer);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	peer_sendz(fd, "GET /stream?100000000 HTTP/1.1\r\nHost: h\r\n\r\n");
	/* HTTP/2 has windows: 65,535 bytes and no more, although the socket would take them */
	h2 = peer_h2(&peer, NULL, 0);
	peer_h2_request(h2, 1, "GET", "/stream?10000000", 0);
	peer_await(&peer_cancelled, 2);
	close(fd);
	close(h2);
	peer_stop(&peer);
}
END_TEST

START_TEST(a_client_that_leaves_frees_its_blocked_writer)
{
	int fd, small = 4096;

	peer_start(&peer, &limits, 1);
	fd = peer_connect(&peer);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	peer_sendz(fd, "GET /stream?100000000 HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_parked(&peer);
	close(fd);
	peer_await(&peer_cancelled, 1);
	peer_stop(&peer);
}
END_TEST

START_TEST(closing_cuts_what_is_left)
{
	int fd[4], i;

	peer_start(&peer, &limits, 2);
	for (i = 0; i < 3; i++)
		fd[i] = peer_connect(&peer);
	peer_sendz(fd[0], "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_sendz(fd[1], "GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_sendz(fd[2], "GET /stream?100000000 HTTP/1.1\r\nHost: h\r\n\r\n");
	fd[3] = peer_h2(&peer, NULL, 0);
	peer_h2_request(fd[3], 1, "GET", "/wait", 0);
	peer_h2_request(fd[3], 3, "GET", "/first", 0);
	peer_await(&peer_entered, 5);
	http_close(peer.listener);
	peer.listener = NULL;
	ck_assert_int_eq(peer_cancelled, 5);
	for (i = 0; i < 4; i++)
		close(fd[i]);
	peer_stop(&peer);
}
END_TEST

START_TEST(the_minimum_rate_allows_a_start_and_a_pause)
{
	struct guard_rate g = { 0 };
	int64_t t;

	for (t = 0; t <= 5000; t += 100) /* nothing at all: the grace */
		ck_assert_int_eq(guard_rate_tick(&g, t, 0, 1000), 0);
	ck_assert_int_eq(guard_rate_tick(&g, 5100, 0, 1000), 1);
	guard_rate_stop(&g);
	guard_rate_tick(&g, 0, 0, 1000);
	ck_assert_int_eq(guard_rate_tick(&g, 1000, 1 << 20, 1000), 0);
	ck_assert_int_eq(guard_rate_tick(&g, 31000, 1 << 20, 1000), 0); /* 30 s of silence */
	ck_assert_int_eq(guard_rate_tick(&g, 31100, 1 << 20, 1000), 1); /* not a second more */
	guard_rate_stop(&g);
	for (t = 0; t < 600000; t += 100) /* just fast enough, for ten minutes */
		ck_assert_int_eq(guard_rate_tick(&g, t, (uint64_t)t, 1000), 0);
	for (; guard_rate_tick(&g, t, 600000 + (uint64_t)(t - 600000) / 2, 1000) == 0; t += 100)
		ck_assert_int_lt(t, 615000); /* half of it */
}
END_TEST

START_TEST(a_window_counts_and_forgets)
{
	struct guard_window w = { 0 };
	int i;

	for (i = 0; i < 10; i++)
		ck_assert_int_eq(guard_window_hit(&w, i, 10), 0);
	ck_assert_int_eq(guard_window_hit(&w, 10, 10), 1);
	ck_assert_int_eq(guard_window_hit(&w, GUARD_WINDOW_MS, 10), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http_limits");
	TCase *t = tcase_create("limits"), *pure = tcase_create("guard");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, defaults, NULL);
	tcase_add_loop_test(t, a_100_mb_body_gets_its_413_and_no_memory, 0, 2);
	tcase_add_test(t, a_body_of_just_the_limit_is_taken);
	tcase_add_test(t, too_large_a_body_on_http2_resets_its_stream);
	tcase_add_test(t, bodies_in_arrival_are_weighed_per_connection);
	tcase_add_test(t, bodies_that_were_answered_weigh_nothing);
	tcase_add_test(t, tasks_of_a_connection_are_counted);
	tcase_add_test(t, a_storm_of_resets_closes_its_connection);
	tcase_add_test(t, connections_of_a_loop_are_counted);
	tcase_add_test(t, idle_connections_are_closed);
	tcase_add_test(t, slow_senders_are_shown_the_door);
	tcase_add_test(t, a_writer_waits_for_a_client_that_does_not_read);
	tcase_add_test(t, a_client_that_never_reads_is_cut);
	tcase_add_test(t, a_client_that_leaves_frees_its_blocked_writer);
	tcase_add_test(t, closing_cuts_what_is_left);
	tcase_add_test(pure, the_minimum_rate_allows_a_start_and_a_pause);
	tcase_add_test(pure, a_window_counts_and_forgets);
	suite_add_tcase(s, t);
	suite_add_tcase(s, pure);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
