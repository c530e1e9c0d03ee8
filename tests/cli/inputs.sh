# inputs.sh - where inputs come from: operands, lists, directories, standard
# input; names of all kinds; limits.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
tab=$(printf '\t')

names() { # command... -> the names that it answers
    "$@" 2>/dev/null | cut -f1 | tr '\n' ' '
}
answers() { # name, names, command...
    local name=$1 want=$2
    shift 2
    check "$name" test "$(names "$@")" = "$want"
}
classify() {
    pcv-classify -m "$image" "$@"
}

# ---- lists
printf 'pics/1.pgm\npics/2.pgm\n\npics/3.pgm' >list
printf 'pics/1.pgm\0pics/2.pgm\0\0pics/3.pgm' >list0
want='pics/1.pgm pics/2.pgm pics/3.pgm '
answers '-T' "$want" classify -T list
answers '--files-from' "$want" classify --files-from=list
answers '-T -' "$want" classify -T - <list
answers '--files0-from' "$want" classify --files0-from=list0
answers '--files0-from=-' "$want" classify --files0-from=- <list0
answers '-0' "$want" classify -0 <list0
answers '--null' "$want" classify --null <list0
answers '-0 -T' "$want" classify -0 -T list0
answers 'operands come before the list' \
    'pics/4.pgm pics/1.pgm pics/2.pgm pics/3.pgm ' \
    classify -T list pics/4.pgm
expect 'no such list' 66 '' \
    'pcv-classify: no: No such file or directory' classify -T no
expect 'a list that is a directory' 66 '' 'pcv-classify: pics: *' \
    classify -T pics
expect 'a list with NUL bytes' 65 '*' 'pcv-classify: list0: *NUL*' \
    classify -T list0
expect 'an empty list' 0 '' '' classify -T /dev/null
expect 'an operand that is the list, too' 66 '-*' '*was already read' \
    classify -T - - </dev/null
check 'with operands standard input is left alone' test "$(
    { classify pics/1.pgm >/dev/null; cat; } <<<rest)" = rest

# ---- directories
mkdir -p tree/b tree/a.d tree/B
cp pics/1.pgm tree/z.pgm
cp pics/2.pgm tree/b/x.pgm
cp pics/3.pgm tree/B/y.pgm
cp pics/4.pgm tree/a.d/w.pgm
echo notes >tree/b/README
answers '-r, bytewise order, only what matches' \
    'tree/B/y.pgm tree/a.d/w.pgm tree/b/x.pgm tree/z.pgm ' \
    classify -r --include='*.pgm' tree
answers '--exclude' 'tree/B/y.pgm tree/a.d/w.pgm tree/b/x.pgm ' \
    classify -r --exclude='[Rz]*' tree
answers '--include and --exclude' 'tree/b/x.pgm ' \
    classify --recursive --include='[x-z]*' --exclude='[yz]*' tree
answers '-r and a file' 'pics/1.pgm tree/z.pgm ' \
    classify -r --include='z*' pics/1.pgm tree

# ---- standard input
answers 'standard input without operands' '- ' classify <pics/1.pgm
answers 'an operand -' 'pics/2.pgm - pics/3.pgm ' \
    classify pics/2.pgm - pics/3.pgm <pics/1.pgm
for i in 1 2 3; do
    awk 'BEGIN { printf "P5 28 28 255\n" }'
    head -c 784 /dev/zero | tr '\0' "$i"
done >several
answers 'several pictures in one stream' '- -#1 -#2 ' classify <several
answers 'the same through a pipe' '- -#1 -#2 ' \
    sh -c "cat several | pcv-classify -m '$image'"
expect 'nothing on standard input' 65 '-*error: *' \
    'pcv-classify: standard input: *' classify </dev/null

# ---- headerless data, limits
head -c 784 /dev/urandom >bare
answers '--raw' 'bare ' classify --raw=u8:28x28 bare
expect '--raw of another size' 65 'bare*error: raw array: 784 bytes*' '*' \
    classify --raw=u8:28x27 bare
expect '--raw=nonsense' 64 '' "*'u9:2' is no raw array*" \
    classify --raw=u9:2 bare
expect '--pcm=nonsense' 64 '' "*'s16le:8000' is no headerless sound*" \
    classify --pcm=s16le:8000 bare
expect '--modality=sound refuses a picture' 65 \
    'pics/1.pgm*error: is not a sound, which was asked for*' '*' \
    classify --modality=sound pics/1.pgm
answers '--modality=image' 'pics/1.pgm ' classify --modality=image pics/1.pgm
answers '--modality=auto' 'pics/1.pgm ' classify --modality=auto pics/1.pgm
expect '--modality=bytes' 65 'pics/1.pgm*error: *' '*' \
    classify --modality=bytes pics/1.pgm
expect '--pcm for a model of pictures' 65 '*error: *' '*' \
    classify --pcm=s16le:8000:1 bare
answers '--no-exif' 'pics/1.pgm ' classify --no-exif pics/1.pgm
answers '--max-seconds' 'pics/1.pgm ' classify --max-seconds=0.5 pics/1.pgm
answers '--max-pixels=784' 'pics/1.pgm ' classify --max-pixels=784 pics/1.pgm
expect '--max-pixels=783' 65 '*error: *783*' '*' \
    classify --max-pixels=783 pics/1.pgm
expect '--max-bytes=784' 0 '*' '' \
    classify --max-bytes=784 --raw=u8:28x28 bare
