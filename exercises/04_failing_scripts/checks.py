"""What right answers to 04_failing_scripts promise.

Each script has the same five promises: the fault, the tag, the sentence, that nothing but
the cause was changed, and that the changed script trains. The first four train nothing.
"""

import contextlib
import dataclasses
import difflib
import functools
import json
import re
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfcourse import failing_scripts
from tfcourse.checking import check, explain
from tfcourse.doctor.faults import FAULTS, near_codes
from tfcourse.failing_scripts import HEALTHY, plain_tag

TAGS = json.loads(Path(__file__).with_name("tags.json").read_text(encoding="utf-8"))
MIN_WORDS = 8
NUM_PIXELS = 28 * 28


@dataclasses.dataclass(frozen=True)
class Case:
    """What holds for one script."""

    causes: tuple[frozenset[str], ...]  # For each cause the codes that name it.
    evidence: str  # Pattern of the tags that show it.
    symptoms: tuple[str, ...] = ()  # May stand beside the cause, not in its place.
    free: tuple[str, ...] = ()  # Facts of the program that mending may change.
    accuracy: float = 0.88  # That the mended script reaches on validation examples.
    refuted: dict = dataclasses.field(default_factory=dict)  # What speaks against it.


def one(*codes):
    """Return a cause that any of the codes names."""
    return (frozenset(codes),)


LAYER = r"(\w+/)?(hidden_\d|output)"
EPOCHS = r"epoch_(loss|accuracy)|step/(loss|data_loss|accuracy)"
CASES = {
    "amber": Case(
        causes=one("loss-activation-mismatch"),
        evidence=r"step/(loss|data_loss)|epoch_loss|cards/(loss|model)|keras"
        r"|(predictions|activations|(prediction_)?activation_(min|max|mean))/output",
        symptoms=("underfitting",),
        free=("loss", "activations"),
        refuted={
            "learning-rate-too-high": "the loss is too large before the first step",
            "initialisation-scale": "weight_rms is that of any Glorot initialiser",
            "unnormalised-inputs": "inputs/input reaches from 0 to 1",
        },
    ),
    "birch": Case(
        causes=one("unnormalised-inputs"),
        evidence=r"inputs/input|input_(mean|std)/input|cards/data|step/(loss|data_loss)"
        rf"|(gradient_norm|gradients)/{LAYER}/kernel"
        r"|(activations|activation_(std|max|mean|min))/(flatten|hidden_1)",
        symptoms=(
            *("learning-rate-too-high", "exploding-gradients", "dead-relu"),
            *("initialisation-scale", "underfitting"),
        ),
        refuted={
            "initialisation-scale": "weight_rms is that of any Glorot initialiser"
        },
    ),
    "cedar": Case(
        causes=one("vanishing-gradients"),
        evidence=rf"(gradient_norm|gradients|update_ratio|update_rms)/{LAYER}/kernel",
        symptoms=("underfitting", "learning-rate-too-low"),
        free=("activations", "initialisers"),
        refuted={
            "saturated-activations": "saturated_units stays at 0: see activations/hidden_1",
            "learning-rate-too-low": "the last layer's update_ratio is as usual; the "
            "rate is the same for all layers",
        },
    ),
    "delta": Case(
        causes=one("learning-rate-too-high"),
        evidence=rf"step/(loss|loss_after|data_loss)|epoch_loss"
        rf"|(update_ratio|update_rms|weight_rms|weights)/{LAYER}/(kernel|bias)"
        r"|step/learning_rate|epoch_learning_rate|cards/optimizer",
        symptoms=("dead-relu", "exploding-gradients", "underfitting"),
        free=("learning rate",),
    ),
    "ember": Case(
        causes=one("missing-nonlinearity"),
        evidence=r"keras|cards/model|activations/hidden_\d"
        r"|(zero_share|activation_(min|mean))/hidden_\d",
        symptoms=("underfitting",),
        free=("activations", "initialisers"),
        accuracy=0.96,
    ),
    "fjord": Case(
        causes=one("misaligned-labels"),
        evidence=rf"images/inputs|{EPOCHS}",
        symptoms=("overfitting", "underfitting"),
        refuted={
            "label-noise": "noise spares some labels; look at images/inputs how many "
            "are right here"
        },
    ),
    "grove": Case(
        causes=one("unshuffled-data"),
        evidence=r"label_share/\d|labels/\w+|images/inputs|step/(loss|accuracy)"
        r"|target_(mean|std)/target|targets/target",
        symptoms=("class-imbalance", "underfitting"),
        refuted={"class-imbalance": "over an epoch all digits come equally often"},
    ),
    "heath": Case(
        causes=one("wrong-update"),
        evidence=r"step/(loss|loss_after|data_loss|predicted_change)|epoch_loss",
        symptoms=("exploding-gradients", "non-finite-values", "learning-rate-too-high"),
        refuted={
            "learning-rate-too-high": "the loss rises from the first step on, with an "
            "update_ratio that is small there"
        },
    ),
    "islet": Case(
        causes=one("learning-rate-too-low") + one("train-validation-shift"),
        evidence=rf"(update_ratio|update_rms|weight_rms|weights)/{LAYER}/(kernel|bias)"
        r"|step/(loss|learning_rate)|epoch_(loss|accuracy|learning_rate)"
        r"|cards/(optimizer|data)",
        symptoms=("underfitting", "unnormalised-inputs"),
        free=("learning rate",),
    ),
    "juniper": Case(causes=one(HEALTHY), evidence=EPOCHS),
}


