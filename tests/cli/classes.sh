# classes.sh - models of Hugging Face's classes: those that training makes are
# saved as such and read again as theirs; sizes, texts and names that do not fit
# are refused or said.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
fashion=$root/tests/data/fashion/held-out

trained() { # name, class, options...
    local name=$1 class=$2
    shift 2
    pcv-train -q -d "$name" --latents=4 --latent-channels=16 --blocks=1 \
        --steps=2 --batch-size=4 --val-split=0 "$@" || return
    test "$(jq -r '.architectures[0]' "$name/config.json")" = "$class"
}

# The model without our part of its config.json: only the class is left.
bare() { # name
    mkdir "$1-bare" && cp "$1/model.safetensors" "$1-bare" &&
        jq 'del(.pcv)' "$1/config.json" >"$1-bare/config.json"
    cp "$1/preprocessor_config.json" "$1-bare" 2>/dev/null || true
}

same_answers() { # name, file...
    local name=$1
    shift
    pcv-classify -m "$name" --logits --format=npy "$@" >with.npy &&
        pcv-classify -m "$name-bare" --logits --format=npy "$@" >without.npy &&
        cmp with.npy without.npy
}

check 'a picture classifier is one of theirs' trained fourier \
    PerceiverForImageClassificationFourier --channels=3 --height=14 \
    --width=14 --fit=crop --crop=0.875 --bands=64 --max-resolution=224 \
    "$fashion"
check 'it has a preprocessor' test "$(
    jq -c '[.size, .crop_size, .do_center_crop]' \
        fourier/preprocessor_config.json
)" = '[{"height":14,"width":14},{"height":16,"width":16},true]'
bare fourier
check 'and answers the same by its class alone' \
    same_answers fourier "$fashion"/Bag/*.png

check 'one with learned positions, too' trained learned \
    PerceiverForImageClassificationLearned --channels=3 --height=12 \
    --width=12 --position=learned --project-content=256 \
    --position-channels=256 --project-positions=yes "$fashion"
bare learned
check 'and answers the same' same_answers learned "$fashion"/Coat/*.png
check 'its convolution has four axes' test "$(
    pcv-inspect --tensors learned --match='*convnet*weight' |
        sed -n 2p | cut -f3
)" = 256x3x1x1

mkdir -p texts/a texts/b
for i in 1 2 3; do
    echo "one $i" >"texts/a/$i"
    echo "other $i" >"texts/b/$i"
done
check 'a text classifier' trained text PerceiverForSequenceClassification \
    --modality=bytes --position=learned --length=32 --embedding=8 \
    --qk-channels=8 --v-channels=16 --cross-heads=2 texts
bare text
check 'and answers the same' same_answers text texts/a/1 texts/b/3

check 'an activation has their name' trained tanh \
    PerceiverForSequenceClassification --modality=bytes --position=learned \
    --length=32 --embedding=8 --activation=gelu_tanh texts
check 'which transformers knows' test \
    "$(jq -r .hidden_act tanh/config.json)" = gelu_pytorch_tanh
bare tanh
check 'and answers the same' same_answers tanh texts/a/1 texts/b/3
check 'one that they do not have is ours' trained geglu PcvPerceiver \
    --modality=bytes --position=learned --length=32 --embedding=8 \
    --activation=geglu texts

check 'what no class can hold is ours' trained plain PcvPerceiver \
    --channels=3 --height=14 --width=14 "$fashion"
expect 'ours has no preprocessor' 2 '' '*' ls plain/preprocessor_config.json

# ---- sizes and texts that do not fit --------------------------------------

head -c 40 /dev/zero | tr '\0' x >long
expect 'a text that is too long for theirs' 65 '' \
    'pcv-classify: long: text of 42 tokens with the special ones, the model takes 32 (--overlong=cut leaves the rest away)' \
    pcv-classify --format=jsonl -o /dev/null -m text-bare long

# ---- configs that contradict ------------------------------------------------

changed() { # model, jq filter
    rm -rf changed && mkdir changed && cp "$1/model.safetensors" changed &&
        jq "$2" "$1/config.json" >changed/config.json
}
changed fourier-bare '.num_latents = 5'
expect 'another number of latents' 65 '' \
    '*changed/model.safetensors: tensor perceiver.embeddings.latents is \[4, 16], want \[5, 16] as config.json has it' \
    pcv-classify -m changed long
changed fourier-bare '.num_self_attends_per_block = 3'
expect 'more layers than there are' 65 '' \
    '*missing: perceiver.encoder.self_attends.2.*' pcv-classify -m changed long
changed fourier-bare '.num_self_attends_per_block = 1'
expect 'fewer layers' 65 '' \
    '*that this model does not have: perceiver.encoder.self_attends.1.*' \
    pcv-classify -m changed long
changed fourier-bare '.architectures = ["PerceiverForNothing"]'
expect 'no such class' 65 '' \
    '*config.json: "architectures" is PerceiverForNothing, want one of *' \
    pcv-classify -m changed long
changed fourier-bare '.num_cross_attention_heads = 4'
expect 'heads that do not divide' 65 '' \
    '*cross-heads is 4, which does not divide *261*' pcv-classify -m changed \
    long
changed fourier-bare '.hidden_act = "tanhshrink"'
expect 'an activation that is not there' 65 '' \
    '*config.json: "hidden_act" is "tanhshrink", want gelu|*' \
    pcv-classify -m changed long
changed fourier-bare .
jq '.resample = 0' fourier/preprocessor_config.json \
    >changed/preprocessor_config.json
expect 'another way to resize' 65 '' \
    '*preprocessor_config.json: "resample" has a value that is not supported (want 3, bicubic)' \
    pcv-classify -m changed long

# ---- where a model is -------------------------------------------------------

mkdir -p hub/models--them--text/refs hub/models--them--text/snapshots
mv text-bare hub/models--them--text/snapshots/0a1b
printf 0a1b >hub/models--them--text/refs/main
expect 'OWNER/NAME as the hub keeps it' 0 'texts/a/1*' '' \
    env HF_HOME="$work" pcv-classify -m them/text texts/a/1
expect 'OWNER/NAME that is not there' 66 '' \
    "*tried:*$work/hub/models--them--none/snapshots/\**" \
    env HF_HOME="$work" pcv-classify -m them/none texts/a/1

finish
