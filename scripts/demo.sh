#!/bin/sh
# The five-minute tour: installs what is missing, builds, rotates the tensors of real models and shows that it is right.
#
#   sh scripts/demo.sh            four models: checks bit for bit, a table of ISA x model with GB/s and sweep ratio
#   sh scripts/demo.sh q.npy      rotates your own array ([seq, heads, dim] or [batch, seq, heads, dim]) into
#                                 q_rotated.npy; further arguments are those of `python -m roperot rotate`
#
# Missing Debian packages are installed (it says which); everything else stays in build/.
set -eu
name=demo.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

case "${1-}" in
    -h | --help)
        sed -n '2,8s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*) die "unknown option $1; try --help" ;;
esac
if [ $# -gt 0 ] && ! [ -f "$1" ]; then die "there is no file $1"; fi

check_checkout
want_native
install_missing
# The tests would only cost a newcomer time; a build that has them keeps them.
if [ -f "$root/build/build.ninja" ]; then build_release; else build_release -Dtests=disabled; fi
python=$(python_with numpy) || die "no Python with NumPy was found"
ROPEROT_LIBRARY=$root/build/libroperot.so
PYTHONPATH=$root/python
export ROPEROT_LIBRARY PYTHONPATH
if [ $# -gt 0 ]; then
    file=$1
    shift
    exec "$python" -m roperot rotate "$file" "$@"
fi
exec "$python" "$root/scripts/demo.py"
