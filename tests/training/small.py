"""Small models and data that the trainer's tests share."""

import keras
import numpy as np

NUM_EXAMPLES = 70  # With batches of 16: four whole ones and a rest of 6.
BATCH_SIZE = 16


def classes(num_examples=NUM_EXAMPLES, features=6, num_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_examples, features)).astype("float32")
    y = (x[:, :num_classes] + rng.normal(size=(num_examples, num_classes))).argmax(1)
    return x, y


def classifier(
    optimizer="sgd", *, normalized=False, dropout=0.0, seed=1, metrics=("accuracy",)
):
    """Return a compiled MLP with logits for three classes, built from the seed."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(8, "tanh", use_bias=not normalized)(inputs)
    if normalized:
        hidden = keras.layers.BatchNormalization()(hidden)
    if dropout:
        hidden = keras.layers.Dropout(dropout)(hidden)
    model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def state(model):
    """Return all numbers that training changes, metrics left out, in one vector."""
    variables = [*model.weights, *model.optimizer.variables]
    return np.concatenate([np.ravel(v.numpy()).astype("float64") for v in variables])


def weights(model):
    return np.concatenate([np.ravel(v.numpy()) for v in model.weights])
