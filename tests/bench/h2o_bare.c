/*
 * h2o_bare.c: the reference of P1a: a libh2o handler that answers at once, on one loop, with the
 * same bytes that plugins/hello answers with. No routing, no authentication, no log. Listens on a
 * free port of 127.0.0.1, prints it, and serves until SIGTERM.
 */
#define H2O_USE_LIBUV 1
#include <h2o.h>
#include <h2o/http1.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static h2o_globalconf_t config;
static h2o_context_t ctx;
static h2o_accept_ctx_t accept_ctx;
static const char body[] = "{\"greeting\":\"Hello\",\"name\":\"x\","
			   "\"tenant\":\"01900000-0000-7000-8000-000000000000\"}";

static int
answer(h2o_handler_t *self, h2o_req_t *req)
{
	static h2o_generator_t generator;
	h2o_iovec_t v = { (char *)(uintptr_t)body, sizeof body - 1 };

	(void)self;
	req->res.status = 200;
	req->res.reason = "OK";
	req->res.content_length = v.len;
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
	    H2O_STRLIT("application/json"));
	h2o_start_response(req, &generator);
	h2o_send(req, &v, 1, H2O_SEND_STATE_FINAL);
	return 0;
}

static void
on_connection(uv_stream_t *listener, int status)
{
	uv_tcp_t *conn;

	if (status != 0)
		return;
	conn = h2o_mem_alloc(sizeof *conn);
	uv_tcp_init(listener->loop, conn);
	if (uv_accept(listener, (uv_stream_t *)conn) != 0) {
		uv_close((uv_handle_t *)conn, (uv_close_cb)free);
		return;
	}
	uv_tcp_nodelay(conn, 1);
	h2o_accept(&accept_ctx, h2o_uv_socket_create((uv_stream_t *)conn, (uv_close_cb)free));
}

int
main(void)
{
	h2o_hostconf_t *host;
	struct sockaddr_in sin;
	int len = sizeof sin;
	uv_tcp_t listener;
	uv_loop_t loop;

	/* The reference at its best: in a process of one thread glibc gives the top of the heap
	 * back and takes it again with each request of some hundred bytes, three times the work. */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_TOP_PAD, 16 << 20);
	uv_loop_init(&loop);
	uv_tcp_init(&loop, &listener);
	uv_ip4_addr("127.0.0.1", 0, &sin);
	if (uv_tcp_bind(&listener, (struct sockaddr *)&sin, 0) != 0 ||
	    uv_listen((uv_stream_t *)&listener, 128, on_connection) != 0) {
		fprintf(stderr, "h2o_bare: cannot listen on 127.0.0.1\n");
		return 1;
	}
	h2o_config_init(&config);
	host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req =
	    answer;
	h2o_context_init(&ctx, &loop, &config);
	accept_ctx.ctx = &ctx;
	accept_ctx.hosts = config.hosts;
	uv_tcp_getsockname(&listener, (struct sockaddr *)&sin, &len);
	printf("%d\n", ntohs(sin.sin_port));
	fflush(stdout);
	return uv_run(&loop, UV_RUN_DEFAULT);
}
