"""PyTorch: the rotation as a differentiable operator, and transformers models using it; nothing is computed here."""

from roperot._operator import rotary
from roperot._transformers import Patch, patch_transformers

__all__ = ["Patch", "patch_transformers", "rotary"]
