# The board, built by Node.
FROM node:22-bookworm-slim AS board
WORKDIR /src
COPY api/board/package.json api/board/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY api/board ./
RUN npm run build

# The locked packages, then our wheel, in an environment that is moved whole.
FROM python:3.11-slim-bookworm AS python
WORKDIR /src
RUN python -m venv /opt/carbonstream
ENV PATH=/opt/carbonstream/bin:$PATH
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY . ./
COPY --from=board /src/dist api/board/dist
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
    && pip install --no-cache-dir --no-deps /wheel/carbonstream-*.whl

FROM python:3.11-slim-bookworm
# Sources keep their sequence numbers here: a volume in production.
ENV PATH=/opt/carbonstream/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CARBONSTREAM_STATE_DIR=/var/lib/carbonstream
RUN useradd --system --uid 10001 --home-dir /var/lib/carbonstream --create-home carbonstream
COPY --from=python /opt/carbonstream /opt/carbonstream
USER 10001
WORKDIR /var/lib/carbonstream
ENTRYPOINT ["carbonstream"]
CMD ["up"]
