# unit tests of base
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_arena
unit_tests += tests/unit/check_arena
tests_unit_check_arena_SOURCES = tests/unit/check_arena.c
tests_unit_check_arena_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/check_json
unit_tests += tests/unit/check_json
tests_unit_check_json_SOURCES = tests/unit/check_json.c
tests_unit_check_json_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/check_log
unit_tests += tests/unit/check_log
tests_unit_check_log_SOURCES = tests/unit/check_log.c
tests_unit_check_log_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/check_metric
unit_tests += tests/unit/check_metric
tests_unit_check_metric_SOURCES = tests/unit/check_metric.c
tests_unit_check_metric_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/check_str
unit_tests += tests/unit/check_str
tests_unit_check_str_SOURCES = tests/unit/check_str.c
tests_unit_check_str_LDADD = $(UNIT_LIBS)
endif
