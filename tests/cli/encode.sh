# encode.sh - pcv-encode: streams, arrays, files of tensors, JSON.
# shellcheck shell=bash
# shellcheck disable=SC2016     # programs of awk
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

encode() {
    pcv-encode -m "$image" "$@"
}
little() { # file, offset, bytes
    od -An "-tu$3" -j"$2" -N"$3" "$1" | tr -d ' '
}
floats() { # .npy -> the numbers behind the header, one a line
    tail -c +$((11 + $(little "$1" 8 2))) "$1" | od -An -v -tf4 -w4
}
npy_shape() { # file, shape
    head -n 1 "$1" | grep -qa "'descr': '<f4'.*'shape': ($2)"
}
header() { # file, offset of a record -> its JSON
    tail -c +$(($2 + 9)) "$1" | head -c "$(little "$1" "$2" 8)"
}
json() { # file, offset, jq program
    header "$1" "$2" | jq -er "$3"
}

: >bad
encode pics/1.pgm >one.sts
shape=$(header one.sts 0 | sed 's/.*"shape":\[\([^]]*\)\].*/\1/')
rows=${shape%,*}
columns=${shape#*,}
data=$((4 * rows * columns))
end=$((8 + $(little one.sts 0 8) + data))
check 'a record is a length, a header, data' test $((end % 8)) -eq 0
check 'an end record is last' test $((end + 8 + $(little one.sts $end 8))) \
    -eq "$(stat -c %s one.sts)"
if command -v jq >/dev/null; then
    check 'metadata of a record' json one.sts 0 '.__metadata__ |
        .["pcv.v"] == "1" and .["pcv.kind"] == "latents" and
        .["pcv.index"] == "0" and .["pcv.path"] == "pics/1.pgm" and
        .["pcv.modality"] == "image" and .["pcv.input"] == "28x28x1" and
        (.["pcv.model"] | length > 8) and .["pcv.path_b64"] == null'
    check 'its tensor' json one.sts 0 '.latents.dtype == "F32" and
        .latents.data_offsets == [0, '"$data"']'
    check 'the end record' json one.sts $end '. == {"__metadata__":
        {"pcv.v":"1","pcv.kind":"end","pcv.ok":"1","pcv.failed":"0"}}'
    encode $'no\xff' >no.sts 2>/dev/null
    check 'an error record' json no.sts 0 '.__metadata__ |
        .["pcv.kind"] == "error" and .["pcv.code"] == "66" and
        .["pcv.what"] == "No such file or directory"'
    check 'the exact bytes of its name' test "$(
        json no.sts 0 '.__metadata__["pcv.path_b64"]' | base64 -d)" = \
        $'no\xff'
    check 'what failed is counted' json no.sts \
        $((8 + $(little no.sts 0 8))) '.__metadata__ |
        .["pcv.ok"] == "0" and .["pcv.failed"] == "1"'
else
    for name in metadata tensor end error name count; do
        skip "$name of a record" 'no jq'
    done
fi

# ---- the reader of pcv-formats(5)
if command -v mandoc >/dev/null &&
    python3 -c 'import numpy' >/dev/null 2>&1; then
    mandoc -T ascii "$root/man/pcv-formats.5" | col -bx |
        sed -n '/^ *import json/,/for k, t in h.items()})*$/p
                /^ *for meta/,/mean())$/p' | sed 's/^ \{11\}//' >reader.py
    check 'Python reads a stream' test "$(
        encode pics/1.pgm bad pics/2.pgm 2>/dev/null |
            python3 reader.py | cut -d' ' -f1 | tr '\n' ' ')" = \
        'pics/1.pgm pics/2.pgm '
else
    skip 'Python reads a stream' 'no mandoc or no NumPy'
fi

# ---- where it goes
encode -o x.sts pics/1.pgm
check '-o x.sts' cmp x.sts one.sts
expect 'a file that exists' 73 '' 'pcv-encode: x.sts: exists*' \
    encode -o x.sts pics/2.pgm
