# floors.sh - who may include whom: the floors of the library, and one file
# for each third-party header.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 66

# What a floor includes directly: itself, and what stands behind the colon.
floors='lib/base:
lib/kern: lib/base
lib/nn: lib/kern lib/base
lib/tokens: lib/nn
lib/model: lib/tokens lib/nn lib/fmt
lib/data: lib/base lib/kern
lib/fmt: lib/base
lib/train: lib/model lib/data
lib: lib/base lib/kern lib/nn lib/tokens lib/model lib/data lib/fmt lib/train
cmd: lib/pcv.h'

included() { # directory -> "file directory-or-pcv.h" of each of its includes
    local f include to
    for f in "$1"/*.[ch]; do
        sed -n 's/^#include "\([^"]*\)".*/\1/p' "$f" |
            while read -r include; do
                if [ "$1" = cmd ] && [ "$include" = pcv.h ]; then
                    to=lib/pcv.h
                else
                    to=$(dirname "$(realpath -m --relative-to=. \
                        "$(dirname "$f")/$include")")
                fi
                echo "$f $to"
            done
    done
}

strangers() { # directory, allowed... -> includes that it may not have
    local directory=$1
    shift
    included "$directory" | while read -r f to; do
        case " $directory $* " in
        *" $to "*) ;;
        *) echo "$f includes from $to" ;;
        esac
    done
}

while IFS=: read -r floor allowed; do
    # shellcheck disable=SC2086
    bad=$(strangers "$floor" $allowed)
    check "$floor includes $floor${allowed:- alone}" test "$bad" = ''
done <<<"$floors"

check 'the floors are all there is' test "$(
    find lib -mindepth 1 -type d ! -path 'lib/default*' | sort
)" = "$(echo "$floors" | sed -n 's/^\(lib\/[a-z]*\):.*/\1/p' | sort)"

for header in cblas.h png.h jpeglib.h sndfile.h samplerate.h jansson.h \
    kissfft/kiss_fftr.h zlib.h xxhash.h zip.h oneapi/dnnl/dnnl.h mpi.h; do
    who=$(grep -l "^#include <$header>" lib/*.[ch] lib/*/*.[ch] cmd/*.[ch])
    check "<$header> is included by one file" \
        test "$(echo "$who" | grep -c .)" -eq 1
done

# Below cmd/ nothing writes to the terminal, ends the program or looks at the
# environment, but for where models are and PCV_CPU.
loud=$(grep -lE '\b(printf|fprintf|puts|putchar|perror|exit|abort)\(' \
    lib/*.c lib/*/*.c)
check 'the library neither prints nor exits' test "$loud" = ''
curious=$(grep -lE '\b(secure_)?getenv\(|\bsetlocale\(' lib/*.c lib/*/*.c |
    tr '\n' ' ')
check 'the environment is read in two files' \
    test "$curious" = 'lib/places.c lib/kern/cpu.c '

if command -v "${CXX:-g++}" >/dev/null; then
    check 'pcv.h serves a C++ compiler' \
        sh -c "echo '#include \"lib/pcv.h\"' | ${CXX:-g++} -I. -x c++ \
            -fsyntax-only -Wall -Werror -"
else
    skip 'pcv.h serves a C++ compiler' "no ${CXX:-g++}"
fi
long=$(awk 'length > 80 { print FILENAME ":" FNR }' lib/*.[ch] lib/*/*.[ch] \
    cmd/*.[ch])
check 'lines have 80 columns' test "$long" = ''

finish
