# %%
"""Ten training scripts: what is wrong with each, what shows it, and what mends it."""

import dataclasses
import functools

import keras

from tfcourse import data, failing_scripts, recording_figures
from tfcourse.doctor import Recorder, diagnose, read_run
from tfcourse.failing_scripts import load_script, record
from tfcourse.runs import Run


@dataclasses.dataclass(frozen=True)
class Answer:
    """What there is to say about one script."""

    faults: tuple[str, ...]  # Codes of `tfcourse doctor --explain`, or ("healthy",).
    tag: str  # What TensorBoard shows it under, such as "step/loss".
    why: str  # A sentence: what is to be seen there, and what it comes from.
    changes: dict[str, str]  # Pieces of the script: as they are, and mended.


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 4 --set scripts=amber`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    num_examples: int = 6_000  # Training and validation together.
    scripts: tuple[str, ...] = failing_scripts.NAMES
    epochs: int = 0  # 0: as many as the script says.
    record_mended: tuple[str, ...] = failing_scripts.NAMES  # For before and after.
    one_batch: tuple[str, ...] = ("cedar", "fjord", "juniper")
    one_batch_epochs: int = 60  # Each is one step.
    seed: int = 0


LAB = Config()
SMOKE = Config(
    source="embedded",
    num_examples=1_437,
    epochs=6,
    record_mended=("cedar",),
    one_batch=(),
)
FULL = Config(num_examples=60_000)


# %%
def watch(name: str, changes: dict | None = None, **options):
    """Record a script, as it is or changed, and return the folder for TensorBoard.

    `watch("amber", one_batch=True)` trains on a single batch: can it be learned by
    heart?
    """
    return record(name, changes, **options)


# %%
def amber() -> Answer:
    """Return what is wrong with scripts/amber.py and what mends it."""
    raise NotImplementedError("exercise 04: write amber()")


# %%
def birch() -> Answer:
    """Return what is wrong with scripts/birch.py and what mends it."""
    raise NotImplementedError("exercise 04: write birch()")


# %%
def cedar() -> Answer:
    """Return what is wrong with scripts/cedar.py and what mends it."""
    raise NotImplementedError("exercise 04: write cedar()")


# %%
def delta() -> Answer:
    """Return what is wrong with scripts/delta.py and what mends it."""
    raise NotImplementedError("exercise 04: write delta()")


# %%
def ember() -> Answer:
    """Return what is wrong with scripts/ember.py and what mends it."""
    raise NotImplementedError("exercise 04: write ember()")


# %%
def fjord() -> Answer:
    """Return what is wrong with scripts/fjord.py and what mends it."""
    raise NotImplementedError("exercise 04: write fjord()")


# %%
def grove() -> Answer:
    """Return what is wrong with scripts/grove.py and what mends it."""
    raise NotImplementedError("exercise 04: write grove()")


# %%
def heath() -> Answer:
    """Return what is wrong with scripts/heath.py and what mends it."""
    raise NotImplementedError("exercise 04: write heath()")


# %%
def islet() -> Answer:
    """Return what is wrong with scripts/islet.py and what mends it."""
    raise NotImplementedError("exercise 04: write islet()")


# %%
def juniper() -> Answer:
    """Return what is wrong with scripts/juniper.py and what mends it."""
    raise NotImplementedError("exercise 04: write juniper()")


ANSWERS = {
    answer.__name__: answer
    for answer in (
        *(amber, birch, cedar, delta, ember),
        *(fjord, grove, heath, islet, juniper),
    )
}


# %%
def examine(name: str, datasets, config: Config, run: Run) -> dict:
    """Return how a script does as it is and mended, and what the doctor says of it."""
    answer, folder = ANSWERS[name](), run.directory / name
    options = {"epochs": config.epochs} if config.epochs else {}
    recorder = [Recorder(folder / "as_it_is")]
    as_it_is = load_script(name).train(*datasets, recorder, **options).history
    recorder = [Recorder(folder / "mended")] if name in config.record_mended else []
    script = load_script(name, answer.changes)
    mended = script.train(*datasets, recorder, **options).history
    recording = read_run(folder / "as_it_is")
    findings = [f.fault for f in diagnose(recording) if f.severity != "note"]
    return {
        "faults": answer.faults,
        "doctor": findings or ["healthy"],
        "tag": answer.tag,
        "tag_exists": answer.tag in failing_scripts.recorded_tags(recording),
        "as_it_is": as_it_is["val_accuracy"][-1],
        "mended": mended["val_accuracy"][-1],
    }


# %%
def one_batch(name: str, train_data, config: Config) -> list[float]:
    """Return the losses of a script that sees one batch again and again."""
    batch = [part[: failing_scripts.BATCH_SIZE] for part in train_data]
    keras.utils.set_random_seed(config.seed)
    options = {"epochs": config.one_batch_epochs}
    return load_script(name).train(batch, batch, [], **options).history["loss"]


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    (images, labels), info = data.load_arrays("mnist", "train", source=config.source)
    run.record_data(info)
    datasets = failing_scripts.split(images, labels, config.num_examples)
    results = {
        name: run.once(name, functools.partial(examine, name, datasets, config, run))
        for name in run.progress(config.scripts, "scripts")
    }
    losses = {
        name: run.once(
            f"{name}_batch", lambda n=name: one_batch(n, datasets[0], config)
        )
        for name in config.one_batch
    }
    run.text("diagnoses", recording_figures.comparison(results))
    for name, figure in recording_figures.all_figures(run.directory, losses):
        run.figure(name, figure)
    failing = [r["as_it_is"] for r in results.values() if r["faults"] != ["healthy"]]
    agreed = [r["doctor"][0] in r["faults"] for r in results.values()]
    return {
        "mended_least_accuracy": min(r["mended"] for r in results.values()),
        "failing_greatest_accuracy": max(failing, default=0.0),
        "tags_found": sum(r["tag_exists"] for r in results.values()) / len(results),
        "doctor_agrees": sum(agreed) / len(results),
    }
