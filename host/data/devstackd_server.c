/*
 * devstackd_server.c: how each of the three servers is configured, started and asked whether it is
 * there.
 *
 * PostgreSQL and Redis listen on unix sockets in a folder that only their user enters, NATS, which
 * has none, on a free port of 127.0.0.1 behind a random token. PostgreSQL keeps fsync on: what
 * `insula dev` acknowledges has to survive a power cut like anything else.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "data/devstackd.h"

#define PG_MAJOR_MIN 15

static int
missing(const struct devstackd_server *s, char err[DEVSTACKD_ERR])
{
	snprintf(err, DEVSTACKD_ERR,
	    "%s is not installed: contrib/bootstrap brings it, or apt-get install %s", s->name,
	    s->package);
	return -1;
}

/* Debian keeps each major version apart. An existing cluster wants its own, a new one the oldest
 * that we support. NULL when there is none. */
static char *
pg_program(int major, const char *program)
{
	char *path;
	int v;

	for (v = major != 0 ? major : PG_MAJOR_MIN; v <= (major != 0 ? major : PG_MAJOR_MIN + 5);
	     v++) {
		path = base_printf("/usr/lib/postgresql/%d/bin/%s", v, program);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return devstackd_find(program);
}

static int
pg_version(const char *data)
{
	char *path = base_printf("%s/PG_VERSION", data);
	FILE *f = fopen(path, "re");
	int v = 0;

	if (f != NULL && fscanf(f, "%d", &v) != 1)
		v = 0;
	if (f != NULL)
		fclose(f);
	free(path);
	return v;
}

/* A new cluster is made beside its place and renamed when it is whole: a start that was killed in
 * the middle leaves nothing that looks like one. */
static int
pg_init(struct devstackd_server *s, char err[DEVSTACKD_ERR])
{
	char *final = s->data, *fresh = base_printf("%s.new", final);
	char *initdb = pg_program(0, "initdb");
	const char *argv[] = { initdb, "-D", fresh, "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--no-locale", "--no-instructions", NULL };
	int r = -1;

	if (initdb == NULL) {
		missing(s, err);
	} else {
		fprintf(stderr, "insula: making a PostgreSQL cluster in %s\n", final);
		devstackd_remove_tree(fresh);
		s->data = fresh;
		r = devstackd_own(fresh, 0700, &s->user, err);
		if (r == 0)
			r = devstackd_run(s, argv, err);
		s->data = final;
		if (r == 0) {
			devstackd_remove_tree(final);
			if (rename(fresh, final) != 0) {
				snprintf(err, DEVSTACKD_ERR, "%s: %s", final, strerror(errno));
				r = -1;
			}
		}
	}
	free(fresh);
	free(initdb);
	return r;
}

static int
pg_prepare(struct devstackd *d, struct devstackd_server *s, char err[DEVSTACKD_ERR])
{
	FILE *f;
	int pid = 0;

	if (pg_version(s->data) == 0 && pg_init(s, err) != 0)
		return -1;
	s->binary = pg_program(pg_version(s->data), "postgres");
	if (s->binary == NULL) {
		snprintf(err, DEVSTACKD_ERR, "%s was made by PostgreSQL %d, which is not installed",
		    s->data, pg_version(s->data));
		return -1;
	}
	/* PostgreSQL refuses to start over a pid file whose number lives, whoever that is now.
	 * Leftovers of ours were stopped before: any process that still has it is another program.
	 */
	f = fopen(s->pidfile, "re");
	if (f != NULL) {
		if (fscanf(f, "%d", &pid) == 1 && pid > 1 && !devstackd_dead(pid) &&
		    devstackd_leftover(d, s) == 0)
			unlink(s->pidfile);
		fclose(f);
	}
	s->url = base_printf("postgresql://insula@/insula?host=%s", s->socks);
	return 0;
}

static unsigned
free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned port = 0;

	if (fd >= 0 && bind(fd, (struct sockaddr *)&sin, n) == 0 &&
	    getsockname(fd, (struct sockaddr *)&sin, &n) == 0)
		port = ntohs(sin.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

static int
nats_prepare(struct devstackd_server *s, char err[DEVSTACKD_ERR])
{
	char *conf = base_printf("%s/nats.conf", s->data), *text;
	unsigned char secret[32];
	int r;

	/* Also run anew when the port turned out to be taken. */
	free(s->url);
	free(s->binary);
	base_random(secret, sizeof secret);
	base_hex(s->secret, secret, sizeof secret);
	s->port = free_port();
	text = base_printf("server_name: \"insula-%.16s\"\nhost: \"127.0.0.1\"\nport: %u\n"
			   "pid_file: \"%s\"\nauthorization { token: \"%s\" }\n"
			   "jetstream { store_dir: \"%s/store\", max_mem: 64MB, max_file: 4GB }\n",
	    s->secret + 48, s->port, s->pidfile, s->secret, s->data);
	r = devstackd_write(conf, text, &s->user, err);
	s->url = base_printf("nats://%s@127.0.0.1:%u", s->secret, s->port);
	s->binary = devstackd_find(s->name);
	free(text);
	free(conf);
	return r != 0 ? r : s->binary == NULL ? missing(s, err) : 0;
}

static int
redis_prepare(struct devstackd_server *s, char err[DEVSTACKD_ERR])
{
	char *conf = base_printf("%s/redis.conf", s->data), *text;
	int r;

	/* Its title would hide the directory, by which a later start knows it as ours. */
	text = base_printf("port 0\nunixsocket \"%s/redis.sock\"\nunixsocketperm 700\n"
			   "dir \"%s\"\npidfile \"%s\"\nappendonly yes\nsave \"\"\n"
			   "maxmemory 128mb\nmaxmemory-policy volatile-lru\nset-proc-title no\n"
			   "daemonize no\nlogfile \"\"\n",
	    s->socks, s->data, s->pidfile);
	r = devstackd_write(conf, text, &s->user, err);
	s->url = base_printf("unix://%s/redis.sock", s->socks);
	s->binary = devstackd_find(s->name);
	free(text);
	free(conf);
	return r != 0 ? r : s->binary == NULL ? missing(s, err) : 0;
}

int
devstackd_prepare(struct devstackd *d, struct devstackd_server *s, char err[DEVSTACKD_ERR])
{
	if (devstackd_own(s->data, 0700, &s->user, err) != 0 ||
	    devstackd_own(s->socks, 0700, &s->user, err) != 0)
		return -1;
	switch (s->id) {
	case DEVSTACKD_PG: return pg_prepare(d, s, err);
	case DEVSTACKD_NATS: return nats_prepare(s, err);
	default: return redis_prepare(s, err);
	}
}

int
devstackd_start(struct devstackd_server *s, char err[DEVSTACKD_ERR])
{
	char *conf = base_printf("%s/%s.conf", s->data, s->id == DEVSTACKD_NATS ? "nats" : "redis");
	char *sockets = base_printf("unix_socket_directories=%s", s->socks);
	const char *pg[] = { s->binary, "-D", s->data, "-c", "listen_addresses=", "-c", sockets,
		"-c", "unix_socket_permissions=0700", "-c", "shared_buffers=32MB", "-c", "fsync=on",
		"-c", "max_connections=200", "-c", "jit=off", "-c", "timezone=UTC", "-c",
		"log_timezone=UTC", NULL };
	const char *nats[] = { s->binary, "-c", conf, NULL };
	const char *redis[] = { s->binary, conf, NULL };
	pid_t pid;

	pid = devstackd_spawn(s,
	    s->id == DEVSTACKD_PG         ? pg
		: s->id == DEVSTACKD_NATS ? nats
					  : redis,
	    err);
	free(conf);
	free(sockets);
	if (pid < 0)
		return -1;
	s->pid = pid;
	s->since_us = base_mono_us();
	s->retry_us = 0;
	return 0;
}

/* Connects, says something, looks for a word in the first answer. */
static int
probe_socket(const struct sockaddr *sa, socklen_t sa_n, const char *say, const char *want)
{
	struct timeval tv = { .tv_usec = 200000 };
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buf[1024];
	ssize_t n = -1;

	if (fd < 0)
		return 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	if (connect(fd, sa, sa_n) == 0 &&
	    (say[0] == '\0' || write(fd, say, strlen(say)) == (ssize_t)strlen(say)))
		n = read(fd, buf, sizeof buf - 1);
	close(fd);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	return strstr(buf, want) != NULL;
}

int
devstackd_probe(const struct devstackd_server *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)s->port) };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char *conninfo, name[32];
	int r;

	switch (s->id) {
	case DEVSTACKD_PG:
		conninfo = base_printf("host=%s user=postgres dbname=postgres", s->socks);
		r = PQping(conninfo) == PQPING_OK;
		free(conninfo);
		return r;
	case DEVSTACKD_NATS:
		/* Someone else may have got the port: ours names itself. */
		snprintf(name, sizeof name, "insula-%.16s", s->secret + 48);
		return probe_socket((struct sockaddr *)&sin, sizeof sin, "", name);
	default:
		snprintf(sun.sun_path, sizeof sun.sun_path, "%s/redis.sock", s->socks);
		return probe_socket((struct sockaddr *)&sun, sizeof sun, "PING\r\n", "+PONG");
	}
}

