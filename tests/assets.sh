#!/bin/sh
# Finds or builds the programs for the whole-system tests and the demo: see --help. Only the folder goes to stdout, so
# that FOLDER=$(tests/assets.sh) works. All other output goes to stderr.
set -eu

usage() {
    cat <<'USAGE'
usage: tests/assets.sh [--with TOOL[,TOOL…]]

Prints a folder with kube-apiserver, etcd and kubectl as the last line of stdout. --with adds
tools: helm, kwok, kube-controller-manager.

If KUBEBUILDER_ASSETS is set (as for envtest), its programs are used. Tools of --with that it lacks
are built. Otherwise the folder is in the cache,
${PLIMSOLL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/plimsoll}/assets. Its name has the versions that
tests/tools/*/go.mod pin. Go builds missing programs there, once: about five minutes on two cores.
USAGE
}

say() { printf 'assets: %s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

wanted="kube-apiserver etcd kubectl"
while [ $# -gt 0 ]; do
    case $1 in
        --with) [ $# -ge 2 ] || fail "--with needs a list of tools; see --help"; list=$2; shift 2 ;;
        --with=*) list=${1#--with=}; shift ;;
        -h | --help) usage; exit 0 ;;
        *) fail "unknown argument \`$1\`; see --help" ;;
    esac
    for tool in $(printf %s "$list" | tr , ' '); do
        case $tool in
            kube-apiserver | etcd | kubectl) ;;
            helm | kwok | kube-controller-manager) wanted="$wanted $tool" ;;
            *) fail "unknown tool \`$tool\`: --with takes helm, kwok, kube-controller-manager" ;;
        esac
    done
done

tools=$(cd "$(dirname "$0")/tools" && pwd)

# pinned MODULE: prints the version that a go.mod under tests/tools requires.
pinned() {
    version=$(awk -v m="$1" '$1 == "require" { $1 = $2; $2 = $3 } $1 == m && $2 ~ /^v/ { print $2; exit }' "$tools"/*/go.mod)
    [ -n "$version" ] || fail "no go.mod under tests/tools requires $1"
    printf %s "$version"
}

kubernetes_version=$(pinned k8s.io/kubernetes)
etcd_version=$(pinned go.etcd.io/etcd/server/v3)
helm_version=$(pinned helm.sh/helm/v4)
kwok_version=$(pinned sigs.k8s.io/kwok)

case $(uname -m) in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) arch=$(uname -m) ;;
esac
os=$(uname -s | tr '[:upper:]' '[:lower:]')
[ -n "${PLIMSOLL_CACHE:-}${XDG_CACHE_HOME:-}${HOME:-}" ] ||
    fail "there is no folder for the cache: set PLIMSOLL_CACHE, XDG_CACHE_HOME or HOME"
cache=${PLIMSOLL_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/plimsoll}/assets
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac
folder=$cache/kubernetes-$kubernetes_version+etcd-$etcd_version+helm-$helm_version+kwok-$kwok_version-$os-$arch

