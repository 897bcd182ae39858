"""The update document, and every way through the phases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge_sim.errors import UpdateError
from edge_sim.jobs.update import (
    MAX_SIZE,
    PHASES,
    Event,
    Phase,
    PhaseScope,
    Reporting,
    UpdateDocument,
    build_document,
    is_software_update,
    parse_document,
)

UPDATE = UpdateDocument(
    software="core",
    version="1.11.6",
    architecture="armv7l",
    operating_system="raspbian",
    log_level="ERROR",
    url="https://s3.eu-west-1.amazonaws.com/b/core/greengrass-core-1.11.6.tar.gz",
    sha256="0f" * 32,
    size=123,
)


def document(url: str = "http://127.0.0.1:1/artifacts/x?X-Amz-Signature=1") -> dict[str, Any]:
    made = build_document(UPDATE)
    made["file"]["url"] = url
    return made


def test_a_document_that_was_built_is_read_back() -> None:
    assert parse_document(document(UPDATE.url)) == UPDATE


def test_it_is_built_with_a_placeholder_that_is_refused_when_nobody_presigned_it() -> None:
    made = build_document(UPDATE)
    assert made["file"]["url"] == "${aws:iot:s3-presigned-url:" + UPDATE.url + "}"
    with pytest.raises(UpdateError, match="still a placeholder"):
        parse_document(made)


def change(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def apply(made: dict[str, Any]) -> None:
        place = made
        for name in path[:-1]:
            place = place[name]
        if to is None:
            del place[path[-1]]
        else:
            place[path[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("apply", "reason"),
    [
        (change("edgeSimUpdate", to=2), "unknown version 2"),
        (change("edgeSimUpdate", to=True), "unknown version True"),
        (change("software", to=None), "lacks software"),
        (change("file", to=None), "lacks file"),
        (change("file", "sha256", to=None), "file lacks sha256"),
        (change("file", to="x"), "file is not an object"),
        (change("extra", to=1), "unknown member 'extra'"),
        (change("software", to="kernel"), "not one of core, ota_agent"),
        (change("architecture", to="mips"), "architecture is 'mips'"),
        (change("operatingSystem", to=["raspbian"]), "operatingSystem"),
        (change("logLevel", to="LOUD"), "logLevel"),
        (change("version", to="../../etc"), "version"),
        (change("version", to="1.11.6/.."), "version"),
        (change("version", to="1.11"), "version"),
        (change("version", to="1.11.6\n"), "version"),
        (change("version", to="1.11.6" + "0" * 9), "version"),
        (change("file", "sha256", to="0F" * 32), "sha256"),
        (change("file", "sha256", to="0f" * 31), "sha256"),
        (change("file", "size", to=0), "size"),
        (change("file", "size", to=-1), "size"),
        (change("file", "size", to=MAX_SIZE + 1), "size"),
        (change("file", "size", to=True), "size"),
        (change("file", "size", to="5"), "size"),
        (change("file", "url", to="file:///etc/passwd"), "http or https"),
        (change("file", "url", to="http://h/a/../b"), r"'\.\.' in its path"),
        (change("file", "url", to="http://h/\r\nX: y"), "http or https"),
        (change("file", "url", to="http://h/" + "a" * 5000), "at most"),
    ],
)
def test_a_bad_document_is_refused_with_a_reason(apply: Callable[[dict[str, Any]], None], reason: str) -> None:
    made = document()
    apply(made)
    with pytest.raises(UpdateError, match=reason) as refused:
        parse_document(made)
    assert len(refused.value.brief) <= 1024  # fits into statusDetails
    assert refused.value.brief.isprintable()


@pytest.mark.parametrize("made", [None, [], "x", 3])
def test_what_is_no_object_is_refused(made: object) -> None:
    with pytest.raises(UpdateError):
        parse_document(made)


def test_a_job_is_ours_only_by_both_marks() -> None:
    assert is_software_update("GreengrassUpdateJob_1", document())
    assert not is_software_update("GreengrassUpdateJob_1", {"operation": "reboot"})
    assert not is_software_update("reboot-1", document())
    assert not is_software_update("GreengrassUpdateJob_1", None)


def paths(phase: Phase, way: tuple[Phase, ...] = ()) -> list[tuple[Phase, ...]]:
    assert phase not in way, f"a circle: {[p.name for p in (*way, phase)]}"
    way = (*way, phase)
    if phase not in PHASES:
        return [way]
    onward = {event: after for event, after in PHASES[phase].ways.items() if event is not Event.CUT_OFF}
    return [found for after in onward.values() for found in paths(after, way)]


def test_every_path_leads_to_an_end() -> None:
    found = set(paths(Phase.PREFLIGHT))
    assert {way[-1] for way in found} == {Phase.SUCCEEDED, Phase.REJECTED, Phase.FAILED}
    succeeded = [way for way in found if way[-1] is Phase.SUCCEEDED]
    assert succeeded == [(Phase.PREFLIGHT, Phase.STAGE, Phase.VERIFY, Phase.ACTIVATE, Phase.CONFIRM, Phase.SUCCEEDED)]
    for way in found:
        # Whoever touched the running core and did not succeed has rolled back; a started update is never REJECTED.
        assert (Phase.ACTIVATE not in way) or way[-1] is Phase.SUCCEEDED or Phase.ROLL_BACK in way
        assert way[-1] is not Phase.REJECTED or way == (Phase.PREFLIGHT, Phase.REJECTED)


def test_every_phase_has_a_way_on_whatever_happens_and_only_the_roll_back_cannot_be_cancelled() -> None:
    for phase, row in PHASES.items():
        wanted = set(Event) - ({Event.CANCELED} if phase is Phase.ROLL_BACK else set())
        assert set(row.ways) == wanted, phase


def test_what_was_cut_off_goes_on_where_the_running_software_may_be_touched_and_begins_again_otherwise() -> None:
    for phase, row in PHASES.items():
        touched = row.scope is PhaseScope.RUNNING
        onward = Phase.ROLL_BACK if phase is Phase.ROLL_BACK else Phase.ACTIVATE
        assert row.ways[Event.CUT_OFF] is (onward if touched else Phase.PREFLIGHT), phase
        assert (row.ways[Event.BROKEN] is Phase.ROLL_BACK) == (touched and phase is not Phase.ROLL_BACK), phase


def test_the_cloud_agrees_before_anything_on_the_board_changes() -> None:
    for way in paths(Phase.PREFLIGHT):
        consent = [PHASES[phase].reporting is Reporting.CONSENT for phase in way if phase in PHASES]
        changed = [PHASES[phase].scope is not PhaseScope.NOTHING for phase in way if phase in PHASES]
        assert not any(changed) or consent.index(True) <= changed.index(True)