expect '--max-bytes=783' 65 '*error: *783*' '*' \
    classify --max-bytes=783 --raw=u8:28x28 bare

# ---- names
mkdir odd
for name in 'with space' "new${tab}tab" $'two\nlines' 'back\slash' $'\xff\xfe' \
    'quo"te' '-dash' 'ünï' $'esc\033[2J' '*' '%s%n'; do
    cp pics/1.pgm "odd/$name"
done
want='odd/%s%n*odd/\**odd/-dash*odd/back\\\\slash*odd/esc\\033\[2J*'
want+='odd/new\\ttab*odd/quo"te*odd/two\\nlines*odd/with space*odd/ünï*'
want+='odd/\\377\\376*'
expect 'odd names in tsv' 0 "$want" '' classify -r odd
classify -r odd >odd.tsv
check 'one line each, five fields' awk -F'\t' '
    NF != 5 { exit 1 } END { if (NR != 11) exit 1 }' odd.tsv
find odd -type f -print0 | LC_ALL=C sort -z >odd0
check 'the same from a list' cmp odd.tsv <(classify -0 <odd0)
cut -f1 odd.tsv | while IFS= read -r name; do printf '%b\0' "$name"; done \
    >back0
check 'tsv names read back to the same bytes' cmp odd0 back0
if command -v jq >/dev/null; then
    classify -r odd --format=jsonl >odd.jsonl
    check 'odd names in jsonl' jq -e . odd.jsonl
    check 'path_b64 where a name is not UTF-8' test "$(
        jq -r 'select(.path_b64) | .path_b64' odd.jsonl | base64 -d)" = \
        $'odd/\xff\xfe'
    check 'path_b64 nowhere else' test "$(
        jq -c 'select(.path_b64)' odd.jsonl | wc -l)" -eq 1
else
    for name in 'odd names in jsonl' 'path_b64 where' 'path_b64 else'; do
        skip "$name" 'no jq'
    done
fi
expect 'control bytes of names in messages' 66 '*' \
    'pcv-classify: a\\033\[2Jb\\n: No such file or directory' \
    classify $'a\033[2Jb\n'
expect 'an empty name' 66 '*' "pcv-classify: '': *" classify ''
long=$(printf '%0300d' 0)
expect 'a name that is too long' 66 '*' '*: File name too long' \
    classify "$long"
mkfifo fifo
cat pics/1.pgm >fifo &
answers 'a FIFO' 'fifo ' classify fifo
ln -s loop loop
expect 'a loop of links' 66 '*' '*symbolic links*' classify loop
if [ "$(id -u)" -ne 0 ]; then
    touch secret
    chmod 0 secret
    expect 'an unreadable file' 66 '*' '*: Permission denied' classify secret
else
    skip 'an unreadable file' 'root reads everything'
fi

# ---- on errors
: >bad
answers '--on-error=continue' 'bad pics/1.pgm bad pics/2.pgm ' \
    classify --on-error=continue bad pics/1.pgm bad pics/2.pgm
answers '--on-error=stop' 'pics/1.pgm bad ' \
    classify --on-error=stop pics/1.pgm bad pics/2.pgm pics/3.pgm
expect '--on-error=stop: exit status' 3 '*' \
    'pcv-classify: bad: *1 of 2 inputs failed' \
    classify --on-error=stop pics/1.pgm bad pics/2.pgm
expect '--on-error=stop at the first' 65 "bad$tab*" '*' \
    classify --on-error=stop bad pics/2.pgm
expect '--on-error=stop leaves no file' 3 '' '*' \
    classify --on-error=stop -o stopped.tsv pics/1.pgm bad pics/2.pgm
check 'none at all' test ! -e stopped.tsv
# A model of bytes takes any file as bytes, as its training did: a picture, a
# gzip, on a pipe too; but an .npy holds ids.
printf 'a%.0s' 1 2 3 >a.txt
printf 'pics/1.pgm\t0\na.txt\t1\n' >kinds.tsv
check 'a model of bytes trains on a picture' pcv-train -q -d kinds \
    --modality=bytes --position=learned --length=16 --embedding=8 \
    --latents=2 --latent-channels=8 --self-heads=2 --steps=1 --batch-size=2 \
    --val-split=0 kinds.tsv
gzip -c a.txt >a.gz
bytes() {
    pcv-classify -m kinds "$@"
}
for f in pics/1.pgm a.txt a.gz; do
    expect "bytes of $f" 0 "$f	1	0.*	[01]	[01]" '' bytes "$f"
    # shellcheck disable=SC2016
    expect "bytes of $f on a pipe" 0 "-	1	0.*	[01]	[01]" '' \
        bash -c 'cat "$1" | pcv-classify -m kinds' . "$f"
done
# Version 1 .npy: the header takes 128 bytes, then four ids.
{
    printf '\223NUMPY\001\000v\000'
    printf '%-117s\n' \
        "{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }"
    printf '\004\147\150\005'
} >ids.npy
expect 'ids of an .npy' 0 "ids.npy	1	0.*" '' bytes ids.npy
expect 'the same file by force' 0 "ids.npy	1	0.*" '' \
    bytes --modality=bytes ids.npy
check 'are not the same input' test \
    "$(pcv-encode -m kinds --what=input --format=jsonl ids.npy)" != \
    "$(pcv-encode -m kinds --what=input --format=jsonl --modality=bytes \
        ids.npy)"
finish
