# stages.sh: what contrib/check and .ci/run share. Sourced, with $top, $out, $only and $jobs set.
#
# A stage runs one command with its output in a log, says how long it took and, when it fails, shows the end of the
# log and what to do. Tests are counted from what the runners print: Check ("Checks: N, Failures: F, Errors: E") and node's
# runner ("# pass N"); a stage that counted nothing counts as one test itself.

passed=0
failed=0
failures=

wanted()
{
	[ -z "$only" ] || case $only in *,$1,*) true ;; *) false ;; esac
}

# stage NAME ADVICE COMMAND...
stage()
{
	local name=$1 advice=$2 log=$out/$1.log start=$SECONDS rc
	shift 2
	printf '==> %-12s ' "$name"
	"$@" >"$log" 2>&1 </dev/null
	rc=$?
	if [ $rc -eq 0 ]; then
		echo "ok, $((SECONDS - start)) s"
	else
		echo "FAILED ($rc) after $((SECONDS - start)) s; the end of $log:"
		tail -n 40 "$log" | sed 's/^/    /'
		[ -n "$advice" ] && echo "    what to do: $advice"
	fi
	count "$name" $rc "$log"
	return $rc
}

# count NAME RC LOG: adds what the log tells to the sums.
count()
{
	local p f
	p=$(awk '/Checks: [0-9]+, Failures/ { gsub(",", ""); for (i = 1; i < NF; i++) {
			if ($i == "Checks:") c += $(i + 1)
			if ($i == "Failures:" || $i == "Errors:") x += $(i + 1) } }
		/^# pass [0-9]+/ { c += $3 } /^# fail [0-9]+/ { c += $3; x += $3 }
		END { print c - x, x + 0 }' "$3")
	f=${p#* }
	p=${p% *}
	[ "$2" -ne 0 ] && [ "$f" -eq 0 ] && f=1
	[ "$2" -eq 0 ] && [ "$p" -eq 0 ] && p=1
	passed=$((passed + p))
	failed=$((failed + f))
	[ "$f" -gt 0 ] && failures="$failures $1"
	return 0
}

format_check()
{
	git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror
}

# build NAME CC CONFIGURE_OPTIONS...
build()
{
	local dir=$out/$1 cc=$2
	shift 2
	mkdir -p "$dir" && cd "$dir" || return 1
	case "$*" in
	*-asan*|*-tsan*) CFLAGS='-O1 -g' ;;
	*) CFLAGS='-O2 -g' ;;
	esac
	[ -f Makefile ] || "$top/configure" --enable-werror "CC=$cc" CFLAGS="$CFLAGS" "$@" || return 1
	make -j "$jobs"
}

# make_check NAME [TARGET]: the failing programs' logs follow, then one line per program for count().
make_check()
{
	local dir=$out/$1 rc
	cd "$dir" || return 1
	find tests -name '*.log' -o -name '*.trs' 2>/dev/null | xargs -r rm -f
	make -k -j "$jobs" "${2:-check}"
	rc=$?
	find tests -name '*.trs' | sort | while read -r trs; do
		grep -q '^:test-result: \(FAIL\|ERROR\)' "$trs" || continue
		echo "--- ${trs%.trs}.log"
		grep -v 'Checks: ' "${trs%.trs}.log" | tail -n 60
	done
	find tests -name '*.log' -exec grep -h 'Checks: ' {} +
	return $rc
}

# tsan_check NAME: everything under ThreadSanitizer. A host that a test kills, or whose end nobody looks at, tells in a file.
tsan_check()
{
	local rc f
	rm -f "$out"/tsan_report.*
	INSULA_TSAN=log_path=$out/tsan_report make_check "$1" check
	rc=$?
	for f in "$out"/tsan_report.*; do
		[ -s "$f" ] || continue
		echo "--- $f"
		head -n 60 "$f"
		rc=1
	done
	return $rc
}

# build_fuzzers: these and what they link, not the plugins and tests.
build_fuzzers()
{
	mkdir -p "$out/fuzz" && cd "$out/fuzz" || return 1
	[ -f Makefile ] || "$top/configure" --enable-werror --enable-asan --enable-fuzz CC=clang CFLAGS='-O1 -g' || return 1
	# shellcheck disable=SC2046
	make built && make -j "$jobs" $(cd "$top" && ls tests/fuzz/fuzz_*.c | sed 's/\.c$//')
}

clients()
{
	INSULA_BUILD=$out/gcc "$top/tests/clients/run"
}

sdk()
{
	INSULA_BUILD=$out/gcc "$top/tests/sdk/stranger"
}

# fuzz_one SECONDS FUZZER: on a copy of its corpus; one test.
fuzz_one()
{
	local name=${2##*/fuzz_}
	rm -rf "$out/corpus/$name"
	mkdir -p "$out/corpus/$name"
	cp -r "$top/tests/fuzz/corpus/$name/." "$out/corpus/$name/" 2>/dev/null
	if "$2" -seed=1 -max_total_time="$1" -rss_limit_mb=2048 -artifact_prefix="$out/" "$out/corpus/$name" \
		>"$out/fuzz_$name.log" 2>&1; then
		echo "# pass 1 fuzz_$name"
	else
		echo "# fail 1 fuzz_$name; the end of $out/fuzz_$name.log, the input in $out/crash-*:"
		tail -n 30 "$out/fuzz_$name.log" | sed 's/^#/ #/'
	fi
}

# fuzz_all SECONDS: every fuzzer, as many at once as there are cores.
fuzz_all()
{
	local f running=0 told=$out/fuzz_all.txt
	for f in "$out"/fuzz/tests/fuzz/fuzz_*; do
		[ -x "$f" ] && [ -f "$f" ] || continue
		case ${f##*/} in *.*) continue ;; esac
		fuzz_one "$1" "$f" &
		running=$((running + 1))
		if [ "$running" -ge "$jobs" ]; then
			wait -n
			running=$((running - 1))
		fi
	done >"$told"
	wait
	cat "$told"
	! grep -q '^# fail' "$told"
}

# The tarball is whole, builds from a read-only tree, installs and uninstalls; the units run in it.
distcheck()
{
	local dir=$out/distcheck
	mkdir -p "$dir" && cd "$dir" || return 1
	[ -f Makefile ] || "$top/configure" || return 1
	make -j "$jobs" distcheck TESTS='$(unit_tests)'
}

report()
{
	[ -n "$failures" ] && echo "failed:$failures (logs in $out)"
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}
