#!/bin/sh
# Run `nadia workflow NAME [options]`, from the project's own environment where there is one.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
PATH="$root/.venv/bin:$PATH" exec nadia workflow "$@"
