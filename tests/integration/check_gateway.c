/*
 * check_gateway: who gets in and who does not, through a whole host: keys, tokens, tenants,
 * permissions, and input that nobody should send. Every refusal has its status, and a body with the
 * four members of OpenAI's errors.
 */
#include "tests/lib/house.h"

#include "base/base.h"
#include "tenant/tenant.h"

#include <check.h> /* after the SDK: it defines a macro fail */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/token.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define EVENT_MS 10000 /* at most, for what must happen by itself */

static char *rsa_private, *rsa_public, *ec_private, *ec_public, *other_private, *other_public;
static char key_files[2][64];
static struct client *c;

static void
setup(void)
{
	c = house_client(0);
}

static void
teardown(void)
{
	client_free(c);
}

/* ---------------------------------------------------------------- asking */

static const char *
error_member(const struct reply *r, const char *name)
{
	const char *z = json_string_value(json_object_get(json_object_get(r->json, "error"), name));

	return z == NULL ? "" : z;
}

static void
is_error(const struct reply *r, int status, const char *code)
{
	const json_t *e = json_object_get(r->json, "error");

	ck_assert_msg(r->status == status, "%d %s", r->status, r->body);
	ck_assert_msg(json_is_string(json_object_get(e, "message")) &&
		json_is_string(json_object_get(e, "type")) && json_object_get(e, "param") != NULL &&
		json_object_get(e, "code") != NULL && json_object_size(e) == 4,
	    "%s", r->body);
	ck_assert_str_eq(error_member(r, "code"), code);
	ck_assert_str_ne(reply_header(r, "x-request-id"), "");
}

/* GET /v1/hello/x with this credential. */
static const struct reply *
hello(const char *credential)
{
	client_key(c, credential);
	return client_get(c, "/v1/hello/x");
}

static void
refused(const char *credential, const char *saying)
{
	const struct reply *r = hello(credential);

	is_error(r, 401, "invalid_api_key");
	ck_assert_str_eq(reply_header(r, "www-authenticate"), "Bearer");
	ck_assert_msg(strstr(error_member(r, "message"), saying) != NULL, "%s", r->body);
	if (credential != NULL && strlen(credential) > 8)
		ck_assert_ptr_null(strstr(r->body, credential));
}

static void
let_in(const char *credential, int tenant)
{
	const struct reply *r = hello(credential);

	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	ck_assert_str_eq(
	    json_string_value(json_object_get(r->json, "tenant")), house_tenant(tenant));
}

/* Asks until the status is this one; what has to happen by itself is waited for so. */
static const struct reply *
comes_to(const char *credential, int status)
{
	int64_t late = base_mono_us() + EVENT_MS * INT64_C(1000);
	const struct reply *r;

	do {
		r = hello(credential);
	} while (r->status != status && base_mono_us() < late);
	ck_assert_msg(r->status == status, "%d %s", r->status, r->body);
	return r;
}

/* ---------------------------------------------------------------- tokens */

struct claims {
	const char *alg, *key, *kid, *iss, *aud, *tenant, *permissions;
	long exp_in, nbf_in; /* seconds from now */
};

static const struct claims good = { "HS256", SECRET, NULL, "test", "insula", NULL, "*", 300, -10 };

static char *
make(struct claims k)
{
	const char *tenant = k.tenant != NULL ? k.tenant : house_tenant(0);
	long now = (long)time(NULL);

	return token_signed(k.alg, k.key, k.kid, "{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "iss",
	    k.iss, "aud", k.aud, "sub", "user-1", "tenant_id", tenant, "permissions", k.permissions,
	    "exp", (json_int_t)(now + k.exp_in), "nbf", (json_int_t)(now + k.nbf_in));
}

static void
token_refused(struct claims k, const char *saying)
{
	char *token = make(k);

	refused(token, saying);
	free(token);
}

static void
token_let_in(struct claims k, int tenant)
{
	char *token = make(k);

	let_in(token, tenant);
	let_in(token, tenant); /* and from the table of those seen before */
	free(token);
}

START_TEST(tokens_of_each_algorithm_are_let_in)
{
	struct claims k = good;

	token_let_in(k, 0);
	k.tenant = house_tenant(1);
	token_let_in(k, 1);
	k = good;
	k.alg = "RS256", k.key = rsa_private, k.kid = "rsa";
	token_let_in(k, 0);
	k.alg = "ES256", k.key = ec_private, k.kid = "ec";
	token_let_in(k, 0);
}
END_TEST

