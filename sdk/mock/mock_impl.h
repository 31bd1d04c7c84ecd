/*
 * mock_impl.h: what the files of the mock host share. One mock, one thread, one loop: no locks.
 *
 * The mock is the host's own code from the capability tables down to tasks; these files stand in
 * for what lies below: the loop and its clock (mock_loop.c), the connection of a client
 * (mock_http.c), PostgreSQL and NATS (mock_data.c), the network (mock_fetch.c), and generations, of
 * which there is one (mock.c). The archive is one object with everything but ins_mock_* made local,
 * so that no name of the host can meet one of the plugin's.
 */
#ifndef SDK_MOCK_IMPL_H
#define SDK_MOCK_IMPL_H

#include <insula/auth.h>
#include <insula/mock.h>

#include "base/str.h"
#include "plugin/gen.h"

#define MOCK_REQUEST_MS 120000 /* as a host without limits.request in its configuration */
#define MOCK_DRAIN_MS 30000

struct mock_answer_rule;

struct ins_mock {
	ins_entry_fn entry;
	struct image image;
	struct instance *inst;
	struct gen gen;
	int serving, closed; /* closed: stop, fini and sweep are through */
	char error[CONF_ERR_MAX];
	struct svc_offer *offers, **offers_tail; /* of the test */
	struct svc_party party[3];               /* the plugin, the test, the host */
	char *tenant, *user, *plan, *permissions;
	struct mock_req *requests;
	struct mock_rule *db_rules, *fetch_rules;
	struct bus_sub *subs;
	json_t *db_calls, *events, *fetches;
	size_t fetch_piece;
	struct arena arena; /* what lives until ins_mock_free() */
	int log_fd;
	char *log;
};

/* An answer that the test put there, of the database or of a peer. */
struct mock_rule {
	struct mock_rule *next;
	const char *part;   /* of the SQL text; the URL's beginning */
	const char *method; /* fetch */
	json_t *rows;       /* db; NULL: fails with code */
	int status, code;   /* fetch: code != 0 with status 0 fails the open, else cuts the body */
	const char *headers, *body;
	int used;
};

extern struct ins_mock *mock_current;

/* mock_loop.c */
extern struct ins_loop mock_loop;
void mock_loop_init(void);
void mock_loop_fini(void);
/* Runs tasks and moves the clock until *done, or until the clock stands at until_us, or until
 * nothing will ever happen. done may be NULL. */
void mock_run_until(const int *done, int64_t until_us);
void mock_settle(void); /* runs what can run without moving the clock */

/* mock_http.c */
struct mock_req;
void mock_requests_free(struct ins_mock *);
/* The value of `lower_name` in "Name: value\n..."; {NULL, 0} when absent. */
ins_str mock_header_in(const char *headers, const char *lower_name);

/* mock_rest.c */
extern const ins_engine_api mock_engine;
int mock_not_offered(struct ins_ctx *, const char *what);

/* Appends to the list that begins at *head. */
struct mock_rule *mock_rule_add(struct mock_rule **head);
unsigned mock_rules_left(const struct mock_rule *, char *why, size_t size, const char *what);

#endif
