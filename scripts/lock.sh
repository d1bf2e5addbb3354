#!/bin/sh
# Resolve the dependencies for every platform and Python that the project supports, with hashes.
# The development lock is resolved under the runtime lock, so that both hold the same versions.
set -eu
cd "$(dirname "$0")/.."
if ! command -v uv >/dev/null 2>&1; then
    printf 'error: make lock needs uv\nhint: https://docs.astral.sh/uv/getting-started/installation\n' >&2
    exit 2
fi
compile() {
    uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
        --system-certs --group build "$@" pyproject.toml
}
compile ${UPGRADE:+--upgrade} --output-file requirements.lock
compile --group dev --constraint requirements.lock --output-file requirements-dev.lock
