# evaluate.sh - pcv-classify --evaluate: its counts are those of the lines that
# pcv-classify writes for the same examples, its scores those of the counts.
# shellcheck shell=bash
# shellcheck disable=SC2016,SC2154      # programs of awk; root is of lib.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
fashion=$root/tests/data/fashion
images=$fashion/train-images.idx.gz labels=$fashion/train-labels.idx.gz
unset COLUMNS

pcv-train -q -d model --latents=4 --latent-channels=16 --blocks=1 --layers=1 \
    --bands=4 --self-heads=2 --steps=100 --batch-size=16 --warmup=10 \
    --learning-rate=3e-3 --labels="$fashion/labels.txt" "$images,$labels"
pcv-classify -m model --evaluate="$images,$labels" >text
pcv-classify -m model "$images" | cut -f4 >said
gzip -dc "$labels" | tail -c +9 | od -An -v -tu1 -w1 | tr -d ' ' >true
check 'as many as there are' test "$(grep -c . said)" -eq 4800

# The matrix by counting lines: "t s n", without zeros.
paste true said | sort | uniq -c | awk '{print $2, $3, $1}' | sort >counted
sed -n '/^true/,$p' text | tail -n +2 | awk '{
    t = $1
    for (s = 0; s < 10; s++)
        if ($(NF - 9 + s) != ".") print t, s, $(NF - 9 + s)
}' | sort >matrix
check 'the matrix: the lines of pcv-classify' diff counted matrix
check 'accuracy' test "$(sed -n 's/^accuracy *//p' text)" = "$(awk '
    {n += $3} $1 == $2 {right += $3}
    END {printf "%.2f %%", 100 * right / n}' counted)"
# "k examples precision recall F1", and the macro average.
awk '{true[$1] += $3; said[$2] += $3; n += $3} $1 == $2 {right[$1] = $3}
    function share(a, b) {return b ? sprintf("%.4f", a / b) : "-"}
    END {
        for (k = 0; k < 10; k++) {
            print k, true[k], share(right[k], said[k]),
                share(right[k], true[k]), share(2 * right[k], true[k] + said[k])
            p += said[k] ? right[k] / said[k] : 0
            r += right[k] / true[k]
            f += 2 * right[k] / (true[k] + said[k])
        }
        printf "macro %d %.4f %.4f %.4f\n", n, p / 10, r / 10, f / 10
    }' counted >scores
sed -n '/^class/,/^macro/p' text | tail -n +2 |
    awk '{print $1, $(NF - 3), $(NF - 2), $(NF - 1), $NF}' >written
check 'precision, recall, F1' diff scores written
check 'no line over 80 columns' test "$(awk 'length > 80' text)" = ''
check 'names of the classes' grep -q '^  9 Ankle boot  ' text

# The loss against the probability of each example's class.
pcv-classify -m model --all "$images" | awk -F'\t' '
    NR == FNR {label[FNR] = $1; next}
    $2 == 1 {item++}
    $4 == label[item] {sum -= log($3 > 1e-6 ? $3 : 1e-6)}
    END {printf "%.4f\n", sum / item}' true - >mean
check 'the loss' awk 'NR == FNR {want = $1; next}
    $1 == "loss" {d = $2 - want; exit !(d < 0.001 && d > -0.001)}' mean text

pcv-classify -m model --evaluate="$images,$labels" -t 3 >threads
check 'the same for every number of threads' cmp text threads
pcv-classify -m model --evaluate="$images,$labels" -o file
check '-o' cmp text file
expect '-o where it exists' 73 '' '*file*' \
    pcv-classify -m model --evaluate="$images,$labels" -o file

# ---- where the matrix does not fit
COLUMNS=40 pcv-classify -m model --evaluate="$images,$labels" >narrow
sort -k3,3nr -k1,1n -k2,2n counted | awk '$1 != $2 {print $3}' |
    head -n 20 >most
sed -n '/ said$/,$p' narrow | tail -n +2 | awk '{print $1}' >shown
check 'the most frequent confusions' diff most shown

if command -v jq >/dev/null; then
    pcv-classify -m model --evaluate="$images,$labels" --format=jsonl >json
    check 'jsonl: one line' test "$(wc -l <json)" -eq 1
    jq -r '.confusion | to_entries[] | .key as $t | .value | to_entries[] |
        select(.value > 0) | "\($t) \(.key) \(.value)"' json | sort >matrix
    check 'jsonl: the matrix' diff counted matrix
    check 'jsonl: classes add up' jq -e '.examples == 4800 and
        ([.classes[].examples] | add) == 4800 and
        ([.classes[].said] | add) == 4800 and
        ([.classes[].right] | add) == (.accuracy * 4800 + 0.5 | floor) and
        .classes[9].label == "Ankle boot"' json
fi

# ---- other data
mkdir -p few/T-shirt
cp "$fashion"/held-out/T-shirt/*.png few/T-shirt
expect 'classes without examples' 0 'examples  20
*macro average*' '' pcv-classify -m model --evaluate=few
pcv-classify -m model --evaluate="$fashion/held-out" >text
sed -n '/^true/,$p' text | tail -n +2 | awk '{
    for (s = 0; s < 10; s++)
        if ($(NF - 9 + s) != ".") print $1, s, $(NF - 9 + s)
}' | sort >matrix
pcv-classify -m model -r "$fashion/held-out" | awk -F'\t' '
    NR == FNR {number[$0] = FNR - 1; next}
    {n = split($1, part, "/"); print number[part[n - 1]], $4}
    ' "$fashion/labels.txt" - | sort | uniq -c | awk '{print $2, $3, $1}' |
    sort >counted
check 'a folder per class: in the model'"'"'s order' diff counted matrix
mkdir -p other
cp -r few/T-shirt other/U1
expect 'another class' 65 '' "*label 'U1'*" \
    pcv-classify -m model --evaluate=other
expect 'no data' 66 '' '*nothing*' pcv-classify -m model --evaluate=nothing
expect 'a model that does not classify: the loss' 0 'examples  20
loss      *' '' \
    pcv-classify -m "$auto" --evaluate=few
expect 'no FILE beside it' 64 '' '*takes no other FILE' \
    pcv-classify -m model --evaluate=few pics/1.pgm
expect 'no -k' 64 '' '*goes without -k*' \
    pcv-classify -m model --evaluate=few -k 2
expect 'no share' 64 '' '*goes without --shard*' \
    pcv-classify -m model --evaluate=few --shard=1/2
expect 'lines for a model of pictures' 64 '' \
    '*examples=lines wants modality=bytes' \
    pcv-classify -m model --evaluate=few --examples=lines
expect 'no array' 64 '' '*text, or with --format=jsonl an object' \
    pcv-classify -m model --evaluate=few --format=npy
expect '/dev/full' 74 '' '*standard output: No space left on device' \
    sh -c 'pcv-classify -m model --evaluate=few >/dev/full'

finish
