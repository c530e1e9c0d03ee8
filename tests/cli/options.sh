# options.sh - what all programs do alike with their command lines.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

programs='pcv-classify pcv-encode pcv-decode'
for p in pcv-train pcv-inspect; do
    command -v "$p" >/dev/null && programs="$programs $p"
done

for p in $programs; do
    export PCV_MODEL_PATH=/nowhere HOME=/nowhere
    expect "$p --help" 0 "usage: $p \[OPTION\]...*--version*" '' "$p" --help
    expect "$p -h" 0 "usage: $p *" '' "$p" -h
    "$p" --help >help
    check "$p --help fits 80 columns" awk 'length > 79 { exit 1 }' help
    expect "$p --version" 0 "$p [0-9]*" '' "$p" --version
    expect "$p -V" 0 "$p [0-9]*" '' "$p" -V
    unset PCV_MODEL_PATH
    expect "$p: unknown option" 64 '' "$p: unknown option '--zzzzzz'*" \
        "$p" --zzzzzz
    expect "$p: the nearest option" 64 '' \
        "$p: unknown option '--vebrose' (did you mean '--verbose'?)" \
        "$p" --vebrose
    expect "$p: unknown letter" 64 '' "$p: unknown option '-%'*" "$p" -%
    expect "$p: letter in a cluster" 64 '' "$p: unknown option '-%'*" "$p" -q%
    expect "$p: control bytes of an option" 64 '' \
        "$p: unknown option '--a\\\\033\[2Jb'*" "$p" $'--a\033[2Jb'
    expect "$p: argument of a flag" 64 '' \
        "$p: option '--quiet' takes no argument" "$p" --quiet=2
    expect "$p: ambiguous" 64 '' "$p: option '--ver' could be '--verbose', *" \
        "$p" --ver
    expect "$p: --help > /dev/full" 74 '' \
        "$p: standard output: No space left on device" \
        sh -c "$p --help >/dev/full"
    expect "$p: --version, stdout closed" 74 '' "$p: standard output: *" \
        sh -c "$p --version >&-"
done

for p in pcv-classify pcv-encode pcv-decode; do
    expect "$p: argument is missing" 64 '' \
        "$p: option '--model' needs an argument, NAME" "$p" --model
    expect "$p: unknown model" 66 '' \
        "$p: model 'no such' not found; tried:*no such*" \
        "$p" -m 'no such' pics/1.pgm
    for o in threads batch max-pixels max-bytes; do
        for value in 0 -1 1x '' 1.5 99999999999999999999999; do
            expect "$p --$o='$value'" 64 '' \
                "$p: option --$o: '*', want a whole number*" \
                "$p" -m "$image" "--$o=$value" pics/1.pgm
        done
    done
    for value in 0 -1 x '' nan inf; do
        expect "$p --max-seconds='$value'" 64 '' \
            "$p: option --max-seconds: '*', want a number above 0" \
            "$p" -m "$image" "--max-seconds=$value" pics/1.pgm
    done
    expect "$p: --on-error=x" 64 '' \
        "$p: option --on-error: 'x', want continue|stop" \
        "$p" --on-error=x pics/1.pgm
    expect "$p: --modality=x" 64 '' \
        "$p: option --modality: 'x', want auto|image|sound|bytes|array" \
        "$p" --modality=x pics/1.pgm
    expect "$p: --format=x" 64 '' "$p: option --format: 'x', want *npy*" \
        "$p" --format=x pics/1.pgm
    expect "$p: two lists" 64 '' \
        "$p: option --files0-from: there is another list already, 'a'" \
        "$p" -T a --files0-from=b
    expect "$p: PCV_THREADS=x" 64 '' \
        "$p: PCV_THREADS: 'x', want a whole number from 1 to 1024" \
        env PCV_THREADS=x $p -m "$image" pics/1.pgm
done

expect 'options behind operands' 0 'pics/1.pgm*pics/2.pgm*' '' \
    pcv-classify pics/1.pgm -m "$image" pics/2.pgm
touch ./-q
expect 'operands behind --' 65 '-q*error: *' '*' \
    pcv-classify -m "$image" -- -q
expect 'shortened options' 0 'path*' '' \
    pcv-classify --mode="$image" --head pics/1.pgm
expect '-v names model and threads' 0 '*' '*: model *: 2 threads *' \
    pcv-classify -v -t 2 -m "$image" pics/1.pgm
expect 'PCV_THREADS' 0 '*' '*: 3 threads *' \
    env PCV_THREADS=3 pcv-classify -v -m "$image" pics/1.pgm
expect '-t outweighs PCV_THREADS' 0 '*' '*: 2 threads *' \
    env PCV_THREADS=3 pcv-classify -v -t 2 -m "$image" pics/1.pgm
finish
