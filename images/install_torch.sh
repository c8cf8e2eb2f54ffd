#!/bin/sh
# Installs torch, which exports the model and goes into no image: its CPU build from the folder
# /wheels where that has one, else from the index of CPU builds, else whatever the plain index has.
set -eu
requirements=$(dirname "$0")/../requirements
install() {
    /opt/uv/bin/uv pip install --python /app/.venv/bin/python --no-deps --require-hashes "$@"
}

for wheel in /wheels/torch-*.whl; do
    if [ -f "$wheel" ]; then
        install -r "$requirements/torch-cpu.txt" --no-index --find-links /wheels
        exit
    fi
done
install -r "$requirements/torch-cpu.txt" --torch-backend cpu ||
    install -r "$requirements/torch-default.txt"
