# answers.sh - every kind of answer: texts with [MASK]s, optical flow, clips
# with sound, several answers of one model; what goes with what.  The models
# are the reference cases of PCV_SHARED, where that is there.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
tab=$(printf '\t')
golden=${PCV_SHARED:-/nowhere}/golden

floats() { # file, count -> the last so many, one a line
    tail -c $((4 * $2)) "$1" | od -An -v -tf4 -w4
}
# Is the norm of the difference at most 1e-4 of that of the second, times k?
close() { # file, file, count, k
    paste <(floats "$1" "$3") <(floats "$2" "$3") | awk -v k="${4:-1}" '
        { d += ($1 - k * $2) ^ 2; n += (k * $2) ^ 2 }
        END { exit !(NR > 0 && n > 0 && d <= 1e-8 * n) }'
}
get() { # case, tensor -> the .npy
    pcv-inspect --get="$2" "$golden/$1/case.safetensors"
}
header() { # descr, shape
    printf '\223NUMPY\001\000v\000'
    printf '%-117s\n' \
        "{'descr': '$1', 'fortran_order': False, 'shape': ($2), }"
}
bytes_of() { # case, tensor -> its data as they are in the file
    local row
    row=$(pcv-inspect --tensors "$golden/$1/case.safetensors" |
        awk -F'\t' -v name="$2" '$1 == name { print $6 + 1, $5 }')
    tail -c +"${row% *}" "$golden/$1/case.safetensors" | head -c "${row#* }"
}
frame() { # file, seed: a PPM of 32x24
    { printf 'P6 32 24 255\n' && awk -v k="$2" 'BEGIN {
        for (i = 0; i < 2304; i++)
            printf "%c", 32 + (i * (k + 2) + int(i / 96) * 5) % 90
    }'; } >"$1"
}
beep() { # a WAV of 200 samples at 48 kHz
    for i in $(seq 0 199); do le $((i * i * 7 % 9000)) 2; done |
        wave 48000 16 200
}
tensor_shape() { # file, name, shape as of pcv-inspect
    test "$(pcv-inspect --tensors "$1" | awk -F'\t' -v n="$2" \
        '$1 == n { print $2, $3 }')" = "F32 $3"
}

# The same bytes for any number of threads and inputs in memory.
same() { # name, command...
    local name=$1
    shift
    "$@" -t 1 --batch 1 >.want 2>/dev/null
    check "$name writes something" test -s .want
    for o in '-t 2' '-t 2 --batch 1' '-t 4 --batch 7' '-q'; do
        # shellcheck disable=SC2086
        check "$name $o" cmp .want <("$@" $o 2>/dev/null)
    done
}
# What is lost is noticed.
full() { # name, command...
    local name=$1 p=$2
    shift
    expect "$name, stdout closed" 74 '' \
        "$p: standard output: Bad file descriptor" bash -c '"$@" >&-' . "$@"
    [ -e /dev/full ] || return
    expect "$name > /dev/full" 74 '' \
        "$p: standard output: No space left on device" \
        bash -c '"$@" >/dev/full' . "$@"
    expect "$name -o /dev/full" 74 '' \
        "$p: */dev/full: No space left on device" "$@" -o /dev/full
}

# ---- one answer as tensors
pcv-encode -m "$image" -o two.sts pics/1.pgm pics/2.pgm
pcv-classify -m "$image" --logits -o two.npy pics/1.pgm pics/2.pgm
pcv-classify -m "$image" --logits -o two.safetensors pics/1.pgm pics/2.pgm
check 'safetensors: the name of the answer' \
    tensor_shape two.safetensors output 2x10
check 'safetensors: the numbers of npy' cmp <(tail -c 80 two.npy) \
    <(tail -c 80 two.safetensors)
check 'pcv-decode, from latents' cmp two.safetensors \
    <(pcv-decode -m "$image" --logits --format=safetensors two.sts)
pcv-decode -m "$image" --logits --format=safetensors --out-dir=each two.sts
check '--out-dir: a file for each' tensor_shape each/2.safetensors output 10
check '--out-dir: the same numbers' cmp <(tail -c 40 two.npy) \
    <(tail -c 40 each/2.safetensors)
