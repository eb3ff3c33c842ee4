# syntax=docker/dockerfile:1
# Waybill's one image: operator, services and agents in one binary. For those who have Docker; without it `make images`
# makes the same content for the local node.
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    rustup target add wasm32-unknown-unknown && cargo build --locked --release --bin waybill && cp target/release/waybill /waybill

# glibc and libgcc, nothing else: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="waybill" \
      org.opencontainers.image.source="https://github.com/waybill-dev/waybill" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /waybill /usr/bin/waybill
USER 65532:65532
ENTRYPOINT ["/usr/bin/waybill"]
