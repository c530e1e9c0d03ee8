#!/usr/bin/env bash
# disk.sh [EVERY] - pcv-train on a disk that is full, for one call or from
# then on: at each place where something is written, or (default) at some of
# them.  The run goes on and ends in the bytes of one that had room; where the
# last save fails it says so, and --resume gives them.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=cli/lib.sh
. "$(dirname "$0")/cli/lib.sh"
bin=$(dirname "$(command -v pcv-train)")
every=${1:-}
training_data

train() {
    # shellcheck disable=SC2086
    pcv-train $small --epochs=2 --save-every=3 "$@" "$data"
}
full() { # from, count, kinds, options...: `calls` has how many there were
    local how=$1,$2,$3,$PWD/calls
    shift 3
    PCV_NOSPACE=$how LD_PRELOAD=$bin/tests/nospace.so train "$@" 2>said
}
same_run() {
    same whole run && cmp whole/checkpoint.safetensors run/checkpoint.safetensors
}
# A first checkpoint that fails ends the run, no later one does; what fails
# while nothing but the log is written still has its status.
went_on() { # exit status
    [ "$1" -eq 0 ] ||
        { [ "$1" -eq 73 ] || [ "$1" -eq 74 ]; } &&
        { ! grep -qs '"ev":"checkpoint"' run/log.jsonl ||
            grep -q 'step 8  held out' said; }
}
lines() {
    [ ! -e run/log.jsonl ] || [ "$(grep -cv '^{.*}$' run/log.jsonl)" -eq 0 ]
}
place() { # from, count, kinds
    local status
    rm -rf run
    full "$@" -d run
    status=$?
    lines && went_on $status || { echo "exit status $status" && cat said && false; } ||
        return
    [ $status -eq 0 ] || train -q -d run --resume || return
    same_run && [ -z "$(find run -name '.*' -type f)" ]
}
places() { # kinds, count, step
    local n all bad=0 tried=0
    rm -f calls bad
    full 0 0 "$1" -q -f -d run
    all=$(<calls)
    for ((n = 1; n <= all; n += $3)); do
        tried=$((tried + 1))
        place "$n" "$2" "$1" >why 2>&1 && continue
        bad=$((bad + 1))
        { echo "call $n of $all:" && cat why; } >>bad
    done
    echo "# $1: failed at $tried of $all places"
    [ $bad -eq 0 ] || cat bad
    [ $bad -eq 0 ] && [ $tried -gt 0 ]
}

full 0 0 w -q -d whole
if grep -q 'ASan runtime does not come first' said; then
    skip 'a full disk' 'nothing can be loaded before this program'
    finish
    exit
fi
for count in 1 0; do
    how=$([ $count -eq 1 ] && echo 'one call fails' || echo 'full from there on')
    for kinds in o s n; do
        check "$how: $kinds" places $kinds $count "${every:-1}"
        grep '^#' "$work/.said"
    done
    check "$how: w" places w $count "${every:-37}"
    grep '^#' "$work/.said"
done

# All but the log is written beside its name.
rm -rf run
full 0 0 o -q -d run
made=$(($(<calls) - 1))
rm -rf run
full 0 0 s -q -d run
check 'each file is synced, and its directory' test "$(<calls)" -eq $((2 * made))

full 5 1 s -d warned
check 'a save that failed ends nothing' test $? -eq 0
check 'it is said once, with what happens now' test "$(grep 'not be' said)" = \
    "pcv-train: step 3 could not be saved: warned/checkpoint.safetensors: No \
space left on device; training goes on, and tries again at the next save"
check 'and stands in the log' grep -q \
    '"ev":"unsaved","step":3,.*"why":"warned/check.* No space' warned/log.jsonl

# A signal whose save fails does not look like one whose save was well.
# shellcheck disable=SC2086
PCV_NOSPACE=3,0,s, LD_PRELOAD=$bin/tests/nospace.so pcv-train $small -d ended \
    --save-every=3 --epochs=4000 "$data" 2>said &
pid=$!
for _ in $(seq 1000); do
    ! grep -qs '"step":5,' ended/log.jsonl || break
    sleep 0.01
done
kill -s TERM $pid
wait $pid 2>/dev/null
check 'SIGTERM, and no room: the exit status' test $? -eq 74
check 'the checkpoint before is whole' pcv-inspect --stats \
    ended/checkpoint.safetensors

# ---- a limit on the size of files
train -q -d limited --epochs=1
size=$(($(wc -c <limited/checkpoint.safetensors) / 1024))
check 'ulimit -f' sh -c "ulimit -f $size; pcv-train -d small $(
    echo "$small" | xargs) $data; test \$? -eq 74"
finish