: >bad
pcv-decode -m "$image" -o nan.safetensors bad pics/1.pgm 2>/dev/null
check 'what failed is NaN' test \
    "$(floats nan.safetensors 20 | head -n 10 | tr -d ' ' | sort -u)" = nan
full 'classify safetensors' \
    pcv-classify -m "$image" --format=safetensors pics/1.pgm
full 'decode safetensors' pcv-decode -m "$image" --format=safetensors two.sts
same 'classify safetensors' \
    pcv-classify -m "$image" --format=safetensors -r pics

# ---- what does not go together
for f in png:pictures wav:sound flo:'optical flow' txt:text; do
    expect "${f%:*} of a classifier" 64 '' \
        "*: this model's answers are not ${f#*:}" \
        pcv-decode -m "$image" --format="${f%:*}" pics/1.pgm
done
expect 'labels of a reconstruction' 65 '' \
    '*: this model does not classify; *--logits*safetensors' \
    pcv-classify -m "$auto" --format=safetensors pics/1.pgm
expect '--answer' 0 'pics/1.pgm*' '' \
    pcv-decode -m "$image" --answer=output pics/1.pgm
expect '--answer that is not there' 64 '' \
    "*: option --answer: 'x', the model has output" \
    pcv-decode -m "$image" --answer=x pics/1.pgm
expect '--flow-scale' 64 '' '*: --flow-scale goes with --format=png *' \
    pcv-decode -m "$auto" --flow-scale=3 pics/1.pgm
expect '--sound of pictures alone' 64 '' '*: this model takes no sound *' \
    pcv-classify -m "$image" --sound=beep.wav pics/1.pgm
expect '--sound, pcv-decode' 64 '' '*: this model takes no sound *' \
    pcv-decode -m "$image" --sound=beep.wav two.sts
for p in pcv-classify pcv-encode pcv-decode; do
    expect "$p --overlong=x" 64 '' \
        "$p: option --overlong: 'x', want cut|refuse" \
        "$p" -m "$image" --overlong=x pics/1.pgm
done

if ! [ -e "$golden/language-mlm/model.safetensors" ]; then
    skip 'texts, optical flow, several answers' 'no PCV_SHARED/golden'
    finish
    exit
fi

# ---- texts
text=$golden/language-mlm
fill() {
    pcv-decode -m "$text" "$@"
}
{ header '<i8' '2, 48' && bytes_of language-mlm input.input_ids; } >ids.npy
get language-mlm output >want.npy
fill --logits -o all.npy ids.npy 2>/dev/null
# Row 1 is padded: its ids tell, and the mask is theirs.
check 'npy: all places' close <(head -c -$((4 * 48 * 262)) all.npy) \
    <(head -c -$((4 * 48 * 262)) want.npy) $((48 * 262))
printf 'a [MASK] of\n[MASK]!' >text.txt
check 'a text keeps all but its masks' test \
    "$(fill text.txt | tr '\200-\377' '?' | wc -l)" -eq 2