# The diagnosis --------------------------------------------------------------------------


def answer_to(name, submission):
    """Return the student's answer with the types that it must have."""
    answer = getattr(submission, name)()
    assert answer is not None, explain(
        "nothing comes back: is there a return?", expected="an Answer", received=None
    )
    parts = [
        getattr(answer, part, None) for part in ("faults", "tag", "why", "changes")
    ]
    faults = (parts[0],) if isinstance(parts[0], str) else parts[0]
    right = isinstance(faults, tuple | list | set) and isinstance(parts[3], dict)
    right = right and all(isinstance(part, str) for part in (*faults, *parts[1:3]))
    right = right and all(isinstance(s, str) for pair in parts[3].items() for s in pair)
    assert right, explain(
        "the answer has parts of another type",
        expected="Answer(faults=(code, ...), tag=text, why=text, changes={text: text})",
        received=answer,
    )
    return [code.strip() for code in faults], *parts[1:]


def the_fault_is_named(name, submission):
    """Fail unless each cause is named, and besides it at most its symptoms."""
    case = CASES[name]
    faults, *_ = answer_to(name, submission)
    assert faults, explain(
        "no fault is named", expected=f"codes, or {HEALTHY}", received="none"
    )
    for code in faults:
        near = ", ".join([*near_codes(code), HEALTHY])
        assert code in FAULTS or code == HEALTHY, explain(
            "there is no such fault (tfcourse doctor --explain lists them)",
            expected=f"perhaps {near}",
            received=code,
        )
    assert HEALTHY not in faults or len(faults) == 1, explain(
        "a run is healthy or it has a fault, not both",
        expected="one of them",
        received=faults,
    )
    found = [cause for cause in case.causes if cause & set(faults)]
    for code in faults:
        if not any(code in cause for cause in case.causes):
            refuse_code(name, code, is_cause_named=bool(found))
    assert len(found) == len(case.causes), explain(
        "one cause is named, and mending it alone does not make it train: look at "
        "training and validation by themselves",
        expected=f"{len(case.causes)} causes",
        received=faults,
    )


