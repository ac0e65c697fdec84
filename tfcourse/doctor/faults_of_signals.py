"""Faults of the signal on its way through the layers, forwards and back."""

from tfcourse.doctor.fault import Fault

FAULTS = (
    Fault(
        code="vanishing-gradients",
        title="Vanishing gradients",
        what=(
            "The gradient of a layer is a product of the slopes of all layers above it: "
            "dL/dh1 = dL/dhn * dhn/dh(n-1) * ... * dh2/dh1. With factors below 1 it "
            "shrinks at each layer (a sigmoid's slope is at most 0.25), so the first "
            "layers get almost nothing and stay as they were initialised."
        ),
        looks_like=(
            "Scalars, gradient_norm/<variable>: each layer nearer to the input lies "
            "a constant factor lower; use the logarithmic axis.",
            "Histograms, gradients/<variable>: a needle at 0 in the first layers, "
            "wide in the last.",
            "Scalars, update_ratio/<variable>: the first layers far below the last ones.",
        ),
        causes=(
            "sigmoid or tanh in many hidden layers",
            "weights initialised too small",
            "many layers without shortcuts or normalisation",
            "a long sequence in a simple recurrent layer",
        ),
        helps=(
            'ReLU, GELU or SiLU in hidden layers, with kernel_initializer="he_normal"',
            "BatchNormalization or LayerNormalization between the layers",
            "shortcuts: layers.Add()([x, block(x)])",
            "LSTM or GRU in place of SimpleRNN",
        ),
        example="""\
# Before: at least a factor of 4 is lost at each of eight layers.
model = keras.Sequential(
    [layers.Flatten()]
    + [layers.Dense(64, activation="sigmoid") for _ in range(8)]
    + [layers.Dense(10)]
)

# After: the slope of an active ReLU is 1.
model = keras.Sequential(
    [layers.Flatten()]
    + [layers.Dense(64, "relu", kernel_initializer="he_normal") for _ in range(8)]
    + [layers.Dense(10)]
)
""",
        sources=(
            "Bengio, Simard and Frasconi, 1994, doi:10.1109/72.279181",
            "Glorot and Bengio, 2010, proceedings.mlr.press/v9/glorot10a.html",
            "He et al., 2016, arXiv:1512.03385",
        ),
    ),
    Fault(
        code="exploding-gradients",
        title="Exploding gradients",
        what=(
            "The same product of slopes as in vanishing gradients, with factors above 1: "
            "after n layers or time steps a gradient of size g has become about g * f^n. "
            "One step with it throws the weights far away, and the loss jumps or becomes "
            "NaN."
        ),
        looks_like=(
            "Scalars, gradient_norm/<variable>: rises by powers of ten, or towards the "
            "input from layer to layer; use the logarithmic axis.",
            "Scalars, step/loss: sudden jumps, then NaN.",
            "Histograms, weights/<variable>: becomes wide within a few steps.",
        ),
        causes=(
            "weights initialised too large",
            "long sequences in a recurrent layer",
            "inputs or targets of large numbers",
            "deep blocks without normalisation",
        ),
        helps=(
            "limit the step: keras.optimizers.Adam(clipnorm=1.0)",
            'kernel_initializer="he_normal" (ReLU) or "glorot_uniform" (tanh)',
            "bring inputs and targets to about unit variance",
            "a smaller learning rate, or warm-up in the first steps",
        ),
        example="""\
# Before: weights of variance 1 make the signal about 6 times as large at each layer.
wide = keras.initializers.RandomNormal(mean=0.0, stddev=1.0)
model = keras.Sequential(
    [layers.Flatten()]
    + [layers.Dense(64, "relu", kernel_initializer=wide) for _ in range(3)]
    + [layers.Dense(10)]
)
optimizer = keras.optimizers.SGD(0.1)

# After: the signal keeps its size, and no step is longer than clipnorm allows.
model = keras.Sequential(
    [layers.Flatten()]
    + [layers.Dense(64, "relu", kernel_initializer="he_normal") for _ in range(3)]
    + [layers.Dense(10)]
)
optimizer = keras.optimizers.SGD(0.1, clipnorm=1.0)
""",
        sources=(
            "Pascanu, Mikolov and Bengio, 2013, arXiv:1211.5063",
            "He et al., 2015, arXiv:1502.01852",
        ),
    ),
    Fault(
        code="dead-relu",
        title="Dead ReLU units",
        what=(
            "A ReLU gives max(0, z), and its slope is 0 where z < 0. A unit with z < 0 for "
            "every example gives 0, gets no gradient, and cannot come back: it is dead. "
            "Units that are silent for most examples, but not for all, are healthy."
        ),
        looks_like=(
            "Scalars, dead_units/<layer>: jumps up, mostly in the first steps, and never "
            "falls.",
            "Histograms, activations/<layer>: nearly everything in the bin at 0.",
            "Scalars, gradient_zero_share/<variable>: the columns of dead units are 0.",
        ),
        causes=(
            "one step with too large a learning rate pushed the biases far below 0",
            "a large negative initial bias",
            "inputs that are large and not centred",
        ),
        helps=(
            "a smaller learning rate, or warm-up",
            "scaled inputs: mean 0, standard deviation 1",
            'activation="leaky_relu", "elu" or "gelu": their slope is not 0 below 0',
            'kernel_initializer="he_normal" with biases of 0',
        ),
        example="""\
# Before: the first steps push whole layers below 0.
hidden = layers.Dense(128, activation="relu")
optimizer = keras.optimizers.SGD(learning_rate=5.0)

# After
hidden = layers.Dense(128, activation="leaky_relu", kernel_initializer="he_normal")
optimizer = keras.optimizers.SGD(learning_rate=0.05)
""",
        sources=(
            "Lu et al., 2019, arXiv:1903.06733",
            "He et al., 2015, arXiv:1502.01852 (leaky slopes: PReLU)",
        ),
    ),
    Fault(
        code="saturated-activations",
        title="Saturated activations",
        what=(
            "Sigmoid and tanh are flat far from 0: sigmoid'(z) = s * (1 - s) is 0.0025 at "
            "z = 6. Units pushed there give nearly constant outputs and pass almost no "
            "gradient back."
        ),
        looks_like=(
            "Scalars, saturated_units/<layer>: high, or rising in the first steps.",
            "Histograms, activations/<layer>: two towers at the ends (-1 and 1, or 0 "
            "and 1) with nothing between.",
            "Scalars, gradient_norm/<variable>: small in the layers below it.",
        ),
        causes=(
            "inputs that are not scaled, such as pixels from 0 to 255",
            "weights initialised too large",
            "too large a learning rate",
        ),
        helps=(
            "scale the inputs: layers.Rescaling(1 / 255) or layers.Normalization()",
            'kernel_initializer="glorot_uniform" for tanh and sigmoid',
            "normalisation before the activation",
            "ReLU or GELU in hidden layers",
        ),
        example="""\
# Before: z is a sum of hundreds of numbers up to 255.
model = keras.Sequential(
    [layers.Flatten(), layers.Dense(64, activation="tanh"), layers.Dense(10)]
)

# After
model = keras.Sequential(
    [
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Flatten(),
        layers.Dense(64, activation="tanh"),
        layers.Dense(10),
    ]
)
""",
        sources=(
            "LeCun et al., 2012, Efficient BackProp, doi:10.1007/978-3-642-35289-8_3, "
            "section 4.4",
            "Glorot and Bengio, 2010, proceedings.mlr.press/v9/glorot10a.html",
        ),
    ),
    Fault(
        code="symmetric-initialisation",
        title="All units of a layer start equal",
        what=(
            "Units with the same weights give the same output and get the same gradient, "
            "so they stay equal for ever: a layer of 128 units is one unit. With zeros "
            "everywhere, gradients of the hidden layers are 0 as well."
        ),
        looks_like=(
            "Histograms, weights/<variable>: one single bar at step 0, later a few lines "
            "in place of a bell.",
            "Scalars, weight_rms/<variable>: 0 at the first step, for zeros.",
            "Scalars, gradient_zero_share/<variable>: 1 in hidden layers, for zeros.",
        ),
        causes=(
            'kernel_initializer="zeros", "ones" or a constant',
            "weights set by hand with np.zeros or np.full",
        ),
        helps=(
            'random kernels: kernel_initializer="he_normal" or "glorot_uniform"',
            "constants only for biases, and for the scales of normalisation",
        ),
        example="""\
# Before
layer = layers.Dense(128, activation="relu", kernel_initializer="zeros")

# After
layer = layers.Dense(128, activation="relu", kernel_initializer="he_normal")
""",
        sources=(
            "Goodfellow, Bengio and Courville, 2016, Deep Learning, section 8.4, "
            "www.deeplearningbook.org",
        ),
    ),
    Fault(
        code="initialisation-scale",
        title="Initial weights too large or too small",
        what=(
            "The variance of a layer's outputs is about fan_in * Var(w) * E(x^2). It stays "
            "the same through the layers with Var(w) = 2 / fan_in for ReLU and about "
            "1 / fan_in for tanh. Larger weights make signals grow from layer to layer, "
            "smaller ones make them fade."
        ),
        looks_like=(
            "Scalars, activation_std/<layer>: at the first step it grows or shrinks by "
            "a constant factor from layer to layer.",
            "Scalars, step/loss: starts far from what chance gives: ln(number of classes) "
            "for cross-entropy.",
            "Scalars, weight_rms/<variable>: far from sqrt(2 / fan_in).",
        ),
        causes=(
            "RandomNormal with its default of 0.05, or a standard deviation by guess",
            "an initialiser that does not know the layer's width",
            "weights of another network, scaled otherwise",
        ),
        helps=(
            'kernel_initializer="he_normal" with ReLU and its kin',
            'kernel_initializer="glorot_uniform" (the default) with tanh, sigmoid, softmax',
            "normalisation layers, which make the scale matter less",
        ),
        example="""\
# Before
wide = keras.initializers.RandomNormal(mean=0.0, stddev=1.0)
layer = layers.Dense(256, "relu", kernel_initializer=wide)

# After
layer = layers.Dense(256, "relu", kernel_initializer="he_normal")
""",
        sources=(
            "Glorot and Bengio, 2010, proceedings.mlr.press/v9/glorot10a.html",
            "He et al., 2015, arXiv:1502.01852, section 2.2",
        ),
    ),
    Fault(
        code="missing-nonlinearity",
        title="Layers without a nonlinearity between them",
        what=(
            "Two linear layers in a row are one: W2 (W1 x + b1) + b2 = (W2 W1) x + "
            "(W2 b1 + b2). However many there are, the model can only draw flat borders, "
            "and stops at what a linear model reaches."
        ),
        looks_like=(
            "Graphs, keras: Dense or Conv layers follow each other without an activation.",
            "Text, cards/model: hidden layers with activation linear.",
            "Scalars, epoch_loss: training and validation stop early, at the same high "
            "value.",
            "Histograms, activations/<layer>: hidden layers with as much below 0 as above.",
        ),
        causes=(
            "activation= forgotten: the default of Dense and Conv2D is linear",
            "a nonlinearity made in call() whose result is not used",
        ),
        helps=('activation="relu" in each hidden layer',),
        example="""\
# Before: as strong as one Dense(10).
model = keras.Sequential([layers.Flatten(), layers.Dense(128), layers.Dense(10)])

# After
model = keras.Sequential(
    [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)]
)
""",
        sources=(
            "Goodfellow, Bengio and Courville, 2016, Deep Learning, section 6.1, "
            "www.deeplearningbook.org",
            "keras.io/api/layers/core_layers/dense/",
        ),
    ),
)
