"""Faults of the data: what goes in, and what it is compared with."""

from tfcourse.doctor.fault import Fault

FAULTS = (
    Fault(
        code="unnormalised-inputs",
        title="Inputs that are not scaled",
        what=(
            "The gradient of a first-layer weight is its input times what comes from "
            "above: dL/dw_i = x_i * dL/dz. Inputs of 0 to 255 make it hundreds of times as "
            "large as inputs of 0 to 1, and columns of different sizes make the loss a "
            "long narrow valley, in which no single rate is right."
        ),
        looks_like=(
            "Histograms, inputs/<input>: reaches to 255, or thousands; or a range that "
            "one column alone stretches.",
            "Scalars, step/loss: very high at the first step, then jumps.",
            "Scalars, gradient_norm/<variable>: the first kernel's far above the others.",
        ),
        causes=(
            "uint8 images used as they are",
            "table columns in different units, such as age and income",
            "scaled in training, but not for validation or prediction",
        ),
        helps=(
            "images: layers.Rescaling(1 / 255) as the model's first layer",
            "tables: layers.Normalization(), adapted on the training data alone",
        ),
        example="""\
# Before
model = keras.Sequential([layers.Flatten(), layers.Dense(10)])

# After: part of the model, so that it can't be forgotten in prediction.
scale = layers.Rescaling(1 / 255)
model = keras.Sequential([scale, layers.Flatten(), layers.Dense(10)])

# After, for a table: a mean and a variance for each column.
normalization = layers.Normalization()
normalization.adapt(features)
model = keras.Sequential([normalization, layers.Dense(16, "relu"), layers.Dense(1)])
""",
        sources=(
            "LeCun et al., 2012, Efficient BackProp, doi:10.1007/978-3-642-35289-8_3, "
            "section 4.3",
            "keras.io/api/layers/preprocessing_layers/numerical/normalization/",
        ),
    ),
    Fault(
        code="misaligned-labels",
        title="Labels don't belong to their inputs",
        what=(
            "Inputs and labels were put into different orders, so each example carries the "
            "label of another. There is nothing to learn but how frequent the classes are: "
            "the loss stops at the entropy of the labels, ln(C) for C equal classes. A "
            "large model then learns the examples by heart."
        ),
        looks_like=(
            "Images, images/inputs: the labels beside the images are wrong.",
            "Scalars, epoch_loss: training near ln(number of classes), validation never "
            "below it.",
            "Scalars, epoch_accuracy: validation at chance, whatever the model.",
        ),
        causes=(
            "inputs shuffled or sorted without their labels",
            "two tf.data sets shuffled with different seeds, then zipped",
            "rows dropped or filtered on one side only; off by one row",
            "files listed in another order than the table of labels",
        ),
        helps=(
            "one permutation for both: order = rng.permutation(len(labels))",
            "zip first, then shuffle the pairs",
            "look at ten examples with their labels, as the model gets them",
        ),
        example="""\
# Before: two orders.
rng = np.random.default_rng(0)
mixed_images, mixed_labels = rng.permutation(images), rng.permutation(labels)

# After: one order for both.
order = rng.permutation(len(labels))
mixed_images, mixed_labels = images[order], labels[order]
train_ds = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(1000).batch(32)
""",
        sources=(
            "Zhang et al., 2017, arXiv:1611.03530 (networks can learn random labels)",
            "Karpathy, 2019, karpathy.github.io/2019/04/25/recipe/",
        ),
    ),
    Fault(
        code="unshuffled-data",
        title="Data in the order of their classes",
        what=(
            "Each step follows the gradient of its batch. If a batch holds one class only, "
            "the model learns to say that class, and forgets the one before. The loss of "
            "the batches goes up and down with the classes, and validation is poor."
        ),
        looks_like=(
            "Scalars, label_share/<class>: 1 for a stretch of steps, 0 otherwise; equal "
            "and noisy in shuffled data.",
            "Scalars, step/loss: saw teeth, the same in each epoch.",
            "Images, images/inputs: one kind of image.",
        ),
        causes=(
            "files or rows sorted by class, and no shuffle()",
            "shuffle() with a buffer that is small against the length of a class",
            "batch() before shuffle(): whole batches change places",
            "shuffle=False in fit, or a tf.data set, which fit never shuffles",
        ),
        helps=(
            "shuffle examples, before batch(), with a buffer of the whole set",
            "for a set larger than memory: mix the files, then shuffle a buffer",
        ),
        example="""\
# Before: the order of batches changes, their content does not.
pairs = tf.data.Dataset.from_tensor_slices((images, labels))
train_ds = pairs.batch(32).shuffle(100)

# After
train_ds = pairs.shuffle(len(labels), seed=0).batch(32).prefetch(tf.data.AUTOTUNE)
""",
        sources=(
            "Bottou, 2012, doi:10.1007/978-3-642-35289-8_25, section 3.1",
            "McCloskey and Cohen, 1989, doi:10.1016/S0079-7421(08)60536-8 (forgetting)",
        ),
    ),
    Fault(
        code="class-imbalance",
        title="One class is far more frequent than the others",
        what=(
            "With 95 % of one class, always saying that class is right in 95 % of the "
            "cases. The mean loss is made by the frequent class, so the rare ones hardly "
            "move the weights, and accuracy does not show it."
        ),
        looks_like=(
            "Scalars, label_share/<class>: one class far above the others at all steps.",
            "Scalars, epoch_accuracy: at once at the share of the frequent class, and "
            "stays there.",
            "Histograms, predictions/<output>: nearly always the same.",
        ),
        causes=(
            "rare events: defects, fraud, illnesses",
            "a filter that has dropped most of one class",
        ),
        helps=(
            "weigh: model.fit(..., class_weight=...)",
            "draw rare classes more often: tf.data.Dataset.sample_from_datasets",
            "measure what counts: AUC(curve='PR'), recall and precision per class",
        ),
        example="""\
# Before
model = build_model()
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, verbose=0)

# After: each class weighs as much as every other.
counts = np.bincount(labels, minlength=10)
weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
model.fit(images, labels, class_weight=dict(enumerate(weights)), verbose=0)
""",
        sources=(
            "He and Garcia, 2009, doi:10.1109/TKDE.2008.239",
            "Buda, Maki and Mazurowski, 2018, arXiv:1710.05381",
        ),
    ),
    Fault(
        code="data-leakage",
        title="Validation data are among the training data",
        what=(
            "If the same or nearly the same examples stand in both sets, or a column gives "
            "the answer away, the validation score measures memory. It looks better than "
            "what new data will give."
        ),
        looks_like=(
            "Scalars, epoch_loss: validation follows training to the end, even where a "
            "large model ought to overfit.",
            "Scalars, epoch_accuracy: better than anything published, at once.",
            "Text, cards/data: how many validation examples occur in training.",
        ),
        causes=(
            "augmented or oversampled first, split afterwards",
            "duplicates in the collection; several pictures or frames of one thing",
            "random split of a time series, or of several rows per person",
            "scaling or feature selection fitted on all data",
            "shuffled anew at each epoch before take() and skip()",
        ),
        helps=(
            "split first, by person, place or time; augment the training part only",
            "drop duplicates before the split",
            "reshuffle_each_iteration=False in front of take() and skip()",
        ),
        example="""\
# Before: another order in each epoch, so examples wander between the two parts.
pairs = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(labels))
val_ds, train_ds = pairs.take(10).batch(32), pairs.skip(10).batch(32)

# After: split once; shuffle the training part alone.
pairs = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(
    len(labels), seed=0, reshuffle_each_iteration=False
)
val_ds, train_ds = pairs.take(10).batch(32), pairs.skip(10).shuffle(1000).batch(32)
""",
        sources=(
            "Kaufman et al., 2012, doi:10.1145/2382577.2382579",
            "Barz and Denzler, 2020, arXiv:1902.00423 (duplicates in CIFAR)",
        ),
    ),
    Fault(
        code="train-validation-shift",
        title="Validation data differ from the training data",
        what=(
            "A model is good where the data are like its training data. If validation "
            "inputs are scaled, cropped or collected otherwise, or the classes have other "
            "shares, the validation loss is high from the first epoch on: this is not "
            "overfitting, which begins later."
        ),
        looks_like=(
            "Scalars, epoch_loss: validation far above training from the first epoch.",
            "Text, cards/data: mean and deviation of both sets.",
            "Histograms, inputs/<input>: the training side; compare with your own "
            "validation data.",
        ),
        causes=(
            "scaling applied to one set only, or fitted on each set by itself",
            "the last part of sorted data taken for validation (validation_split takes "
            "the end, unshuffled)",
            "another source, time or camera",
        ),
        helps=(
            "preprocessing inside the model, so that it is the same for all data",
            "shuffle before the split, unless time matters",
            "if the shift is real: collect training data that are like the validation data",
        ),
        example="""\
# Before: training images are scaled, validation images are not.
model = build_model()
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
scaled = images / 255
model.fit(scaled, labels, validation_data=(val_images, val_labels), verbose=0)

# After: scaled in the model.
model = keras.Sequential([layers.Rescaling(1 / 255), build_model()])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, validation_data=(val_images, val_labels), verbose=0)
""",
        sources=(
            "Moreno-Torres et al., 2012, doi:10.1016/j.patcog.2011.06.019",
            "Rabanser, Günnemann and Lipton, 2019, arXiv:1810.11953",
        ),
    ),
    Fault(
        code="label-noise",
        title="Some labels are wrong",
        what=(
            "With a share of wrong labels the training loss cannot become small by "
            "learning what is general. Networks learn the right labels first; later they "
            "learn the wrong ones by heart, and the validation score falls."
        ),
        looks_like=(
            "Scalars, epoch_loss: training stays high for long, then falls late while "
            "validation rises.",
            "Images, images/inputs: some labels are wrong, most are right.",
            "Scalars, epoch_accuracy: better in validation than in training, if the "
            "validation labels are clean.",
        ),
        causes=(
            "labels from search, tags or hasty annotators",
            "classes that cannot be told apart",
            "an error in the conversion of some files",
        ),
        helps=(
            "look at the training examples with the highest loss, and mend their labels",
            "stop early: keras.callbacks.EarlyStopping(restore_best_weights=True)",
            "CategoricalCrossentropy(label_smoothing=0.1)",
        ),
        example="""\
# Before
model = build_model()
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images, labels, verbose=0)

# After: the examples to look at first.
logits = model.predict(images, verbose=0)
losses = keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
suspects = np.argsort(keras.ops.convert_to_numpy(losses))[::-1][:20]
""",
        sources=(
            "Arpit et al., 2017, arXiv:1706.05394",
            "Northcutt, Jiang and Chuang, 2021, arXiv:1911.00068",
        ),
    ),
)
