#!/usr/bin/env bash
# Packages the published crates into target/package/, with the built-in bundle inside of the crate `plimsoll`. With
# --verify it builds `plimsoll` from the packaged files alone, without a WebAssembly tool chain, and runs it. The first
# run compiles every dependency (minutes).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
say() { printf 'package: %s\n' "$*" >&2; }

# Each crate comes after its dependencies, as `cargo publish` needs it.
crates=(plimsoll-flat plimsoll-sdk-macros plimsoll-sdk plimsoll-bundle plimsoll-policies plimsoll-manifest plimsoll plimsoll-cases)

verify=
case "${1:-}" in
  '') ;;
  --verify) verify=1 ;;
  *) say "usage: scripts/package.sh [--verify]"; exit 2 ;;
esac

# The folder in which the build script of this build wrote the bundle.
out=$(cargo build --release --package plimsoll --message-format=json 2>/dev/null |
  sed -n '/"reason":"build-script-executed"/s/.*\/webhook#[^"]*".*"out_dir":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -f "$out/builtin.wasm" ] || { say "there is no bundle; run: make build"; exit 1; }

prebuilt=webhook/prebuilt
trap 'rm -rf "$root/$prebuilt"' EXIT
mkdir -p "$prebuilt"
cp "$out/builtin.wasm" "$prebuilt/plimsoll-policies.wasm"
digest=sha256:$(sha256sum "$out/builtin.wasm" | cut -d ' ' -f 1)
printf '%s\n' "$digest" >"$prebuilt/plimsoll-policies.sha256"

# --allow-dirty, because the bundle is not committed.
cargo package --quiet --no-verify --allow-dirty "${crates[@]/#/--package=}"
say "bundle $digest"
for crate in "${crates[@]}"; do
  say "$(du -h --apparent-size target/package/"$crate"-[0-9]*.crate)"
done
[ -n "$verify" ] || exit 0

if ! unshare --mount --map-root-user true 2>/dev/null; then
  say "NOT VERIFIED: this machine does not allow private mounts, so the script cannot hide the tool chain"; exit 0
fi
# Outside of the repository, where cargo would find a workspace.
unpacked=$(mktemp -d)
trap 'rm -rf "$root/$prebuilt" "$unpacked"' EXIT
patches=()
for crate in "${crates[@]}"; do
  file=$(ls target/package/"$crate"-[0-9]*.crate)
  tar -xzf "$file" -C "$unpacked"
  name=$(basename "$file" .crate)
  [ "$crate" = plimsoll ] && package=$unpacked/$name ||
    patches+=(--config "patch.crates-io.$crate.path='$unpacked/$name'")
done

# Hides the WebAssembly tool chain of this machine, for the following commands only.
hide_toolchain() {
  local empty libdir linker
  empty=$(mktemp -d)
  libdir=$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null || true)
  [ ! -d "$libdir" ] || mount --bind "$empty" "$libdir"
  for linker in /usr/bin/wasm-ld*; do
    [ ! -e "$linker" ] || mount --bind /dev/null "$linker"
  done
  # Checks that the tool chain is hidden: the build script of the repository must find none.
  local script complaint
  script=$(ls -t "$(dirname "$(dirname "$out")")"/plimsoll-*/build-script-build | head -n 1)
  if complaint=$(cd webhook && env CARGO_MANIFEST_DIR="$root/webhook" OUT_DIR="$empty" TARGET=x HOST=x CARGO=cargo RUSTC=rustc \
    PLIMSOLL_WASM_BUILD_STD=1 "$script" 2>&1); then
    say "the tool chain could not be hidden"; return 1
  fi
  grep -q 'no WebAssembly tool chain was found' <<<"$complaint" || { say "$complaint"; return 1; }
}
export -f hide_toolchain say
export root out
# The binary is static, as in the image, so that both builds share the compiled dependencies.
host=$(rustc -vV | sed -n 's/^host: //p')
build=(cargo build --release --manifest-path "$package/Cargo.toml" --target "$host" --target-dir target/static "${patches[@]}")
RUSTFLAGS='-C target-feature=+crt-static' unshare --mount --map-root-user bash -euo pipefail -c 'hide_toolchain; "$@"' _ "${build[@]}"

binary=target/static/$host/release/plimsoll
"$binary" --version | grep -qF "$digest" || { say "the binary has another bundle: $("$binary" --version)"; exit 1; }
printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: app, image: "a:latest"}]}\n' |
  "$binary" check --profile production - >"$unpacked/report" && status=0 || status=$?
[ "$status" = 1 ] && grep -q latest-image-tag "$unpacked/report" || { say "check exited with status $status"; exit 1; }

# The build refuses a bundle other than the published one.
printf x >>"$package/prebuilt/plimsoll-policies.wasm"
if complaint=$(RUSTFLAGS='-C target-feature=+crt-static' "${build[@]}" 2>&1); then
  say "the build accepted a damaged bundle"; exit 1
fi
grep -q 'this copy of the package is damaged' <<<"$complaint" || { say "$complaint"; exit 1; }
say "built from the packaged files without a WebAssembly tool chain, checked a file, refused a damaged bundle"
