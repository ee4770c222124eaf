"""The two packs that are measured: their files, the original networks, and their Triton repositories."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from bench.context import CLIP, ROOT, SHARED, Bench
from bench.detectors import KINDS, Networks
from bench.parts import SkippedError

CACHE = ROOT / ".cache" / "bench"


@dataclass(frozen=True, slots=True)
class PackChoice:
    """A pack of the catalogue with its names in the bench.

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
    """Return the video of all measurements; keep its description for the page."""
    if not CLIP.exists():
        msg = f"{CLIP} does not exist; place a short H.264 video with faces, 640x360, there"
        raise SkippedError(msg)
    bench.keep("setup", "video", "short_hamilton_clip.mp4, 640x360 H.264, 29.97 fps, 9.2 s, looped")
    return CLIP


def source_folder(bench: Bench, choice: PackChoice) -> Path:
    """Return the folder of the pack's public ONNX files: beside the project, or fetched and checked by sum."""
    from vigil_models.api import ensure_pack

    if choice is SCRFD:
        if not (SHARED / "models").is_dir():
            msg = f"{SHARED / 'models'} with {choice.shown} does not exist; only the open pack can be measured"
            raise SkippedError(msg)
        return SHARED / "models"
    return ensure_pack(choice.pack, accept_licence=True, progress=lambda name, *_: bench.report(f"fetching {name}"))


def networks(bench: Bench, choice: PackChoice) -> Networks:
    """Return the original networks, for the bare detector and the plain loop.

    Block-quantised weights are folded to fp32 and fixed sizes freed, because ONNX Runtime runs the open pack's files
    slower, or not at all, unchanged: the plain loop gets the faster form too.
    """

    def make() -> Networks:
        from vigil_models.catalogue import load

        folder = source_folder(bench, choice)
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
    """Return the pack's repository for this machine's Triton, exported once a run."""

    def make() -> Path:
        from vigil_models.api import export_pack

        bench.report(f"exporting {choice.shown}, and proving that it equals the original")
        target = CACHE / f"repository-{choice.key}"
        export_pack(choice.pack, source_folder(bench, choice), "cpu-python", target)
        return target

    return bench.once(f"repository {choice.key}", make)
