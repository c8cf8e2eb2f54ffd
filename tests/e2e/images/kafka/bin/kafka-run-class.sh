#!/bin/sh
# Runs a class of Kafka with the variables that the official scripts read. Writes nothing beside /tmp.
set -eu
# shellcheck disable=SC2086  # each holds several options
exec java ${KAFKA_HEAP_OPTS:--Xmx512m} \
    ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseSerialGC -XX:TieredStopAtLevel=1} \
    -XX:-UsePerfData -Djava.awt.headless=true \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -Dorg.slf4j.simpleLogger.showDateTime=true \
    ${KAFKA_LOG4J_OPTS:-} ${KAFKA_OPTS:-} \
    -cp '/opt/kafka/libs/*' "$@"
