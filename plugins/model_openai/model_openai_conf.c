/* model_openai_conf.c: see model_openai_conf.h. */
#include "plugins/model_openai/model_openai_conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH "/chat/completions"

static const char *const tiers[] = { "SLM_A", "SLM_B", "LLM" };

static const char *const provider_keys[] = { "name", "base_url", "api_key", "private_addresses",
	"models", "timeouts", "max_response", NULL };
static const char *const model_keys[] = { "id", "upstream_model", "tier", "price_prompt_nanos",
	"price_completion_nanos", NULL };
static const char *const timeout_keys[] = { "connect", "first_byte", "idle", "total", NULL };

/* Says what is wrong at path.key (key may be NULL) and returns -1. */
static int __attribute__((format(printf, 4, 5)))
wrong(struct conf_error *err, const char *path, const char *key, const char *fmt, ...)
{
	va_list ap;

	snprintf(err->path, sizeof err->path, "%s%s%s", path, key == NULL ? "" : ".",
	    key == NULL ? "" : key);
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return -1;
}

static int64_t
scaled(const char *z, const char *const *units, const int64_t *factors, size_t n)
{
	int64_t v = 0;
	size_t i;

	if (*z < '0' || *z > '9')
		return -1;
	for (; *z >= '0' && *z <= '9'; z++) {
		if (v > INT64_MAX / 100)
			return -1;
		v = v * 10 + (*z - '0');
	}
	for (i = 0; i < n; i++)
		if (strcmp(z, units[i]) == 0)
			return v > INT64_MAX / factors[i] ? -1 : v * factors[i];
	return -1;
}

int64_t
conf_duration(const char *z)
{
	static const char *const units[] = { "ms", "s", "m", "h" };
	static const int64_t factors[] = { 1, 1000, 60 * 1000, 3600 * 1000 };

	return scaled(z, units, factors, 4);
}

int64_t
conf_size(const char *z)
{
	static const char *const units[] = { "", "k", "m", "g" };
	static const int64_t factors[] = { 1, 1 << 10, 1 << 20, 1 << 30 };

	return scaled(z, units, factors, 4);
}

static int
only_keys(const json_t *o, const char *const *keys, const char *path, struct conf_error *err)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach((json_t *)o, key, value)
	{
		for (i = 0; keys[i] != NULL && strcmp(keys[i], key) != 0; i++)
			;
		if (keys[i] == NULL)
			return wrong(err, path, key, "there is no such option");
	}
	return 0;
}

/* A text without control characters (it may become a header or a log field) of 1 .. max bytes.
 * *ret stays NULL when absent and not required. */
static int
text(const json_t *o, const char *key, size_t max, int required, const char *path, char **ret,
    struct conf_error *err)
{
	const json_t *v = json_object_get(o, key);
	const char *z;
	size_t i, n;

	if (v == NULL || json_is_null(v))
		return required ? wrong(err, path, key, "is required") : 0;
	if (!json_is_string(v))
		return wrong(err, path, key, "must be a text");
	z = json_string_value(v);
	n = json_string_length(v);
	if (n == 0 && !required)
		return 0;
	if (n == 0 || n > max)
		return wrong(err, path, key, "must have 1 to %zu bytes", max);
	for (i = 0; i < n; i++)
		if ((unsigned char)z[i] < 0x20 || z[i] == 0x7f)
			return wrong(err, path, key, "holds a control character");
	*ret = strdup(z);
	return *ret == NULL ? wrong(err, path, key, "out of memory") : 0;
}

static int
price(const json_t *o, const char *key, const char *path, int64_t *ret, struct conf_error *err)
{
	const json_t *v = json_object_get(o, key);

	*ret = CONF_PRICE_NONE;
	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) > CONF_PRICE_MAX)
		return wrong(err, path, key,
		    "must be a whole number of nano-units a token, 0 to %lld", CONF_PRICE_MAX);
	*ret = json_integer_value(v);
	return 0;
}

static int
parse_timeouts(const json_t *t, const char *path, struct provider *p, struct conf_error *err)
{
	int64_t *const places[] = { &p->connect_ms, &p->first_byte_ms, &p->idle_ms, &p->total_ms };
	const json_t *v;
	char sub[140];
	size_t i;

	p->connect_ms = 5 * 1000;
	p->first_byte_ms = 60 * 1000;
	p->idle_ms = 30 * 1000;
	p->total_ms = 10 * 60 * 1000;
	if (t == NULL || json_is_null(t))
		return 0;
	snprintf(sub, sizeof sub, "%s.timeouts", path);
	if (!json_is_object(t))
		return wrong(err, sub, NULL, "must be a map with connect, first_byte, idle, total");
	if (only_keys(t, timeout_keys, sub, err) != 0)
		return -1;
	for (i = 0; timeout_keys[i] != NULL; i++) {
		v = json_object_get(t, timeout_keys[i]);
		if (v == NULL)
			continue;
		*places[i] = json_is_string(v) ? conf_duration(json_string_value(v)) : -1;
		if (*places[i] < 1 || *places[i] > CONF_TIMEOUT_MAX_MS)
			return wrong(err, sub, timeout_keys[i],
			    "must be a duration such as 250ms, 5s, 2m (at most 6h)");
	}
	return 0;
}

