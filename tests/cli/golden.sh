# golden.sh - models of the published classes through the programs, from either
# file of weights: every stage against what the published implementation makes
# of it, the same bytes for every number of threads and of inputs at a time.
# golden/README.md describes the cases.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
tests=$root/tests
tensors=${PCV_BIN:-$root/build/release}/tests/tensors
[[ $tensors = /* ]] || tensors=$root/$tensors
of_norm=2e-5    # latents and answers, of their norm

class_of() { # model
    sed -n '/architectures/,/\]/s/.*"\(PerceiverFor[A-Za-z]*\)".*/\1/p' \
        "$1/config.json"
}
has() { # file, tensor
    pcv-inspect --tensors --match="$2" "$1" 2>/dev/null | grep -qwF "$2"
}

# The examples of a case as files, "0 1 ..".
items() { # case
    local i n
    n=$("$tensors" items "$1")
    for ((i = 0; i < n; i++)); do
        "$tensors" item "$1" $i $i && echo $i
    done
}

# The same as one array: ids have a mask, and parts are files of their own.
array() { # case -> its tensor
    local name
    for name in input.frames input.pixel_values; do
        has "$1" $name && echo $name && return
    done
    return 1
}

# Answers as [items, ..]; of several modalities the class.
answer() { # model, items...
    case $(class_of "$1") in
    PerceiverForMaskedLM | PerceiverForOpticalFlow)
        pcv-decode -m "$1" --logits --format=npy "${@:2}" ;;
    *)
        pcv-classify -m "$1" --all --logits --format=npy "${@:2}" ;;
    esac
}

# Everything that a model of several modalities answers.
parts() { # name, model, case, items...
    local part
    pcv-decode -m "$2" --logits --format=safetensors "${@:4}" \
        >output.safetensors
    for part in audio image label; do
        check "$1: output.$part" "$tensors" compare \
            "output.safetensors:$part" "$3:output.$part" $of_norm
    done
}

stages() { # name, model, case, items...
    local name=$1 model=$2 case=$3 rows=() output=output
    shift 3
    has "$case" preprocessed.rows && rows=("--rows=$case:preprocessed.rows")
    has "$case" output || output=output.label
    [ $output = output ] || parts "$name" "$model" "$case" "$@"
    pcv-encode -m "$model" --what=input --format=npy "$@" >input.npy
    check "$name: preprocessed" "$tensors" compare input.npy \
        "$case:preprocessed" 1e-4 --absolute "${rows[@]}"
    pcv-encode -m "$model" --what=crossed --format=npy "$@" >crossed.npy
    check "$name: cross-attended" "$tensors" compare crossed.npy \
        "$case:cross_attended" $of_norm
    pcv-encode -m "$model" --format=npy "$@" >latents.npy
    check "$name: latents" "$tensors" compare latents.npy "$case:latents" \
        $of_norm
    answer "$model" "$@" >output.npy
    check "$name: answers" "$tensors" compare output.npy "$case:$output" \
        $of_norm
}

# Latents and answers.
both() { # model, items and options...
    pcv-encode -m "$1" "${@:2}"
    answer "$@"
}

same() { # name, model, case, items...
    local name=$1 model=$2 case=$3 all how
    shift 3
    both "$model" "$@" "$@" >one
    for how in '-t 1' '-t 2' '--batch 1' '--batch 3'; do
        # shellcheck disable=SC2086
        check "$name: the same bytes, $how" cmp one \
            <(both "$model" $how "$@" "$@")
    done
    if all=$(array "$case"); then
        pcv-inspect --get="$all" "$case" >all.npy
        check "$name: the same latents of one array" cmp latents.npy \
            <(pcv-encode -m "$model" --format=npy all.npy)
    fi
}

# The model with its pytorch_model.bin alone, written if there is none.
torch() { # directory -> a copy
    local copy
    copy=$(mktemp -d "$work/torch.XXXXXX")
    cp "$1/config.json" "$copy"
    if [ -e "$1/pytorch_model.bin" ]; then
        cp "$1/pytorch_model.bin" "$copy"
    else
        "$tensors" torch "$1/model.safetensors" "$copy/pytorch_model.bin"
    fi
    echo "$copy"
}

golden() { # directory
    local name case=$1/case.safetensors list copy
    name=$(basename "$1")
    mapfile -t list < <(items "$case")
    check "$name has examples" test ${#list[@]} -gt 0
    stages "$name" "$1" "$case" "${list[@]}"
    same "$name" "$1" "$case" "${list[@]}"
    copy=$(torch "$1")
    stages "$name, .bin" "$copy" "$case" "${list[@]}"
    rm -r "$copy"
}

for case in "$tests"/golden/*/case.safetensors; do
    golden "$(dirname "$case")"
done
if [ -z "${PCV_SHARED:-}" ]; then
    skip 'the cases of PCV_SHARED' 'PCV_SHARED is not set'
    finish
    exit
fi
for case in "$PCV_SHARED"/golden/*/case.safetensors; do
    golden "$(dirname "$case")"
done

# Photographs: what is made of the file has the answers of the reference's
# pixels.
for pixels in "$PCV_SHARED"/golden/images/*.safetensors; do
    name=$(basename "$pixels" .safetensors)
    pcv-inspect --get=pixel_values "$pixels" >pixels.npy
    for file in "${pixels%.safetensors}".[jp][pn]g; do
        classify() {
            pcv-classify -m "$PCV_SHARED/golden/vision-fourier" --all \
                --logits --format=npy "$1"
        }
        classify "$file" >have.npy
        classify pixels.npy >want.npy
        check "$name: logits" "$tensors" compare have.npy want.npy 1e-5
    done
done
finish
