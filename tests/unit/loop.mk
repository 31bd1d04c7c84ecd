# unit tests of loop
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_co
unit_tests += tests/unit/check_co
tests_unit_check_co_SOURCES = tests/unit/check_co.c
tests_unit_check_co_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/check_loop
unit_tests += tests/unit/check_loop
tests_unit_check_loop_SOURCES = tests/unit/check_loop.c
tests_unit_check_loop_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/check_task
unit_tests += tests/unit/check_task
tests_unit_check_task_SOURCES = tests/unit/check_task.c
tests_unit_check_task_LDADD = $(UNIT_LIBS)
endif
