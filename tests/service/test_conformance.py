"""The real service against its own OpenAPI document: requests made from it, sound ones and broken ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.worker.processes import running_service

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# A wait is a wait: nothing is learnt of it here.
CONFIG = '[parameters]\n"query.wait" = 0\n'


def test_no_request_ends_in_a_5xx_or_in_an_answer_that_is_not_documented(
    database_url: str, tmp_path: Path, psql: Callable[[str], str]
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with running_service(tmp_path, database_url) as service:
        document = f"{service.http.base_url}/openapi.json"
        command = [
            str(Path(sys.executable).with_name("schemathesis")), f"--config-file={tmp_path / 'schemathesis.toml'}",
            "run", document, f"--checks={CHECKS}", "--phases=examples,coverage,fuzzing", "--max-examples=4", "--seed=1",
            "--no-shrink", "--generation-database=none", "--continue-on-failure", "--warnings=off", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout[-10_000:]
    assert "Tested: 31" in done.stdout, done.stdout[-2_000:]
    assert int(psql("select count(*) from esteira.job")) > 0
