#!/usr/bin/env bash
# demo.sh BUILD_DIR - what `make demo` runs: train a Perceiver on the bundled
# pictures, then classify held-out files, encode, decode and inspect.  Every
# command is shown before its output.
set -eu
cd "$(dirname "$0")/.."
bin=$PWD/${1:-build/release}
data=tests/data/fashion
run=build/demo
rm -rf "$run"
mkdir -p "$run"
PATH=$bin:$PATH

show() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

show "pcv-train --labels=$data/labels.txt \\
    --latents=32 --latent-channels=64 --blocks=2 --cross-attends=2 --bands=14 \\
    --epochs=9 --batch-size=32 --learning-rate=3e-3 --val-split=0.05 \\
    -d $run/fashion $data/train-images.idx.gz,$data/train-labels.idx.gz"
show "pcv-classify -m $run/fashion $data/held-out/Bag/*.png | head -n 3"
show "pcv-classify -m $run/fashion -r $data/held-out >$run/answers.tsv"
show "awk -F'\t' '{n = split(\$1, p, \"/\"); right += p[n - 1] == \$5}
    END {printf \"%d of %d held-out pictures right: %.1f %%\n\", right, NR, 100 * right / NR}' $run/answers.tsv"
first=$(find $data/held-out/Bag -name '*.png' | sort | head -n 1)
show "pcv-encode -m $run/fashion $first | pcv-decode -m $run/fashion -k 3"
show "pcv-encode -m $run/fashion --pool=mean --format=jsonl $first | cut -c 1-78"
show "pcv-train --task=reconstruct --decoder=grid --latents=16 \\
    --latent-channels=64 --bands=14 --query-bands=14 --points=196 --epochs=8 \\
    --learning-rate=3e-3 --val-split=0.05 -d $run/auto \\
    $data/train-images.idx.gz,$data/train-labels.idx.gz"
show "pcv-decode -m $run/auto -o $run/bag.png $first && ls -l $run/bag.png | cut -d' ' -f5-"
show "pcv-inspect $run/fashion"
show "pcv-inspect --stats --match='*latents' $run/fashion"

printf '\nThe models stay in %s.\n' "$run"
