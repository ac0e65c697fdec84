"""Faults of the balance between what the model can learn and what it should."""

from tfcourse.doctor.fault import Fault

FAULTS = (
    Fault(
        code="overfitting",
        title="Overfitting",
        what=(
            "The model goes on lowering the training loss by learning single examples by "
            "heart, which does not help with new ones: the validation loss reaches its "
            "lowest point and rises again. What counts is that turn, not the gap alone."
        ),
        looks_like=(
            "Scalars, epoch_loss: training falls, validation turns and rises.",
            "Scalars, epoch_accuracy: training near 1, validation well below and flat.",
        ),
        causes=(
            "few data for a large model",
            "many epochs without stopping",
            "no augmentation, dropout or weight decay",
        ),
        helps=(
            "stop at the turn: EarlyStopping(restore_best_weights=True)",
            "more data, or augmentation: RandomTranslation, RandomRotation",
            "layers.Dropout(0.3), or keras.optimizers.AdamW(weight_decay=1e-4)",
            "a smaller model",
        ),
        example="""\
# Before
model = build_model()
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, validation_data=(val_images, val_labels), verbose=0)

# After: goes back to the weights of the best epoch.
stop = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
model.fit(
    images,
    labels,
    validation_data=(val_images, val_labels),
    callbacks=[stop],
    verbose=0,
)
""",
        sources=(
            "Prechelt, 1998, Early stopping, but when?, doi:10.1007/3-540-49430-8_3",
            "Srivastava et al., 2014, Dropout, jmlr.org/papers/v15/srivastava14a.html",
        ),
    ),
    Fault(
        code="underfitting",
        title="Underfitting",
        what=(
            "The model is too small or too simple for the task, or was trained too "
            "shortly: already on the training data the loss stays high. Training and "
            "validation lie close together, both poor."
        ),
        looks_like=(
            "Scalars, epoch_loss: both curves flat, close together and high.",
            "Scalars, gradient_norm/<variable>: not small; there is a pull, but no way.",
        ),
        causes=(
            "too few layers or units",
            "inputs without what the task needs",
            "too few epochs, if the curve still falls",
        ),
        helps=(
            "overfit one batch first: if even that fails, it is another fault",
            "more units, then more layers; convolutions for images",
            "more epochs, while the loss still falls",
        ),
        example="""\
# Before: four units for ten classes.
model = keras.Sequential(
    [layers.Flatten(), layers.Dense(4, activation="relu"), layers.Dense(10)]
)

# After
model = keras.Sequential(
    [
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ]
)
""",
        sources=(
            "Goodfellow, Bengio and Courville, 2016, Deep Learning, section 5.2, "
            "www.deeplearningbook.org",
            "Karpathy, 2019, karpathy.github.io/2019/04/25/recipe/",
        ),
    ),
    Fault(
        code="over-regularised",
        title="Too much regularisation",
        what=(
            "What is minimised is loss(data) + strength * penalty(weights). If the second "
            "term is much the larger, the weights shrink towards 0 and the data hardly "
            "count. Dropout of nearly all units has the same effect."
        ),
        looks_like=(
            "Scalars, step/regularisation: larger than step/data_loss for the whole run.",
            "Scalars, weight_rms/<variable>: falls steadily towards 0.",
            "Scalars, epoch_loss: training above validation (dropout), or both flat.",
        ),
        causes=(
            "an L1 or L2 factor copied from elsewhere, such as 0.1",
            "Dropout(0.9), where the share that is kept was meant",
            "several means at once",
        ),
        helps=(
            "L2 of 1e-4 or 1e-5; or AdamW(weight_decay=1e-4)",
            "Dropout between 0.1 and 0.5: the share that is dropped",
            "begin without any; add one when validation turns",
        ),
        example="""\
# Before
layer = layers.Dense(128, "relu", kernel_regularizer=keras.regularizers.L2(0.5))
dropout = layers.Dropout(0.9)

# After
layer = layers.Dense(128, "relu", kernel_regularizer=keras.regularizers.L2(1e-4))
dropout = layers.Dropout(0.2)
""",
        sources=(
            "Krogh and Hertz, 1991, A simple weight decay can improve generalization, "
            "NeurIPS 4",
            "Loshchilov and Hutter, 2019, arXiv:1711.05101",
            "Srivastava et al., 2014, Dropout, jmlr.org/papers/v15/srivastava14a.html",
        ),
    ),
)