static int
parse_max_response(const json_t *v, const char *path, struct provider *p, struct conf_error *err)
{
	p->max_response = 8 * 1024 * 1024;
	if (v == NULL || json_is_null(v))
		return 0;
	p->max_response = json_is_integer(v) ? json_integer_value(v)
	    : json_is_string(v)              ? conf_size(json_string_value(v))
					     : -1;
	if (p->max_response < CONF_RESPONSE_MIN || p->max_response > CONF_RESPONSE_MAX)
		return wrong(
		    err, path, "max_response", "must be a size such as 8m, from 4k to 256m");
	return 0;
}

/* scheme://host[:port][/path], nothing that would change where a path appended to it leads. */
static int
parse_url(const json_t *o, const char *path, struct provider *p, struct conf_error *err)
{
	char *base = NULL;
	const char *host;
	size_t n;

	if (text(o, "base_url", 1024, 1, path, &base, err) != 0)
		return -1;
	host = strncmp(base, "https://", 8) == 0 ? base + 8
	    : strncmp(base, "http://", 7) == 0   ? base + 7
						 : NULL;
	if (host == NULL || *host == '\0' || *host == '/') {
		free(base);
		return wrong(err, path, "base_url",
		    "must be http://host[:port][/path] or https://..., such as "
		    "https://api.example.com/v1");
	}
	if (strpbrk(host, "@?# \\") != NULL) {
		free(base);
		return wrong(err, path, "base_url",
		    "must have no user name, query, fragment or blank; the key belongs in api_key");
	}
	if (host == base + 7 && p->key[0] != '\0' && !p->private_addresses) {
		free(base);
		return wrong(err, path, "base_url",
		    "would send api_key in clear text: use https://, or private_addresses: true "
		    "for a provider inside your own network");
	}
	for (n = strlen(base); n > 0 && base[n - 1] == '/'; n--)
		base[n - 1] = '\0';
	p->url = malloc(n + sizeof PATH);
	if (p->url != NULL)
		snprintf(p->url, n + sizeof PATH, "%s%s", base, PATH);
	free(base);
	return p->url == NULL ? wrong(err, path, "base_url", "out of memory") : 0;
}

static int
parse_key(const json_t *o, const char *path, struct provider *p, struct conf_error *err)
{
	static const char head[] = "Authorization: Bearer ";

	if (text(o, "api_key", 4096, 0, path, &p->key, err) != 0)
		return -1;
	if (p->key == NULL) {
		p->key = strdup("");
		return p->key == NULL ? wrong(err, path, "api_key", "out of memory") : 0;
	}
	p->auth = malloc(sizeof head + strlen(p->key));
	if (p->auth == NULL)
		return wrong(err, path, "api_key", "out of memory");
	snprintf(p->auth, sizeof head + strlen(p->key), "%s%s", head, p->key);
	return 0;
}

static int
parse_model(const json_t *o, const char *path, struct conf *c, const struct provider *p,
    struct conf_error *err)
{
	struct model *m = &c->models[c->n_models];
	const char *tier;
	size_t i;

	if (!json_is_object(o))
		return wrong(err, path, NULL, "must be a map with id, tier, ...");
	c->n_models++; /* from here on conf_fini() frees what was set */
	m->provider = p;
	if (only_keys(o, model_keys, path, err) != 0 ||
	    text(o, "id", CONF_ID_MAX, 1, path, &m->id, err) != 0 ||
	    text(o, "upstream_model", CONF_ID_MAX, 0, path, &m->upstream, err) != 0 ||
	    price(o, "price_prompt_nanos", path, &m->price_prompt, err) != 0 ||
	    price(o, "price_completion_nanos", path, &m->price_completion, err) != 0)
		return -1;
	if ((m->price_prompt == CONF_PRICE_NONE) != (m->price_completion == CONF_PRICE_NONE))
		return wrong(err, path, NULL,
		    "price_prompt_nanos and price_completion_nanos go together: half a price would "
		    "book half the cost");
	if (m->upstream == NULL && (m->upstream = strdup(m->id)) == NULL)
		return wrong(err, path, "id", "out of memory");
	tier = json_string_value(json_object_get(o, "tier"));
	for (i = 0; i < 3; i++) {
		if (strcmp(m->id, tiers[i]) == 0)
			return wrong(err, path, "id", "%s is the name of a tier", m->id);
		if (tier != NULL && strcmp(tier, tiers[i]) == 0)
			m->tier = tiers[i];
	}
	if (m->tier == NULL)
		return wrong(err, path, "tier", "must be SLM_A, SLM_B or LLM");
	for (i = 0; i + 1 < c->n_models; i++)
		if (strcmp(c->models[i].id, m->id) == 0)
			return wrong(err, path, "id", "%s stands twice", m->id);
	return 0;
}