check 'stays as it was' cmp x.sts one.sts
expect '-f replaces it' 0 '' '' encode -f -o x.sts pics/2.pgm
check 'with something else' sh -c '! cmp -s x.sts one.sts'
check '--format=sts' cmp one.sts <(encode --format=sts pics/1.pgm)
check '-o - is standard output' cmp one.sts <(encode -o - pics/1.pgm)
expect 'a directory that is not there' 73 '' 'pcv-encode: no/x.sts: *' \
    encode -o no/x.sts pics/1.pgm
if script -qec true /dev/null >/dev/null 2>&1; then
    terminal() {
        script -qec "$1" /dev/null </dev/null
    }
    for format in sts npy safetensors; do
        want='pcv-encode: refusing to write binary latents to a terminal; '
        want+='use -o FILE, a pipe, or --format=jsonl*'
        expect "$format to a terminal" 64 "$want" \
            '' terminal "pcv-encode -m '$image' --format=$format pics/1.pgm"
    done
    expect 'jsonl to a terminal' 0 '{"path":*' '' \
        terminal "pcv-encode -m '$image' --format=jsonl pics/1.pgm"
    expect 'nothing but a terminal to read' 64 \
        'pcv-encode: no inputs, and standard input is a terminal*' '' \
        terminal "pcv-encode -m '$image' --format=jsonl"
else
    for format in sts npy safetensors jsonl input; do
        skip "$format and a terminal" 'no script(1)'
    done
fi

# ---- npy
encode -o a.npy --ids=ids pics/1.pgm bad pics/2.pgm 2>err
check 'npy: exit status' test $? -eq 3
check 'npy: shape' npy_shape a.npy "3, $rows, $columns"
floats a.npy >a
check 'npy: NaN for what failed' test \
    "$(sed -n "$((rows * columns + 1)),$((2 * rows * columns))p" a |
        grep -ic nan)" -eq $((rows * columns))
check 'npy: nowhere else' test "$(grep -ic nan a)" -eq $((rows * columns))
check 'npy and sts agree' cmp <(floats a.npy | head -n $((rows * columns))) \
    <(tail -c +$((9 + $(little one.sts 0 8))) one.sts | head -c $data |
        od -An -v -tf4 -w4)
check '--ids' cmp ids <(printf 'pics/1.pgm\nbad\npics/2.pgm\n')
encode --format=npy --skip-failed --ids=ids2 pics/1.pgm bad pics/2.pgm \
    >b.npy 2>err
check '--skip-failed: exit status' test $? -eq 3
check '--skip-failed: shape' npy_shape b.npy "2, $rows, $columns"
check '--skip-failed: the rows' cmp <(floats b.npy) \
    <(sed "$((rows * columns + 1)),$((2 * rows * columns))d" a)
check '--skip-failed: --ids' cmp ids2 <(printf 'pics/1.pgm\npics/2.pgm\n')
encode --format=npy -T /dev/null >none.npy
check 'npy: of nothing' npy_shape none.npy "0, $rows, $columns"
encode --format=npy bad >nan.npy 2>err
check 'npy: all failed' test $? -eq 65
check 'npy: still a row' npy_shape nan.npy "1, $rows, $columns"
expect '--ids that exist' 73 '' 'pcv-encode: ids: exists*' \
    encode -o c.npy --ids=ids pics/1.pgm
check 'leave no array' test ! -e c.npy
expect '--ids and sts' 64 '' '*: --ids goes with*' \
    encode --ids=ids3 pics/1.pgm
expect '--skip-failed and sts' 64 '' '*: --skip-failed goes with*' \
    encode --skip-failed pics/1.pgm
cp pics/1.pgm $'new\nline.pgm'
encode --format=npy --ids=ids4 $'new\nline.pgm' >/dev/null
check '--ids: a name is one line' cmp ids4 <(printf '%s\n' 'new\nline.pgm')