START_TEST(forged_token_is_refused)
{
	struct claims k = good;
	char *token, *byte;

	k.key = "another secret, also of 32 bytes and more";
	token_refused(k, "signature");
	k = good;
	k.alg = "RS256", k.key = other_private, k.kid = "rsa";
	token_refused(k, "signature");
	k.kid = "nobody";
	token_refused(k, "signature");
	token = make(good);
	byte = token + strlen(token) - 10; /* stays base64url, whatever it was */
	*byte = *byte == 'A' ? 'B' : 'A';
	refused(token, "signature");
	free(token);
}
END_TEST

START_TEST(token_with_other_claims_under_the_old_signature_is_refused)
{
	struct claims k = good;
	char *mine = make(k), *theirs, *mixed, *dot;

	k.tenant = house_tenant(1);
	k.key = "a secret that the host does not know, 32+";
	theirs = make(k);
	/* header and claims that name the other tenant, with my signature */
	dot = strrchr(theirs, '.');
	mixed = malloc(strlen(mine) + strlen(theirs) + 1);
	sprintf(mixed, "%.*s%s", (int)(dot - theirs), theirs, strrchr(mine, '.'));
	refused(mixed, "signature");
	free(mine);
	free(theirs);
	free(mixed);
}
END_TEST

START_TEST(a_key_may_come_in_x_api_key)
{
	char *header = malloc(strlen(house_key(1)) + 20);

	sprintf(header, "x-api-key: %s", house_key(1));
	client_header(c, header);
	let_in(NULL, 1);
	client_header(c, "x-api-key: isk_0000000000000000_nothing");
	refused(NULL, "Incorrect");
	client_header(c, "x-api-key:");
	refused(NULL, "No API key");
	/* of two, the Bearer credential is the one that counts */
	client_header(c, header);
	let_in(house_key(0), 0);
	refused("isk_0000000000000000_nothing", "Incorrect");
	client_header(c, NULL);
	free(header);
}
END_TEST

START_TEST(expired_token_is_refused)
{
	struct claims k = good;

	k.exp_in = -60;
	token_refused(k, "expired");
	k = good;
	k.nbf_in = 60;
	token_refused(k, "not valid yet");
}
END_TEST

START_TEST(token_ends_when_it_expires_although_it_is_known)
{
	struct claims k = good;
	char *token;

	k.exp_in = 2;
	token = make(k);
	let_in(token, 0);
	comes_to(token, 401);
	refused(token, "expired");
	free(token);
}
END_TEST

START_TEST(none_is_refused)
{
	struct claims k = good;
	char *token, claims[512];

	k.alg = "none", k.key = NULL;
	token_refused(k, "not accepted");
	snprintf(claims, sizeof claims,
	    "{\"iss\":\"test\",\"aud\":\"insula\",\"tenant_id\":\"%s\",\"permissions\":\"*\","
	    "\"exp\":%ld}",
	    house_tenant(0), (long)time(NULL) + 300);
	token = token_raw("{\"alg\":\"none\"}", claims, SECRET);
	refused(token, "not accepted");
	free(token);
	token = token_raw("{\"alg\":\"NONE\"}", claims, SECRET);
	refused(token, "not accepted");
	free(token);
}
END_TEST

START_TEST(algorithm_is_the_keys_not_the_tokens)
{
	struct claims k = good;

	/* the public key of RS256, which anyone may have, as a secret */
	k.key = rsa_public, k.kid = "rsa";
	token_refused(k, "signature");
	k.key = SECRET;
	token_refused(k, "signature");
	k = good;
	k.alg = "HS512";
	token_refused(k, "not accepted");
	k = good;
	k.alg = "ES256", k.key = ec_private, k.kid = "rsa";
	token_refused(k, "signature");
}
END_TEST

START_TEST(issuer_audience_and_tenant_must_be_right)
{
	struct claims k = good;

	k.iss = "else";
	token_refused(k, "issued by");
	k = good;
	k.aud = "else";
	token_refused(k, "audience");
	k = good;
	k.tenant = "not-a-uuid";
	token_refused(k, "no tenant");
	k.tenant = "00000000-0000-4000-8000-000000000000";
	token_refused(k, "does not exist");
}
END_TEST

START_TEST(critical_extensions_and_duplicates_are_refused)
{
	char *token = token_raw("{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", "{}", SECRET);

	refused(token, "not accepted");
	free(token);
	token = token_raw("{\"alg\":\"HS256\"}", "{\"iss\":\"test\",\"iss\":\"test\"}", SECRET);
	refused(token, "malformed");
	free(token);
}
END_TEST

