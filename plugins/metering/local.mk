# plugins/metering: what needs no host is linked into its tests and fuzz targets too
metering_pure = plugins/metering/instant.c plugins/metering/instant.h plugins/metering/money.c plugins/metering/money.h \
	plugins/metering/prices.c plugins/metering/prices.h plugins/metering/prices_yaml.c \
	plugins/metering/usage.c plugins/metering/usage.h plugins/metering/usage_cloudevent.c plugins/metering/usage_int.h
metering_libs = $(YAML_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)
pkgplugin_LTLIBRARIES += plugins/metering/metering.la
plugins_metering_metering_la_SOURCES = plugins/metering/metering.c plugins/metering/metering.h \
	plugins/metering/metering_bus.c plugins/metering/metering_events.c \
	plugins/metering/metering_join.c plugins/metering/metering_meter.c \
	plugins/metering/metering_store.c plugins/metering/metering_sums.c $(metering_pure) \
	plugins/runs/array.c plugins/runs/array.h
plugins_metering_metering_la_CFLAGS = $(AM_CFLAGS)
plugins_metering_metering_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_metering_metering_la_LIBADD = $(metering_libs)
BUILT_SOURCES += plugins/metering/metering.inc etc/prices.inc
CLEANFILES += plugins/metering/metering.inc etc/prices.inc
EXTRA_DIST += plugins/metering/README.md plugins/metering/metering.sql
