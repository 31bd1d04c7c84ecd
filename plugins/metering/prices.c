/* prices.c: see prices.h. prices_yaml.c reads the file. */
#include "prices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "instant.h"

#define MILLION 1000000

struct version {
	int64_t from_us;
	char *name;
	json_t *models; /* name -> [input, cached, output], checked */
};

struct prices {
	size_t n;
	struct version *versions; /* the earliest first */
};

static int
price_of(const json_t *model, const char *key, int64_t dflt, int64_t *ret)
{
	const json_t *v = json_object_get(model, key);

	*ret = v == NULL ? dflt : json_is_integer(v) ? json_integer_value(v) : -1;
	return *ret < 0 || *ret > PRICES_PER_MILLION_MAX ? -1 : 0;
}

static json_t *
models_of(const json_t *models, char err[PRICES_ERR_MAX])
{
	json_t *ret = json_object(), *model, *v;
	int64_t input, cached, output;
	const char *name, *key;

	if (!json_is_object(models) || json_object_size(models) > PRICES_MODELS_MAX) {
		snprintf(err, PRICES_ERR_MAX, "models must map at most %u names to prices",
		    PRICES_MODELS_MAX);
		json_decref(ret);
		return NULL;
	}
	json_object_foreach((json_t *)models, name, model)
	{
		snprintf(err, PRICES_ERR_MAX,
		    "models.%.100s must have input, output and perhaps cached: nano-dollars for a "
		    "million tokens, 0 .. %lld",
		    name, (long long)PRICES_PER_MILLION_MAX);
		json_object_foreach(model, key, v)
		{
			if (strcmp(key, "input") != 0 && strcmp(key, "output") != 0 &&
			    strcmp(key, "cached") != 0)
				goto bad;
		}
		if (!json_is_object(model) || price_of(model, "input", -1, &input) != 0 ||
		    price_of(model, "output", -1, &output) != 0 ||
		    price_of(model, "cached", input, &cached) != 0)
			goto bad;
		json_object_set_new(ret, name,
		    json_pack(
			"[I, I, I]", (json_int_t)input, (json_int_t)cached, (json_int_t)output));
	}
	return ret;
bad:
	json_decref(ret);
	return NULL;
}

static int
version_of(struct version *v, const json_t *j, char err[PRICES_ERR_MAX])
{
	const char *name = json_string_value(json_object_get(j, "version"));
	const char *from = json_string_value(json_object_get(j, "valid_from"));

	if (name == NULL || *name == '\0' || strlen(name) > 64) {
		snprintf(err, PRICES_ERR_MAX, "version must be a text of 1 .. 64 bytes");
		return -1;
	}
	if (from == NULL ||
	    (instant_parse(from, &v->from_us) != 0 && instant_parse_day(from, &v->from_us) != 0)) {
		snprintf(err, PRICES_ERR_MAX,
		    "valid_from must be a day or an RFC 3339 time from 2000 on");
		return -1;
	}
	v->models = models_of(json_object_get(j, "models"), err);
	v->name = v->models == NULL ? NULL : strdup(name);
	return v->name == NULL ? -1 : 0;
}

static int
by_time(const void *a, const void *b)
{
	const struct version *x = a, *y = b;

	return (x->from_us > y->from_us) - (x->from_us < y->from_us);
}

static int
check_order(const struct prices *p, char err[PRICES_ERR_MAX])
{
	size_t i, k;

	for (i = 1; i < p->n; i++) {
		if (p->versions[i].from_us == p->versions[i - 1].from_us) {
			snprintf(err, PRICES_ERR_MAX, "versions %s and %s begin at the same time",
			    p->versions[i - 1].name, p->versions[i].name);
			return -1;
		}
		for (k = 0; k < i; k++)
			if (strcmp(p->versions[i].name, p->versions[k].name) == 0) {
				snprintf(err, PRICES_ERR_MAX, "version %s stands there twice",
				    p->versions[i].name);
				return -1;
			}
	}
	return 0;
}

struct prices *
prices_new(const json_t *j, char err[PRICES_ERR_MAX])
{
	const json_t *list = json_object_get(j, "versions"), *v;
	struct prices *p = calloc(1, sizeof *p);
	char why[PRICES_ERR_MAX];
	size_t i;

	snprintf(err, PRICES_ERR_MAX, "out of memory");
	if (p == NULL)
		return NULL;
	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > PRICES_VERSIONS_MAX || json_object_size(j) != 1) {
		snprintf(err, PRICES_ERR_MAX, "must be {versions: [...]} with 1 .. %u versions",
		    PRICES_VERSIONS_MAX);
		free(p);
		return NULL;
	}
	p->versions = calloc(json_array_size(list), sizeof *p->versions);
	json_array_foreach(list, i, v)
	{
		if (p->versions == NULL || version_of(&p->versions[i], v, why) != 0) {
			snprintf(err, PRICES_ERR_MAX, "versions[%zu].%.200s", i, why);
			p->n = p->versions == NULL ? 0 : i + 1;
			prices_free(p);
			return NULL;
		}
	}
	p->n = json_array_size(list);
	qsort(p->versions, p->n, sizeof *p->versions, by_time);
	if (check_order(p, err) != 0) {
		prices_free(p);
		return NULL;
	}
	return p;
}

void
prices_free(struct prices *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n; i++) {
		free(p->versions[i].name);
		json_decref(p->versions[i].models);
	}
	free(p->versions);
	free(p);
}

int
prices_find(const struct prices *p, const char *model, int64_t time_us, struct price *ret)
{
	const struct version *v;
	const json_t *m;
	size_t lo = 0, hi = p->n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (p->versions[mid].from_us <= time_us)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return -1;
	v = &p->versions[lo - 1];
	m = json_object_get(v->models, model);
	if (m == NULL)
		return -1;
	ret->version = v->name;
	ret->input = json_integer_value(json_array_get(m, 0));
	ret->cached = json_integer_value(json_array_get(m, 1));
	ret->output = json_integer_value(json_array_get(m, 2));
	return 0;
}

money
prices_cost(const struct price *p, int64_t prompt, int64_t cached, int64_t completion)
{
	/* Three products below 2^101 each: no overflow. */
	money sum = (money)(prompt - cached) * p->input + (money)cached * p->cached +
	    (money)completion * p->output;

	return money_div_even(sum, MILLION);
}
