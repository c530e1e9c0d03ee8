# live.sh - a list may be a live pipe: every line is answered before the next
# one is there.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# Sends names one at a time, each only when the answer to the last is there.
converse() { # name, pattern of an answer, command...
    local name=$1 pattern=$2 pid line i good=0
    shift 2
    rm -f in out
    mkfifo in out
    "$@" <in >out 2>err &
    pid=$!
    exec 3>in 4<out
    for i in 1 2 3 4 5; do
        echo "pics/$i.pgm" >&3
        IFS= read -r -t 20 -u 4 line || break
        # shellcheck disable=SC2053
        [[ $line == $pattern ]] && good=$((good + 1))
    done
    check "$name: each is answered at once" test $good -eq 5
    exec 3>&-
    wait $pid
    check "$name: and then it ends" test $? -eq 0
    exec 4<&-
}

for t in 1 2 4; do
    converse "classify -t $t" 'pics/?.pgm*' \
        pcv-classify -m "$image" -t $t -T -
    converse "classify jsonl -t $t" '{"path":"pics/?.pgm"*' \
        pcv-classify -m "$image" -t $t --batch 8 --format=jsonl -T -
    converse "encode jsonl -t $t" '{"path":"pics/?.pgm"*' \
        pcv-encode -m "$image" -t $t --pool=mean --format=jsonl -T -
    converse "decode -t $t" 'pics/?.pgm*' \
        pcv-decode -m "$image" -t $t -T -
    converse "encode | decode -t $t" 'pics/?.pgm*' sh -c \
        "pcv-encode -m '$image' -t $t -T - | pcv-decode -m '$image' -t $t"
done

# A failure ends a run with --on-error=stop although the list goes on.
mkfifo list
pcv-classify -m "$image" --on-error=stop -t 4 -T list >answers 2>err &
pid=$!
exec 3>list
printf 'pics/1.pgm\nnot there\n' >&3
for _ in $(seq 200); do
    kill -0 $pid 2>/dev/null || break
    sleep 0.05
done
check 'stop does not wait for the list' sh -c "! kill -0 $pid 2>/dev/null"
kill $pid 2>/dev/null
wait $pid
check 'stop: exit status' test $? -eq 3
check 'stop: two answers' test "$(wc -l <answers)" -eq 2
exec 3>&-
finish
