host_libhost_a_SOURCES += \
	host/data/bus.h \
	host/data/devstack.h \
	host/data/migrate.h \
	host/data/pg.h
