# install.sh - make install into a DESTDIR, and the example of the README
# compiled against what was installed.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${PCV_BIN:-} in
*/release) ;;
*)
    skip "make install" "not the release build"
    finish
    exit
    ;;
esac

dest=$work/root
prefix=$dest/usr
check "make install" make -s -C "$root" install PREFIX=/usr DESTDIR="$dest"
for p in train classify encode decode inspect; do
    check "pcv-$p is installed" "$prefix/bin/pcv-$p" --version
    check "pcv-$p has a manual" test -s "$prefix/share/man/man1/pcv-$p.1"
done
check "the default model is installed" \
    test -s "$prefix/share/pcv/default/model.safetensors"
check "it is at most 1 MB" \
    test "$(cat "$prefix"/share/pcv/default/* | wc -c)" -le 1000000

seven=$root/tests/data/digits/seven
expect "an installed program finds its model" 0 "$seven.png	1	0.*	7	7" "" \
    "$prefix/bin/pcv-classify" "$seven.png"
expect "dark on light is the same digit" 0 \
    "$seven-dark.png	1	0.*	7	7" "" \
    "$prefix/bin/pcv-classify" "$seven-dark.png"

# The C program between the first pair of ```c and ``` in the README.
sed -n '/^```c$/,/^```$/p' "$root/README.md" | sed '1d;$d' >digits.c
flags() {
    PKG_CONFIG_PATH=$prefix/lib/pkgconfig \
        pkg-config --define-variable=prefix="$prefix" "$@" pcv
}
# shellcheck disable=SC2046
check "the README's example compiles" "${CC:-cc}" -std=c11 -Wall -Wextra \
    -Werror digits.c $(flags --cflags --libs) -o digits
expect "and classifies" 0 "*$seven.png	7	[01].[05-9]*" "" \
    env PCV_MODEL_PATH="$prefix/share/pcv" ./digits "$seven.png"
expect "and says what is wrong" 0 "" "*nowhere.png: No such file*" \
    env PCV_MODEL_PATH="$prefix/share/pcv" ./digits nowhere.png

check "make uninstall" make -s -C "$root" uninstall PREFIX=/usr DESTDIR="$dest"
check "leaves nothing behind" test -z "$(find "$dest" -type f)"
finish