static int
parse_provider(const json_t *o, size_t at, struct conf *c, struct conf_error *err)
{
	struct provider *p = &c->providers[c->n_providers];
	const json_t *v, *models;
	char path[64], sub[96];
	size_t i;

	snprintf(path, sizeof path, "providers[%zu]", at);
	if (!json_is_object(o))
		return wrong(err, path, NULL, "must be a map with name, base_url, models, ...");
	c->n_providers++;
	if (only_keys(o, provider_keys, path, err) != 0 ||
	    text(o, "name", CONF_ID_MAX, 1, path, &p->name, err) != 0)
		return -1;
	for (i = 0; i + 1 < c->n_providers; i++)
		if (strcmp(c->providers[i].name, p->name) == 0)
			return wrong(err, path, "name", "%s stands twice", p->name);
	v = json_object_get(o, "private_addresses");
	if (v != NULL && !json_is_boolean(v))
		return wrong(err, path, "private_addresses", "must be true or false");
	p->private_addresses = json_is_true(v);
	if (parse_key(o, path, p, err) != 0 || parse_url(o, path, p, err) != 0 ||
	    parse_timeouts(json_object_get(o, "timeouts"), path, p, err) != 0 ||
	    parse_max_response(json_object_get(o, "max_response"), path, p, err) != 0)
		return -1;
	models = json_object_get(o, "models");
	if (!json_is_array(models) || json_array_size(models) == 0)
		return wrong(err, path, "models", "must be a list of at least one model");
	for (i = 0; i < json_array_size(models); i++) {
		snprintf(sub, sizeof sub, "%s.models[%zu]", path, i);
		if (parse_model(json_array_get(models, i), sub, c, p, err) != 0)
			return -1;
	}
	return 0;
}

static json_t *
list_models(const struct conf *c, int64_t created)
{
	json_t *list = json_array(), *entry;
	size_t i;

	for (i = 0; list != NULL && i < c->n_models; i++) {
		entry = json_pack("{s:s, s:s, s:s, s:I}", "id", c->models[i].id, "tier",
		    c->models[i].tier, "owned_by", c->models[i].provider->name, "created",
		    (json_int_t)created);
		if (entry == NULL || json_array_append_new(list, entry) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static int
parse_all(const json_t *providers, int64_t created, struct conf *ret, struct conf_error *err)
{
	size_t i, n_models = 0;

	if (!json_is_array(providers) || json_array_size(providers) == 0)
		return wrong(err, "providers", NULL, "must be a list of at least one provider");
	if (json_array_size(providers) > CONF_PROVIDERS_MAX)
		return wrong(
		    err, "providers", NULL, "has more than %d entries", CONF_PROVIDERS_MAX);
	for (i = 0; i < json_array_size(providers); i++)
		n_models += json_array_size(
		    json_object_get(json_array_get(providers, i), "models"));
	if (n_models > CONF_MODELS_MAX)
		return wrong(
		    err, "providers", NULL, "have more than %d models in all", CONF_MODELS_MAX);
	ret->providers = calloc(json_array_size(providers), sizeof *ret->providers);
	ret->models = calloc(n_models + 1, sizeof *ret->models);
	if (ret->providers == NULL || ret->models == NULL)
		return wrong(err, "providers", NULL, "out of memory");
	for (i = 0; i < json_array_size(providers); i++)
		if (parse_provider(json_array_get(providers, i), i, ret, err) != 0)
			return -1;
	ret->list = list_models(ret, created);
	return ret->list == NULL ? wrong(err, "providers", NULL, "are no valid UTF-8") : 0;
}

int
conf_parse(const json_t *providers, int64_t created, struct conf *ret, struct conf_error *err)
{
	memset(ret, 0, sizeof *ret);
	memset(err, 0, sizeof *err);
	if (parse_all(providers, created, ret, err) == 0)
		return 0;
	conf_fini(ret);
	return -1;
}

/* A key does not stay readable in freed memory. */
static void
wipe_free(char *z)
{
	if (z != NULL)
		explicit_bzero(z, strlen(z));
	free(z);
}

void
conf_fini(struct conf *c)
{
	size_t i;

	for (i = 0; i < c->n_providers; i++) {
		free(c->providers[i].name);
		free(c->providers[i].url);
		wipe_free(c->providers[i].key);
		wipe_free(c->providers[i].auth);
	}
	for (i = 0; i < c->n_models; i++) {
		free(c->models[i].id);
		free(c->models[i].upstream);
	}
	free(c->providers);
	free(c->models);
	json_decref(c->list);
	memset(c, 0, sizeof *c);
}

const struct model *
conf_model(const struct conf *c, const char *id)
{
	size_t i;

	for (i = 0; id != NULL && i < c->n_models; i++)
		if (strcmp(c->models[i].id, id) == 0)
			return &c->models[i];
	return NULL;
}
