# SPDX-License-Identifier: MIT
"""KL divergence of one run's next-token distributions from another's: mean, largest, tokens with the same first one.

usage: divergence.py <logits> <other logits>      (files of decode.cpp, of make_model.py's vocabulary; needs NumPy)
"""

import sys

import numpy as np
from make_model import VOCABULARY


def main(one, other):
    """Print the three numbers."""
    log = []
    for path in (one, other):
        logits = np.fromfile(path, np.float32).astype(np.float64).reshape(-1, VOCABULARY)
        logits -= logits.max(axis=1, keepdims=True)
        log.append(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    divergence = (np.exp(log[0]) * (log[0] - log[1])).sum(axis=1)
    same = (log[0].argmax(axis=1) == log[1].argmax(axis=1)).sum()
    print(f"{divergence.mean():.1e} {divergence.max():.1e} {same}/{len(divergence)}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
