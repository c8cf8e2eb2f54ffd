#!/bin/sh
# Makes /app/.venv out of hash-locks, in the builder stage of an image. Neither pip nor uv goes in.
#   install_dependencies.sh LOCK...      paths of files with hashes of everything
#
# What a build may be told (build arguments of the same names): PIP_INDEX_URL and UV_DEFAULT_INDEX,
# a mirror of the package index.
set -eu
here=$(dirname "$0")

if [ ! -x /opt/uv/bin/uv ]; then
    python3 -m venv /opt/uv
    /opt/uv/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        --no-deps --require-hashes -r "$here/../requirements/uv.txt"
fi
[ -x /app/.venv/bin/python ] || python3 -m venv --without-pip /app/.venv
for lock in "$@"; do
    /opt/uv/bin/uv pip install --python /app/.venv/bin/python --no-deps --require-hashes -r "$lock"
done
