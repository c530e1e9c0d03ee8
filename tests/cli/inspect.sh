# inspect.sh - pcv-inspect on models, on files of tensors made by hand, and on
# what is neither.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
tab=$(printf '\t')
inspect=pcv-inspect

# A safetensors file: the header, padded to 8 bytes, and the data as printf
# takes them.
tensors() { # file, header, data
    local header=$2 n
    while [ $((${#header} % 8)) -ne 0 ]; do
        header="$header "
    done
    n=${#header}
    # shellcheck disable=SC2059
    {
        printf "\\$(printf %03o $((n % 256)))\\$(printf %03o $((n / 256)))"
        printf '\0\0\0\0\0\0%s' "$header"
        printf "$3"
    } >"$1"
}

one='\0\0\200\77' two='\0\0\0\100' three='\0\0\100\100' four='\0\0\200\100'
zero='\0\0\0\0' nan='\0\0\300\177' inf='\0\0\200\177'
tensors four.st '{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}' \
    "$one$two$three$four"
tensors odd.st '{"layers.0.w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},
"layers.1.w":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},
"tab\tname":{"dtype":"BF16","shape":[],"data_offsets":[16,18]},
"none":{"dtype":"U8","shape":[0,4],"data_offsets":[18,18]},
"__metadata__":{"format":"pt","note":"one\ntwo"}}' "$zero$nan$inf$nan\\200\\77"

# ---- the summary
$inspect "$image" >summary
check 'summary of a model' test "$(cut -c1-11 summary | tr -d ' ' |
    grep . | tr '\n' ' ')" = 'file model weights identity input latents '\
'decoder preprocess labels cost parameters check '
check 'its check' grep -qx 'check      ok: all tensors finite' summary
check 'N x D is in it' grep -q "^latents    $(jq .num_latents \
    "$image/config.json") x $(jq .d_latents "$image/config.json") " summary
expect 'a summary of tensors alone' 0 'file       four.st
weights    1 tensor, 4 parameters, F32, 16 B
parameters             4  a  (1 tensor)
check      ok: all tensors finite' '' $inspect four.st
expect 'folded names, kinds, metadata, what is not finite' 0 '*
weights    4 tensors, 5 parameters, F32 x 2, BF16 x 1, U8 x 1, 18 B
parameters             4  layers.#  (2 tensors)
*metadata   *note = one ...
check      NOT FINITE: 2 NaN and 1 infinite in 2 tensors, first layers.0.w' \
    '' $inspect odd.st
expect 'standard input' 0 '*check      ok*' '' $inspect - <four.st
check 'a model and its name' test "$(PCV_MODEL_PATH=$(dirname "$image") \
    $inspect "$(basename "$image")" | tail -n +2)" = \
    "$(tail -n +2 summary)"
pcv-inspect --cost -m "$image" >cost
check '--cost: its columns' test "$(head -n 1 cost)" = \
    "$(printf 'part\tform\tplain\trun\tbytes')"
check '--cost: the last line is the total' awk -F '\t' '
    NR > 1 && $1 != "total" {plain += $3; run += $4}
    $1 == "total" {good = $3 == plain && $4 == run && run < plain}
    END {exit !good}' cost
check '--cost: the attend of a picture is a grid' \
    grep -q "^cross-attend x 1	grid	" cost
pcv-inspect --cost -m "$image" --size=56x56 >larger
check '--cost --size: four times the pixels cost more, layers the same' awk -F '\t' '
    NR == FNR {plain[$1] = $3; run[$1] = $4; next}
    $1 ~ /^cross/ {cross = $3 > 3 * plain[$1] && $3 <= 4 * plain[$1] &&
        $4 > run[$1] && $4 < 4 * run[$1]}
    $1 ~ /^self/ {self = $4 == run[$1]}
    END {exit !(cross && self)}' cost larger
expect '--cost --json' 0 '{"file":*"cost":{*"parts":[{"part":"cross-attend x 2",*' \
    '' pcv-inspect --cost --json
expect '--cost has no tensors' 64 '' '*--match is about tensors*' \
    pcv-inspect --cost --match=x
expect 'cost of another size' 0 '*cost       56x28: *' '' \
    $inspect --size=56x28 "$image"
expect 'no such size' 64 '' "*size 'x'*" $inspect --size=x "$image"

# ---- tables
expect '--tensors' 0 "name${tab}dtype${tab}shape${tab}elements${tab}bytes\
${tab}offset
a${tab}F32${tab}2x2${tab}4${tab}16${tab}72" '' $inspect --tensors four.st
expect '--stats' 0 "name${tab}dtype${tab}shape${tab}min${tab}max${tab}mean\
${tab}std${tab}norm${tab}zero%${tab}nan${tab}inf
a${tab}F32${tab}2x2${tab}1${tab}4${tab}2.5${tab}1.11803399${tab}5.47722558\
${tab}0.00${tab}0${tab}0" '' $inspect --stats four.st
$inspect --stats odd.st >odd
check 'zeros, NaN and infinity' grep -qxF \
    "layers.0.w${tab}F32${tab}3${tab}0${tab}0${tab}0${tab}0${tab}0${tab}33.33\
${tab}1${tab}1" odd
check 'nothing but NaN' grep -qxF \
    "layers.1.w${tab}F32${tab}1${tab}-${tab}-${tab}-${tab}-${tab}0${tab}0.00\
${tab}1${tab}0" odd
check 'a scalar, and a name with a TAB' grep -q \
    '^tab\\tname'"${tab}BF16${tab}scalar${tab}1${tab}1${tab}" odd
check 'no elements' grep -qF "none${tab}U8${tab}0x4${tab}-" odd
expect '--hist in ASCII' 0 "*a${tab}1${tab}4${tab}@@@@" '' \
    $inspect --hist=4 four.st
expect '--hist in UTF-8' 0 "*a${tab}1${tab}4${tab}████" '' \
    env LC_ALL=C.UTF-8 $inspect --hist=4 four.st
expect '--hist=0' 64 '' "*--hist: '0', want a whole number from 1 to 512" \
    $inspect --hist=0 four.st
expect '--match' 0 "name*
layers.0.w*
layers.1.w*" '' $inspect --tensors --match='layers.?.w' odd.st
expect '--match without a match' 1 'name*' "*no tensor matches 'x'" \
    $inspect --tensors --match=x four.st
expect 'two tables' 64 '' '*one table at a time*' \
    $inspect --tensors --stats four.st

# ---- JSON
if command -v jq >/dev/null; then
    $inspect --json "$image" >model.json
    check '--json of a model' jq -e '.ok and .check.finite and
        (.model.settings.modality == "image") and
        (.model.labels | length == 3 or length > 0) and
        (.weights.parameters == ([.blocks[].parameters] | add))' model.json
    $inspect --json --tensors --stats --hist=2 odd.st four.st >all.json
    check '--json: NaN is null' jq -es '.[0].tensors[1] |
        .mean == null and .nan == 1 and .hist.counts == [0, 0]' all.json
    check '--json: all that was asked for' jq -es '.[1].tensors[0] |
        .name == "a" and .shape == [2, 2] and .offset == 72 and
        .mean == 2.5 and .hist == {min: 1, max: 4, counts: [2, 2]}' all.json
    cp four.st "$(printf 'bad\377.st')"
    $inspect --json --tensors "$(printf 'bad\377.st')" none four.st \
        >names.json 2>/dev/null
    check '--json: an object per file, in order' \
        test "$(jq -c '[.ok, .error.code]' names.json | tr '\n' ' ')" = \
        '[true,null] [false,66] [true,null] '
    check '--json: a name that is not UTF-8' test "$(jq -r '.file_b64 //
        empty' names.json | base64 -d)" = "$(printf 'bad\377.st')"
else
    skip '--json' 'no jq'
fi

# ---- one tensor
$inspect --get=a four.st >a.npy
check '--get: .npy' test "$(head -c 6 a.npy | tr -d '\223')" = NUMPY
check '--get: shape' grep -qa "'shape': (2, 2)" a.npy
check '--get: data' test "$(tail -c 16 a.npy | od -An -tf4 | xargs)" = \
    '1 2 3 4'
$inspect --get='tab	name' odd.st >a.npy
check '--get: other types become float32' \
    test "$(tail -c 4 a.npy | od -An -tf4 | xargs)" = 1
check '--get: the end of a name' test \
    "$($inspect --get=latents "$image" | wc -c)" -gt 128
expect '--get: no such tensor' 65 '' "*four.st: no tensor 'b'*" \
    $inspect --get=b four.st
expect '--get: several' 65 '' "*several tensors end in '.w'*" \
    $inspect --get=w odd.st
$inspect --show=a four.st >a.png
check '--show: a PNG of 2 x 2' test "$(head -c 24 a.png | tail -c 8 |
    od -An -tu1 | xargs)" = '0 0 0 2 0 0 0 2'
expect '-o' 0 '' '' $inspect --show=a -o b.png four.st
check 'the same in a file' cmp a.png b.png
expect '-o where it exists' 73 '' '*b.png*' \
    $inspect --show=a -o b.png four.st
expect '-o -f' 0 '' '' $inspect --show=a -f -o b.png four.st
expect '-o of what cannot be shown' 65 '' '*' \
    $inspect --show=b -o c.png four.st
check 'leaves nothing' test ! -e c.png
expect '--show and --get' 64 '' '*exclude each other' \
    $inspect --show=a --get=a four.st
expect '--get of two files' 64 '' '*takes one FILE' \
    $inspect --get=a four.st odd.st

# script(1) makes terminals of its own.
if script -qec true /dev/null >/dev/null 2>&1; then
    terminal() { # environment.. command
        env TERM=xterm "${@:1:$#-1}" script -qec "${*: -1}" /dev/null \
            </dev/null
    }
    terminal LC_ALL=C.UTF-8 "$inspect --show=a four.st" >typed
    check '--show: colour on a terminal' \
        grep -q "$(printf '\033\\[38;5;')" typed
    check '--show: the scale' grep -q '2 x 2, blue to red -4 to 4' typed
    terminal LC_ALL=C.UTF-8 NO_COLOR=1 "$inspect --show=a four.st" >typed
    check '--show: NO_COLOR' test "$(grep -c "$(printf '\033')" typed)" -eq 0
    terminal LC_ALL=C "$inspect --show=a four.st" >typed
    check '--show: ASCII' test "$(tr -d '\r' <typed | head -n 2)" = '*#
%@'
    terminal "$inspect --get=a four.st; echo status \$?" >typed
    check '--get: not to a terminal' grep -q 'status 64' typed
else
    skip 'on a terminal' 'no script(1)'
fi

# ---- what goes wrong
expect 'a bad file among good ones' 3 "file${tab}name*
four.st${tab}a*
odd.st${tab}layers.0.w*" "*model 'bad' not found*
*1 of 3 files failed" $inspect --tensors four.st bad odd.st
expect 'bad files alone' 65 '' '*summary: *
*pics/1.pgm: *' $inspect -q summary pics/1.pgm
expect 'no such model' 66 '' "*model 'no such' not found; tried:*" \
    $inspect 'no such'
mkdir empty
expect 'a directory that is no model' 66 '' '*empty/config.json: *' \
    $inspect empty
cp -r "$image" damaged
echo '{' >damaged/config.json
expect 'a damaged configuration' 65 '' '*damaged/config.json: *' \
    $inspect damaged
check 'its tensors are readable' $inspect --tensors damaged
for mode in '' --tensors --stats --hist --json --get=a --show=a; do
    expect "$mode > /dev/full" 74 '' \
        '*standard output: No space left on device' \
        sh -c "$inspect $mode four.st >/dev/full"
done
$inspect --tensors "$image" "$image" "$image" 2>said | head -c 1 >/dev/null
check 'quiet when nobody reads' test ! -s said

damaged four.st

finish
