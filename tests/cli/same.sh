# same.sh - standard output is the same bytes for every number of threads and
# of inputs in memory, and whatever is said beside it.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

mkdir many
for i in 1 2 3 4 5 6 7; do
    for j in 1 2 3; do
        cp "pics/$i.pgm" "many/$j-$i.pgm"
    done
done
echo nonsense >many/2-broken
: >many/1-empty
pcv-encode -m "$image" -r many -o image.sts 2>/dev/null
pcv-encode -m "$auto" -r many -o auto.sts 2>/dev/null

same() { # name, command...
    local name=$1 t b
    shift
    "$@" -t 1 --batch 1 >want 2>/dev/null
    check "$name writes something" test -s want
    for t in 1 2 4; do
        for b in 1 3 8; do
            "$@" -t $t --batch $b >got 2>/dev/null
            check "$name -t $t --batch $b" cmp want got
        done
    done
    for said in -q -v; do
        "$@" $said >got 2>/dev/null
        check "$name $said" cmp want got
    done
    LC_ALL=de_DE.UTF-8 TZ=Asia/Tokyo NO_COLOR=1 "$@" >got 2>/dev/null
    check "$name elsewhere" cmp want got
}

for format in tsv jsonl npy; do
    same "classify $format" \
        pcv-classify -m "$image" --all --format=$format -r many
done
same 'classify one' pcv-classify -m "$image" --logits --all pics/1.pgm
same 'classify, stop' pcv-classify -m "$image" --on-error=stop -r many
for format in sts npy safetensors jsonl; do
    same "encode $format" pcv-encode -m "$image" --format=$format -r many
done
same 'encode one' pcv-encode -m "$image" pics/1.pgm
same 'decode labels' pcv-decode -m "$image" -k 3 image.sts
same 'decode inputs' pcv-decode -m "$image" -k 3 -r many
for format in raw npy jsonl; do
    same "decode $format" pcv-decode -m "$auto" --format=$format auto.sts
done
same 'decode a picture' pcv-decode -m "$auto" pics/1.pgm

pcv-decode -m "$auto" --out-dir=one -t 1 auto.sts 2>/dev/null
pcv-decode -m "$auto" --out-dir=four -t 4 --batch 8 auto.sts 2>/dev/null
check 'decode files' diff -r one four
check 'as many as pictures' test "$(find one -type f | wc -l)" -eq 21

# Two processes at once, every other input each: their records in turn are
# those of one run.
shared() { # name, command...
    local name=$1 one
    shift
    "$@" >want 2>/dev/null
    "$@" --shard=1/2 -t 2 >first 2>/dev/null &
    one=$!
    "$@" --shard=2/2 -t 1 >second 2>/dev/null
    wait "$one"
    paste -d '\n' first second | grep . >got
    check "$name: half of it" test "$(grep -c . first)" -eq \
        "$((($(grep -c . want) + 1) / 2))"
    check "$name in two processes" cmp want got
}
find many -type f | sort >list
shared 'classify a list' pcv-classify -m "$image" -T list
shared 'classify a directory' pcv-classify -m "$image" --format=jsonl -r many
shared 'encode' pcv-encode -m "$image" --format=jsonl -T list
shared 'decode latents' pcv-decode -m "$image" image.sts
expect 'more processes than inputs' 0 '' '' \
    pcv-classify -m "$image" --shard=3/3 pics/1.pgm pics/2.pgm
for wrong in 0/2 3/2 1 1/ /2 1/2x; do
    expect "--shard=$wrong" 64 '' \
        "pcv-classify: option --shard: '$wrong', want I/K*" \
        pcv-classify -m "$image" --shard=$wrong pics/1.pgm
done
finish
