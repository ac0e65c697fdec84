"""What a training program of the doctor's evaluation is, and how it is run.

    @program(faults=("dead-relu",), architecture="mlp", split="tune")
    def name(seed: int, mended: bool = False) -> Program:
        '''One sentence: what is wrong, as a person would say it.'''

A faulty program can also be built mended, by the one change that takes its fault away. The
mended twin shows that the fault does harm, and counts as a healthy program of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Split = Literal["tune", "held-out"]


@dataclass(frozen=True)
class Program:
    """All that `fit` needs.

    Attributes:
        model: A compiled Keras model.
        x: Arrays, a `tf.data.Dataset`, or a generator, as `fit` takes them.
        y: Targets, if `x` doesn't bring them.
        more: Further arguments of `fit`, like shuffle or class_weight.
    """

    model: Any
    x: Any
    y: Any = None
    validation_data: Any = None
    epochs: int = 10
    batch_size: int | None = 32
    more: dict[str, Any] = field(default_factory=dict)


class Builder(Protocol):
    """Builds a program; `mended` is for faulty ones alone."""

    def __call__(self, seed: int, mended: bool = False) -> Program:
        """Return the compiled model and its data, all from this seed."""
        ...


@dataclass(frozen=True)
class Entry:
    """A registered program.

    Attributes:
        faults: The accepted right causes, the intended one first; empty: it is healthy.
        mended: Build it without its fault (it is healthy then, and `faults` is empty).
    """

    name: str
    faults: tuple[str, ...]
    architecture: str
    split: Split
    about: str
    build: Callable[..., Program]
    mended: bool = False


PROGRAMS: dict[str, Entry] = {}


def program(
    *,
    faults: tuple[str, ...] = (),
    architecture: str,
    split: Split,
    twin: bool = True,
) -> Callable[[Callable[..., Program]], Callable[..., Program]]:
    """Return a decorator that registers a program, and its mended twin as healthy.

    Args:
        faults: The accepted right causes, the intended one first; empty: healthy.
        architecture: mlp, cnn, recurrent, regression, tabular, autoencoder, transformer
            or siamese.
        split: tune: rules may be chosen by it; held-out: rules are only scored on it.
        twin: Whether the mended program counts as a healthy one.

    Raises:
        ValueError: Two programs have one name.
    """

    def register(build: Callable[..., Program]) -> Callable[..., Program]:
        name = build.__name__
        about = (build.__doc__ or "").strip().splitlines()[0]
        if name in PROGRAMS:
            raise ValueError(f"two programs are named {name!r}")
        PROGRAMS[name] = Entry(name, faults, architecture, split, about, build)
        if faults and twin:
            PROGRAMS[f"{name}-mended"] = Entry(
                f"{name}-mended",
                (),
                architecture,
                split,
                f"Mended: {about}",
                build,
                mended=True,
            )
        return build

    return register


def build(entry: Entry, seed: int, *, mended: bool = False) -> Program:
    """Return the program; `mended` takes the fault out of a faulty one."""
    if mended or entry.mended:
        return entry.build(seed, mended=True)
    return entry.build(seed)


def run(entry: Entry, seed: int, recorder: Any = None, *, mended: bool = False) -> Any:
    """Return the history of one training run.

    Args:
        entry: What to train.
        seed: For Python, numpy and Keras, set before the model is built.
        recorder: A callback, or None for plain `fit`.
        mended: Train a faulty program without its fault.
    """
    import keras

    keras.utils.set_random_seed(seed)
    made = build(entry, seed, mended=mended)
    more = dict(made.more)
    callbacks = [*more.pop("callbacks", ()), *([recorder] if recorder else ())]
    return made.model.fit(
        made.x,
        made.y,
        validation_data=made.validation_data,
        epochs=made.epochs,
        batch_size=made.batch_size,
        callbacks=callbacks,
        verbose=0,
        **more,
    )
