"""Compression of Keras 3 models: pruning, clustering, quantisation, LiteRT files.

    from tfcourse import compression

    small = compression.compress(
        model, compression.method("prune", sparsity=0.9), images, labels
    )
    small.model    # a Keras 3 model with zeros in its weights
    small.content  # the bytes of its LiteRT file

The methods are those of TensorFlow Model Optimization, which needs Keras 2: a model is
moved to tf_keras in a child process (`worker`) and back. Importing this package imports
neither Keras nor TensorFlow; compressing does.
"""

from tfcourse.compression.blueprint import CAN_BE_MOVED, read_blueprint
from tfcourse.compression.compressing import (
    Compressed,
    Progress,
    compress,
    compress_all,
    move_and_back,
)
from tfcourse.compression.litert import LiteRTFile
from tfcourse.compression.measuring import (
    Latency,
    gzip_size,
    latency_of,
    wilson_interval,
)
from tfcourse.compression.methods import KINDS, Method, method
from tfcourse.compression.model_file import check_model_file

__all__ = [
    "CAN_BE_MOVED",
    "KINDS",
    "Compressed",
    "Latency",
    "LiteRTFile",
    "Method",
    "Progress",
    "check_model_file",
    "compress",
    "compress_all",
    "gzip_size",
    "latency_of",
    "method",
    "move_and_back",
    "read_blueprint",
    "wilson_interval",
]
