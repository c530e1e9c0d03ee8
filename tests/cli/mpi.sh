# mpi.sh - pcv-train in several processes: the losses of one process but for
# rounding, the same bits in every run of as many, and no way of ending early
# that hangs or leaves half a model.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# Open MPI leaves memory behind.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
data=$root/tests/data/fashion
data=$data/train-images.idx.gz,$data/train-labels.idx.gz
small="--latents=4 --latent-channels=16 --blocks=2 --layers=1 --bands=3
    --batch-size=12 --warmup=5 --val-split=0.02 --dropout=0.1 --shift=1
    --noise=0.01 --mixup=0.5 --steps=100 --eval-every=50"
train() { # directory, options...
    local directory=$1
    shift
    # shellcheck disable=SC2086
    pcv-train -t 1 $small -d "$directory" "$@" "$data"
}

# Whoever started this program, it was not with others: as under mpirun, but
# without it.
expect 'processes that do not know of each other do not train' 69 '' \
    'pcv-train: 2 processes were started to train together, but *' \
    env OMPI_COMM_WORLD_SIZE=2 pcv-train -d lonely --steps=1 "$data"
check 'into one directory' test ! -e lonely
expect 'one process that mpirun started is one' 0 '' '' \
    env OMPI_COMM_WORLD_SIZE=1 pcv-train -q -d single --steps=0 "$data"

if ! command -v mpirun >/dev/null ||
    ! pcv-train --version | grep -q '^training .*: Open MPI'; then
    skip 'pcv-train in several processes' 'no mpirun, or a build without it'
    finish
    exit
fi
# Root, as tests in a container are; more processes than processors; memory of
# another process that may not be read.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_hwloc_base_binding_policy=none
together() { # processes, directory, options...
    local n=$1 directory=$2
    shift 2
    # shellcheck disable=SC2086
    mpirun -n "$n" pcv-train -t 1 $small -d "$directory" "$@" "$data"
}
same() { # directory, directory
    cmp "$1/model.safetensors" "$2/model.safetensors" &&
        cmp "$1/checkpoint.safetensors" "$2/checkpoint.safetensors"
}
loss() { # directory, event -> of the last such event
    grep "^{\"ev\":\"$2\"" "$1/log.jsonl" | tail -n 1 |
        sed 's/.*"loss":\([^,]*\).*/\1/'
}
close() { # directory, directory: are losses within 1e-4 of each other?
    local event a b
    for event in step eval; do
        a=$(loss "$1" $event)
        b=$(loss "$2" $event)
        awk -v a="$a" -v b="$b" 'BEGIN {
            print a, b
            exit !(a > 0 && b > 0 && (a - b) ^ 2 <= (1e-4 * b) ^ 2)
        }' || return 1
    done
}

ranks() { # directory -> mean average precision of its tags, six digits
    tail -n 3 "$1/log.jsonl" |
        sed -n 's/.*"tag":{[^}]*"accuracy":\([0-9.]\{8\}\).*/\1/p'
}

# ---- a run
train one -q
for n in 2 3; do
    expect "$n processes" 0 '' "*pcv-train: p$n: done after step 100, *" \
        together $n p$n
    check "$n processes: one of them speaks" test \
        "$(grep -c 'done after' "$work/.err")" -eq 1
    check "$n processes: the losses of one" close p$n one
    together $n again -q -f
    check "$n processes: the same bits again" same p$n again
done
check 'what they leave' test "$(find p2 -type f | sort | xargs)" = \
    'p2/checkpoint.previous.safetensors p2/checkpoint.safetensors '\
'p2/config.json p2/log.jsonl p2/model.safetensors p2/training.conf'
check 'a line for each step' test "$(grep -c '"ev":"step"' p2/log.jsonl)" -eq 100

# ---- several modalities, some of which are left out; tags, whose scores are
# ranked over all; masked bytes
{
    printf 'image\tsort\ttag\n'
    find "$root/tests/data/fashion/held-out" -name '*.png' | sort |
        awk -F/ '{ print $0 "\t" (NR % 4 ? $(NF - 1) : "") "\t" \
                         (NR % 5 ? NR % 3 ",x" NR % 2 : "") }'
} >parts.tsv
several() { # directory, launcher...
    local directory=$1
    shift
    "$@" pcv-train -q -t 1 -d "$directory" --modality=parts --latents=4 \
        --latent-channels=16 --self-heads=2 --blocks=1 --layers=1 \
        --shared=24 --decoder=grid --batch-size=12 --steps=20 \
        --drop-parts=0.4 --parts="$parts" parts.tsv
}
parts='image modality=image height=28 width=28 bands=4 task=reconstruct'
parts="$parts decoder=grid query-bands=4; sort modality=class"
parts="$parts; tag modality=class task=tags"
several parts env
several parts3 mpirun -n 3
check 'several modalities: the losses of one process' close parts3 parts
check 'tags are ranked' test "$(ranks parts)" != ''
check 'their ranks are those of one process' \
    test "$(ranks parts3)" = "$(ranks parts)"
