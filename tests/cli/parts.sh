# parts.sh - one model of pictures and sounds: trained from a list in which
# either may be absent, asked with a file of either or with both.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

picture() { # dark or bright
    printf 'P5 6 6 255\n'
    printf "%036d" 0 | tr 0 "$1"
}
sound() { # a byte of u8, and another one, in turn
    yes "$1$2" | tr -d '\n' | head -c 200 | wave 8000 8 200
}

mkdir data
for i in 1 2 3 4; do
    picture "$i" >data/dark$i.pgm
    picture "$(printf %b "\\0$((350 + i))")" >data/bright$i.pgm
    sound "$i" z >data/high$i.wav
    sound "$i$i$i$i$i$i$i$i$i$i" zzzzzzzzzz >data/low$i.wav
done
{
    printf '# a comment\nkind\timage\tsound\n'
    for i in 1 2 3 4; do
        printf 'a\tdark%d.pgm\thigh%d.wav\n' $i $i
        printf 'b\tbright%d.pgm\t-\n' $i
        printf 'b\t\tlow%d.wav\n' $i
        printf 'a\tdark%d.pgm\t-\n' $i
    done
} >data/list
parts='image modality=image height=6 width=6 bands=2; sound modality=sound samples=200 patch=10 bands=4; kind modality=class'
train() {
    pcv-train -q --parts="$parts" --latents=4 --latent-channels=16 --layers=1 \
        --blocks=1 --shared=8 --nested=1,2 --batch-size=8 \
        --learning-rate=1e-2 --warmup=5 "$@"
}
expect 'a list of parts trains' 0 '' '*' \
    train -d model --epochs=80 --drop-parts=0.2 --val=data/list data/list
check 'and is learned' \
    sh -c "tail -2 model/log.jsonl | grep -q . && grep '\"ev\":\"eval\"' \
        model/log.jsonl | tail -1 | jq -e '.accuracy == 1' >/dev/null"
check 'config.json has the parts' \
    test "$(jq -r '.pcv.parts | keys | join(" ")' model/config.json)" = \
    'image kind sound'

label() {
    pcv-classify -m model "$@" | cut -f5
}
equal() { # name, want, have
    check "$1" test "$2" = "$3"
}
equal 'a picture alone' a "$(label data/dark1.pgm)"
equal 'the other one' b "$(label data/bright1.pgm)"
equal 'a sound alone' a "$(label data/high2.wav)"
equal 'the other one' b "$(label data/low2.wav)"
equal 'both at once' a "$(label data/dark3.pgm,data/high3.wav)"
score() {
    pcv-classify -m model "$@" | cut -f3,5
}
equal 'in either order' "$(score data/dark3.pgm,data/high3.wav)" \
    "$(score data/high3.wav,data/dark3.pgm)"
equal 'from a pipe' "$(score data/dark3.pgm)" "$(score - <data/dark3.pgm)"
equal 'any number of threads' \
    "$(score -t 1 data/*.pgm data/*.wav)" "$(score -t 3 data/*.pgm data/*.wav)"
expect 'two pictures are one too many' 65 \
    '*error: data/dark2.pgm: no part of the model*' '*' \
    pcv-classify -m model data/dark1.pgm,data/dark2.pgm
expect 'one of two is not there' 66 '*error: data/none.wav: No such file*' '*' \
    pcv-classify -m model data/dark1.pgm,data/none.wav
equal 'the others go on' 2 \
    "$(pcv-classify -m model data/none,data/no data/dark1.pgm data/low1.wav \
        2>/dev/null | grep -vc error)"

equal 'all latents are the default' "$(score data/*.pgm)" \
    "$(score --latents=4 data/*.pgm)"
check 'two of them say something else' \
    test "$(score --logits data/*.pgm)" != \
    "$(score --logits --latents=2 data/*.pgm)"
check 'latents of an encoder are as many' \
    sh -c "pcv-encode -m model --latents=2 --format=npy data/dark1.pgm |
        head -c 128 | grep -aq '2, 16'"
expect 'a count it was not trained for' 64 '' \
    '*3 latents: the model was trained for 1,2,4*' \
    pcv-classify -m model --latents=3 data/dark1.pgm

# A text as long as the model takes has as many elements as one that is absent:
# what comes before an input does not change its answer.
printf 'sort\timage\twords\na\tdark1.pgm\ttext\nb\tdark2.pgm\t-\n' \
    >data/texts
