/*
 * relay.h: small messages between loops and hosts that may be lost: "look again" and the pieces of
 * a stream.
 *
 * What is published goes to every relay that is open on that subject: in this process by the
 * loops' mailboxes, always; on other hosts by core NATS, while it is there. Never both ways for one
 * message (no_echo). Of one publisher and subject, what arrives is in order. Nobody may depend on a
 * message: every use has a poll, or a log, beside it.
 *
 * Loops never touch NATS' connection, which may block: a thread publishes for them.
 * Every queue is bounded; what does not fit is counted in relay_dropped_total and gone.
 */
#ifndef HOST_RELAY_H
#define HOST_RELAY_H

#include <insula/insula.h>

#include "loop/loop.h"

#define RELAY_PREFIX "ins." /* of every subject, so that no event's subject (t.>) is one */
#define RELAY_SUBJECT_MAX 128
#define RELAY_DATA_MAX (256u << 10)
#define RELAY_OPEN_MAX 65536u          /* of this process */
#define RELAY_OUT_MAX 4096u            /* messages on their way to NATS */
#define RELAY_OUT_BYTES (16u << 20)    /* of them */
#define RELAY_LOOP_MAX 4096u           /* messages on their way to one loop */
#define RELAY_LOOP_BYTES (16u << 20)   /* of them */
#define RELAY_PENDING_MAX 4096         /* messages from NATS, in its library */
#define RELAY_PENDING_BYTES (16 << 20) /* of them */

/* Control thread, after loop_init(). url NULL: this process only. */
void relay_init(const char *url);
/* Control thread, before bus_fini(), while the loops run. Relays may still be open; nothing comes
 * any more. */
void relay_fini(void);
int relay_up(void); /* 1 while NATS is connected */

/*
 * fn(arg, subject, data) on that loop, outside of any task, from the next turn on. The loop's
 * thread. NULL: not a subject, or too many. owner is
 * what relay_owner() gives.
 */
struct ins_relay *relay_open(struct ins_loop *, const char *subject,
    void (*fn)(void *arg, const char *subject, ins_str data), void *arg, void *owner);
/* The relay's loop, also inside fn, which is not called again. NULL does nothing. */
void relay_close(struct ins_relay *);
void *relay_owner(const struct ins_relay *);
struct ins_loop *relay_loop(const struct ins_relay *);

/* Any thread; suspends and blocks on nothing. 0, which promises nothing, -INS_EINVAL or
 * -INS_ETOOBIG. */
int relay_publish(const char *subject, const void *p, size_t n);

#endif
