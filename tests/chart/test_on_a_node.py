"""The chart installed, tested and upgraded where its pods really run."""

import pytest
from tests.chart.installed import SETS, Installed
from tests.chart.rendering import CHART, values_of
from tests.support.kubernetes.errors import ClusterError

from vigil_gateway.migrations.check import revisions

pytestmark = [pytest.mark.timeout(1500), pytest.mark.usefixtures("helm")]


def test_an_installation_passes_its_own_test(installed: Installed) -> None:
    output = installed.helm("test", "--logs")
    assert "Phase:          Succeeded" in output
    assert "ok    GraphQL answers" in output
    assert "ok    Triton serves face_recognition" in output


def test_nothing_had_to_be_restarted_to_come_up(installed: Installed) -> None:
    assert set(installed.restarts().values()) == {0}


STEPS_BACK = {
    "0004": (
        "DROP TABLE installation; ALTER TABLE erasures DROP COLUMN deleting;"
        " UPDATE alembic_version SET version_num = '0003'"
    ),
    "0005": (
        "ALTER TABLE events DROP COLUMN type, DROP COLUMN subject, ALTER COLUMN sighting_id SET NOT NULL,"
        " ALTER COLUMN sighting_opened_at SET NOT NULL, ALTER COLUMN revision SET NOT NULL;"
        " UPDATE alembic_version SET version_num = '0004'"
    ),
    "0006": "UPDATE alembic_version SET version_num = '0005'",
    "0007": "DROP INDEX events_by_previous_subject; UPDATE alembic_version SET version_num = '0006'",
    "0008": "DROP TABLE event_rewrites; UPDATE alembic_version SET version_num = '0007'",
    "0009": (
        "DROP INDEX sightings_by_subject_name; ALTER TABLE installation DROP COLUMN unnamed_until;"
        " UPDATE alembic_version SET version_num = '0008'"
    ),
    "0011": (
        "DELETE FROM rejected_events; ALTER TABLE rejected_events DROP COLUMN bytes, ALTER COLUMN payload SET NOT NULL;"
        " UPDATE alembic_version SET version_num = '0010'"
    ),
    "0010": "ALTER TABLE subjects DROP COLUMN granted_at; UPDATE alembic_version SET version_num = '0009'",
    "0012": "ALTER TABLE sightings DROP COLUMN still; UPDATE alembic_version SET version_num = '0011'",
    "0013": "DROP TABLE journal_positions; UPDATE alembic_version SET version_num = '0012'",
    "0014": (
        "ALTER TABLE sightings DROP COLUMN received_at, DROP COLUMN clock_offset_ms, DROP COLUMN opened_not_before;"
        " ALTER TABLE rejected_events DROP COLUMN clock_offset_ms; UPDATE alembic_version SET version_num = '0013'"
    ),
    "0015": "DROP INDEX sightings_in_view, sightings_still; UPDATE alembic_version SET version_num = '0014'",
}
"""SQL that turns a schema into the one before it. Programs only upgrade: a new migration needs its lines here."""
VERSION = "SELECT version_num FROM alembic_version"
RECEIPT = """
INSERT INTO erasures (subject_id, key_digest, counts, erased_at)
    VALUES ('7c9e6679-7425-40de-944b-e07fc1f90ae7', sha256('front/ann'), '{"sightings": 3}', now())
"""
KEPT = """
SELECT counts, deleting, (SELECT count(*) FROM installation)
    FROM erasures WHERE subject_id = '7c9e6679-7425-40de-944b-e07fc1f90ae7'
"""


def test_an_upgrade_migrates_first_and_passes_helm_test(
    installed: Installed,
) -> None:
    """The database of an earlier version is migrated before the pods change, and `helm test` passes afterwards."""
    earlier, newest = revisions()[-2:]
    installed.sql(f"{STEPS_BACK[newest]}; {RECEIPT}")
    assert installed.sql(VERSION) == earlier
    before = _requests_for_jobs(installed)
    options = [part for each in SETS for part in ("--set", each)]
    installed.helm("upgrade", str(CHART), *values_of("trial"), *options, "--set", "log.level=debug", "--wait")
    assert _requests_for_jobs(installed) > before, "a migration ran"
    jobs = installed.cluster.kubectl("get", "jobs", "-n", installed.namespace, "-o", "name").stdout
    assert jobs == "", "a migration that succeeded is taken away"
    assert installed.sql(VERSION) == newest
    assert installed.sql(KEPT) == '{"sightings": 3}|{}|1', "what was written before is kept, in the schema of today"
    assert "Phase:          Succeeded" in installed.helm("test")


def _requests_for_jobs(installed: Installed) -> int:
    made = (each for each in installed.cluster.requests() if each.verb == "create" and each.resource == "jobs")
    return sum(each.namespace == installed.namespace for each in made)


def test_a_migration_that_fails_leaves_what_runs_alone(installed: Installed) -> None:
    before = installed.restarts()
    options = [part for each in SETS for part in ("--set", each)]
    broken = ("--set", "migrate.deadlineSeconds=30", "--set", "identity.image.name=not-there")
    with pytest.raises(ClusterError, match="pre-upgrade hooks failed"):
        installed.helm("upgrade", str(CHART), *values_of("trial"), *options, *broken, "--wait")
    assert installed.restarts().items() >= before.items()
    assert "Phase:          Succeeded" in installed.helm("test")
