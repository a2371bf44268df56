# Two images from one file:
#   docker build --target serving  -t desirepath-serving  .
#   docker build --target training -t desirepath-training .
# `make image-steps` replays the same steps without a container engine.

FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements/build.lock requirements/build.lock
RUN python -m pip install --no-cache-dir --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE desirepath.py ./
COPY recommender recommender
COPY feature_store feature_store
COPY training training
COPY serving serving
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim AS serving
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
ENV NUMBA_CACHE_DIR=/var/cache/desirepath
WORKDIR /app
COPY requirements/serving.lock requirements/serving.lock
RUN python -m pip install --no-cache-dir --require-hashes -r requirements/serving.lock
COPY --from=build /wheels /wheels
RUN python -m pip install --no-cache-dir --no-deps --no-index --find-links /wheels desirepath
# Here rather than at every start, which would take half a minute longer.
RUN desirepath compile
RUN useradd --system --uid 10001 --no-create-home desirepath && mkdir /data && chown -R desirepath /data /var/cache/desirepath
USER desirepath
VOLUME /data
EXPOSE 8000
ENV DESIREPATH_ROOT=/data DESIREPATH_HOST=0.0.0.0 DESIREPATH_PORT=8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['DESIREPATH_PORT'] + '/health/live', timeout=2)"]
CMD ["desirepath", "serve"]

FROM python:3.11-slim AS training
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1 MLFLOW_DISABLE_TELEMETRY=true
WORKDIR /app
# implicit and lightgbm need the OpenMP runtime.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY requirements/training.lock requirements/training.lock
RUN python -m pip install --no-cache-dir --require-hashes -r requirements/training.lock
COPY --from=build /wheels /wheels
RUN python -m pip install --no-cache-dir --no-deps --no-index --find-links /wheels desirepath
RUN useradd --system --uid 10001 --no-create-home desirepath && mkdir /data && chown desirepath /data
USER desirepath
VOLUME /data
HEALTHCHECK CMD ["desirepath", "--help"]
CMD ["desirepath", "retrain", "--help"]
