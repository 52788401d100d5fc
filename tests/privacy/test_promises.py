"""The promises of privacy, V01 to V21, each with the tests that hold it: a name that does not exist fails here.

V14, pseudonymised exports, is not made yet: there are no exports.
"""

import pytest

from tests.privacy.test_classes import exists

LATER = {"V14"}
PROMISES: dict[str, tuple[str, ...]] = {
    "V01 off duty and in a pause nothing is stored, and it is counted": (
        "tests/privacy/test_duty.py::test_of_many_fixes_around_the_edges_of_duty_none_is_stored_outside_it",
        "tests/acceptance/test_positions.py::test_a_day_of_fixes_from_the_start_to_a_late_pause",
        "tests/tracking/test_upkeep.py::test_fixes_off_duty_are_no_tracks_either",
    ),
    "V02 a pause asks for no reason and alerts nobody": (
        "tests/privacy/test_duty.py::test_a_pause_asks_for_no_reason_keeps_its_times_and_alerts_nobody",
        "tests/tracking/test_silence.py::test_a_pause_the_end_and_a_mandate_are_no_silence",
        "tests/handlers/test_run.py::test_duty_and_its_intervals_are_the_same_for_every_order_of_arrival",
    ),
    "V03 screens show the planned line, and nobody's speed": (
        "tests/privacy/test_precision.py::test_every_place_of_the_live_map_and_of_a_replay_is_on_the_planned_line",
        "tests/privacy/test_precision.py::test_no_answer_and_no_table_has_a_speed",
        "tests/tracking/test_dump.py::test_after_a_day_no_place_of_a_carrier_is_in_the_database",
    ),
    "V04 everything is kept for its time and no longer": (
        "tests/journal/test_retention.py::test_after_fourteen_months_exactly_the_days_within_each_limit_are_left",
        "tests/journal/test_retention.py::test_a_purpose_under_a_legal_hold_stands_still_until_it_is_ended",
    ),
    "V05 no figure by carrier": (
        "tests/privacy/test_figures.py::test_no_route_parameter_or_answer_counts_by_carrier",
        "tests/privacy/test_figures.py::test_no_column_and_no_figure_of_the_reports_is_by_carrier",
        "tests/reports/test_service.py::test_a_carrier_who_works_alone_is_in_no_figure_of_any_answer",
        "tests/reports/test_counting.py::test_no_carrier_device_or_run_is_in_any_table_of_the_figures",
    ),
    "V06 a carrier downloads what is kept of them, with who looked": (
        "tests/web/test_mirror.py::test_a_carrier_downloads_all_that_is_kept_of_them_as_it_is_in_the_database",
        "tests/web/test_mirror.py::test_a_carrier_reads_who_looked_at_their_own_work_and_nothing_else",
    ),
    "V07 supervisors see their site, and give a reason for what is past": (
        "tests/web/test_mirror.py::test_what_is_older_than_today_needs_a_reason_which_is_noted",
        "tests/web/test_mirror.py::test_a_run_that_is_not_ones_own_is_not_there_with_or_without_a_reason",
        "tests/web/test_mirror.py::test_what_cannot_be_noted_is_not_shown",
    ),
    "V08 an erased person cannot be read, and subscribers are told": (
        "tests/journal/test_erasure.py::test_the_commit_that_says_it_leaves_nothing_that_any_key_opens",
        "tests/journal/test_erasure.py::test_the_tombstone_goes_to_whoever_ordered_and_what_is_still_queued_says_erased",
    ),
    "V09 health data go to scope health of their own account alone": (
        "tests/privacy/test_classes.py::test_no_health_field_of_any_published_model_reaches_anybody_without_scope_health",
        "tests/privacy/test_classes.py::test_no_screen_has_a_field_of_health",
        "tests/acceptance/test_canary.py::test_no_canary_is_in_the_log_and_one_would_be_found",
    ),
    "V10 thin events say nothing, and what a scope does not cover is left out": (
        "tests/privacy/test_classes.py::test_a_thin_event_and_another_account_get_nothing_of_any_type",
        "tests/publishing/test_cloudevents.py::test_a_thin_event_has_no_data_and_a_reference",
        "tests/acceptance/test_main_road.py::test_what_a_scope_does_not_cover_is_left_out_and_a_link_says_where_it_is",
        "tests/acceptance/test_main_road.py::test_an_account_sees_the_events_of_its_own_tasks_only_and_the_operator_sees_all",
    ),
    "V11 without the health module there are no tables and no services of health": (
        "tests/privacy/test_health_module.py::test_there_is_no_table_for_health_data",
        "tests/privacy/test_health_module.py::test_their_events_are_unknown_and_quarantined_and_others_are_taken",
        "tests/privacy/test_health_module.py::test_their_tasks_are_refused_and_their_types_are_not_offered",
    ),
    "V12 a public page says who sees what, made by the code": (
        "tests/privacy/test_classes.py::test_what_the_page_says_of_a_type_is_what_its_readers_are_sent",
        "tests/privacy/test_classes.py::test_the_page_is_made_of_every_field_of_every_model",
        "tests/pages/test_discretion.py::test_every_type_with_its_readers_is_on_the_page_and_in_the_document",
    ),
    "V13 pictures lose their place and camera; no number of a document is kept": (
        "tests/media/test_pictures.py::test_a_photo_loses_its_place_its_camera_and_its_comment_and_stands_upright",
        "tests/media/test_over_http.py::test_what_a_neighbour_signed_is_not_the_senders",
        "tests/media/test_proofs_over_http.py::test_the_sender_gets_a_signed_proof_that_names_what_the_order_asks_for_and_no_number",
    ),
    "V15 every query and every table has a purpose": (
        "tests/privacy/test_tables.py::test_every_query_has_a_purpose_of_the_register",
        "tests/privacy/test_tables.py::test_a_file_of_queries_without_a_purpose_is_refused",
        "tests/privacy/test_tables.py::test_every_table_has_a_purpose_or_is_said_to_be_about_nobody",
        "tests/privacy/test_tables.py::test_no_statement_is_written_outside_the_files_that_declare_a_purpose",
    ),
    "V16 notes of visits are short, neutral, kept 90 days, and hers to read": (
        "tests/privacy/test_notes.py::test_needs_are_said_in_neutral_words_and_others_are_warned_of",
        "tests/privacy/test_notes.py::test_a_note_of_281_characters_is_refused",
        "tests/privacy/test_notes.py::test_visits_are_kept_90_days",
        "tests/privacy/test_notes.py::test_the_visited_person_can_read_what_was_noted_and_that_is_noted",
    ),
    "V17 learned times belong to the delivery point": (
        "tests/privacy/test_tables.py::test_no_table_holds_a_carrier_beside_a_duration",
    ),
    "V18 a staff representative's mandate has no position": (
        "tests/privacy/test_duty.py::test_on_a_mandate_every_fix_is_dropped",
        "tests/acceptance/test_live.py::test_a_mandate_of_staff_representatives_is_seen_by_nobody",
        "tests/handlers/test_run.py::test_a_mandate_is_no_duty_and_has_no_interval_in_which_positions_count",
    ),
    "V19 a page for the works council, made by the code": (
        "tests/pages/test_discretion.py::test_the_council_s_page_has_every_purpose_limit_and_cannot",
        "tests/privacy/test_classes.py::test_each_cannot_has_its_words_and_tests_that_exist",
    ),
    "V20 the report says what is over its limit: nothing": (
        "tests/privacy/test_tables.py::test_the_report_counts_what_is_over_its_limit_and_nothing_is_after_retention",
        "tests/privacy/test_tables.py::test_the_report_names_for_each_purpose_why_what_for_whom_and_how_long",
    ),
    "V21 erasures are done again after a restore, before it is ready": (
        "tests/journal/test_erasure.py::test_a_dump_from_before_an_erasure_is_erased_when_it_is_opened_and_gets_a_new_epoch",
        "tests/journal/test_erasure.py::test_a_copy_of_the_servers_folder_from_before_an_erasure_is_erased_when_it_is_opened",
    ),
}


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_is_held_by_tests_that_exist(promise: str) -> None:
    assert PROMISES[promise]
    assert [name for name in PROMISES[promise] if not exists(name)] == []


def test_every_promise_is_in_the_table() -> None:
    assert {promise.split()[0] for promise in PROMISES} | LATER == {f"V{number:02}" for number in range(1, 22)}


def test_a_test_that_is_not_there_is_found_missing() -> None:
    assert not exists("tests/privacy/test_promises.py::test_of_nothing")
    assert not exists("tests/privacy/test_nowhere.py::test_of_nothing")
