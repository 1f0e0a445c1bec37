#!/bin/sh
# Runs every command block of README.md and docs/install.md, in their order, C and Python programs included, on a minimal
# Debian system made for it: what a new user would meet. Some fifteen minutes; a network and root are needed.
#
#   sh scripts/test-readme.sh                   both pages
#   sh scripts/test-readme.sh docs/install.md   the pages named
#
# The system is a folder below build-root/ that is entered by chroot; package sources are this machine's. Folders named in
# ROPEROT_BIND (a local mirror of Python packages, say) are seen there, too.
set -eu
name=test-readme.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

case "${1-}" in
    -*)
        sed -n '2,10s/^# \{0,1\}//p' "$0"
        [ "$1" = --help ] && exit 0
        exit 2
        ;;
esac
check_checkout
[ "$(id -u)" -eq 0 ] || die "debootstrap and chroot need root: run it as root"
want debootstrap have debootstrap
want python3-markdown-it python_with markdown_it
install_missing

system=$root/build-root/system
checkout=$system/root/roperot
log=$root/build-root/log.txt
mkdir -p "$root/build-root"
leave() {
    for mounted in dev proc ${ROPEROT_BIND-}; do umount "$system/$mounted" 2>/dev/null || true; done
}
trap leave EXIT
leave
rm -rf "$system"

# The first mirror and release that this machine itself uses.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
release=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
say "making a minimal Debian $release in build-root/system"
: >"$log"
watch "$log" debootstrap --variant=minbase "$release" "$system" "$mirror" || die "debootstrap failed; $log says why"
cp -r /etc/apt/apt.conf.d /etc/apt/sources.list.d /etc/apt/trusted.gpg.d "$system/etc/apt/"
[ ! -f /etc/apt/sources.list ] || cp /etc/apt/sources.list "$system/etc/apt/"
rm -f "$system"/etc/apt/apt.conf.d/50appstream "$system"/etc/apt/apt.conf.d/20packagekit
mkdir -p "$system/usr/share/keyrings" "$system/etc/ssl/certs"
cp -r /usr/share/keyrings/. "$system/usr/share/keyrings/"
# Installing ca-certificates there makes a new bundle, without what this machine's network may need.
cp -L /etc/ssl/certs/ca-certificates.crt "$system/etc/ssl/machine.crt"
cp /etc/resolv.conf /etc/hosts "$system/etc/"
[ ! -f /etc/pip.conf ] || cp /etc/pip.conf "$system/etc/"
for folder in ${ROPEROT_BIND-}; do
    mkdir -p "$system/$folder"
    mount --bind -o ro "$folder" "$system/$folder"
done
mount --bind /dev "$system/dev"
mount -t proc proc "$system/proc"

mkdir -p "$checkout"
(cd "$root" && git ls-files -z | xargs -0 cp --parents -t "$checkout")
# shellcheck disable=SC2086 # a list of words
(cd "$root" && "$(python_with markdown_it)" scripts/blocks.py "$checkout/blocks" ${*:-README.md docs/install.md})
grep '^torch==' "$root/python/requirements-torch.txt" >"$system/etc/pip-constraints.txt"
say "running $(find "$checkout/blocks" -name '*.sh' | wc -l) blocks; build-root/log.txt has their output"

# run <block>: there, with nothing of this machine's environment but where pip may look.
run() {
    watch "$log" chroot "$system" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        DEBIAN_FRONTEND=noninteractive PIP_CONSTRAINT=/etc/pip-constraints.txt PIP_FIND_LINKS="${PIP_FIND_LINKS-}" \
        PIP_CERT=/etc/ssl/machine.crt sh -c 'cd /root/roperot && exec sh "$0"' "blocks/$1"
}

passed=0
for block in "$checkout"/blocks/*.sh; do
    where=$(sed -n '1s/^# //p' "$block")
    from=$(date +%s)
    printf '== %s\n' "$where" >>"$log"
    run "$(basename "$block")" || {
        tail -n 30 "$log" >&2
        die "the block at $where failed; $log has the whole output"
    }
    say "ok    $where ($(($(date +%s) - from)) s)"
    passed=$((passed + 1))
done
leave
say "$passed passed, 0 failed"
