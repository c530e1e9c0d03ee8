# pickle.sh - pcv-inspect on archives of PyTorch and NumPy: what their pickles
# ask for, their tensors, and what they are as safetensors.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
tab=$(printf '\t')
inspect=pcv-inspect

# Bytes of a number, low one first, as printf takes them.
little() { # bytes, number
    local n=$2 i
    for ((i = 0; i < $1; i++)); do
        printf '\\x%02x' $((n & 255))
        n=$((n >> 8))
    done
}

# A ZIP archive of stored entries.  gzip knows the checksum.
archive() { # file, name of entry, file of data..
    local to=$1 at=0 count=0 name data size crc head
    shift
    : >"$to"
    : >directory
    while [ $# -gt 0 ]; do
        name=$1 data=$2
        shift 2
        size=$(wc -c <"$data")
        crc=$(gzip -c "$data" | tail -c 8 | head -c 4 | od -An -tu4 | tr -d ' ')
        head="$(little 2 20)$(little 2 0)$(little 2 0)$(little 4 2162688)"
        head="$head$(little 4 "$crc")$(little 4 "$size")$(little 4 "$size")"
        head="$head$(little 2 ${#name})$(little 2 0)"
        # shellcheck disable=SC2059
        {
            printf "PK\3\4$head%s" "$name"
            cat "$data"
        } >>"$to"
        # shellcheck disable=SC2059
        printf "PK\1\2\24\3$head$(little 10 0)$(little 4 "$at")%s" "$name" \
            >>directory
        at=$(wc -c <"$to")
        count=$((count + 1))
    done
    cat directory >>"$to"
    # shellcheck disable=SC2059
    printf "PK\5\6$(little 4 0)$(little 2 $count)$(little 2 $count)$(
        little 4 "$(wc -c <directory)")$(little 4 "$at")$(little 2 0)" >>"$to"
}

# {'w': tensor of float32 [2, 2]}
{
    printf '\200\2}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(('
    printf 'X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpu'
    printf 'K\4tQK\0K\2K\2\206K\2K\1\206\211ccollections\nOrderedDict\n)RtRs.'
} >good.pkl
printf '\0\0\200\77\0\0\0\100\0\0\100\100\0\0\200\100' >four
printf '\200\2cos\nsystem\nX\7\0\0\0touch xcos\nsystem\nN\201.' >bad.pkl
archive good.bin m/data.pkl good.pkl m/data/0 four
archive bad.bin m/data.pkl bad.pkl m/data/0 four
printf "\\223NUMPY\\1\\0\\75\\0{'descr': '<f4', 'fortran_order': True, \
'shape': (2, 2)}    \\n" >fortran.npy
cat four >>fortran.npy
archive fortran.npz w.npy fortran.npy

# ---- tensors
expect 'tensors of a .bin' 0 "name*
w${tab}F32${tab}2x2${tab}4${tab}16${tab}-" '' $inspect --tensors good.bin
expect 'on standard input' 0 "*w${tab}F32${tab}2x2${tab}*" '' \
    sh -c "cat good.bin | $inspect --tensors -"
cp good.bin good.st
expect 'the name does not matter' 0 '*4  w*all tensors finite' '' \
    $inspect good.st
$inspect --get=w good.bin >bin.npy
check 'values of a .bin' test "$(tail -c 16 bin.npy | od -An -tf4 | xargs)" = \
    '1 2 3 4'
$inspect --get=w fortran.npz >npz.npy
check 'values of an .npz' test "$(tail -c 16 npz.npy | od -An -tf4 | xargs)" \
    = '1 3 2 4'
expect 'a pickle that asks for more' 65 "name*" \
    '*bad.bin: pickle, byte 2 (GLOBAL): asks for os.system*' \
    $inspect --tensors bad.bin
check 'nothing was executed' test ! -e x
mkdir model
expect 'a directory without weights' 66 'name*' '*model: no weights, none of '\
'model.safetensors, *, model.npz' $inspect --tensors model
cp good.bin model/pytorch_model.bin
expect 'a directory with a .bin' 0 "*w${tab}F32*" '' $inspect --tensors model
echo '{"weight_map": {"w": "pytorch_model.bin"}}' \
    >model/model.safetensors.index.json
expect 'a directory with an index' 0 "*w${tab}F32*" '' \
    $inspect --tensors model
