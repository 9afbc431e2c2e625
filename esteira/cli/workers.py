"""The command about workers."""

from esteira.cli.options import DatabaseUrl, Json
from esteira.cli.session import ask, console, print_json


def workers(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """List the workers of the last day, the youngest first."""
    found = ask(database_url, lambda client: client.workers())
    if as_json:
        print_json(found)
    else:
        from esteira.cli.views import workers_view

        screen = console()
        screen.print(workers_view(found, screen.width))
