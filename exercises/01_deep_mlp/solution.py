# %%
"""From a linear model to a deep MLP on MNIST, and a study of what matters in it."""

import dataclasses
import functools
import math

import keras
import numpy as np
from sklearn.model_selection import train_test_split

from tfcourse import data, plots, studies, training
from tfcourse.images import with_shifts
from tfcourse.runs import Run
from tfcourse.training.clock import EpochClock

LEVELS = {  # What the study compares, by factor.
    "learning_rate": [1e-4, 1e-3, 1e-2, 1e-1],
    "activation": ["linear", "sigmoid", "tanh", "relu", "gelu"],
    "optimizer": ["sgd", "momentum", "rmsprop", "adam"],
    "initializer": ["random_normal", "glorot_uniform", "lecun_normal", "he_normal"],
    "width": [16, 64, 256],
    "depth": [1, 2, 4, 8],
}
BASE = dict(zip(LEVELS, [1e-3, "relu", "adam", "he_normal", 64, 2], strict=True))


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be set: `tfcourse run 1 --set width=256`."""

    source: str = "real"  # Where the data come from: "embedded" or "real".
    val_fraction: float = 1 / 12  # Of the training images: 5,000 of MNIST's 60,000.
    batch_size: int = 128
    learning_rate: float = 1e-3  # At the start; a cosine takes it to 0.
    depth: int = 2  # Hidden layers of all models but the linear one.
    width: int = 512  # Units of each; the long model has twice as many.
    dropout_rate: float = 0.2
    max_shift: float = 2.0  # Pixels by which the deep and the long one's images move.
    linear_epochs: int = 20
    plain_epochs: int = 12
    deep_epochs: int = 14
    long_epochs: int = 20
    num_factors: int = 6  # The study varies the first so many of LEVELS.
    study_examples: int = 10_000  # Of the training images, for each run of the study.
    study_epochs: int = 3
    study_seeds: int = 3  # Runs of each configuration in one factor at a time.
    random_runs: int = 64
    seed: int = 0


LAB = Config()
SMOKE = Config(
    source="embedded",
    val_fraction=0.2,
    batch_size=32,
    width=128,
    linear_epochs=10,
    plain_epochs=8,
    deep_epochs=12,
    long_epochs=12,
    num_factors=2,
    study_seeds=2,
    random_runs=8,
)
FULL = Config(study_seeds=10, random_runs=1024)


# %%
def prepare_data(images, labels, test_images, *, val_fraction: float, seed: int):
    """Return `(train_images, train_labels), (val_images, val_labels), test_images`.

    The split of `images`, uint8 [n, height, width], and `labels`, int [n], is shuffled
    (they may come sorted by class), stratified (both parts have the classes in the same
    proportions) and the same for the same seed. All images come back as float32, shifted
    and scaled by the same two numbers, so that the training images have mean 0 and
    standard deviation 1 over all their pixels.
    """
    # BEGIN SOLUTION
    train_images, val_images, train_labels, val_labels = train_test_split(
        images, labels, test_size=val_fraction, stratify=labels, random_state=seed
    )
    parts = [part.astype("float32") for part in (train_images, val_images, test_images)]
    mean, deviation = parts[0].mean(), parts[0].std()
    train_images, val_images, test_images = ((p - mean) / deviation for p in parts)
    return (train_images, train_labels), (val_images, val_labels), test_images
    # END SOLUTION


# %%
def linear_model(image_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    """Return softmax regression as a Functional model whose output is logits.

    It maps float32 [batch, *image_shape] to float32 [batch, num_classes].
    """
    # BEGIN SOLUTION
    inputs = keras.Input(image_shape)
    pixels = keras.layers.Flatten()(inputs)  # [batch, height * width]
    logits = keras.layers.Dense(num_classes, name="logits")(pixels)
    return keras.Model(inputs, logits, name="linear")
    # END SOLUTION


# %%
def deep_mlp(
    image_shape: tuple[int, ...],
    num_classes: int,
    *,
    depth: int,  # Number of hidden layers; the output layer comes on top.
    width: int,  # Units of each hidden layer.
    activation: str,  # Keras's name, for the hidden layers.
    initializer: str,  # Keras's name, for the kernels of the hidden layers.
    dropout_rate: float = 0.0,  # Share of each hidden layer's outputs set to 0.
) -> keras.Model:
    """Return a multilayer perceptron as a Functional model whose output is logits.

    A hidden layer is dense, activation, dropout. Shapes are as in `linear_model`.
    """
    # BEGIN SOLUTION
    inputs = keras.Input(image_shape)
    hidden = keras.layers.Flatten()(inputs)  # [batch, height * width]
    for index in range(depth):
        options = {"kernel_initializer": initializer, "name": f"hidden_{index + 1}"}
        layer = keras.layers.Dense(width, activation, **options)
        hidden = keras.layers.Dropout(dropout_rate)(layer(hidden))  # [batch, width]
    outputs = keras.layers.Dense(num_classes, name="logits")(hidden)
    return keras.Model(inputs, outputs, name="deep_mlp")
    # END SOLUTION


# %%
def train(model, optimizer, train_data, val_data, *, fit=keras.Model.fit, **options):
    """Compile the model for integer labels and logits; return the history of `fit`.

    `train_data` and `val_data` are pairs of images and labels. An epoch takes all of the
    first, shuffled; then the history gets the `val_accuracy` on the second.
    `fit(model, ...)` is `model.fit(...)`, or does the same faster; `options` go to it.
    """
    # BEGIN SOLUTION
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    images, labels = train_data
    return fit(model, images, labels, validation_data=val_data, **options)
    # END SOLUTION


# %%
def evaluate(model, images, labels, num_classes: int) -> tuple[float, np.ndarray]:
    """Return the accuracy in [0, 1] and the confusion matrix on all examples.

    The matrix is int [num_classes, num_classes], whether or not each class occurs: row
    true class, column predicted class, entry the count of examples.
    """
    # BEGIN SOLUTION
    logits = model.predict(images, batch_size=1024, verbose=0)  # [n, num_classes]
    predictions = logits.argmax(axis=1)  # [n]
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (labels, predictions), 1)  # Counts repeated pairs; += would not.
    return float(np.mean(predictions == labels)), matrix
    # END SOLUTION


# %%
def sample_configuration(rng: np.random.Generator, levels: dict) -> dict:
    """Return a configuration of a random search: a level for each factor of `levels`.

    All randomness comes from `rng`; factors are independent, levels equally likely. The
    `learning_rate` alone is continuous: log-uniform from its lowest level to its highest.
    """
    # BEGIN SOLUTION
    drawn = {name: some[rng.integers(len(some))] for name, some in levels.items()}
    rates = levels["learning_rate"]
    lowest, highest = np.log(min(rates)), np.log(max(rates))
    return {**drawn, "learning_rate": float(np.exp(rng.uniform(lowest, highest)))}
    # END SOLUTION


# %%
def one_factor_at_a_time(base: dict, factors: dict) -> list[dict]:
    """Return `base`, once, then each configuration that differs from it in one factor.

    `base` has a level for each factor; `factors` has all levels by factor.
    """
    # BEGIN SOLUTION
    configurations = [dict(base)]
    for factor, levels in factors.items():
        others = [level for level in levels if level != base[factor]]
        configurations += [{**base, factor: level} for level in others]
    return configurations
    # END SOLUTION


# %%
def effect_table(accuracies: dict) -> list[dict]:
    """Return what mattered: one row per factor, the largest effect first.

    A row has `factor`; `best` and `worst`, the levels with the highest and the lowest
    mean over seeds; `effect`, the difference of these means; and `spread`, the standard
    deviation over seeds (n - 1), pooled: the root of the levels' mean variance.
    `accuracies[factor][level]` is a list of one accuracy per seed, two at least.
    """
    # BEGIN SOLUTION
    rows = []
    for factor, levels in accuracies.items():
        means = {level: np.mean(values) for level, values in levels.items()}
        best, worst = max(means, key=means.get), min(means, key=means.get)
        pooled = np.sqrt(np.mean([np.var(v, ddof=1) for v in levels.values()]))
        row = {"factor": factor, "best": best, "worst": worst, "spread": float(pooled)}
        rows.append({**row, "effect": float(means[best] - means[worst])})
    return sorted(rows, key=lambda row: row["effect"], reverse=True)
    # END SOLUTION


# %%
def study(train_data, val_data, config: Config, run: Run) -> dict[str, float]:
    """Return the study's metrics; its figures and tables go into the run."""
    images, labels = (part[: config.study_examples] for part in train_data)
    options = {"batch_size": config.batch_size, "epochs": config.study_epochs}

    def accuracy(optimizer: str, learning_rate: float, seed: int, **layers) -> float:
        model = deep_mlp(images.shape[1:], 10, **layers)
        optimizer = studies.optimizer(optimizer, learning_rate)
        fit = functools.partial(training.fit, seed=seed, **options)
        history = train(model, optimizer, (images, labels), val_data, fit=fit)
        return history.history["val_accuracy"][-1]

    levels = dict(list(LEVELS.items())[: config.num_factors])
    grid = one_factor_at_a_time(BASE, levels) * config.study_seeds
    rng = np.random.default_rng(config.seed)
    drawn = [sample_configuration(rng, levels) for _ in range(config.random_runs)]
    compare = functools.partial(studies.compare, run, accuracy, levels, effect_table)
    metrics = compare("one_factor", grid, base=BASE)
    return metrics | compare("random_search", [{**BASE, **some} for some in drawn])


