#!/bin/sh
# Gives peers.py its own Python environment (.venv-peers, or $ROPEROT_PEERS_VENV) and runs it; it must not know a peer.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${ROPEROT_PEERS_VENV:-$root/.venv-peers}
list=$root/bench/requirements-peers.txt

if ! [ -f "$venv/installed" ] || ! cmp -s "$venv/installed" "$list"; then
    echo "peers.sh: installing the peers into $venv" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv" || /usr/bin/python3 -m venv "$venv" || {
        echo "peers.sh: error: python3 -m venv $venv failed" >&2
        exit 2 # 1 says that a peer is faster
    }
    while IFS= read -r package; do
        case $package in '' | '#'*) continue ;; esac
        "$venv/bin/python" -m pip install --quiet "$package" >"$venv/pip.txt" 2>&1 ||
            echo "peers.sh: $package does not install here; its rows will say so" >&2
    done <"$list"
    cp "$list" "$venv/installed"
fi
exec "$venv/bin/python" "$root/bench/peers.py" "$@"
