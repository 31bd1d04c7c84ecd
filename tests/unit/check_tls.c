/* check_tls.c: certificates that load and that do not, and requests through TLS by libcurl. */
#include "loop/loop.h"
#include "net/http.h"
#include "net/tls.h"

#include <check.h>
#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

static char dir[32], cert[64], key[64], other_key[64];

static EVP_PKEY *
make_key(const char *file)
{
	EVP_PKEY *k = EVP_EC_gen("P-256");
	FILE *f = fopen(file, "w");

	ck_assert_ptr_nonnull(k);
	ck_assert_int_eq(PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	return k;
}

static void
make_cert(EVP_PKEY *k, const char *file)
{
	X509 *x = X509_new();
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	FILE *f = fopen(file, "w");

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(
	    X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"t", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_add_ext(x, san, -1);
	X509_set_pubkey(x, k);
	ck_assert_int_gt(X509_sign(x, k, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_X509(f, x), 1);
	fclose(f);
	X509_EXTENSION_free(san);
	X509_free(x);
}

static void
start(void)
{
	EVP_PKEY *k;

	strcpy(dir, "/tmp/check_tls.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	snprintf(other_key, sizeof(other_key), "%s/other.pem", dir);
	k = make_key(key);
	make_cert(k, cert);
	EVP_PKEY_free(k);
	EVP_PKEY_free(make_key(other_key));
}

static void
stop(void)
{
	unlink(cert);
	unlink(key);
	unlink(other_key);
	rmdir(dir);
}

START_TEST(what_does_not_fit_is_named)
{
	char err[256] = "";

	ck_assert_ptr_null(tls_load("/does/not/exist", key, err));
	ck_assert_ptr_nonnull(strstr(err, "/does/not/exist"));
	ck_assert_ptr_null(tls_load(cert, "/does/not/exist", err));
	ck_assert_ptr_nonnull(strstr(err, "/does/not/exist"));
	ck_assert_ptr_null(tls_load(key, key, err)); /* a key is no certificate */
	ck_assert_ptr_nonnull(strstr(err, key));
	ck_assert_ptr_null(tls_load(cert, other_key, err));
	ck_assert_ptr_nonnull(strstr(err, other_key));
}
END_TEST

static struct tls_conf *tls;
static struct http_listener *listener;

static void
entry(struct http_req *req)
{
	char text[64];

	snprintf(text, sizeof(text), "HTTP/%d tls=%d", req->http_major, req->is_tls);
	http_reply(req, 200, "text/plain", text, strlen(text));
	http_req_done(req);
}

static void
serve(void)
{
	char err[256] = "";

	start();
	loop_init(1);
	loop_start();
	tls = tls_load(cert, key, err);
	ck_assert_msg(tls != NULL, "%s", err);
	listener = http_listen("127.0.0.1:0", &http_limits_default, tls, entry, NULL, err);
	ck_assert_msg(listener != NULL, "%s", err);
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
	curl_easy_setopt(c, CURLOPT_CAINFO, cert);
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

int
main(void)
{
	Suite *s = suite_create("tls");
	TCase *t = tcase_create("load"), *c = tcase_create("serve");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, what_does_not_fit_is_named);
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, serve, unserve);
	tcase_add_loop_test(c, versions_and_protocols_are_agreed_on, 0, NELEM(asks));
	tcase_add_loop_test(c, weak_suites_are_refused, 0, 4);
	suite_add_tcase(s, t);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
