#!/usr/bin/env bash
# Builds the built-in bundle twice more, in two separate folders of different depth. Compares the bytes of the bundle
# and of its machine code.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'reproducible: %s\n' "$*" >&2; }

out=$(cargo build --release --package plimsoll --message-format=json 2>/dev/null |
  sed -n '/"reason":"build-script-executed"/s/.*\/webhook#[^"]*".*"out_dir":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -f "$out/builtin.wasm" ] || { say "there is no bundle; run: make build"; exit 1; }
script=$(ls -t "$(dirname "$(dirname "$out")")"/plimsoll-*/build-script-build | head -n 1)
host=$(rustc -vV | sed -n 's/^host: //p')

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for copy in a some/what/deeper/b; do
  mkdir -p "$scratch/$copy/target/1/2/3/4/out"
  git ls-files -z --cached --others --exclude-standard | xargs -0 tar -c --no-recursion --ignore-failed-read -f - | tar -x -C "$scratch/$copy"
  (cd "$scratch/$copy/webhook" && env CARGO_MANIFEST_DIR="$PWD" OUT_DIR="$scratch/$copy/target/1/2/3/4/out" TARGET="$host" HOST="$host" \
    CARGO=cargo RUSTC=rustc "$script" >"$scratch/log" 2>&1) || { cat "$scratch/log" >&2; exit 1; }
done
for file in builtin.wasm builtin.code; do
  cmp "$scratch"/{a,some/what/deeper/b}/target/1/2/3/4/out/$file
  cmp "$scratch/a/target/1/2/3/4/out/$file" "$out/$file"
done
if grep -aq -e "$scratch" -e "$HOME" "$out/builtin.wasm"; then
  say "the bundle contains a path of this machine"; exit 1
fi
say "three builds in three folders gave equal bytes: sha256:$(sha256sum "$out/builtin.wasm" | cut -d ' ' -f 1)"
