/* check_tls.c: certificates that load and that do not, and requests through TLS by libcurl. */
#include "loop/loop.h"
#include "net/http.h"
#include "net/tls.h"

#include <check.h>
#include <curl/curl.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "tests/lib/certs.h"

static char dir[32];
static struct { /* files */
	char cert[64], key[64], other_key[64], ca[64], ca_key[64], b_cert[64], b_key[64],
	    client[64], stranger[64];
} pem;

static void
start(void)
{
	struct cert_issuer *ca;
	char *at = (char *)&pem;
	size_t i;

	strcpy(dir, "/tmp/check_tls.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (i = 0; i < sizeof(pem) / 64; i++)
		snprintf(at + i * 64, 64, "%s/%zu.pem", dir, i);
	certs_free(certs_make(pem.cert, pem.key, "a", "IP:127.0.0.1,DNS:a.example", NULL));
	certs_free(certs_make(pem.b_cert, pem.b_key, "b", "DNS:*.b.example", NULL));
	certs_key(pem.other_key);
	ca = certs_make(pem.ca, pem.ca_key, "ca", "DNS:ca.example", NULL);
	certs_free(certs_make(pem.client, pem.client, "billing, inc",
	    "URI:spiffe://example/billing,DNS:billing.example", ca));
	certs_free(certs_make(
	    pem.stranger, pem.stranger, "stranger", "URI:spiffe://example/billing", NULL));
	certs_free(ca);
}

static void
stop(void)
{
	char *at = (char *)&pem;
	size_t i;

	for (i = 0; i < sizeof(pem) / 64; i++)
		unlink(at + i * 64);
	rmdir(dir);
}

static struct tls_conf *
load(const char *cert, const char *key, const char *client_ca, char err[256])
{
	struct tls_opts o = { .certs = { { cert, key } }, .n_certs = 1, .client_ca = client_ca };

	return tls_load(&o, err);
}

START_TEST(what_does_not_fit_is_named)
{
	char err[256] = "";

	ck_assert_ptr_null(load("/does/not/exist", pem.key, NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "/does/not/exist"));
	ck_assert_ptr_null(load(pem.cert, "/does/not/exist", NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "/does/not/exist"));
	ck_assert_ptr_null(load(pem.key, pem.key, NULL, err)); /* a key is no certificate */
	ck_assert_ptr_nonnull(strstr(err, pem.key));
	ck_assert_ptr_null(load(pem.cert, pem.other_key, NULL, err));
	ck_assert_ptr_nonnull(strstr(err, pem.other_key));
	ck_assert_ptr_null(load(pem.cert, pem.key, "/does/not/exist", err));
	ck_assert_ptr_nonnull(strstr(err, "/does/not/exist"));
	ck_assert_ptr_null(load(pem.cert, pem.key, pem.other_key, err));
	ck_assert_ptr_nonnull(strstr(err, pem.other_key));
}
END_TEST

static struct tls_conf *tls;
static struct http_listener *listener;

static void
entry(struct http_req *req)
{
	const struct tls_peer *p = http_peer(req);
	char text[3072];

	if (p == NULL)
		snprintf(text, sizeof(text), "HTTP/%d tls=%d", req->http_major, req->is_tls);
	else
		snprintf(text, sizeof(text), "%s|%s|%zu|%d", p->subject, p->names,
		    strlen(p->sha256), p->not_after > time(NULL));
	http_reply(req, 200, "text/plain", text, strlen(text));
	http_req_done(req);
}

static void
serve_with(const struct tls_opts *o)
{
	char err[256] = "";

	loop_init(1);
	loop_start();
	tls = tls_load(o, err);
	ck_assert_msg(tls != NULL, "%s", err);
	listener = http_listen("127.0.0.1:0", &http_limits_default, tls, entry, NULL, err);
	ck_assert_msg(listener != NULL, "%s", err);
}

static void
serve(void)
{
	struct tls_opts o = { .n_certs = 1 };

	start();
	o.certs[0] = (struct tls_cert){ pem.cert, pem.key };
	serve_with(&o);
}

static void
serve_many(void)
{
	struct tls_opts o = { .n_certs = 2 };

	start();
	o.certs[0] = (struct tls_cert){ pem.cert, pem.key };
	o.certs[1] = (struct tls_cert){ pem.b_cert, pem.b_key };
	serve_with(&o);
}

static void
serve_clients(void)
{
	struct tls_opts o = { .n_certs = 1, .client_ca = pem.ca };

	start();
	o.certs[0] = (struct tls_cert){ pem.cert, pem.key };
	serve_with(&o);
}

static void
unserve(void)
{
	http_close(listener);
	tls_free(tls);
	loop_stop_all();
	stop();
}

static size_t
take(char *p, size_t size, size_t n, void *arg)
{
	strncat(arg, p, size * n);
	return size * n;
}

/* The answer's body, or libcurl's error. */
static CURLcode
ask(long http, long version, char body[1024])
{
	CURL *c = curl_easy_init();
	char url[64];
	CURLcode rc;

	body[0] = '\0';
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", http_listener_port(listener));
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_CAINFO, pem.cert);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, http);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, version);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
	rc = curl_easy_perform(c);
	curl_easy_cleanup(c);
	return rc;
}

