/* langgraph_stream.h: what the files of a stream share: langgraph_stream.c, _frames.c, _messages.c.
 */
#ifndef LANGGRAPH_STREAM_H
#define LANGGRAPH_STREAM_H

#include "langgraph.h"

#define LG_PARTIAL_MAX ((size_t)4 << 20) /* bytes of one message made of pieces */
#define LG_HELD_MAX ((size_t)1 << 20)    /* bytes of pieces that wait for their step's beginning */
#define LG_MESSAGES_MAX 4096u            /* ids of messages that one stream remembers */

/* One stream. Everything in it ends with the task. */
struct stream {
	ins_ctx *ctx;
	struct lg *lg;
	const struct lg_streamed *s;
	json_t *frames; /* [event, data, ...] of the recorded event that is being told */
	json_t *open;   /* tasks that are under way: id -> name */
	json_t *
	    complete; /* messages of the mode messages-tuple, told in pieces or whole: id -> true */
	json_t *whole;    /* the same of messages/complete */
	json_t *partial;  /* messages that are being put together: id -> text */
	json_t *metadata; /* of message chunks, and of events */
	int64_t seq;      /* of the last recorded event */
	unsigned pieces;  /* SSE events since then that are not recorded */
	json_t *parent;   /* {"seq": of the newest state, "parent": of that before} */
	json_t *held;     /* pieces of steps that no told event has begun yet */
	size_t held_bytes;
	json_int_t last_step; /* the newest step that was told to be under way */
	uint32_t skip;        /* frames of the next recorded event that the client has */
	int begun;            /* RunStarted was told */
};

/* Adds a frame; takes data. */
void frame_add(struct stream *, const char *event, json_t *data);
/* The same, if the client asked for one of these modes. */
void frame_mode(struct stream *, unsigned mode, const char *event, json_t *data);

/* All frames of a recorded event of the engine. */
void frames_of_event(struct stream *, const json_t *event);
/* What the client of this stream was told before, up to this state. */
void stream_recall(struct stream *, const json_t *state);
/* All frames of a piece of a step's stream, and of the news that pieces do not hold. */
void frames_of_delta(struct stream *, const json_t *delta_event);
void frames_of_cut(struct stream *, const json_t *cut_event);

/* Of messages in values or in what a step wrote: those that were not told yet. */
void messages_of_values(struct stream *, const json_t *values);
void messages_of_update(struct stream *, const json_t *event, const json_t *update);

#endif
