# rehearse.sh - pcv-train before a run: --dry-run, --check-grad, --overfit.
# shellcheck shell=bash
# shellcheck disable=SC2016,SC2154      # programs of awk; root is of lib.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
fashion=$root/tests/data/fashion
data=$fashion/train-images.idx.gz,$fashion/train-labels.idx.gz
small=(--latents=4 --latent-channels=16 --blocks=1 --layers=1 --bands=4
    --self-heads=2 --batch-size=16)

# ---- --dry-run: as a run and its model have it
pcv-train --dry-run "${small[@]}" --epochs=3 "$data" >plan 2>said
check 'exit status 0' test "$?" -eq 0
check 'says nothing else' test ! -s said
check 'writes nothing' test "$(ls)" = "$(ls -d pics plan said)"
pcv-train -q -d model "${small[@]}" --steps=1 "$data"
pcv-inspect model >summary
parameters=$(sed -n 's/^weights .*, \([0-9,]*\) parameters.*/\1/p' summary)
check 'parameters: those of the model' \
    grep -qx "parameters  $parameters" plan
check 'elements and channels: those of its summary' grep -q "^input       $(
    sed -n 's/^input  *\([0-9]* x [0-9]*\).*/\1/p' summary): " plan
check 'examples: 480 of 4,800 are held out' grep -qx \
    'data        4,320 examples to train on, 480 held out' plan
check 'steps: 4320 / 16 an epoch' grep -qx \
    'steps       270 an epoch, 810 in all' plan
check 'forward: what --cost says is run' grep -q "^forward     $(
    sed -n 's/^cost .*(\([^)]*FLOP\) as run.*/\1/p' summary) an example" plan
check 'a step: three times as much for each of 16' awk '
    BEGIN {unit["k"] = 1e3; unit["M"] = 1e6; unit["G"] = 1e9}
    $1 == "forward" {one = $2 * unit[substr($3, 1, 1)]}
    $1 == "step" {all = $2 * unit[substr($3, 1, 1)]}
    END {r = all / one / 48; exit !(r > 0.98 && r < 1.04)}
    ' plan
check 'memory: gradients as large as weights, moments twice' awk '
    /^memory/ {for (i = 1; i < NF; i++) v[$i] = $(i + 1)}
    END {exit !(v["weights"] == v["gradients"] && v["moments"] >= 2 * v["weights"])}
    ' plan
check 'time: measured' grep -q 'measured on [1-9]' plan
expect '--dry-run leaves a directory alone' 0 '*' '' \
    pcv-train --dry-run -d none "${small[@]}" "$data"
check 'it is not made' test ! -e none
expect '--dry-run where there is a model' 0 '*' '' \
    pcv-train --dry-run -d model "${small[@]}" "$data"
expect 'no data' 66 '' '*nothing*' pcv-train --dry-run nothing
expect 'a network that cannot be' 65 '' '*' \
    pcv-train --dry-run --latent-channels=16 --self-heads=3 "$data"
expect 'one of the two' 64 '' '*one of them' \
    pcv-train --dry-run --check-grad "$data"

# ---- --check-grad
pcv-train --check-grad "${small[@]}" "$data" >rows 2>said
check '--check-grad: exit status 0' test "$?" -eq 0
check 'a row for each tensor' test "$(tail -n +2 rows | cut -f4 | sort)" = \
    "$(pcv-inspect --tensors model | tail -n +2 | cut -f1 | sort)"
check 'the worst is the worst' grep -qF "error is $(tail -n +2 rows |
    cut -f1 | tr -d '*' | sort -g | tail -n 1)," said
expect 'a reconstruction' 0 '*' '*agree*' pcv-train --check-grad "${small[@]}" \
    --task=reconstruct --decoder=grid --query-bands=4 "$data"
check 'still nothing but the model' test "$(ls)" = \
    "$(ls -d model pics plan rows said summary)"

# ---- --overfit
pcv-train -d heart --latents=8 --latent-channels=32 --blocks=1 --layers=1 \
    --bands=8 --self-heads=2 --overfit=16 --batch-size=16 --steps=300 \
    --learning-rate=3e-3 --warmup=10 --dropout=0.5 --shift=3 "$data" 2>said
check '--overfit: learns 16 examples by heart' test "$?" -eq 0
check 'and says so' grep -q 'under 5 % of' said
if command -v jq >/dev/null; then
    check 'trains and evaluates on 16' test "$(jq -c 'select(.ev == "start") |
        [.train, .val]' heart/log.jsonl)" = '[16,16]'
    check 'all of them are right' test "$(jq -s '[.[] | select(.ev == "eval")] |
        last.accuracy' heart/log.jsonl)" = 1
fi
expect 'not in two steps' 1 '' '*NOT*5 %*' pcv-train -d dull "${small[@]}" \
    --overfit=16 --steps=2 "$data"

finish