static const struct {
	long http, version;
	const char *body; /* NULL = no connection */
} asks[] = {
	{ CURL_HTTP_VERSION_2TLS, CURL_SSLVERSION_TLSv1_3, "HTTP/2 tls=1" },
	{ CURL_HTTP_VERSION_2TLS, CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2,
	    "HTTP/2 tls=1" },
	{ CURL_HTTP_VERSION_1_1, CURL_SSLVERSION_TLSv1_3, "HTTP/1 tls=1" },
	{ CURL_HTTP_VERSION_1_1, CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2,
	    "HTTP/1 tls=1" },
	{ CURL_HTTP_VERSION_1_1, CURL_SSLVERSION_TLSv1_1 | CURL_SSLVERSION_MAX_TLSv1_1, NULL },
};

START_TEST(versions_and_protocols_are_agreed_on)
{
	char body[1024];
	CURLcode rc = ask(asks[_i].http, asks[_i].version, body);

	if (asks[_i].body == NULL) {
		ck_assert_int_eq(rc, CURLE_SSL_CONNECT_ERROR);
	} else {
		ck_assert_msg(rc == CURLE_OK, "%s", curl_easy_strerror(rc));
		ck_assert_str_eq(body, asks[_i].body);
	}
}
END_TEST

/* Suites without forward secrecy or authenticated encryption are not there. */
START_TEST(weak_suites_are_refused)
{
	static const char *const weak[] = { "AES128-SHA", "AES256-GCM-SHA384",
		"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384" };
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char address[32];
	BIO *bio;

	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	ck_assert_int_eq(SSL_CTX_set_cipher_list(ctx, weak[_i]), 1);
	bio = BIO_new_ssl_connect(ctx);
	snprintf(address, sizeof(address), "127.0.0.1:%u", http_listener_port(listener));
	BIO_set_conn_hostname(bio, address);
	ck_assert_int_le(BIO_do_connect(bio) == 1 ? BIO_do_handshake(bio) : 0, 0);
	BIO_free_all(bio);
	SSL_CTX_free(ctx);
}
END_TEST

/* ---- handshakes of our own: the certificate that is shown, sessions, client certificates ---- */

struct shake {
	const char *name, *client; /* SNI; a file with key and certificate; NULL = none */
	SSL_SESSION *session;      /* to resume; replaced by the new one */
	int version;               /* of TLS; 0 = the newest */
	char shown[64];            /* the CN of the server's certificate */
	char body[3072];           /* of one request; "" = there was no answer */
	int resumed;
};

static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	struct shake *h = SSL_get_app_data(ssl);

	SSL_SESSION_free(h->session);
	h->session = s;
	return 1;
}

