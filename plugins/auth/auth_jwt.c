/*
 * auth_jwt.c: takes a JSON Web Token apart and judges its claims.
 *
 * The signature is libjwt's to check (auth_keys.c). What stands here is what libjwt 1.10.2 leaves
 * to its caller: it believes the header's alg, takes padded and sloppy base64, knows no kid, no
 * crit and no audience, and hands depth and duplicates to a recursive parser unseen. Everything
 * here runs on bytes that anyone may have sent, so it is pure, bounded, and has a fuzz target.
 */
#include "auth_jwt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const algorithm_names[] = { [JWT_HS256] = "HS256", "RS256", "ES256" };

int
jwt_algorithm_named(const char *name)
{
	for (int i = JWT_HS256; i <= JWT_ES256; i++)
		if (strcmp(name, algorithm_names[i]) == 0)
			return i;
	return 0;
}

const char *
jwt_text(enum jwt_verdict verdict)
{
	switch (verdict) {
	case JWT_OK: return "";
	case JWT_MALFORMED:
		return "The token is malformed: it is not a signed JWT in compact form.";
	case JWT_UNSUPPORTED:
		return "The token's header asks for something that is not accepted here.";
	case JWT_UNVERIFIED: return "The token's signature could not be verified.";
	case JWT_EXPIRED: return "The token has expired.";
	case JWT_NOT_YET: return "The token is not valid yet.";
	case JWT_NO_EXPIRY: return "The token has no usable exp claim.";
	case JWT_ISSUER: return "The token was issued by someone else than its key's owner.";
	case JWT_AUDIENCE: return "The token is meant for another audience.";
	case JWT_TENANT: return "The token names no tenant.";
	case JWT_SUBJECT: return "The token's sub claim must be text of at most 128 bytes.";
	case JWT_PERMISSIONS:
		return "The token's permissions claim must be text or a list of texts.";
	}
	return "The token is not valid.";
}

static int
base64url_digit(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int64_t
jwt_base64url(const char *p, size_t n, unsigned char *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	int64_t len = 0;

	if (n % 4 == 1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int digit = base64url_digit((unsigned char)p[i]);

		if (digit < 0)
			return -1;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[len++] = (unsigned char)(bits >> have);
			bits &= (1u << have) - 1;
		}
	}
	/* Spare bits must be zero, or one token has several spellings (and cache entries). */
	return bits == 0 ? len : -1;
}

static int
is_base64url(const char *p, size_t n)
{
	unsigned char bytes[JWT_TOKEN_MAX];

	return jwt_base64url(p, n, bytes) > 0;
}