def refuse_code(name, code, *, is_cause_named):
    """Fail unless a code that names no cause stands beside the cause, as a symptom."""
    case = CASES[name]
    if code in case.symptoms and is_cause_named:
        return
    if case.causes == one(HEALTHY):
        mistake = (
            "this run has no fault: ask what dropout does in training, and what in "
            "validation"
        )
    elif code == HEALTHY:
        mistake = "this run is not healthy: it stays far below what these data allow"
    elif code in case.refuted:
        mistake = f"it is not that: {case.refuted[code]}"
    elif code in case.symptoms:
        mistake = "this is a symptom: it is there, but something brings it about"
    else:
        mistake = "the recording does not show this"
    raise AssertionError(
        explain(mistake, expected="what causes the failure", received=code)
    )


def the_tag_shows_it(name, submission):
    """Fail unless the tag is in the recording and a sick run differs there."""
    _, given, *_ = answer_to(name, submission)
    tag = plain_tag(given)
    near = difflib.get_close_matches(tag, TAGS[name], n=3, cutoff=0.4)
    assert tag in TAGS[name], explain(
        f"the recording of {name}.py has no such tag",
        expected=f"a tag as TensorBoard shows it, such as {' or '.join(near)}",
        received=given,
    )
    assert re.fullmatch(CASES[name].evidence, tag), explain(
        "this tag does not show it: it would look alike in a run without this fault, "
        "or shows a consequence",
        expected="where the fault itself is to be seen",
        received=given,
    )


def the_sentence_says_why(name, submission):
    """Fail unless the reason has words of its own."""
    faults, tag, why, _ = answer_to(name, submission)
    text = why
    for known in (*faults, *FAULTS, tag, f"{name}.py"):
        text = text.replace(known, " ")
    words = set(re.findall(r"[^\W_]{2,}", text.lower()))
    assert len(words) >= MIN_WORDS, explain(
        "say in a sentence what is to be seen and where it comes from, beside code "
        "and tag",
        expected=f"at least {MIN_WORDS} different words",
        received=why or "nothing",
    )


# The mended script ----------------------------------------------------------------------


class _Reached(Exception):
    """Ends a script when it calls fit."""


def until_fit(module, datasets):
    """Return the model and the arguments that a script brings to fit."""
    seen = []

    def stop(_, model, arguments):
        seen.append((model, arguments))
        raise _Reached

    keras.utils.set_random_seed(0)
    with failing_scripts.fit_replaced(stop), contextlib.suppress(_Reached):
        module.train(*datasets, [])
    assert seen, explain(
        "the script no longer trains",
        expected="a call of model.fit",
        received="none",
    )
    return seen[0]


def few_digits(num_examples=200):
    """Return some of the digits that the scripts get, to train on and to validate on."""
    return [(x[:num_examples], y[:num_examples]) for x, y in failing_scripts.digits()]


def batches_of(arguments):
    """Return the training batches of one epoch, as numpy arrays."""
    x, y, size = arguments["x"], arguments["y"], arguments["batch_size"] or 32
    if isinstance(x, tf.data.Dataset):
        return [(a, b) for a, b, *_ in x.as_numpy_iterator()]
    x, y = np.asarray(x), np.asarray(y)
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


SEE_THROUGH = (
    *("InputLayer", "Flatten", "Reshape", "Rescaling", "Normalization", "Activation"),
    *(
        "ReLU",
        "LeakyReLU",
        "ELU",
        "Softmax",
        "BatchNormalization",
        "LayerNormalization",
    ),
)


def facts_of(model, arguments):
    """Return what may have been changed, by name."""
    found = [layer for layer in model.layers if type(layer).__name__ not in SEE_THROUGH]
    dense = [layer for layer in found if isinstance(layer, keras.layers.Dense)]
    optimizer = model.optimizer.get_config()
    for key in ("name", "learning_rate"):
        optimizer.pop(key, None)
    settings = ", ".join(f"{key}={value}" for key, value in optimizer.items() if value)
    loss = keras.losses.get(model.loss)
    batches = batches_of(arguments)
    return {
        "layers": [describe_layer(layer) for layer in found],
        "parameters": sum(
            int(np.prod(v.shape)) for layer in dense for v in layer.trainable_variables
        ),
        "activations": [a for layer in model.layers for a in activations_of(layer)],
        "initialisers": [type(layer.kernel_initializer).__name__ for layer in dense],
        "optimizer": f"{type(model.optimizer).__name__}({settings})",
        "learning rate": round(float(np.asarray(model.optimizer.learning_rate)), 9),
        "loss": describe_loss(loss),
        "number of epochs": arguments["epochs"] - arguments["initial_epoch"],
        "batch size": len(batches[0][1]),
        "number of training examples": sum(len(labels) for _, labels in batches),
    }


