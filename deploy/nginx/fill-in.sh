#!/bin/sh
# fill-in.sh TEMPLATE VALUES: the template with every ${NAME} replaced by what the file of values says, on standard output.
#
# VALUES holds NAME=value lines and comments; a value is all that follows the sign, without quotes. A name that ends in
# _ORIGINS holds web origins, separated by spaces, which become lines of an nginx map. Fails where a name has no line.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 TEMPLATE VALUES" >&2; exit 2; }

awk -v values="$2" '
function fail(words) { print words > "/dev/stderr"; failed = 1; exit 1 }
function lines_of_map(origins,   all, count, i, text) {
    count = split(origins, all, / +/)
    for (i = 1; i <= count; i++) {
        if (all[i] == "") continue
        if (all[i] !~ /^https?:\/\/[a-z0-9.:\[\]-]+$/) fail("not an origin: " all[i])
        text = text "\"" all[i] "\" \"" all[i] "\"; "
    }
    return text
}
BEGIN {
    while ((read = (getline line < values)) > 0) {
        sub(/\r$/, "", line)
        if (line ~ /^[ \t]*(#|$)/) continue
        if (line !~ /^[A-Z][A-Z0-9_]*=/) fail("not NAME=value: " line)
        name = line; sub(/=.*/, "", name)
        value = line; sub(/^[^=]*=/, "", value)
        told[name] = name ~ /_ORIGINS$/ ? lines_of_map(value) : value
    }
    if (read < 0) fail("can not read " values)
}
{
    rest = $0; filled = ""
    while (match(rest, /\$\{[A-Z][A-Z0-9_]*\}/)) {
        name = substr(rest, RSTART + 2, RLENGTH - 3)
        if (!(name in told)) fail("no value for " name)
        filled = filled substr(rest, 1, RSTART - 1) told[name]
        rest = substr(rest, RSTART + RLENGTH)
    }
    print filled rest
}
END { exit failed }
' "$1"