/* Counts brackets outside of strings, since jansson recurses once per level on our small stack. */
static int
is_shallow(const char *p, size_t n)
{
	unsigned depth = 0;
	int in_string = 0;

	for (size_t i = 0; i < n; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = 0;
		} else if (p[i] == '"') {
			in_string = 1;
		} else if (p[i] == '{' || p[i] == '[') {
			if (++depth > JWT_DEPTH_MAX)
				return 0;
		} else if ((p[i] == '}' || p[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return 1;
}

static json_t *
decode_object(const char *p, size_t n)
{
	unsigned char bytes[JWT_TOKEN_MAX];
	int64_t len = n == 0 ? -1 : jwt_base64url(p, n, bytes);
	json_t *j;

	if (len < 0 || !is_shallow((char *)bytes, (size_t)len))
		return NULL;
	j = json_loadb((char *)bytes, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

static enum jwt_verdict
read_head(const json_t *head, struct jwt_head *ret)
{
	const json_t *alg = json_object_get(head, "alg"), *kid = json_object_get(head, "kid"),
		     *typ = json_object_get(head, "typ");

	if (!json_is_string(alg))
		return JWT_MALFORMED;
	/* libjwt takes no other type and would only say that the token is no good. */
	if (typ != NULL && (!json_is_string(typ) || strcasecmp(json_string_value(typ), "JWT") != 0))
		return JWT_UNSUPPORTED;
	ret->algorithm = jwt_algorithm_named(json_string_value(alg));
	/* RFC 7515 §4.1.11: what crit lists must be understood, and we understand no extension. b64
	 * (RFC 7797) and enc change what the parts mean. */
	if (ret->algorithm == 0 || json_object_get(head, "crit") != NULL ||
	    json_object_get(head, "b64") != NULL || json_object_get(head, "enc") != NULL)
		return JWT_UNSUPPORTED;
	ret->kid[0] = '\0';
	if (kid == NULL)
		return JWT_OK;
	if (!json_is_string(kid) || json_string_length(kid) == 0 ||
	    json_string_length(kid) > JWT_KID_MAX)
		return JWT_MALFORMED;
	memcpy(ret->kid, json_string_value(kid), json_string_length(kid) + 1);
	return JWT_OK;
}

enum jwt_verdict
jwt_parse(const char *token, size_t n, struct jwt_head *ret_head, json_t **ret_claims)
{
	const char *dot1, *dot2;
	enum jwt_verdict verdict;
	json_t *head;

	*ret_claims = NULL;
	if (n == 0 || n > JWT_TOKEN_MAX)
		return JWT_MALFORMED;
	dot1 = memchr(token, '.', n);
	dot2 = dot1 == NULL ? NULL : memchr(dot1 + 1, '.', (size_t)(token + n - dot1 - 1));
	/* A third dot is no base64url digit: the signature's check below refuses it. */
	if (dot2 == NULL)
		return JWT_MALFORMED;
	head = decode_object(token, (size_t)(dot1 - token));
	if (head == NULL)
		return JWT_MALFORMED;
	verdict = read_head(head, ret_head);
	json_decref(head);
	if (verdict != JWT_OK)
		return verdict;
	if (!is_base64url(dot2 + 1, (size_t)(token + n - dot2 - 1)))
		return JWT_MALFORMED;
	*ret_claims = decode_object(dot1 + 1, (size_t)(dot2 - dot1 - 1));
	return *ret_claims == NULL ? JWT_MALFORMED : JWT_OK;
}

int
jwt_uuid(const char *z, char out[37])
{
	for (int i = 0; i < 36; i++) {
		char c = z[i];

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (c != '-')
				return 0;
		} else if (c >= 'A' && c <= 'F') {
			c = (char)(c - 'A' + 'a');
		} else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
			return 0;
		}
		out[i] = c;
	}
	out[36] = '\0';
	return z[36] == '\0';
}

/* A NumericDate (RFC 7519 §2: a number, fractions allowed) as whole seconds; 0 when it is none. */
static int
numeric_date(const json_t *j, int64_t *ret)
{
	double d;

	if (json_is_integer(j)) {
		*ret = json_integer_value(j);
	} else if (json_is_real(j)) {
		d = floor(json_real_value(j));
		if (d < -9e15 || d > 9e15)
			return 0;
		*ret = (int64_t)d;
	} else {
		return 0;
	}
	/* Keeps sums with a leeway far from overflow. */
	return *ret > -9000000000000000 && *ret < 9000000000000000;
}

static int
text_is(const json_t *j, const char *z)
{
	size_t n = strlen(z);

	return json_is_string(j) && json_string_length(j) == n &&
	    memcmp(json_string_value(j), z, n) == 0;
}

static int
audience_holds(const json_t *aud, const char *wanted)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(aud))
		return text_is(aud, wanted);
	json_array_foreach(aud, i, one)
	{
		if (text_is(one, wanted))
			return 1;
	}
	return 0;
}

/*
 * Appends the words of z that look like our permissions ("area:verb", "*"): a scope claim also
 * carries "openid" and the like, which mean nothing here. 0 when the list grows past its limit.
 */
static int
append_permissions(char *out, const char *z)
{
	size_t used = strlen(out);

	while (*z != '\0') {
		size_t n = strcspn(z, " ");
		int ours = (n == 1 && *z == '*') ||
		    (n > 2 && z[0] != ':' && memchr(z, ':', n - 1) != NULL);

		for (size_t i = 0; i < n; i++)
			if ((unsigned char)z[i] <= ' ' || (unsigned char)z[i] > '~')
				ours = 0;
		if (ours) {
			if (used + n + 1 > JWT_PERMISSIONS_MAX)
				return 0;
			if (used > 0)
				out[used++] = ' ';
			memcpy(out + used, z, n);
			used += n;
			out[used] = '\0';
		}
		z += n + (z[n] == ' ');
	}
	return 1;
}

static int
read_permissions(const json_t *claim, char *out)
{
	const json_t *one;
	size_t i;

	out[0] = '\0';
	if (claim == NULL || json_is_null(claim))
		return 1;
	if (json_is_string(claim))
		return append_permissions(out, json_string_value(claim));
	if (!json_is_array(claim))
		return 0;
	json_array_foreach(claim, i, one)
	{
		if (!json_is_string(one) || !append_permissions(out, json_string_value(one)))
			return 0;
	}
	return 1;
}

enum jwt_verdict
jwt_check(
    const json_t *claims, const struct jwt_rules *rules, int64_t now, struct jwt_identity *ret)
{
	const json_t *sub = json_object_get(claims, "sub"), *nbf = json_object_get(claims, "nbf"),
		     *tenant = json_object_get(claims, rules->tenant_claim);
	int64_t exp, not_before;

	if (!numeric_date(json_object_get(claims, "exp"), &exp))
		return JWT_NO_EXPIRY;
	ret->expires_at = exp + rules->leeway;
	if (now >= ret->expires_at)
		return JWT_EXPIRED;
	if (nbf != NULL && (!numeric_date(nbf, &not_before) || now < not_before - rules->leeway))
		return JWT_NOT_YET;
	if (!text_is(json_object_get(claims, "iss"), rules->issuer))
		return JWT_ISSUER;
	if (!audience_holds(json_object_get(claims, "aud"), rules->audience))
		return JWT_AUDIENCE;
	if (!json_is_string(tenant) || !jwt_uuid(json_string_value(tenant), ret->tenant_id))
		return JWT_TENANT;
	ret->subject[0] = '\0';
	if (sub != NULL) {
		if (!json_is_string(sub) || json_string_length(sub) > JWT_SUBJECT_MAX)
			return JWT_SUBJECT;
		memcpy(ret->subject, json_string_value(sub), json_string_length(sub) + 1);
	}
	if (!read_permissions(json_object_get(claims, rules->permissions_claim), ret->permissions))
		return JWT_PERMISSIONS;
	return JWT_OK;
}
