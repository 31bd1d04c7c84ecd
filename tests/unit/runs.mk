# CFLAGS of its own give a program objects of its own, apart from those of the plugin.
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_text tests/unit/check_answer tests/unit/check_fold tests/unit/check_fold_random tests/unit/check_faq \
	tests/unit/check_share tests/unit/check_fair
unit_tests += tests/unit/check_text tests/unit/check_answer tests/unit/check_fold tests/unit/check_fold_random tests/unit/check_faq \
	tests/unit/check_share tests/unit/check_fair
tests_unit_check_text_SOURCES = tests/unit/check_text.c
tests_unit_check_text_LDADD = plugins/text/libtext.la $(UNIT_LIBS)
tests_unit_check_answer_CFLAGS = $(AM_CFLAGS)
tests_unit_check_answer_SOURCES = tests/unit/check_answer.c plugins/model_extractive/extract.c \
	plugins/model_extractive/extract_join.c
tests_unit_check_answer_LDADD = plugins/text/libtext.la $(UNIT_LIBS)
tests_unit_check_fold_CFLAGS = $(AM_CFLAGS)
tests_unit_check_fold_SOURCES = tests/unit/check_fold.c tests/unit/runs_api.h $(runs_fold)
tests_unit_check_fold_LDADD = $(UNIT_LIBS)
tests_unit_check_fold_random_CFLAGS = $(AM_CFLAGS)
tests_unit_check_fold_random_SOURCES = tests/unit/check_fold_random.c tests/unit/runs_api.h $(runs_fold)
tests_unit_check_fold_random_LDADD = $(UNIT_LIBS)
tests_unit_check_faq_CFLAGS = $(AM_CFLAGS)
tests_unit_check_faq_SOURCES = tests/unit/check_faq.c tests/unit/runs_api.h plugins/workflow_faq/faq_advance.c \
	plugins/workflow_faq/confidence.c
tests_unit_check_faq_LDADD = plugins/text/libtext.la $(UNIT_LIBS)
tests_unit_check_share_CFLAGS = $(AM_CFLAGS)
tests_unit_check_share_SOURCES = tests/unit/check_share.c plugins/runs/engine_share.c plugins/runs/engine_share.h
tests_unit_check_share_LDADD = $(UNIT_LIBS)
tests_unit_check_fair_CFLAGS = $(AM_CFLAGS)
tests_unit_check_fair_SOURCES = tests/unit/check_fair.c plugins/runs/engine_fair.c plugins/runs/engine_fair.h
tests_unit_check_fair_LDADD = $(UNIT_LIBS)
endif
