"""Real handwritten digits without network: the embedded twin of MNIST.

scikit-learn bundles 1,797 digits that 43 people wrote (UCI "Optical recognition of
handwritten digits", the test part: 13 of them), as 8x8 images with 17 grey levels. They are
brought to MNIST's form: the digit in a box of 20x20 pixels, a black margin around it,
28x28 pixels with 256 grey levels.

Source: Alpaydin and Kaynak, 1998, doi:10.24432/C50P49.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BUNDLED_SIZE = 8  # Pixels.
MAX_BUNDLED_VALUE = 16.0
BOX_SIZE = 20  # Pixels; MNIST's digits fit a box of this size.
IMAGE_SIZE = 28  # Pixels.
TEST_SHARE = 0.2
SPLIT_SEED = 0  # Fixed: every run is scored on the same 360 digits.


def digits(split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images uint8 [n, 28, 28] and labels int64 [n].

    Split "train" has 1,437 examples, "test" 360; each class has its share in both.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bundled = load_digits()
    train, test = train_test_split(
        np.arange(len(bundled.target)),
        test_size=TEST_SHARE,
        stratify=bundled.target,
        random_state=SPLIT_SEED,
    )
    chosen = train if split == "train" else test
    return enlarge(bundled.images[chosen]), bundled.target[chosen].astype(np.int64)


def enlarge(images: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return digits in MNIST's form, uint8 [n, 28, 28].

    A cubic spline keeps strokes smooth where repeating pixels would give stairs.

    Args:
        images: float [n, 8, 8], in [0, 16].
    """
    from scipy.ndimage import zoom

    scale = BOX_SIZE / BUNDLED_SIZE
    # grid_mode: pixels are little squares, so the image grows about its own centre.
    boxes = zoom(
        images / MAX_BUNDLED_VALUE,
        (1, scale, scale),
        order=3,
        mode="grid-constant",
        grid_mode=True,
    )
    margin = (IMAGE_SIZE - BOX_SIZE) // 2
    padded = np.pad(boxes, ((0, 0), (margin, margin), (margin, margin)))
    return np.asarray((padded.clip(0.0, 1.0) * 255.0).round(), np.uint8)
