# mel.sh - sound as bands of frequencies: trained, classified, written out and
# taken again as an array, short and long.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

tone() { # period in samples of 8000 a second, seconds -> a WAV
    yes "$(head -c $(($1 / 2)) /dev/zero | tr '\0' '\300'
        head -c $(($1 - $1 / 2)) /dev/zero | tr '\0' '@')" | tr -d '\n' |
        head -c $(($2 * 8000)) | wave 8000 8 $(($2 * 8000))
}
train() {
    pcv-train -q --modality=sound --samples=4000 --mels=12 --bands=4 \
        --latents=4 --latent-channels=16 --blocks=1 --layers=1 "$@"
}
encode() {
    pcv-encode -m model --format=npy "$@"
}

mkdir -p sounds/high sounds/low
for i in 0 1 2 3; do
    tone $((6 + i)) 1 >sounds/high/$i.wav
    tone $((40 + 5 * i)) 1 >sounds/low/$i.wav
done
expect 'pcv-train' 0 '' '' train -d model --epochs=40 --batch-size=4 \
    --learning-rate=0.01 --warmup=5 --val-split=0 sounds
for i in 7 43; do
    tone $i 1 >$i.wav
done
expect 'sounds it has not heard' 0 $'7.wav\t*\thigh\n43.wav\t*\tlow' '' \
    pcv-classify -m model 7.wav 43.wav
check 'config.json' grep -q '"mels": 12' model/config.json
check 'its window' grep -q '"mel_window": 25' model/config.json
expect 'pcv-inspect' 0 '*of 4000 samples*49 x 21*12 bands + 9 Fourier*'\
'*12 bands of frequencies of 25 ms every 10 ms*' '' pcv-inspect model
expect 'pcv-inspect --size' 0 '*99 x 21*' '' pcv-inspect --size=8000 model

# 1 + ceil((4000 - 200) / 80) frames; the bands stand before the positions.
encode --what=input -o rows.npy 7.wav
check '--what=input' grep -aq "'shape': (1, 49, 21)" rows.npy
tail -c $((49 * 21 * 4)) rows.npy >rows
for ((i = 0; i < 49; i++)); do
    tail -c +$((i * 84 + 1)) rows | head -c 48
done >bands
encode 7.wav >want.npy
check 'bands as an array are the sound' cmp want.npy \
    <(encode --raw=f32:49x12 bands)
encode -t 1 --batch=1 -r sounds >want.npy
check 'threads and batches do not matter' cmp want.npy \
    <(encode -t 2 --batch=3 -r sounds)

expect 'gain' 64 '' '*gain*changes samples of sound*log-mel*' \
    train -d not --gain=8 sounds
expect 'reconstruct' 65 '' '*task=reconstruct of sound wants mels=0*' \
    train -d not --task=reconstruct --decoder=grid sounds
expect 'a window of no sample' 65 '' '*want at least 2 samples and 1 at 8000*' \
    train -d not --mel-window=0.1 sounds
expect 'a step over samples' 65 '' '*mel-step is 30 ms, want at most*25*' \
    train -d not --mel-step=30 sounds

# Any length: 150 seconds are 14999 frames, which have a table, 170 have none;
# the reader stores what is more than 2^20 samples.
train --force -d model --samples=0 --steps=0 --val-split=0 sounds
for seconds in 1 150 170; do
    tone 43 $seconds >long.wav
    gzip -kf long.wav
    encode long.wav.gz >want.npy
    check "$seconds seconds from a file" cmp want.npy <(encode long.wav)
    check "$seconds seconds from a pipe" cmp want.npy <(encode - <long.wav)
done
finish
