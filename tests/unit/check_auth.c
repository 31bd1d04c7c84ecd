/* check_auth.c: the pure half of plugins/auth: tokens, keys, API keys, the table of credentials. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/auth/auth_apikey.h"
#include "plugins/auth/auth_cache.h"
#include "plugins/auth/auth_jwt.h"
#include "plugins/auth/auth_keys.h"
#include "tests/lib/token.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define TENANT "0190a5d4-7c2e-7b3a-8f4e-2d1c3b4a5968"
#define NOW 1750000000

/* ---------------------------------------------------------------- compact form */

static enum jwt_verdict
parse(const char *token, struct jwt_head *head)
{
	json_t *claims;
	enum jwt_verdict v = jwt_parse(token, strlen(token), head, &claims);

	ck_assert((v == JWT_OK) == (claims != NULL));
	json_decref(claims);
	return v;
}

static enum jwt_verdict
parse_raw(const char *header, const char *claims)
{
	struct jwt_head head;
	char *token = token_raw(header, claims, SECRET);
	enum jwt_verdict v = parse(token, &head);

	free(token);
	return v;
}

START_TEST(ordinary_token_is_taken_apart)
{
	struct jwt_head head;
	char *token = token_signed("HS256", SECRET, "k1", "{s:s}", "sub", "u");

	ck_assert_int_eq(parse(token, &head), JWT_OK);
	ck_assert_int_eq(head.algorithm, JWT_HS256);
	ck_assert_str_eq(head.kid, "k1");
	free(token);
}
END_TEST

START_TEST(none_and_unknown_algorithms_are_refused)
{
	ck_assert_int_eq(parse_raw("{\"alg\":\"none\"}", "{}"), JWT_UNSUPPORTED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"None\"}", "{}"), JWT_UNSUPPORTED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS512\"}", "{}"), JWT_UNSUPPORTED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"hs256\"}", "{}"), JWT_UNSUPPORTED);
	ck_assert_int_eq(parse_raw("{\"alg\":7}", "{}"), JWT_MALFORMED);
	ck_assert_int_eq(parse_raw("{}", "{}"), JWT_MALFORMED);
}
END_TEST

START_TEST(headers_that_change_the_meaning_are_refused)
{
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS256\",\"typ\":\"jwt\"}", "{}"), JWT_OK);
	ck_assert_int_eq(
	    parse_raw("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "{}"), JWT_UNSUPPORTED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS256\",\"b64\":false}", "{}"), JWT_UNSUPPORTED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS256\",\"enc\":\"x\"}", "{}"), JWT_UNSUPPORTED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS256\",\"typ\":\"JWE\"}", "{}"), JWT_UNSUPPORTED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS256\",\"kid\":\"\"}", "{}"), JWT_MALFORMED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS256\",\"kid\":3}", "{}"), JWT_MALFORMED);
}
END_TEST

START_TEST(duplicate_members_are_refused)
{
	ck_assert_int_eq(
	    parse_raw("{\"alg\":\"HS256\"}", "{\"sub\":\"a\",\"sub\":\"b\"}"), JWT_MALFORMED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS256\",\"alg\":\"none\"}", "{}"), JWT_MALFORMED);
}
END_TEST

START_TEST(deep_claims_never_reach_a_recursive_parser)
{
	char claims[4096] = "{\"a\":";

	memset(claims + 5, '[', 2000);
	memset(claims + 2005, ']', 2000);
	strcpy(claims + 4005, "}");
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS256\"}", claims), JWT_MALFORMED);
	ck_assert_int_eq(parse_raw("{\"alg\":\"HS256\"}", "{\"a\":\"[[[[[[[[[[[[\"}"), JWT_OK);
}
END_TEST

