"""Run the service with what the environment says: python -m esteira_service."""

from __future__ import annotations

import sys

from esteira.errors import EsteiraError
from esteira.settings import read_settings
from esteira_service.server import run_service

if __name__ == "__main__":
    try:
        run_service(read_settings())
    except EsteiraError as error:
        sys.exit(f"esteira: {error}")
