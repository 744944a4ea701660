#!/usr/bin/env bash
# Runs the main job: the quick form of every claim, and a report of what came out.
# Arguments go to `dynax report`. Sets everything up by itself the first time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
exec "$ROOT/.venv/bin/dynax" report "$@"