START_TEST(tokens_that_are_not_compact_are_refused)
{
	static const char *const bad[] = { "", ".", "..", "...", "a.b", "a.b.c",
		"eyJhbGciOiJIUzI1NiJ9.e30", "eyJhbGciOiJIUzI1NiJ9.e30.",
		"eyJhbGciOiJIUzI1NiJ9..AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA",
		"eyJhbGciOiJIUzI1NiJ9.e30=.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AA+A",
		"eyJhbGciOiJIUzI1NiJ9.e31.AAAA", "eyJhbGciOiJIUzI1NiJ9.W10.AAAA",
		"eyJhbGciOiJIUzI1NiJ9.e30.AAAAA" };
	struct jwt_head head;

	ck_assert_int_eq(parse("eyJhbGciOiJIUzI1NiJ9.e30.AAAA", &head), JWT_OK);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(parse(bad[i], &head) == JWT_MALFORMED, "\"%s\"", bad[i]);
}
END_TEST

START_TEST(token_past_its_limit_is_refused)
{
	json_t *claims;
	struct jwt_head head;
	char *p = malloc(JWT_TOKEN_MAX + 1);

	memset(p, 'A', JWT_TOKEN_MAX + 1);
	ck_assert_int_eq(jwt_parse(p, JWT_TOKEN_MAX + 1, &head, &claims), JWT_MALFORMED);
	ck_assert_int_eq(jwt_parse(p, JWT_TOKEN_MAX, &head, &claims), JWT_MALFORMED);
	free(p);
}
END_TEST

START_TEST(base64url_has_one_spelling)
{
	unsigned char out[16];

	ck_assert_int_eq(jwt_base64url("aGk", 3, out), 2);
	ck_assert_int_eq(memcmp(out, "hi", 2), 0);
	ck_assert_int_eq(jwt_base64url("aGl", 3, out), -1); /* spare bits */
	ck_assert_int_eq(jwt_base64url("aGk=", 4, out), -1);
	ck_assert_int_eq(jwt_base64url("a", 1, out), -1);
	ck_assert_int_eq(jwt_base64url("-_-_", 4, out), 3);
}
END_TEST

/* ---------------------------------------------------------------- claims */

static const struct jwt_rules rules = { "https://issuer", "insula", "tenant_id", "permissions",
	30 };

static enum jwt_verdict
judge(const struct jwt_rules *r, struct jwt_identity *id, json_t *claims)
{
	enum jwt_verdict v = jwt_check(claims, r, NOW, id);

	json_decref(claims);
	return v;
}

static json_t *
good_claims(void)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "iss", "https://issuer", "aud", "insula",
	    "sub", "user-1", "exp", (json_int_t)NOW + 60, "tenant_id", TENANT, "permissions",
	    "chat:write models:read");
}

static enum jwt_verdict
judge_with(const char *name, json_t *value)
{
	struct jwt_identity id;
	json_t *claims = good_claims();

	if (value == NULL)
		json_object_del(claims, name);
	else
		json_object_set_new(claims, name, value);
	return judge(&rules, &id, claims);
}

START_TEST(good_claims_give_an_identity)
{
	struct jwt_identity id;

	ck_assert_int_eq(judge(&rules, &id, good_claims()), JWT_OK);
	ck_assert_str_eq(id.tenant_id, TENANT);
	ck_assert_str_eq(id.subject, "user-1");
	ck_assert_str_eq(id.permissions, "chat:write models:read");
	ck_assert_int_eq(id.expires_at, NOW + 90);
}
END_TEST

START_TEST(expired_token_is_refused)
{
	ck_assert_int_eq(judge_with("exp", json_integer(NOW - 31)), JWT_EXPIRED);
	ck_assert_int_eq(judge_with("exp", json_integer(NOW - 30)), JWT_EXPIRED);
	ck_assert_int_eq(judge_with("exp", json_integer(NOW - 29)), JWT_OK); /* leeway */
	ck_assert_int_eq(judge_with("exp", json_real(NOW + .5)), JWT_OK);
	ck_assert_int_eq(judge_with("exp", json_integer(-5)), JWT_EXPIRED);
}
END_TEST

