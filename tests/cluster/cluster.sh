#!/bin/bash
# A control plane that stays: cluster.sh up | down
#
# `up` starts it, or finds it running, and prints the path of its kubeconfig on the last line; bowline.kubeconfig, of the
# user whose requests are counted as Bowline's, lies beside it.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
state=${BOWLINE_CLUSTER:-${BOWLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bowline}/cluster}

running() {
    local pid
    pid=$(cat "$state/control-plane.pid" 2>/dev/null) && [ "$(readlink -f "/proc/$pid/exe")" = "$(readlink -f "$1")" ]
}

up() {
    local program
    program=$("$here/setup.sh" control-plane | sed -n 's/^control-plane=//p')
    if ! running "$program"; then
        down
        rm -rf "$state"
        mkdir -p "$state"
        setsid nohup "$program" up --stay --dir "$state" </dev/null >"$state/control-plane.log" 2>&1 &
        until grep -qx ready "$state/control-plane.log"; do
            kill -0 $! 2>/dev/null || { cat "$state/control-plane.log" >&2; exit 1; }
            sleep 0.1
        done
    fi
    echo "$state/admin.kubeconfig"
}

down() {
    local pid
    pid=$(cat "$state/control-plane.pid" 2>/dev/null) || return 0
    case $(readlink "/proc/$pid/exe") in
    */control-plane | */control-plane' (deleted)') kill "$pid" ;;
    *) return 0 ;;
    esac
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

case ${1:-} in
up) up ;;
down) down ;;
*)
    echo "usage: cluster.sh up | down" >&2
    exit 2
    ;;
esac
