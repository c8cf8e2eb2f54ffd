#!/bin/sh
# Builds packages of this repository and lays them under /staging, as they belong under /app/.venv:
# a layer of their own, so that a change of code leaves the layer of dependencies as it is.
#   install_packages.sh FOLDER...
set -eu
here=$(dirname "$0")

# What builds wheels lies in an environment of its own: the one of the image stays as it is locked.
python3 -m venv --without-pip /opt/build
/opt/uv/bin/uv pip install --python /opt/build/bin/python --no-deps --require-hashes \
    -r "$here/../requirements/setup.txt"
for folder in "$@"; do
    # `build` needs the backend beside its interpreter, isolated builds would fetch it unlocked.
    (cd "$folder" && /opt/build/bin/python -c '
import hatchling.build
hatchling.build.build_wheel("/opt/wheels-of-ours")')
done
/opt/uv/bin/uv pip install --python /app/.venv/bin/python --prefix /staging --no-deps --no-index \
    /opt/wheels-of-ours/*.whl
python3 "$here/compile.py" /staging
