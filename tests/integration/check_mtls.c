/* check_mtls.c: a whole host behind TLS: whom a client certificate stands for, and certificates
 * that are replaced while it serves. */
#include "tests/lib/host.h"

#include <curl/curl.h>
#include <jansson.h>
#include <unistd.h>

#include "base/base.h"
#include "plugin/server.h"
#include "tests/lib/certs.h"
#include "tests/lib/servers.h"

#include <check.h> /* last: it defines fail() */

static char dir[] = "/tmp/check_mtls.XXXXXX";
static char tenant[40], *api_key;
static struct cert_issuer *ca;

static const char *
file(const char *name)
{
	static char path[8][64];
	static unsigned i;
	char *z = path[i++ % 8];

	snprintf(z, sizeof path[0], "%s/%s.pem", dir, name);
	return z;
}

static void
make_client(const char *name, const char *san)
{
	certs_free(certs_make(file(name), file(name), name, san, ca));
}

/* The configuration: tls: and what auth knows of clients, both in flow style. */
static const char *
conf_of(const char *tls, const char *clients)
{
	static char yaml[4096];

	snprintf(yaml, sizeof yaml,
	    "listen:\n- {address: '127.0.0.1:0'}\n- {address: '127.0.0.1:0', tls: {%s}}\n"
	    "plugins: {auth: {config: {recheck: 100ms, clients: [%s]}}, hello: {}}\n",
	    tls, clients);
	return yaml;
}

static const char *
tls_of(const char *cert, const char *key, const char *more)
{
	static char text[1024];

	snprintf(text, sizeof text, "certificate: %s, key: %s, client_ca: %s%s", file(cert),
	    file(key), file("ca"), more);
	return text;
}

static const char *
clients(void)
{
	static char text[1024];

	snprintf(text, sizeof text,
	    "{name: 'URI:spiffe://example/billing', tenant: %s, user: billing, permissions: "
	    "'hello:read'},"
	    "{name: 'DNS:bare.example', tenant: %s}",
	    tenant, tenant);
	return text;
}

static size_t
take(char *p, size_t size, size_t n, void *arg)
{
	size_t at = strlen(arg);

	if (at + n < 4096)
		memcpy((char *)arg + at, p, n), ((char *)arg)[at + n] = '\0';
	return n;
}

static char body[4096];

/* GET /v1/hello/x on the TLS listener, trusting the authority `trust`; 0 = no answer. */
static long
hello(const char *trust, const char *client, const char *key)
{
	CURL *c = curl_easy_init();
	struct curl_slist *head = NULL;
	char url[64], line[256];
	long status = 0;

	body[0] = '\0';
	snprintf(url, sizeof url, "https://127.0.0.1:%u/v1/hello/x", server_port(1));
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(c, CURLOPT_CAINFO, file(trust));
	if (client != NULL) {
		curl_easy_setopt(c, CURLOPT_SSLCERT, file(client));
		curl_easy_setopt(c, CURLOPT_SSLKEY, file(client));
	}
	if (key != NULL) {
		snprintf(line, sizeof line, "Authorization: Bearer %s", key);
		head = curl_slist_append(head, line);
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, head);
	}
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
	if (curl_easy_perform(c) == CURLE_OK)
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(head);
	curl_easy_cleanup(c);
	return status;
}

static void
start(void)
{
	servers_fresh_database();
	host_start("plugins: {auth: {}, hello: {}}"); /* makes the tables */
	snprintf(tenant, sizeof tenant, "%s", host_tenant("acme"));
	api_key = host_key(tenant, "hello:read");
	AZ(host_stop());
	host_start(conf_of(tls_of("a", "a-key", ""), clients()));
}

static void
stop(void)
{
	free(api_key);
	AZ(host_stop());
}

static const struct {
	const char *client;
	int with_key;
	long status;
	const char *says; /* the tenant's id when NULL */
} callers[] = {
	{ "billing", 0, 200, NULL }, { NULL, 1, 200, NULL },
	{ "unlisted", 1, 200, NULL }, /* a key is a key */
	{ NULL, 0, 401, "No API key was given" }, { "unlisted", 0, 401, "stands for nobody here" },
	{ "bare", 0, 403, "hello:read" },
	{ "stranger", 0, 0, "" }, /* signed by itself: no connection */
};

