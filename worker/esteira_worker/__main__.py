"""Run a worker with what the environment says: python -m esteira_worker."""

from __future__ import annotations

import sys

from esteira.errors import EsteiraError
from esteira.logging import configure_logging
from esteira.settings import read_settings
from esteira_worker.supervisor import run_worker

if __name__ == "__main__":
    try:
        settings = read_settings()
        configure_logging(settings.log_level, settings.log_format)
        sys.exit(run_worker(settings))
    except EsteiraError as error:
        sys.exit(f"esteira: {error}")
