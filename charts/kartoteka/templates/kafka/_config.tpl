{{/*
server.properties of the one node, broker and controller at once. How long records stay and how many
copies they have is each topic's own, see kafka.replicationFactor and kafka.minInsyncReplicas.
*/}}
{{- define "kartoteka.kafka.serverProperties" -}}
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.voters=1@localhost:9093
# The controller is asked by its own broker only: it stays inside the pod.
listeners=PLAINTEXT://:9092,CONTROLLER://localhost:9093
advertised.listeners=PLAINTEXT://{{ include "kartoteka.kafka.bootstrapServers" . }}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
# Below the mount: a filesystem's lost+found beside the logs would be taken for a topic.
log.dirs=/var/lib/kafka/data/logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
default.replication.factor=1
min.insync.replicas=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
num.recovery.threads.per.data.dir=2
# The default takes 128 MiB of heap.
log.cleaner.dedupe.buffer.size=33554432
{{ end -}}

{{- define "kartoteka.kafka.log4j" -}}
Configuration:
  Appenders:
    Console:
      name: STDOUT
      PatternLayout:
        pattern: "[%d] %p %m (%c)%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: STDOUT
    Logger:
      - name: kafka
        level: INFO
      - name: org.apache.kafka.server
        level: INFO
{{ end -}}

{{/*
The id that the data folder is formatted with: 16 bytes in base64url, the same for ever for a release,
as a node refuses data of another one. It begins with a letter: a dash would be taken for an option.
*/}}
{{- define "kartoteka.kafka.clusterId" -}}
{{- printf "K%sA" (printf "%s/%s" .Release.Namespace (include "kartoteka.fullname" .) | sha256sum | trunc 20) -}}
{{- end -}}
