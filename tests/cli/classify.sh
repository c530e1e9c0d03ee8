# classify.sh - pcv-classify: what it answers, in each of its formats.
# shellcheck shell=bash
# shellcheck disable=SC2016     # programs of awk
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
tab=$(printf '\t')

line="pics/1.pgm${tab}1${tab}0.[0-9]*${tab}[0-9]${tab}*"
expect 'one line, the best class' 0 "$line" '' \
    pcv-classify -m "$image" pics/1.pgm
pcv-classify -m "$image" pics/1.pgm >one

lines_of() { # wanted, command...
    local n=$1
    shift
    [ "$("$@" | wc -l)" -eq "$n" ]
}
check '-k 3' lines_of 3 pcv-classify -m "$image" -k 3 pics/1.pgm
check '-k3' lines_of 3 pcv-classify -m "$image" -k3 pics/1.pgm
check '--top=3' lines_of 3 pcv-classify -m "$image" --top=3 pics/1.pgm
check '--top 3' lines_of 3 pcv-classify -m "$image" --top 3 pics/1.pgm
check '--top beyond the classes' lines_of 10 \
    pcv-classify -m "$image" --top=999 pics/1.pgm
check '--all' lines_of 10 pcv-classify -m "$image" --all pics/1.pgm
check '--header' lines_of 2 pcv-classify -m "$image" --header pics/1.pgm
expect '--top=0' 64 '' "*: option --top: '0', want a whole number from 1" \
    pcv-classify -m "$image" --top=0 pics/1.pgm
expect 'names of the columns' 0 \
    "path${tab}rank${tab}probability${tab}index${tab}label" '' \
    sh -c "pcv-classify -m '$image' --header pics/1.pgm | head -n 1"
expect 'names of the columns with --logits' 0 \
    "path${tab}rank${tab}logit${tab}index${tab}label" '' \
    sh -c "pcv-classify -m '$image' --logits --header pics/1.pgm | head -n 1"
expect '--header and jsonl' 64 '' '*: --header goes with --format=tsv' \
    pcv-classify -m "$image" --header --format=jsonl pics/1.pgm

pcv-classify -m "$image" --all pics/1.pgm >all
check 'ranks count up, probabilities go down and add up to 1' awk -F'\t' '
    $2 != NR || (NR > 1 && $3 > last) { exit 1 }
    { last = $3; sum += $3 }
    END { if (sum < 0.9999 || sum > 1.0001) exit 1 }' all
check 'the first of --all is the best one' cmp one <(head -n 1 all)
pcv-classify -m "$image" --all --logits pics/1.pgm >logits
check '--logits ranks alike' cmp <(cut -f1,2,4- all) <(cut -f1,2,4- logits)
check '--logits are the logarithms of probabilities' awk -F'\t' '
    NR == FNR { p[$2] = $3; next }
    { d = log(p[1] / p[$2]) - (top = FNR == 1 ? $3 : top) + $3 }
    d > 0.001 || d < -0.001 { exit 1 }' all logits

# ---- labels
printf '%s\n' zero one two three four five six seven eight 'n, ine\x' >labels
pcv-classify -m "$image" --all --labels=labels pics/1.pgm >named
check '--labels, escaped' diff <(sed 's/\\/\\\\/g' labels) \
    <(sort -t"$tab" -k4n named | cut -f5)
printf '%s\r\n' a b c d e f g h i j >dos
expect '--labels with CR LF' 0 "*${tab}[a-j]" '' \
    pcv-classify -m "$image" --labels=dos pics/1.pgm
head -n 9 labels >few
expect '--labels, too few' 65 '' \
    '*: few: 9 labels, want 10, one a line for each class of the model' \
    pcv-classify -m "$image" --labels=few pics/1.pgm
seq 11 >many
expect '--labels, too many' 65 '' '*: many: 11 labels, want 10, *' \
    pcv-classify -m "$image" --labels=many pics/1.pgm
expect '--labels, no such file' 66 '' '*: none: No such file or directory' \
    pcv-classify -m "$image" --labels=none pics/1.pgm

# ---- inputs that fail
echo nonsense >bad
touch empty
expect 'some fail' 3 \
    "pics/1.pgm*bad${tab}-${tab}-${tab}-${tab}error: *pics/2.pgm${tab}1*" \
    'pcv-classify: bad: *pcv-classify: 1 of 3 inputs failed' \
    pcv-classify -m "$image" pics/1.pgm bad pics/2.pgm
