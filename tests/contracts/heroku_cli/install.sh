#!/bin/sh
# Installs the unmodified Heroku CLI, as pinned beside this file, into .tools/heroku of the checkout. Does nothing when it is there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
goal=$(cd "$here/../../.." && pwd)/.tools/heroku
if [ -x "$goal/node_modules/.bin/heroku" ] && cmp -s "$here/package-lock.json" "$goal/package-lock.json"; then
    exit 0
fi
command -v npm >/dev/null || { echo "npm is not here: the Heroku CLI cannot be installed" >&2; exit 1; }
mkdir -p "$goal"
cp "$here/package.json" "$here/package-lock.json" "$goal/"
cd "$goal"
exec npm ci --omit=dev --ignore-scripts --no-audit --no-fund --no-progress --loglevel=error
