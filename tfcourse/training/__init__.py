"""Training on data in memory, a whole epoch as one compiled program."""

from tfcourse.training.engines import Engine
from tfcourse.training.restart import reinitialize
from tfcourse.training.trainer import fit

__all__ = ["Engine", "fit", "reinitialize"]
