#!/bin/sh
# Prints the version that the public header states, so that there is one place to change it.
header="$(dirname "$0")/../include/roperot/roperot.h"
sed -n 's/^#define ROPEROT_VERSION_\(MAJOR\|MINOR\|PATCH\) \([0-9]*\)$/\2/p' "$header" | paste -sd.
