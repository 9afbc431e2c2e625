"""The checkers of the pages notice what is wrong."""

from __future__ import annotations

import pytest

from tests.docs.answers import same, same_json, same_text
from tests.docs.blocks import blocks
from tests.docs.conftest import OpenReader
from tests.docs.test_pages import follow

TEXT = """\
# Page

<!-- not run: no engine here -->
```sh
docker run
```

```sql
select 1
```

```text
1
```

Words.

```text
apart
```
"""


def test_blocks_carry_their_marker_and_their_answer() -> None:
    first, second, third = blocks("page.md", TEXT)
    assert (first.language, first.not_run, first.line) == ("sh", "no engine here", 4)
    assert (second.text, second.answer and second.answer.text) == ("select 1\n", "1\n")
    assert (third.language, third.answer) == ("text", None)


def test_other_ids_times_and_widths_are_the_same_but_other_values_are_not() -> None:
    shown = " attempt |  at\n---------+------\n       1 | 2026-11-22 03:00:00.5+00\n"
    later = " attempt | at\n---------+----\n 1 | 2027-01-01 00:00:00+00\n"
    assert same_text(shown, later)
    assert not same_text(shown, later.replace(" 1 |", " 2 |"))
    assert same_text("job …: charged 5", "job 01a2: charged 5")
    assert not same_text("job …: charged 5", "job 01a2: charged 6")


def test_shown_fields_of_json_must_come_with_their_values() -> None:
    came = {"id": "01976d3c-5a5e-7c3a-9d2e-0b6f6a1f2b3c", "n": 1, "list": [1, 2], "more": None}
    assert same_json({"n": 1, "list": [1, 2], "id": "01976d3c-0000-7c3a-9d2e-0b6f6a1f2b3c"}, came)
    for wrong in ({"n": 2}, {"other": 1}, {"list": [1]}, {"n": True}, {"more": "…"}):
        assert not same_json(wrong, came) or wrong == {"more": "…"}
    assert same("json", '{"n": 1}', 'HTTP/1.1 200 OK\r\nx: y\r\n\r\n{"n": 1}')


@pytest.mark.parametrize(
    "wrong",
    [
        "```sh\nfalse\ntrue\n```",
        "```sh\nesteira nonsense\n```",
        "```sql\nselect nonsense;\n```",
        "```sql\n\\nonsense\n```",
        "```sh\necho 1\n```\n\n```text\n2\n```",
        "```sh\necho '{}'\n```\n\n```json\n{\"a\": 1}\n```",
        "<!-- fails -->\n```sh\ntrue\n```",
        "<!-- until stopped -->\n```sh\nfalse\n```",
        '```json\n{"no": "task"}\n```',
    ],
)
def test_a_wrong_block_is_noticed(open_reader: OpenReader, wrong: str) -> None:
    (block,) = blocks("wrong.md", wrong)
    with pytest.raises((AssertionError, ValueError)):
        follow(open_reader("wrong.md"), block)


def test_a_right_block_is_not_and_the_session_goes_on(open_reader: OpenReader) -> None:
    reader = open_reader("right.md")
    text = """\
```sh
here=$(echo 1)
```

<!-- fails -->
```sh
esteira cancel 01976d3c-5a5e-7c3a-9d2e-0b6f6a1f2b3c
```

```sh
echo $here; cat
```

```text
1
```

```sql
select 2 as two \\gset
```

<!-- fails -->
```sql
select 1 / 0;
```

```text
ERROR: division by zero
```

```sql
select :two as n;
```

```text
 n
---
 2
(1 row)
```

```json
{"task": "a.b"}
```
"""
    for block in blocks("right.md", text):
        follow(reader, block)