@functools.cache
def facts_as_it_is(name):
    """Return the facts of the script that nobody has changed."""
    return facts_of(*until_fit(failing_scripts.load_script(name), few_digits()))


def describe_layer(layer):
    """Return the kind of a layer with its width or rate."""
    width = getattr(layer, "units", getattr(layer, "rate", ""))
    return f"{type(layer).__name__}({width})"


def describe_loss(loss):
    """Return the name of a loss, and whether it takes logits."""
    name = getattr(loss, "name", getattr(loss, "__name__", str(loss)))
    logits = getattr(loss, "get_config", dict)().get("from_logits", False)
    return f"{name}(from_logits={logits})"


def activations_of(layer):
    """Return the names of a layer's activations, linear ones left out."""
    kind = type(layer).__name__
    if kind in ("ReLU", "LeakyReLU", "ELU", "Softmax"):
        return [kind.lower()]
    function = getattr(layer, "activation", None)
    name = getattr(function, "__name__", "")
    return [name] if name not in ("", "linear") else []


def mended(name, submission):
    """Return the changed script as a module, or say why there is none."""
    *_, changes = answer_to(name, submission)
    if CASES[name].causes == one(HEALTHY):
        assert not changes, explain(
            "a healthy script needs no change",
            expected="changes={}",
            received=changes,
        )
    else:
        assert changes, explain(
            "nothing is mended yet",
            expected="changes={piece of the script: what mends it}",
            received=changes,
        )
    try:
        return failing_scripts.load_script(name, changes)
    except (ValueError, SyntaxError) as error:
        raise AssertionError(
            explain(
                f"the changes can't be made in {name}.py",
                expected="changes that leave a program",
                received=str(error),
            )
        ) from None


def only_the_cause_was_changed(name, submission):
    """Fail if the changes touch what was not wrong, or leave what was."""
    module, datasets = mended(name, submission), few_digits()
    model, arguments = until_fit(module, datasets)
    _, validation = datasets
    before, after = facts_as_it_is(name), facts_of(model, arguments)
    for fact, value in before.items():
        if fact not in CASES[name].free:
            assert after[fact] == value, explain(
                f"{fact} changed, which was not the cause and must stay",
                expected=value,
                received=after[fact],
            )
    given = arguments["validation_data"]
    if isinstance(given, tf.data.Dataset):
        labels = np.concatenate([y for _, y in given.as_numpy_iterator()])
    else:
        labels = np.asarray(given[1]) if given is not None else []
    right = validation[1] % 2 if name == "ember" else validation[1]
    assert np.array_equal(np.sort(labels), np.sort(right)), explain(
        "the validation examples must stay those that train() is given",
        expected=f"{len(right)} examples with their labels",
        received=f"{len(labels)} examples",
    )
    if name in EXTRA:
        EXTRA[name](model, arguments, datasets)


def entering(model, images):
    """Return what enters the first dense layer."""
    first = next(x for x in model.layers if isinstance(x, keras.layers.Dense))
    below = keras.Model(model.inputs[0], first.input)
    return np.asarray(below(tf.cast(images[:64], tf.float32)))


def inputs_are_of_one_small_scale(model, arguments, datasets):
    """Fail if pixels of hundreds get in, in training or in validation."""
    for what, images in (
        ("training", arguments["x"]),
        ("validation", arguments["validation_data"][0]),
    ):
        size = float(np.abs(entering(model, images)).max())
        assert 0.05 < size < 20, explain(
            f"{what} images still enter the first layer at another scale than it needs, "
            "which is about 1",
            expected="at most a few units",
            received=f"up to {size:.4g}",
        )


