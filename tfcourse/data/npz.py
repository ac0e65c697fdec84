"""The npz source: Keras's layout, x_train, y_train, x_test, y_test in one file.

No checksum is registered for such a file, so it is read with distrust: no pickles, sizes
checked before memory is asked for, and it is reported as unverified.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tfcourse.data.folder import sha256_of_file
from tfcourse.data.records import SPLITS, DatasetInfo, DatasetSpec, Split
from tfcourse.errors import UserError

# A file may hold a subset or an extended set, but not fill the memory by accident.
MAX_TIMES_REAL_SIZE = 10


def load_npz(
    spec: DatasetSpec, path: Path, split: Split
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return one split: images uint8 [n, *image_shape], labels int64 [n].

    Raises:
        UserError: If the file is damaged or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_missing_keys(archive)
            images = _read_array(archive, f"x_{split}", spec, split)
            labels = _read_array(archive, f"y_{split}", spec, split)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:
        # Whatever zipfile and numpy raise on a file that was made to break them.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} is damaged or no npz file ({reason[:80]}): copy it again"
        ) from error
    return _checked(spec, path, split, images, labels)


def npz_counts(spec: DatasetSpec, path: Path) -> dict[Split, int]:
    """Return how many examples each split has, after reading and checking all of it."""
    return {split: len(load_npz(spec, path, split)[1]) for split in SPLITS}


def npz_info(spec: DatasetSpec, path: Path, split: Split, count: int) -> DatasetInfo:
    """Return the description of what `load_npz` returned: `count` examples."""
    complete = count == spec.num_examples[split]
    share = "" if complete else f", the real set has {spec.num_examples[split]:,}"
    return DatasetInfo(
        name=spec.name,
        split=split,
        source="npz",
        origin=f"{path.name} in the data folder, SHA-256 {sha256_of_file(path)}",
        num_examples=count,
        image_shape=spec.image_shape,
        dtype="uint8",
        num_classes=spec.num_classes,
        class_names=spec.class_names,
        licence=spec.licence,
        verified=False,
        note=f"unverified: read as it is, {count:,} {split} examples{share}",
    )


def _refuse_missing_keys(archive: zipfile.ZipFile) -> None:
    wanted = [f"{kind}_{split}" for split in SPLITS for kind in "xy"]
    names = set(archive.namelist())
    missing = [key for key in wanted if f"{key}.npy" not in names]
    if missing:
        raise UserError(f"it lacks {', '.join(missing)}; it must hold {wanted}")


def _read_array(
    archive: zipfile.ZipFile, key: str, spec: DatasetSpec, split: Split
) -> NDArray[Any]:
    """Return one member; its header is believed only as far as its size agrees."""
    member = archive.getinfo(f"{key}.npy")
    largest = math.prod(spec.image_shape) if key.startswith("x") else 8
    limit = MAX_TIMES_REAL_SIZE * spec.num_examples[split] * largest
    if member.file_size > limit:
        raise UserError(f"{key} unpacks to {member.file_size:,} bytes, over {limit:,}")
    data = archive.read(member)  # Compares the checksum of the zip format.
    file = io.BytesIO(data)
    shape, dtype = _read_header(file)
    if dtype.hasobject:
        raise UserError(f"{key} holds Python objects, which are never loaded")
    if dtype.kind not in "ui":
        raise UserError(f"{key} must hold integers; it holds {dtype}")
    if file.tell() + math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{key}: the header's shape {shape} contradicts the size")
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"npy version {version}")
    return shape, dtype


def _checked(
    spec: DatasetSpec,
    path: Path,
    split: Split,
    images: NDArray[Any],
    labels: NDArray[Any],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the arrays in the course's form.

    Raises:
        UserError: If they are not what the set's images and labels must be.
    """
    count = images.shape[0] if images.shape else 0
    shapes = ((count, *spec.image_shape), (count, *spec.image_shape, 1))
    if images.dtype != np.uint8 or images.shape not in shapes:
        raise UserError(
            f"{path}: x_{split} must be uint8 [n, {_text(spec.image_shape)}]; it is "
            f"{images.dtype} [{_text(images.shape)}]"
        )
    if labels.shape not in ((count,), (count, 1)) or count == 0:
        raise UserError(
            f"{path}: y_{split} must have one label for each of {count} images "
            f"and at least one; its shape is [{_text(labels.shape)}]"
        )
    if labels.min() < 0 or labels.max() >= spec.num_classes:
        raise UserError(
            f"{path}: labels must be 0 to {spec.num_classes - 1}; y_{split} holds "
            f"{labels.min()} to {labels.max()}"
        )
    return (
        np.ascontiguousarray(images).reshape(shapes[0]),
        labels.reshape(-1).astype(np.int64),
    )


def _text(shape: tuple[int, ...]) -> str:
    return ", ".join(str(length) for length in shape)
