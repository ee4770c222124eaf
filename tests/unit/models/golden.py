"""The configurations that are checked in, and how they are made anew: `python -m tests.unit.models.golden`."""

from pathlib import Path

from vigil_models import catalogue
from vigil_models.repository import config
from vigil_models.repository.config import Target

ROOT = Path(__file__).parents[3]
REPOSITORY = ROOT / "model_repository" / "models"
GOLDEN = Path(__file__).parent / "golden"
DEFAULT_PACK = "open"


def configurations() -> dict[Path, str]:
    """Say what every checked-in file should hold: the default pack as a real repository, all packs as golden files."""
    files = {}
    known = catalogue.load()
    for name in known.packs:
        for target in Target:
            for model in known.pack(name).models:
                assert model.sha256 is not None
                text = config.render(
                    model, target, model.model_id(model.sha256), 1 if target is Target.PRODUCTION else 2
                )
                files[GOLDEN / name / target / f"{model.task}.pbtxt"] = text
                if name == DEFAULT_PACK and target is Target.PRODUCTION:
                    files[REPOSITORY / model.task / "config.pbtxt"] = text
    return files


if __name__ == "__main__":
    for path, text in configurations().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