def gradients_reach_the_first_layer(model, arguments, datasets):
    """Fail if the first layer's gradient is far below the last one's."""
    images, labels = batches_of(arguments)[0]
    with tf.GradientTape() as tape:
        loss = model.compute_loss(images, labels, model(images, training=True))
    kernels = [v for v in model.trainable_variables if len(v.shape) == 2]
    sizes = [float(tf.norm(g)) for g in tape.gradient(loss, kernels)]
    share = sizes[0] / max(sizes[-1], 1e-30)
    assert share > 0.02, explain(
        "the gradient still vanishes on its way to the first layer",
        expected="at least a fiftieth of the last layer's",
        received=f"{share:.2g} of it",
    )


def layers_are_bent(model, arguments, datasets):
    """Fail if two dense layers follow each other with nothing between."""
    names = [a for layer in model.layers for a in activations_of(layer)]
    dense = [x for x in model.layers if isinstance(x, keras.layers.Dense)]
    assert not activations_of(dense[-1]), explain(
        "the output must stay logits: the loss has from_logits=True",
        expected="no activation at the output",
        received=names[-1] if names else "",
    )
    assert len(names) >= len(dense) - 1, explain(
        "there are still layers with nothing between them",
        expected=f"an activation behind each of {len(dense) - 1} hidden layers",
        received=names,
    )


def images_keep_their_labels(model, arguments, datasets):
    """Fail if an image goes to fit with another one's label."""
    (images, labels), _ = datasets
    right = {
        image.tobytes(): label for image, label in zip(images, labels, strict=True)
    }
    wrong = num_seen = 0
    for batch_images, batch_labels in batches_of(arguments):
        for image, label in zip(batch_images, batch_labels, strict=True):
            known = right.get(np.asarray(image).astype(images.dtype).tobytes(), label)
            wrong += int(known != label)
            num_seen += 1
    assert wrong == 0, explain(
        "images still have labels of other images",
        expected=f"{num_seen} images with their own labels",
        received=f"{wrong} with another's",
    )


def batches_are_mixed(model, arguments, datasets):
    """Fail if a batch holds few digits, or is the same in each epoch."""
    first, second = ([y.tolist() for _, y in batches_of(arguments)] for _ in range(2))
    kinds = float(np.mean([len(set(batch)) for batch in first[:-1]]))
    assert kinds > 6, explain(
        "a batch still holds few kinds of digits: what is shuffled, and how far?",
        expected="nearly all ten digits in a batch of 32",
        received=f"{kinds:.1f} kinds on average",
    )
    assert first != second, explain(
        "every epoch brings the same batches",
        expected="a new order in each epoch",
        received="the same order twice",
    )


EXTRA = {
    "birch": inputs_are_of_one_small_scale,
    "cedar": gradients_reach_the_first_layer,
    "ember": layers_are_bent,
    "fjord": images_keep_their_labels,
    "grove": batches_are_mixed,
    "islet": inputs_are_of_one_small_scale,
}


def the_mended_script_trains(name, submission):
    """Fail unless the changed script reaches the promised accuracy."""
    only_the_cause_was_changed(name, submission)  # No time for another program.
    *_, changes = answer_to(name, submission)
    validation = failing_scripts.mended_accuracy(name, tuple(changes.items()))
    assert validation >= CASES[name].accuracy, explain(
        "the changed script still fails",
        expected=f"a validation accuracy of at least {CASES[name].accuracy}",
        received=validation,
    )


def declare(name, promise):
    """Make a check of one script's promise, under a name that says both."""

    def declared(submission):
        promise(name, submission)

    declared.__name__ = f"{name}_{promise.__name__}"
    globals()[declared.__name__] = check(task=name, timeout_seconds=60)(declared)


for script in CASES:
    for script_promise in (
        the_fault_is_named,
        the_tag_shows_it,
        the_sentence_says_why,
        only_the_cause_was_changed,
        the_mended_script_trains,
    ):
        declare(script, script_promise)
