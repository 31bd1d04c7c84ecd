/* check_http.c: requests and answers over real sockets, HTTP/1.1 and HTTP/2 in clear text. */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/http_peer.h"

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

START_TEST(a_request_is_answered_in_full)
{
	const char *a = peer_ask(
	    &peer, "GET /who?a=1&b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

	ck_assert_ptr_nonnull(strstr(a, "HTTP/1.1 200 OK\r\n"));
	ck_assert_ptr_nonnull(strstr(a, "GET /who [a=1&b] from 127.0.0.1 by HTTP/1"));
	ck_assert_ptr_null(strcasestr(a, "\r\nserver:"));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("http");
	TCase *t = tcase_create("answers");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, a_request_is_answered_in_full);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
