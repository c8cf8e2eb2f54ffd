#!/usr/bin/env bash
# Locks every dependency with the hashes of all its builds, without registry addresses.
#   dev.txt            everything at once, but torch and what its vendors ship: one resolution
#   torch-*.txt        torch alone: its CPU build, or the plain index's build with its vendors' libraries
#   the others         parts of dev.txt; bench-reindex.txt brings the peers too, at its versions
# All are installed with --no-deps --require-hashes: each lock is complete.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}

compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate "$@"
}
ours=(kartoteka-contracts kartoteka-runtime kartoteka-index kartoteka-testkit
    kartoteka-ingest-api kartoteka-embedder kartoteka-scheduler kartoteka-local)
without_ours=("${ours[@]/#/--no-emit-package=}")

compile services/embedder/pyproject.toml --extra model --upgrade-package torch -o /tmp/torch-probe.$$
vendors=$(grep -oE '^(nvidia|cuda|triton)[a-z0-9-]*' /tmp/torch-probe.$$ | sort -u)
rm -f /tmp/torch-probe.$$
without_torch=(--no-emit-package=torch)
for name in $vendors; do without_torch+=("--no-emit-package=$name"); done

projects=(libs/*/pyproject.toml services/*/pyproject.toml local/pyproject.toml)
compile "${projects[@]}" requirements/dev.in requirements/setup.in \
    --extra model --extra quickstart \
    "${without_ours[@]}" "${without_torch[@]}" -o requirements/dev.txt

part() {  # part NAME SOURCE...
    local name=$1
    shift
    compile "$@" -c requirements/dev.txt "${without_ours[@]}" "${without_torch[@]}" \
        -o "requirements/$name.txt"
}
part ingest-api services/ingest-api/pyproject.toml
part scheduler services/scheduler/pyproject.toml
part embedder services/embedder/pyproject.toml
part model services/embedder/pyproject.toml --extra model --extra quickstart
part setup requirements/setup.in
part e2e-qdrant local/pyproject.toml
part e2e-object-storage requirements/e2e-object-storage.in
part local local/pyproject.toml services/ingest-api/pyproject.toml \
    services/embedder/pyproject.toml services/scheduler/pyproject.toml \
    requirements/setup.in --extra model --extra quickstart
part bench requirements/bench.in
part bench-reindex requirements/bench-reindex.in  # of its own environment: not all of it is in dev.txt
compile requirements/uv.in -o requirements/uv.txt
compile requirements/charts.in --no-deps -o requirements/charts.txt

# The plain index's torch with its vendors' libraries, and the CPU build, which stands on an index
# of its own: only its build for Linux x86-64 is locked; elsewhere set-up takes the plain index's.
printf 'torch==2.13.0\n' | compile - -c requirements/dev.txt -o requirements/torch-default.txt
excluded=()
for name in $(grep -oE '^[a-z0-9._-]+==' requirements/torch-default.txt | tr -d '=' |
    grep -vE '^(torch|nvidia.*|cuda.*|triton)$' || true); do
    excluded+=("--no-emit-package=$name")
done
printf 'torch==2.13.0\n' | compile - -c requirements/dev.txt "${excluded[@]}" \
    -o requirements/torch-default.txt
