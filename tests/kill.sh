#!/usr/bin/env bash
# kill.sh [ROUNDS [SEED]] - pcv-train under SIGKILL at random moments: each
# round starts `pcv-train --resume` again and again, kills it a few times and
# lets the last go to its end.  It has to leave the bytes of a run that nobody
# touched, and a log of whole lines.  The same command begins, and goes on.  In
# each fourth round it is --force over another model that is killed.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=cli/lib.sh
. "$(dirname "$0")/cli/lib.sh"
rounds=${1:-6}
seed=${2:-1}
RANDOM=$seed
training_data

shaken='--dropout=0.1 --shift=1'
cases=("--epochs=100 --save-every=7 --eval-every=3"
    "--epochs=20 --save-every=1 --eval-every=1"
    "--epochs=100 --keep-best=no")
train() { # directory, case, --resume or --force
    # shellcheck disable=SC2086
    exec pcv-train -q -d "$1" "$3" $small $shaken ${cases[$2]} "$data"
}
for k in 0 1 2; do
    begun=$(date +%s%3N)
    (train "whole$k" "$k" --resume)
    length[k]=$(($(date +%s%3N) - begun))
done

killed=0 early=0 saving=0
# One in three early: the first checkpoint is there after some milliseconds.
moment() { # milliseconds that a run takes -> a moment of it, in seconds
    local most=$1 ms
    [ $((RANDOM % 3)) -ne 0 ] || most=12
    ms=$(((RANDOM * 32768 + RANDOM) % most))
    printf '%d.%03d' $((ms / 1000)) $((ms % 1000))
}
disturb() { # directory, case, --resume or --force
    train "$1" "$2" "$3" 2>>errors &
    local pid=$!
    moment "${length[$2]}" >delay       # not $(..): RANDOM would start again
    sleep "$(<delay)"
    kill -s KILL $pid 2>/dev/null || return
    wait $pid 2>/dev/null
    killed=$((killed + 1))
    [ -e "$1/checkpoint.safetensors" ] || early=$((early + 1))
    [ -z "$(find "$1" -name '.*.tmp.*' 2>/dev/null)" ] ||
        saving=$((saving + 1))
}
# Neither half files nor half lines.
tidy() { # directory
    [ -z "$(find "$1" -name '.*' -type f)" ] &&
        [ "$(grep -cv '^{.*}$' "$1/log.jsonl")" -eq 0 ] &&
        { ! command -v jq >/dev/null || jq -e . "$1/log.jsonl" >/dev/null; }
}
complete() { # directory, case
    same "whole$2" "$1" &&
        cmp "whole$2/checkpoint.safetensors" "$1/checkpoint.safetensors" &&
        tidy "$1"
}
round() { # directory, case
    local kills=$((1 + RANDOM % 4))
    for ((n = 0; n < kills; n++)); do
        disturb "$1" "$2" --resume
    done
    (train "$1" "$2" --resume) 2>>errors && complete "$1" "$2"
}
# Over another model: what is there is one of the two, or none for a moment,
# and what --resume finds is the one run or (65) still the other.
forced() { # directory, case
    local status
    cp -r other "$1"
    disturb "$1" "$2" --force
    pcv-inspect "$1" >/dev/null 2>>errors
    status=$?
    [ $status -eq 0 ] || [ $status -eq 66 ] || return
    (train "$1" "$2" --resume) 2>>errors
    status=$?
    [ $status -ne 65 ] || (train "$1" "$2" --force) && complete "$1" "$2"
}

# shellcheck disable=SC2086
pcv-train -q -d other $small --latent-channels=8 --epochs=1 "$data"
for ((r = 1; r <= rounds; r++)); do
    : >errors
    how=$([ $((r % 4)) -eq 0 ] && echo forced || echo round)
    check "seed $seed, $how $r: ${cases[$((r % 3))]}" \
        "$how" run $((r % 3))
    grep -v 'other settings' errors | sed 's/^/# /'
    rm -rf run
done
echo "# whole runs took ${length[*]} ms"
echo "# $rounds rounds, seed $seed: $killed kills, $early before the first" \
    "checkpoint, $saving with a file half written"
check 'runs were killed' test $((2 * killed)) -ge "$rounds"
finish