START_TEST(token_without_usable_expiry_is_refused)
{
	ck_assert_int_eq(judge_with("exp", NULL), JWT_NO_EXPIRY);
	ck_assert_int_eq(judge_with("exp", json_string("1999999999")), JWT_NO_EXPIRY);
	ck_assert_int_eq(judge_with("exp", json_real(1e300)), JWT_NO_EXPIRY);
	ck_assert_int_eq(judge_with("exp", json_integer(INT64_MAX)), JWT_NO_EXPIRY);
}
END_TEST

START_TEST(token_of_the_future_is_refused)
{
	ck_assert_int_eq(judge_with("nbf", json_integer(NOW + 31)), JWT_NOT_YET);
	ck_assert_int_eq(judge_with("nbf", json_integer(NOW + 30)), JWT_OK);
	ck_assert_int_eq(judge_with("nbf", json_string("x")), JWT_NOT_YET);
}
END_TEST

START_TEST(issuer_and_audience_must_be_ours)
{
	ck_assert_int_eq(judge_with("iss", json_string("https://issuer/")), JWT_ISSUER);
	ck_assert_int_eq(judge_with("iss", NULL), JWT_ISSUER);
	ck_assert_int_eq(judge_with("aud", json_string("else")), JWT_AUDIENCE);
	ck_assert_int_eq(judge_with("aud", NULL), JWT_AUDIENCE);
	ck_assert_int_eq(judge_with("aud", json_pack("[s, s]", "else", "insula")), JWT_OK);
	ck_assert_int_eq(judge_with("aud", json_pack("[]")), JWT_AUDIENCE);
	ck_assert_int_eq(judge_with("aud", json_pack("[{}]")), JWT_AUDIENCE);
}
END_TEST

START_TEST(tenant_must_be_a_uuid)
{
	struct jwt_identity id;
	json_t *claims = good_claims();

	ck_assert_int_eq(judge_with("tenant_id", NULL), JWT_TENANT);
	ck_assert_int_eq(judge_with("tenant_id", json_string("acme")), JWT_TENANT);
	ck_assert_int_eq(judge_with("tenant_id", json_string(TENANT "0")), JWT_TENANT);
	ck_assert_int_eq(
	    judge_with("tenant_id", json_string("0190a5d4-7c2e-7b3a-8f4e-2d1c3b4a596' ")),
	    JWT_TENANT);
	json_object_set_new(
	    claims, "tenant_id", json_string("0190A5D4-7C2E-7B3A-8F4E-2D1C3B4A5968"));
	ck_assert_int_eq(judge(&rules, &id, claims), JWT_OK);
	ck_assert_str_eq(id.tenant_id, TENANT); /* one tenant, one spelling */
}
END_TEST

START_TEST(long_subject_is_refused_not_cut)
{
	char long_sub[JWT_SUBJECT_MAX + 2];

	memset(long_sub, 'x', sizeof long_sub);
	long_sub[JWT_SUBJECT_MAX + 1] = '\0';
	ck_assert_int_eq(judge_with("sub", json_string(long_sub)), JWT_SUBJECT);
	ck_assert_int_eq(judge_with("sub", json_string(long_sub + 1)), JWT_OK);
	ck_assert_int_eq(judge_with("sub", json_integer(5)), JWT_SUBJECT);
	ck_assert_int_eq(judge_with("sub", NULL), JWT_OK);
}
END_TEST

