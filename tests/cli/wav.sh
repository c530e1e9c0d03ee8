# wav.sh - pcv-decode of a model of sound: WAV files.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

saw() { # step of a saw-tooth -> 64 samples of 16 bits, 8000 a second
    for ((i = 0; i < 64; i++)); do
        le $((i * $1 % 20000 - 10000)) 2
    done | wave 8000 16 64
}

mkdir -p sounds/a sounds/b
saw 700 >sounds/a/1.wav
saw 2100 >sounds/b/2.wav
if ! pcv-train -q -d model --steps=0 --modality=sound --rate=8000 \
    --samples=64 --patch=4 --bands=4 --latents=4 --latent-channels=8 \
    --self-heads=2 --blocks=1 --layers=1 --task=reconstruct --decoder=grid \
    --query-bands=4 --val-split=0 sounds >said 2>&1; then
    check 'a model of sound' sh -c 'cat said; false'
    finish
    exit
fi

is_wav() { # file, samples
    [ "$(stat -c %s "$1")" -eq $((44 + 2 * $2)) ] &&
        head -c 4 "$1" | grep -q RIFF &&
        [ "$(od -An -tu4 -j24 -N4 "$1" | tr -d ' ')" -eq 8000 ]
}
pcv-decode -m model sounds/a/1.wav >one.wav
check 'a sound' is_wav one.wav 64
check 'from latents' cmp one.wav \
    <(pcv-encode -m model sounds/a/1.wav | pcv-decode -m model)
expect '-o' 0 '' '' pcv-decode -m model -o o.wav sounds/a/1.wav
check 'writes it' cmp one.wav o.wav
expect '--out-dir' 0 '' '' pcv-decode -m model -r --out-dir=out sounds
check 'writes both' is_wav out/2.wav 64
expect 'several to one' 64 '' '*: there are several answers, *' \
    pcv-decode -m model -r sounds
expect 'png of sound' 64 '' "*: this model's answers are not pictures" \
    pcv-decode -m model --format=png sounds/a/1.wav
tail -c 128 sounds/a/1.wav >bare
check '--pcm' cmp one.wav \
    <(pcv-decode -m model --pcm=s16le:8000:1 bare)
expect '--max-seconds' 65 '' '*: sound goes on *' \
    pcv-decode -m model --max-seconds=0.001 sounds/a/1.wav
finish
