# names.sh - what libpcv.a exports begins with pcv_, and is what pcv.h says.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
library=$(dirname "$(command -v pcv-inspect)")/libpcv.a

if ! command -v nm >/dev/null; then
    skip 'exported names' 'no nm'
    finish
    exit
fi
# The compiler's own (__asan_.., __gcov_..) begin with two underscores.
nm -g --defined-only "$library" |
    awk 'NF == 3 && $3 !~ /^__/ { print $3 }' | sort -u >exported
check 'there are exported names' test -s exported
strange=$(grep -v '^pcv_' exported)
check 'exported names begin with pcv_' test "$strange" = ''

# Functions of pcv.h: a name in front of a parenthesis, outside of comments.
sed 's:/\*.*\*/::; /\/\*/,/\*\//d' "$root/lib/pcv.h" |
    grep -oE '\bpcv_[a-z0-9_]+\(' | tr -d '(' | sort -u >declared
check 'pcv.h declares functions' test "$(grep -c . declared)" -gt 40
missing=$(comm -23 declared exported)
check 'all functions of pcv.h are there' test "$missing" = ''

finish
