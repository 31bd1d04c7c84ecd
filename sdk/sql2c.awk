# Turns a text into one C string literal, a line at a time: sql2c.awk FILE.sql > FILE.inc
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	print "\"" $0 "\\n\""
}
END { if (NR == 0) print "\"\"" }
