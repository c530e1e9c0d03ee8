# train.sh - pcv-train: small runs, what they leave behind, and every way of
# ending them early.  A run that was interrupted and resumed has to give the
# bytes of one that was not.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

training_data
train() {
    # shellcheck disable=SC2086
    pcv-train $small "$@"
}

# ---- a run
expect 'a run' 0 '' '*pcv-train: run: done after step 20, held out: loss *, '\
'accuracy * %' train -d run --epochs=5 "$data"
check 'what it leaves' test "$(find run -type f | sort | xargs)" = \
    'run/checkpoint.previous.safetensors run/checkpoint.safetensors '\
'run/config.json run/log.jsonl '\
'run/model.safetensors run/training.conf'
expect 'a finite model' 0 '*check      ok: all tensors finite' '' \
    pcv-inspect run
expect '-q' 0 '' '' train -q -d quiet --epochs=5 "$data"
check 'the same bytes again' same run quiet
train -q -d threads -t 3 --epochs=5 "$data"
check 'the same bytes with three threads' same run threads
changed='--epochs=2 --shift=2 --crop-area=0.3 --flip=both --randaugment=2
    --noise=0.1 --erase=0.5'
# shellcheck disable=SC2086
train -q -d changed $changed "$data"
# shellcheck disable=SC2086
train -q -d changed3 -t 3 $changed "$data"
check 'augmented: the same bytes with three threads' same changed changed3
train -q -d unchanged --epochs=2 "$data"
check 'augmented: other bytes' sh -c \
    '! cmp -s changed/model.safetensors unchanged/model.safetensors'
expect 'plain lines where there is no terminal' 0 '' \
    "$(printf 'pcv-train: step 4  held out:  loss *')" \
    train -d plain --epochs=1 "$data"
train -d plain -f --epochs=1 "$data" 2>said
check 'no control characters' test "$(tr -d '[:print:]\n' <said | wc -c)" -eq 0
train -d plain -f --epochs=1 --progress=always "$data" 2>said
check '--progress=always' grep -q "$(printf '\r')" said
expect '--progress=never' 0 '' 'pcv-train: plain: done after step 4, *' \
    train -d plain -f --epochs=1 --progress=never "$data"
check 'one line' test "$(grep -c . "$work/.err")" -eq 1
if command -v jq >/dev/null; then
    check 'log.jsonl is JSON' jq -e . run/log.jsonl
    check 'from start to stop' test \
        "$(jq -r .ev run/log.jsonl | sed -n '1p;$p' | xargs)" = 'start stop'
    check 'a line for each step' test \
        "$(jq 'select(.ev == "step").step' run/log.jsonl | xargs)" = \
        "$(seq 20 | xargs)"
    check 'losses are numbers' jq -es 'map(select(.ev == "step" or
        .ev == "eval")) | length == 25 and
        all(.[]; (.loss | type) == "number" and
                 (.accuracy | type) == "number")' run/log.jsonl
else
    skip 'log.jsonl' 'no jq'
fi
if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1
then
    TERM=xterm script -qec "pcv-train $(echo "$small" | xargs) -d typed \
        --epochs=5 $data" /dev/null </dev/null >typed.txt
    check 'a status line on a terminal' grep -q \
        "$(printf '\rstep 1/20  epoch 0.25  loss ')" typed.txt
    TERM=dumb script -qec "pcv-train $(echo "$small" | xargs) -d typed -f \
        --epochs=5 $data" /dev/null </dev/null >typed.txt
    check 'not on a dumb one' test "$(grep -c 'step 1/20' typed.txt)" -eq 0
else
    skip 'a status line on a terminal' 'no script(1)'
fi

# ---- settings
expect '--print-config' 0 'modality = image*
latents = 4
*' '' train --print-config
train --print-config >run.conf
check '--config reads what --print-config writes' \
    diff run.conf <(pcv-train --config=run.conf --print-config)
printf '# a comment\n\n  latents=9  \nbands = 2\r\n' >a.conf
check 'comments, blanks, carriage returns' test "$(pcv-train \
    --config=a.conf --print-config | grep -cE '^(latents = 9|bands = 2)$')" \
    -eq 2
check 'options win over --config' test "$(pcv-train --latents=5 \
    --config=a.conf --print-config | grep '^latents =')" = 'latents = 5'
