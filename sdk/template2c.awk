# Turns the files of sdk/template into a table of C: template2c.awk FILE... > template.inc
FNR == 1 {
	if (NR > 1)
		print "},"
	name = FILENAME
	sub(/.*\//, "", name)
	print "{ \"" name "\","
}
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	gsub(/\?\?/, "?\\?")
	print "\"" $0 "\\n\""
}
END { print "}," }