START_TEST(token_gives_its_permissions_and_no_more)
{
	struct claims k = good;
	char *token;

	k.permissions = "models:read chat:write";
	token = make(k);
	is_error(hello(token), 403, "permission_denied");
	ck_assert_int_eq(client_get(c, "/v1/models")->status, 200);
	free(token);
	k.permissions = "hello:*";
	token_let_in(k, 0);
	k.permissions = "";
	token = make(k);
	is_error(hello(token), 403, "permission_denied");
	free(token);
}
END_TEST

/* ---------------------------------------------------------------- credentials and keys */

START_TEST(no_credential_is_refused)
{
	refused(NULL, "No API key");
}
END_TEST

START_TEST(what_is_no_credential_is_refused)
{
	char *big = malloc(9001);

	refused("x", "Incorrect API key");
	refused("sk-proj-abcdefgh", "Incorrect API key");
	refused("isk_", "Incorrect API key");
	refused("isk_nobody_abcdefghijklmnopqrst", "Incorrect API key");
	refused("isk_nobody_abcdefghijklmnopqrst", "Incorrect API key"); /* remembered */
	refused("isk_' OR 1=1 --_abcdefghijklmnop", "Incorrect API key");
	refused("a.b.c", "malformed");
	memset(big, 'x', 9000);
	big[9000] = '\0';
	refused(big, "longer than 8192");
	free(big);
}
END_TEST

START_TEST(right_id_with_a_wrong_secret_is_refused_like_an_unknown_one)
{
	char *key = strdup(house_key(0));
	char *last = key + strlen(key) - 1;

	*last = *last == 'a' ? 'b' : 'a';
	refused(key, "Incorrect API key provided.");
	free(key);
	let_in(house_key(0), 0);
	let_in(house_key(1), 1);
}
END_TEST

