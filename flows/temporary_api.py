"""The program of a temporary server: `python -m flows.temporary_api FD` serves on the listening socket FD."""

import sys

from mfcore.machine import collect_seldom

if __name__ == "__main__":
    collect_seldom()  # before the imports, which it is for

    import uvicorn
    from prefect.server.api.server import create_app

    uvicorn.run(create_app(ephemeral=True, final=True), fd=int(sys.argv[1]), log_level="error")
