# The image of api-mock-service; docs/mocks/run-in-a-container.md says how to use it.
#
#     docker build -t api-mock-service .
#
# Needs no network but for the two base images if the sources of all crates lie in `vendor` (`cargo vendor --locked`).
ARG DEBIAN=trixie
FROM rust:1.95-slim-${DEBIAN} AS build
# What the version command shows.
ARG BUILD_COMMIT=unknown BUILD_DATE=unknown
WORKDIR /src
COPY . .
RUN set -eu; \
    if [ -d vendor ]; then set -- --offline \
        --config 'source.crates-io.replace-with="vendored"' --config 'source.vendored.directory="vendor"'; \
    fi; \
    export BUILD_COMMIT BUILD_DATE; \
    cargo build --release --locked -p api-mock-cli "$@"; \
    mkdir -p /image/data /image/assets

FROM debian:${DEBIAN}-slim
# Services that are recorded are verified against these authorities.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/api-mock-service /usr/local/bin/api-mock-service
COPY --from=build --chown=65532:65532 /image/ /
# Not root, and no name that a system could map to somebody.
USER 65532:65532
# A container is reached from outside of it or not at all: publish the ports to whom you trust.
ENV HTTP_HOST=0.0.0.0 HTTP_PORT=8080 PROXY_PORT=8081 DATA_DIR=/data ASSET_DIR=/assets
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080 8081
ENTRYPOINT ["api-mock-service"]