int
devstackd_pg_setup(struct devstackd_server *s, char err[DEVSTACKD_ERR])
{
	/* Not a superuser: it owns the database and may make the roles of sql/0001_core.sql. */
	static const struct {
		const char *test, *make;
	} steps[] = {
		{ "SELECT 1 FROM pg_roles WHERE rolname = 'insula'",
		    "CREATE ROLE insula LOGIN NOSUPERUSER NOBYPASSRLS CREATEROLE" },
		{ "SELECT 1 FROM pg_database WHERE datname = 'insula'",
		    "CREATE DATABASE insula OWNER insula" },
	};
	char *conninfo = base_printf("host=%s user=postgres dbname=postgres", s->socks);
	PGconn *pg = PQconnectdb(conninfo);
	size_t i;
	int r = PQstatus(pg) == CONNECTION_OK ? 0 : -1;

	for (i = 0; i < NELEM(steps) && r == 0; i++) {
		PGresult *res = PQexec(pg, steps[i].test);

		if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 0) {
			PQclear(res);
			res = PQexec(pg, steps[i].make);
		}
		if (PQresultStatus(res) != PGRES_TUPLES_OK &&
		    PQresultStatus(res) != PGRES_COMMAND_OK)
			r = -1;
		PQclear(res);
	}
	if (r != 0)
		snprintf(err, DEVSTACKD_ERR, "PostgreSQL: %s", PQerrorMessage(pg));
	PQfinish(pg);
	free(conninfo);
	return r;
}
