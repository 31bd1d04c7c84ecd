# Three hosts on one database. `make check-long` is R1 in its long form (10,000 runs, NATS
# away for a minute) and 200 hosts that die at named places.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_cluster
integration_tests += tests/integration/check_cluster
tests_integration_check_cluster_SOURCES = tests/integration/check_cluster.c
tests_integration_check_cluster_LDADD = $(CLUSTER_LIBS)
check_PROGRAMS += tests/integration/check_standby
integration_tests += tests/integration/check_standby
tests_integration_check_standby_SOURCES = tests/integration/check_standby.c
tests_integration_check_standby_LDADD = tests/lib/libhouse.a $(HOST_TEST_LIBS)
check-long: tests/integration/check_cluster tests/integration/check_runs_crash tests/plugins/stepper.la all-am
	$(AM_TESTS_ENVIRONMENT) INSULA_LONG=1 tests/integration/check_cluster
	$(AM_TESTS_ENVIRONMENT) INSULA_CRASHES=200 tests/integration/check_runs_crash
endif
EXTRA_DIST += contrib/haproxy/insula.cfg
