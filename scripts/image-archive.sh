#!/usr/bin/env bash
# Packs a root file system into an image archive for `docker load`, `podman load` and `skopeo copy docker-archive:…`.
#   scripts/image-archive.sh ROOTFS ARCHIVE NAME:TAG
# Equal root file systems give equal bytes.
set -euo pipefail
say() { printf 'image: %s\n' "$*" >&2; }
[ $# = 3 ] || { say "usage: scripts/image-archive.sh ROOTFS ARCHIVE NAME:TAG"; exit 2; }
rootfs=$(realpath "$1") archive=$(realpath -m "$2") tag=$3
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The settings of the image are stated once, in the Containerfile.
setting() { sed -n "s/^$1 //p" Containerfile | tail -1; }
user=$(setting USER) port=$(setting EXPOSE) entrypoint=$(setting ENTRYPOINT) command=$(setting CMD)
case $(uname -m) in
  x86_64) architecture=amd64 ;;
  aarch64 | arm64) architecture=arm64 ;;
  *) architecture=$(uname -m) ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pack() { tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar "$@"; }
pack --file "$folder/layer.tar" --directory "$rootfs" .
layer=$(sha256sum "$folder/layer.tar" | cut -d ' ' -f 1)
printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":{"User":"%s","ExposedPorts":{"%s/tcp":{}},"Entrypoint":%s,"Cmd":%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"scripts/image-archive.sh"}]}' \
  "$architecture" "$user" "$port" "$entrypoint" "$command" "$layer" >"$folder/config.json"
config=$(sha256sum "$folder/config.json" | cut -d ' ' -f 1)
mv "$folder/config.json" "$folder/$config.json"
mkdir "$folder/$layer"
mv "$folder/layer.tar" "$folder/$layer/layer.tar"
printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar"]}]' "$config" "$tag" "$layer" >"$folder/manifest.json"
pack --file "$archive" --directory "$folder" manifest.json "$config.json" "$layer/layer.tar"
say "$archive: $tag, $(stat -c %s "$archive") bytes; load it with \`docker load --input\` or \`podman load --input\`"
