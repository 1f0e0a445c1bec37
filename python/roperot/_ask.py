"""Ask code of PyTorch what it computes, on made-up numbers and unseen by tracers; this module must not know models."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def aside(function: Callable[[], Any]) -> Any:
    """The result of a function that runs in a thread of its own, free of this one's modes, traces and transforms."""
    result: list[Any] = []

    def run() -> None:
        try:
            with torch.no_grad():
                result.extend((True, function()))
        except Exception as error:  # raised again in the thread that asked
            result.extend((False, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    done, value = result
    if not done:
        raise value
    return value


def made_up(shape: tuple[int, ...], seed: int) -> Tensor:
    """float32 numbers that are the same every time, whatever the default device and dtype are."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
