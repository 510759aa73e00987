#!/bin/sh
# Installs the unmodified Heroku CLI, as pinned beside this file, into .tools/heroku of the checkout. Does nothing if it is there already.
# Installed in a temporary folder and moved, under a lock: two test processes may run this at once, and a failed download leaves nothing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../../.." && pwd)/.tools
goal=$tools/heroku
mkdir -p "$tools"
exec 9>"$tools/heroku.lock"
flock 9
if [ -x "$goal/node_modules/.bin/heroku" ] && cmp -s "$here/package-lock.json" "$goal/package-lock.json"; then
    exit 0
fi
command -v npm >/dev/null || { echo "npm is not here: the Heroku CLI cannot be installed" >&2; exit 1; }
rm -rf "$goal.draft"
mkdir "$goal.draft"
cp "$here/package.json" "$here/package-lock.json" "$goal.draft/"
(cd "$goal.draft" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --no-progress --loglevel=error 9>&-)
rm -rf "$goal"
mv "$goal.draft" "$goal"
