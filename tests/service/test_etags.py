from __future__ import annotations

from typing import Any

import pytest

from esteira.job import Job
from esteira_service import examples
from esteira_service.etags import etag_of, matches
from esteira_service.models import JobView
from esteira_service.problems import Refusal


def view(**changes: Any) -> JobView:
    return JobView.of(Job.model_validate({**examples.RUNNING, **changes}))


def test_a_tag_stays_while_only_the_clock_moves() -> None:
    assert etag_of(view()) == etag_of(view(execution_time_seconds=99.0))
    assert etag_of(view()) == etag_of(view().model_copy(update={"poll_after_seconds": 30}))


@pytest.mark.parametrize("change", [{"progress": 0.5}, {"tags": []}, {"result": 1}, {"status": "queued"}])
def test_a_tag_changes_with_what_is_shown(change: dict[str, Any]) -> None:
    assert etag_of(view()) != etag_of(view(**change))


@pytest.mark.parametrize("header", ['"a"', 'W/"a"', '"b", "a"', '"b" ,W/"a"', "*", " * "])
def test_a_header_that_names_the_tag_or_any_matches(header: str) -> None:
    assert matches(header, "If-Match", '"a"')


@pytest.mark.parametrize("header", ['"b"', '"ab", "A"'])
def test_a_header_that_names_others_does_not(header: str) -> None:
    assert not matches(header, "If-Match", '"a"')


@pytest.mark.parametrize("header", ["a", "", '"a', '"a" "b"', '*, "a"', '"a",'])
def test_what_is_no_list_of_tags_is_refused(header: str) -> None:
    with pytest.raises(Refusal) as refused:
        matches(header, "If-Match", '"a"')
    assert [error.header for error in refused.value.errors or ()] == ["If-Match"]
