#!/usr/bin/env bash
# full.sh BUILD_DIR [NAME...] - what `make full` runs: models of the published
# configurations (tests/data/published) and of ours for inputs of any size
# (tests/data/large), with random weights: time and memory of one pass through
# the programs, which for some has a bound.  They take up to 830 MB of disk at
# a time, and a few minutes.
set -eu
cd "$(dirname "$0")/.."
bin=$(cd "${1:-build/release}" && pwd)
shift
configs=$PWD/tests/data
PATH=$bin:$PATH
full=$bin/tests/full
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failed=0

sound() { # 30720 samples of noise at 48 kHz
    printf 'RIFF\x24\xf0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\xbb\0\0'
    printf '\0\x77\1\0\2\0\x10\0data\0\xf0\0\0'
    head -c 61440 /dev/urandom
}
hour() { # 57600000 samples of noise at 16 kHz
    printf 'RIFF\x24\xd0\xdd\6WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0'
    printf '\0\x7d\0\0\2\0\x10\0data\0\xd0\xdd\6'
    head -c 115200000 /dev/urandom
}
inputs() {
    local i f
    yes 'All human beings are born free.' | tr '\n' ' ' | head -c 2046 >text
    "$full" picture ppm 256 256 >photo
    "$full" picture ppm 496 368 >before
    cp before after
    for f in ppm png jpeg; do
        "$full" picture $f 4096 4096 >large.$f
    done
    mkdir clip
    for i in $(seq 10 25); do
        "$full" picture ppm 224 224 >"clip/$i.ppm"
    done
    sound >clip/sound.wav
    hour >hour.wav
}

model() { # name, megabytes beside the weights, command...
    local name=$1 spare=$2
    shift 2
    mkdir "$name"
    cp "$configs"/*/"$name.json" "$name/config.json"
    "$full" init "$name"
    printf '%-11s %s %s: ' "$name" "$1" "${*: -1}"
    "$full" measure "$name" "$spare" "$1" -m "$name" "${@:2}" || failed=1
    rm -r "$name"
}

wanted() { # name
    [ ${#names[@]} -eq 0 ] || [[ " ${names[*]} " = *" $1 "* ]]
}

inputs
names=("$@")
while read -r name spare command; do
    if wanted "$name"; then
        # shellcheck disable=SC2086
        model "$name" "$spare" $command
    fi
done <<'END'
language    -   pcv-decode --format=npy text
classify    -   pcv-classify text
learned     -   pcv-classify photo
fourier     64  pcv-classify photo
conv        -   pcv-classify photo
flow        300 pcv-decode --format=npy before after
multimodal  400 pcv-decode --format=safetensors clip
pictures    400 pcv-classify large.ppm
pictures    400 pcv-classify large.png
pictures    400 pcv-encode large.jpeg
sound       100 pcv-encode hour.wav
END
exit $failed