# %%
def train_and_score(name, model, datasets, config: Config, run: Run) -> dict:
    """Return the history of one stage, with its `test_accuracy` and its `seconds`."""
    train_data, val_data, (test_images, test_labels) = datasets
    num_epochs = getattr(config, f"{name}_epochs")
    num_steps = num_epochs * math.ceil(len(train_data[1]) / config.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, num_steps)
    history = train(
        model,
        keras.optimizers.Adam(rate),
        train_data,
        val_data,
        # Faster than model.fit, and with a seed set it still shuffles in each epoch.
        fit=functools.partial(training.fit, seed=config.seed),
        batch_size=config.batch_size,
        epochs=num_epochs,
        callbacks=[EpochClock(), *run.callbacks(name, epochs=num_epochs)],
        verbose=0,
    ).history
    seconds = sum(history.pop("seconds"))
    accuracy, matrix = evaluate(model, test_images, test_labels, 10)
    run.figure(f"confusion_{name}", plots.confusion_matrix(matrix, "0123456789"))
    return {**history, "test_accuracy": accuracy, "seconds": seconds}


# %%
def main(config: Config, run: Run) -> dict[str, float]:
    """Return the metrics that exercise.toml promises."""
    load = functools.partial(data.load_arrays, "mnist", source=config.source)
    (images, labels), info = load("train")
    (test_images, test_labels), test_info = load("test")
    run.record_data(info)
    run.record_data(test_info)
    train_data, val_data, test_images = prepare_data(
        images, labels, test_images, val_fraction=config.val_fraction, seed=config.seed
    )
    layers = {"depth": config.depth, "dropout_rate": config.dropout_rate}
    layers |= {"activation": "relu", "initializer": "he_normal"}
    deep = functools.partial(deep_mlp, images.shape[1:], 10, **layers)
    models = {
        "linear": linear_model(images.shape[1:], 10),
        "plain": deep(width=config.width),
        "deep": with_shifts(deep(width=config.width), config.max_shift),
        "long": with_shifts(deep(width=2 * config.width), config.max_shift),
    }
    datasets = train_data, val_data, (test_images, test_labels)
    histories = {
        name: train_and_score(name, model, datasets, config, run)
        for name, model in models.items()
    }
    run.figure("loss_curves", plots.loss_curves(histories))
    metrics = study(train_data, val_data, config, run)
    for name, history in histories.items():
        metrics[f"{name}_accuracy"] = history["test_accuracy"]
        metrics[f"{name}_train_seconds"] = history["seconds"]
    return metrics
