# Sourced, under `set -euo pipefail`, by the scripts beside it: makes .venv ready, sets
# ROOT and PY.
#
# Needs Python >= 3.11 and nothing else. Installing is skipped while pyproject.toml,
# constraints.txt, the interpreter and the place of the checkout stay the same; the
# stamp that says so is written last, and what an interrupted install left behind is
# thrown away. PYTHON=/path/to/python chooses the interpreter of a new .venv.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PY=$ROOT/.venv/bin/python
# XLA takes its own cached programs for those of another machine, loudly.
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3}
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$ROOT/.cache/jax}

_say() { printf '[setup %3d s] %s\n' "$SECONDS" "$*" >&2; }
_die() { printf '[setup] %s\n' "$@" >&2; exit 1; }

_find_python() { # constraints.txt is for 3.11, so that one comes first
  local candidate
  for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13 python3.14}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
    then echo "$candidate"; return; fi
  done
  _die "No Python >= 3.11 found. Install one, or set PYTHON=/path/to/python."
}

_stamp() {
  "$1" - "$ROOT" <<'PYTHON'
import hashlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
text = f"{root} {sys.version}".encode()
for name in ("pyproject.toml", "constraints.txt"):
    text += (root / name).read_bytes()
print(hashlib.sha256(text).hexdigest())
PYTHON
}

_need_ensurepip() { # Debian and Ubuntu keep it in a package of its own
  local package sudo=()
  "$1" -c 'import ensurepip, venv' 2>/dev/null && return
  package=python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
  [ "$(id -u)" = 0 ] || sudo=(sudo -n)
  if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true; } 2>/dev/null
  then
    _say "this Python cannot make virtual environments; apt-get install $package"
    export DEBIAN_FRONTEND=noninteractive
    { "${sudo[@]}" apt-get update &&
      "${sudo[@]}" apt-get install -y --no-install-recommends "$package"
    } 2>&1 | _progress || true
  fi
  "$1" -c 'import ensurepip, venv' 2>/dev/null ||
    _die "$1 cannot make virtual environments: ensurepip is missing. Run" \
         "  sudo apt-get update && sudo apt-get install $package" \
         "or the like for your system, then start again."
}

_progress() { # stdin → log file, and its latest line to the screen every 10 seconds
  local line last='' status shown=$SECONDS
  while true; do
    status=0; IFS= read -r -t 10 line || status=$?
    if ((status == 0)); then last=$line; printf '%s\n' "$line" >>"$LOG"
    elif ((status <= 128)); then return; fi # end of input; above 128: time is up
    if ((SECONDS - shown >= 10)); then shown=$SECONDS; _say "  … ${last:0:72}"; fi
  done
}

_install() {
  local python stamp LOG=$ROOT/.cache/install.log constraints=()
  mkdir -p "$ROOT/.cache" && : >"$LOG"
  if [ -e "$ROOT/.venv/installing" ] || ! "$PY" -m pip --version >/dev/null 2>&1; then
    python=$(_find_python)
    _need_ensurepip "$python"
    _say "making .venv with $("$python" --version)"
    rm -rf "$ROOT/.venv"
    "$python" -m venv "$ROOT/.venv" 2>&1 | _progress || _die "failed, see $LOG"
  fi
  touch "$ROOT/.venv/installing"
  rm -f "$ROOT/.venv/stamp"
  stamp=$(_stamp "$PY")
  if "$PY" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    constraints=(-c "$ROOT/constraints.txt")
  fi
  _say "installing about 1.4 GB of packages into .venv (log: .cache/install.log)"
  (cd "$ROOT" && "$PY" -m pip install --disable-pip-version-check --progress-bar off \
    ${constraints[@]+"${constraints[@]}"} -e '.[experiments,dev]') 2>&1 | _progress ||
    { tail -n 15 "$LOG" >&2; _die "installing failed, see $LOG"; }
  _say "checking that jax starts"
  "$PY" -c 'import jax; jax.numpy.zeros(1)' || _die "jax does not start, see above"
  echo "$stamp" >"$ROOT/.venv/stamp"
  rm "$ROOT/.venv/installing"
  _say "ready"
}

_ready() {
  [ -f "$ROOT/.venv/stamp" ] && [ ! -e "$ROOT/.venv/installing" ] &&
    [ "$(_stamp "$PY" 2>/dev/null)" = "$(cat "$ROOT/.venv/stamp")" ]
}

# One install at a time: the lock is on pyproject.toml itself and ends with the subshell.
if ! _ready; then
  (
    if command -v flock >/dev/null; then
      flock -n 9 || { _say "waiting for another install to finish"; flock 9; }
    fi
    _ready || _install
  ) 9<"$ROOT/pyproject.toml"
fi
cd "$ROOT"