check 'and ends in a newline' test "$(fill text.txt | wc -c)" -eq 10
printf plain >plain
expect 'one without [MASK]' 0 plain '' fill plain
expect 'from a pipe' 0 'so it is' '' bash -c "echo 'so it is' | pcv-decode -m '$text'"
expect 'from a file on standard input' 0 xy '''' bash -c "printf xy >xy; pcv-decode -m '$text' <xy"
check 'several' cmp <(fill text.txt; fill xy) <(fill text.txt xy)
fill --format=tsv -k 2 text.txt >text.tsv
check 'tsv: a line for each of the best' test "$(wc -l <text.tsv)" -eq 4
check 'tsv: six fields, positions in the text' test "$(
    awk -F'\t' 'NF == 6 { print $2, $3 }' text.tsv | tr '\n' ,)" = \
    '2 1,2 2,12 1,12 2,'
# shellcheck disable=SC2059
check 'tsv: the bytes that are filled in' cmp \
    <(printf "a $(sed -n '1s/.*\t//p' text.tsv) of\n$(
        sed -n '3s/.*\t//p' text.tsv)!\n") <(fill text.txt)
fill --format=npy --logits --query=index=3,13 -o at.npy text.txt
check 'tsv: the best of the place' test "$(floats at.npy 524 | head -n 262 |
    awk '$1 > m || NR == 1 { m = $1; k = NR - 1 } END { print k }')" -eq \
    "$(cut -f5 text.tsv | head -n 1)"
expect '--header' 0 "path${tab}position${tab}rank${tab}logit${tab}id${tab}byte
*" '' fill --format=tsv --header --logits text.txt
expect 'jsonl' 0 '{"path":"text.txt","index":0,"ok":true,"masks":\[{"position":2,*' \
    '' fill --format=jsonl text.txt
if command -v jq >/dev/null; then
    check 'jsonl: as tsv' test "$(fill --format=jsonl -k 2 text.txt |
        jq -r '.masks[] | .position as $p | .top[] | [$p, .id] | @tsv')" = \
        "$(cut -f2,5 text.tsv)"
fi
expect 'tsv: an error has six fields' 66 \
    "no$tab-$tab-$tab-$tab-${tab}error: *" '*' fill --format=tsv no
head -c 100 /dev/zero | tr '\0' x >long
expect 'too long' 65 '' '*: text of 102 tokens *--overlong=cut*' fill long
expect '--overlong=cut' 0 "$(head -c 46 long)*" '' fill --overlong=cut long
expect '--overlong=refuse' 65 '' '*' fill --overlong=refuse long
expect 'from latents' 65 '' '*: latents hold no text, *' \
    bash -c "pcv-encode -m '$text' text.txt | pcv-decode -m '$text'"
expect '--query and a text' 64 '' '*: --query=index goes with *' \
    fill --query=index=0 --format=txt text.txt
fill --out-dir=filled text.txt xy
check '--out-dir' cmp <(cat filled/text.txt filled/xy.txt) \
    <(fill text.txt xy)
for format in txt tsv jsonl npy raw safetensors; do
    full "text: $format" pcv-decode -m "$text" --format=$format text.txt
    same "text: $format" pcv-decode -m "$text" --format=$format text.txt xy \
        long text.txt
done

# ---- optical flow
flow=$golden/optical-flow
move() {
    pcv-decode -m "$flow" "$@"
}
get optical-flow output >want.npy
{ header '<f4' '1, 2, 3, 24, 32' && bytes_of optical-flow input.frames
} >frames.npy
move --logits -o raw.npy frames.npy
check 'npy --logits: the output of the network' close raw.npy want.npy 1536
move -o pixels.npy frames.npy
check 'npy: pixels, 20 times that' close pixels.npy want.npy 1536 20
move -o f.flo frames.npy
check '.flo: size' test "$(stat -c %s f.flo)" -eq $((12 + 4 * 1536))
check '.flo: header' cmp <(head -c 12 f.flo) \
    <(printf PIEH && le 32 4 && le 24 4)
check '.flo: pixels' cmp <(tail -c 6144 f.flo) <(tail -c 6144 pixels.npy)
for i in 0 1 2; do
    frame "f$i.ppm" $i
done
move -o two.flo f0.ppm f1.ppm
check 'of two pictures' test "$(stat -c %s two.flo)" -eq 6156
check 'is the default of standard output' cmp two.flo <(move f0.ppm f1.ppm)
expect 'of three: two of them' 0 '' '' move --out-dir=three f?.ppm
check 'the first' cmp two.flo three/f0.flo
check 'the second' cmp <(move f1.ppm f2.ppm) three/f1.flo
check 'and no more' test "$(find three -type f | wc -l)" -eq 2
expect 'several to one output' 64 '' '*: there are several answers, *' \
    move f0.ppm f1.ppm f2.ppm
expect 'from a list' 0 '' '' \
    bash -c "ls f?.ppm | pcv-decode -m '$flow' -T - -o 'l%d.flo'"
check 'the same' cmp <(cat l0.flo l1.flo) <(cat three/f0.flo three/f1.flo)
expect 'frames on standard input' 0 '' '' \
    bash -c "cat f?.ppm | pcv-decode -m '$flow' -o 's%d.flo' -"
check 'the same' cmp <(cat s0.flo s1.flo) <(cat l0.flo l1.flo)
mkdir film
cp f?.ppm film
expect 'a directory' 0 '' '' move --out-dir=film.out film
check 'the same' diff -r three film.out
cp -RL "$flow" narrow
chmod -R u+w narrow
tr -d '\n' <"$flow/config.json" |
    sed 's/"train_size": *\[[^]]*\]/"train_size": [24, 7]/' >narrow/config.json
expect 'tiles no larger than their overlap' 65 '' \
    '*f0.ppm: pictures of 32x24 pixels, want at most *, 7x24: *20 pixels*' \
    pcv-decode -m narrow f0.ppm f1.ppm
for bad in '[24]' '[]' '{"0": 24}' '"24"'; do
    tr -d '\n' <"$flow/config.json" |
        sed "s/\"train_size\": *\[[^]]*\]/\"train_size\": $bad/" \
            >narrow/config.json
    expect "train_size: $bad" 65 '' \
        '*narrow/config.json: "train_size.?" is missing, or no number' \
        pcv-decode -m narrow f0.ppm f1.ppm
done
expect 'one picture' 65 '' '*f0.ppm: one picture, want another one *' \
    move f0.ppm
expect 'latents' 65 '' '*: give it the files, not their latents' \
    bash -c "pcv-encode -m '$flow' frames.npy | pcv-decode -m '$flow'"
expect 'one that cannot be read divides' 3 '' \
    '*f0.ppm: one picture, *no: No such file*2 of 3 inputs failed' \
    move --out-dir=divided f0.ppm no f1.ppm f2.ppm
check 'the rest is answered' cmp three/f1.flo divided/f1.flo
expect 'clips end where they end' 0 '' '' \
    move --out-dir=clips film film f0.ppm f1.ppm
check 'each with its pairs' test "$(cd clips && echo *)" = \
    'f0-2.flo f0-4.flo f0.flo f1-3.flo f1.flo'
mkfifo in out
pcv-decode -m "$flow" --format=jsonl -T - <in >out &
exec 3>in 4<out
for i in 0 1 2 1; do
    echo "f$i.ppm" >&3
    [ $i = 0 ] && [ ! -e seen ] && touch seen && continue
    IFS= read -r -t 20 -u 4 line || break
    echo "$line" >>seen
done
exec 3>&-
wait
exec 4<&-
check 'a live list: each pair is answered at once' test \
    "$(wc -l <seen)" -eq 3
move -o c.png f0.ppm f1.ppm
check 'colours' cmp <(head -c 24 c.png | tail -c 8) \
    <(printf '\0\0\0 \0\0\0\030')
check '--flow-scale' test "$(cksum <c.png)" != \
    "$(move --format=png --flow-scale=50 f0.ppm f1.ppm | cksum)"
pnmsize() { # width, height, seed
    printf 'P6 %d %d 255\n' "$1" "$2"
    awk -v n=$(($1 * $2 * 3)) -v k="$3" 'BEGIN {
        for (i = 0; i < n; i++) printf "%c", 32 + (i * 7 + k) % 90 }'
}
pnmsize 50 40 0 >big0.ppm
pnmsize 50 40 5 >big1.ppm
move -o big.flo big0.ppm big1.ppm
check 'a larger picture' cmp <(head -c 12 big.flo) \
    <(printf PIEH && le 50 4 && le 40 4)
expect 'of two sizes' 3 '' '*picture of 50 x 40 pixels, *32 x 24*' \
    move --out-dir=sizes f0.ppm f1.ppm big0.ppm big1.ppm
expect 'arrays of two sizes' 3 '*' '*they do not make one array*' \
    bash -c "pcv-decode -m '$flow' --format=npy frames.npy big0.ppm big1.ppm"
for format in flo png npy raw jsonl safetensors; do
    full "flow: $format" pcv-decode -m "$flow" --format=$format f0.ppm f1.ppm
    same "flow: $format" pcv-decode -m "$flow" --format=$format big0.ppm \
        big1.ppm
done
same 'flow of three' pcv-decode -m "$flow" --format=npy f0.ppm f1.ppm f2.ppm
for t in 1 2; do
    move -t $t --out-dir=o$t f0.ppm f1.ppm f2.ppm f1.ppm f0.ppm
done
check 'flow: files, -t 1 = -t 2' diff -r o1 o2
if script -qec true /dev/null >/dev/null 2>&1; then
    expect 'flow to a terminal' 64 '*refusing to write binary answers*' '' \
        script -qec "pcv-decode -m '$flow' f0.ppm f1.ppm" /dev/null
else
    skip 'flow to a terminal' 'no script(1)'
fi
expect 'classify: raw flow' 0 '' '' \
    pcv-classify -m "$flow" --logits -o classified.npy frames.npy
check 'the same' cmp raw.npy classified.npy

# ---- several answers
many=$golden/multimodal
# shellcheck disable=SC2016
{
    json='{"audio":{"dtype":"F32","shape":[1,128,1],"data_offsets":[0,512]},'
    json+='"image":{"dtype":"F32","shape":[1,2,3,16,16],"data_offsets":'
    json+='[512,6656]},"label":{"dtype":"F32","shape":[1,9],"data_offsets":'
    json+='[6656,6692]}}'
    le ${#json} 8 && printf %s "$json"
    for name in audio image label; do
        bytes_of multimodal input.$name
    done
} >example.safetensors
for name in audio image label; do
    get multimodal output.$name >want-$name.npy
done
both() {
    pcv-decode -m "$many" "$@"
}
both --logits example.safetensors >raw.safetensors
check 'safetensors: the order of names' tensor_shape raw.safetensors audio \
    1x128
check 'safetensors: pictures' tensor_shape raw.safetensors image 1x512x3
check 'safetensors: label' close raw.safetensors want-label.npy 9
check 'safetensors: pictures' close <(head -c -36 raw.safetensors) \
    want-image.npy 1536
check 'safetensors: sound' close <(head -c -6180 raw.safetensors) \
    want-audio.npy 128
check 'classify: the same' cmp raw.safetensors <(pcv-classify -m "$many" \
    --logits --format=safetensors example.safetensors)
check 'from latents' cmp raw.safetensors <(pcv-encode -m "$many" \
    example.safetensors | both --logits --format=safetensors)
both --logits -o two-of.safetensors example.safetensors example.safetensors
check 'two inputs' tensor_shape two-of.safetensors image 2x512x3
expect 'with one that failed' 3 '' '*bad*1 of 2 inputs failed' \
    both --logits -o failed.safetensors bad example.safetensors
check 'each has its row' cmp <(tail -c 36 raw.safetensors) \
    <(tail -c 36 failed.safetensors)
both --query=image=0-9,511 --query=audio=1 --logits -o some.safetensors \
    example.safetensors
check '--query of several' tensor_shape some.safetensors image 1x11x3
check '--query of one' tensor_shape some.safetensors audio 1x1x16
check '--query: the last pixel' close <(head -c -36 some.safetensors) \
    <(head -c -36 raw.safetensors) 3
check '--answer' close <(both --answer=image --query=index=0-9 --format=raw \
    example.safetensors) <(both --answer=image --format=raw \
    example.safetensors | head -c 120) 30
expect '--query of no answer' 64 '' '*: option --query: *' \
    both --query=x=1 example.safetensors
expect 'class of an example' 0 "example.safetensors${tab}1$tab*" '' \
    both --format=tsv example.safetensors
check 'of pcv-classify' cmp <(both --format=tsv example.safetensors) \
    <(pcv-classify -m "$many" example.safetensors)
both -o one.wav example.safetensors
check 'its sound' cmp <(head -c 28 one.wav | tail -c 4) <(le 48000 4)
expect 'its pictures' 0 '' '' both --format=png --out-dir=frames \
    example.safetensors
check 'as files' test "$(cd frames && echo *)" = \
    'example-000.png example-001.png'
both -o 'frame%03d.png' example.safetensors
check 'with numbers' cmp frame001.png frames/example-001.png
expect 'pictures without names' 64 '' '*: each answer is 2 pictures, *' \
    both --format=png example.safetensors
expect 'pictures around an example' 3 \
    "f0.ppm$tab*example.safetensors$tab*f1.ppm$tab*no$tab-*f2.ppm$tab*" '*' \
    pcv-classify -m "$many" f0.ppm example.safetensors f1.ppm f2.ppm no f2.ppm
mkdir clip
cp f0.ppm clip/0.ppm
cp f1.ppm clip/1.ppm
expect 'a clip' 0 "clip${tab}1$tab*" '' pcv-classify -m "$many" clip
pcv-classify -m "$many" --logits -o silent.safetensors clip
expect 'queries that no answer would be for' 64 '' \
    '*--query=image=.. goes with --answer=image*' \
    pcv-decode -m "$many" --query=image=0-9 --format=jsonl clip
expect 'latents of a clip without sound' 0 '*pcv.input":"2x3x16x16"*' '' \
    eval "pcv-encode -m '$many' clip | tr -d '\\000'"
beep >beep.wav
cp beep.wav clip
pcv-classify -m "$many" --logits -o heard.safetensors clip
check 'the sound in a clip counts' test "$(cksum <silent.safetensors)" != \
    "$(cksum <heard.safetensors)"
check '--sound' cmp heard.safetensors <(pcv-classify -m "$many" --logits \
    --format=safetensors --sound=beep.wav f0.ppm f1.ppm)
check '--sound of pcv-decode' cmp heard.safetensors <(both --logits \
    --sound=beep.wav f0.ppm f1.ppm)
check 'frames on standard input' cmp silent.safetensors <(cat f0.ppm f1.ppm |
    pcv-classify -m "$many" --logits --format=safetensors)
check 'frames on standard input of pcv-decode' cmp silent.safetensors \
    <(cat f0.ppm f1.ppm | both --logits)
mkdir broken
cp f0.ppm f1.ppm broken
head -c 30 beep.wav >broken/beep.wav
expect 'a clip with a broken sound fails once' 3 \
    "broken$tab-$tab-$tab-${tab}error: *clip${tab}1$tab*" \
    'pcv-classify: broken: broken/beep.wav: *pcv-classify: 1 of 2 inputs failed' \
    timeout 60 pcv-classify -m "$many" broken clip
both --format=png --out-dir=of-clip clip/
check 'a clip by its name' test "$(cd of-clip && echo *)" = \
    'clip-000.png clip-001.png'
both --out-dir=answers clip example.safetensors
check '--out-dir: all answers of an input' \
    tensor_shape answers/clip.safetensors image 512x3
for format in safetensors tsv jsonl npy raw wav; do
    full "several: $format" pcv-decode -m "$many" --format=$format clip
    same "several: $format" pcv-decode -m "$many" --format=$format \
        example.safetensors
done
same 'several, several' pcv-decode -m "$many" clip example.safetensors clip
same 'several, classified' pcv-classify -m "$many" --format=safetensors \
    clip example.safetensors clip

# The same model with and without a sound needs other memory.
expect 'silent, heard, silent' 0 \
    "f0.ppm$tab*clip$tab*f1.ppm$tab*example*$tab*clip$tab*f2.ppm$tab*" '' \
    pcv-classify -t 1 -m "$many" --top=1 f0.ppm clip f1.ppm \
    example.safetensors clip f2.ppm

# ---- remarks
learned=$golden/vision-learned
for i in 1 2; do
    { header '<f4' '3, 40, 40' && head -c 19200 /dev/zero; } >"x$i.npy"
done
expect 'a remark, once' 0 'x1.npy*x2.npy*' \
    '*: x1.npy: positions learned for 28x28 *interpolated to 40x40' \
    pcv-classify -t 2 -m "$learned" x1.npy x2.npy
expect 'not with -q' 0 'x1.npy*' '' pcv-classify -q -m "$learned" x1.npy
finish
