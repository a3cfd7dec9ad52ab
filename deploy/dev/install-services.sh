#!/bin/sh
# Installs the real services that `make test` runs against, where they are missing. Debian and Ubuntu, as root.
#
#   deploy/dev/install-services.sh            installs what is missing; changes nothing when all is there
#   deploy/dev/install-services.sh --bench    also what `make bench` measures with
#   deploy/dev/install-services.sh --check    only says what is missing (exit 1) or nothing (exit 0)
#
# Without root, or on another system, it says what is missing and fails.
#
# No service is left running or set to start with the machine: the tests start their own, on loopback, on ports of
# their own, in folders of their own. A service that was installed before keeps running as it did.
set -eu

# package:what it must bring. A path is looked for as it stands (it may hold a *), a word is looked for as a program.
NEEDED='
postgresql:/usr/lib/postgresql/*/bin/postgres
pgbouncer:pgbouncer
redis-server:redis-server
orthanc:Orthanc
orthanc-dicomweb:/usr/share/orthanc/plugins/libOrthancDicomWeb.so
orthanc-python:/usr/share/orthanc/plugins/libOrthancPython.so
dcmtk:dcmsend
nginx-light:nginx
libnginx-mod-http-echo:/usr/*/nginx/modules/ngx_http_echo_module.so
haproxy:haproxy
chromium:chromium
gcc:gcc
libc6-dev:/usr/include/stdio.h
util-linux:setpriv
'
BENCH='wrk:wrk'
SERVICES='postgresql pgbouncer redis-server orthanc nginx haproxy'

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

is_here() {
    case $1 in
    /*) for path in $1; do [ -e "$path" ] && return 0; done; return 1 ;;
    # Other systems name the browser otherwise.
    chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

list_missing() {
    for entry in $1; do
        is_here "${entry#*:}" || printf ' %s' "${entry%%:*}"
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}

only_check=no
for argument in "$@"; do
    case $argument in
    --check) only_check=yes ;;
    --bench) NEEDED="$NEEDED $BENCH" ;;
    *) echo "usage: $0 [--check] [--bench]" >&2; exit 2 ;;
    esac
done

missing=$(list_missing "$NEEDED")
[ -n "$missing" ] || exit 0

say_and_fail() {
    echo "missing for the tests:$missing" >&2
    echo "$1" >&2
    exit 1
}

[ "$only_check" = no ] || say_and_fail "install: $0, as root"
command -v apt-get >/dev/null || say_and_fail "this script knows Debian and Ubuntu; install these in your system's way"
[ "$(id -u)" -eq 0 ] || say_and_fail "install: sudo $0"

# While packages are being set up, nothing is started: a policy of the machine's own is kept, else ours stands in.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

# Ubuntu knows the browser by another name.
if grep -qs '^ID=ubuntu' /etc/os-release; then
    missing=$(printf '%s\n' "$missing" | sed 's/ chromium\b/ chromium-browser/')
fi

echo "installing:$missing"
apt update || echo "the package lists can't be refreshed; going on with those at hand" >&2
# shellcheck disable=SC2086 # a list of words
apt install -y --no-install-recommends $missing || say_and_fail "apt-get could not install them"

if [ -d /run/systemd/system ]; then
    for service in $SERVICES; do
        case "$missing " in
        *" $service "* | *" $service-light "*) systemctl disable --quiet "$service" || true ;;
        esac
    done
fi

missing=$(list_missing "$NEEDED")
[ -z "$missing" ] || say_and_fail "their packages are installed and did not bring them"
