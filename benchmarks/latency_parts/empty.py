"""The floor: a bare FastAPI route that answers ``{}``; its server is set up as the service's."""

from __future__ import annotations

import argparse

import uvicorn
from fastapi import FastAPI

from serving.settings import Settings
from serving.worker import server_options


def create_app() -> FastAPI:
    """The route, and nothing else; FastAPI's own extras are off as in the service."""
    app = FastAPI(
        telemetry={"tracing": False, "metrics": False, "logs": False},
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )

    @app.get("/")
    async def empty() -> dict[str, str]:
        return {}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    config = uvicorn.Config(create_app(), port=port, lifespan="off", **server_options(Settings()))
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