START_TEST(permissions_come_as_text_or_list_and_lose_what_is_not_ours)
{
	struct jwt_rules scope = rules;
	struct jwt_identity id;
	json_t *claims = good_claims();

	scope.permissions_claim = "scope";
	json_object_set_new(claims, "scope",
	    json_string("openid profile  chat:write a:b\tc :xy * xy: caf\u00e9:read"));
	ck_assert_int_eq(judge(&scope, &id, claims), JWT_OK);
	ck_assert_str_eq(id.permissions, "chat:write *");

	claims = good_claims();
	json_object_set_new(claims, "scope", json_pack("[s, s]", "models:read", "chat:write"));
	ck_assert_int_eq(judge(&scope, &id, claims), JWT_OK);
	ck_assert_str_eq(id.permissions, "models:read chat:write");

	ck_assert_int_eq(judge(&scope, &id, good_claims()), JWT_OK);
	ck_assert_str_eq(id.permissions, "");

	ck_assert_int_eq(judge_with("permissions", json_integer(1)), JWT_PERMISSIONS);
	ck_assert_int_eq(judge_with("permissions", json_pack("[i]", 1)), JWT_PERMISSIONS);
}
END_TEST

START_TEST(too_many_permissions_are_refused_not_cut)
{
	json_t *list = json_array();

	for (int i = 0; i < 300; i++)
		json_array_append_new(list, json_string("documents:write"));
	ck_assert_int_eq(judge_with("permissions", list), JWT_PERMISSIONS);
}
END_TEST

/* ---------------------------------------------------------------- keys and signatures */

static struct jwt_keys keys;
static struct keys_error err;
static char *rsa_private, *rsa_public, *ec_private, *ec_public, *small_private, *small_public;