printf 'latents = 9\nbogus = 1\n' >b.conf
expect 'an unknown key' 78 '' "pcv-train: b.conf:2: *'bogus'" \
    train --config=b.conf -d no "$data"
printf 'latents = many\n' >c.conf
expect 'a bad value' 78 '' "pcv-train: c.conf:1: latents: 'many', want *" \
    train --config=c.conf -d no "$data"
echo latents >d.conf
expect 'no value' 78 '' 'pcv-train: d.conf:1: want key = value' \
    train --config=d.conf -d no "$data"
expect 'no such --config' 66 '' 'pcv-train: e.conf: No such file*' \
    train --config=e.conf -d no "$data"
expect '--print-config > /dev/full' 74 '' '*standard output: No space*' \
    sh -c 'pcv-train --print-config >/dev/full'

# ---- what is refused
expect 'no DATA' 64 '' '*want one DATA, have 0*' train -d no
expect 'two DATA' 64 '' '*want one DATA, have 2*' train -d no a b
expect 'augmentation that is not for the input' 64 '' \
    "*flip: 'both' changes pictures; the model takes samples of sound: *" \
    train -d no --modality=sound --flip=both "$data"
expect 'augmentation that needs another setting' 64 '' \
    '*magnitude does nothing without randaugment' \
    train -d no --magnitude=5 "$data"
expect 'no -d' 64 '' '*want -d DIR*' train "$data"
expect 'a value out of range' 64 '' \
    "pcv-train: option --latents: '0', want *" train --latents=0 -d no "$data"
expect 'no value that is a word' 64 '' \
    "pcv-train: option --decoder: 'x', want query|mean|grid" \
    train --decoder=x -d no "$data"
expect 'a time that is none' 64 '' "*--max-time: '5y', want a time*" \
    train --max-time=5y -d no "$data"
expect 'settings that do not fit' 65 '' '*self-heads*' \
    train --self-heads=3 -d no "$data"
expect 'no such data' 66 '' '*nowhere: *' train -d no nowhere
expect 'DIR cannot be made' 73 '' '*no/such: *' train -d no/such "$data"
check 'nothing is left behind' test ! -e no
expect 'a model is there' 73 '' \
    '*run: there is a model already*--resume*--force*' \
    train -d run --epochs=5 "$data"
expect '--resume and --force' 64 '' '*' train -d run --resume -f "$data"
expect '--resume of nothing begins' 0 '' \
    'pcv-train: none: no checkpoint to go on from: beginning*' \
    train -d none --resume --epochs=5 "$data"
check 'and gives what any run gives' same run none
rm none/checkpoint*
expect '--resume of a model without a checkpoint' 73 '' \
    '*none: there is a model, but no checkpoint to go on from; *--force*' \
    train -d none --resume "$data"
expect '--resume with other settings' 65 '' '*other settings*' \
    train -d run --resume --latents=5 "$data"

