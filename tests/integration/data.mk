# Data and tenancy on real servers.
if HAVE_CHECK
check_LIBRARIES += tests/lib/libservers.a
tests_lib_libservers_a_SOURCES = \
	tests/lib/inloop.c \
	tests/lib/inloop.h \
	tests/lib/servers.c \
	tests/lib/servers.h
SERVER_LIBS = tests/lib/libservers.a $(UNIT_LIBS)

check_PROGRAMS += tests/integration/check_pg
integration_tests += tests/integration/check_pg
tests_integration_check_pg_SOURCES = tests/integration/check_pg.c
tests_integration_check_pg_LDADD = $(SERVER_LIBS)

check_PROGRAMS += tests/integration/check_bus
integration_tests += tests/integration/check_bus
tests_integration_check_bus_SOURCES = tests/integration/check_bus.c
tests_integration_check_bus_LDADD = $(SERVER_LIBS)

check_PROGRAMS += tests/integration/check_relay
integration_tests += tests/integration/check_relay
tests_integration_check_relay_SOURCES = tests/integration/check_relay.c
tests_integration_check_relay_LDADD = $(SERVER_LIBS)

check_PROGRAMS += tests/integration/check_redis
integration_tests += tests/integration/check_redis
tests_integration_check_redis_SOURCES = tests/integration/check_redis.c
tests_integration_check_redis_LDADD = $(SERVER_LIBS)

check_PROGRAMS += tests/integration/check_devstack
integration_tests += tests/integration/check_devstack
tests_integration_check_devstack_SOURCES = tests/integration/check_devstack.c
tests_integration_check_devstack_LDADD = $(SERVER_LIBS)

check_PROGRAMS += tests/integration/check_migrate
integration_tests += tests/integration/check_migrate
tests_integration_check_migrate_SOURCES = tests/integration/check_migrate.c
tests_integration_check_migrate_LDADD = $(SERVER_LIBS)

check_PROGRAMS += tests/integration/check_tenant
integration_tests += tests/integration/check_tenant
tests_integration_check_tenant_SOURCES = tests/integration/check_tenant.c
tests_integration_check_tenant_LDADD = $(SERVER_LIBS)
endif
