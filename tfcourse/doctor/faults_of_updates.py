"""Faults of the step that changes the weights."""

from tfcourse.doctor.fault import Fault

FAULTS = (
    Fault(
        code="learning-rate-too-high",
        title="Learning rate too high",
        what=(
            "A step of gradient descent, w <- w - rate * dL/dw, lowers the loss only while "
            "the rate is below about 2 / curvature. Above, each step jumps over the valley "
            "to a higher place on the other side: the loss swings, grows, or becomes NaN."
        ),
        looks_like=(
            "Scalars, step/loss: swings wildly, rises above its start, or is NaN.",
            "Scalars, update_ratio/<variable>: above about 0.1; about 0.001 is usual.",
            "Scalars, weight_rms/<variable>: grows quickly from the first steps.",
        ),
        causes=(
            "a rate made for another optimiser: 0.1 is usual for SGD, not for Adam",
            "the loss is a sum over the batch rather than a mean",
            "no warm-up in front of a large rate",
        ),
        helps=(
            "divide the rate by 10, and again until step/loss falls",
            "Adam: begin with 1e-3; SGD with momentum 0.9: with 1e-2",
            "warm-up and decay: keras.optimizers.schedules.CosineDecay",
        ),
        example="""\
# Before
optimizer = keras.optimizers.Adam(learning_rate=0.5)

# After: up to 1e-3 in the first 100 steps, then down to 0.
optimizer = keras.optimizers.Adam(
    keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=2000, warmup_target=1e-3, warmup_steps=100
    )
)
""",
        sources=(
            "LeCun et al., 2012, Efficient BackProp, doi:10.1007/978-3-642-35289-8_3, "
            "section 5",
            "Cohen et al., 2021, arXiv:2103.00065 (the border at 2 / curvature)",
            "Smith, 2017, arXiv:1506.01186 (how to find a rate)",
        ),
    ),
    Fault(
        code="learning-rate-too-low",
        title="Learning rate too low",
        what=(
            "Each step changes the weights by so small a share that the loss falls along "
            "a straight, nearly flat line. Nothing is broken: the run would need many "
            "times as long."
        ),
        looks_like=(
            "Scalars, epoch_loss: falls steadily, hardly bends, and is far from flat at "
            "the end.",
            "Scalars, update_ratio/<variable>: below about 1e-5 in all layers.",
            "Histograms, weights/<variable>: the same shape at the first and last step.",
        ),
        causes=(
            "the rate of fine-tuning used for training from scratch",
            "a schedule that has decayed to nearly 0: see step/learning_rate",
            "SGD with the rate that suits Adam",
        ),
        helps=(
            "multiply the rate by 10 until the loss becomes unstable, then go back one",
            "check the schedule's decay_steps against steps per epoch * epochs",
        ),
        example="""\
# Before
optimizer = keras.optimizers.SGD(learning_rate=1e-5)

# After
optimizer = keras.optimizers.SGD(learning_rate=1e-2, momentum=0.9)
""",
        sources=(
            "Bengio, 2012, arXiv:1206.5533, section 3.1.1",
            "Smith, 2017, arXiv:1506.01186",
        ),
    ),
    Fault(
        code="non-finite-values",
        title="NaN or infinity",
        what=(
            "log(0), 0 / 0, sqrt'(0) and numbers beyond the format's range (65,504 in "
            "float16) give infinity or NaN. A NaN in one gradient makes the weight NaN, "
            "and then everything after it; from there on the run is lost."
        ),
        looks_like=(
            "Scalars, step/loss: the line ends, or shows triangles where NaN begins.",
            "Scalars, gradient_norm/<variable>: the last value before NaN says whether "
            "it had grown (a rate too high) or came at once (data, log, division).",
            "Histograms, inputs/<input>: missing or odd if the data hold NaN.",
        ),
        causes=(
            "NaN or infinity in the data",
            "a loss of one's own with log, division or sqrt at 0",
            "steps so large that values overflow: see exploding-gradients",
            "float16 without loss scaling",
        ),
        helps=(
            "look for them in the data: np.isfinite(features).all()",
            "keep away from 0: keras.ops.log(keras.ops.maximum(p, 1e-7))",
            "from_logits=True rather than softmax followed by a log",
            "bfloat16, or mixed_float16 through compile(), which scales the loss",
        ),
        example="""\
# Before: log(0) as soon as a probability underflows.
def cross_entropy(one_hot, logits):
    probabilities = keras.ops.exp(logits) / keras.ops.sum(
        keras.ops.exp(logits), axis=-1, keepdims=True
    )
    return -keras.ops.sum(one_hot * keras.ops.log(probabilities), axis=-1)

# After: computed without the detour over probabilities.
cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
""",
        sources=(
            "Goldberg, 1991, doi:10.1145/103162.103163",
            "Micikevicius et al., 2018, arXiv:1710.03740 (loss scaling)",
        ),
    ),
    Fault(
        code="frozen-weights",
        title="Weights that don't change",
        what=(
            "Variables with trainable = False, or that the optimizer was never given, keep "
            "their values. If they were never trained, random features stay random. In "
            "fine-tuning this is meant; after unfreezing it is not."
        ),
        looks_like=(
            "Histograms, weights/<variable>: exactly the same at all steps.",
            "Scalars, update_ratio/<variable>: 0, or missing for these variables.",
            "Text, cards/model: trainable and other parameters.",
        ),
        causes=(
            "layer.trainable = False left over from another stage",
            "trainable changed after compile() without compiling again",
            "a custom train_step that passes only some of the variables",
        ),
        helps=(
            "layer.trainable = True, then compile() again",
            "pass self.trainable_variables, all of them, to tape and optimizer",
        ),
        example="""\
# Before: a base that was never trained is frozen.
model = build_model()
for layer in model.layers[:-1]:
    layer.trainable = False
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

# After: compile() takes up what is trainable.
for layer in model.layers:
    layer.trainable = True
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
""",
        sources=(
            "keras.io/guides/transfer_learning/",
            "Yosinski et al., 2014, arXiv:1411.1792",
        ),
    ),
    Fault(
        code="disconnected-gradient",
        title="No gradient reaches a variable",
        what=(
            "Between the loss and the variable stands something without a slope: "
            "stop_gradient, argmax, round, a cast to integers, numpy, or an output that "
            "the loss does not use. The gradient is None or exactly 0, and the variable "
            "never learns."
        ),
        looks_like=(
            "Scalars, gradient_zero_share/<variable>: exactly 1 at every step.",
            "Scalars, gradient_norm/<variable>: exactly 0, or no such tag.",
            "Graphs: no path from the layer to the loss.",
        ),
        causes=(
            "keras.ops.stop_gradient or tf.stop_gradient",
            "argmax, round, comparisons and casts within the model",
            "numpy within call(), or a part computed outside the tape",
            "a branch whose output no loss uses",
        ),
        helps=(
            "smooth stand-ins: softmax for argmax, sigmoid for a threshold",
            "keras.ops or tf inside the model, and all of it inside the tape",
            "a loss for each output that has to learn",
        ),
        example="""\
# Before: a comparison has no slope.
gated = layers.Lambda(lambda x: keras.ops.cast(x > 0.5, "float32"))

# After: a steep sigmoid is nearly the same, and has one.
gated = layers.Lambda(lambda x: keras.ops.sigmoid(10 * (x - 0.5)))
""",
        sources=(
            "www.tensorflow.org/guide/autodiff, Getting a gradient of None",
            "Bengio, Léonard and Courville, 2013, arXiv:1308.3432",
        ),
    ),
    Fault(
        code="wrong-update",
        title="The step is not applied, or goes the wrong way",
        what=(
            "Learning means w <- w - rate * dL/dw. If the gradients are computed but not "
            "applied, nothing moves. If the sign is wrong, each step climbs: the loss "
            "rises as surely as it should fall."
        ),
        looks_like=(
            "Scalars, update_cosine/<variable>: near 1 (SGD) or clearly positive (Adam) "
            "in a healthy run; negative if the sign is wrong.",
            "Scalars, update_ratio/<variable>: 0 although gradient_norm/<variable> is not.",
            "Scalars, step/loss: flat to the last digit, or rising from the first step.",
        ),
        causes=(
            "optimizer.apply() missing in a custom train_step",
            "a minus sign too many in a loss of one's own, or a score used as a loss",
            "gradients and variables in different orders",
            "weights set back by a callback or assign()",
        ),
        helps=(
            "self.optimizer.apply(gradients, self.trainable_variables)",
            "a loss is small when the model is right: negate scores",
            "the same list of variables for tape.gradient() and apply()",
        ),
        example="""\
class Classifier(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        # Before: nothing follows, or self.optimizer.apply([-g for g in gradients], ...)
        # After:
        self.optimizer.apply(gradients, variables)
        return {"loss": loss}
""",
        sources=(
            "keras.io/guides/custom_train_step_in_tensorflow/",
            "Kingma and Ba, 2015, arXiv:1412.6980 (Adam's step)",
        ),
    ),
)
