# The run engine: a whole host that is killed and started again.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_runs tests/integration/check_runs_wait tests/integration/check_runs_odd \
	tests/integration/check_runs_crash
integration_tests += tests/integration/check_runs tests/integration/check_runs_wait tests/integration/check_runs_odd \
	tests/integration/check_runs_crash
tests_integration_check_runs_SOURCES = tests/integration/check_runs.c tests/lib/runner.c tests/lib/runner.h
tests_integration_check_runs_LDADD = $(HOUSE_LIBS)
tests_integration_check_runs_wait_SOURCES = tests/integration/check_runs_wait.c tests/lib/runner.c tests/lib/runner.h
tests_integration_check_runs_wait_LDADD = $(HOUSE_LIBS)
tests_integration_check_runs_odd_SOURCES = tests/integration/check_runs_odd.c tests/lib/runner.c tests/lib/runner.h
tests_integration_check_runs_odd_LDADD = $(HOUSE_LIBS)
tests_integration_check_runs_crash_SOURCES = tests/integration/check_runs_crash.c tests/lib/runner.c tests/lib/runner.h
tests_integration_check_runs_crash_LDADD = $(HOUSE_LIBS)
endif
