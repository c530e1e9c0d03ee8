# precision.sh - --precision: bf16 and int8 say of digits what f32 says, with
# the same bytes for every number of threads; without oneDNN they are refused.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
digits=("$root"/tests/data/digits/*.png)

expect '--precision=f64' 64 '' \
    "pcv-classify: option --precision: 'f64', want f32|bf16|int8" \
    pcv-classify --precision=f64 pics/1.pgm
expect 'pcv-train has no such option' 64 '' "*unknown option '--precision*" \
    pcv-train --precision=bf16 pics
expect '--precision=f32 is the default' 0 "$(pcv-classify "${digits[@]}")" '' \
    pcv-classify --precision=f32 "${digits[@]}"
expect '--version tells of oneDNN' 0 '*products of bf16 and int8: *' '' \
    pcv-classify --version

labels() { # option... -> path and label of each digit
    pcv-classify "$@" "${digits[@]}" | cut -f 1,5
}
check '--dtype=int8' pcv-inspect --convert=whole.st --dtype=int8
mkdir stored
cp "$root/lib/default/config.json" stored
mv whole.st stored/model.safetensors
labels >want
labels -m stored >got
check 'a model stored as int8 says the same' diff want got
check 'it is at most half as large' test \
    "$(stat -c %s stored/model.safetensors)" -le \
    $(($(stat -c %s "$root/lib/default/model.safetensors") / 2))
pcv-inspect -m stored --tensors >tensors
check 'its matrices are I8' grep -q 'query.weight	I8	' tensors
check 'with scales' grep -q 'query.weight_scale	F32	' tensors
check 'its vectors are not' grep -q 'query.bias	F32	' tensors
pcv-inspect --convert=again.st --dtype=f32 -m stored
check 'and it converts to floats' test \
    "$(pcv-inspect --tensors again.st | grep -cE '_scale|I8')" -eq 0
mkdir floats
cp stored/config.json floats
mv again.st floats/model.safetensors
pcv-classify --logits -m stored "${digits[@]}" >want
pcv-classify --logits -m floats "${digits[@]}" >got
check 'with the same values' diff want got

if ! pcv-classify --precision=bf16 "${digits[0]}" >/dev/null 2>said; then
    for p in bf16 int8; do
        expect "$p: it is said why not" 64 '' \
            'pcv-classify: @(*without oneDNN*|this processor has no *)' \
            pcv-classify --precision=$p "${digits[0]}"
    done
    finish
    exit
fi

labels >want
for p in bf16 int8; do
    labels --precision=$p >got
    check "$p: the same labels" diff want got
    pcv-classify --precision=$p --logits "${digits[@]}" >one
    for t in 1 2 4; do
        pcv-classify --precision=$p --logits -t $t --batch=3 "${digits[@]}" >got
        check "$p: the same bytes at -t $t" diff one got
    done
    pcv-classify --precision=$p --logits -t 4 "${digits[1]}" >got
    check "$p: the same bytes of one at -t 4" \
        test "$(sed -n 2p one)" = "$(cat got)"
    pcv-encode --precision=$p -m "$auto" pics/1.pgm >latents
    check "$p: encode and decode" pcv-decode --precision=$p -m "$auto" \
        --format=npy -o out$p.npy latents
done
# queries on a grid fold weights that are packed, too
for d in half whole; do
    mkdir $d
    cp "$auto/config.json" $d
done
pcv-inspect --convert=half/model.safetensors --dtype=bf16 -m "$auto"
pcv-inspect --convert=whole/model.safetensors --dtype=f32 -m half
for p in bf16 int8; do
    for d in half whole; do
        pcv-encode -m $d pics/1.pgm >latents
        pcv-decode --precision=$p -m $d --format=npy -f -o $d.npy latents
        cp $d.npy $d.$p.npy
    done
    check "$p: a decoder of weights that were converted" cmp half.npy whole.npy
done
check 'bf16 and int8 decode to different bytes' \
    test "$(cmp -s half.bf16.npy half.int8.npy; echo $?)" -eq 1
pcv-classify --precision=int8 --logits -m floats "${digits[@]}" >want
pcv-classify --precision=int8 --logits -m stored "${digits[@]}" >got
check 'int8: the stored numbers are used as they are' diff want got
pcv-encode -v --precision=int8 -m stored "${digits[0]}" 2>said >/dev/null
pcv-encode -v -m stored "${digits[0]}" 2>want >/dev/null
check 'the identity is that of the weights' test \
    "$(grep -o 'pcv:[0-9a-f]*' said)" = "$(grep -o 'pcv:[0-9a-f]*' want)"
finish
