#!/bin/sh
# Find a Python that can make the project's virtual environment, and let scripts/environment.py make it.
# usage: scripts/environment.sh runtime|dev        PYTHON=/path/to/python chooses the interpreter.
set -eu
cd "$(dirname "$0")/.."

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
makes_venvs() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }
has_uv() { command -v uv >/dev/null 2>&1; }
refuse() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 2
}

# 3.11 and 3.12 first: for them there is a wheel that carries a Redis server.
lacks_venv=''
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    new_enough "$candidate" || continue
    if has_uv || makes_venvs "$candidate"; then
        exec "$candidate" scripts/environment.py "$@"
    fi
    lacks_venv=${lacks_venv:-$candidate}
done

if [ -n "${PYTHON:-}" ] && [ -z "$lacks_venv" ]; then
    refuse "PYTHON=$PYTHON is not a working Python 3.11 or newer" 'name another one, or leave PYTHON unset'
fi
if [ -n "$lacks_venv" ]; then
    version=$("$lacks_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    refuse "$lacks_venv ($version) has no venv module, so it cannot make a virtual environment" \
        "Debian, Ubuntu: apt install python$version-venv; or put uv on PATH (https://docs.astral.sh/uv)"
fi
if has_uv; then
    uv python install --quiet 3.12
    exec "$(uv python find --system 3.12)" scripts/environment.py "$@"
fi
found=$(python3 --version 2>/dev/null || echo 'no Python')
refuse "NADIA needs Python 3.11 or newer; found $found" \
    'Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.12; or put uv on PATH, which fetches one'
