# The server, a worker, the migration, any `pgq …`: `docker build --tag pgq .`, and docs/containers.md.
# It needs neither BuildKit nor compilers: all that is installed comes as wheels, by the hashes of
# deploy/container/*requirements.txt.
FROM python:3.13-slim AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ONLY_BINARY=:all: PIP_NO_DEPS=1
COPY deploy/container/build-requirements.txt deploy/container/requirements.txt ./
RUN python -m venv backend \
    && backend/bin/pip install --quiet --require-hashes --requirement build-requirements.txt
RUN python -m venv --without-pip /opt/pgq \
    && backend/bin/pip --python /opt/pgq/bin/python install --quiet --require-hashes \
        --requirement requirements.txt
COPY . source
RUN PIP_ONLY_BINARY= backend/bin/pip wheel --quiet --no-build-isolation --wheel-dir wheels ./source \
    && backend/bin/pip --python /opt/pgq/bin/python install --quiet --no-index wheels/*.whl

FROM python:3.13-slim
# Nothing is written while it runs, and the base image has no bytecode: without this, each start and
# each health check would compile what they import.
RUN python -m compileall -q -j 0 -x '/(test|idlelib|ensurepip|tkinter|turtledemo|site-packages|dist-packages)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && useradd --uid 10001 --user-group --home-dir /app --shell /usr/sbin/nologin pgq
COPY --from=build /opt/pgq /opt/pgq
COPY deploy/container/healthcheck.py /opt/pgq/healthcheck.py
ENV PATH=/opt/pgq/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    PGQ_SERVER_HOST=0.0.0.0 \
    PGQ_WORKER_METRICS_HOST=0.0.0.0 PGQ_WORKER_METRICS_PORT=9187
# Where modules of an app are looked for, and .env and pgq.toml.
WORKDIR /app
# By number, so that Kubernetes sees that it is not root.
USER 10001:10001
EXPOSE 8080 9187
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "-I", "-S", "/opt/pgq/healthcheck.py"]
ENTRYPOINT ["pgq"]
CMD ["server"]
