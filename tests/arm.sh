# arm.sh - what an AArch64 compiler makes of the vector loops: every one is
# vector code, and neon multiplies and adds in one instruction.  Looks at the
# objects that `make arm-check` builds, in PCV_BIN.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=cli/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/cli/lib.sh"

# The loops of a table with (1) or without (0) an instruction on whole vector
# registers like this; moving and filling them is not meant.
loops() { # table, 0 or 1, instruction
    aarch64-linux-gnu-objdump -d "$PCV_BIN/lib/kern/rows_$1.o" |
        awk -v want="$2" -v kind="^$3\$" '
            /^[0-9a-f]+ </ { name = $2; if (name ~ /^<rows_/) has[name] = 0 }
            name in has && $4 ~ /^v[0-9]+\.(16b|8h|4s|2d)/ && $3 ~ kind &&
                $3 !~ /^(f?mov|movi|mvni|dup)$/ { has[name] = 1 }
            END { for (n in has) if (has[n] == want) print n }'
}

for table in base neon; do
    check "$table has loops" test "$(loops $table 1 '.*')" != ''
    check "$table: every loop is vector code" \
        test "$(loops $table 0 '.*')" = ''
done
check 'base: no fused multiply-add' test "$(loops base 1 'fml[as]')" = ''
fused=$(loops neon 1 'fml[as]')
for loop in exp_sum dot gelu norm soft_back grid_sweep; do
    check "neon: $loop has fused multiply-add" grep -q "<rows_$loop>" \
        <<<"$fused"
done
finish
