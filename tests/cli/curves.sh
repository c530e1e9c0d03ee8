# curves.sh - pcv-inspect on training runs: facts and curves of logs whose
# numbers are known, of damaged ones, of one that pcv-train wrote.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
inspect=pcv-inspect
unset COLUMNS

start='{"ev":"start","step":0,"epoch":0,"steps":200,"params":7,"train":1000,'
start="$start\"val\":50,\"threads\":1}"

steps() { # from, to, loss at a step i as awk has it
    awk -v from="$1" -v to="$2" 'BEGIN {
        for (i = from; i <= to; i++)
            printf "{\"ev\":\"step\",\"step\":%d,\"epoch\":%g,\"loss\":%.9g," \
                "\"accuracy\":%.9g,\"items_per_s\":250}\n", i, i / 10, '"$3"', i / 200
    }'
}

eval_line() { # step, loss, accuracy
    echo '{"ev":"eval","step":'"$1"',"epoch":'"$1"'e-1,"loss":'"$2"',"accuracy":'"$3}"
}

field() { # what jq makes of the run in a file
    $inspect --json --curves "$2" | jq -c ".run | $1"
}

# ---- known numbers: the loss falls from 3.98 to 2 in 100 steps, 0.02 each
mkdir run
{
    echo "$start"
    steps 1 50 '4 - i / 50'
    eval_line 50 2.5 0.75
    steps 51 100 '4 - i / 50'
    eval_line 100 2.75 0.7
    echo '{"ev":"stop","step":100,"epoch":10,"why":"done"}'
} >run/log.jsonl
expect 'facts' 0 'log        run/log.jsonl
run        100 of 200 steps, 10 of 20 epochs
data       1,000 examples, 50 held out
training   loss 2.0000, accuracy 50.00 % at step 100, epoch 10.00
held out   loss 2.7500, accuracy 70.00 % at step 100, epoch 10.00
best       loss 2.5000, accuracy 75.00 % at step 50, epoch 5.00
speed      250 examples/s
end        done
*' '' $inspect run
$inspect --curves run >text
check 'ticks of the loss' test "$(sed -n '/ loss /,/ step /p' text |
    sed -nE 's/^ *([0-9.]+) \+.*/\1/p' | tr '\n' ' ')" = '4.0 3.5 3.0 2.5 2.0 '
check 'ticks of the accuracy, from 0.005 to 0.75' test "$(
    sed -n '/^accuracy /,$p' text |
        sed -nE 's/^ *([0-9.]+) \+.*/\1/p' | tr '\n' ' ')" = \
    '0.8 0.6 0.4 0.2 0.0 '
check 'ticks of the steps' test "$(grep '^    step ' text | sort -u | xargs)" = \
    'step 0 20 40 60 80 100'
check 'no line over 80 columns' test "$(awk 'length > 80' text)" = ''
check 'two marks in each panel' test "$(grep -v training text |
    tail -n +10 | tr -cd o | wc -c)" -eq 4
# The straight line goes from the first row at the left to the last at the right.
check 'the curve: from the upper left to the lower right' awk '
    /^ *loss / {on = 1; next}
    on && /--/ {exit}
    on {row++; line = substr($0, 11)
        if (match(line, /[.:\047]/)) {
            if (!first) first = RSTART
            if (row > 1 && RSTART < before) bad = 1
            before = RSTART; end = length(line)
        }}
    END {exit !(first == 1 && end == 70 && !bad && row > 6)}' text
COLUMNS=120 $inspect --curves run >wide
check 'COLUMNS' test "$(grep -- '-----' wide | awk '{print length}' |
    sort -u)" = 120
LC_ALL=C.UTF-8 $inspect --curves run >braille
check 'braille and marks in UTF-8' test "$(grep -c '●' braille)" -ge 4
expect 'the log itself' 0 "$(cat text)" '' $inspect run/log.jsonl
$inspect --curves -o file run
sed 's/^log .*//' file >a
sed 's/^log .*//' text >b
check '-o' cmp a b

