"""roperot: rotary position embedding (RoPE) on CPUs, for NumPy, PyTorch and Hugging Face; no computation lives here."""

from roperot._jobs import Norm, Pages
from roperot._library import __version__, best_isa, info, isas
from roperot._parallel import context_parallel_positions, context_parallel_tokens
from roperot._rope import Rope
from roperot._scaling import Scaling, Sections

__all__ = [
    "Norm",
    "Pages",
    "Rope",
    "Scaling",
    "Sections",
    "__version__",
    "best_isa",
    "context_parallel_positions",
    "context_parallel_tokens",
    "info",
    "isas",
]
