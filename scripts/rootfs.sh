#!/usr/bin/env bash
# Builds the root file system of the image: one static binary. `Containerfile` runs this script too.
#   scripts/rootfs.sh FOLDER [--test]
# With --test it starts the binary like an image: as an unprivileged user without a name, on a read-only root with no
# other file. The server must become ready and answer a review.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'rootfs: %s\n' "$*" >&2; }
[ $# -ge 1 ] || { say "usage: scripts/rootfs.sh FOLDER [--test]"; exit 2; }
folder=$1

host=$(rustc -vV | sed -n 's/^host: //p')
# Proc macros need a dynamic libc. With --target, the flags apply to the binary only.
RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --package plimsoll --target "$host" --target-dir target/static
binary=target/static/$host/release/plimsoll
rm -rf "$folder"
mkdir -p "$folder"
cp "$binary" "$folder/plimsoll"
strip "$folder/plimsoll"
chmod -R a+rX,go-w "$folder"
if readelf --program-headers --wide "$folder/plimsoll" | grep -q INTERP; then
  say "the binary is not static"; exit 1
fi
say "$(du -sb "$folder" | cut -f 1) bytes in $(find "$folder" -type f | wc -l) file"
[ "${2:-}" = --test ] || exit 0

# Only root can change to another user. Any other user is mapped to root, without rights outside of the namespace.
if [ "$(id -u)" = 0 ]; then isolate=(unshare --mount) user=65532:65532; else isolate=(unshare --mount --map-root-user) user=0:0; fi
if ! "${isolate[@]}" true 2>/dev/null; then
  say "NOT STARTED: this machine does not allow private mounts (${isolate[*]})"; exit 0
fi
port=${PLIMSOLL_PORT:-18443}
log=$(mktemp)
# The server listens on loopback only and has its own mounts, so the test depends only on the contents of the image.
# shellcheck disable=SC2016
"${isolate[@]}" bash -euo pipefail -c '
  mount --bind "$1" "$1"
  mount -o remount,bind,ro "$1"
  if touch "$1/x" 2>/dev/null; then echo "the root is not read-only" >&2; exit 1; fi
  [ "$3" = 0:0 ] && exec chroot "$1" /plimsoll serve --listen "127.0.0.1:$2"
  exec chroot --userspec="$3" "$1" /plimsoll serve --listen "127.0.0.1:$2"
' _ "$(realpath "$folder")" "$port" "$user" >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT
get() { curl --silent --show-error --insecure --max-time 5 "$@"; }
for _ in $(seq 100); do
  get --fail "https://127.0.0.1:$port/readyz" >/dev/null 2>&1 && break
  kill -0 "$server" 2>/dev/null || { cat "$log" >&2; say "the server exited"; exit 1; }
  sleep 0.1
done
answer=$(get --header 'content-type: application/json' --data-binary @sdk/flat/benches/create.json "https://127.0.0.1:$port/validate?timeout=10s")
grep -q '"allowed":' <<<"$answer" || { cat "$log" >&2; say "no answer to a review: $answer"; exit 1; }
uids=$(awk '/^Uid:/ { print $2 }' "/proc/$(pgrep --parent "$server" || echo "$server")/status")
say "ready and answering as user $uids on a read-only root"
kill "$server"
wait "$server" || { cat "$log" >&2; say "the server failed on SIGTERM"; exit 1; }
