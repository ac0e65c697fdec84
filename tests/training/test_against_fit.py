"""The oracle: `model.fit(shuffle=False)` ends with the same weights and history."""

import keras
import numpy as np
import pytest

from tests.training.small import BATCH_SIZE, classes, classifier, weights
from tfcourse.training import fit


def compare(build, x, y=None, *, engine="graph", epochs=2, atol=1e-5, **options):
    """Train two equal models, assert that they end alike, and return the trainer's."""
    options |= {"batch_size": BATCH_SIZE, "epochs": epochs, "shuffle": False}
    theirs, ours = build(), build()
    expected = theirs.fit(x, y, verbose=0, **options)
    history = fit(ours, x, y, engine=engine, **options)
    np.testing.assert_allclose(weights(ours), weights(theirs), atol=atol)
    assert list(history.history) == list(expected.history)
    for key, values in expected.history.items():
        np.testing.assert_allclose(history.history[key], values, atol=1e-4)
    assert history.engine.name == engine
    return ours


OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam, clipped": lambda: keras.optimizers.Adam(0.01, clipnorm=0.5),
    "adamw": lambda: keras.optimizers.AdamW(0.01, global_clipnorm=1.0),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
    "adagrad": lambda: keras.optimizers.Adagrad(0.1, clipvalue=0.1),
    "moving average": lambda: keras.optimizers.SGD(
        0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3
    ),
    "average at the end": lambda: keras.optimizers.SGD(0.1, use_ema=True),
    "accumulated": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=3),
    "schedule": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.CosineDecay(0.5, 10)
    ),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=8.0
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    compare(lambda: classifier(OPTIMIZERS[name]()), *classes())


@pytest.mark.parametrize("name", ["adam, clipped", "moving average", "accumulated"])
def test_optimizers_under_xla(name):
    compare(lambda: classifier(OPTIMIZERS[name]()), *classes(), engine="xla")


@pytest.mark.parametrize("engine", ["graph", "xla"])
def test_batch_normalization_and_validation(engine):
    x, y = classes()
    options = {"validation_data": classes(25, seed=1), "validation_batch_size": 10}
    build = lambda: classifier("adam", normalized=True)  # noqa: E731
    compare(build, x, y, engine=engine, epochs=3, **options)


def test_dropout_of_the_first_epoch():
    compare(lambda: classifier(dropout=0.5), *classes(), epochs=1)


@pytest.mark.parametrize("num_examples", [1, 16, 17])
def test_any_number_of_examples(num_examples):
    compare(classifier, *classes(num_examples))


def binary(loss, metrics):
    def build():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((6,))
        hidden = keras.layers.Dense(
            5, "relu", kernel_regularizer="l2", activity_regularizer="l1"
        )(inputs)
        model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(hidden))
        model.compile("sgd", loss, metrics=metrics, weighted_metrics=["mae"])
        return model

    return build


@pytest.mark.parametrize(
    "loss", ["binary_crossentropy", "mse", "huber", "crossentropy"]
)
def test_losses_regularizers_and_metrics_with_state(loss):
    x, y = classes(num_classes=2)
    metrics = ["accuracy", keras.metrics.AUC(num_thresholds=20), "mse"]
    compare(binary(loss, metrics), x, y[:, None])


def test_weights_of_examples():
    x, y = classes(num_classes=2)
    weight = np.linspace(0, 2, len(y))
    options = {
        "sample_weight": weight,
        "validation_data": (x[:20], y[:20, None], weight[:20]),
    }
    compare(binary("mse", None), x, y[:, None], **options)


def test_weights_of_classes():
    compare(classifier, *classes(), class_weight={0: 0.2, 2: 3.0})


def test_a_split_for_validation():
    compare(classifier, *classes(), validation_split=0.3, validation_freq=2, epochs=4)


def test_bytes_doubles_and_tensors():
    x, y = classes()
    images = np.clip(x * 50 + 128, 0, 255).astype("uint8")
    compare(classifier, images, y.astype("int8"), atol=1e-4)
    compare(classifier, x.astype("float64"), y)
    compare(classifier, keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y))


def two_outputs(as_dict):
    keras.utils.set_random_seed(1)
    first, second = keras.Input((6,), name="first"), keras.Input((2,), name="second")
    hidden = keras.layers.Concatenate()([first, second])
    label = keras.layers.Dense(3, "softmax", name="label")(hidden)
    size = keras.layers.Dense(1, name="size")(hidden)
    inputs = {"first": first, "second": second} if as_dict else [first, second]
    outputs = {"label": label, "size": size} if as_dict else [label, size]
    losses = {"label": "sparse_categorical_crossentropy", "size": "mse"}
    metrics = {"label": ["accuracy"], "size": ["mae"]}
    model = keras.Model(inputs, outputs)
    model.compile(
        "sgd", losses, metrics=metrics, loss_weights={"label": 1.0, "size": 0.1}
    )
    return model


@pytest.mark.parametrize("as_dict", [True, False])
def test_several_inputs_and_outputs(as_dict):
    # Whole batches: with a smaller last one `fit` averages the losses of the outputs
    # over batches instead of examples, unless it runs eagerly.
    x, y = classes(4 * BATCH_SIZE)
    first, second, size = x, x[:, :2] ** 2, x[:, :1] * 2
    inputs = {"first": first, "second": second} if as_dict else [first, second]
    targets = {"label": y, "size": size} if as_dict else [y, size]
    options = {"validation_data": (inputs, targets)}
    compare(lambda: two_outputs(as_dict), inputs, targets, **options)


def test_losses_of_outputs_count_examples():
    x, y = classes(BATCH_SIZE + 1)
    model = two_outputs(as_dict=False)
    model.optimizer.learning_rate = 0.0
    inputs, targets = (x, x[:, :2]), (y, x[:, :1])
    history = fit(model, inputs, targets, batch_size=BATCH_SIZE).history
    whole = model.evaluate(inputs, targets, BATCH_SIZE + 1, verbose=0, return_dict=True)
    for name in ("loss", "label_loss", "size_loss"):
        assert history[name][0] == pytest.approx(whole[name], abs=1e-6)


class Reconstruction(keras.layers.Layer):
    def call(self, inputs, outputs):
        self.add_loss(keras.ops.mean((inputs - outputs) ** 2))
        return outputs


def test_a_loss_without_targets():
    def build():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((6,))
        outputs = keras.layers.Dense(6)(keras.layers.Dense(2)(inputs))
        model = keras.Model(inputs, Reconstruction()(inputs, outputs))
        model.compile("sgd")
        return model

    compare(build, classes()[0])


def test_an_unbuilt_sequential_model():
    def build():
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(3)])
        model.compile("adam", "mse", metrics=["mae"])
        return model

    x, _ = classes()
    compare(build, x, x[:, :3])


def test_recurrent_layers():
    def build():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((3, 2))
        outputs = keras.layers.Dense(3)(keras.layers.GRU(4)(inputs))
        model = keras.Model(inputs, outputs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss)
        return model

    x, y = classes()
    compare(build, x.reshape(-1, 3, 2), y)
