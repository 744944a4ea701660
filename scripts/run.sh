#!/usr/bin/env bash
# Runs the main job: the claims about Lion-κ in their quick form, and a report of what
# came out, in under 3 minutes. Arguments go to `dynax report`: `--only NAME …` for other
# experiments. Sets everything up by itself the first time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
[ $# -gt 0 ] || set -- --only balance constrained cycle digits flow muon
exec "$ROOT/.venv/bin/dynax" report "$@"
