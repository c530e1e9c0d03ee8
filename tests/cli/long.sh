# long.sh - sounds that are longer than memory holds them: one record, whether
# the samples lie in memory or in a temporary file, come from a file, a pipe or
# without a header, and are read once or by every round.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

samples=1100000         # the reader holds 2^20
encode() {
    pcv-encode -m model --pool=mean --format=npy "$@"
}
model() { # latents, cross-attends
    rm -rf model
    mkdir model
    sed -e "s/\"num_latents\": 64/\"num_latents\": $1/" \
        -e "s/\"cross_attends\": 1/\"cross_attends\": $2/" \
        -e 's/"bands": 64/"bands": 4/' -e 's/"patch": 1/"patch": 3/' \
        "$root/tests/data/large/sound.json" >model/config.json
    full init model
}
same() { # name, command...
    local name=$1
    shift
    "$@" >have.npy
    check "$name" cmp want.npy have.npy
}

PATH=$PATH:${PCV_BIN:-$root/build/release}/tests
# A prime number of bytes again and again: no period that a tile would have.
yes "$(seq 1 9999)" | head -c $((2 * samples)) >long.s16
wave 16000 16 $samples <long.s16 >long.wav
wave 22050 16 $samples <long.s16 >other.wav
gzip -k long.wav other.wav

model 8 1
# What comes out of a gzip is in memory.
encode long.wav.gz >want.npy
check 'a long sound has latents' test -s want.npy
same 'from a file' encode long.wav
same 'from standard input' encode - <long.wav
same 'from a pipe' encode <(cat long.wav)
same 'without a header' encode --pcm=s16le:16000:1 - <long.s16
same 'on one thread' encode -t 1 long.wav
TMPDIR=. same 'elsewhere' encode long.wav
encode --what=crossed long.wav.gz >want.npy
same 'after the cross-attend' encode --what=crossed long.wav
encode other.wav.gz >want.npy
same 'at another rate' encode other.wav
check 'nothing is left behind' test -z "$(find . -name 'pcv-*')"

expect 'no place for it' 73 '*' \
    '*long.wav: *nowhere: temporary file: No such*' \
    env TMPDIR=nowhere pcv-classify -m model long.wav
expect 'too long for the limit' 65 '*' '*long.wav: sound goes on after*' \
    pcv-classify -m model --max-seconds=60 long.wav
expect 'too large for the limit' 65 '*' '*long.wav: larger than the limit*' \
    pcv-classify -m model --max-bytes=1000000 long.wav
expect 'too large for the limit, from a pipe' 65 '*' \
    '*standard input: larger than the limit*' \
    pcv-classify -m model --max-bytes=1000000 - <long.wav

model 8 2
encode long.wav.gz >want.npy
same 'read by two rounds' encode long.wav
finish
