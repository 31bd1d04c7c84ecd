/* engine_share.c: see engine_share.h. */
#include "engine_share.h"

#include <stdlib.h>
#include <string.h>

static uint64_t
mix(uint64_t x) /* the finalizer of splitmix64 */
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t
unit_hash(const struct share_unit *u)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	const char *p;

	for (p = u->host; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	return mix(h + (uint64_t)u->loop * UINT64_C(0x9e3779b97f4a7c15));
}

void
share_assign(const struct share_unit *units, unsigned n, uint16_t ret_owner[RUNS_SHARDS])
{
	unsigned *has = calloc(n, sizeof *has), i, s, floor = RUNS_SHARDS / n;
	uint64_t *hash = calloc(n, sizeof *hash), best, score;
	unsigned extra = RUNS_SHARDS % n, found;

	for (i = 0; has != NULL && hash != NULL && i < n; i++)
		hash[i] = unit_hash(&units[i]);
	for (s = 0; s < RUNS_SHARDS; s++) {
		ret_owner[s] = UINT16_MAX; /* nobody's, for want of memory */
		if (has == NULL || hash == NULL)
			continue;
		best = 0;
		found = n;
		for (i = 0; i < n; i++) {
			if (has[i] > floor || (has[i] == floor && extra == 0))
				continue;
			score = mix(hash[i] ^ (s + 1) * UINT64_C(0x9e3779b97f4a7c15));
			/* two units with one hash would be one name twice */
			if (found == n || score > best) {
				best = score;
				found = i;
			}
		}
		if (has[found] == floor)
			extra--;
		has[found]++;
		ret_owner[s] = (uint16_t)found;
	}
	free(has);
	free(hash);
}

int
share_same(const struct share_unit *a, unsigned n, const struct share_unit *b, unsigned m)
{
	unsigned i;

	if (n != m)
		return 0;
	for (i = 0; i < n; i++)
		if (a[i].loop != b[i].loop || strcmp(a[i].host, b[i].host) != 0)
			return 0;
	return 1;
}

unsigned
share_hosts(const struct share_unit *u, unsigned n)
{
	unsigned i, hosts = 0;

	for (i = 0; i < n; i++)
		hosts += i == 0 || strcmp(u[i].host, u[i - 1].host) != 0;
	return hosts;
}
