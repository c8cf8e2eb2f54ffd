"""What a model makes of texts."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Vectors"]

Vectors: TypeAlias = NDArray[np.float32]
"""Shape (n, dimension), C-contiguous, rows of length 1."""
