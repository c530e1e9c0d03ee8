# decode.sh - pcv-decode: from latents, and from inputs, to answers.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
tab=$(printf '\t')

encode() {
    pcv-encode -m "$image" "$@"
}
decode() {
    pcv-decode -m "$image" "$@"
}
draw() {
    pcv-decode -m "$auto" "$@"
}
npy_shape() { # file, shape
    head -n 1 "$1" | grep -qa "'descr': '<f4'.*'shape': ($2)"
}
is_png() {
    head -c 8 "$1" | cmp -s - <(printf '\211PNG\r\n\032\n')
}

: >bad
set -- pics/1.pgm bad $'no\xff' pics/2.pgm
pcv-classify -m "$image" -k 3 "$@" >answers.tsv 2>/dev/null
pcv-classify -m "$image" -k 3 --format=jsonl "$@" >answers.jsonl 2>/dev/null
encode -o some.sts "$@" 2>/dev/null
encode -o two.sts pics/1.pgm pics/2.pgm
encode -o two.npy pics/1.pgm pics/2.pgm
encode -o two.safetensors pics/1.pgm pics/2.pgm
pcv-classify -m "$image" pics/1.pgm pics/2.pgm >two.tsv

# ---- labels
check 'through a pipe the same as pcv-classify' cmp answers.tsv \
    <(encode "$@" 2>/dev/null | decode -k 3 2>/dev/null)
check 'from a file' cmp answers.tsv <(decode -k3 some.sts 2>/dev/null)
check 'from standard input, named' cmp answers.tsv \
    <(decode -k3 - <some.sts 2>/dev/null)
check 'from files that are encoded first' cmp answers.tsv \
    <(decode -k3 "$@" 2>/dev/null)
check 'from a list' cmp two.tsv \
    <(printf 'pics/1.pgm\npics/2.pgm\n' | decode -T -)
check 'from a list with NUL' cmp two.tsv \
    <(printf 'pics/1.pgm\0pics/2.pgm\0' | decode -0)
check 'from a FIFO' cmp two.tsv <(decode <(cat two.sts))
check 'from an .npy' cmp <(cut -f2- two.tsv) <(decode two.npy | cut -f2-)
check 'from a .safetensors' cmp <(cut -f2- two.tsv) \
    <(decode two.safetensors | cut -f2-)
expect 'rows have numbers' 0 "two.npy#0$tab*two.npy#1$tab*" '' decode two.npy
check 'streams one behind the other' cmp <(cat two.tsv two.tsv) \
    <(cat two.sts two.sts | decode)
check 'directories' cmp <(pcv-classify -m "$image" -r pics) \
    <(decode -r pics)
check 'jsonl' cmp answers.jsonl \
    <(decode -k3 --format=jsonl some.sts 2>/dev/null)
check '--all' cmp <(decode --all two.sts) <(decode -k 10 two.sts)
check '--logits' cmp <(decode --logits two.sts) \
    <(pcv-classify -m "$image" --logits pics/1.pgm pics/2.pgm)
seq 20 29 >labels
check '--labels' cmp <(decode --labels=labels two.sts) \
    <(pcv-classify -m "$image" --labels=labels pics/1.pgm pics/2.pgm)
check '--header' cmp <(decode --header two.sts) \
    <(pcv-classify -m "$image" --header pics/1.pgm pics/2.pgm)
want="*no\\\\377${tab}-${tab}-${tab}-${tab}error: "
want+='No such file or directory*'
expect 'error records pass' 3 "$want" \
    '*no\\377: No such file or directory*pcv-decode: 2 of 4 inputs failed' \
    decode some.sts
expect 'nothing but errors' 66 '*' 'pcv-decode: no: No such*' \
    sh -c "pcv-encode -m '$image' no 2>/dev/null | pcv-decode -m '$image'"
expect 'a stream of nothing' 0 '' '' \
    sh -c "pcv-encode -m '$image' -T /dev/null | pcv-decode -m '$image'"
decode --format=npy --logits some.sts >some.npy 2>/dev/null
check 'npy: raw answers, NaN for what failed' npy_shape some.npy '4, 10'
check 'npy: those of pcv-classify' cmp <(tail -c 160 some.npy) <(
    pcv-classify -m "$image" --logits --format=npy "$@" 2>/dev/null |
        tail -c 160)
check 'raw' cmp <(tail -c 160 some.npy) \
    <(decode --format=raw --logits some.sts 2>/dev/null)
check 'npy: probabilities' cmp <(decode --format=npy two.sts) \
    <(pcv-classify -m "$image" --format=npy pics/1.pgm pics/2.pgm)
check '--output guesses the format' sh -c \
    "pcv-decode -m '$image' -o o.npy two.sts && pcv-decode -m '$image' \
    --format=npy two.sts | cmp - o.npy"

