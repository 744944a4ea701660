#!/usr/bin/env bash
# Style, types, layers, and that the installed jaxlib can compute. Under a minute.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
status=0
step() { printf '\n== %s\n' "$*"; "$PY" -m "$@" || status=1; }
step ruff check .
step ruff format --check .
step pyright
export JAX_DISABLE_MOST_OPTIMIZATIONS=0 # as a user has it
step pytest -q tests/test_layers.py tests/test_canary.py
exit "$status"