# ---- pool
for pool in mean max first; do
    encode --format=npy "--pool=$pool" pics/1.pgm >$pool.npy
    check "--pool=$pool: shape" npy_shape $pool.npy "1, $columns"
    floats $pool.npy >$pool
    check "--pool=$pool" awk -v n="$rows" -v c="$columns" -v pool=$pool '
        NR == FNR { if (FNR <= n * c) x[FNR - 1] = $1; next }
        { want = x[FNR - 1]; sum = 0 }
        { for (i = 0; i < n; i++) {
              v = x[i * c + FNR - 1]
              sum += v
              if (pool == "max" && v > want) want = v
          } }
        { if (pool == "mean") want = sum / n }
        $1 - want > 1e-5 || want - $1 > 1e-5 { exit 1 }
        END { if (FNR != c) exit 1 }' a $pool
done
check '--pool=none' cmp one.sts <(encode --pool=none pics/1.pgm)
expect '--pool=x' 64 '' \
    "*: option --pool: 'x', want none|mean|max|first" \
    encode --pool=x pics/1.pgm

# ---- input
encode --what=input --format=npy pics/1.pgm >input.npy
check '--what=input: the elements and their positions' \
    npy_shape input.npy '1, 784, [0-9]*'
encode --format=npy pics/1.pgm >latents.npy
encode --what=crossed --format=npy pics/1.pgm >crossed.npy
check '--what=crossed: an array like the latents, and another one' \
    sh -c 'cmp -s -n 128 crossed.npy latents.npy &&
        ! cmp -s crossed.npy latents.npy'
check '--what=latents' cmp one.sts <(encode --what=latents pics/1.pgm)
encode --what=input --format=npy bad pics/1.pgm >late.npy 2>err
check '--what=input: rows owed to what failed' \
    npy_shape late.npy '2, 784, [0-9]*'
check '--what=input: are NaN' test "$(floats late.npy | grep -ic nan)" -eq \
    $(($(floats late.npy | wc -l) / 2))
expect '--what=x' 64 '' "*: option --what: 'x', want latents|crossed|input" \
    encode --what=x pics/1.pgm

# ---- safetensors
encode -o a.safetensors pics/1.pgm bad $'new\nline.pgm' 2>err
check 'safetensors: exit status' test $? -eq 3
check 'safetensors: one tensor' grep -qa \
    "\"latents\":{\"dtype\":\"F32\",\"shape\":\[3,$rows,$columns\]" \
    a.safetensors
check 'safetensors: size' test \
    $((8 + $(little a.safetensors 0 8) + 3 * data)) -eq \
    "$(stat -c %s a.safetensors)"
check 'safetensors: the same numbers as npy' cmp \
    <(tail -c $((3 * data)) a.safetensors) <(tail -c $((3 * data)) <(
        encode --format=npy pics/1.pgm bad $'new\nline.pgm' 2>/dev/null))
if command -v jq >/dev/null; then
    check 'safetensors: paths' test "$(
        json a.safetensors 0 '.__metadata__.paths' | jq -c .)" = \
        '["pics/1.pgm","bad","new\nline.pgm"]'
else
    skip 'safetensors: paths' 'no jq'
fi

# ---- jsonl
want='{"path":"pics/1.pgm","index":0,"ok":true,"shape":\['"$columns"'\],'
want+='"data":\[*\]}*{"path":"bad","index":1,"ok":false,'
want+='"error":{"code":65,"what":"*'
expect 'jsonl' 3 "$want" '*' encode --format=jsonl --pool=mean pics/1.pgm bad
encode -o a.jsonl pics/1.pgm
if command -v jq >/dev/null; then
    check 'jsonl: shape and numbers' jq -e \
        ".shape == [$rows, $columns] and (.data | length) == $rows * $columns" \
        a.jsonl
else
    skip 'jsonl: shape and numbers' 'no jq'
fi
finish