static BIO *
shake_open(SSL_CTX *ctx, struct shake *h)
{
	BIO *bio = BIO_new_ssl_connect(ctx);
	char address[32];
	SSL *ssl;

	BIO_get_ssl(bio, &ssl);
	SSL_set_app_data(ssl, h);
	if (h->name != NULL)
		SSL_set_tlsext_host_name(ssl, h->name);
	if (h->session != NULL)
		SSL_set_session(ssl, h->session);
	snprintf(address, sizeof(address), "127.0.0.1:%u", http_listener_port(listener));
	BIO_set_conn_hostname(bio, address);
	if (BIO_do_connect(bio) != 1 || BIO_do_handshake(bio) != 1) {
		BIO_free_all(bio);
		return NULL;
	}
	X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(ssl)),
	    NID_commonName, h->shown, sizeof(h->shown));
	h->resumed = SSL_session_reused(ssl);
	return bio;
}

/* One request on the open connection. */
static void
shake_ask(BIO *bio, struct shake *h)
{
	static const char ask[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	char answer[4096] = "", *body = NULL, *length;
	size_t n = 0;
	int k = BIO_write(bio, ask, sizeof(ask) - 1);

	h->body[0] = '\0';
	while (k > 0 && n < sizeof(answer) - 1) {
		k = BIO_read(bio, answer + n, (int)(sizeof(answer) - 1 - n));
		n += k > 0 ? (size_t)k : 0;
		answer[n] = '\0';
		body = strstr(answer, "\r\n\r\n");
		length = strcasestr(answer, "\ncontent-length:");
		if (body != NULL && length != NULL &&
		    strlen(body + 4) == strtoul(length + 16, NULL, 10)) {
			snprintf(h->body, sizeof(h->body), "%s", body + 4);
			return;
		}
	}
}

static SSL_CTX *
shake_ctx(const struct shake *h)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (h->version != 0)
		SSL_CTX_set_max_proto_version(ctx, h->version);
	SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	if (h->client != NULL) {
		ck_assert_int_eq(SSL_CTX_use_certificate_file(ctx, h->client, SSL_FILETYPE_PEM), 1);
		ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(ctx, h->client, SSL_FILETYPE_PEM), 1);
	}
	return ctx;
}

static void
shake(struct shake *h)
{
	SSL_CTX *ctx = shake_ctx(h);
	BIO *bio = shake_open(ctx, h);
	SSL *ssl;

	h->body[0] = '\0';
	if (bio != NULL) {
		shake_ask(bio, h);
		BIO_get_ssl(bio, &ssl);
		/* as if both had said good-bye: a session that is torn may not be resumed */
		SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		BIO_free_all(bio);
	}
	SSL_CTX_free(ctx);
}

static const struct {
	const char *name, *shown;
} names[] = {
	{ "a.example", "a" },
	{ "x.b.example", "b" },
	{ "X.B.EXAMPLE", "b" },
	{ "b.example", "a" },     /* a wildcard stands for one label */
	{ "x.y.b.example", "a" }, /* and not for two */
	{ "nobody.example", "a" },
	{ NULL, "a" },
};

START_TEST(the_name_picks_the_certificate)
{
	struct shake h = { .name = names[_i].name };

	shake(&h);
	ck_assert_str_eq(h.shown, names[_i].shown);
	ck_assert_str_eq(h.body, "HTTP/1 tls=1");
	SSL_SESSION_free(h.session);
}
END_TEST

START_TEST(a_new_certificate_serves_new_connections_only)
{
	struct shake h = { .name = NULL }, after = { .name = NULL };
	SSL_CTX *ctx = shake_ctx(&h);
	BIO *bio = shake_open(ctx, &h);
	char err[256];
	int i;

	ck_assert_ptr_nonnull(bio);
	shake_ask(bio, &h);
	for (i = 0; i < 20; i++) {
		struct tls_conf *next = i % 2 == 0 ? load(pem.b_cert, pem.b_key, NULL, err)
						   : load(pem.cert, pem.key, NULL, err);

		ck_assert_ptr_nonnull(next);
		http_listener_tls(listener, next);
		tls_free(tls);
		tls = next;
		shake(&after);
		ck_assert_str_eq(after.shown, i % 2 == 0 ? "b" : "a");
		/* the first one goes on: not a byte of it is lost */
		shake_ask(bio, &h);
		ck_assert_str_eq(h.body, "HTTP/1 tls=1");
	}
	BIO_free_all(bio);
	SSL_CTX_free(ctx);
	SSL_SESSION_free(h.session);
	SSL_SESSION_free(after.session);
}
END_TEST

