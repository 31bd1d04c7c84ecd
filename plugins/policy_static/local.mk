# plugins/policy_static
pkgplugin_LTLIBRARIES += plugins/policy_static/policy_static.la
policy_static_pure = plugins/policy_static/policy_static_rules.c plugins/policy_static/policy_static_rules.h
plugins_policy_static_policy_static_la_SOURCES = $(policy_static_pure) plugins/policy_static/policy_static.c
plugins_policy_static_policy_static_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_policy_static_policy_static_la_LIBADD = $(JANSSON_LIBS) -lm
EXTRA_DIST += plugins/policy_static/README.md