# ---- ratios of more than 50: decades
mkdir decades
{ echo "$start"; steps 1 100 'exp(-i / 10)'; } >decades/log.jsonl
check 'a logarithmic axis' test "$($inspect --curves decades |
    sed -n '/ loss /,/ step /p' | sed -nE 's/^ *([0-9.e-]+) \+.*/\1/p' |
    tr '\n' ' ')" = '1 0.1 0.01 0.001 0.0001 1e-05 '

# ---- a picture
$inspect --curves=run.png run
check '--curves=FILE: a PNG of 800 x 500' test "$(head -c 24 run.png |
    tail -c 8 | od -An -tu1 | xargs)" = '0 0 3 32 0 0 1 244'
$inspect --curves=- run >out.png
check '--curves=-' cmp run.png out.png
expect 'it exists' 73 '' '*run.png*' $inspect --curves=run.png run
expect '-f' 0 '' '' $inspect -f --curves=run.png run
expect 'not of two' 64 '' '*a picture of one run' $inspect --curves=x run run
expect 'no other mode' 64 '' '*--curves goes with no other mode' \
    $inspect --curves --stats run
expect 'no operand' 64 '' '*--curves needs a FILE*' $inspect --curves
expect 'no log' 66 '' '*: No such file or directory' $inspect --curves .
expect 'no log, no file' 66 '' '*' $inspect --curves=none.png .
check 'leaves nothing' test ! -e none.png

if command -v jq >/dev/null; then
    # ---- JSON: extremes against the log itself
    check '--json: counts' test "$(field '[.lines, .damaged, .reached, .steps,
        .evaluations, .best.step, .evaluated.loss, .end]' run)" = \
        '[104,0,100,200,2,50,2.75,"done"]'
    check '--json: the extremes are those of the log' test "$(field '.curves |
        [(.training | [.[].loss.max] | max), (.training | [.[].loss.min] | min),
         (.held_out | [.[].accuracy.max] | max)]' run)" = "$(jq -sc '
        [([.[] | select(.ev == "step").loss] | max),
         ([.[] | select(.ev == "step").loss] | min),
         ([.[] | select(.ev == "eval").accuracy] | max)]' run/log.jsonl)"
    {
        echo "$start"
        steps 1 20000 '1 + i % 7'
    } >long.jsonl
    check '--json: 100 steps in each of 200 columns' test "$(field '.curves |
        [(.training | length), .training[0].step, .training[0].loss.min,
         .training[199].step, .training[199].loss.max]' long.jsonl)" = \
        '[200,100,1,20000,7]'

    # ---- a resume: killed at 60, gone on with from 40, where the loss is 9
    {
        echo "$start"
        steps 1 60 '1'
        eval_line 30 1 0.3
        eval_line 50 1 0.99
        echo '{"ev":"resume","step":40,"epoch":4}'
        steps 41 80 '9'
    } >resumed.jsonl
    check 'a resume: what came again counts once' test "$(field '[.resumed,
        .reached, .evaluations, .best.step,
        ([.curves.training[] | select(.step <= 40).loss | .max] | max),
        ([.curves.training[] | select(.step > 40).loss | .min] | min)]' \
        resumed.jsonl)" = '[1,80,1,30,1,9]'
    { echo "$start"; steps 1 60 1; steps 41 50 9; } >back.jsonl
    check 'steps that come again without a word' test "$(field '[.reached,
        .last.loss, ([.curves.training[] | select(.step <= 40).loss | .max] |
        max)]' back.jsonl)" = '[50,9,1]'
    { echo "$start"; steps 1 60 1; echo "$start"; steps 1 5 3; } >anew.jsonl
    check 'a new start' test "$(field '[.reached, ([.curves.training[].loss |
        .min] | min)]' anew.jsonl)" = '[5,3]'

    # ---- damage
    {
        echo "$start"
        steps 1 10 1
        echo 'half a li'
        head -c 100000 /dev/zero
        echo
        head -c 300000 /dev/zero | tr '\0' '['
        echo
        echo '[1, 2]'
        echo '{"ev":"step","step":"x","loss":1}'
        echo '{"ev":"step","step":-1,"loss":1}'
        echo '{"ev":"step","step":11,"epoch":1.1,"loss":null,"accuracy":null}'
        echo '{"ev":"step","step":12,"epoch":1.2,"loss":1e999}'
        echo '{"ev":"step","step":13,"epoch":1.3,"loss":"1"}'
        echo '{"ev":"step","step":14,"loss":2}'
        printf '{"ev":"step","step":15,"loss":7'
    } >damaged.jsonl
    check 'damaged lines are counted, the others drawn' test "$(field '[.lines,
        .damaged, .reached, ([.curves.training[].loss | values | .max] |
        max)]' damaged.jsonl)" = '[21,7,14,2]'
    check 'and said' grep -qx \
        'damaged    7 of 21 lines are no events of pcv-train' \
        <($inspect damaged.jsonl)
    { echo "$start"; for i in 1 2 3; do
        echo '{"ev":"step","step":'$i',"loss":null}'
    done; } >null.jsonl
    expect 'nothing but null' 0 '*loss not finite at step 3*\(no steps yet)' '' \
        $inspect null.jsonl
    check 'its picture' $inspect --curves=null.png null.jsonl
    { echo "$start"; steps 1 9 '2'; } >flat.jsonl
    expect 'one value' 0 '* 2.2 +*' '' $inspect flat.jsonl
    { echo "$start"; steps 1 1 '-1e300 * 10'; steps 2 2 1e307; steps 3 3 -2; } \
        >huge.jsonl
    check 'what no axis has room for' $inspect --curves=huge.png huge.jsonl
    echo "$start" >began.jsonl
    expect 'a run that has just begun' 0 '*0 of 200 steps*\(no steps yet)' '' \
        $inspect began.jsonl
