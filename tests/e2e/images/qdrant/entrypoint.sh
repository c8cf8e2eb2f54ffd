#!/bin/sh
# Hands the official image's variables over to the embedded Qdrant.
set -eu
export EMBEDDED_QDRANT_HOST="${QDRANT__SERVICE__HOST:-0.0.0.0}"
export EMBEDDED_QDRANT_PORT="${QDRANT__SERVICE__HTTP_PORT:-6333}"
export EMBEDDED_QDRANT_API_KEY="${QDRANT__SERVICE__API_KEY:-}"
export EMBEDDED_QDRANT_DATA="${QDRANT__STORAGE__STORAGE_PATH:-/qdrant/storage}"
exec python -m kartoteka_local.qdrant "$@"
