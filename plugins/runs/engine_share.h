/*
 * engine_share.h: which engine should own which shard, a pure function of who is alive.
 *
 * Every engine computes it from the same rows and comes to the same answer, so nobody has to
 * decide for the others; while their rows differ, leases and fences keep each shard with one owner.
 */
#ifndef RUNS_ENGINE_SHARE_H
#define RUNS_ENGINE_SHARE_H

#include <stdint.h>

#define RUNS_SHARDS 256
#define SHARE_UNITS_MAX 1024u
#define SHARE_HOST_MAX 127u /* bytes of a host's name; ins_host_id() has no more */

/* One loop of one host. */
struct share_unit {
	char host[SHARE_HOST_MAX + 1];
	int loop;
};

/*
 * ret_owner[shard] = index into units. Each unit gets floor(256/n) or one more. Who comes or goes
 * moves few shards besides its own: rendezvous hashing, with a bound. The order of units does not
 * matter. n >= 1.
 */
void share_assign(const struct share_unit *units, unsigned n, uint16_t ret_owner[RUNS_SHARDS]);
int share_same(const struct share_unit *a, unsigned n, const struct share_unit *b, unsigned m);
/* How many hosts; equal names stand together. */
unsigned share_hosts(const struct share_unit *, unsigned n);

#endif