START_TEST(a_session_is_resumed)
{
	struct shake h = { .version = _i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION };

	shake(&h);
	ck_assert_int_eq(h.resumed, 0);
	shake(&h);
	ck_assert_int_eq(h.resumed, 1);
	ck_assert_str_eq(h.body, "HTTP/1 tls=1");
	SSL_SESSION_free(h.session);
}
END_TEST

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
#define BILLING "CN=billing\\, inc|URI:spiffe://example/billing\nDNS:billing.example|64|1"

START_TEST(a_client_is_known_by_its_certificate)
{
	struct shake h = { .client = pem.client, .version = versions[_i] };

	shake(&h);
	ck_assert_str_eq(h.body, BILLING);
	ck_assert_int_eq(h.resumed, 0);
	shake(&h);
	ck_assert_int_eq(h.resumed, 1);
	ck_assert_str_eq(h.body, BILLING);
	SSL_SESSION_free(h.session);
}
END_TEST

START_TEST(a_certificate_of_another_authority_is_refused)
{
	struct shake h = { .client = pem.stranger, .version = versions[_i] };

	shake(&h);
	ck_assert_str_eq(h.body, "");
	SSL_SESSION_free(h.session);
}
END_TEST

START_TEST(a_client_without_a_certificate_is_nobody)
{
	struct shake h = { .version = versions[_i] };
	struct tls_opts o = { .certs = { { pem.cert, pem.key } },
		.n_certs = 1,
		.client_ca = pem.ca,
		.client_required = 1 };
	struct tls_conf *next;
	char err[256];

	shake(&h);
	ck_assert_str_eq(h.body, "HTTP/1 tls=1");
	SSL_SESSION_free(h.session);
	h.session = NULL;
	next = tls_load(&o, err);
	ck_assert_ptr_nonnull(next);
	http_listener_tls(listener, next);
	tls_free(tls);
	tls = next;
	shake(&h); /* required now */
	ck_assert_str_eq(h.body, "");
	SSL_SESSION_free(h.session);
	h.session = NULL;
	h.client = pem.client;
	shake(&h);
	ck_assert_str_eq(h.body, BILLING);
	SSL_SESSION_free(h.session);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tls");
	TCase *t = tcase_create("load"), *c = tcase_create("serve"), *n = tcase_create("names"),
	      *k = tcase_create("clients");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, what_does_not_fit_is_named);
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, serve, unserve);
	tcase_add_loop_test(c, versions_and_protocols_are_agreed_on, 0, NELEM(asks));
	tcase_add_loop_test(c, weak_suites_are_refused, 0, 4);
	suite_add_tcase(s, t);
	tcase_add_loop_test(c, a_session_is_resumed, 0, 2);
	tcase_add_test(c, a_new_certificate_serves_new_connections_only);
	tcase_set_timeout(n, 60);
	tcase_add_checked_fixture(n, serve_many, unserve);
	tcase_add_loop_test(n, the_name_picks_the_certificate, 0, NELEM(names));
	tcase_set_timeout(k, 60);
	tcase_add_checked_fixture(k, serve_clients, unserve);
	tcase_add_loop_test(k, a_client_is_known_by_its_certificate, 0, NELEM(versions));
	tcase_add_loop_test(k, a_certificate_of_another_authority_is_refused, 0, NELEM(versions));
	tcase_add_loop_test(k, a_client_without_a_certificate_is_nobody, 0, NELEM(versions));
	suite_add_tcase(s, c);
	suite_add_tcase(s, n);
	suite_add_tcase(s, k);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
