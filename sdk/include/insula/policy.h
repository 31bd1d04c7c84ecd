/* policy.h: "ins.policy/1": picks a model tier. JSON in, JSON out. */
#ifndef INSULA_POLICY_H
#define INSULA_POLICY_H

#include <insula/insula.h>

#define INS_POLICY_IFACE "ins.policy/1"

typedef struct {
	uint32_t size;
	void *self;
	/*
	 * in:  {"workflow": text or "", "plan": text, "input_chars": n, "confidence": 0..1 or
	 * absent, "tier": a tier that the caller asks for, or absent} out: {"tiers": ["SLM_A", ...]
	 * in the order to try, never empty, "rule": name of the rule that decided} Does no I/O and
	 * is deterministic for the same input and configuration.
	 */
	int (*choose)(ins_ctx *, void *self, const json_t *in, json_t **ret_out);
} ins_policy;

#endif
