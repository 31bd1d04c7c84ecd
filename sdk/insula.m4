# insula.m4: for plugins that are built with autoconf.
#
#   INSULA_PLUGIN([NAME], [VERSION])
#
# Call it after AC_PROG_CC. Finds the SDK with pkg-config and substitutes
#
#   INSULA_CFLAGS        for every source of the plugin
#   INSULA_LIBS          for the plugin: JSON
#   INSULA_LDFLAGS       for libtool, beside -module: one exported symbol
#   INSULA_MOCK_LIBS     for a test on the mock host; empty when it or Check is not installed, and then
#                        HAVE_INSULA_MOCK is false
#   INSULA_PLUGINDIR     where hosts look for plugins: pkgplugindir
#
# and defines PLUGIN_NAME and PLUGIN_VERSION for the descriptor.
#
# Copying and distribution of this file, with or without modification, are permitted in any medium.
# serial 1
AC_DEFUN([INSULA_PLUGIN], [
	AC_REQUIRE([AC_PROG_CC])
	m4_if(m4_bregexp([$1], [^[a-z][a-z0-9_]*$]), [-1],
		[m4_fatal([INSULA_PLUGIN: a plugin's name has a-z, 0-9 and _: $1])])
	PKG_CHECK_MODULES([INSULA], [insula])
	PKG_CHECK_MODULES([INSULA_MOCK], [insula-mock check], [insula_have_mock=yes], [insula_have_mock=no])
	AM_CONDITIONAL([HAVE_INSULA_MOCK], [test "x$insula_have_mock" = xyes])
	INSULA_CFLAGS="$INSULA_CFLAGS -fvisibility=hidden"
	INSULA_LDFLAGS="-avoid-version -shared -export-symbols-regex ^ins_plugin_entry\$\$"
	AC_SUBST([INSULA_LDFLAGS])
	AC_ARG_VAR([INSULA_PLUGINDIR], [where the host looks for plugins])
	AS_IF([test -z "$INSULA_PLUGINDIR"], [INSULA_PLUGINDIR=`$PKG_CONFIG --variable=plugindir insula`])
	AC_SUBST([pkgplugindir], [$INSULA_PLUGINDIR])
	AC_DEFINE([PLUGIN_NAME], ["$1"], [name of the plugin])
	AC_DEFINE([PLUGIN_VERSION], ["$2"], [version of the plugin])
])
