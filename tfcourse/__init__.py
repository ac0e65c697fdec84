"""A TensorFlow-native deep-learning course that runs."""

__version__ = "0.1.0"