# The numbers of latents that are not numbers.
pcv-encode -m "$image" -o nan.npy pics/1.pgm
size=$(stat -c %s nan.npy)
{ head -c 128 nan.npy && head -c $((size - 128)) /dev/zero |
    tr '\000' '\377'; } >all-nan.npy
expect 'an answer that is not a number' 65 'all-nan.npy*error: output 0 is *' \
    '*all-nan.npy#0: output 0 is nan, want a finite number: *' \
    decode all-nan.npy

# ---- streams that are not whole, or of something else
size=$(stat -c %s two.sts)
why='the producer failed or was killed'
for cut in $((size - 1)) $((size - 100)) 700 100 7 1; do
    head -c "$cut" two.sts >cut.sts
    expect "a stream of $cut bytes" 65 '*' \
        "pcv-decode: standard input: stream ends *: $why" \
        decode <cut.sts
done
record=$((8 + $(od -An -tu8 -N8 two.sts) +
    $(head -c 600 two.sts | grep -ao 'data_offsets":\[0,[0-9]*' |
        sed 's/.*,//;q')))
head -c "$record" two.sts >first.safetensors
want='pcv-decode: standard input: stream ends after record 0 without an end '
expect 'a stream without an end record' 65 "pics/1.pgm$tab*" \
    "${want}record: $why" \
    sh -c "cat first.safetensors | pcv-decode -m '$image'"
expect 'an empty stream' 65 '' '*: stream ends before the first record *' \
    decode </dev/null
expect 'one record is a file of tensors' 0 "first.safetensors$tab*" '' \
    decode first.safetensors
tail -c +$((record + 1)) two.sts >second.sts
expect 'a stream can be cut between records' 0 "pics/2.pgm$tab*" '' \
    decode second.sts
expect 'no stream' 65 '' \
    'pcv-decode: standard input: record 0: not JSON: *' \
    decode < <(printf '\020\0\0\0\0\0\0\0{no JSON at all}')
check 'an input on standard input' cmp \
    <(pcv-classify -m "$image" - <pics/1.pgm) <(decode <pics/1.pgm)
# shellcheck disable=SC2002
check 'through a pipe' cmp <(pcv-classify -m "$image" <pics/1.pgm) \
    <(cat pics/1.pgm | decode)
# One byte of the data of the first record.
{ head -c $((record - 10)) two.sts && printf '\001' &&
    tail -c +$((record - 8)) two.sts; } >flipped.sts
expect 'a damaged stream' 65 '' '*: record 0 is damaged: *' \
    decode flipped.sts
pcv-encode -m "$auto" -o other.sts pics/1.pgm
want='pcv-decode: other.sts: record 0 was made by model *, this is * '
expect 'of another model' 65 '' "$want(use --allow-model-mismatch)" \
    decode other.sts
pcv-encode -m "$auto" -o other.safetensors pics/1.pgm
expect 'a file of tensors of another model' 65 '' \
    'pcv-decode: other.safetensors: was made by model *' \
    decode other.safetensors
expect 'on standard input' 65 '' \
    'pcv-decode: standard input: record 0 was made by model *' \
    decode <other.sts
same=$(pcv-encode -m "$image" --format=jsonl pics/1.pgm |
    sed 's/.*"shape":\([^]]*\).*/\1/')
other=$(pcv-encode -m "$auto" --format=jsonl pics/1.pgm |
    sed 's/.*"shape":\([^]]*\).*/\1/')
if [ "$same" = "$other" ]; then
    expect '--allow-model-mismatch' 0 'pics/1.pgm*' '' \
        decode --allow-model-mismatch other.sts
else
    expect '--allow-model-mismatch, other shape' 65 'pics/1.pgm*error: *' \
        '*' decode --allow-model-mismatch other.sts
fi
encode --pool=mean -o pooled.sts pics/1.pgm
expect 'pooled latents' 65 'pics/1.pgm*error: *' '*' decode pooled.sts
encode --what=input -o input.safetensors pics/1.pgm
expect 'a file without latents' 65 '*' \
    "pcv-decode: input.safetensors: no tensor 'latents'" \
    decode input.safetensors

# ---- pictures
draw pics/1.pgm >one.png
check 'a picture' is_png one.png
check 'from latents' cmp one.png <(pcv-encode -m "$auto" pics/1.pgm | draw)
draw -o o.png pics/1.pgm
check '-o' cmp one.png o.png
expect '-o that exists' 73 '' 'pcv-decode: o.png: exists*' \
    draw -o o.png pics/2.pgm
expect '-f' 0 '' '' draw -f -o o.png pics/2.pgm
expect 'several to one output' 64 '' '*: there are several answers, want *' \
    draw pics/1.pgm pics/2.pgm