static const char *
temporary(const char *text)
{
	static char paths[4][32];
	static int next;
	char *path = paths[next++ % 4];
	int fd;

	strcpy(path, "/tmp/check_auth_XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

static int
load(const char *format, ...)
{
	json_t *list;
	va_list ap;
	int r;

	va_start(ap, format);
	list = json_vpack_ex(NULL, 0, format, ap);
	va_end(ap);
	ck_assert_ptr_nonnull(list);
	r = keys_load(&keys, list, &err);
	json_decref(list);
	return r;
}

#define OURS "issuer", "i", "audience", "a"

static int
verifies(const char *kid, const char *alg, const char *key, const char *token_kid)
{
	char *token = token_signed(alg, key, token_kid, "{s:s}", "sub", "u");
	const struct jwt_key *found = keys_find(&keys, kid);
	int ok;

	ck_assert_ptr_nonnull(found);
	ok = keys_verify(found, token);
	free(token);
	return ok;
}

START_TEST(each_algorithm_verifies_its_own_signatures_only)
{
	const char *rsa = temporary(rsa_public), *ec = temporary(ec_public);

	ck_assert_int_eq(load("[{s:s, s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s, s:s}, "
			      "{s:s, s:s, s:s, s:s}]",
			     "kid", "r", "alg", "RS256", "key_file", rsa, OURS, "kid", "e", "alg",
			     "ES256", "key_file", ec, OURS, "alg", "HS256", "secret", SECRET, OURS),
	    0);
	unlink(rsa);
	unlink(ec);
	ck_assert(verifies("r", "RS256", rsa_private, "r"));
	ck_assert(verifies("e", "ES256", ec_private, "e"));
	ck_assert(verifies("", "HS256", SECRET, NULL));
	ck_assert(!verifies("", "HS256", "another secret of 32 bytes or more", NULL));
	ck_assert(!verifies("r", "ES256", ec_private, "r"));
	ck_assert(!verifies("r", "HS256", rsa_public, "r")); /* the public key as a secret */
	ck_assert(!verifies("e", "HS256", ec_public, "e"));
	ck_assert(!verifies("r", "none", NULL, "r"));
	ck_assert(!verifies("", "none", NULL, NULL));
	ck_assert(!verifies("", "HS512", SECRET, NULL));
	ck_assert_ptr_null(keys_find(&keys, "x"));
	keys_free(&keys);
}
END_TEST

START_TEST(changed_token_does_not_verify)
{
	char *token = token_signed("HS256", SECRET, NULL, "{s:s}", "sub", "user-1");
	size_t n = strlen(token);

	ck_assert_int_eq(load("[{s:s, s:s, s:s, s:s}]", "alg", "HS256", "secret", SECRET, OURS), 0);
	ck_assert(keys_verify(&keys.key[0], token));
	for (size_t i = 0; i < n; i++) {
		char was = token[i];

		if (was == '.')
			continue;
		token[i] = was == 'A' ? 'B' : 'A';
		/* The last digit's spare bits are the one place where libjwt sees no change; the
		 * strict decoder in front of it does. */
		if (i != n - 1)
			ck_assert_msg(!keys_verify(&keys.key[0], token), "byte %zu", i);
		token[i] = was;
	}
	free(token);
	keys_free(&keys);
}
END_TEST

START_TEST(keys_that_cannot_be_right_refuse_the_configuration)
{
	const char *rsa = temporary(rsa_public), *ec = temporary(ec_public),
		   *priv = temporary(rsa_private), *small = temporary(small_public);
#define ONE "[{s:s, s:s, s:s, s:s}]"
	ck_assert_int_eq(load(ONE, "alg", "HS256", "secret", "short", OURS), -1);
	ck_assert_str_eq(err.where, "keys[0].secret");
	ck_assert_int_eq(load(ONE, "alg", "none", "secret", SECRET, OURS), -1);
	ck_assert_str_eq(err.where, "keys[0].alg");
	ck_assert_int_eq(load(ONE, "alg", "RS256", "secret", SECRET, OURS), -1);
	ck_assert_str_eq(err.where, "keys[0].secret");
	ck_assert_int_eq(load(ONE, "alg", "HS256", "key_file", rsa, OURS), -1);
	ck_assert_str_eq(err.where, "keys[0].key_file");
	ck_assert_int_eq(load(ONE, "alg", "RS256", "key_file", ec, OURS), -1);
	ck_assert_int_eq(load(ONE, "alg", "ES256", "key_file", rsa, OURS), -1);
	ck_assert_int_eq(load(ONE, "alg", "RS256", "key_file", priv, OURS), -1);
	ck_assert_int_eq(load(ONE, "alg", "RS256", "key_file", small, OURS), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "2048"));
	ck_assert_int_eq(load(ONE, "alg", "RS256", "key_file", "/nowhere/at/all", OURS), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "No such file"));
	ck_assert_int_eq(
	    load("[{s:s, s:s, s:s}]", "alg", "HS256", "secret", SECRET, "issuer", "i"), -1);
	ck_assert_str_eq(err.where, "keys[0].audience");
	ck_assert_int_eq(load("[{s:s, s:s, s:s, s:s, s:s}]", "alg", "HS256", "secret", SECRET, OURS,
			     "leeway", "1h"),
	    -1);
	ck_assert_str_eq(err.where, "keys[0].leeway");
	ck_assert_int_eq(load("[{s:s, s:s, s:s, s:s, s:s}]", "alg", "HS256", "secret", SECRET, OURS,
			     "tenants", "x"),
	    -1);
	ck_assert_ptr_nonnull(strstr(err.text, "no option \"tenants\""));
	ck_assert_int_eq(load("[{s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s}]", "alg", "HS256",
			     "secret", SECRET, OURS, "alg", "HS256", "secret", SECRET, OURS),
	    -1);
	ck_assert_str_eq(err.where, "keys[1].kid");
	ck_assert_int_eq(load("{}"), -1);
	ck_assert_int_eq(load("[s]", "x"), -1);
	unlink(rsa), unlink(ec), unlink(priv), unlink(small);
}
END_TEST

START_TEST(spans_of_time_are_read_as_in_yaml)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} t[] = { { "30s", 30 }, { "2m", 120 }, { "1500ms", 2 }, { "7", 7 }, { "", -1 },
		{ "s", -1 }, { "-1s", -1 }, { "1h", -1 }, { "99999999999999999999s", -1 },
		{ "3 s", -1 } };

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		json_t *j = json_string(t[i].text);

		ck_assert_msg(keys_seconds(j) == t[i].seconds, "\"%s\"", t[i].text);
		json_decref(j);
	}
	ck_assert_int_eq(keys_seconds(json_null()), -1);
}
END_TEST

