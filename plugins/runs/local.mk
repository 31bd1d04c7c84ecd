runs_fold = plugins/runs/fold.c plugins/runs/fold.h plugins/runs/fold_int.h plugins/runs/fold_decide.c \
	plugins/runs/fold_event.c plugins/runs/fold_wait.c plugins/runs/fold_state.c \
	plugins/runs/array.c plugins/runs/array.h
pkgplugin_LTLIBRARIES += plugins/runs/runs.la
plugins_runs_runs_la_SOURCES = plugins/runs/runs.c plugins/runs/runs_http.c plugins/runs/runs_http_act.c \
	 plugins/runs/engine.c plugins/runs/engine.h \
	plugins/runs/engine_batch.c plugins/runs/engine_batch.h plugins/runs/engine_batch_with.c \
	plugins/runs/engine_commit.c plugins/runs/engine_lease.c plugins/runs/engine_load.c \
	plugins/runs/engine_load.h plugins/runs/engine_load_begin.c plugins/runs/engine_send.c plugins/runs/engine_inbox.c \
	plugins/runs/engine_share.c plugins/runs/engine_share.h plugins/runs/engine_ready_list.c \
	plugins/runs/engine_fair.c plugins/runs/engine_fair.h \
	plugins/runs/engine_ready.c plugins/runs/engine_relay.c plugins/runs/failpoint.c plugins/runs/engine_start.c plugins/runs/engine_state.c \
	plugins/runs/engine_step.c plugins/runs/engine_told.c plugins/runs/engine_timer.c plugins/runs/engine_watch.c $(runs_fold)
plugins_runs_runs_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_runs_runs_la_LIBADD = $(JANSSON_LIBS)
BUILT_SOURCES += plugins/runs/runs.inc plugins/runs/runs_threads.inc plugins/runs/runs_hosts.inc plugins/runs/runs_pending.inc
CLEANFILES += plugins/runs/runs.inc plugins/runs/runs_threads.inc plugins/runs/runs_hosts.inc plugins/runs/runs_pending.inc
EXTRA_DIST += plugins/runs/runs.sql plugins/runs/runs_threads.sql plugins/runs/runs_hosts.sql plugins/runs/runs_pending.sql plugins/runs/README.md
