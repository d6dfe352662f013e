"""The study of architectures: equal sizes, what each network reads, and verdicts."""

import numpy as np
import pytest
from flax import nnx

from jaxnets.data import digits
from jaxnets.gradflow import verdicts
from jaxnets.runs.records import Record
from jaxnets.studies.architecture import networks, study
from tests.report.synthetic import section_of


@pytest.mark.parametrize("family", study.NETWORKS)
@pytest.mark.parametrize("shape", [(8, 8, 1), (64, 1)])
def test_networks_have_about_the_wanted_number_of_parameters(family, shape):
    make = lambda width, rngs: study.NETWORKS[family](shape, width, 10, rngs)
    width = networks.nearest_width(make, 5000)
    count = networks.parameters(make(width, nnx.Rngs(0)))
    np.testing.assert_allclose(count, 5000, rtol=0.04)


@pytest.mark.parametrize(
    ("family", "task", "shape"),
    [
        ("CNN", "images", (8, 8, 1)),
        ("RNN", "images", (8, 8)),
        ("CNN", "pixels", (64, 1)),
        ("RNN", "pixels", (64, 1)),
        ("CNN", "shuffled", (8, 8, 1)),
        ("RNN", "shuffled", (64, 1)),
    ],
)
def test_each_network_reads_its_shape_and_all_the_same_pixels(family, task, shape):
    images = np.asarray(digits().test.x[:3])
    read = study._reader(family, study.TASKS[task], images.shape[1:])
    found = np.asarray(read(images)).reshape(3, -1)
    assert read(images).shape == (3, *shape)
    flat = images.reshape(3, -1)
    if task == "shuffled":
        order = np.random.default_rng(0).permutation(64)
        flat = flat[:, order]
    np.testing.assert_array_equal(found, flat)


def records(shares):
    return [
        Record(
            "architecture",
            f"{family.lower()}-{task}",
            family,
            float(study.TASKS[task].number),
            seed,
            30,
            "test_accuracy",
            "",
            None,
            share + 0.001 * seed,
        )
        for (family, task), share in shares.items()
        for seed in range(3)
    ]


def test_the_best_network_of_a_task_is_named_and_the_table_has_all():
    shares = {
        ("dense", "images"): 0.95,
        ("CNN", "images"): 0.98,
        ("RNN", "images"): 0.93,
        ("dense", "shuffled"): 0.95,
        ("CNN", "shuffled"): 0.8,
    }
    of_images, of_shuffled = verdicts(records(shares))
    assert of_images.where == "digits as images, CNN against dense"
    np.testing.assert_allclose(of_images.number, 3.0, atol=0.01)
    assert "the RNN network 93.1 %" in of_images.sentence
    assert of_shuffled.where.endswith("dense against CNN")
    section = section_of("architecture", records(shares))
    assert section.table and len(section.table.rows) == 2
    assert section.table.rows[1][-1] == "–"
    assert section.headline and section.headline.number == "80.1 %"
    assert section.figures[0].plot.name == "accuracy-by-task"
