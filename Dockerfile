# The image of every Esteira process: `migrate`, `serve` (the default) and `worker`. How to add your tasks: docs/deployment.md.
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
WORKDIR /src
ENV PIP_CONSTRAINT=/src/constraints.txt \
    PIP_BUILD_CONSTRAINT=/src/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
COPY . .
RUN pip wheel --no-deps --wheel-dir /wheels .
# Extras of the distribution to put into the image as well, such as video-forensics.
ARG EXTRAS=""
RUN python -m venv --without-pip /opt/esteira \
    && pip --python /opt/esteira/bin/python install "esteira[${EXTRAS}] @ file://$(echo /wheels/esteira-*.whl)"

FROM python:${PYTHON_VERSION}-slim
# A fixed number, so that an orchestrator can check that it is not root.
RUN useradd --uid 10001 --user-group --create-home esteira
COPY --from=build /opt/esteira /opt/esteira
ENV PATH=/opt/esteira/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ESTEIRA_HOST=0.0.0.0 \
    ESTEIRA_PORT=8000
# Task modules are imported from here.
WORKDIR /app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Of the service only: a worker is judged by its heartbeat in the database, so its container switches this off.
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['ESTEIRA_PORT']), timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
# No shell in between: signals reach the process itself.
ENTRYPOINT ["esteira"]
CMD ["serve"]
