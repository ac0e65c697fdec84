"""`load` and `load_arrays`: one call for every source, and no source in silence."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tfcourse.data import cache
from tfcourse.data.folder import find_in_folder, named_folder, verify_originals
from tfcourse.data.preparation import make_prepared, print_notice
from tfcourse.data.records import SPLITS, DatasetInfo, DatasetSpec, PathLike, Split
from tfcourse.data.specs import find_spec
from tfcourse.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

    Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]

SOURCES = ("embedded", "real")


def load_arrays(
    name: str,
    split: Split,
    *,
    source: str = "embedded",
    data_dir: PathLike | None = None,
) -> tuple[Arrays, DatasetInfo]:
    """Return ((images, labels), info): images uint8 [n, *image_shape], labels int64 [n].

    Grey images have no channel axis: MNIST's are [28, 28], CIFAR-10's [32, 32, 3].

    Args:
        name: A set of the catalogue.
        split: "train" or "test".
        source: "embedded": the small twin, no network. "real": the folder that
            `data_dir` or TFCOURSE_DATA_DIR names, if one does; else the prepared cache,
            else the network.
        data_dir: Folder of original files, for source "real".

    Raises:
        UserError: If there is no such set, or it can't be had; says what to do.
    """
    spec = find_spec(name)
    if split not in SPLITS:
        raise UserError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    if source not in SOURCES:
        raise UserError(f"source must be one of {', '.join(SOURCES)}; got {source!r}")
    if source == "real":
        return _real(spec, split, data_dir)
    if data_dir is not None:
        raise UserError(
            f"source 'embedded' reads no folder; got data_dir={str(data_dir)!r}: "
            "take source='real'"
        )
    from tfcourse.data.embedded import embedded_arrays, embedded_info

    return embedded_arrays(spec, split), embedded_info(spec, split)


def load(
    name: str,
    split: Split,
    *,
    source: str = "embedded",
    data_dir: PathLike | None = None,
) -> tuple[tf.data.Dataset, DatasetInfo]:
    """Return (a dataset of single examples (image, label) from memory, info).

    image: uint8 [*image_shape]; label: int64 []. In a fixed order, neither shuffled nor
    batched. Arguments and errors as in `load_arrays`.
    """
    arrays, info = load_arrays(name, split, source=source, data_dir=data_dir)
    importlib.import_module("tfcourse.runtime")  # Loads TensorFlow without its notes.
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(arrays), info


def _real(
    spec: DatasetSpec, split: Split, data_dir: PathLike | None
) -> tuple[Arrays, DatasetInfo]:
    root = named_folder(data_dir)
    if root is not None:
        found = find_in_folder(spec, root)
        if not found.registered:
            from tfcourse.data.npz import load_npz, npz_info

            images, labels = load_npz(spec, found.path, split)
            return (images, labels), npz_info(spec, found.path, split, len(labels))
        verify_originals(spec, found.path)
    manifest = cache.read_manifest(spec)
    if manifest is None:
        manifest = make_prepared(spec, root, print_notice, progress=None)
    # The same checksums vouch for both: arrays prepared from elsewhere are the folder's.
    origin = "folder" if root is not None else manifest.source
    return cache.load_prepared(spec, manifest, split), _real_info(spec, split, origin)


def _real_info(spec: DatasetSpec, split: Split, source: str) -> DatasetInfo:
    fetched = "a folder of original files" if source == "folder" else "the network"
    return DatasetInfo(
        name=spec.name,
        split=split,
        source=source,
        origin=f"TFDS {spec.name} {spec.tfds_version}, verified originals from {fetched}",
        num_examples=spec.num_examples[split],
        image_shape=spec.image_shape,
        dtype="uint8",
        num_classes=spec.num_classes,
        class_names=spec.class_names,
        licence=spec.licence,
        verified=True,
    )
