FROM python:3.11-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/yitong \
 && /opt/yitong/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt \
 && /opt/yitong/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
COPY --from=build /opt/yitong /opt/yitong
ENV PATH=/opt/yitong/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --no-create-home yitong && mkdir /data && chown yitong /data
USER yitong
VOLUME /data
ENTRYPOINT ["yitong"]
