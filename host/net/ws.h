/*
 * ws.h: a WebSocket connection (RFC 6455) of one loop: a plain object between the socket, which
 * ws_h2o.c took over from HTTP, and whoever handles its messages. ws_topic.c sends one frame to
 * many.
 *
 * What comes in: messages are assembled and handed over one at a time; the next one waits until
 * ws_conn_ready(). Control frames are answered meanwhile. Past WS_INBOX_MAX waiting messages, or
 * message_max waiting bytes, the socket is not read, so the client's kernel holds the rest.
 *
 * What goes out: frames are encoded once, counted by reference and queued; a queue has a limit in
 * bytes and ws_send() says when it is full. All that waits goes out with one write.
 *
 * Everything here belongs to the connection's loop, except frames, which any loop may hold.
 */
#ifndef HOST_WS_H
#define HOST_WS_H

#include "loop/loop.h"
#include "net/ws_frame.h"

struct http_req;
struct http_conn;
struct ws_conn;

#define WS_CONN_MAGIC 0x5753636eu
#define WS_INBOX_MAX 16u        /* messages that wait for their handler */
#define WS_FRAME_COST 64u       /* a frame in a queue counts this much more than its bytes */
#define WS_PONGS_MAX 32u        /* frames in a queue that still takes every pong */
#define WS_WRITE_MAX 64u        /* frames in one write */
#define WS_FLUSH_SLICE 256u     /* connections that are written to in one turn of the loop */
#define WS_CLOSE_MS 5000        /* for the peer's half of the close handshake */
#define WS_SEND_MAX (16u << 20) /* bytes of one message to a client */

/* A frame as it goes over the wire. Any loop may hold it; it never changes. */
struct ws_frame {
	unsigned refs; /* atomic */
	size_t n;
	uint8_t bytes[];
};
struct ws_frame *ws_frame_new(unsigned op, const void *p, size_t n);
struct ws_frame *ws_frame_ref(struct ws_frame *);
void ws_frame_unref(struct ws_frame *);

struct ws_message {
	struct ws_message *next;
	unsigned op; /* WS_OP_TEXT or WS_OP_BINARY */
	size_t n, cap;
	char data[];
};

/* Loop's stack. */
struct ws_handler {
	/* Takes the message (malloc). No other comes before ws_conn_ready(). */
	void (*message)(struct ws_conn *, struct ws_message *);
	/* The client vanished while a message is being handled: hurry. */
	void (*cancel)(struct ws_conn *);
	/* There is room in the queue again, or never will be. Called once for each time that
	 * wants_room was set. */
	void (*room)(struct ws_conn *);
	/* It is over, and no message is being handled. Once; code as in the SDK. */
	void (*closed)(struct ws_conn *, unsigned code);
	/* The last reference is gone. */
	void (*free)(struct ws_conn *);
};

struct ws_limits {
	int64_t message_max, frame_max; /* bytes that come in */
	int64_t send_max;               /* bytes that wait to go out */
	int64_t ping_ms;                /* of silence, then a ping */
	int64_t pong_ms;                /* of further silence, then the end */
	int64_t close_ms;               /* for the close handshake */
};

/* Embedded in its owner's object. */
struct ws_conn {
	uint32_t magic;
	unsigned refs;
	struct ins_loop *loop;
	const struct ws_handler *handler;
	struct ws_limits limits;
	struct list members; /* struct ws_member of the topics joined */
	unsigned n_members;
	uint64_t messages_in, messages_out, bytes_in, bytes_out;

	/* private to ws_h2o.c */
	struct http_conn *http; /* NULL once the socket is gone */
	void *sock;             /* h2o_socket_t; NULL before the handshake and at the end */
	struct ws_parser parser;
	struct ws_message *partial;
	struct ws_message *inbox, **inbox_tail;
	unsigned inbox_n;
	size_t inbox_bytes;
	/* A ring of q_cap frames, a power of two. The first `flying` are with h2o. */
	struct ws_frame **q;
	unsigned q_cap, q_head, q_n, flying;
	size_t q_bytes;
	struct ws_frame *pong; /* the newest of those that found the queue long, §5.5.3 */
	struct list dirty;     /* has something to write, in a later turn */
	struct timer timer;
	int64_t heard_us, written_us, partial_us; /* partial began */
	unsigned close_code, peer_code;           /* 0 = none yet */
	/* upgrading: the 101 is on its way. writing: h2o has not sent what it was given. busy: a
	 * message is being handled. paused: the socket is not read. deaf: what still comes does not
	 * matter. closing: our close frame is queued. ending: the socket is shut down. */
	uint8_t upgrading, writing, busy, taking, delivering, paused, deaf, closing, ending, gone,
	    finished, pinged, failed, wants_room;
};

/* ws_queue.c, for ws_h2o.c: the frames that wait to go out, the oldest first. push takes the
 * reference; drop forgets what h2o does not have yet; fini forgets all and gives the memory back.
 */
size_t ws_queue_cost(const struct ws_frame *);
void ws_queue_push(struct ws_conn *, struct ws_frame *, int front);
void ws_queue_pop(struct ws_conn *);
void ws_queue_drop(struct ws_conn *);
void ws_queue_fini(struct ws_conn *);

/* refs is 1, which is the connection's own: it goes after closed(), or by ws_conn_unref() when
 * there never was an upgrade. */
void ws_conn_init(
    struct ws_conn *, struct ins_loop *, const struct ws_handler *, const struct ws_limits *);
void ws_conn_ref(struct ws_conn *);
void ws_conn_unref(struct ws_conn *);

/*
 * Answers the request with 101 and takes its connection over; the request is answered then, and its
 * owner ends it as any other. Frames may be queued before: they go out behind the 101. 0, or
 * -INS_ECANCELED when the client has left, -INS_EINVAL when it is answered already or not HTTP/1.1;
 * then the connection is as before.
 */
int ws_upgrade(struct http_req *, struct ws_conn *, const char *accept, const char *protocol);

/* Adds to the answer the Upgrade header that a 426 must have (RFC 9110 §15.5.22). */
void ws_upgrade_wanted(struct http_req *);

/* Queues the frame, taking a reference of its own. 0, -INS_ELIMIT when the queue is full (a frame
 * always fits an empty one), -INS_ECANCELED when the connection is closing or over. */
int ws_send(struct ws_conn *, struct ws_frame *);
/* As ws_send, but writes in a later turn: ws_flush_some(). */
int ws_send_later(struct ws_conn *, struct ws_frame *);
void ws_flush_some(struct ins_loop *);
/* Begins the close handshake, or does nothing when it has begun. drop: without what is queued. */
void ws_close(struct ws_conn *, unsigned code, const char *reason, int drop);
/* The message was handled: on to the next. */
void ws_conn_ready(struct ws_conn *);

/* ws_h2o.c, for http_h2o_conn.c: the connection was shut down. */
void ws_conn_cut(struct ws_conn *);

/* ws_topic.c. A topic is a name of any bytes up to a NUL. Members leave by ws_topic_leave_all. */
void ws_topic_init(void);                                             /* before the loops start */
int ws_topic_join(struct ws_conn *, const char *topic, unsigned max); /* 0, -INS_ELIMIT */
void ws_topic_leave(struct ws_conn *, const char *topic);
void ws_topic_leave_all(struct ws_conn *);
/* To the members on every loop; takes the frame. A member whose queue is full is closed with 1013.
 * On a loop. */
void ws_topic_publish(const char *topic, struct ws_frame *);

#endif
