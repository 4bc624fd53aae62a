# The same server as `make serve`, from targets that CI runs as well. An image whose policies fail their
# own check is never built: the last RUN line ends the build.

# the libraries of the app at /dtr/; the service itself needs no Node
FROM node:20 AS dtr-app
WORKDIR /src
COPY Makefile ./
COPY dtr_app dtr_app
RUN make dtr-app

FROM python:3.11-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=dtr-app /src/dtr_app/site/vendor dtr_app/site/vendor
RUN make install VENV=/opt/cds-service COMPILED=1
RUN make verify VENV=/opt/cds-service

FROM python:3.11-slim
COPY --from=build /opt/cds-service /opt/cds-service
COPY LICENSE NOTICE /opt/cds-service/
RUN useradd --system --uid 10001 --no-create-home service \
 && install --directory --owner=service --group=service /srv/cds-service/var
WORKDIR /srv/cds-service
USER 10001
# the one place that is written to, so that the rest can be mounted read-only (docker run --read-only)
VOLUME ["/srv/cds-service/var"]
# Until callers can be told apart, the server answers this machine only: run it with --network host, or in a pod
# beside the program that calls it. A published port (-p) reaches nothing.
ENV CDS_CLIENT_AUTH=off PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
  CMD ["/opt/cds-service/bin/python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["/opt/cds-service/bin/cds-service"]
CMD ["serve", "--host", "127.0.0.1", "--port", "8080"]
