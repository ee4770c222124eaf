from alembic.script import ScriptDirectory

from vigil_gateway.migrations.check import revisions
from vigil_gateway.migrations.upgrade import config


def test_file_names_of_steps_are_those_of_alembic() -> None:
    script = ScriptDirectory.from_config(config())
    assert revisions() == sorted(step.revision for step in script.walk_revisions())
    assert revisions()[-1] == script.get_current_head()


def test_no_step_goes_back() -> None:
    for step in ScriptDirectory.from_config(config()).walk_revisions():
        assert not hasattr(step.module, "downgrade")