/* ---------------------------------------------------------------- API keys */

START_TEST(api_key_is_split_at_its_first_underscore)
{
	static const char z[] = "isk_Ab3_abcdefghijklmnop_-q";
	struct apikey key;

	ck_assert_int_eq(apikey_parse(z, strlen(z), &key), 1);
	ck_assert_str_eq(key.id, "Ab3");
	ck_assert_uint_eq(key.secret_len, 19);
	ck_assert_int_eq(memcmp(key.secret, "abcdefghijklmnop_-q", 19), 0);
}
END_TEST

START_TEST(malformed_api_keys_are_refused)
{
	static const char *const bad[] = { "", "isk_", "isk_id", "isk_id_", "isk__abcdefghijklmnop",
		"isk_id_tooshort", "sk_id_abcdefghijklmnop", "isk_i d_abcdefghijklmnop",
		"isk_id_abcdefghijklmno p", "isk_i'd_abcdefghijklmnop", "ISK_id_abcdefghijklmnop" };
	struct apikey key;
	char longer[512] = "isk_id_";

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!apikey_parse(bad[i], strlen(bad[i]), &key), "\"%s\"", bad[i]);
	memset(longer + 7, 'x', APIKEY_SECRET_MAX + 1);
	ck_assert(!apikey_parse(longer, 7 + APIKEY_SECRET_MAX + 1, &key));
	ck_assert(apikey_parse(longer, 7 + APIKEY_SECRET_MAX, &key));
	memset(longer + 4, 'i', APIKEY_ID_MAX + 1);
	strcpy(longer + 4 + APIKEY_ID_MAX + 1, "_abcdefghijklmnop");
	ck_assert(!apikey_parse(longer, strlen(longer), &key));
}
END_TEST

START_TEST(secret_matches_its_hash_only)
{
	static const char z[] = "isk_id_abcdefghijklmnop";
	/* printf abcdefghijklmnop | sha256sum */
	static const char hash[] =
	    "f39dac6cbaba535e2c207cd0cd8f154974223c848f727f98b3564cea569b41cf";
	char other[65];
	struct apikey key;

	ck_assert(apikey_parse(z, strlen(z), &key));
	ck_assert(apikey_secret_matches(&key, hash));
	strcpy(other, hash);
	other[63] = '0';
	ck_assert(!apikey_secret_matches(&key, other));
	other[63] = 'X';
	ck_assert(!apikey_secret_matches(&key, other));
	ck_assert(!apikey_secret_matches(&key, ""));
	other[63] = '\0';
	ck_assert(!apikey_secret_matches(&key, other));
}
END_TEST

/* ---------------------------------------------------------------- the table of credentials */

static int dropped;

static void
drop(void *value)
{
	dropped++;
}

static const unsigned char *
nth(unsigned i)
{
	static unsigned char key[CACHE_KEY_LEN];

	memset(key, 0, sizeof key);
	memcpy(key, &i, sizeof i);
	return key;
}

START_TEST(table_finds_what_was_put_and_forgets_what_was_removed)
{
	struct cache *c = cache_new(8, sizeof(int), drop);

	dropped = 0;
	for (unsigned i = 0; i < 8; i++)
		*(int *)cache_put(c, nth(i)) = (int)i;
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(*(int *)cache_get(c, nth(i)), (int)i);
	cache_remove(c, nth(3));
	cache_remove(c, nth(99));
	ck_assert_ptr_null(cache_get(c, nth(3)));
	ck_assert_uint_eq(cache_count(c), 7);
	ck_assert_int_eq(dropped, 1);
	*(int *)cache_put(c, nth(50)) = 50; /* takes the free place: nobody is displaced */
	ck_assert_int_eq(dropped, 1);
	ck_assert_int_eq(*(int *)cache_put(c, nth(50)), 0); /* replaced by a zeroed one */
	ck_assert_int_eq(dropped, 2);
	cache_free(c);
	ck_assert_int_eq(dropped, 10);
}
END_TEST

