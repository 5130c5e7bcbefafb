# The studio without torch: slim, a user of its own, nothing to write to but its volume and /tmp.
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/danqing \
    && /opt/danqing/bin/pip install --no-cache-dir -c constraints.txt ".[studio]"

FROM python:3.12-slim
COPY --from=build /opt/danqing /opt/danqing
RUN useradd --create-home --uid 10001 danqing
USER danqing
ENV PATH=/opt/danqing/bin:$PATH DANQING_HOME=/home/danqing/cache PYTHONDONTWRITEBYTECODE=1
VOLUME /home/danqing
EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
ENTRYPOINT ["danqing", "studio", "--no-browser", "--port", "8765", "--host", "0.0.0.0"]
CMD ["--name", "localhost"]
