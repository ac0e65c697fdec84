"""The projector's files, read as TensorBoard's own plugin reads them."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfcourse.catalog import exercises_folder, load_module
from tfcourse.embedding_projector import write_projector_files
from tfcourse.projector_reading import read_projector
from tfcourse.runs import Run


def points(num_points=7):
    rng = np.random.default_rng(0)
    layers = {
        "pixels": rng.normal(size=(num_points, 6)),
        "last": rng.normal(size=(num_points, 2)),
    }
    images = rng.integers(0, 256, (num_points, 8, 5), dtype=np.uint8)
    return layers, [f"class {k}" for k in range(num_points)], images


def test_a_runs_layers_are_found_with_labels_and_sprites(tmp_path):
    layers, labels, images = points()
    run = Run(tmp_path / "run", show_progress=False)
    run.projector("projector", layers, labels, images)
    run.projector("single", layers["last"], labels)
    found = read_projector(tmp_path)
    assert set(found) == {"run/projector", "run/single"}
    assert list(found["run/projector"]) == ["pixels", "last"]
    for name, embedding in found["run/projector"].items():
        columns = layers[name].shape[1]
        np.testing.assert_allclose(
            embedding.vectors[:, :columns], layers[name], rtol=1e-5
        )
        assert not embedding.vectors[:, columns:].any()
        assert embedding.vectors.shape[1] == max(columns, 3)
        assert embedding.labels == labels
        assert embedding.num_columns == 3
        for sprite, image in zip(embedding.sprites, images, strict=False):
            np.testing.assert_array_equal(255 - sprite[..., 0], image)
    (name,) = found["run/single"]
    assert name == "single"
    assert found["run/single"]["single"].sprites is None


def test_a_folder_without_event_file_is_no_run(tmp_path):
    layers, labels, _ = points()
    write_projector_files(tmp_path / "points", layers, labels)
    assert read_projector(tmp_path) == {}
    assert set(read_projector(tmp_path / "points")) == {"."}


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(labels=st.lists(st.text(max_size=6), min_size=1, max_size=5))
def test_any_labels_stay_with_their_points(tmp_path, labels):
    write_projector_files(tmp_path, np.ones((len(labels), 2)), labels)
    (embedding,) = read_projector(tmp_path)["."].values()
    assert len(embedding.labels) == len(labels)


def test_what_the_plugin_refuses_is_said_in_its_words(tmp_path):
    layers, labels, _ = points()
    folder = tmp_path / "points"
    write_projector_files(folder, layers["last"], labels)
    config = folder / "projector_config.pbtxt"
    config.write_text(config.read_text().replace("labels.tsv", "../labels.tsv"))
    with pytest.raises(ValueError, match="outside the config directory"):
        read_projector(folder)


def test_a_sheet_that_does_not_fit_is_refused(tmp_path):
    layers, labels, images = points()
    write_projector_files(tmp_path, layers["last"], labels, images)
    config = tmp_path / "projector_config.pbtxt"
    config.write_text(
        config.read_text().replace("single_image_dim: 5", "single_image_dim: 4")
    )
    with pytest.raises(ValueError, match="does not hold whole thumbnails of 4 x 8"):
        read_projector(tmp_path)


def test_the_exercise_and_the_library_agree(tmp_path):
    solution = load_module(
        exercises_folder() / "05_layer_representations" / "solution.py",
        "projector_test",
    )
    layers, labels, images = points(num_points=12)
    layers = {"pixels": layers["pixels"], "last": layers["pixels"][:, :3]}
    solution.write_projector(tmp_path / "exercise", layers, labels, images)
    write_projector_files(tmp_path / "library", layers, labels, images)
    ours, theirs = (
        read_projector(tmp_path / name)["."] for name in ("exercise", "library")
    )
    assert list(ours) == list(theirs)
    for name, embedding in ours.items():
        other = theirs[name]
        np.testing.assert_allclose(
            embedding.vectors, other.vectors, rtol=1e-3, atol=1e-4
        )
        assert embedding.labels == other.labels
        # The library inks dark strokes on white.
        np.testing.assert_array_equal(embedding.sprites[:12], 255 - other.sprites[:12])