START_TEST(table_is_bounded_and_keeps_what_is_used)
{
	struct cache *c = cache_new(64, sizeof(int), drop);

	for (unsigned i = 0; i < 16; i++)
		cache_put(c, nth(i));
	for (unsigned i = 1000; i < 11000; i++) {
		cache_put(c, nth(i));
		for (unsigned k = 0; k < 16; k++)
			ck_assert_msg(cache_get(c, nth(k)) != NULL, "%u after %u", k, i);
	}
	ck_assert_uint_eq(cache_count(c), 64);
	cache_free(c);
}
END_TEST

START_TEST(table_of_one_place_works)
{
	struct cache *c = cache_new(1, sizeof(int), NULL);

	for (int i = 0; i < 10; i++) {
		cache_put(c, nth((unsigned)i));
		ck_assert_ptr_nonnull(cache_get(c, nth((unsigned)i)));
		ck_assert_uint_eq(cache_count(c), 1);
	}
	cache_remove(c, nth(9));
	ck_assert_uint_eq(cache_count(c), 0);
	cache_free(c);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("auth");
	TCase *t;
	SRunner *runner;
	int failed;

	token_key_pair("RSA", 2048, &rsa_private, &rsa_public);
	token_key_pair("RSA", 1024, &small_private, &small_public);
	token_key_pair("EC", 0, &ec_private, &ec_public);

	t = tcase_create("compact form");
	tcase_add_test(t, ordinary_token_is_taken_apart);
	tcase_add_test(t, none_and_unknown_algorithms_are_refused);
	tcase_add_test(t, headers_that_change_the_meaning_are_refused);
	tcase_add_test(t, duplicate_members_are_refused);
	tcase_add_test(t, deep_claims_never_reach_a_recursive_parser);
	tcase_add_test(t, tokens_that_are_not_compact_are_refused);
	tcase_add_test(t, token_past_its_limit_is_refused);
	tcase_add_test(t, base64url_has_one_spelling);
	suite_add_tcase(suite, t);

	t = tcase_create("claims");
	tcase_add_test(t, good_claims_give_an_identity);
	tcase_add_test(t, expired_token_is_refused);
	tcase_add_test(t, token_without_usable_expiry_is_refused);
	tcase_add_test(t, token_of_the_future_is_refused);
	tcase_add_test(t, issuer_and_audience_must_be_ours);
	tcase_add_test(t, tenant_must_be_a_uuid);
	tcase_add_test(t, long_subject_is_refused_not_cut);
	tcase_add_test(t, permissions_come_as_text_or_list_and_lose_what_is_not_ours);
	tcase_add_test(t, too_many_permissions_are_refused_not_cut);
	suite_add_tcase(suite, t);

	t = tcase_create("keys");
	tcase_add_test(t, each_algorithm_verifies_its_own_signatures_only);
	tcase_add_test(t, changed_token_does_not_verify);
	tcase_add_test(t, keys_that_cannot_be_right_refuse_the_configuration);
	tcase_add_test(t, spans_of_time_are_read_as_in_yaml);
	suite_add_tcase(suite, t);

	t = tcase_create("API keys");
	tcase_add_test(t, api_key_is_split_at_its_first_underscore);
	tcase_add_test(t, malformed_api_keys_are_refused);
	tcase_add_test(t, secret_matches_its_hash_only);
	suite_add_tcase(suite, t);

	t = tcase_create("table");
	tcase_add_test(t, table_finds_what_was_put_and_forgets_what_was_removed);
	tcase_add_test(t, table_is_bounded_and_keeps_what_is_used);
	tcase_add_test(t, table_of_one_place_works);
	suite_add_tcase(suite, t);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	free(rsa_private), free(rsa_public), free(ec_private), free(ec_public);
	free(small_private), free(small_public);
	return failed == 0 ? 0 : 1;
}
