# The service as an image: slim, not root, works with a read-only root file system.
#
#   docker build -t cough .
#   chmod 644 keys.txt   # the container's user must read it
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --stop-timeout 95 -p 8000:8000 \
#     -v "$PWD/keys.txt:/run/secrets/cough_keys:ro" cough

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /venv \
    && /venv/bin/pip install --require-hashes --only-binary :all: -r requirements.lock \
    && pip install --require-hashes --only-binary :all: -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY cough ./cough
COPY serving ./serving
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /venv/bin/pip install --no-deps --no-index /wheels/*.whl

FROM python:3.11-slim-bookworm
RUN useradd --system --no-create-home --uid 10001 cough
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    COUGH_HOST=0.0.0.0 \
    COUGH_PORT=8000 \
    COUGH_KEYS=/run/secrets/cough_keys
WORKDIR /tmp
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# SIGTERM finishes what was accepted: an upload of 60 s and an answer of 30 s at most.
STOPSIGNAL SIGTERM
CMD ["cough", "serve"]
