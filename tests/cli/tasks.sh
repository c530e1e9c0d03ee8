# tasks.sh - pcv-train by what is asked: some labels, numbers, masked bytes of
# lines and of running text; a model that begins from another, and fewer
# latents; and what the likely mistakes are told.  Several parts: parts.sh.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# Six by six pixels: the left and the right half, of a byte each.
halves() { # byte, byte
    printf 'P5 6 6 255\n'
    for _ in 1 2 3 4 5 6; do printf '%s' "$1$1$1$2$2$2"; done
}
bright=$(printf '\372')
mkdir data
for i in 1 2 3 4; do
    halves "$i" "$i" >data/none$i.pgm
    halves "$bright" "$i" >data/left$i.pgm
    halves "$i" "$bright" >data/right$i.pgm
    halves "$bright" "$bright" >data/both$i.pgm
    printf 'none%d.pgm\t\nleft%d.pgm\tleft\nright%d.pgm\tright\n' $i $i $i
    printf 'both%d.pgm\tright,left\n' $i
done >data/tags
sed 's/\t$/\t0,0/; s/\tleft$/\t1,-1/; s/\tright$/\t0.5,2/
    s/\t[rl].*/\t1.5,1/' data/tags >data/values
for i in 1 2 3 4 5 6 7 8; do
    printf '%d\tto be or not to be\nx\tthat is the question\n' "$i"
done >data/lines
mkdir data/texts
cut -f2 data/lines >data/texts/one
cp data/texts/one data/texts/two

small='--height=6 --width=6 --bands=2 --latents=4 --latent-channels=16
    --blocks=1 --layers=1 --warmup=5 --learning-rate=1e-2 --batch-size=8'
text='--modality=bytes --length=24 --position=learned --embedding=16
    --latents=4 --latent-channels=16 --blocks=1 --layers=1 --warmup=5
    --learning-rate=1e-2 --batch-size=8 --task=fill --mask=0.3'
train() {
    # shellcheck disable=SC2086
    pcv-train -q $small "$@"
}
write() {
    # shellcheck disable=SC2086
    pcv-train -q $text "$@"
}
config() { # directory, filter, want
    check "$1: config.json" test "$(jq -c "$2" "$1/config.json")" = "$3"
}
evaluated() { # directory -> the last evaluation
    grep '"ev":"eval"' "$1/log.jsonl" | tail -n 1
}

# ---- what is asked
expect 'tags' 0 '' '' train -d t --task=tags --epochs=80 --val=data/tags \
    data/tags
config t '[.pcv.task, .pcv.outputs, .id2label]' \
    '["tags",2,{"0":"left","1":"right"}]'
check 'they are learned' sh -c \
    "grep '\"ev\":\"eval\"' t/log.jsonl | tail -1 |
        jq -e '.accuracy == 1 and .loss < 0.1'"
expect 'numbers' 0 '' '' train -d v --task=values --epochs=120 \
    --val=data/values data/values
config v '[.pcv.task, .pcv.outputs, .id2label]' '["values",2,null]'
check 'they are learned' sh -c \
    "grep '\"ev\":\"eval\"' v/log.jsonl | tail -1 |
        jq -e '.accuracy == null and .loss < 0.05'"
expect 'masked bytes of lines' 0 '' '' write -d l --examples=lines \
    --epochs=30 --mask=0.15 --keep-best=no --val=data/lines data/lines
config l '[.pcv.task, .pcv.outputs, .max_position_embeddings]' \
    '["fill",262,24]'
check 'which is then asked for what is masked' sh -c \
    "printf 'ab[MASK]d' | pcv-decode -m ./l | grep -qv MASK"
expect 'of running text, all files of a directory' 0 '' '' \
    write -d r --examples=text --epochs=30 data/texts
check 'pieces of 22 bytes' test \
    "$(head -n 1 r/log.jsonl | jq -c '[.train, .val]')" = "$(cat data/texts/* |
        wc -c | awk '{ n = 2 * int(($1 / 2 + 21) / 22); v = int(n / 10)
            printf "[%d,%d]", n - v - 1, v }')"
check 'it is learned' jq -es 'map(select(.ev == "step").loss) |
    .[-1] < 0.7 * .[0]' r/log.jsonl
expect 'evaluated as it was' 0 '*accuracy*' '' \
    pcv-classify -m l --evaluate=data/lines --examples=lines
pcv-classify -m l --evaluate=data/lines --examples=lines >first
pcv-classify -m l --evaluate=data/lines --examples=lines -t 2 >second
check 'the same bytes are masked again' diff first second
check 'as at the end of the run' test \
    "$(sed -n 's/^loss *//p' first)" = \
    "$(printf '%.4f' "$(evaluated l | jq .loss)")"

# ---- tags are asked like classes
pcv-classify -m t --all "data/$(cut -f1 data/tags | head -n 1)" >answer
check 'each tag has a line' test "$(cut -f5 answer | sort | xargs)" = \
    "$(jq -r '.id2label[]' t/config.json | sort | xargs)"
