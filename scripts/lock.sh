#!/usr/bin/env bash
# Pin every version anew, with hashes: plain name==version lines that name no host.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
python3 -m venv "$tools" && "$tools/bin/pip" install --quiet pip-tools
build=$tools/build.in
printf 'hatchling\ndjango-htmx\neditables\n' >"$build"
options=(--quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --no-header --no-annotate)
"$tools/bin/pip-compile" "${options[@]}" --extra test -o requirements/test.txt pyproject.toml "$build"
"$tools/bin/pip-compile" "${options[@]}" -c requirements/test.txt --extra mariadb --extra postgresql -o requirements/run.txt pyproject.toml "$build"
sed -i -e '/^yitong-hub/,$!b' -e '/^yitong-hub/d' -e '/^# /d' requirements/test.txt requirements/run.txt
rm -rf "$tools"
