"""The HTTP service: a stateless FastAPI application over the asynchronous client."""

from esteira_service.app import create_app
from esteira_service.server import run_service

__all__ = ["create_app", "run_service"]