echo '{"weight_map": {"w": "../good.bin"}}' \
    >model/model.safetensors.index.json
expect 'an index that leads elsewhere' 65 'name*' '*is not plain*' \
    $inspect --tensors model
rm model/model.safetensors.index.json
if command -v jq >/dev/null; then
    $inspect --json --tensors good.bin >good.json
    check '--json: no offset' jq -e '.tensors[0] | .offset == null and
        has("offset")' good.json
    $inspect --json --pickle good.bin bad.bin >pickles.json
    check '--json --pickle' jq -es '.[0].allowed and (.[1].allowed | not) and
        (.[1].pickle[0] == {offset: 2, what: "global", name: "os.system",
        allowed: false, count: 2})' pickles.json
else
    skip '--json' 'no jq'
fi

# ---- what pickles ask for
head="offset${tab}what${tab}name${tab}verdict${tab}count"
expect '--pickle' 0 "$head
9${tab}global${tab}torch._utils._rebuild_tensor_v2${tab}allowed${tab}1
56${tab}global${tab}torch.FloatStorage${tab}allowed${tab}1
107${tab}global${tab}collections.OrderedDict${tab}allowed${tab}1" '' \
    $inspect --pickle good.bin
expect '--pickle of a bad one' 1 "$head
2${tab}global${tab}os.system${tab}REFUSED${tab}2
37${tab}opcode${tab}NEWOBJ${tab}REFUSED${tab}1" '' $inspect --pickle bad.bin
expect '--pickle without an archive' 1 "$head
0${tab}form${tab}a pickle without an archive${tab}REFUSED${tab}1
2${tab}global${tab}os.system${tab}REFUSED${tab}2*" '' \
    $inspect --pickle bad.pkl
expect '--pickle of two' 1 "file${tab}$head
good.bin${tab}*
bad.bin${tab}2${tab}*" '' $inspect --pickle good.bin bad.bin
expect '--pickle of a directory' 0 "$head*allowed*" '' $inspect --pickle model
expect '--pickle of what has none' 65 "$head" '*four: no pickle in it*' \
    $inspect --pickle four
expect '--pickle without FILE' 64 '' '*--pickle needs a FILE*' \
    $inspect --pickle
expect '--pickle --stats' 64 '' '*--pickle goes with no other mode*' \
    $inspect --pickle --stats good.bin
expect '--pickle > /dev/full' 74 '' \
    '*standard output: No space left on device' \
    sh -c "$inspect --pickle good.bin >/dev/full"

# ---- as safetensors
expect '--convert' 0 '' '' $inspect --convert=out.safetensors good.bin
expect 'what it writes' 0 "*w${tab}F32${tab}2x2${tab}4${tab}16${tab}[0-9]*" \
    '' $inspect --tensors out.safetensors
check 'the format is said' grep -qa '"format":"pt"' out.safetensors
expect '--convert where it exists' 73 '' \
    '*out.safetensors: exists (use -f to replace it)' \
    $inspect --convert=out.safetensors good.bin
expect '--convert -f, over its own source' 0 '' '' \
    $inspect -f --convert=out.safetensors out.safetensors
$inspect --get=w out.safetensors >st.npy
check 'the same values' cmp st.npy bin.npy
for type in f32 f16 bf16; do
    check "--dtype=$type" $inspect -f --convert=small.st --dtype=$type good.bin
    $inspect --get=w small.st >small.npy
    check "$type: values" cmp small.npy bin.npy
done
expect 'the type is said' 0 "*w${tab}BF16*" '' $inspect --tensors small.st
expect '--dtype=f8' 64 '' "*--dtype*'f8'*" \
    $inspect --convert=x.st --dtype=f8 good.bin
expect '--dtype without --convert' 64 '' '*--dtype belongs to --convert*' \
    $inspect --dtype=f16 good.bin
expect '--convert of two' 64 '' '*--convert takes one FILE*' \
    $inspect --convert=x.st good.bin four
expect '--convert of a bad file' 65 '' '*os.system*' \
    $inspect --convert=x.st bad.bin
check 'leaves nothing' test ! -e x.st
expect '--convert to where there is no directory' 73 '' '*no/x.st: *' \
    $inspect --convert=no/x.st good.bin
expect '--convert > /dev/full' 74 '' '*/dev/full: No space left on device' \
    $inspect -f --convert=/dev/full good.bin

damaged good.bin

finish
