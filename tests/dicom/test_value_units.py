from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from mome_node.dicom.header_reading import read_facts

Save = Callable[..., Path]
Item = Callable[..., Dataset]


def units(path: Path) -> set[str]:
    return {frame.value_units for frame in read_facts(path).frames}


def mapping(item: Item, unit: str, slope: float) -> Dataset:
    code = item(CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning=unit)
    return item(MeasurementUnitsCodeSequence=[code], RealWorldValueSlope=slope)


def test_real_world_value_mapping_tells_the_unit_first(
    classic: Dataset, item: Item, save: Save
) -> None:
    classic.RescaleType = "10-3"
    classic.RealWorldValueMappingSequence = [mapping(item, "um2/s", 1.0)]
    assert units(save(classic)) == {"um2/s by Real World Value Mapping"}
    classic.RealWorldValueMappingSequence = [mapping(item, "mm2/s", 1e-6)]
    assert units(save(classic)) == {"mm2/s with slope 1e-06 by Real World Value Mapping"}


def test_rescale_type_then_units_tell_the_unit(classic: Dataset, save: Save) -> None:
    classic.Units = "10-6 mm2/s"
    assert units(save(classic)) == {"10-6 mm2/s by Units"}
    classic.RescaleType = "1e-3 mm2/s"
    assert units(save(classic)) == {"1e-3 mm2/s by Rescale Type"}


@pytest.mark.parametrize("word", ["", "US", "normalized"])
def test_words_for_unspecified_are_no_unit(word: str, classic: Dataset, save: Save) -> None:
    classic.RescaleType = word
    assert units(save(classic)) == {""}


def test_units_of_an_enhanced_map_stand_in_its_functional_groups(
    enhanced: Dataset, item: Item, save: Save
) -> None:
    shared = enhanced.SharedFunctionalGroupsSequence[0]
    shared.PixelValueTransformationSequence = [
        item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")
    ]
    shared.RealWorldValueMappingSequence = [mapping(item, "um2/s", 1.0)]
    assert units(save(enhanced)) == {"um2/s by Real World Value Mapping"}