check 'and a probability of its own' awk -F '\t' '
    {sum += $3; logit[NR] = $3; bad = bad || $3 < 0 || $3 > 1}
    END {exit bad || (sum > 0.999999 && sum < 1.000001)}' answer

# ---- from another model
sed 's/left/up/g; s/up\(.\)\.pgm/left\1.pgm/; s/right,up/right,up,new/' \
    data/tags >data/others
expect 'other tags from the first' 0 '' '*final_layer.weight*' \
    sh -c "pcv-train -d o --init=t --steps=20 --batch-size=8 data/others"
config o '[.num_latents, .d_latents, .pcv.height, .id2label[]]' \
    '[4,16,6,"new","right","up"]'
check 'the log names what is new' jq -es '.[0].fresh | split("\n") |
    map(select(. != "")) | length == 2' o/log.jsonl
expect 'the last layer alone' 0 '' '' pcv-train -q -d f --init=t \
    --freeze=body --steps=5 --batch-size=8 --task=tags data/tags
cp -r t from
go='--init=from --steps=40 --batch-size=8 --save-every=7'
# shellcheck disable=SC2086
pcv-train -q -d whole $go data/others
# shellcheck disable=SC2086
pcv-train -q -d half $go data/others &
pid=$!
for _ in $(seq 1000); do
    seen=$(grep -c '"ev":"step"' half/log.jsonl 2>/dev/null)
    [ "${seen:-0}" -lt 9 ] || break
    sleep 0.01
done
kill -s KILL "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
rm -r from
expect 'goes on when the other model is gone' 0 '' '' \
    pcv-train -q -d half --resume data/others
check 'with the same bytes' cmp whole/model.safetensors half/model.safetensors
check 'and the same words' cmp whole/config.json half/config.json

# ---- fewer latents
expect '--latents=auto' 0 '' '*2 latents*' sh -c "pcv-train $(echo "$small" |
    xargs) -d c --latents=auto:16 --epochs=60 --task=tags --val=data/tags \
    data/tags"
check 'the log has what was tried' jq -es 'map(select(.ev == "latents")) |
    .[0].latents == "16" and length >= 2' c/log.jsonl
check 'the model has as many as it says' test \
    "$(jq -r 'select(.ev == "stop").why' c/log.jsonl)" = \
    "done with $(jq .num_latents c/config.json) latents"
expect 'and is whole' 0 '*all tensors finite' '' pcv-inspect c

# ---- likely mistakes
refuse() { # name, status, message, arguments...
    local name=$1 status=$2 message=$3
    shift 3
    expect "$name" "$status" '' "pcv-train: $message" train -d no "$@"
    rm -rf no
}
refuse 'tags of a directory' 65 '*names one class for each file*want a list' \
    --task=tags data
refuse 'a pair for numbers' 66 '*no such directory, list*' --task=values x,y
refuse 'no label for one class' 65 'data/tags:1: want path<TAB>label' data/tags
grep 'left$' data/tags >data/left
refuse 'words for numbers' 65 "*'left' of example *: want numbers*" \
    --task=values data/left
printf '%s/data/left1.pgm\t1\n' "$PWD" >one
refuse 'held-out numbers are fewer' 65 \
    "*the data have 1 numbers, the model's answer * has 2 *" \
    --task=values --val=one data/values
sed 's/\t1$/\tsideways/' one >other
refuse 'a held-out tag that is new' 65 "*'sideways' is not one of the 2*" \
    --task=tags --val=other data/tags
refuse 'lines without labels' 65 '*one:1: want label<TAB>text' \
    --modality=bytes --examples=lines data/texts/one
refuse 'lines of a directory' 66 'data/texts: Is a directory' \
    --modality=bytes --examples=lines data/texts
refuse 'classes of running text' 64 '*examples=text has no labels*' \
    --modality=bytes --position=learned --examples=text data/texts
refuse 'lines for pictures' 64 '*examples=lines wants modality=bytes*' \
    --examples=lines data/lines
refuse 'masked pictures' 65 '*task=fill wants modality=bytes*' --task=fill \
    data/tags
both='a modality=bytes position=learned; b modality=class'
refuse 'lines for parts' 64 '*examples=lines wants modality=bytes*' \
    --examples=lines --parts="$both" data/lines
refuse 'mixed parts' 64 '*mixup wants one input*' --mixup=0.2 \
    --parts='a modality=image height=6 width=6; b modality=class' data/tags
refuse 'a list without columns' 65 "*tags:1: 'none1.pgm' is no part *a, b*" \
    --parts='a modality=image height=6 width=6; b modality=class' data/tags
refuse 'a model that is not there' 66 'nowhere/config.json: No such file*' \
    --init=nowhere --task=tags data/tags
refuse 'counts that fall' 64 '*want rising counts below the 4 latents*' \
    --task=tags --nested=2,1 data/tags
refuse 'as many as there are' 64 '*want rising counts below the 4 latents*' \
    --task=tags --nested=2,4 data/tags
refuse 'too few to choose from' 64 '*auto of 4, want at least 8' \
    --latents=auto:4 data/tags
refuse 'masks of no text' 64 '*mask does nothing without task=fill' \
    --mask=0.3 --task=tags data/tags

finish
