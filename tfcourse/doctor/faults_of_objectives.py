"""Faults of what is asked for: heads, losses, metrics, and the two modes of a model."""

from tfcourse.doctor.fault import Fault

FAULTS = (
    Fault(
        code="loss-activation-mismatch",
        title="The last activation and the loss don't fit",
        what=(
            "A loss expects either probabilities or logits, and targets of one kind. "
            "Softmax twice squeezes ten classes between 0.09 and 0.23, so the loss cannot "
            "fall below 1.46; logits taken for probabilities are clipped, and most of the "
            "gradient is lost; a sigmoid or ReLU cannot reach targets outside its range."
        ),
        looks_like=(
            "Text, cards/loss and cards/model: from_logits beside the last activation.",
            "Histograms, predictions/<output>: outside [0, 1] for a loss of probabilities, "
            "or far from targets/<output>.",
            "Scalars, step/loss: starts far from ln(number of classes), or stops at 1.46 "
            "for ten classes although the accuracy is good.",
        ),
        causes=(
            "softmax in the model and from_logits=True in the loss",
            'no softmax in the model and loss="sparse_categorical_crossentropy", whose '
            "default is probabilities",
            "one sigmoid output for several classes, or softmax over a single unit, which "
            "is always 1",
            "one-hot labels with a sparse loss, or integers with CategoricalCrossentropy",
        ),
        helps=(
            "logits: a last layer without activation, and from_logits=True",
            "two classes: Dense(1) with BinaryCrossentropy(from_logits=True)",
            "regression: a last layer without activation",
        ),
        example="""\
# Before: softmax twice.
head = layers.Dense(10, activation="softmax")
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# After: once, in the loss.
head = layers.Dense(10)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
""",
        sources=(
            "keras.io/api/losses/probabilistic_losses/",
            "Goodfellow, Bengio and Courville, 2016, Deep Learning, section 6.2.2, "
            "www.deeplearningbook.org",
        ),
    ),
    Fault(
        code="wrong-metric",
        title="The metric does not measure the task",
        what=(
            "The metric is computed from something else than the loss, or by a rule for "
            "another kind of target: it stays at a constant while the loss falls, or "
            "looks good by accident. The training may be healthy; what is read off is not."
        ),
        looks_like=(
            "Scalars, epoch_loss and epoch_<metric>: the loss falls, the metric stays at "
            "0, at 1 or at chance.",
            "Scalars, step/<metric>: not one change over hundreds of steps.",
            "Text, cards/loss: the metrics beside the shape of outputs and targets.",
        ),
        causes=(
            "Accuracy(), which compares for equality, with probabilities or logits",
            "BinaryAccuracy with one-hot labels of many classes: 0.9 for ten classes "
            "without learning anything",
            "BinaryAccuracy's threshold of 0.5 with logits, whose border is 0",
            "accuracy in a regression",
        ),
        helps=(
            'metrics=["accuracy"] as a string: Keras chooses by the loss and the shapes',
            "integers: SparseCategoricalAccuracy; one-hot: CategoricalAccuracy",
            "logits of two classes: BinaryAccuracy(threshold=0.0)",
            "regression: MeanAbsoluteError",
        ),
        example="""\
# Before: is the number of the class equal to a logit? Hardly ever.
metric = keras.metrics.Accuracy()

# After: is the largest logit at the number of the class?
metric = keras.metrics.SparseCategoricalAccuracy()
""",
        sources=("keras.io/api/metrics/accuracy_metrics/",),
    ),
    Fault(
        code="loss-reduction",
        title="The loss is summed where a mean is meant, or over the wrong axis",
        what=(
            "The gradient of a sum over a batch of n examples is n times that of the mean: "
            "the learning rate is n times what it says, and changes with the batch size. A "
            "mean over the wrong axis mixes examples or outputs that don't belong together."
        ),
        looks_like=(
            "Scalars, step/loss: starts at about batch size * what chance gives, such as "
            "32 * ln(10) = 74.",
            "Scalars, step/data_loss: the last, smaller batch of an epoch dips.",
            "Scalars, gradient_norm/<variable> and update_ratio/<variable>: both high.",
        ),
        causes=(
            'reduction="sum", or keras.ops.sum() over all axes in a loss of one\'s own',
            "a mean over axis 0, the batch, where the last axis is meant",
            "a loss of shape [batch, 1] against weights of shape [batch]: broadcast to "
            "[batch, batch]",
        ),
        helps=(
            'reduction="sum_over_batch_size", the default',
            "a loss function of one's own returns one number per example: [batch]",
            "in a custom loop, divide by the batch size",
        ),
        example="""\
# Before
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

# After: the mean over the batch, the default.
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
""",
        sources=(
            "keras.io/api/losses/",
            "Goyal et al., 2017, arXiv:1706.02677 (rate and batch size)",
        ),
    ),
    Fault(
        code="unscaled-targets",
        title="Regression targets of large numbers",
        what=(
            "The gradient of a squared error is 2 * (prediction - target). With targets "
            "in the hundred thousands and predictions near 0 it is as large, and the first "
            "steps throw the weights far away; with a small rate the bias alone has to "
            "travel that far."
        ),
        looks_like=(
            "Scalars, target_std/<output> and target_mean/<output>: far from 1 and 0.",
            "Scalars, step/loss: starts at the square of that size, then falls slowly or "
            "becomes NaN.",
            "Histograms, predictions/<output>: a needle far from targets/<output>.",
        ),
        causes=("prices, distances or counts used as they are",),
        helps=(
            "train on (target - mean) / std of the training targets, and turn predictions "
            "back",
            "log1p for targets that span powers of ten",
        ),
        example="""\
# Before: targets of about 200,000.
model = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(1)])
model.compile("adam", "mse")
model.fit(features, targets, verbose=0)

# After
mean, deviation = targets.mean(), targets.std()
model = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(1)])
model.compile("adam", "mse")
model.fit(features, (targets - mean) / deviation, verbose=0)
predictions = model.predict(features, verbose=0) * deviation + mean
""",
        sources=(
            "van Hasselt et al., 2016, arXiv:1602.07714",
            "LeCun et al., 2012, Efficient BackProp, doi:10.1007/978-3-642-35289-8_3, "
            "section 4.5",
        ),
    ),
    Fault(
        code="train-inference-gap",
        title="The model behaves otherwise in inference than in training",
        what=(
            "Batch normalisation uses the batch's own mean and variance in training, and "
            "moving averages in inference; dropout is active in training alone. If the "
            "averages have not settled, or a layer runs in the wrong mode, the same data "
            "give a good loss in training and a bad one in validation."
        ),
        looks_like=(
            "Scalars, epoch_loss: validation jumps about or is far worse from the first "
            "epoch, although the data are alike.",
            "Text, cards/model: BatchNormalization, Dropout, and their settings.",
            "Scalars, batch_variation/<layer>: what a layer does depends on its batch.",
        ),
        causes=(
            "training=True passed on in call(), or left out in a loop of one's own",
            "momentum=0.99 with too few steps: the averages need some hundreds",
            "tiny batches, or batches that are not alike (unshuffled)",
            "dropout within a recurrent or custom layer that ignores training",
        ),
        helps=(
            "def call(self, x, training=None), handed on to each layer",
            "BatchNormalization(momentum=0.9) in short runs",
            "GroupNormalization or LayerNormalization for small batches",
        ),
        example="""\
# Before: dropout stays active in predict().
class Head(layers.Layer):
    def __init__(self):
        super().__init__()
        self.dropout = layers.Dropout(0.5)
        self.dense = layers.Dense(10)

    def call(self, x):
        return self.dense(self.dropout(x, training=True))

# After: Keras says which mode it is.
class Head(layers.Layer):
    def __init__(self):
        super().__init__()
        self.dropout = layers.Dropout(0.5)
        self.dense = layers.Dense(10)

    def call(self, x, training=None):
        return self.dense(self.dropout(x, training=training))
""",
        sources=(
            "Ioffe and Szegedy, 2015, arXiv:1502.03167, section 3.1",
            "keras.io/api/layers/normalization_layers/batch_normalization/",
            "Li et al., 2018, arXiv:1801.05134 (dropout before batch normalisation)",
        ),
    ),
)