printf 'fourteen bytes' >data/text
expect 'pictures and texts' 0 '' '*' pcv-train -q -d words --val-split=0 \
    --parts='image modality=image height=6 width=6 bands=2; words modality=bytes length=16 position=learned embedding=8; sort modality=class' \
    --latents=4 --latent-channels=16 --steps=3 --batch-size=2 data/texts
words() {
    pcv-classify -m words --logits --all "$@" | cut -f3
}
inputs=(data/dark1.pgm data/dark2.pgm,data/text data/text data/bright1.pgm)
equal 'each input as if it were alone' \
    "$(for i in "${inputs[@]}"; do words "$i"; done)" "$(words "${inputs[@]}")"
equal 'in another order, too' \
    "$(for i in data/text data/dark1.pgm; do words "$i"; done)" \
    "$(words data/text data/dark1.pgm)"

edited() { # name, message, change of config.json
    rm -rf edited
    cp -r model edited
    jq "$3" model/config.json >edited/config.json
    expect "$1" 65 '' "$2" pcv-classify -m edited data/dark1.pgm
}
edited 'a list of parts in config.json' '*config.json: "parts" is no object*' \
    '.pcv.parts = [{"a": 1}]'
edited 'a part that is null' '*part "image" is no object, want its settings' \
    '.pcv.parts.image = null'
edited 'a part of parts' '*a part has "modality" parts' \
    '.pcv.parts.image.modality = "parts"'
edited 'too many parts' '*config.json: 11 "parts", want at most 8' \
    '.pcv.parts += ([range(8) | {key: "p\(.)", value: {}}] | from_entries)'
edited 'counts as a list' '*"nested_latents" is a list, want a text N,N,..' \
    '.pcv.nested_latents = [1, 2]'

expect 'a list without names' 65 '' '*is no part of the model*' \
    sh -c "grep -v kind data/list >list; pcv-train -q -d not --parts='$parts' list"
expect 'a directory' 65 '' '*names one class for each file*' \
    train -d not data
expect 'nothing is asked' 65 '' '*nothing is answered*' \
    sh -c "cut -f2- data/list >data/inputs
    pcv-train -q -d not --parts='image modality=image; sound modality=sound' \
        data/inputs"
refuse() { # name, status, message, parts...
    expect "$1" "$2" '' "$3" pcv-train -q -d not --parts="$4" "${@:5}" data/list
}
refuse 'a part without a name' 64 '*no name of a part*' 'modality=image; a modality=class'
refuse 'two of one name' 64 "*two parts are called 'image'*" \
    'image modality=image; image modality=image; kind modality=class'
refuse 'a setting that there is not' 64 "*--parts: no setting 'size'*" 'image size=3'
refuse 'no value' 64 '*want setting=value*' 'image modality'
refuse 'a setting of all' 64 "*'latents' of part 'image' is a setting of the whole*" \
    'image modality=image latents=3; kind modality=class'
refuse 'parts of a part' 64 "*part 'image' cannot have parts*" \
    'image modality=parts; kind modality=class'
refuse 'no parts' 64 '*no parts, want a name*' ' ; '
refuse 'texts where there are none' 64 '*examples=lines wants modality=bytes*' \
    "$parts" --examples=lines
refuse 'labels of a picture' 65 '*labels are a part of modality=class*' \
    'image modality=image outputs=3; sound modality=sound; kind modality=class'
refuse 'a class that is looked at' 64 '*want masked=yes*' \
    'image modality=image; sound modality=sound; kind modality=class masked=no'
refuse 'nothing is looked at' 65 '*all parts are masked*' \
    'image modality=image masked=yes; sound modality=sound masked=yes; kind modality=class'
refuse 'an answer that the list has not' 65 '*no labels for the task*' \
    'image modality=image; sound modality=sound; kind modality=class; more modality=class'
expect 'parts are left out of parts alone' 64 '' \
    '*drop-parts does nothing without a model of parts*' \
    pcv-train -q -d not --drop-parts=0.2 data
expect 'a model that looks at nothing' 65 '' '*masked=yes is for a part*' \
    pcv-train -q -d not --masked=yes --val-split=0 "$root/tests/data/fashion/held-out"
finish