fill() { # directory, launcher...
    local directory=$1
    shift
    "$@" pcv-train -q -t 1 -d "$directory" --modality=bytes --task=fill \
        --position=learned --examples=text --length=32 --latents=4 \
        --latent-channels=16 --blocks=1 --layers=1 --embedding=16 \
        --batch-size=8 --steps=20 --val-split=0.6 "$root/lib/README.md"
}
fill fill env
fill fill2 mpirun -n 2
check 'masked bytes: the losses of one process' close fill2 fill

# ---- ends that come early
begin() { # processes, directory: starts a run, waits until it has done steps
    local seen=0 launcher="mpirun -n $1"
    [ "$1" -gt 1 ] || launcher=
    set -m
    # shellcheck disable=SC2086
    $launcher pcv-train -t 1 $small -d "$2" "$data" >/dev/null 2>"$2.err" &
    pid=$!
    set +m
    for _ in $(seq 3000); do
        seen=$(grep -c '"ev":"step"' "$2/log.jsonl" 2>/dev/null)
        [ "${seen:-0}" -lt 20 ] || return 0
        sleep 0.01
    done
}
second() { # -> the last process of the run
    awk '{ print $NF }' "/proc/$pid/task/$pid/children"
}
stopped() { # directory, name, status: the run that was asked to stop has
    wait "$pid" 2>/dev/null
    check "$2: exit status" test $? -eq "$3"
    check "$2: it says so" grep -q 'stopped and saved' "$1.err"
    check "$2: the log is whole" test \
        "$(tail -n 1 "$1/log.jsonl" | cut -c 1-12)" = '{"ev":"stop"'
}
resume() { # processes, directory
    mpirun -n "$1" pcv-train -q -t 1 -d "$2" --resume "$data"
}

begin 2 usr1
kill -s USR1 "$pid"
stopped usr1 'SIGUSR1' 75
cp -r usr1 usr1-one
mkdir here there
cp -r usr1 here/m
resume 2 usr1
check 'resumed in two processes: the bits of a whole run' same usr1 p2
pcv-train -q -d usr1-one --resume "$data"
check 'resumed in one: its losses' close usr1-one one

begin 1 alone
kill -s USR1 "$pid"
stopped alone 'one process' 75
resume 3 alone
check 'resumed in three: the losses of one' close alone one

begin 2 asked
kill -s USR1 "$(second)"
stopped asked 'a signal to one of two' 75

begin 2 term
kill -s TERM "$pid"
wait "$pid" 2>/dev/null
check 'SIGTERM: mpirun fails' test $? -ne 0
resume 2 term
check 'SIGTERM, resumed: the bits of a whole run' same term p2

begin 2 killed
first=$(awk '{ print $1 }' "/proc/$pid/task/$pid/children")
kill -s KILL "$(second)"
wait "$pid" 2>/dev/null
check 'one of two is killed: mpirun fails' test $? -ne 0
for _ in $(seq 1000); do
    grep -s '^State:' "/proc/$first/status" | grep -qv zombie || break
    sleep 0.01
done
check 'the other has ended' test "$(grep -s '^State:' "/proc/$first/status" |
    grep -v zombie)" = ''

# ---- what goes wrong in one of them ends all, before anything is written
cp -r p2 there/m
expect 'checkpoints that differ' 65 '' \
    '*process 1 of 2: the parameters after step 100 are not those of process 0*' \
    mpirun -n 1 -wdir here pcv-train -t 1 -d m --resume "$data" : \
    -n 1 -wdir there pcv-train -t 1 -d m --resume "$data"
expect 'settings that differ' 65 '' \
    '*process 1 of 2: the settings are not those of process 0*' \
    mpirun -n 1 pcv-train -t 1 -d differ --steps=1 "$data" : \
    -n 1 pcv-train -t 1 -d differ --steps=2 "$data"
expect 'directories that differ' 65 '' '*process 1 of 2: *DIR*' \
    mpirun -n 2 sh -c "pcv-train -t 1 --steps=1 \
        -d differ\$OMPI_COMM_WORLD_RANK $data"
if ! pcv-train --version | grep -q 'loops: base'; then
    expect 'processors that differ' 65 '' '*process 1 of 2: *PCV_CPU*' \
        mpirun -n 1 pcv-train -t 1 -d differ --steps=1 "$data" : \
        -n 1 env PCV_CPU=base pcv-train -t 1 -d differ --steps=1 "$data"
fi
check 'nothing is left behind' test ! -e differ/checkpoint.safetensors
expect 'more processes than items' 64 '' \
    '*a batch of 2 items is less than two for each of 3 processes*' \
    mpirun -n 3 pcv-train -t 1 -d few --batch-size=2 --steps=1 "$data"
expect 'a model is there' 73 '' '*p2: there is a model already*' \
    together 2 p2
mkdir folder
cp -r "$root"/tests/data/fashion/held-out/Bag folder
mkdir folder/broken
echo 'P2 28 28 9 1' >folder/broken/1.pgm
expect 'an example that one of two reads' 65 '' '*folder/broken/1.pgm: *' \
    timeout 60 mpirun -n 2 pcv-train -t 1 -d broken --batch-size=10 \
    --steps=8 folder
finish
