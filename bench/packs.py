"""The two packs that are measured: their files, the original networks, and their Triton repositories."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from bench.context import CLIP, ROOT, SHARED, Bench
from bench.detectors import KINDS, Networks
from bench.parts import SkippedError

CACHE = ROOT / ".cache" / "bench"


@dataclass(frozen=True, slots=True)
class PackChoice:
    """A pack of the catalogue as the bench speaks of it.

    Attributes
    ----------
    key
        Also the kind of `bench.detectors`.
    pack
        Its name in the catalogue of `vigil_models`.
    detector_name, shown
        For rows.
    """

    key: str
    pack: str
    detector_name: str
    shown: str


SCRFD = PackChoice("scrfd", "scrfd-mobilefacenet-test", "SCRFD-2.5G", "SCRFD-2.5G + MobileFaceNet")
OPEN = PackChoice("open", "open", "YuNet", "open pack (YuNet + SFace)")


def clip(bench: Bench) -> Path:
    """Give the video that is measured on, and tell once which one it is."""
    if not CLIP.exists():
        told = f"{CLIP} is not there; put a short H.264 video with faces, 640x360, at that place"
        raise SkippedError(told)
    bench.keep("setup", "video", "short_hamilton_clip.mp4, 640x360 H.264, 29.97 fps, 9.2 s, looped")
    return CLIP


def source_folder(choice: PackChoice, say: Callable[[str], None]) -> Path:
    """Find the pack's public ONNX files: beside the project, or fetched by `vigil-models` by version and checksum."""
    if choice is SCRFD:
        if not (SHARED / "models").is_dir():
            told = f"{SHARED / 'models'} with {choice.shown} is not there; only the open pack can be measured"
            raise SkippedError(told)
        return SHARED / "models"
    from vigil_models.catalogue import load
    from vigil_models.fetch import pull

    return pull(load().pack(choice.pack), say)


def networks(bench: Bench, choice: PackChoice) -> Networks:
    """Give the original networks, for the bare detector and the plain loop.

    Block-quantised weights are folded to fp32 and fixed sizes freed, because ONNX Runtime runs the open pack's files
    slower, or not at all, as they are: the other side gets the faster form too.
    """

    def make() -> Networks:
        from vigil_models.catalogue import load

        folder = source_folder(choice, bench.say)
        pack = load().pack(choice.pack)
        paths = [_plain(folder / model.file) for model in pack.models]
        return KINDS[choice.key](paths[0], paths[1])

    return bench.once(f"networks {choice.key}", make)


def _plain(source: Path) -> Path:
    from vigil_models.graph.clean import plain

    target = CACHE / f"{source.stem}-{source.stat().st_size}.onnx"
    if not target.exists():
        original = onnx.load(source)
        if not any(node.op_type == "DequantizeLinear" for node in original.graph.node):
            return source
        model = plain(source, original)
        shape = model.graph.input[0].type.tensor_type.shape.dim
        if shape[2].dim_value != 112:
            shape[2].dim_param, shape[3].dim_param = "height", "width"
            for output in model.graph.output:
                output.type.tensor_type.shape.dim[1].dim_param = f"cells_{output.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(".new")
        onnx.save(model, new)
        new.replace(target)
    return target


def repository(bench: Bench, choice: PackChoice) -> Path:
    """Export the pack for this machine's Triton; an earlier export of the same files is used again."""

    def make() -> Path:
        from vigil_models.catalogue import load
        from vigil_models.export import Options, export_pack
        from vigil_models.repository.config import Target

        pack = load().pack(choice.pack)
        target = CACHE / f"repository-{choice.key}"
        bench.say(f"exporting {choice.shown}")
        export_pack(pack, source_folder(choice, bench.say), target, Options(Target.CPU_PYTHON))
        return target

    return bench.once(f"repository {choice.key}", make)
