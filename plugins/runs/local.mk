runs_fold = plugins/runs/fold.c plugins/runs/fold.h plugins/runs/fold_int.h plugins/runs/fold_decide.c \
	plugins/runs/array.c plugins/runs/array.h
pkgplugin_LTLIBRARIES += plugins/runs/runs.la
plugins_runs_runs_la_SOURCES = plugins/runs/runs.c plugins/runs/runs_http.c plugins/runs/engine.c plugins/runs/engine.h \
	plugins/runs/engine_batch.c plugins/runs/engine_commit.c plugins/runs/engine_lease.c \
	plugins/runs/engine_load.c plugins/runs/engine_step.c plugins/runs/engine_watch.c $(runs_fold)
plugins_runs_runs_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_runs_runs_la_LIBADD = $(JANSSON_LIBS)
BUILT_SOURCES += plugins/runs/runs.inc
CLEANFILES += plugins/runs/runs.inc
EXTRA_DIST += plugins/runs/runs.sql plugins/runs/runs_threads.sql plugins/runs/README.md
