#!/bin/sh
# Screenshots of a run's report in headless Chromium, as a screen and as a phone show it, in light and dark:
#   scripts/report/screenshot.sh adapters/report.html OUT_FOLDER
# They are looked at by a person. What fails here is a page that asks for anything: every address is a dead end.
set -eu

page=$(realpath "$1")
out=$2
mkdir -p "$out"
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

shot() {
    name=$1 size=$2
    shift 2
    chromium --headless --no-sandbox --disable-gpu --disable-background-networking --hide-scrollbars \
        --host-resolver-rules='MAP * ~NOTFOUND' --enable-logging=stderr --user-data-dir="$profile" \
        --window-size="$size" --screenshot="$out/$name.png" "$@" "file://$page" 2> "$out/$name.log"
    if grep -E 'CONSOLE|Refused|ERR_' "$out/$name.log"; then
        echo "$name: the page complains" >&2
        exit 1
    fi
}

shot light 1200,2600
shot dark 1200,2600 --force-dark-mode --blink-settings=preferredColorScheme=0
shot phone 500,4600
