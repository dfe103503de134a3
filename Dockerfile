# Build:  docker build -t headrace .
# Run:    docker run -p 8080:8080 -v ./headrace.yaml:/etc/headrace/headrace.yaml:ro headrace
FROM python:3.11-slim AS build
WORKDIR /src
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY fleet fleet
COPY router router
COPY scaler scaler
COPY headrace headrace
RUN python -m venv /opt/headrace \
    && /opt/headrace/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/headrace headrace
COPY --from=build /opt/headrace /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH STATE_DIRECTORY=/var/lib/headrace
USER headrace
WORKDIR /var/lib/headrace
EXPOSE 8080 9900
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=2s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9900/readyz', timeout=2)"]
ENTRYPOINT ["headrace"]
CMD ["run", "/etc/headrace/headrace.yaml"]
