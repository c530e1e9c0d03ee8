#!/usr/bin/env bash
# full.sh BUILD_DIR [NAME...] - what `make full` runs: models of the published
# configurations (tests/data/published), with random weights: the number of
# parameters, and time and memory of one pass through the programs.  They take
# up to 800 MB of disk at a time.  The multimodal model is asked for its classes
# alone: all 802,816 pixels of its video take a minute or more.
set -eu
cd "$(dirname "$0")/.."
bin=$(cd "${1:-build/release}" && pwd)
shift
configs=$PWD/tests/data/published
PATH=$bin:$PATH
full=$bin/tests/full
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0

picture() { # width, height -> a PPM of noise
    printf 'P6\n%d %d\n255\n' "$1" "$2"
    head -c $((3 * $1 * $2)) /dev/urandom
}
sound() { # 30720 samples of noise at 48 kHz
    printf 'RIFF\x24\xf0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\xbb\0\0'
    printf '\0\x77\1\0\2\0\x10\0data\0\xf0\0\0'
    head -c 61440 /dev/urandom
}
inputs() {
    local i
    yes 'All human beings are born free.' | tr '\n' ' ' | head -c 2046 >text
    picture 256 256 >photo
    picture 496 368 >before
    picture 496 368 >after
    mkdir clip
    for i in $(seq 10 25); do
        picture 224 224 >"clip/$i.ppm"
    done
    sound >clip/sound.wav
}

model() { # name, parameters, command...
    local name=$1 want=$2 have
    shift 2
    mkdir "$name"
    cp "$configs/$name.json" "$name/config.json"
    have=$("$full" init "$name")
    printf '%-12s %10d parameters' "$name" "$have"
    if [ "$have" -ne "$want" ]; then
        printf ', want %d' "$want"
        failed=1
    fi
    printf ', %s: ' "$1"
    "$full" measure "$1" -m "$name" "${@:2}" || failed=1
    rm -r "$name"
}

wanted() { # name
    [ ${#names[@]} -eq 0 ] || [[ " ${names[*]} " = *" $1 "* ]]
}

inputs
names=("$@")
while read -r name parameters command; do
    if wanted "$name"; then
        # shellcheck disable=SC2086
        model "$name" "$parameters" $command
    fi
done <<'END'
language    201108230 pcv-decode --format=npy text
classify    206098690 pcv-classify text
learned      62255848 pcv-classify photo
fourier      48440627 pcv-classify photo
conv         48646522 pcv-classify photo
flow         41057134 pcv-decode --format=npy before after
multimodal   19858855 pcv-classify clip
END
exit $failed
