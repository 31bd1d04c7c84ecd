host_libhost_a_SOURCES += \
	host/data/bus.c \
	host/data/bus.h \
	host/data/bus_dlq.c \
	host/data/bus_impl.h \
	host/data/bus_sub.c \
	host/data/devstack.c \
	host/data/devstack.h \
	host/data/migrate.c \
	host/data/migrate.h \
	host/data/migrate_host.c \
	host/data/outbox.c \
	host/data/outbox_event.c \
	host/data/pg.c \
	host/data/pg.h \
	host/data/pg_conn.c \
	host/data/pg_connect.c \
	host/data/pg_error.c \
	host/data/pg_impl.h \
	host/data/pg_rows.c \
	host/data/pg_stmt.c \
	host/data/redis.c \
	host/data/redis.h \
	host/data/redis_impl.h \
	host/data/redis_uv.c \
	host/data/relay.c \
	host/data/relay.h

# The host's own migrations, built in by migrate_host.c.
host_sql = sql/0001_core.sql sql/0002_no_temporary.sql
host_sql_inc = $(host_sql:.sql=.inc)
EXTRA_DIST += $(host_sql)
BUILT_SOURCES += $(host_sql_inc)
CLEANFILES += $(host_sql_inc)

# The supervisor of the private servers of `insula dev`.
pkglibexec_PROGRAMS += host/insula-devstack
host_insula_devstack_SOURCES = \
	host/data/devstackd.c \
	host/data/devstackd.h \
	host/data/devstackd_dir.c \
	host/data/devstackd_proc.c \
	host/data/devstackd_server.c
host_insula_devstack_LDADD = host/libhost.a $(PQ_LIBS) $(JANSSON_LIBS)
