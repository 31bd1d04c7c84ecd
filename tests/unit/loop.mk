# unit tests of loop
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_task
unit_tests += tests/unit/check_task
tests_unit_check_task_SOURCES = tests/unit/check_task.c
tests_unit_check_task_LDADD = $(UNIT_LIBS)
endif