expect 'all fail to decode' 65 'bad*empty*' '*2 of 2 inputs failed' \
    pcv-classify -m "$image" bad empty
expect 'all cannot be opened' 66 \
    "no${tab}-${tab}-${tab}-${tab}error: No such file or directory*nor*" \
    '*2 of 2 inputs failed' pcv-classify -m "$image" no nor
expect 'one of them only cannot be decoded' 65 '*' '*' \
    pcv-classify -m "$image" no bad
expect 'a directory' 66 "pics${tab}*error: is a directory (use -r)" \
    'pcv-classify: pics: is a directory (use -r)' \
    pcv-classify -m "$image" pics
expect '-q does not hide errors' 65 'bad*' 'pcv-classify: bad: *' \
    pcv-classify -q -m "$image" bad
expect 'no classifier' 65 '' '*: this model does not classify*' \
    pcv-classify -m "$auto" pics/1.pgm

# ---- jsonl
want='{"path":"pics/1.pgm","index":0,"ok":true,"top":'
want+='\[{"index":*,"label":"*","prob":0.*}\]}'
expect 'jsonl' 0 "$want" '' \
    pcv-classify -m "$image" --format=jsonl pics/1.pgm
expect 'jsonl with --logits' 0 '*,"logit":*' '' \
    pcv-classify -m "$image" --format=jsonl --logits pics/1.pgm
want='{"path":"no","index":0,"ok":false,'
want+='"error":{"code":66,"what":"No such file or directory"}}'
expect 'jsonl of a failure' 66 "$want" '*' \
    pcv-classify -m "$image" --format=jsonl no
if command -v jq >/dev/null; then
    pcv-classify -m "$image" --format=jsonl -k 3 pics/1.pgm bad no \
        >answers.jsonl 2>/dev/null
    check 'jsonl is JSON' jq -e . answers.jsonl
    pcv-classify -m "$image" -k 3 pics/1.pgm >answers.tsv
    jq -r 'select(.ok) | .path as $p | .top | to_entries[] |
        [$p, .key + 1, .value.index, .value.label] | @tsv' answers.jsonl \
        >fields
    check 'jsonl and tsv agree' diff fields <(cut -f1,2,4- answers.tsv)
else
    skip 'jsonl is JSON' 'no jq'
    skip 'jsonl and tsv agree' 'no jq'
fi

# ---- npy
floats() { # file -> the numbers behind the header, one a line
    tail -c +$((11 + $(od -An -tu2 -j8 -N2 "$1"))) "$1" | od -An -v -tf4 -w4
}
npy_shape() { # file, shape
    head -n 1 "$1" | grep -qa "'descr': '<f4'.*'shape': ($2)"
}
pcv-classify -m "$image" --format=npy -o p.npy pics/1.pgm bad pics/2.pgm \
    2>/dev/null
check 'npy: exit status' test $? -eq 3
check 'npy: shape' npy_shape p.npy '3, 10'
floats p.npy >p
check 'npy: size' lines_of 30 cat p
check 'npy: NaN for what failed' lines_of 10 grep -i nan p
sort -t"$tab" -k4n all | cut -f3 >sorted
check 'npy: probabilities' awk '
    NR == FNR { p[FNR] = $1; next }
    FNR > 10 { exit }
    $1 - p[FNR] > 1e-6 || p[FNR] - $1 > 1e-6 { exit 1 }' sorted p
pcv-classify -m "$image" --format=npy --logits pics/1.pgm >l.npy
sort -t"$tab" -k4n logits | cut -f3 >sorted
floats l.npy >l
check 'npy: size of logits' lines_of 10 cat l
check 'npy: logits' awk '
    NR == FNR { p[FNR] = $1; next }
    $1 - p[FNR] > 1e-6 || p[FNR] - $1 > 1e-6 { exit 1 }' sorted l
pcv-classify -m "$image" --format=npy -T /dev/null >none.npy
check 'npy: of nothing' npy_shape none.npy '0, 10'
pcv-classify -m "$auto" --format=npy --logits pics/1.pgm pics/2.pgm >a.npy
check 'npy: raw answers of another model' npy_shape a.npy '2, 784, 1'
finish
