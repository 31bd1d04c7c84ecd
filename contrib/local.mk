EXTRA_DIST += contrib/bootstrap contrib/check contrib/quickstart contrib/lib/stages.sh
EXTRA_DIST += contrib/systemd/insula.service contrib/adr/0002-generations.md contrib/adr/0003-capability-tables.md \
	contrib/adr/0004-libh2o-behind-four-files.md
