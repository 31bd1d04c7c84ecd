# tests/bench
# plugins/index_local: quality and speed of the index; skipped where the collection is absent
CRANFIELD = $(top_srcdir)/../shared/data/cranfield
EXTRA_PROGRAMS += tests/bench/bench_bm25
tests_bench_bench_bm25_SOURCES = tests/bench/bench_bm25.c $(index_sources)
tests_bench_bench_bm25_LDADD = $(index_libs) $(JANSSON_LIBS)
bench-bm25: tests/bench/bench_bm25
	-tests/bench/bench_bm25 $(CRANFIELD)
bench: bench-bm25
CLEANFILES += tests/bench/bench_bm25
# plugins/workflow_faq: fits the confidence; needs the data and the pages of debian-faq
EXTRA_PROGRAMS += tests/bench/fit_confidence
tests_bench_fit_confidence_CPPFLAGS = $(AM_CPPFLAGS) $(XML_CFLAGS)
tests_bench_fit_confidence_SOURCES = tests/bench/fit_confidence.c plugins/workflow_faq/confidence.c $(index_sources)
tests_bench_fit_confidence_LDADD = plugins/text/libtext.la $(index_libs) $(XML_LIBS) $(JANSSON_LIBS)
EXTRA_DIST += tests/bench/faq_questions.jsonl
CLEANFILES += tests/bench/fit_confidence
# plugins/runs: latency and throughput of durable runs through a whole host with PostgreSQL; needs check, as tests do
EXTRA_PROGRAMS += tests/bench/bench_runs
tests_bench_bench_runs_SOURCES = tests/bench/bench_runs.c
tests_bench_bench_runs_LDADD = $(HOUSE_LIBS)
bench-runs: tests/bench/bench_runs tests/plugins/stepper.la tests/lib/upstream all-am
	-tests/bench/bench_runs
bench: bench-runs
CLEANFILES += tests/bench/bench_runs
# the host: one row per figure; a benchmark never fails a build
bench_programs = tests/bench/h2o_bare tests/bench/bench_tokens tests/bench/bench_faq \
	tests/bench/bench_start tests/bench/bench_switch
EXTRA_PROGRAMS += $(bench_programs)
tests_bench_h2o_bare_SOURCES = tests/bench/h2o_bare.c
tests_bench_h2o_bare_LDADD = $(H2O_LIBS) $(UV_LIBS) $(OPENSSL_LIBS) -lwslay -lz -lm
tests_bench_bench_tokens_SOURCES = tests/bench/bench_tokens.c
tests_bench_bench_tokens_LDADD = $(OPENSSL_LIBS)
tests_bench_bench_faq_SOURCES = tests/bench/bench_faq.c
tests_bench_bench_start_SOURCES = tests/bench/bench_start.c
tests_bench_bench_switch_SOURCES = tests/bench/bench_switch.c host/loop/co.c host/base/base.c
tests_bench_bench_switch_LDADD = $(BOOST_CONTEXT_LIBS)
EXTRA_DIST += tests/bench/run tests/bench/tokens.lua
CLEANFILES += $(bench_programs)
bench-host: all-am $(bench_programs)
	-@tests/bench/bench_switch
	-@$(srcdir)/tests/bench/run $(top_builddir)
bench: bench-host
# load tools, and the figures of runs and usage events
load_programs = tests/bench/load tests/bench/mock tests/bench/bench_fold
tests_bench_bench_fold_SOURCES = tests/bench/bench_fold.c tests/unit/runs_api.h $(runs_fold)
tests_bench_bench_fold_CFLAGS = $(AM_CFLAGS)
tests_bench_bench_fold_LDADD = $(JANSSON_LIBS)
EXTRA_PROGRAMS += $(load_programs)
tests_bench_load_SOURCES = tests/bench/load.c tests/bench/hist.c tests/bench/hist.h
tests_bench_mock_SOURCES = tests/bench/mock.c
tests_bench_mock_LDADD = $(UV_LIBS)
EXTRA_DIST += tests/bench/run_durable tests/bench/durable_run.sql tests/bench/usage_events.sql tests/bench/restate/service.mjs
CLEANFILES += $(load_programs)
bench-durable: all-am $(load_programs) tests/bench/bench_start tests/plugins/stepper.la
	-@tests/bench/bench_fold
	-@$(srcdir)/tests/bench/run_durable $(top_builddir)
bench: bench-durable
.PHONY: bench bench-host bench-bm25 bench-runs bench-durable
