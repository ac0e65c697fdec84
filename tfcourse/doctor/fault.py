"""What the doctor can tell about one fault. No TensorFlow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault, explained to somebody who sees it for the first time.

    Attributes:
        code: Its name in findings and on the command line.
        title: A few words.
        what: What happens and why, with an equation where it says more.
        looks_like: How TensorBoard shows it: dashboard, tag, what to see there.
        causes: The usual ones, the likeliest first.
        helps: What to change, the likeliest first.
        example: Keras code, before and after. Given are `keras`, `layers`, `np`, `tf`,
            uint8 `images` [n, 28, 28] with `labels`, float32 `features` [n, 8] with
            `targets`, the same with `val_`, and `build_model()`, a classifier of images.
        sources: Papers and pages.
    """

    code: str
    title: str
    what: str
    looks_like: tuple[str, ...]
    causes: tuple[str, ...]
    helps: tuple[str, ...]
    example: str
    sources: tuple[str, ...]
