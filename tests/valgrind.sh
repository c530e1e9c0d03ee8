#!/usr/bin/env bash
# valgrind.sh BUILD_DIR - small runs of the programs under valgrind: no error,
# nothing definitely lost.  AVX-512 is beyond it, hence PCV_CPU and a plain
# OpenBLAS kernel.
set -u
cd "$(dirname "$0")/.." || exit 1
bin=${1:-build/release}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PCV_CPU=base OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1
data=tests/data/fashion
pic=$(find $data/held-out -name '*.png' | sort | head -n 1)
passed=0
failed=0

run() { # name, command...
    local name=$1
    shift
    if valgrind -q --error-exitcode=9 --leak-check=full \
        --errors-for-leak-kinds=definite "$@" >"$dir/out" 2>"$dir/err"; then
        echo "ok - $name"
        passed=$((passed + 1))
    else
        echo "not ok - $name"
        sed 's/^/# /' "$dir/err"
        failed=$((failed + 1))
    fi
}

model=tests/data/tiny-image
auto=tests/data/tiny-auto
run classify "$bin/pcv-classify" -m $model -t 2 --all "$pic" "$pic"
run encode "$bin/pcv-encode" -m $model -o "$dir/l.sts" "$pic"
run decode "$bin/pcv-decode" -m $model "$dir/l.sts"
run reconstruct "$bin/pcv-decode" -m $auto -o "$dir/p.png" "$pic"
run inspect "$bin/pcv-inspect" $model
run stats "$bin/pcv-inspect" --stats $model
run train "$bin/pcv-train" -q -d "$dir/run" --steps=2 --batch-size=4 \
    --latents=4 --latent-channels=8 --self-heads=2 --bands=2 --val-split=0 \
    $data/train-images.idx.gz,$data/train-labels.idx.gz
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
