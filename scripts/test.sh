#!/usr/bin/env bash
# Runs the tests on two cores. Arguments go to pytest: `-m slow`, a file, `-k name` …
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
exec "$PY" -m pytest -n 2 --dist loadgroup "$@"
