"""What can be moved to tf_keras, and what is refused before anything starts."""

import copy
import json

import keras
import pytest

from tests.compression import models
from tfcourse.compression import read_blueprint
from tfcourse.compression.moving import blueprint_of
from tfcourse.errors import UserError


def config_of(model):
    return json.loads(model.to_json())


def test_a_shared_layer_stands_once_and_is_called_three_times():
    blueprint = blueprint_of(models.two_inputs())
    shared = [n for n, x in enumerate(blueprint.layers) if x.config.get("units") == 7][
        0
    ]
    assert sum(call.layer == shared for call in blueprint.calls) >= 2
    assert len(blueprint.inputs) == 2


def test_a_model_inside_a_model_is_laid_out_flat():
    blueprint = blueprint_of(models.mlp())
    names = [layer.class_name for layer in blueprint.layers]
    assert names == ["Flatten", "Dense", "Dropout", "Dense"]
    assert len(blueprint.layers[1].path) == 2


def test_the_output_activation_is_found():
    assert blueprint_of(models.cnn()).ends_in("softmax")
    assert not blueprint_of(models.mlp()).ends_in("softmax")


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def functional(layer, shape=(4,)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: functional(Doubled(name="twice")), "twice"),
        (lambda: functional(keras.layers.Lambda(lambda x: x, name="code")), "code"),
        (lambda: functional(lambda x: x * 2.0 + 1.0), "operators"),
        (lambda: functional(keras.layers.Dense(2, activation="mish")), "mish"),
        (lambda: functional(keras.layers.LSTM(2), (3, 4)), "LSTM"),
        (lambda: functional(keras.layers.Dense(3, dtype="mixed_bfloat16")), "bfloat16"),
        (Subclassed, "Subclassed"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "input shape"),
    ],
)
def test_what_cannot_be_moved_is_named_in_one_line(make, words):
    with pytest.raises(UserError) as caught:
        blueprint_of(make())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_description_that_was_tampered_with_is_refused():
    whole = config_of(models.cnn())
    for key in ("layers", "input_layers", "output_layers"):
        broken = copy.deepcopy(whole)
        broken["config"][key] = {"a": 1} if key != "layers" else [{"class_name": 3}]
        with pytest.raises(UserError):
            read_blueprint(broken)
    broken = copy.deepcopy(whole)
    broken["config"]["layers"] = broken["config"]["layers"][:2]
    with pytest.raises(UserError):
        read_blueprint(broken)
