"""What the operator's folders must, and must not, hold."""

import operator as standard_library
from pathlib import Path

from tests.support.shared import ROOT

import vigil_operator


def test_the_standard_librarys_operator_is_not_shadowed() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "tests" / "unit" / "operator" / "__init__.py").exists()
    assert hasattr(standard_library, "itemgetter")
    assert ROOT / "operator" not in Path(str(standard_library.__file__)).parents


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(vigil_operator.__file__).parent / "py.typed").exists()