# has FOLDER TOOL
has() { [ -f "$1/$2" ] && [ -x "$1/$2" ]; }

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    missing=
    for tool in kube-apiserver etcd kubectl; do
        has "$KUBEBUILDER_ASSETS" "$tool" || missing="$missing $tool"
    done
    [ -z "$missing" ] || fail "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks$missing; put them there, or unset KUBEBUILDER_ASSETS to build them"
    given=$(cd "$KUBEBUILDER_ASSETS" && pwd)
    for tool in $wanted; do
        has "$given" "$tool" || missing="$missing $tool"
    done
    if [ -z "$missing" ]; then
        printf '%s\n' "$given"
        exit 0
    fi
    # One folder with both: links to the given programs, and built programs for the missing ones.
    folder=$cache/given-$(printf '%s' "$given+$helm_version+$kwok_version+$kubernetes_version" | cksum | tr ' ' '-')-$os-$arch
    mkdir -p "$folder"
    for tool in "$given"/*; do
        ln -sf "$tool" "$folder/"
    done
fi

# plan TOOL: sets module, package, version and flags.
plan() {
    flags='-s -w'
    case $1 in
        kube-apiserver | kube-controller-manager | kubectl)
            module=kubernetes package=k8s.io/kubernetes/cmd/$1 version=$kubernetes_version
            # Without a version stamp the server reports v0.0.0-master, and clients that read its version fail.
            date=$(cd "$tools/kubernetes" && go list -m -f '{{.Time.Format "2006-01-02T15:04:05Z"}}' k8s.io/kubernetes 2>/dev/null) || date=1970-01-01T00:00:00Z
            number=${version#v} major=${version#v}
            major=${major%%.*} minor=${number#*.}
            minor=${minor%%.*}
            for variables in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
                flags="$flags -X $variables.gitVersion=$version -X $variables.gitMajor=$major -X $variables.gitMinor=$minor"
                flags="$flags -X $variables.gitCommit=$version -X $variables.gitTreeState=clean -X $variables.buildDate=$date"
            done ;;
        etcd) module=etcd package=go.etcd.io/etcd/server/v3 version=$etcd_version ;;
        helm)
            module=helm package=helm.sh/helm/v4/cmd/helm version=$helm_version
            flags="$flags -X helm.sh/helm/v4/internal/version.version=$version" ;;
        kwok) module=kwok package=sigs.k8s.io/kwok/cmd/kwok version=$kwok_version ;;
    esac
}

# If every program exists, Go is not needed.
complete() {
    for tool in $wanted; do
        has "$folder" "$tool" || return 1
    done
}

if complete; then
    printf '%s\n' "$folder"
    exit 0
fi

least=$(sed -n 's/^go \([0-9.]*\)$/\1/p' "$tools/kubernetes/go.mod")
command -v go >/dev/null 2>&1 ||
    fail "Go is needed to build$(for tool in $wanted; do has "$folder" "$tool" || printf ' %s' "$tool"; done), and there is none on PATH.
Install Go $least or newer, or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl"
if ! complaint=$(cd "$tools/kubernetes" && GOWORK=off go list -m 2>&1 >/dev/null); then
    fail "$(go version) cannot build the tools, which need Go $least or newer: $complaint
Install that, or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl"
fi

# Only one process builds at a time. The others wait, and then find the programs.
mkdir -p "$folder"
lock=$folder/.lock
waited=0
while ! mkdir "$lock" 2>/dev/null; do
    holder=$(cat "$lock/pid" 2>/dev/null || true)
    if { [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; } || { [ -z "$holder" ] && [ $waited -ge 10 ]; }; then
        # Two processes may see that the holder is dead. Renaming first makes sure that only one of them removes the
        # lock.
        mv "$lock" "$lock.$$" 2>/dev/null && rm -rf "$lock.$$"
        continue
    fi
    [ $waited -ne 1 ] || say "waiting for another build (process ${holder:-unknown}; if there is none, remove $lock)"
    waited=$((waited + 1))
    sleep 1
done
echo $$ >"$lock/pid"

work=$folder/.build.$$
builder=
cleanup() {
    [ -z "$builder" ] || kill "$builder" 2>/dev/null || true
    rm -rf "$work" "$lock"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
rm -rf "$folder"/.build.* # left by a build that was killed
mkdir -p "$work"

# progress TOOL VERSION: prints one line, on a terminal every second in place, else every 15 s.
progress() {
    text="building $1 $2: $(($(date +%s) - began)) s, $(grep -c -v '^go: ' "$work/log" || true) packages"
    if [ -t 2 ]; then
        printf '\rassets: %s ' "$text" >&2
    elif [ $((ticks % 15)) -eq 0 ]; then
        say "$text"
    fi
}

build() {
    plan "$1"
    say "building $1 $version (cached in $folder)"
    began=$(date +%s) ticks=0
    (
        cd "$tools/$module"
        # -v prints the name of each compiled package. The progress line counts these names.
        exec env CGO_ENABLED=0 GOWORK=off GOFLAGS="${GOFLAGS:-} -mod=readonly" \
            go build -v -trimpath -ldflags "$flags" -o "$work/$1" "$package"
    ) >"$work/log" 2>&1 &
    builder=$!
    while kill -0 "$builder" 2>/dev/null; do
        sleep 1
        ticks=$((ticks + 1))
        progress "$1" "$version"
    done
    [ ! -t 2 ] || echo >&2
    status=0
    wait "$builder" || status=$?
    builder=
    if [ $status -ne 0 ]; then
        grep -v '^[A-Za-z0-9./_~-]*$' "$work/log" | tail -n 30 >&2
        fail "go build of $package failed (status $status)"
    fi
    mv "$work/$1" "$folder/$1"
    say "built $1 $version in $(($(date +%s) - began)) s"
}

for tool in $wanted; do
    has "$folder" "$tool" || build "$tool"
done
printf '%s\n' "$folder"
