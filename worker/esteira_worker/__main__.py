"""`python -m esteira_worker`: run a worker with the settings of the environment."""

import sys

from esteira.logging import configure_logging
from esteira.settings import read_settings
from esteira_worker.supervisor import run_worker

if __name__ == "__main__":
    settings = read_settings()
    configure_logging(settings.log_level, settings.log_format)
    sys.exit(run_worker(settings))
