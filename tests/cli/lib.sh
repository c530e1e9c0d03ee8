# lib.sh - what the shell tests have in common; sourced first, `finish` last.
#
#     expect NAME STATUS OUT ERR COMMAND..    runs it; OUT and ERR are patterns
#                                             of all that it writes ("*": any)
#     check NAME COMMAND..                    it succeeds
#     skip NAME WHY
#     le NUMBER BYTES                         little-endian
#     wave RATE BITS SAMPLES                  a WAV of what comes in
#
# Each script works in a directory of its own.  `$image` and `$auto` are small
# models of 28x28 grey pictures, a classifier and an autoencoder; pics/ holds
# pictures for them.
# shellcheck shell=bash
set -u
export LC_ALL=C
unset PCV_MODEL_PATH PCV_THREADS NO_COLOR POSIXLY_CORRECT
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PATH=$(cd "${PCV_BIN:-$root/build/release}" && pwd):$PATH
image=${PCV_TEST_MODEL:-$root/tests/data/tiny-image}
auto=$root/tests/data/tiny-auto
export image auto
work=$(mktemp -d)
trap 'cd /; rm -rf "$work"' EXIT
cd "$work" || exit 73
number=0

le() { # number, bytes: low byte first
    local i
    for ((i = 0; i < $2; i++)); do
        printf '%b' "\\0$(printf %o $(($1 >> 8 * i & 255)))"
    done
}

wave() { # samples a second, bits, samples: a WAV's head, then standard input
    local bytes=$(($2 / 8))
    printf RIFF && le $((36 + bytes * $3)) 4 && printf 'WAVEfmt '
    le 16 4 && le 1 2 && le 1 2 && le "$1" 4 && le $((bytes * $1)) 4
    le $bytes 2 && le "$2" 2 && printf data && le $((bytes * $3)) 4
    cat
}

report() { # succeeded?, name
    number=$((number + 1))
    if $1; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
    fi
}

skip() { # name, why
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

check() { # name, command...
    local name=$1
    shift
    if "$@" >"$work/.said" 2>&1; then
        report true "$name"
    else
        report false "$name"
        { echo "$*" && head -c 2000 "$work/.said"; } | sed 's/^/# /'
    fi
}

# What a command wrote, "^@" for NUL, which a shell variable cannot hold.
text_of() { # file
    tr '\0' '\1' <"$1" | sed 's/\x01/^@/g'
}

expect() { # name, status, out, err, command...
    local name=$1 status=$2 out=$3 err=$4 got
    shift 4
    "$@" >"$work/.out" 2>"$work/.err"
    got=$?
    # shellcheck disable=SC2053
    if [ "$got" -eq "$status" ] && [[ $(text_of "$work/.out") == $out ]] &&
        [[ $(text_of "$work/.err") == $err ]]; then
        report true "$name"
        return
    fi
    report false "$name"
    {
        echo "$*"
        echo "exit status $got, want $status; standard output:"
        head -c 2000 "$work/.out"
        echo "standard error:"
        head -c 2000 "$work/.err"
        echo "want: <$out> and <$err>"
    } | sed 's/^/# /'
}

# A plain PGM of 28x28; each seed gives another one.
picture() { # file, seed
    awk -v k="$2" 'BEGIN {
        printf "P2 28 28 255\n"
        for (i = 0; i < 784; i++)
            print (i * (2 * k + 3) + int(i / 28) * k) % 256
    }' >"$1"
}

# Something to learn in no time: `$data`, 60 pictures of 12 x 12 in three
# classes (a slope, a row, a column), as idx; `$small` is a network for it.
small="--height=12 --width=12 --bands=3 --latents=4 --latent-channels=16
    --blocks=2 --layers=1 --batch-size=12 --warmup=5"
data=images.idx,labels.idx
export small data
training_data() {
    awk 'BEGIN {
        for (i = 0; i < 60; i++)
            for (y = 0; y < 12; y++)
                for (x = 0; x < 12; x++) {
                    k = i % 3
                    on = k == 0 ? x == y : k == 1 ? y == 5 : x == 5
                    printf "\\0%03o", (on ? 200 : 20) + (i * 7 + x * y) % 40
                }
    }' >pixels
    awk 'BEGIN { for (i = 0; i < 60; i++) printf "\\0%03o", i % 3 }' >classes
    { printf '\0\0\10\3\0\0\0\74\0\0\0\14\0\0\0\14' &&
        printf '%b' "$(<pixels)"; } >images.idx
    { printf '\0\0\10\1\0\0\0\74' && printf '%b' "$(<classes)"; } >labels.idx
}
# Two directories hold the same model.
same() { # directory, directory
    cmp "$1/model.safetensors" "$2/model.safetensors" &&
        cmp "$1/config.json" "$2/config.json"
}

mkdir pics
for i in 1 2 3 4 5 6 7; do
    picture "pics/$i.pgm" "$i"
done

finish() {
    echo "1..$number"
}

# damaged FILE - every truncation of it is refused by pcv-inspect, and every
# byte changed does no harm.
damaged() {
    local size n
    size=$(wc -c <"$1")
    for ((n = 0; n < size; n++)); do
        head -c "$n" "$1" >cut
        pcv-inspect --tensors cut >/dev/null 2>&1
        [ $? -eq 65 ] || echo "$n"
    done >accepted
    check "$1: $size truncations are refused" test ! -s accepted
    for ((n = 0; n < size; n++)); do
        { head -c "$n" "$1" && printf '\377' &&
            tail -c +$((n + 2)) "$1"; } >changed
        pcv-inspect --stats changed >/dev/null 2>&1
        case $? in
        0 | 65) ;;
        *) echo "$n" ;;
        esac
    done >crashed
    check "$1: $size changed bytes do no harm" test ! -s crashed
}
