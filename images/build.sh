#!/usr/bin/env bash
# Builds images; `make images` and `make images-stores` call it.
#   images/build.sh [NAME...]    ingest-api, embedder, scheduler (these three when none is named);
#                                e2e-kafka, e2e-qdrant, e2e-object-storage
# Told by variables:
#   IMAGE_TOOL      buildah (default), podman or docker (with BuildKit)
#   TAG             the version, default 0.1.0 as in services/*/pyproject.toml
#   IMAGE_PREFIX    what names begin with, default kartoteka
#   BASE            the base image, may hold a digest; default as in the Dockerfiles
#   WHEELS          a folder with torch's CPU wheel, and models that MODEL_NAME names below /wheels
#   BAKE            yes (default), or no: the embedder without a model, which is to be mounted
#   MODEL_NAME, MODEL_REVISION   which model is baked
#   SOURCE, LICENSES             for the labels
#   PIP_INDEX_URL, UV_DEFAULT_INDEX   a mirror of the package index, both where one is needed
#   IMAGE_ARGS      more arguments of the tool, for example where it may do little:
#                   IMAGE_ARGS="--isolation chroot --ulimit nofile=1024:1024"
set -euo pipefail
cd "$(dirname "$0")/.."

tool=${IMAGE_TOOL:-buildah}
case $tool in
    buildah) build=(buildah build --layers) ;;
    podman) build=(podman build --layers) ;;
    docker) build=(docker buildx build --load) ;;
    *)
        echo "IMAGE_TOOL is buildah, podman or docker, not $tool" >&2
        exit 2
        ;;
esac
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' services/ingest-api/pyproject.toml)
tag=${TAG:-$version}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)

passed=(--build-arg "VERSION=$tag" --build-arg "REVISION=$revision")
for name in BASE SOURCE LICENSES PIP_INDEX_URL UV_DEFAULT_INDEX; do
    [[ -z ${!name:-} ]] || passed+=(--build-arg "$name=${!name}")
done
read -ra more <<<"${IMAGE_ARGS:-}"

[[ $# -gt 0 ]] || set -- ingest-api embedder scheduler
for image in "$@"; do
    arguments=("${passed[@]}")
    case $image in
        e2e-kafka)
            [[ -d ${KAFKA_LIB:=.kartoteka/kafka/lib} ]] || {
                echo "Kafka's jars are not in $KAFKA_LIB: make setup-test fetches them" >&2
                exit 1
            }
            arguments+=(--build-context "jars=$KAFKA_LIB")
            ;;
        embedder)
            [[ -z ${WHEELS:-} ]] || arguments+=(--build-context "wheels=$WHEELS")
            [[ ${BAKE:-yes} == yes ]] || arguments+=(--target runtime)
            for name in MODEL_NAME MODEL_REVISION; do
                [[ -z ${!name:-} ]] || arguments+=(--build-arg "$name=${!name}")
            done
            ;;
    esac
    case $image in
        e2e-*) file=tests/e2e/images/${image#e2e-}/Dockerfile ;;
        *) file=services/$image/Dockerfile ;;
    esac
    [[ -f $file ]] || {
        echo "there is no image $image" >&2
        exit 2
    }
    echo "== ${IMAGE_PREFIX:-kartoteka}/$image:$tag"
    # The bash of macOS takes an empty list for an unset one.
    "${build[@]}" "${arguments[@]}" ${more[@]+"${more[@]}"} -f "$file" \
        -t "${IMAGE_PREFIX:-kartoteka}/$image:$tag" .
done
