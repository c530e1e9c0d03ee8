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
finish
