"""Small random affine maps of images: turned, sheared, stretched and shifted."""

from __future__ import annotations

import keras
import tensorflow as tf

MAX_TURN = 0.35  # Radians: 20 degrees.
MAX_SHEAR = 0.25
MAX_LOG_STRETCH = 0.2  # Of width and height, apart: 0.82 to 1.22 times.
MAX_SHIFT = 1 / 14  # Of the image's size: 2 pixels of MNIST's 28.


def random_warps(images: tf.Tensor, seed: tf.Tensor, strength: float = 1.0):
    """Return each image under an affine map of its own: float32 [batch, height, width].

    What moves in from outside is 0; grey levels are interpolated linearly, so they stay in
    their range.

    Args:
        images: float32 [batch, height, width].
        seed: int [2]; the same seed gives the same maps, in graphs too.
        strength: Factor of all ranges; 0 gives the images back.
    """
    count, height, width = tf.unstack(tf.shape(images))
    draws = tf.random.stateless_uniform([6, count], seed, -strength, strength)
    turn, shear = MAX_TURN * draws[0], MAX_SHEAR * draws[1]  # [batch] each
    wide, high = tf.exp(MAX_LOG_STRETCH * draws[2]), tf.exp(MAX_LOG_STRETCH * draws[3])
    # Where each pixel of the result comes from: (x, y) -> (a x + b y, c x + d y), about
    # the centre.
    a, b = tf.cos(turn) * wide, (shear * tf.cos(turn) - tf.sin(turn)) * high
    c, d = tf.sin(turn) * wide, (shear * tf.sin(turn) + tf.cos(turn)) * high
    width, height = tf.cast(width, tf.float32), tf.cast(height, tf.float32)
    x, y = (width - 1) / 2, (height - 1) / 2
    right = x - a * x - b * y + MAX_SHIFT * width * draws[4]
    down = y - c * x - d * y + MAX_SHIFT * height * draws[5]
    nothing = tf.zeros_like(a)
    maps = tf.stack([a, b, right, c, d, down, nothing, nothing], axis=1)  # [batch, 8]
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=images[..., None],
        transforms=maps,
        output_shape=tf.shape(images)[1:],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(warped[..., 0], images.shape)


@keras.saving.register_keras_serializable("tfcourse")
class RandomWarp(keras.layers.Layer):
    """Warps images at random in training, and hands them on otherwise.

    Args:
        strength: As for `random_warps`.
        seed: Of the sequence of maps.
    """

    def __init__(self, strength: float = 1.0, seed: int | None = None, **options):
        super().__init__(**options)
        self.strength = strength
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        """Return float32 [batch, height, width]."""
        if not training:
            return images
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        return random_warps(images, seed, self.strength)

    def get_config(self):
        """Return what makes the layer again."""
        return super().get_config() | {"strength": self.strength, "seed": self.seed}


def with_warps(model: keras.Model, strength: float = 1.0) -> keras.Model:
    """Return the model behind a `RandomWarp`.

    Args:
        model: Takes float32 [batch, height, width].
        strength: As for `random_warps`.

    Returns:
        A Functional model that takes what `model` takes and shares its weights.
    """
    inputs = keras.Input(model.input_shape[1:])
    warped = RandomWarp(strength, name="warp")(inputs)  # [batch, height, width]
    return keras.Model(inputs, model(warped), name=f"warped_{model.name}")
