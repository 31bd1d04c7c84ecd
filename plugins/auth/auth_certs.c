/* auth_certs.c: see auth_certs.h. */
#include "auth_certs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USER_MAX 128 /* bytes: what a principal can hold */

static int __attribute__((format(printf, 4, 5)))
complain(struct keys_error *err, unsigned i, const char *field, const char *fmt, ...)
{
	va_list ap;

	snprintf(err->where, sizeof err->where, "clients[%u]%s%s", i, *field ? "." : "", field);
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return -1;
}

static int
is_uuid(const char *z)
{
	return strlen(z) == 36 && strspn(z, "0123456789abcdef-") == 36 && z[8] == '-' &&
	    z[13] == '-' && z[18] == '-' && z[23] == '-';
}

static int
is_name(const char *z)
{
	static const char *const kinds[] = { "URI:", "DNS:", "email:", "subject:" };
	size_t i;

	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strncmp(z, kinds[i], strlen(kinds[i])) == 0)
			return z[strlen(kinds[i])] != '\0';
	return strncmp(z, "sha256:", 7) == 0 && strlen(z) == 71 &&
	    strspn(z + 7, "0123456789abcdef") == 64;
}

/* Words "area:verb" or "*", one space between. */
static int
are_permissions(const char *z)
{
	size_t n;

	for (; *z != '\0'; z += n + (z[n] == ' ')) {
		n = strcspn(z, " ");
		if (n == 0 || (memchr(z, ':', n) == NULL && !(n == 1 && *z == '*')))
			return 0;
	}
	return 1;
}

static int
load_one(struct cert_client *c, const json_t *entry, unsigned i, struct keys_error *err)
{
	json_error_t why;

	if (json_unpack_ex((json_t *)entry, &why, JSON_STRICT, "{s:s, s:s, s?s, s?s}", "name",
		&c->name, "tenant", &c->tenant_id, "user", &c->user, "permissions",
		&c->permissions) != 0)
		return complain(err, i, "",
		    "must be {name, tenant, user, permissions}, all of them texts: %s", why.text);
	if (!is_name(c->name))
		return complain(err, i, "name",
		    "must begin with URI:, DNS:, email: or subject:, or be sha256: and 64 "
		    "hexadecimal digits in lower case");
	if (!is_uuid(c->tenant_id))
		return complain(err, i, "tenant", "must be the uuid of a tenant, in lower case");
	if (c->user == NULL)
		c->user = c->name;
	if (strlen(c->user) > USER_MAX)
		return complain(err, i, "user",
		    "is longer than %d bytes (without it, it is the name)", USER_MAX);
	if (c->permissions == NULL)
		c->permissions = "";
	if (!are_permissions(c->permissions))
		return complain(err, i, "permissions",
		    "must be words of the form area:verb, or *, with one space between");
	return 0;
}

int
certs_load(struct certs *certs, const json_t *list, struct keys_error *err)
{
	unsigned i;

	memset(certs, 0, sizeof *certs);
	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > CERTS_MAX) {
		snprintf(err->where, sizeof err->where, "clients");
		snprintf(err->text, sizeof err->text, "must be a list of at most %u certificates",
		    CERTS_MAX);
		return -1;
	}
	certs->client = calloc(json_array_size(list) + 1, sizeof *certs->client);
	for (i = 0; certs->client != NULL && i < json_array_size(list); i++) {
		if (load_one(&certs->client[i], json_array_get(list, i), i, err) != 0) {
			certs_free(certs);
			return -1;
		}
		certs->n++;
	}
	return certs->client != NULL ? 0 : complain(err, 0, "", "out of memory");
}

void
certs_free(struct certs *certs)
{
	free(certs->client);
	memset(certs, 0, sizeof *certs);
}

/* Is there a line that is this name? */
static int
has_line(const char *lines, const char *name)
{
	size_t n = strlen(name), k;

	for (; *lines != '\0'; lines += k + (lines[k] == '\n')) {
		k = strcspn(lines, "\n");
		if (k == n && memcmp(lines, name, n) == 0)
			return 1;
	}
	return 0;
}

const struct cert_client *
certs_find(const struct certs *certs, const ins_peer_cert *cert)
{
	unsigned i;

	for (i = 0; i < certs->n; i++) {
		const char *name = certs->client[i].name;

		if (strncmp(name, "subject:", 8) == 0      ? strcmp(name + 8, cert->subject) == 0
			: strncmp(name, "sha256:", 7) == 0 ? strcmp(name + 7, cert->sha256) == 0
							   : has_line(cert->names, name))
			return &certs->client[i];
	}
	return NULL;
}
