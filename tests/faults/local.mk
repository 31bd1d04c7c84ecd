# tests/faults: bad input, and what is left after trouble
if HAVE_CHECK
check_PROGRAMS += tests/faults/check_bad_input tests/faults/check_leaks
integration_tests += tests/faults/check_bad_input tests/faults/check_leaks
tests_faults_check_bad_input_SOURCES = tests/faults/check_bad_input.c
tests_faults_check_bad_input_LDADD = $(HOUSE_LIBS)
tests_faults_check_leaks_SOURCES = tests/faults/check_leaks.c
tests_faults_check_leaks_LDADD = $(HOUSE_LIBS)
endif