expect 'several to one file' 64 '' '*: there are several answers, want *' \
    draw -o s.png pics/1.pgm pics/2.pgm
check 'which is not written' test ! -e s.png
expect 'one of two that can be read' 3 '*PNG*' 'pcv-decode: bad: *' \
    draw bad pics/1.pgm
expect '-o with a number' 0 '' '' draw -o 'n%d.png' pics/1.pgm pics/2.pgm
check 'counts from 0' cmp one.png n0.png
check 'to 1' is_png n1.png
expect 'with zeros' 0 '' '' draw -o 'n%03d.png' pics/1.pgm
check 'in front' cmp one.png n000.png
expect '--out-dir' 0 '' '' draw --out-dir=out pics/1.pgm pics/2.pgm
check 'is made' cmp one.png out/1.png
expect 'does not replace' 73 '' '*out/1.png: exists*' \
    draw --out-dir=out pics/1.pgm
expect 'unless -f' 0 '' '' draw -f --out-dir=out pics/2.pgm pics/1.pgm
mkdir a b
cp pics/1.pgm a/1.pgm
cp pics/2.pgm b/1.pgm
expect 'equal names' 0 '' '' draw --out-dir=equal a/1.pgm b/1.pgm
check 'get numbers' test -e equal/1.png -a -e equal/1-1.png
cp pics/1.pgm out.pgm
draw --out-dir=stdin - <<<"$(cat pics/1.pgm)"
check '--out-dir and standard input' cmp one.png stdin/stdin.png
draw --out-dir=none - < <(head -c 100 two.sts) 2>/dev/null
check '--out-dir and a bad stream' test ! -e none/stdin.png
mkdir inner
(cd inner && pcv-decode -m "$auto" --out-dir=o ../out.pgm)
check 'names do not lead out of the directory' test -e inner/o/out.png
expect '--out-dir that is a file' 73 '*' '*' draw --out-dir=bad pics/1.pgm
expect '--out-dir and -o' 64 '' '*: --out-dir and --output exclude *' \
    draw --out-dir=out -o x.png pics/1.pgm
expect '--out-dir and npy' 64 '' '*: --out-dir goes with *' \
    draw --out-dir=out --format=npy pics/1.pgm
expect 'png of a classifier' 64 '' "*: this model's answers are not pictures" \
    decode --format=png pics/1.pgm
expect 'wav of pictures' 64 '' "*: this model's answers are not sound" \
    draw --format=wav pics/1.pgm
expect 'tsv of pictures' 64 '' '*: this model does not classify, *' \
    draw --format=tsv pics/1.pgm
expect '--header and png' 64 '' '*: --header goes with --format=tsv' \
    draw --header pics/1.pgm
if script -qec true /dev/null >/dev/null 2>&1; then
    expect 'a picture to a terminal' 64 \
        'pcv-decode: refusing to write binary answers to a terminal; *' '' \
        script -qec "pcv-decode -m '$auto' pics/1.pgm" /dev/null
else
    skip 'a picture to a terminal' 'no script(1)'
fi

# ---- queries
draw --format=raw pics/1.pgm >all.raw
check 'all answers' test "$(stat -c %s all.raw)" -eq $((4 * 784))
check '--query=default' cmp all.raw \
    <(draw --format=raw --query=default pics/1.pgm)
check '--query=index=' cmp <(tail -c +41 all.raw | head -c 40) \
    <(draw --format=raw --query=index=10-19 pics/1.pgm)
check 'several ranges in any order' cmp \
    <(tail -c +$((4 * 700 + 1)) all.raw | head -c 4 && head -c 8 all.raw) \
    <(draw --format=raw --query=index=700,0-1 pics/1.pgm)
check 'more than are computed at a time' cmp all.raw \
    <(draw --format=raw --query=index=0-783 pics/1.pgm)
draw --query=index=5-9 pics/1.pgm pics/2.pgm >q.npy
check 'are an array' npy_shape q.npy '2, 5, 1'
expect 'or jsonl' 0 '*"shape":\[5,1\],"data":\[*' '' \
    draw --query=index=5-9 --format=jsonl pics/1.pgm
for query in index=784 index=0-784 index=99999999999999999999; do
    expect "--query=$query" 64 '' \
        '*: there is no answer *, the model has 0 to 783' \
        draw --query=$query pics/1.pgm
done
for query in '' x index index= index=1- index=-1 index=3-1 'index=1,,' \
    index=1,a; do
    expect "--query=$query" 64 '' \
        "*: option --query: '$query', want default or index=A-B,C,.." \
        draw --query=$query pics/1.pgm
done
expect '--query and png' 64 '' '*: --query=index goes with *' \
    draw --query=index=0 --format=png pics/1.pgm
finish
