"""The catalogue: which sets there are, how large, under which licence, their checksums.

URLs, sizes and checksums repeat TFDS's own register, which takes a while to import; a test
holds the two together.
"""

from __future__ import annotations

from tfcourse.data.records import DatasetSpec, EmbeddedTwin, OriginalFile
from tfcourse.errors import UserError

PROJECT_LICENCE = "Apache-2.0"  # Of the images that tfcourse draws itself.

DIGITS = tuple(str(digit) for digit in range(10))
GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
COLOUR_SHAPES = (
    "horizontal stripes",
    "vertical stripes",
    "rising stripes",
    "falling stripes",
    "checkerboard",
    "disc",
    "ring",
    "square",
    "triangle",
    "cross",
)

_MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"

_MNIST = DatasetSpec(
    name="mnist",
    title="handwritten digits, grey, 28x28",
    licence="CC BY-SA 3.0, as it is commonly given",
    homepage="http://yann.lecun.com/exdb/mnist/",
    tfds_version="3.0.1",
    originals=(
        OriginalFile(
            _MNIST_URL + "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        OriginalFile(
            _MNIST_URL + "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        OriginalFile(
            _MNIST_URL + "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        OriginalFile(
            _MNIST_URL + "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    num_examples={"train": 60_000, "test": 10_000},
    image_shape=(28, 28),
    class_names=DIGITS,
    twin=EmbeddedTwin(
        num_examples={"train": 1_437, "test": 360},
        class_names=DIGITS,
        origin="scikit-learn's bundled handwritten digits (UCI optdigits, test part)",
        licence="CC BY 4.0",
        note="not MNIST: 1,797 real digits of 8x8 pixels, enlarged to MNIST's form; "
        "the same 13 writers are in both splits",
    ),
)

_FASHION_MNIST = DatasetSpec(
    name="fashion_mnist",
    title="garments and shoes, grey, 28x28",
    licence="MIT",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    tfds_version="3.0.1",
    originals=(
        OriginalFile(
            _FASHION_URL + "train-images-idx3-ubyte.gz",
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        OriginalFile(
            _FASHION_URL + "train-labels-idx1-ubyte.gz",
            29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        OriginalFile(
            _FASHION_URL + "t10k-images-idx3-ubyte.gz",
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        OriginalFile(
            _FASHION_URL + "t10k-labels-idx1-ubyte.gz",
            5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
    num_examples={"train": 60_000, "test": 10_000},
    image_shape=(28, 28),
    class_names=GARMENTS,
    twin=EmbeddedTwin(
        num_examples={"train": 4_000, "test": 1_000},
        class_names=GARMENTS,
        origin="tfcourse's seeded drawings of garments",
        licence=PROJECT_LICENCE,
        note="not Fashion-MNIST: 5,000 synthetic silhouettes with its classes and form",
    ),
)

_CIFAR10 = DatasetSpec(
    name="cifar10",
    title="animals and vehicles, colour, 32x32",
    licence="none stated; cite Krizhevsky, 2009",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    tfds_version="3.0.2",
    originals=(
        OriginalFile(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    num_examples={"train": 50_000, "test": 10_000},
    image_shape=(32, 32, 3),
    class_names=CIFAR10_CLASSES,
    twin=EmbeddedTwin(
        num_examples={"train": 4_000, "test": 1_000},
        class_names=COLOUR_SHAPES,
        origin="tfcourse's seeded drawings of figures and patterns in random colours",
        licence=PROJECT_LICENCE,
        note="not CIFAR-10: 5,000 synthetic images of its form, with classes of its own",
    ),
)

_SPECS = {spec.name: spec for spec in (_MNIST, _FASHION_MNIST, _CIFAR10)}


def catalogue() -> tuple[DatasetSpec, ...]:
    """Return the sets that `load` knows."""
    return tuple(_SPECS.values())


def find_spec(name: str) -> DatasetSpec:
    """Return the set with this name.

    Raises:
        UserError: If the catalogue has none.
    """
    try:
        return _SPECS[name]
    except (KeyError, TypeError):
        from tfcourse.data.recording_specs import is_recordings, recordings_catalogue
        from tfcourse.data.table_specs import is_table, table_catalogue

        if is_table(name):
            raise UserError(f"{name} is a table, not images: use load_table") from None
        if is_recordings(name):
            raise UserError(
                f"{name} is a set of recordings, not images: use load_recordings"
            ) from None
        tables = [spec.name for spec in table_catalogue()]
        recordings = [spec.name for spec in recordings_catalogue()]
        names = ", ".join((*_SPECS, *tables, *recordings))
        raise UserError(f"there is no dataset {name!r}; there are {names}") from None
