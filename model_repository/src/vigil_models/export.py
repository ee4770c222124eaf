"""Export of a pack: read, build, prove, and only then write."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnxruntime

from vigil_models import catalogue
from vigil_models.catalogue import Detector, Licence, Model, Pack
from vigil_models.graph import cpu, detection, recognition
from vigil_models.graph.source import Source, read
from vigil_models.proof.inputs import Image
from vigil_models.proof.prove import Difference, prove
from vigil_models.proof.speed import Speed, measure
from vigil_models.repository import config, manifest, write
from vigil_models.repository.config import Target


def cores() -> int:
    """Return the number of cores this process may use: the instances of a model on a CPU."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Options:
    """Options of an export."""

    target: Target
    sha256s: Mapping[str, str] = field(default_factory=dict)
    """File name to sha256, for files of one's own in place of the catalogue's."""
    instances: int | None = None
    """Instances of each model; None: one a core on the CPU, one on each GPU."""
    photos: Mapping[str, Image] = field(default_factory=dict)
    """Photos to prove with, beside noise and a drawn scene: name to [H,W,3] uint8 RGB."""
    on_step: Callable[[str], None] = lambda _: None
    """Called with one line at every step."""


@dataclass(frozen=True)
class Proven:
    """A graph that equals its original."""

    model: Model
    source: Source
    graph: onnx.ModelProto
    differences: Sequence[Difference]
    speed: Speed | None = None
    """The speed of a detector on the CPU; the time on a GPU is not known where the export runs."""


def build(model: Model, source: Source) -> onnx.ModelProto:
    """Return the graph to serve, built from the original file."""
    return detection.export(model, source) if isinstance(model, Detector) else recognition.export(model, source)


def export_pack(pack: Pack, folder: Path, destination: Path, options: Options) -> manifest.Manifest:
    """Turn a pack's ONNX files into a Triton repository.

    Parameters
    ----------
    pack
        A pack of the catalogue.
    folder
        Folder of its files.
    destination
        The repository; replaced at once if it is an earlier export, untouched if anything fails.
    options
        Target and checks.

    Returns
    -------
    The manifest that was written.

    Raises
    ------
    SourceFileError
        When a file differs from the catalogue's entry.
    ProofFailed
        When a graph does not equal its original.
    RepositoryError
        When the destination cannot be written.
    """
    proven = [_prove(model, folder, options) for model in pack.models]
    options.on_step(f"writing {destination}")
    files: dict[str, bytes] = {}
    entries = [_add_model(files, each, options) for each in proven]
    result = manifest.Manifest(
        pack=pack.name, target=options.target, onnxruntime=onnxruntime.__version__, models=entries
    )
    files[manifest.NAME] = (result.model_dump_json(indent=2) + "\n").encode()
    write.write(destination, files)
    return result


def _prove(model: Model, folder: Path, options: Options) -> Proven:
    options.on_step(f"reading {model.file}")
    source = read(model, folder, options.sha256s)
    options.on_step(f"building {model.task} from {model.name}")
    graph = build(model, source)
    if options.target is Target.CPU_PYTHON:
        cpu.tune(graph)
    options.on_step(f"proving {model.task} against {model.file}")
    differences = prove(model, source, graph, options.photos)
    if options.target is not Target.CPU_PYTHON or not isinstance(model, Detector):
        return Proven(model, source, graph, differences)
    options.on_step(f"measuring {model.task} on one core")
    return Proven(model, source, graph, differences, measure(graph))


def _add_model(files: dict[str, bytes], proven: Proven, options: Options) -> manifest.ManifestModel:
    model, source = proven.model, proven.source
    model_id = model.model_id(source.sha256)
    licence = catalogue.load().licences[model.licence]
    instances = options.instances or (cores() if options.target is Target.CPU_PYTHON else 1)
    reference_ms = proven.speed.reference_ms if proven.speed else None
    text = config.render(model, options.target, model_id, instances, reference_ms=reference_ms)
    folder = {
        "config.pbtxt": text.encode(),
        "LICENCE.txt": _licence_text(model, licence).encode(),
        f"{write.VERSION}/model.onnx": proven.graph.SerializeToString(deterministic=True),
    }
    if options.target is Target.CPU_PYTHON:
        folder[f"{write.VERSION}/model.py"] = write.python_model()
    named = {f"{model.task}/{name}": content for name, content in folder.items()}
    files.update(named)
    return manifest.ManifestModel(
        name=model.task,
        model_id=model_id,
        catalogue_entry=model.name,
        layout=model.layout,
        source=manifest.Provenance(file=model.file, sha256=source.sha256, bytes=len(source.data)),
        licence=manifest.LicenceNote(**licence.model_dump(exclude={"text"})),
        preprocessing=manifest.Preprocessing(channels=model.channels, mean=model.mean, std=model.std),
        parameters=dict(config.parameters(model, model_id, reference_ms)),
        calibration=model.calibration,
        files={name: hashlib.sha256(content).hexdigest() for name, content in named.items()},
        proofs=[manifest.ProofRow(**vars(difference)) for difference in proven.differences],
        speed=manifest.SpeedNote(**vars(proven.speed)) if proven.speed else None,
    )


def _licence_text(model: Model, licence: Licence) -> str:
    head = f"{model.name}: {licence.name}\n{licence.address}\n\n{licence.note}\n"
    text = licence.full_text()
    return head if text is None else f"{head}\n{text}"
