"""The faults of updates and of the cloud that were once seen, and the tests that hold each of them mended.

A test that is renamed or removed has to be named anew here: no fault is left without one.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FAULTS: dict[str, tuple[str, ...]] = {
    "SUCCEEDED, and no core from then on": (
        "unit/test_updater.py::test_a_build_that_dies_while_it_is_watched_ends_on_the_old_one",
        "integration/test_agent_update.py::test_a_build_that_dies_within_its_stable_window_is_rolled_back",
        "integration/test_agent_update.py::test_a_core_that_ends_is_started_again",
    ),
    "SUCCEEDED while the old core runs: EIO after the confirmed record was renamed": (
        "unit/test_updater.py::test_a_commit_that_the_disk_reported_as_failed_is_rolled_back_and_said_to_have_failed",
    ),
    "a roll-back that could not start the old core was never tried again": (
        "unit/test_guard.py::test_a_roll_back_tries_the_old_version_then_the_last_good_one_with_growing_pauses",
        "unit/test_guard.py::test_a_roll_back_that_gave_up_goes_on_with_the_guards_pauses",
        "unit/test_updater.py::test_a_roll_back_whose_version_does_not_start_brings_up_the_last_good_one",
    ),
    "a right link was made anew before the old core was started": (
        "unit/test_updater.py::test_a_link_that_is_right_is_not_made_anew_before_the_old_core_starts",
    ),
    "the cloud said accepted for what it did not keep": (
        "unit/test_jobs_outbox.py::test_an_answer_leaves_when_another_connection_can_read_what_it_says",
        "unit/test_jobs_outbox.py::test_what_cannot_be_stored_is_rejected_and_never_accepted",
        "root/test_cloud_full_disk.py::test_a_full_disk_is_told_to_everybody_and_nothing_is_accepted",
    ),
    "an update behind a foreign job was not noticed, behind eleven never found": (
        "unit/test_loop.py::test_every_notice_of_a_job_makes_the_agent_ask",
        "unit/test_loop.py::test_a_quiet_agent_asks_by_itself",
        "unit/test_jobclient.py::test_an_update_is_found_behind_any_number_of_other_jobs",
    ),
    "a notification lost between COMMIT and publish was not repeated": (
        "unit/test_jobs_outbox.py::test_a_cloud_killed_between_commit_and_broker_says_it_after_the_restart",
        "unit/test_jobs_outbox.py::test_a_restart_announces_the_next_job_of_every_thing_that_has_one",
    ),
    "a read-only root or EIO ended the agent before its core ran": (
        "unit/test_loop.py::test_a_disk_that_cannot_be_written_is_no_reason_not_to_start",
        "unit/test_loop.py::test_a_journal_that_cannot_be_read_stops_neither_the_core_nor_the_agent",
        "root/test_core_on_a_bad_disk.py::test_a_core_is_started_again_on_a_disk_that_takes_nothing_more",
    ),
    "downloads: five tries in all, a wrong digest was final, Retry-After and jitter missing": (
        "unit/test_download.py::test_tries_count_only_without_progress",
        "unit/test_download.py::test_one_wrong_digest_is_not_the_end",
        "unit/test_download.py::test_a_server_says_when_to_come_back",
        "unit/test_download.py::test_pauses_are_left_to_chance",
    ),
    "a forced cancellation in a stall took 29 s (benchmarks/cancellation.py has the time)": (
        "integration/test_agent_update.py::test_a_job_cancelled_during_the_download_leaves_the_old_version_alone",
    ),
    "a job's URL of a link-local address was fetched": (
        "unit/test_download.py::test_addresses_that_a_board_does_not_fetch_from",
        "unit/test_download.py::test_a_name_is_judged_by_its_addresses",
    ),
    "a missing link stayed missing, and a link to another directory was followed": (
        "unit/test_updater.py::test_a_board_whose_link_is_lost_runs_what_its_disk_says",
        "unit/test_updater.py::test_a_broken_core_link_is_repaired_from_the_last_good_version",
        "unit/test_releases.py::test_a_link_that_leads_elsewhere_is_no_version",
    ),
    "a kill before the switch failed a good update, a reboot in ACTIVATE cost it": (
        "integration/test_faults.py::test_an_update_that_is_cut_off_ends_on_one_whole_version",
        "integration/test_agent_update.py::test_a_killed_agent_leaves_its_work_to_the_next_one",
    ),
    "no memory limit on a build; a child with a cleared environment outlived the roll-back": (
        "unit/test_supervisor.py::test_a_build_that_eats_memory_is_in_trouble",
        "unit/test_supervisor.py::test_a_child_with_a_cleared_environment_is_found_by_another_agent_and_ended",
    ),
    "two boards with one thing's name both did the job": (
        "unit/test_jobclient.py::test_of_two_boards_with_one_name_one_has_the_job",
        "unit/test_mqtt.py::test_two_boards_of_one_name_are_told_of_each_other_and_do_not_fight",
    ),
    "an update took 44.6 ms to be accepted (benchmarks/jobs.py has the time)": (
        "unit/test_mqtt.py::test_both_ends_send_small_messages_at_once",
    ),
    "a broker that was down at boot ended the agent after 30 s": (
        "unit/test_mqtt.py::test_a_broker_that_is_not_there_is_waited_for_and_told_once",
        "integration/test_agent_update.py::test_a_core_runs_without_a_broker_and_its_agent_connects_when_there_is_one",
    ),
    "cloud: every end read all executions of its job, a list all documents, each message was a commit": (
        "unit/test_jobs_outbox.py::test_the_end_of_an_execution_costs_the_same_however_many_the_job_has",
        "unit/test_cloud_store.py::test_every_page_is_read_by_an_index",
        "unit/test_jobs_outbox.py::test_messages_that_arrive_together_share_one_commit",
    ),
    "cloud: another region is refused, and says so": (
        "integration/test_cloud_http.py::test_requests_go_where_their_credential_scope_says",
    ),
    "cloud: a silent or half-sent request was kept for ever": (
        "integration/test_cloud_http.py::test_a_client_that_falls_silent_is_not_kept_for_ever",
        "integration/test_cloud_http.py::test_a_client_that_only_trickles_is_not_kept_for_ever",
    ),
    "cloud: any Host was served": (
        "integration/test_cloud_http.py::test_a_name_that_leads_here_by_dns_rebinding_is_not_answered",
    ),
    r"cloud: patterns with \p were not checked": (
        "unit/test_cloud_protocol.py::test_a_pattern_with_properties_is_checked_as_java_does",
    ),
    "cloud: an unknown deployment was 200": (
        "integration/test_cloud_http.py::test_an_unknown_deployment_is_not_found",
    ),
    "cloud: malformed HTTP got text/plain": (
        "integration/test_cloud_http.py::test_what_is_not_http_is_refused_in_json",
    ),
    "cloud: DescribeJob had no schedulingConfig": (
        "integration/test_jobs_http.py::test_a_job_from_creation_to_completion_over_http_alone",
    ),
    "cloud: the end of a second cloud removed the first one's note": (
        "unit/test_cloud_notes.py::test_the_end_of_the_second_cloud_leaves_the_first_ones_note",
    ),
    "cloud: tables were added to another program's SQLite file": (
        "unit/test_statefile.py::test_a_file_of_somebody_else_is_refused_and_nothing_is_touched",
    ),
    "cloud: CreateSoftwareUpdateJob needed a build that no client of AWS's can bring": (
        "integration/test_catalogue.py::test_a_plain_client_creates_update_jobs_for_all_pairs_without_another_call",
    ),
    "cloud: tags were accepted and could not be read": (
        "integration/test_cloud_definitions.py::test_tags_are_set_changed_and_removed",
    ),
}


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_was_seen_has_its_tests(fault: str) -> None:
    named = (test.split("::") for test in FAULTS[fault])
    assert not [name for file, name in named if name not in names_in(file)]