START_TEST(a_certificate_stands_for_whom_the_configuration_says)
{
	ck_assert_int_eq(hello("a", callers[_i].client, callers[_i].with_key ? api_key : NULL),
	    callers[_i].status);
	ck_assert_msg(
	    strstr(body, callers[_i].says != NULL ? callers[_i].says : tenant) != NULL, "%s", body);
}
END_TEST

START_TEST(a_wrong_credential_is_not_made_good_by_a_certificate)
{
	ck_assert_int_eq(hello("a", "billing", "isk_none_none"), 401);
}
END_TEST

START_TEST(a_reload_replaces_the_certificate)
{
	ck_assert_int_eq(hello("a", "billing", NULL), 200);
	ck_assert_int_eq(hello("b", "billing", NULL), 0);
	ck_assert_ptr_null(host_reload(NULL, conf_of(tls_of("b", "b-key", ""), clients())));
	ck_assert_int_eq(hello("b", "billing", NULL), 200);
	ck_assert_int_eq(hello("a", "billing", NULL), 0);
}
END_TEST

START_TEST(a_reload_that_fails_changes_nothing)
{
	const char *why = host_reload(NULL, conf_of(tls_of("b", "a-key", ""), clients()));

	ck_assert_ptr_nonnull(why);
	ck_assert_msg(
	    strstr(why, "listen[1].tls") != NULL && strstr(why, "mismatch") != NULL, "%s", why);
	why = host_reload(NULL, conf_of(tls_of("b", "b-key", ""), "{name: nobody, tenant: x}"));
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, "clients[0].name") != NULL, "%s", why);
	ck_assert_int_eq(hello("a", "billing", NULL), 200);
}
END_TEST

START_TEST(a_client_that_is_taken_off_the_list_is_out)
{
	ck_assert_int_eq(hello("a", "billing", NULL), 200);
	ck_assert_ptr_null(host_reload(NULL, conf_of(tls_of("a", "a-key", ""), "")));
	ck_assert_int_eq(hello("a", "billing", NULL), 401);
}
END_TEST

START_TEST(certificates_can_be_required)
{
	ck_assert_ptr_null(
	    host_reload(NULL, conf_of(tls_of("a", "a-key", ", client: required"), clients())));
	ck_assert_int_eq(hello("a", "billing", NULL), 200);
	ck_assert_int_eq(hello("a", NULL, api_key), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mtls");
	TCase *t = tcase_create("whole");
	SRunner *r = srunner_create(s);
	int failed;

	servers_start(SERVERS_PG);
	AN(mkdtemp(dir));
	ca = certs_make(file("ca"), file("ca-key"), "ca", "DNS:ca.example", NULL);
	certs_free(certs_make(file("a"), file("a-key"), "a", "IP:127.0.0.1", NULL));
	certs_free(certs_make(file("b"), file("b-key"), "b", "IP:127.0.0.1", NULL));
	make_client("billing", "URI:spiffe://example/billing");
	make_client("bare", "DNS:bare.example");
	make_client("unlisted", "DNS:unlisted.example");
	certs_free(certs_make(
	    file("stranger"), file("stranger"), "x", "URI:spiffe://example/billing", NULL));
	curl_global_init(CURL_GLOBAL_DEFAULT);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, start, stop);
	tcase_add_loop_test(
	    t, a_certificate_stands_for_whom_the_configuration_says, 0, NELEM(callers));
	tcase_add_test(t, a_wrong_credential_is_not_made_good_by_a_certificate);
	tcase_add_test(t, a_reload_replaces_the_certificate);
	tcase_add_test(t, a_reload_that_fails_changes_nothing);
	tcase_add_test(t, a_client_that_is_taken_off_the_list_is_out);
	tcase_add_test(t, certificates_can_be_required);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	certs_free(ca);
	servers_remove(dir);
	servers_stop();
	return failed == 0 ? 0 : 1;
}
