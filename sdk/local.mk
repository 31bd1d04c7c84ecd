insulaincludedir = $(includedir)/insula
insulainclude_HEADERS = \
	sdk/include/insula/auth.h \
	sdk/include/insula/child.h \
	sdk/include/insula/engine.h \
	sdk/include/insula/insula.h \
	sdk/include/insula/meter.h \
	sdk/include/insula/mock.h \
	sdk/include/insula/model.h \
	sdk/include/insula/policy.h \
	sdk/include/insula/retriever.h \
	sdk/include/insula/runs.h \
	sdk/include/insula/workflow.h \
	sdk/include/insula/ws.h \
	sdk/include/insula/wrappers.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = sdk/insula.pc sdk/insula-mock.pc
aclocaldir = $(datadir)/aclocal
dist_aclocal_DATA = sdk/insula.m4

dist_doc_DATA = sdk/doc/guide.md

# The headers' comments as manual pages.
sdk_man3 = \
	sdk/man/insula.3 \
	sdk/man/insula_auth.3 \
	sdk/man/insula_child.3 \
	sdk/man/insula_engine.3 \
	sdk/man/insula_meter.3 \
	sdk/man/insula_mock.3 \
	sdk/man/insula_model.3 \
	sdk/man/insula_policy.3 \
	sdk/man/insula_retriever.3 \
	sdk/man/insula_runs.3 \
	sdk/man/insula_workflow.3 \
	sdk/man/insula_wrappers.3
nodist_man_MANS = $(sdk_man3)
CLEANFILES += $(sdk_man3)
EXTRA_DIST += sdk/header2man.awk
$(sdk_man3): sdk/header2man.awk $(insulainclude_HEADERS)
	@$(MKDIR_P) sdk/man
	$(AM_V_GEN)n=$$(basename $@ .3); h=$${n#insula_}; \
	$(AWK) -f $(top_srcdir)/sdk/header2man.awk -v name=$$n -v header=$$h.h \
		$(top_srcdir)/sdk/include/insula/$$h.h > $@

# What the option tables say: a sample and a manual page of each plugin.
sampledir = $(pkgdatadir)/plugins
install-data-hook:
	$(MKDIR_P) "$(DESTDIR)$(sampledir)" "$(DESTDIR)$(man5dir)"
	@for la in $(pkgplugin_LTLIBRARIES); do n=$$(basename $$la .la); \
		for form in yaml man; do \
			case $$form in yaml) to="$(DESTDIR)$(sampledir)/$$n.yaml" ;; \
			man) to="$(DESTDIR)$(man5dir)/insula-$$n.5" ;; esac; \
			ASAN_OPTIONS=detect_leaks=0 host/insula plugin doc --$$form modules/$$n.so > "$$to" || exit 1; \
		done; done
uninstall-hook:
	@for la in $(pkgplugin_LTLIBRARIES); do n=$$(basename $$la .la); \
		rm -f "$(DESTDIR)$(sampledir)/$$n.yaml" "$(DESTDIR)$(man5dir)/insula-$$n.5"; done

# The mock host: files of its own, and those of the host that they stand under. One object in which everything but
# ins_mock_* is local, and whose clock is the mock's.
noinst_LIBRARIES += sdk/mock/libmockown.a
sdk_mock_libmockown_a_SOURCES = \
	sdk/mock/mock.c \
	sdk/mock/mock_data.c \
	sdk/mock/mock_fetch.c \
	sdk/mock/mock_http.c \
	sdk/mock/mock_impl.h \
	sdk/mock/mock_loop.c \
	sdk/mock/mock_rest.c
mock_host_objects = \
	host/base/arena.$(OBJEXT) \
	host/base/base.$(OBJEXT) \
	host/base/err.$(OBJEXT) \
	host/base/json.$(OBJEXT) \
	host/base/log.$(OBJEXT) \
	host/base/metric.$(OBJEXT) \
	host/base/str.$(OBJEXT) \
	host/data/outbox_event.$(OBJEXT) \
	host/data/pg_stmt.$(OBJEXT) \
	host/loop/cond.$(OBJEXT) \
	host/loop/task.$(OBJEXT) \
	host/loop/timer.$(OBJEXT) \
	host/net/http.$(OBJEXT) \
	host/net/route.$(OBJEXT) \
	host/plugin/abi.$(OBJEXT) \
	host/plugin/api_auth.$(OBJEXT) \
	host/plugin/api_bus.$(OBJEXT) \
	host/plugin/api_core.$(OBJEXT) \
	host/plugin/api_db.$(OBJEXT) \
	host/plugin/api_fetch.$(OBJEXT) \
	host/plugin/api_http.$(OBJEXT) \
	host/plugin/api_task.$(OBJEXT) \
	host/plugin/conf_opt.$(OBJEXT) \
	host/plugin/conf_yaml.$(OBJEXT) \
	host/plugin/owner.$(OBJEXT) \
	host/plugin/plugin.$(OBJEXT) \
	host/plugin/request.$(OBJEXT) \
	host/plugin/svc.$(OBJEXT) \
	host/plugin/trace.$(OBJEXT)
mocklibdir = $(libdir)
mocklib_DATA = sdk/libinsula_mock.a
sdk/libinsula_mock.a: sdk/mock/libmockown.a host/libhost.a
	$(AM_V_GEN)$(LD) -r --wrap=base_mono_us --wrap=base_now_us -o sdk/mock/whole.o \
		--whole-archive sdk/mock/libmockown.a --no-whole-archive $(mock_host_objects) && \
	$(OBJCOPY) --wildcard --keep-global-symbol='ins_mock_*' sdk/mock/whole.o && \
	rm -f $@ && $(AR) cr $@ sdk/mock/whole.o
CLEANFILES += sdk/libinsula_mock.a sdk/mock/whole.o
MOCK_LIBS = sdk/libinsula_mock.a $(YAML_LIBS) $(JANSSON_LIBS) -lm $(CHECK_LIBS)

# What `insula plugin new` writes, built in.
plugin_template = \
	sdk/template/Makefile \
	sdk/template/Makefile.am \
	sdk/template/README.md \
	sdk/template/check_yourplugin.c \
	sdk/template/configure.ac \
	sdk/template/gitignore \
	sdk/template/yourplugin.c
EXTRA_DIST += $(plugin_template) sdk/template2c.awk
sdk/template.inc: $(plugin_template) sdk/template2c.awk
	@$(MKDIR_P) $(@D)
	$(AM_V_GEN)$(AWK) -f $(top_srcdir)/sdk/template2c.awk $(plugin_template:%=$(top_srcdir)/%) > $@
BUILT_SOURCES += sdk/template.inc
CLEANFILES += sdk/template.inc
