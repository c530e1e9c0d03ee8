#!/usr/bin/env bash
# run.sh [--units | --arm] BUILD_DIR - runs the unit tests of BUILD_DIR/tests
# and the shell tests (tests/cli, kill.sh, disk.sh) on its programs; with --units
# the former alone; with --arm the former under qemu-aarch64, and arm.sh.
# All of them speak TAP.  Failures are shown with their output; the last line
# is the sum.
set -u
emulator=
scripts='tests/cli/*.sh tests/kill.sh tests/disk.sh'
case ${1:-} in
--units)
    scripts=
    shift
    ;;
--arm)
    emulator=qemu-aarch64
    scripts=tests/arm.sh
    shift
    ;;
esac
if [ $# -ne 1 ]; then
    echo "usage: tests/run.sh [--units | --arm] BUILD_DIR" >&2
    exit 64
fi
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd) || exit 66
log=$(mktemp -d) || exit 73
trap 'rm -rf "$log"' EXIT
limit=${PCV_TEST_LIMIT:-600}    # seconds for one program or script
passed=0
failed=0
skipped=0

count() { # pattern
    grep -cE "$1" "$log/out"
}

# A test that crashed or lost tests did not reach the end of its plan.
complete() { # exit status
    local planned seen
    planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$log/out" | tail -n 1)
    seen=$(count '^(not )?ok( |$)')
    [ -n "$planned" ] && [ "$planned" -eq "$seen" ] && [ "$seen" -gt 0 ] &&
        { [ "$1" -eq 0 ] || grep -q '^not ok' "$log/out"; }
}

show() { # name, exit status
    echo "---- $1 (exit status $2)"
    grep -vE '^ok |^1\.\.' "$log/out"
    cat "$log/err"
}

run() { # name, command...
    local name=$1 status bad ok skip
    shift
    timeout "$limit" "$@" </dev/null >"$log/out" 2>"$log/err"
    status=$?
    skip=$(count '^(not )?ok .*# SKIP')     # cmocka says "not ok"
    bad=$(($(count '^not ok( |$)') - $(count '^not ok .*# SKIP')))
    ok=$(($(count '^ok( |$)') - $(count '^ok .*# SKIP')))
    if ! complete "$status"; then
        bad=$((bad + 1))
        echo "not ok - $name ended early" >>"$log/out"
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    skipped=$((skipped + skip))
    [ "$bad" -eq 0 ] || show "$name" "$status"
}

export CMOCKA_MESSAGE_OUTPUT=TAP
cd "$root" || exit 66
for test in "$build"/tests/*_test; do
    # shellcheck disable=SC2086
    [ -x "$test" ] && run "$(basename "$test")" $emulator "$test"
done
export PCV_BIN=$build
for test in $scripts; do
    [ "$test" = tests/cli/lib.sh ] || run "$test" bash "$test"
done

sum="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || sum="$sum, $skipped skipped"
echo "$sum"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