fi
: >empty.jsonl
expect 'an empty log' 65 '' '*empty.jsonl: no line of it is an event*' \
    $inspect --curves empty.jsonl
expect 'no log at all' 65 '' '*no line of it is an event*' \
    $inspect --curves "$image/model.safetensors"

# ---- memory: what has no lines is not taken for one
{ cat run/log.jsonl; truncate -s 700M /dev/stdout; } >sparse.jsonl
if bash -c "ulimit -v 500000; $inspect --curves run" >/dev/null 2>&1; then
    check 'memory is bounded' bash -c "ulimit -v 500000
        $inspect --curves sparse.jsonl | grep -q '^run        100 '"
else
    skip 'memory is bounded' 'this build needs more for nothing'
fi

# ---- a run of pcv-train
pcv-train -q -d trained --latents=4 --latent-channels=8 --blocks=1 --layers=1 \
    --bands=2 --self-heads=1 --epochs=2 --batch-size=8 --seed=3 \
    "$root/tests/data/fashion/held-out" >/dev/null 2>&1
$inspect trained >model
check 'a line in the summary of its model' grep -qE \
    '^run        [0-9]+ of [0-9]+ steps, 2 of 2 epochs, best held out: loss' \
    model
$inspect --curves trained >whole
check 'settings that are not the defaults' test "$(
    sed -n '/^settings /,/^$/p' whole | grep -c 'seed=3$')" -eq 1
check 'none that are' test "$(grep -c learning-rate whole)" -eq 0
check 'the end' grep -qx 'end        done' whole
if command -v jq >/dev/null; then
    check 'best: as the log has it' test \
        "$($inspect --json trained | jq .run.best.accuracy)" = \
        "$(jq -s '[.[] | select(.ev == "eval").accuracy] | max' \
            trained/log.jsonl)"
fi

finish
