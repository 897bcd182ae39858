# The local cloud and the command line, without boards: docker build -t edge-sim . ; docs/image.md
# With fleets: docker build -t edge-sim:fleet --build-arg REQUIREMENTS=fleet .
# BASE: Debian, or anything with Python 3.10 or newer on it. What make image tries is Debian's own Python.
ARG BASE=python:3.13-slim-bookworm
FROM ${BASE} AS build
# fleet: with Locust, for edge-sim fleet (docs/fleet.md).
ARG REQUIREMENTS=sim

RUN python3 -c "import ensurepip" 2>/dev/null \
    || { apt-get update && apt-get install -y --no-install-recommends python3-venv ca-certificates; }
COPY . /src
# With wheels beside the sources (make image) no index is asked. What no command of ours uses is left out: other services'
# API models, moto's tables of EC2.
RUN python3 -m venv /opt/edge-sim \
    && if [ -d /src/wheels ]; then set -- --no-index --find-links /src/wheels; fi \
    && /opt/edge-sim/bin/python -m pip --quiet --disable-pip-version-check install "$@" \
         --require-hashes --requirement /src/requirements/${REQUIREMENTS}.txt \
    && /opt/edge-sim/bin/python -m pip --quiet --disable-pip-version-check install "$@" --no-deps \
         $(if [ -d /src/wheels ]; then ls /src/wheels/edge_sim-*.whl; else echo /src; fi) \
    && /opt/edge-sim/bin/python -m pip --quiet uninstall --yes pip setuptools 2>/dev/null \
    && cd /opt/edge-sim/lib/python3*/site-packages \
    && find botocore/data -mindepth 1 -maxdepth 1 -type d \
         ! -name greengrass ! -name iot ! -name iot-jobs-data ! -name iot-data ! -name s3 ! -name sagemaker \
         ! -name secretsmanager ! -name sts -exec rm -r {} + \
    && rm -rf moto/ec2/resources

FROM ${BASE}
RUN command -v mosquitto >/dev/null \
    || { apt-get update && apt-get install -y --no-install-recommends mosquitto && rm -rf /var/lib/apt/lists/*; }
RUN useradd --uid 10001 --create-home edge-sim && install --directory --owner edge-sim /data
COPY --from=build /opt/edge-sim /opt/edge-sim
ENV PATH=/opt/edge-sim/bin:$PATH LANG=C.UTF-8
USER edge-sim
WORKDIR /data
VOLUME /data
ENTRYPOINT ["edge-sim"]
CMD ["--help"]
