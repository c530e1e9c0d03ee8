# preset.sh - recipes: listed, overridden from every side, written out and read
# again, kept with the model; and the one of clips, trained.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

settings() { # options.. -> settings
    pcv-train "$@" --print-config
}
setting() { # name, options.. -> its value
    local name=$1
    shift
    settings "$@" | sed -n "s/^$name = //p"
}

# ---- names
expect '--preset=help' 0 'pixels *
video *' '' pcv-train --preset=help
pcv-train --preset=help >help
check 'as everything else on a full disk' sh -c \
    'pcv-train --preset=help >/dev/full; test $? -eq 74'
expect 'no such preset' 64 '' \
    "pcv-train: option --preset: 'pixel', want one of pixels, squares, *" \
    pcv-train --preset=pixel --print-config
echo 'preset = nothing' >bad.conf
expect 'nor in a file' 78 '' \
    "pcv-train: bad.conf:1: preset: 'nothing', want one of *" \
    pcv-train --config=bad.conf --print-config

# ---- settings
wrong=
while read -r name _; do
    settings --latents=5 --preset="$name" --epochs=2 >"$name.conf"
    settings --config="$name.conf" >again.conf
    cmp -s "$name.conf" again.conf || wrong="$wrong $name"
    [ "$(grep -cxE "preset = $name|latents = 5|epochs = 2" "$name.conf")" = 3 ] ||
        wrong="$wrong $name"
done <help
check 'there are presets' test "$(grep -c . help)" -ge 8
check "written, read, written:$wrong" test "$wrong" = ''
check 'given before' test "$(setting mels --mels=20 --preset=mel)" = 20
check 'given behind' test "$(setting mels --preset=mel --mels=20)" = 20
check 'to what is the default' test \
    "$(setting modality --modality=image --preset=points)" = image
check 'not given' test "$(setting mels --preset=mel)" = 40
check 'the last preset alone' cmp <(settings --preset=mel --preset=points) \
    <(settings --preset=points)
printf 'bands = 7\npreset = mel\n' >a.conf
check 'in a file: the lines around it' test \
    "$(setting bands --config=a.conf)" = 7
check 'in a file: what it sets' test "$(setting mels --config=a.conf)" = 40
check 'in a file: options win' test \
    "$(setting mels --config=a.conf --mels=9)" = 9
check 'another one by option: the lines of the file stay' test \
    "$(setting bands --config=a.conf --preset=points)" = 7
check 'another one by option: what the first set goes' test \
    "$(setting mels --config=a.conf --preset=points)" = 0

# ---- clips.  A dot moves to the left or to the right; no picture tells where.
for i in 1 2 3 4 5 6; do
    for way in left right; do
        mkdir -p "clips/$way/$i"
        for t in 1 2 3 4; do
            [ $way = left ] && at=$((8 - t - i % 3)) || at=$((t + i % 3))
            printf 'P2 8 8 9\n%s\n' "$(awk -v at=$at -v row=$i 'BEGIN {
                for (k = 0; k < 64; k++)
                    printf "%d ", k == 8 * row + at ? 9 : 0 }')" \
                >"clips/$way/$i/$t.pgm"
        done
    done
done
small='--preset=video --frames=4 --height=8 --width=8 --picture-patch=2
    --bands=3 --latents=8 --latent-channels=32 --dropout=0 --weight-decay=0
    --val-split=0'
# shellcheck disable=SC2086
expect 'clips' 0 '' '' pcv-train -q -d m $small --epochs=60 --batch-size=12 \
    --learning-rate=4e-3 clips
# shellcheck disable=SC2086
check 'training.conf' cmp m/training.conf <(settings $small --epochs=60 \
    --batch-size=12 --learning-rate=4e-3)
check 'it begins the same run' sh -c \
    'pcv-train -q -d again --config=m/training.conf clips &&
        cmp m/model.safetensors again/model.safetensors'
expect 'they are told apart' 0 $'clips/left/2\t1\t*\tleft
clips/right/5\t1\t*\tright' '' pcv-classify -m ./m clips/left/2 clips/right/5
(cd clips && for c in */*; do printf '%s\t%s\n' "$c" "${c%/*}"; done) >list
sed 's,^,clips/,' list >list.tsv
# shellcheck disable=SC2086
expect 'from a list, by three threads' 0 '' '' pcv-train -q -t 3 -d l $small --epochs=60 \
    --batch-size=12 --learning-rate=4e-3 list.tsv
check 'the same model' cmp m/model.safetensors l/model.safetensors
expect '--resume says the preset again' 0 '' '*done after step 60*' \
    pcv-train -d m --resume --preset=video clips
# shellcheck disable=SC2086
expect 'reconstructed' 0 '' '' pcv-train -q -d r $small --epochs=2 \
    --task=reconstruct --decoder=grid --query-bands=3 clips
# shellcheck disable=SC2086
expect 'what changes pictures' 64 '' '*flip: *' pcv-train -q -d n $small --flip=both \
    clips
cp clips/left/1/1.pgm clips/left/single.pgm
# shellcheck disable=SC2086
expect 'a picture that is no clip' 65 '' \
    '*clips/left/single.pgm: is a picture, the model takes a clip of pictures' \
    pcv-train -q -f -d n $small --epochs=1 clips
# shellcheck disable=SC2086
expect 'squares that do not fit' 65 '' '*picture-patch = 3 does not divide*' \
    pcv-train -q -f -d n $small --picture-patch=3 list.tsv

finish
