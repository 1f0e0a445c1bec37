"""PyTorch: the rotation as a differentiable operator, and transformers models using it; nothing is computed here."""

from roperot._layer import rotary, run
from roperot._transformers import Patch, patch_transformers

__all__ = ["Patch", "patch_transformers", "rotary", "run"]
