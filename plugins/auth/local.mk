# plugins/auth
AUTH_PURE = plugins/auth/auth_apikey.c plugins/auth/auth_apikey.h plugins/auth/auth_cache.c \
	plugins/auth/auth_cache.h plugins/auth/auth_certs.c plugins/auth/auth_certs.h \
	plugins/auth/auth_jwt.c plugins/auth/auth_jwt.h \
	plugins/auth/auth_keys.c plugins/auth/auth_keys.h
pkgplugin_LTLIBRARIES += plugins/auth/auth.la
plugins_auth_auth_la_SOURCES = plugins/auth/auth.c plugins/auth/auth.h plugins/auth/auth_identify.c \
	plugins/auth/auth_by_cert.c plugins/auth/auth_by_key.c plugins/auth/auth_by_token.c \
	plugins/auth/auth_tenant.c $(AUTH_PURE)
plugins_auth_auth_la_CFLAGS = $(AM_CFLAGS) $(JWT_CFLAGS)
plugins_auth_auth_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_auth_auth_la_LIBADD = $(JWT_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)
EXTRA_DIST += plugins/auth/README.md
