# squares.sh - pictures in squares of pixels (--picture-patch).
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

train() {
    pcv-train -q --channels=3 --height=8 --width=6 --bands=4 --latents=4 \
        --latent-channels=16 --blocks=1 --layers=1 --val-split=0 "$@"
}
picture() { # width, height, plain pixels -> a PPM
    echo "P3 $1 $2 9"
    yes "$3" | head -n $(($1 * $2))
}

mkdir -p colours/red colours/blue
for i in 6 7 8 9; do
    picture 6 8 "$i 0 1" >colours/red/$i.ppm
    picture 6 8 "0 1 $i" >colours/blue/$i.ppm
done
expect 'pcv-train' 0 '' '' train -d model --picture-patch=2 --steps=60 \
    --batch-size=4 --learning-rate=0.01 --warmup=5 colours
picture 12 16 '8 2 0' >red.ppm
picture 5 7 '1 0 8' >blue.ppm
expect 'pictures it has not seen' 0 $'red.ppm\t*\tred\nblue.ppm\t*\tblue' '' \
    pcv-classify -m model red.ppm blue.ppm
check 'config.json' grep -q '"picture_patch": 2' model/config.json
expect 'pcv-inspect' 0 '*8x6x3*12 x 30*12 pixel values + 18 Fourier*' '' \
    pcv-inspect model
pcv-encode -m model --format=npy -t 1 --batch=1 -r colours >want.npy
check 'threads and batches do not matter' cmp want.npy \
    <(pcv-encode -m model --format=npy -t 2 --batch=3 -r colours)

expect 'sides that are no multiples' 65 '' \
    '*height and width are 8 and 6, which picture-patch = 4 does not divide*' \
    train -d not --picture-patch=4 colours
expect 'reconstruct' 65 '' \
    '*task=reconstruct of pictures wants picture-patch=1*' \
    train -d not --picture-patch=2 --task=reconstruct --decoder=grid colours
train -d any --picture-patch=2 --fit=keep --steps=0 colours
expect 'a picture of another size' 3 '?*' \
    '*blue.ppm*shape ?3x7x5?, want*in whole squares (picture-patch)*' \
    pcv-classify -m any red.ppm blue.ppm
finish
