/*
 * meter.h: "ins.meter/1": keeps what was used: once, for ever, in integer money.
 *
 * A usage event says who used what, when: a completion by a model, a run, a thing of your own. Its
 * (source, id) is kept for ever in the tenant of the ctx: the same event again changes nothing, so
 * whoever does not know whether it was stored sends it again. Sums per day, model and workflow
 * change in the same transaction.
 *
 * The event, JSON:
 *   {"source": "urn:insula:NAME", "id": text,    what it is kept once by; at most 256 bytes each
 *    "kind": "completion",                       what it counts as; at most 128 bytes
 *    "time_us"?: microseconds since 1970 (now),  its day is that of this time, in UTC
 *    "model"?, "workflow"?, "run_id"?,           at most 128 bytes each
 *    "duration_ms"?: n,
 *    "usage"?: {"prompt_tokens"?, "completion_tokens"?, "cached_tokens"? (part of the prompt's),
 *        "tool_calls"?, "cost_nanos"?, "models"?: {NAME: {the same}}}}
 * Other members are kept in the hash that tells a repetition from a conflict, and nowhere else.
 * "usage" has OpenAI's shape ("prompt_tokens_details" is understood). With "models" the tokens of
 * each are counted as its own, and what is left of the totals as those of no model.
 *
 * Money: the price list says what tokens of a model cost at the event's time; for a model that it
 * does not have, cost_nanos counts, whoever reports it; without either the event is unpriced, which
 * is counted and never becomes a zero.
 */
#ifndef INSULA_METER_H
#define INSULA_METER_H

#include <insula/insula.h>

#define INS_METER_IFACE "ins.meter/1"
#define INS_METER_CALLS 2u

typedef struct {
	uint32_t size;
	void *self;
	/*
	 * Stores an event and lets usage.metered leave, in one transaction. 1 = stored, 0 = it was
	 * there. -INS_ECONFLICT: another event has its (source, id); -INS_EINVAL; -INS_EUNAVAILABLE
	 * and -INS_ECANCELED: it may be stored or not, so try again.
	 */
	INS_AWAITS
	int (*record)(ins_ctx *, void *self, const json_t *event);
	/*
	 * The same as calls that stand in a batch of the caller's (ins_db_batch), to commit with
	 * what it does or not at all. An event that is there already leaves the batch as it is. The
	 * calls live as long as the ctx. -INS_EINVAL, -INS_ENOMEM.
	 */
	int (*calls)(ins_ctx *, void *self, const json_t *event, ins_call ret[INS_METER_CALLS]);
} ins_meter;

#endif
