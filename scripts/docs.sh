#!/usr/bin/env bash
# Builds the documentation into site/; anything that mkdocs warns of is an error.
# Arguments go to mkdocs: `-d FOLDER`. Sets everything up by itself the first time.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
export NO_MKDOCS_2_WARNING=1
exec "$PY" -m mkdocs build --strict --quiet "$@"
