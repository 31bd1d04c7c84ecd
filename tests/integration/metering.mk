# Metering through a whole host.
if HAVE_CHECK
usage_shared = tests/integration/usage.c tests/integration/usage.h
usage_tests = tests/integration/check_usage_events tests/integration/check_usage_sums \
	tests/integration/check_usage_surfaces tests/integration/check_usage_first
check_PROGRAMS += $(usage_tests)
integration_tests += $(usage_tests)
tests_integration_check_usage_events_SOURCES = tests/integration/check_usage_events.c $(usage_shared)
tests_integration_check_usage_events_LDADD = $(HOUSE_LIBS)
tests_integration_check_usage_sums_SOURCES = tests/integration/check_usage_sums.c $(usage_shared) \
	plugins/metering/money.c plugins/metering/money.h
tests_integration_check_usage_sums_CFLAGS = $(AM_CFLAGS)
tests_integration_check_usage_sums_LDADD = $(HOUSE_LIBS)
tests_integration_check_usage_surfaces_SOURCES = tests/integration/check_usage_surfaces.c $(usage_shared)
tests_integration_check_usage_surfaces_LDADD = $(HOUSE_LIBS)
tests_integration_check_usage_first_SOURCES = tests/integration/check_usage_first.c $(usage_shared)
tests_integration_check_usage_first_LDADD = $(HOUSE_LIBS)
endif