# ---- checkpoints that are damaged
flip() { # file, offset: another byte there
    local byte
    byte=$(tail -c +$(($2 + 1)) "$1" | head -c 1 | od -An -tu1)
    printf '%b' "\\0$(printf %o $((byte ^ 4)))" |
        dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
cp -r run broken
head -c 5000 run/checkpoint.safetensors >broken/checkpoint.safetensors
expect '--resume of half a checkpoint: the one before' 0 '' \
    'pcv-train: broken/checkpoint.safetensors: is damaged: its checksum, *; '\
'going on from broken/checkpoint.previous.safetensors*done after step 20, *' \
    pcv-train -d broken --resume "$data"
check 'and ends the same' cmp run/checkpoint.safetensors \
    broken/checkpoint.safetensors
rm broken/checkpoint.safetensors
expect '--resume without the last: the one before' 0 '' \
    'pcv-train: broken/checkpoint.safetensors is not there; going on from *' \
    pcv-train -d broken --resume "$data"
size=$(wc -c <run/checkpoint.safetensors)
for at in 0 20 50 100 3000 $((size / 2)) $((size - 1)); do
    cp run/checkpoint.safetensors broken/
    rm -f broken/checkpoint.previous.safetensors
    flip broken/checkpoint.safetensors "$at"
    expect "byte $at of it is another" 65 '' \
        '*broken/checkpoint.safetensors: *damaged*put a copy of *train anew' \
        pcv-train -d broken --resume "$data"
done
cp broken/checkpoint.safetensors broken/checkpoint.previous.safetensors
expect 'both are damaged' 65 '' '*broken/checkpoint.safetensors: is damaged*; '\
'broken/checkpoint.previous.safetensors: is damaged*put a copy*' \
    pcv-train -d broken --resume "$data"
expect '--resume of what is done' 0 '' '*done after step 20*' \
    pcv-train -d run --resume "$data"
check 'changes nothing' same run quiet
expect '--force' 0 '' '' train -q -f -d threads --epochs=5 "$data"
check 'gives the same again' same run threads

# ---- other data than before
{ head -c 8 labels.idx && tail -c +10 labels.idx && printf '\1'; } >other.idx
expect '--resume with other labels' 65 '' '*run/checkpoint.safetensors: was '\
'made with other data *60 * these are 60 *; resume with the same*' \
    pcv-train -d run --resume images.idx,other.idx
expect '--resume with other --val' 65 '' '*was made with other data *' \
    pcv-train -d run --resume --val=images.idx,other.idx "$data"
mkdir moved
cp images.idx labels.idx moved
expect '--resume with data that were moved' 0 '' '' \
    pcv-train -q -d run --resume moved/images.idx,moved/labels.idx

# ---- --force, ended before it has anything: the run before is still there
expect '--force without data' 66 '' '*' train -q -d run -f nowhere
check 'nothing was lost' same run quiet

# ---- ends that come early.  A long run, and what it gives undisturbed:
long='--epochs=150 --dropout=0.1 --shift=1 --save-every=7'
# shellcheck disable=SC2086
train -q -d whole $long "$data"

steps() { # directory -> steps in its log
    grep -c '"ev":"step"' "$1/log.jsonl" 2>/dev/null
}
# Starts a run and waits until it has done some steps.  A shell without job
# control would have its children ignore SIGINT.
begin() { # directory, steps, options...
    local directory=$1 wanted=$2 seen=0
    shift 2
    set -m
    # shellcheck disable=SC2086
    pcv-train $small -d "$directory" $long "$@" "$data" 2>"$directory.err" &
    pid=$!
    set +m
    for _ in $(seq 1000); do
        seen=$(steps "$directory")
        [ "${seen:-0}" -lt "$wanted" ] || return 0
        sleep 0.01
    done
}
resume() { # directory, name
    pcv-train -q -d "$1" --resume "$data"
    check "$2, resumed: the bytes of a whole run" same whole "$1"
}

for case in INT:130 TERM:143 HUP:129 USR1:75; do
    signal=${case%:*}
    begin "$signal" 20
    kill -s "$signal" "$pid"
    wait "$pid" 2>/dev/null
    check "SIG$signal: exit status" test $? -eq "${case#*:}"
    check "SIG$signal: it says so" \
        grep -q 'stopped and saved' "$signal.err"
    check "SIG$signal: before the end" test "$(steps "$signal")" -lt 600
    check "SIG$signal: the log is whole" test \
        "$(tail -n 1 "$signal/log.jsonl" | cut -c 1-12)" = '{"ev":"stop"'
    resume "$signal" "SIG$signal"
done

begin USR2 20
kill -s USR2 "$pid"
wait "$pid"
check 'SIGUSR2: the run goes on' test $? -eq 0
check 'SIGUSR2: the same bytes' same whole USR2

for n in 3 40 200; do
    begin "kill$n" "$n"
    kill -s KILL "$pid"
    wait "$pid" 2>/dev/null
    printf '{"ev":"st' >>"kill$n/log.jsonl"
    touch "kill$n/.model.safetensors.tmp.1.0"
    resume "kill$n" "SIGKILL after $n steps"
    check "SIGKILL after $n steps: no half files, no half lines" test \
        "$(find "kill$n" -name '.*' -type f; \
           grep -cv '}$' "kill$n/log.jsonl")" = 0
done

# A step of seconds: the second SIGINT does not wait for it.
set -m
pcv-train -d slow --latents=512 --latent-channels=512 --layers=16 --steps=2 \
    --batch-size=54 --height=12 --width=12 --bands=3 "$data" 2>slow.err &
pid=$!
set +m
for _ in $(seq 1000); do
    [ ! -e slow/checkpoint.safetensors ] || break
    sleep 0.01
done
kill -s INT "$pid"
sleep 0.1
check 'the first SIGINT waits for the step' kill -s INT "$pid"
wait "$pid" 2>/dev/null
check 'the second one kills' test $? -eq 130
check 'at once' test "$(grep -c saved slow.err)$(steps slow)" = 00
expect 'what was saved before is whole' 0 '*' '*' \
    pcv-inspect --stats slow/checkpoint.safetensors

# shellcheck disable=SC2086
expect '--max-time' 75 '' '*stopped and saved*' \
    train -d timed $long --epochs=100000 --max-time=0.3s "$data"
begin busy 5
expect 'one run at a time' 73 '' '*busy: another pcv-train works there' \
    train -f -d busy "$data"
expect 'one run at a time, --resume' 73 '' '*busy: another *' \
    pcv-train --resume -d busy "$data"
kill -s TERM "$pid"
wait "$pid" 2>/dev/null

# ---- outputs that cannot be written
mkdir full
ln -s /dev/full full/log.jsonl
expect 'a log on a full disk' 74 '' \
    '*full/log.jsonl: No space left on device; training goes on without it*' \
    train -d full --epochs=5 "$data"
check 'the model is there all the same' same run full
check 'messages to a full disk do no harm' \
    sh -c "pcv-train $(echo "$small" | xargs) -f -d full --epochs=1 $data \
        2>/dev/full; test \$? -eq 74"
(
    # shellcheck disable=SC2086
    train -d piped $long --progress=always "$data" 2>&1 >/dev/null
    echo $? >status
) | head -c 10 >/dev/null
check 'nobody reads the progress: the run goes on' test "$(<status)" -eq 0
check 'and gives the same' same whole piped
if [ "$(id -u)" -ne 0 ]; then
    mkdir locked
    chmod 555 locked
    expect 'a directory that cannot be written' 73 '' '*' \
        train -d locked --epochs=1 "$data"
fi

# ---- other data
mkdir -p folders/dark folders/light
for i in 1 2 3 4 5 6; do
    printf 'P2 4 4 9\n%s\n' "$(yes "$i" | head -n 16)" >folders/dark/$i.pgm
    printf 'P2 4 4 9\n%s\n' "$(yes 9 | head -n 16)" >folders/light/$i.pgm
done
tiny='--height=4 --width=4 --bands=2 --latents=2 --latent-channels=8
    --blocks=1 --layers=1 --epochs=2'
# shellcheck disable=SC2086
expect 'a folder per class' 0 '' '' pcv-train -q -d f $tiny folders
check 'its labels' test "$(jq -c '.id2label' f/config.json)" = \
    '{"0":"dark","1":"light"}'
find folders -name '*.pgm' | sort |
    awk -F/ '{ print $0 "\t" $2 }' >list
# shellcheck disable=SC2086
expect 'a list' 0 '' '' pcv-train -q -d l $tiny list
# Both find that the directory is not there, and wait for the list.
for i in 1 2; do
    # shellcheck disable=SC2086
    { sleep 0.3 && cat list; } | {
        pcv-train -q -d race $tiny --epochs=2000 - 2>race$i.err
        echo $? >race$i.status
    } &
done
wait
check 'one of two has a new directory' test \
    "$(sort race?.status | xargs)" = '0 73'
check 'the other says so' grep -q 'race: another pcv-train' race?.err
mv folders elsewhere
sed "s,^,$PWD/," list | sed 's,/folders/,/elsewhere/,' >list2
expect '--resume, a folder that was moved' 0 '' '' \
    pcv-train -q -d f --resume elsewhere
expect '--resume, a list of whole paths' 0 '' '' \
    pcv-train -q -d l --resume list2
mv elsewhere/dark/1.pgm elsewhere/dark/one.pgm
expect '--resume, a file has another name' 65 '' '*other data*' \
    pcv-train -q -d f --resume elsewhere
mv elsewhere/dark/one.pgm elsewhere/dark/1.pgm
mv elsewhere folders
check 'the same model' same f l
# shellcheck disable=SC2086
expect '--val' 0 '' '*done after*accuracy*' \
    pcv-train -d v $tiny --val=list folders
# shellcheck disable=SC2086
expect 'reconstruction' 0 '' '*held out: loss ?.????' \
    pcv-train -d r $tiny --task=reconstruct --decoder=grid --query-bands=2 \
    --val=list folders
# What is wrong with the data and with the model to begin from.
refused() { # name, status, message, options and data...
    # shellcheck disable=SC2086
    expect "$1" "$2" '' "$3" pcv-train -q -d refused $tiny "${@:4}"
}
refused '--init of a file' 66 \
    'pcv-train: list/config.json: Not a directory' \
    --init=list list
refused '--init of nothing' 66 \
    'pcv-train: missing/config.json: No such file or directory' \
    --init=missing list
cp -r v broken
head -c 1000 v/model.safetensors >broken/model.safetensors
refused '--init of half a model' 65 \
    'pcv-train: broken/model.safetensors: *truncated*' \
    --init=broken list
refused 'outputs of a reconstruction' 65 '*outputs is 3, but the data has 1 *' \
    --task=reconstruct --decoder=grid --outputs=3 folders
refused 'lines for pictures' 64 '*examples=lines wants modality=bytes' \
    --examples=lines list
refused 'running text has no labels' 64 '*examples=text has no labels, want *' \
    --modality=bytes --position=learned --examples=text list
refused 'points without a resolution' 65 '*want max-resolution above 0*' \
    --modality=points --channels=3 list
printf 'folders/dark/1.pgm\t\377\n' >latin
refused 'a label that is not UTF-8' 65 \
    "pcv-train: latin: the label '?377' of example 1 is not UTF-8; *" latin
printf 'folders/dark/1.pgm\tgrey\n' >grey
refused 'a label that is held out alone' 65 \
    "pcv-train: grey: the label 'grey' is not one of *" --val=grey list
printf 'folders/dark/1.pgm\t1;2\n' >numbers
refused 'no numbers' 65 "pcv-train: numbers: '1;2' of example 1: want *" \
    --task=values numbers
# shellcheck disable=SC2086
expect 'DIR is a file' 73 '' 'pcv-train: list: is no directory, want *' \
    pcv-train -q -d list $tiny list
# shellcheck disable=SC2086
expect 'no name of DIR' 64 '' '*want -d DIR*' pcv-train -q -d '' $tiny list

# Each tag has a probability of its own.
sed 's/\t/\tany,/' list >tags
# shellcheck disable=SC2086
expect 'tags' 0 '' '' pcv-train -q -d t $tiny --task=tags --val=tags tags
expect 'the likeliest tag' 0 '{*"top":[{"index":0,"label":"any","prob":0.*' '' \
    pcv-decode -m t --format=jsonl folders/dark/1.pgm
# shellcheck disable=SC2086
expect 'how many latents are kept' 0 '' '*c: done with [0-9]* latents after *' \
    pcv-train -d c $tiny --latents=auto:8 --val=list list

# Hugging Face's models of text refuse long ones; training cuts them.
printf 'a\t%0200d\nb\tshort\n' 0 >long
expect 'long texts are cut' 0 '' '' pcv-train -q -d h --steps=1 -t 1 \
    --init="$root/tests/golden/language-mlm" --examples=lines --val-split=0 long
check 'and the class is the same' grep -q PerceiverForMaskedLM h/config.json

echo 'P2 4 4 9 1' >folders/dark/7.pgm
# Whether the loss or a gradient breaks first depends on the CPU.
# shellcheck disable=SC2086
expect 'a rate that is too high' 65 '' '*step *: loss @(*nan*|*, and '\
'the gradient of * is not finite); d/checkpoint.safetensors, of step *, is good: train anew with a lower learning rate' \
    pcv-train -q -d d $tiny --epochs=400 --learning-rate=1e3 \
    --weight-decay=1e3 --clip=0 --warmup=0 --save-every=1 list
expect 'the checkpoint is' 0 '*' '*' pcv-inspect --stats d/checkpoint.safetensors
# shellcheck disable=SC2086
expect 'a broken example' 65 '' '*folders/dark/7.pgm: *' \
    pcv-train -q -d b $tiny --val=list folders

finish
