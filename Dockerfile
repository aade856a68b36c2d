# A static binary and the CA roots, and nothing else. Builds for the platform that it runs on:
#   docker buildx build --platform linux/amd64,linux/arm64 .
FROM docker.io/library/rust:1.95-alpine3.22 AS build
ARG TARGETPLATFORM
# C for libgit2, OpenSSL, libssh2 and aws-lc; Perl for OpenSSL's configuration.
RUN apk add --no-cache build-base ca-certificates cmake linux-headers perl
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# Members of the workspace, which Cargo asks for; nothing of them is built.
COPY tests/bench/engine tests/bench/engine
COPY tests/fuzz tests/fuzz
ENV RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static"
# With a target of its own, the flags do not reach build scripts and procedural macros, which cannot be static.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked,id=target-$TARGETPLATFORM \
    target=$(rustc --print host-tuple) && \
    cargo build --locked --release --bin bowline --target "$target" && \
    cp "target/$target/release/bowline" /bowline && \
    /bowline --version

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /bowline /bowline
COPY LICENSE /LICENSE
USER 65534:65534
ENTRYPOINT ["/bowline"]
CMD ["run"]
