/* langgraph_id.c: see langgraph_id.h. Text from clients is judged here byte by byte. */
#include "langgraph_id.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

int
lg_uuid(const char *z, char ret[LG_UUID_LEN + 1])
{
	size_t i;

	if (z == NULL || strnlen(z, LG_UUID_LEN + 1) != LG_UUID_LEN)
		return 0;
	for (i = 0; i < LG_UUID_LEN; i++) {
		int dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? z[i] != '-' : !isxdigit((unsigned char)z[i]))
			return 0;
		ret[i] = (char)tolower((unsigned char)z[i]);
	}
	ret[LG_UUID_LEN] = '\0';
	return 1;
}

void
lg_uuid_of_name(const char *name, char ret[LG_UUID_LEN + 1])
{
	/* 6ba7b811-9dad-11d1-80b4-00c04fd430c8 is RFC 9562's "url"; LangGraph's differs from it in
	 * one bit of the first part, and clients compute ids with theirs. */
	static const unsigned char space[16] = { 0x6b, 0xa7, 0xb8, 0x21, 0x9d, 0xad, 0x11, 0xd1,
		0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8 };
	unsigned char u[EVP_MAX_MD_SIZE] = { 0 };
	EVP_MD_CTX *sha = EVP_MD_CTX_new();

	if (sha == NULL || EVP_DigestInit_ex(sha, EVP_sha1(), NULL) != 1 ||
	    EVP_DigestUpdate(sha, space, sizeof space) != 1 ||
	    EVP_DigestUpdate(sha, name, strlen(name)) != 1 || EVP_DigestFinal_ex(sha, u, NULL) != 1)
		memset(u, 0, 16);
	EVP_MD_CTX_free(sha);
	u[6] = (unsigned char)((u[6] & 0x0f) | 0x50);
	u[8] = (unsigned char)((u[8] & 0x3f) | 0x80);
	snprintf(ret, LG_UUID_LEN + 1,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
	    u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
	    u[15]);
}

/* Decimal digits up to LG_SEQ_MAX, without leading zeros; how many bytes they took, 0 = none. */
static size_t
number(const char *z, size_t n, int64_t *ret)
{
	size_t i;
	int64_t v = 0;

	for (i = 0; i < n && isdigit((unsigned char)z[i]); i++) {
		v = v * 10 + (z[i] - '0');
		if (v > LG_SEQ_MAX)
			return 0;
	}
	if (i > 1 && z[0] == '0')
		return 0;
	*ret = v;
	return i;
}

int
lg_checkpoint_parse(const char *z, size_t n, struct lg_checkpoint *ret)
{
	char uuid[LG_UUID_LEN + 1];

	if (n < LG_UUID_LEN + 2 || z[LG_UUID_LEN] != ':')
		return 0;
	memcpy(uuid, z, LG_UUID_LEN);
	uuid[LG_UUID_LEN] = '\0';
	if (!lg_uuid(uuid, ret->run_id))
		return 0;
	z += LG_UUID_LEN + 1;
	n -= LG_UUID_LEN + 1;
	return number(z, n, &ret->seq) == n;
}

int
lg_place_parse(const char *z, size_t n, struct lg_place *ret)
{
	int64_t seq, more = 0;
	size_t used;
	char kind;

	ret->after = -1;
	ret->frames = 0;
	if (n == 2 && memcmp(z, "-1", 2) == 0)
		return 1;
	used = number(z, n, &seq);
	if (used == 0)
		return 0;
	ret->after = seq;
	if (used == n)
		return 1;
	kind = z[used++];
	if ((kind != '.' && kind != '-') || used == n ||
	    number(z + used, n - used, &more) != n - used)
		return 0;
	if (kind == '-') {
		ret->after = seq - 1;
		ret->frames = (uint32_t)more;
	}
	return 1;
}

int
lg_thread_place_parse(
    const char *z, size_t n, char ret_run_id[LG_UUID_LEN + 1], struct lg_place *ret, int *ret_end)
{
	char uuid[LG_UUID_LEN + 1];

	if (n < LG_UUID_LEN + 2 || z[LG_UUID_LEN] != ':')
		return 0;
	memcpy(uuid, z, LG_UUID_LEN);
	uuid[LG_UUID_LEN] = '\0';
	if (!lg_uuid(uuid, ret_run_id))
		return 0;
	z += LG_UUID_LEN + 1;
	n -= LG_UUID_LEN + 1;
	*ret = (struct lg_place){ .after = -1 };
	*ret_end = n == 3 && memcmp(z, "end", 3) == 0;
	return *ret_end || lg_place_parse(z, n, ret);
}

static const char *
label_fault(const json_t *label, int wild)
{
	const char *z = json_string_value(label);
	size_t n = json_string_length(label), i;

	if (z == NULL)
		return "must be a list of texts";
	if (n == 0)
		return "has an empty label";
	if (n > LG_NAMESPACE_LABEL_MAX)
		return "has a label of more than 128 bytes";
	if (!wild && strcmp(z, "*") == 0)
		return "cannot have the label \"*\"";
	for (i = 0; i < n; i++)
		if (z[i] == '.' || (unsigned char)z[i] < 0x20 || z[i] == 0x7f)
			return "has a label with a '.' or a control character";
	return NULL;
}

const char *
lg_namespace_fault(const json_t *labels, size_t at_least, int wild)
{
	const json_t *label;
	const char *why;
	size_t i;

	if (!json_is_array(labels))
		return "must be a list of texts";
	if (json_array_size(labels) < at_least)
		return "must have a label";
	if (json_array_size(labels) > LG_NAMESPACE_LABELS_MAX)
		return "has more than 16 labels";
	json_array_foreach((json_t *)labels, i, label)
	{
		why = label_fault(label, wild);
		if (why != NULL)
			return why;
	}
	return NULL;
}

json_t *
lg_namespace_parse(const char *z)
{
	json_t *labels = json_array();
	size_t n;

	for (;; z += n + 1) {
		n = strcspn(z, ".");
		if (json_array_size(labels) > LG_NAMESPACE_LABELS_MAX ||
		    json_array_append_new(labels, json_stringn(z, n)) != 0)
			break;
		if (z[n] == '\0') {
			if (lg_namespace_fault(labels, 1, 0) == NULL)
				return labels;
			break;
		}
	}
	json_decref(labels);
	return NULL;
}
