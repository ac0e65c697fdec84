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
    # BEGIN SOLUTION
    return Answer(
        faults=("loss-activation-mismatch",),
        tag="step/loss",
        why="It starts near 8 in place of ln 10: this loss takes the raw scores of the "
        "head, negative ones too, for probabilities.",
        changes={'layers.Dense(10, name="out': 'layers.Dense(10, "softmax", name="out'},
    )
    # END SOLUTION


# %%
def birch() -> Answer:
    """Return what is wrong with scripts/birch.py and what mends it."""
    # BEGIN SOLUTION
    return Answer(
        faults=("unnormalised-inputs",),
        tag="inputs/input",
        why="Pixels go in as 0 to 255, so the first loss is in the hundreds and the "
        "first steps throw the weights away.",
        changes={"layers.Flatten(),": "layers.Rescaling(1 / 255), layers.Flatten(),"},
    )
    # END SOLUTION


# %%
def cedar() -> Answer:
    """Return what is wrong with scripts/cedar.py and what mends it."""
    # BEGIN SOLUTION
    return Answer(
        faults=("vanishing-gradients",),
        tag="gradient_norm/cedar/hidden_1/kernel",
        why="From the last layer to the first each gradient is several times smaller "
        "than the one above: the slope of a sigmoid is at most a quarter.",
        changes={'"sigmoid"': '"relu", kernel_initializer="he_normal"'},
    )
    # END SOLUTION


# %%
def delta() -> Answer:
    """Return what is wrong with scripts/delta.py and what mends it."""
    # BEGIN SOLUTION
    return Answer(
        faults=("learning-rate-too-high",),
        tag="update_ratio/delta/hidden_1/kernel",
        why="The first steps change the weights by nearly their own size; after them "
        "every unit is dead and the loss stands still.",
        changes={"Adam(0.1)": "Adam(0.001)"},
    )
    # END SOLUTION


# %%
def ember() -> Answer:
    """Return what is wrong with scripts/ember.py and what mends it."""
    # BEGIN SOLUTION
    return Answer(
        faults=("missing-nonlinearity",),
        tag="activations/hidden_1",
        why="Hidden layers are as often negative as positive, since nothing bends them: "
        "all four matrices together are a single one.",
        changes={"Dense(width, name": 'Dense(width, "relu", name'},
    )
    # END SOLUTION


# %%
def fjord() -> Answer:
    """Return what is wrong with scripts/fjord.py and what mends it."""
    # BEGIN SOLUTION
    return Answer(
        faults=("misaligned-labels",),
        tag="images/inputs",
        why="The labels beside the images belong to other images, since both were "
        "shuffled by themselves.",
        changes={
            "images = rng.permutation(images)": "order = rng.permutation(len(labels))",
            "labels = rng.permutation(labels)": "images, labels = images[order], "
            "labels[order]",
        },
    )
    # END SOLUTION


# %%
def grove() -> Answer:
    """Return what is wrong with scripts/grove.py and what mends it."""
    # BEGIN SOLUTION
    return Answer(
        faults=("unshuffled-data",),
        tag="label_share/0",
        why="A batch holds one digit alone: whole batches of sorted examples are "
        "shuffled, where examples should be.",
        changes={".batch(32).shuffle(4)": ".shuffle(len(labels)).batch(32)"},
    )
    # END SOLUTION


# %%
def heath() -> Answer:
    """Return what is wrong with scripts/heath.py and what mends it."""
    # BEGIN SOLUTION
    return Answer(
        faults=("wrong-update",),
        tag="step/loss_after",
        why="The same batch has a greater loss after each step than before it: the "
        "optimizer subtracts what it is given, so the sign turns twice.",
        changes={"[-gradient for": "[gradient for"},
    )
    # END SOLUTION


# %%
def islet() -> Answer:
    """Return what is wrong with scripts/islet.py and what mends it."""
    # BEGIN SOLUTION
    return Answer(
        faults=("learning-rate-too-low", "train-validation-shift"),
        tag="update_ratio/islet/hidden_1/kernel",
        why="A step changes a millionth of the weights, and the validation images alone "
        "are not divided by 255.",
        changes={
            "SGD(2e-6,": "SGD(0.02,",
            "=val_data,": "=(val_data[0] / 255, val_data[1]),",
        },
    )
    # END SOLUTION


# %%
def juniper() -> Answer:
    """Return what is wrong with scripts/juniper.py and what mends it."""
    # BEGIN SOLUTION
    return Answer(
        faults=("healthy",),
        tag="epoch_accuracy",
        why="Validation is better than training because dropout is at work in training "
        "alone; both still rise.",
        changes={},
    )
    # END SOLUTION


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
