"""Every row of the catalogue has the parts that are found by its name."""

import importlib
import importlib.util
import typing

import pytest

from jaxnets.runs.catalogue import SCALES, STUDIES, StudyName
from jaxnets.runs.claims import CLAIMS
from jaxnets.studies.theory.study import MEASUREMENTS


def test_the_names_that_the_command_line_takes_are_those_of_the_rows():
    assert typing.get_args(StudyName) == tuple(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_its_modules_and_its_families(name):
    study = STUDIES[name]
    module = importlib.import_module(f"jaxnets.studies.{name}")
    assert module.INITIALISER and isinstance(module.NOTES, tuple)
    for scale in SCALES:
        arms = module.arms(scale, "digits")
        assert len({arm.name for arm in arms}) == len(arms)
        assert {arm.study for arm in arms} == {name}
        families = list(dict.fromkeys(arm.family for arm in arms))
        # Those of the catalogue have the first colours; larger scales may have more.
        assert families[: len(study.families)] == list(study.families)
    section = importlib.import_module(f"jaxnets.report.sections.{name}")
    assert callable(section.draw)
    diagnosis = f"jaxnets.gradflow.diagnosis.studies.{name}"
    assert study.judged == (importlib.util.find_spec(diagnosis) is not None)


def test_every_claim_is_measured():
    assert list(MEASUREMENTS) == list(CLAIMS)