START_TEST(key_without_the_permission_is_denied)
{
	char *key = house_key_with(0, "models:read");

	is_error(hello(key), 403, "permission_denied");
	is_error(client_post(c, "/v1/chat/completions",
		     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"),
	    403, "permission_denied");
	ck_assert_int_eq(client_get(c, "/v1/models")->status, 200);
	free(key);
}
END_TEST

static struct tenant_db *
administration(void)
{
	char err[256] = "";
	struct tenant_db *db = tenant_db_open(servers_pg_url(), err);

	ck_assert_msg(db != NULL, "%s", err);
	return db;
}

START_TEST(revoked_key_is_out_soon)
{
	char *key = house_key_with(0, "hello:read"), id[64] = "", err[256] = "";
	struct tenant_db *db = administration();
	const struct reply *r;
	json_t *j;

	let_in(key, 0);
	ck_assert_int_eq(sscanf(key, "isk_%63[^_]", id), 1);
	j = key_revoke(db, id, err);
	ck_assert_msg(j != NULL, "%s", err);
	json_decref(j);
	tenant_db_close(db);
	r = comes_to(key, 401);
	ck_assert_ptr_nonnull(strstr(error_member(r, "message"), "revoked"));
	refused(key, "revoked");
	free(key);
}
END_TEST

START_TEST(expired_key_is_refused)
{
	struct tenant_db *db = administration();
	char err[256] = "";
	json_t *j = key_create(db, house_tenant(0), "old", "*", 1600000000, err);

	/* whether an expiry in the past can be given at all is the administration's to say */
	if (j != NULL)
		refused(json_string_value(json_object_get(j, "key")), "expired");
	else
		ck_assert_str_ne(err, "");
	json_decref(j);
	j = key_create(db, house_tenant(0), "brief", "*", time(NULL) + 2, err);
	ck_assert_msg(j != NULL, "%s", err);
	let_in(json_string_value(json_object_get(j, "key")), 0);
	comes_to(json_string_value(json_object_get(j, "key")), 401);
	refused(json_string_value(json_object_get(j, "key")), "expired");
	json_decref(j);
	tenant_db_close(db);
}
END_TEST

static void
set_status(const char *status)
{
	struct tenant_db *db = administration();
	char err[256] = "";
	json_t *j = tenant_set_status(db, house_tenant(1), status, err);

	ck_assert_msg(j != NULL, "%s", err);
	json_decref(j);
	tenant_db_close(db);
}

START_TEST(suspended_tenant_is_denied_and_comes_back)
{
	struct claims k = good;
	char *token;

	k.tenant = house_tenant(1);
	token = make(k);
	let_in(token, 1);
	let_in(house_key(1), 1);
	set_status("suspended");
	is_error(comes_to(token, 403), 403, "permission_denied");
	is_error(comes_to(house_key(1), 403), 403, "permission_denied");
	let_in(house_key(0), 0);
	set_status("active");
	comes_to(token, 200);
	comes_to(house_key(1), 200);
	free(token);
}
END_TEST

/* The database goes: the login role may not log in, and who is in is thrown out. */
static void
database(int there)
{
	servers_sql_super("ALTER ROLE insula %s", there ? "LOGIN" : "NOLOGIN");
	if (!there)
		servers_sql_super("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
				  "WHERE usename = 'insula'");
}

START_TEST(without_the_database_the_known_stay_and_the_rest_gets_503)
{
	char *fresh = house_key_with(0, "hello:read"), *token = make(good);
	const struct reply *r;

	/* on both loops: each connection of the client may land on either */
	for (int i = 0; i < 20; i++) {
		client_free(c);
		c = house_client(0);
		let_in(house_key(0), 0);
		let_in(token, 0);
	}
	database(0);
	r = comes_to(fresh, 503);
	is_error(r, 503, "service_unavailable");
	ck_assert_str_ne(reply_header(r, "retry-after"), "");
	for (int i = 0; i < 50; i++) {
		let_in(house_key(0), 0);
		let_in(token, 0);
	}
	database(1);
	comes_to(fresh, 200);
	let_in(house_key(0), 0);
	free(fresh);
	free(token);
}
END_TEST

START_TEST(secrets_are_in_no_log_line)
{
	char *log;

	let_in(house_key(0), 0);
	refused("isk_nobody_abcdefghijklmnopqrst", "Incorrect");
	log = house_log();
	ck_assert_ptr_null(strstr(log, strrchr(house_key(0), '_')));
	ck_assert_ptr_null(strstr(log, "abcdefghijklmnopqrst"));
	ck_assert_ptr_null(strstr(log, SECRET));
	free(log);
}
END_TEST

/* ---------------------------------------------------------------- bad input */

START_TEST(broken_json_is_refused_with_its_place)
{
	is_error(client_post(c, "/v1/chat/completions", "{\"model\":"), 400, "");
	is_error(client_post(c, "/v1/chat/completions", ""), 400, "");
	is_error(client_post(c, "/v1/chat/completions", "[]"), 400, "");
	is_error(client_post(c, "/v1/chat/completions", "{\"model\":1,\"model\":2}"), 400, "");
	is_error(client_post(c, "/v1/chat/completions", "{} x"), 400, "");
}
END_TEST

START_TEST(deep_json_is_refused)
{
	char *body = malloc(4001);

	memset(body, '[', 2000);
	memset(body + 2000, ']', 2000);
	body[4000] = '\0';
	is_error(client_post(c, "/v1/chat/completions", body), 400, "");
	free(body);
}
END_TEST

START_TEST(invalid_utf8_is_refused)
{
	is_error(
	    client_post(c, "/v1/chat/completions",
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}"),
	    400, "");
	is_error(
	    client_post(c, "/v1/chat/completions",
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xc0\xaf\"}]}"),
	    400, "");
}
END_TEST

START_TEST(body_of_100_mb_is_refused)
{
	size_t n = 100u << 20;
	char *body = malloc(n);
	const struct reply *r;

	memset(body, ' ', n);
	r = client_call(c, "POST", "/v1/chat/completions", NULL, body, n);
	ck_assert_msg(r->status == 413, "%d %s", r->status, r->body);
	free(body);
	client_free(c);
	c = house_client(0);
	let_in(house_key(0), 0);
}
END_TEST

START_TEST(unknown_route_and_wrong_method_are_told_apart)
{
	const struct reply *r;

	is_error(client_get(c, "/v1/nothing"), 404, "not_found");
	is_error(client_get(c, "/"), 404, "not_found");
	r = client_get(c, "/v1/chat/completions");
	is_error(r, 405, "method_not_allowed");
	ck_assert_ptr_nonnull(strstr(reply_header(r, "allow"), "POST"));
}
END_TEST

START_TEST(other_media_types_are_refused)
{
	is_error(client_call(c, "POST", "/v1/chat/completions", "text/plain", "{}", 2), 415,
	    "unsupported_media_type");
}
END_TEST

START_TEST(unknown_model_and_bad_field_are_told_with_their_place)
{
	const struct reply *r = client_post(c, "/v1/chat/completions",
	    "{\"model\":\"none\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");

	is_error(r, 404, "model_not_found");
	ck_assert_str_eq(error_member(r, "param"), "model");
	r = client_post(c, "/v1/chat/completions", "{\"model\":\"up-echo\",\"messages\":[{}]}");
	is_error(r, 400, "");
	ck_assert_str_eq(error_member(r, "param"), "messages[0].role");
	is_error(client_get(c, "/v1/models/none"), 404, "model_not_found");
	is_error(client_get(c, "/v1/models/a%2Fb"), 404, "model_not_found");
}
END_TEST

/* ---------------------------------------------------------------- */

static void
write_key(char path[64], const char *name, const char *pem)
{
	FILE *f;

	snprintf(path, 64, "/tmp/check_gateway_%s_%d.pem", name, (int)getpid());
	f = fopen(path, "we");
	ASSERT(f != NULL && fputs(pem, f) >= 0);
	fclose(f);
}

static const char plugins[] =
    "  hello: {}\n"
    "  openai: {}\n"
    "  model_openai:\n"
    "    config:\n"
    "      providers:\n"
    "        - {name: up, base_url: \"%%U\", private_addresses: true, models: [{id: up-echo, tier: "
    "LLM}]}\n"
    "  auth:\n"
    "    config:\n"
    "      recheck: 200ms\n"
    "      keys:\n"
    "        - {alg: HS256, secret: " SECRET ", issuer: test, audience: insula, leeway: 0s}\n"
    "        - {kid: rsa, alg: RS256, key_file: %s, issuer: test, audience: insula}\n"
    "        - {kid: ec, alg: ES256, key_file: %s, issuer: test, audience: insula}\n";

int
main(void)
{
	Suite *suite = suite_create("gateway");
	TCase *t;
	SRunner *runner;
	char config[2048];
	int failed;

	token_key_pair("RSA", 2048, &rsa_private, &rsa_public);
	token_key_pair("RSA", 2048, &other_private, &other_public);
	token_key_pair("EC", 0, &ec_private, &ec_public);
	write_key(key_files[0], "rsa", rsa_public);
	write_key(key_files[1], "ec", ec_public);
	snprintf(config, sizeof config, plugins, key_files[0], key_files[1]);
	house_start(config, NULL, SERVERS_PG);

	t = tcase_create("tokens");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, tokens_of_each_algorithm_are_let_in);
	tcase_add_test(t, forged_token_is_refused);
	tcase_add_test(t, token_with_other_claims_under_the_old_signature_is_refused);
	tcase_add_test(t, a_key_may_come_in_x_api_key);
	tcase_add_test(t, expired_token_is_refused);
	tcase_add_test(t, token_ends_when_it_expires_although_it_is_known);
	tcase_add_test(t, none_is_refused);
	tcase_add_test(t, algorithm_is_the_keys_not_the_tokens);
	tcase_add_test(t, issuer_audience_and_tenant_must_be_right);
	tcase_add_test(t, critical_extensions_and_duplicates_are_refused);
	tcase_add_test(t, token_gives_its_permissions_and_no_more);
	suite_add_tcase(suite, t);

	t = tcase_create("keys");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, no_credential_is_refused);
	tcase_add_test(t, what_is_no_credential_is_refused);
	tcase_add_test(t, right_id_with_a_wrong_secret_is_refused_like_an_unknown_one);
	tcase_add_test(t, key_without_the_permission_is_denied);
	tcase_add_test(t, revoked_key_is_out_soon);
	tcase_add_test(t, expired_key_is_refused);
	tcase_add_test(t, suspended_tenant_is_denied_and_comes_back);
	tcase_add_test(t, without_the_database_the_known_stay_and_the_rest_gets_503);
	tcase_add_test(t, secrets_are_in_no_log_line);
	suite_add_tcase(suite, t);

	t = tcase_create("bad input");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, broken_json_is_refused_with_its_place);
	tcase_add_test(t, deep_json_is_refused);
	tcase_add_test(t, invalid_utf8_is_refused);
	tcase_add_test(t, body_of_100_mb_is_refused);
	tcase_add_test(t, unknown_route_and_wrong_method_are_told_apart);
	tcase_add_test(t, other_media_types_are_refused);
	tcase_add_test(t, unknown_model_and_bad_field_are_told_with_their_place);
	suite_add_tcase(suite, t);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	house_stop();
	unlink(key_files[0]);
	unlink(key_files[1]);
	free(rsa_private), free(rsa_public), free(ec_private), free(ec_public);
	free(other_private), free(other_public);
	return failed == 0 ? 0 : 1;
}
