# A header's comments as a manual page of section 3: header2man.awk -v name=insula_model -v header=model.h FILE
#
# The first comment is the description. Every other comment goes with the declarations that follow it, of which bodies
# and attributes are left out. INS_AWAITS before one says that it may suspend its caller.
function escape(z)
{
	gsub(/\\/, "\\e", z)
	if (z ~ /^[.']/)
		z = "\\&" z
	return z
}
function comment_line(z)
{
	sub(/^[ \t]*\/\*[ \t]?/, "", z)
	sub(/[ \t]*\*\/[ \t]*$/, "", z)
	sub(/^[ \t]*\*[ ]?/, "", z)
	return z
}
function flush(   i, z)
{
	if (n_code > 0) {
		if (!declared)
			print ".SH DECLARATIONS"
		declared = 1
		print ".PP\n.nf\n.B"
		for (i = 1; i <= n_code; i++)
			print "\\fB" escape(code[i]) "\\fR"
		print ".fi"
		if (awaits)
			text[++n_text] = "May suspend the caller."
		print ".RS"
		for (i = 1; i <= n_text; i++)
			print text[i] == "" ? ".PP" : escape(text[i])
		print ".RE"
		n_text = 0
	}
	n_code = awaits = 0
}
BEGIN {
	title = toupper(name)
	print ".TH " title " 3 \"\" Insula \"Insula SDK\""
}
!begun && /\/\*/ { begun = 1; in_top = 1; n_top = 0 }
in_top {
	top[++n_top] = comment_line($0)
	if (/\*\//) {
		in_top = 0
		first = top[1] == "" ? 2 : 1
		what = top[first]
		sub(/^[^ ]*: /, "", what)
		more = ""
		if (what !~ /[.]$/ && match(what, /[.] /) == 0)
			for (k = first + 1; k <= n_top && top[k] != "" && what !~ /[.]/; k++) {
				what = what " " top[k]
				first = k
			}
		if (match(what, /[.] /)) {
			more = substr(what, RSTART + 2)
			what = substr(what, 1, RSTART - 1)
		}
		sub(/[.]$/, "", what)
		print ".SH NAME\n" name " \\- " escape(what)
		print ".SH SYNOPSIS\n.nf\n#include <insula/" header ">\n.fi\n.SH DESCRIPTION"
		if (more != "")
			print escape(more)
		for (k = first + 1; k <= n_top; k++) {
			if (top[k] ~ /^\t/)
				print ".nf\n" escape(top[k]) "\n.fi"
			else
				print top[k] == "" ? ".PP" : escape(top[k])
		}
	}
	next
}
# A comment that begins a line belongs to what follows.
!in_comment && !in_body && !depth && /^[ \t]*\/\*/ && !/^[ \t]+\/\*/ {
	flush()
	n_text = 0
	in_comment = 1
}
in_comment {
	z = comment_line($0)
	if (z !~ /^-+/ && !(z == "" && n_text == 0))
		text[++n_text] = z
	if (/\*\//) {
		in_comment = 0
		while (n_text > 0 && text[n_text] == "")
			n_text--
	}
	next
}
in_body { if (/^}/) in_body = 0; next }
/^{/ { in_body = 1; code[n_code] = code[n_code] ";"; next }
/^(#if|#endif|#ifndef|#else|#include|#undef|extern|}$|$)/ || /^#define (INSULA|INS_MOCK_API|INS_STRING)/ {
	if ($0 == "" && !depth)
		flush()
	if ($0 !~ /^}/ || !depth)
		next
}
/^INS_AWAITS$/ { awaits = 1; next }
{
	z = $0
	if (/^#define/ || macro) {
		macro = /\\$/
		if (!/^#define/)
			next
		sub(/[ \t]*\\$/, "", z)
	}
	sub(/^static inline /, "", z)
	sub(/INS_MOCK_API /, "", z)
	gsub(/INS_PRINTF\([0-9], [0-9]\) ?/, "", z)
	code[++n_code] = z
	# braces of a struct or enum: what stands in it is one declaration
	k = z
	depth += gsub(/{/, "", k) - gsub(/}/, "", k)
}
END { flush(); print ".SH SEE ALSO\n.BR insula (3),\n.BR insula (8)" }
