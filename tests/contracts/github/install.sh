#!/bin/sh
# Installs GitHub's examples of webhooks, as pinned beside this file, into .tools/github of the checkout. Does nothing if they are there already.
# With "openapi": GitHub's OpenAPI description (400 MB on the disk) into .tools/github-openapi, for schemas.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
from=$here
goal=$(cd "$here/../../.." && pwd)/.tools/github
if [ "${1:-}" = openapi ]; then
    from=$here/openapi
    goal=$goal-openapi
fi
if [ -d "$goal/node_modules/@octokit" ] && cmp -s "$from/package-lock.json" "$goal/package-lock.json"; then
    exit 0
fi
command -v npm >/dev/null || { echo "npm is not here: GitHub's examples cannot be installed" >&2; exit 1; }
mkdir -p "$goal"
cp "$from/package.json" "$from/package-lock.json" "$goal/"
cd "$goal"
exec npm ci --omit=dev --ignore-scripts --no-audit --no-fund --no-progress --loglevel=error
