"""Where a shuffled `tf.data` set stands in its sequence of orders, and how to get there.

A dataset draws new seeds for `shuffle` from a generator of its own each time that an
iterator is made of it, so the order of an epoch depends on the iterators made before.
Keras makes one or two per epoch. They are counted, and a resumed run makes as many.
"""

from __future__ import annotations

import itertools
from typing import Any

import tensorflow as tf

# Datasets that pass each request on to one input, and start that input with themselves:
# a single shuffle among them draws its seeds when an iterator is made, read or not.
SIMPLE_DATASETS = frozenset(
    """
    CacheDataset _BatchDataset _FilterDataset _FixedLengthRecordDataset _MapDataset
    _OptionsDataset _PaddedBatchDataset _ParallelBatchDataset _ParallelMapDataset
    _PrefetchDataset _RangeDataset _ShuffleDataset _SkipDataset _TFRecordDataset
    _TakeDataset _TensorDataset _TensorSliceDataset _TextLineDataset _ZipDataset
    """.split()
)


class CountedIterators:
    """Counts the iterators made of a dataset, and makes them again after a restart."""

    def __init__(self, dataset: tf.data.Dataset | None):
        self.dataset = dataset
        self._at_begin = 0
        self._read: list[int] = []
        if dataset is not None and not hasattr(dataset, "num_iterators_made"):
            # `iter` looks at the class alone: this one object gets its own class. It is
            # TensorFlow's own kind of object still, and nothing else changes.
            dataset.num_iterators_made = 0
            dataset.__class__ = _counting_class(type(dataset))

    def begin(self) -> None:
        """Count from here."""
        self._at_begin = self._total()
        self._read = []

    def begin_epoch(self) -> None:
        """Note that the next iterator is the one that is read."""
        self._read.append(self.num_made())

    def num_made(self) -> int:
        """Return how many iterators were made since `begin`."""
        return self._total() - self._at_begin

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, as plain data."""
        return {"num_made": self.num_made(), "read": list(self._read)}

    def restore(self, state: dict[str, Any]) -> None:
        """Bring a fresh dataset to the state, by making the iterators of then.

        The first one that was read is read again: it fills the caches, and a cache after
        the shuffle keeps that order for good. The others are only made, unless the
        dataset is such that reading draws further seeds.
        """
        if self.dataset is None:
            return
        self._read = list(state["read"])
        read_again = set(self._read if self.reading_draws() else self._read[:1])
        cardinality = int(self.dataset.cardinality())
        for index in range(self.num_made(), state["num_made"]):
            iterator = iter(self.dataset)
            if index in read_again:
                # Not a batch more than `fit` reads: the end completes a cache.
                num_batches = cardinality if cardinality >= 0 else None
                for _ in itertools.islice(iterator, num_batches):
                    pass

    def can_be_found(self) -> bool:
        """Return whether each epoch so far had an iterator of its own.

        With `steps_per_epoch`, `fit` reads one iterator through several epochs; where
        that stands can't be found again. Nor can it if `fit` reads another dataset, or
        under a strategy that distributes the dataset.
        """
        starts = [*self._read, self.num_made()]
        return self.dataset is None or all(
            before < after for before, after in itertools.pairwise(starts)
        )

    def reading_draws(self) -> bool:
        """Return whether reading an iterator, too, can draw seeds, as with two shuffles."""
        kinds: list[str] = []
        queue: list[Any] = [self.dataset]
        while queue:
            dataset = queue.pop()
            kinds.append(type(dataset).__name__)
            queue.extend(dataset._inputs() if hasattr(dataset, "_inputs") else [None])
        return not set(kinds) <= SIMPLE_DATASETS or kinds.count("_ShuffleDataset") > 1

    def _total(self) -> int:
        return 0 if self.dataset is None else self.dataset.num_iterators_made


def _counting_class(base: type) -> type:
    def __iter__(self: Any) -> Any:
        self.num_iterators_made += 1
        return base.__iter__(self)

    return type(base.__name__, (base,), {"__iter__": __iter__})
