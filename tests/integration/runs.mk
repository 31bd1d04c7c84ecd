# The run engine: a whole host that is killed and started again.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_runs
integration_tests += tests/integration/check_runs
tests_integration_check_runs_SOURCES = tests/integration/check_runs.c
tests_integration_check_runs_LDADD = $(HOUSE_LIBS)
endif
