#!/usr/bin/env bash
# Sets up a fresh machine for the build: a Rust tool chain that can build WebAssembly guests. Says what to install if
# the script cannot install it. It can run again safely, because it checks before each change.
set -euo pipefail

target=wasm32-unknown-unknown
say() { printf 'setup: %s\n' "$*" >&2; }

command -v cargo >/dev/null || { say "Rust is missing: install it with rustup (https://rustup.rs), version 1.95 or newer"; exit 1; }
command -v cc >/dev/null || { say "a C compiler is missing (apt-get install build-essential, or your system's)"; exit 1; }

has_target() {
  local lib
  lib=$(rustc --print target-libdir --target "$target" 2>/dev/null) && compgen -G "$lib/libcore-*" >/dev/null
}
has_debian() {
  [ -x /usr/bin/cargo ] && compgen -G '/usr/bin/wasm-ld-*' >/dev/null &&
    [ -e "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}

if [ -z "${PLIMSOLL_WASM_BUILD_STD:-}" ] && has_target; then
  say "rustc builds $target"
elif has_debian; then
  say "Debian's rustc builds $target from source"
elif [ -n "${PLIMSOLL_BUNDLE:-}" ]; then
  say "PLIMSOLL_BUNDLE is set: no WebAssembly tool chain is needed"
elif [ -z "${PLIMSOLL_WASM_BUILD_STD:-}" ] && command -v rustup >/dev/null && rustup target add "$target" >&2 2>&1 && has_target; then
  say "rustup added $target"
elif command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  say "installing Debian's Rust for WebAssembly (a minute)"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null
  apt-get install -y -qq rustc-web cargo-web rust-web-src libstd-rust-web-dev lld-22 >/dev/null
  has_debian || { say "the packages are installed, but their compiler does not build $target"; exit 1; }
  say "Debian's rustc builds $target from source"
else
  say "there is no WebAssembly tool chain. Run one of these:"
  say "  rustup target add $target"
  say "  sudo apt-get install rustc-web cargo-web rust-web-src libstd-rust-web-dev lld-22    (Debian)"
  say "  PLIMSOLL_BUNDLE=FILE make build    (embeds a prebuilt bundle)"
  exit 1
fi
