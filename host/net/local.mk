host_libhost_a_SOURCES += \
	host/net/fetch.c host/net/fetch.h host/net/fetch_int.h \
	host/net/fetch_addr.c host/net/fetch_loop.c \
	host/net/http.c host/net/http.h \
	host/net/http_guard.c host/net/http_guard.h \
	host/net/http_h2o.c host/net/http_h2o.h \
	host/net/http_h2o_conn.c \
	host/net/http_h2o_reply.c \
	host/net/http_h2o_req.c \
	host/net/route.c host/net/route.h \
	host/net/sock.c host/net/sock.h host/net/sock_info.c \
	host/net/tls.c host/net/tls.h \
	host/net/ws.h host/net/ws_frame.c host/net/ws_frame.h \
	host/net/ws_h2o.c host/net/ws_queue.c host/net/ws_topic.c
