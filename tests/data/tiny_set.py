"""A set of 60 images with a TFDS builder of its own: all of the road, in a moment.

Its original files are records of one label byte and 28x28 pixels. Children of the tests
import this file too; two variables tell them to be slow and to keep a record.
"""

import dataclasses
import hashlib
import os
import time
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo

from tfcourse.data import specs
from tfcourse.data.records import OriginalFile

NUM_EXAMPLES = {"train": 40, "test": 20}
SECONDS_VARIABLE = "TINY_SET_SECONDS_PER_EXAMPLE"
RECORD_VARIABLE = "TINY_SET_RECORD"
RECORD_BYTES = 1 + 28 * 28


def content(split):
    """Return the bytes of one original file."""
    rng = np.random.default_rng(len(split))
    records = rng.integers(0, 256, (NUM_EXAMPLES[split], RECORD_BYTES), np.uint8)
    records[:, 0] = np.arange(len(records)) % 10
    return records.tobytes()


def original(split):
    data = content(split)
    url = f"http://tiny.invalid/tiny-{split}.bin"
    return OriginalFile(url, len(data), hashlib.sha256(data).hexdigest())


ORIGINALS = {split: original(split) for split in NUM_EXAMPLES}


class TinySet(tfds.core.GeneratorBasedBuilder):
    """The builder, as TFDS would have it."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos = {
        file.url: UrlInfo(file.num_bytes, file.sha256, file.filename)
        for file in ORIGINALS.values()
    }

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(28, 28, 1)),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        )
        return tfds.core.DatasetInfo(
            builder=self, features=features, supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        paths = dl_manager.download(
            {split: file.url for split, file in ORIGINALS.items()}
        )
        return {split: self._generate_examples(path) for split, path in paths.items()}

    def _generate_examples(self, path):
        if RECORD_VARIABLE in os.environ:
            with open(os.environ[RECORD_VARIABLE], "a", encoding="utf-8") as file:
                file.write(f"{os.getpid()} {Path(path).name}\n")
        data = Path(path).read_bytes()
        for start in range(0, len(data), RECORD_BYTES):
            time.sleep(float(os.environ.get(SECONDS_VARIABLE, 0)))
            record = np.frombuffer(data[start : start + RECORD_BYTES], np.uint8)
            image = record[1:].reshape(28, 28, 1)
            yield start, {"image": image, "label": int(record[0])}


SPEC = dataclasses.replace(
    specs.find_spec("mnist"),
    name="tiny_set",
    tfds_version="1.0.0",
    originals=tuple(ORIGINALS.values()),
    num_examples=NUM_EXAMPLES,
)


def install(setitem=dict.__setitem__):
    """Put the set into the catalogue and return its record."""
    setitem(specs._SPECS, SPEC.name, SPEC)
    return SPEC


def write_originals(root):
    """Write the original files into the set's subfolder of `root`; return `root`."""
    folder = root / SPEC.name
    folder.mkdir(parents=True)
    for split, file in ORIGINALS.items():
        (folder / file.filename).write_bytes(content(split))
    return root
