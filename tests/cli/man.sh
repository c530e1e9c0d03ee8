# man.sh - the manual pages: every option of --help is in them and the other
# way round, with its default; their SYNOPSIS is the usage line; mandoc has
# nothing to say.
# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
pages=$root/man

if ! command -v mandoc >/dev/null; then
    skip 'manual pages' 'no mandoc'
    finish
    exit
fi

text() { # page -> as on a terminal 200 columns wide
    mandoc -T ascii -O width=200 "$1" | col -bx
}

# "d dir" for each option; "- val" where there is no letter.
options() {
    sed -nE 's/^ {1,6}-(.), --([a-z0-9-]+).*/\1 \2/p
             s/^ {1,6}--([a-z0-9-]+).*/- \1/p' | sort
}

for page in "$pages"/*.[1-8]; do
    name=$(basename "$page")
    check "$name: mandoc -T lint" \
        test "$(mandoc -T lint -W warning "$page")" = ''
    missing=
    while read -r other section; do
        [ -e "$pages/$other.$section" ] || missing="$missing $other($section)"
    done < <(sed -n 's/^\.Xr \(pcv[a-z-]*\) \([1-8]\).*/\1 \2/p' "$page")
    check "$name: pages that it names exist:$missing" test "$missing" = ''
done

for p in pcv-train pcv-classify pcv-encode pcv-decode pcv-inspect; do
    check "$p.1 exists" test -e "$pages/$p.1"
    [ -e "$pages/$p.1" ] || continue
    text "$pages/$p.1" >page
    $p --help >help
    options <help >of-help
    options <page >of-page
    check "$p --help has options" test "$(grep -c . of-help)" -gt 4
    check "$p: options of --help and $p.1" diff of-help of-page
    check "$p: usage and SYNOPSIS" test \
        "$(sed -n 's/^usage: //p; q' help | tr -s ' ')" = \
        "$(sed -n '/^SYNOPSIS/{n;s/^ *//p;q;}' page | tr -s ' ')"
    check "$p.1: EXIT STATUS and EXAMPLES" \
        test "$(grep -cE '^(EXIT STATUS|EXAMPLES)$' page)" -eq 2
done

# The defaults of pcv-train.
text "$pages/pcv-train.1" >page
pcv-train --print-config >config
check 'there are settings' test "$(grep -c . config)" -gt 40
wrong=$(while IFS= read -r setting; do
    value=${setting#* = }
    [ "$value" = '' ] ||
        grep -qE -- "^ +--${setting%% = *}=[^ ]+ \($value\)$" page ||
        echo "$setting"
done <config)
check 'pcv-train.1: defaults' test "$wrong" = ''

# "--fit=stretch|crop|keep" for each option with an argument.
values() {
    sed -E ':a;/\|$/{N;s/\n *//;ba}' |
        sed -nE 's/^ {1,6}(-., )?(--[a-z0-9-]+=[^ ]+).*/\2/p' | sort
}
pcv-train --help | values >of-help
values <page >of-page
check 'pcv-train: values of --help and pcv-train.1' diff of-help of-page

# The keys of config.json.
text "$pages/pcv-model.5" >page
wrong=$(grep -oE '^ *"[a-z0-9_]*[a-z_]":' "$image/config.json" |
    tr -d ' ":' | while read -r key; do
    grep -qwF -- "$key" page || echo "$key"
done)
check 'pcv-model.5: keys of config.json' test "$wrong" = ''

finish
