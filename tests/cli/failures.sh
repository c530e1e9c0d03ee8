# failures.sh - what can happen to an output: full disks, closed pipes, closed
# descriptors, files that cannot be made, signals.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

pcv-encode -m "$image" -r pics -o image.sts
pcv-encode -m "$auto" pics/1.pgm -o auto.sts
classify="pcv-classify -m '$image' -r pics"
encode="pcv-encode -m '$image' -r pics"
decode="pcv-decode -m '$image' image.sts"
draw="pcv-decode -m '$auto' auto.sts"
all_commands() {
    for format in tsv jsonl npy; do
        echo "$classify --format=$format"
    done
    for format in sts npy safetensors jsonl; do
        echo "$encode --format=$format"
    done
    for format in tsv jsonl npy raw; do
        echo "$decode --format=$format"
    done
    for format in png npy jsonl raw; do
        echo "$draw --format=$format"
    done
}
all_commands >commands
if [ -e /dev/full ]; then
    while read -r command; do
        name=${command%% *}${command##*--format}
        for t in 1 4; do
            expect "$name -t $t > /dev/full" 74 '' \
                "${command%% *}: standard output: No space left on device" \
                sh -c "$command -t $t >/dev/full"
        done
        expect "$name -o /dev/full" 74 '' \
            "${command%% *}: */dev/full: No space left on device" \
            sh -c "$command -o /dev/full"
    done <commands
else
    skip 'a full disk' 'no /dev/full'
fi

while read -r command; do
    name=${command%% *}${command##*--format}
    expect "$name, stdout closed" 74 '' \
        "${command%% *}: standard output: Bad file descriptor" \
        sh -c "$command >&-"
    (trap - PIPE; sh -c "$command" 2>err; echo $? >status) | :
    # The reader may be gone before or after the first record.
    while [ ! -s status ]; do sleep 0.1; done
    check "$name into a closed pipe" test "$(cat status)" -eq 141 -o \
        "$(cat status)" -eq 0
    check "$name says nothing about it" test ! -s err
    rm status
done <commands

# A list without end: only the pipe can stop it.
endless() { # command
    (yes pics/1.pgm | sh -c "$1; echo \$? >status" 2>err) | head -n 1 >first
    check "${1%% *} | head: killed by the pipe" test "$(cat status)" = 141
    check "${1%% *} | head: silently" test ! -s err
    check "${1%% *} | head: the first record" test -s first
}
endless "pcv-classify -m '$image' -T -"
endless "pcv-classify -m '$image' -t 1 --format=jsonl -T -"
endless "pcv-encode -m '$image' --format=jsonl -T -"
endless "pcv-encode -m '$image' -T -"
endless "pcv-decode -m '$image' -T -"
expect 'SIGPIPE ignored by the parent' 141 '' '' bash -c "
    trap '' PIPE
    env --default-signal=INT true
    set -o pipefail
    yes pics/1.pgm 2>/dev/null |
        { pcv-classify -m '$image' -T -; exit \$?; } | head -n 1 >/dev/null"

for p in pcv-classify pcv-encode; do
    expect "$p, stdin closed" 74 '*' "$p: standard input: Bad file descriptor" \
        sh -c "$p -m '$image' --format=jsonl <&-"
    expect "$p, stderr closed" 0 '*' '' \
        sh -c "$p -m '$image' --format=jsonl pics/1.pgm 2>&-"
    expect "$p, all closed, -o" 0 '' '' \
        sh -c "$p -m '$image' --format=jsonl -o $p.out pics/1.pgm \
            <&- >&- 2>&-"
    check "$p, all closed: the file" test -s $p.out
    expect "$p: -o in a directory that is not there" 73 '' "$p: no/x: *" \
        $p -m "$image" --format=jsonl -o no/x pics/1.pgm
    echo old >exists
    expect "$p: -o that exists" 73 '' "$p: exists: exists (use -f *" \
        $p -m "$image" --format=jsonl -o exists pics/1.pgm
    check "$p: is left alone" test "$(cat exists)" = old
    expect "$p: -f" 0 '' '' \
        $p -m "$image" --format=jsonl -f -o exists pics/1.pgm
    check "$p: is replaced" grep -q '"ok":true' exists
done

# ---- a spool that has no room or no place
expect 'TMPDIR that is not there' 73 '' 'pcv-classify: /no/*: *' \
    env TMPDIR=/no sh -c "$classify --format=npy"
expect 'TMPDIR is used and left empty' 0 '*' '' \
    env TMPDIR="$PWD/pics" sh -c "$classify --format=npy"
check 'nothing is left there' test "$(find pics -type f | wc -l)" -eq 7

# ---- signals: nothing unfinished stays, the status is the signal's
for signal in INT:130 TERM:143 HUP:129; do
    mkfifo list
    rm -rf dir
    mkdir dir
    env --default-signal=INT pcv-classify -m "$image" -T list \
        -o dir/out.tsv 2>err &
    pid=$!
    exec 3>list
    echo pics/1.pgm >&3
    for _ in $(seq 100); do
        [ -n "$(ls -A dir)" ] && break
        sleep 0.05
    done
    check "$signal: there is a temporary file" test -n "$(ls -A dir)"
    kill -"${signal%:*}" $pid
    wait $pid 2>/dev/null
    check "$signal: exit status" test $? -eq "${signal#*:}"
    exec 3>&-
    check "$signal: leaves nothing" test -z "$(ls -A dir)"
    check "$signal: says nothing" test ! -s err
    rm list
done
finish
