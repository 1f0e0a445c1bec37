"""Names of objects, by which they are found again; this module must not know what they are.

Dynamo takes texts for constants in every version of PyTorch, other objects not in 2.5 to 2.8.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

_numbers = itertools.count(1)
_objects: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def name(x: Any) -> str:
    """A name for x that no other object of this process has or will have."""
    text = str(next(_numbers))
    _objects[text] = x
    return text


def named(text: str) -> Any:
    """The object of that name, which must still exist."""
    return _objects[text]
