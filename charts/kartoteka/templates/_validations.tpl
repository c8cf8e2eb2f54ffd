{{/*
What is wrong with the values, by area, one sentence a line, each saying what to do; nothing where all
is well. What the types alone can say is values.schema.json's.
*/}}
{{- define "kartoteka.problems.kafka" -}}
{{- $kafka := .Values.kafka -}}
{{- $copies := int $kafka.replicationFactor -}}
{{- $insync := int $kafka.minInsyncReplicas -}}
{{- if gt $insync $copies }}
kafka.minInsyncReplicas ({{ $insync }}) is more than kafka.replicationFactor ({{ $copies }}): no write could ever be acknowledged. Set at most {{ $copies }}.
{{- else if and (gt $copies 1) (eq $insync $copies) }}
kafka.minInsyncReplicas equals kafka.replicationFactor ({{ $copies }}): the loss of one broker would stop all writes. Set kafka.minInsyncReplicas to {{ sub $copies 1 }}.
{{- end }}
{{- if eq $kafka.mode "builtin" }}
{{- if gt $copies 1 }}
kafka.replicationFactor is {{ $copies }}, but the built-in Kafka is a single node. Set it to 1, or kafka.mode to strimzi or external.
{{- end }}
{{- if or $kafka.tls.enabled $kafka.sasl.enabled }}
kafka.tls and kafka.sasl are for kafka.mode external and strimzi: the built-in Kafka has neither. Disable them, or change the mode.
{{- end }}
{{- if $kafka.external.bootstrapServers }}
kafka.external.bootstrapServers is set, but kafka.mode is builtin. Set kafka.mode to external, or leave the address empty.
{{- end }}
{{- else if eq $kafka.mode "external" }}
{{- if not $kafka.external.bootstrapServers }}
kafka.mode is external: set kafka.external.bootstrapServers, as kafka-0:9092,kafka-1:9092.
{{- end }}
{{- else }}
{{- $nodes := int $kafka.strimzi.replicas }}
{{- if gt $copies $nodes }}
kafka.replicationFactor ({{ $copies }}) is more than kafka.strimzi.replicas ({{ $nodes }}): no topic could be made. Set at most {{ $nodes }}.
{{- else if and (gt $nodes 1) (eq $copies 1) }}
kafka.strimzi.replicas is {{ $nodes }}, but kafka.replicationFactor is 1, so that each lost disk loses work. Set kafka.replicationFactor to {{ min 3 $nodes }} and kafka.minInsyncReplicas to {{ sub (min 3 $nodes) 1 }}.
{{- end }}
{{- end }}
{{- if eq $kafka.mode "strimzi" }}
{{- if or $kafka.sasl.existingSecret $kafka.sasl.password $kafka.sasl.username }}
kafka.sasl.username, password and existingSecret are for kafka.mode external: Strimzi's operator makes user and password. Leave them empty.
{{- end }}
{{- if or $kafka.tls.caSecret $kafka.tls.clientSecret }}
kafka.tls.caSecret and clientSecret are for kafka.mode external: Strimzi's operator makes the authority. Leave them empty.
{{- end }}
{{- else }}
{{- if and $kafka.sasl.existingSecret $kafka.sasl.password }}
kafka.sasl has both a password and an existingSecret. Leave one of them empty, best the password.
{{- end }}
{{- if and $kafka.sasl.enabled (not $kafka.sasl.existingSecret) (not (and $kafka.sasl.username $kafka.sasl.password)) }}
kafka.sasl is enabled without credentials: set kafka.sasl.existingSecret, or username and password.
{{- end }}
{{- if and (or $kafka.tls.caSecret $kafka.tls.clientSecret) (not $kafka.tls.enabled) }}
kafka.tls names Secrets, but is not enabled, so that all would travel in the clear. Set kafka.tls.enabled.
{{- end }}
{{- end }}
{{- end -}}

{{- define "kartoteka.problems.qdrant" -}}
{{- $qdrant := .Values.qdrant -}}
{{- $key := $qdrant.apiKey -}}
{{- if and $key.value $key.existingSecret }}
qdrant.apiKey has both a value and an existingSecret. Leave one of them empty, best the value.
{{- end }}
{{- if gt (int $qdrant.writeConsistencyFactor) (int $qdrant.replicationFactor) }}
qdrant.writeConsistencyFactor ({{ $qdrant.writeConsistencyFactor }}) is more than qdrant.replicationFactor ({{ $qdrant.replicationFactor }}): no write could ever succeed. Set at most {{ $qdrant.replicationFactor }}.
{{- end }}
{{- if eq $qdrant.mode "external" }}
{{- if not $qdrant.external.url }}
qdrant.mode is external: set qdrant.external.url, as https://qdrant:6333.
{{- end }}
{{- if and $qdrant.tls.caSecret (not (hasPrefix "https://" $qdrant.external.url)) }}
qdrant.tls.caSecret is set, but qdrant.external.url is no https:// url. Change one of them.
{{- end }}
{{- else }}
{{- if gt (int $qdrant.replicationFactor) 1 }}
qdrant.replicationFactor is {{ $qdrant.replicationFactor }}, but the built-in Qdrant is a single node. Set it to 1, or qdrant.mode to external.
{{- end }}
{{- if $qdrant.external.url }}
qdrant.external.url is set, but qdrant.mode is builtin. Set qdrant.mode to external, or leave the url empty.
{{- end }}
{{- if $qdrant.tls.caSecret }}
qdrant.tls.caSecret is for qdrant.mode external: the built-in Qdrant has no TLS. Leave it empty.
{{- end }}
{{- end }}
{{- end -}}

{{- define "kartoteka.problems.objects" -}}
{{- $objects := .Values.objectStorage -}}
{{- $credentials := $objects.credentials -}}
{{- $inline := or $credentials.accessKeyId $credentials.secretAccessKey -}}
{{- if and $inline $credentials.existingSecret }}
objectStorage.credentials has both keys and an existingSecret. Leave one of them empty, best the keys.
{{- else if and $inline (not (and $credentials.accessKeyId $credentials.secretAccessKey)) }}
objectStorage.credentials has one key of two: set both accessKeyId and secretAccessKey, or neither.
{{- end }}
{{- if eq $objects.mode "external" }}
{{- $external := $objects.external }}
{{- if not (or $external.url $objects.bucket) }}
objectStorage.mode is external: set objectStorage.bucket, or objectStorage.external.url, as s3://bucket/prefix.
{{- end }}
{{- if and $external.url (not (hasPrefix "s3://" $external.url)) }}
objectStorage.external.url must be as s3://bucket/prefix: a folder is not shared by pods.
{{- end }}
{{- if and (hasPrefix "http://" $external.endpoint) (not $external.allowHttp) }}
objectStorage.external.endpoint is plain http: use https, or set objectStorage.external.allowHttp, whereupon documents travel in the clear.
{{- end }}
{{- else }}
{{- if not $objects.bucket }}
objectStorage.bucket is empty: name one; it appears with the first document.
{{- end }}
{{- if or $objects.external.url $objects.external.endpoint }}
objectStorage.external is set, but objectStorage.mode is builtin. Set objectStorage.mode to external, or leave url and endpoint empty.
{{- end }}
{{- end }}
{{- end -}}

{{- define "kartoteka.problems.workloads" -}}
{{- $partitions := int .Values.kafka.jobPartitions -}}
{{- $scaling := .Values.autoscaling -}}
{{- if eq $scaling.engine "none" }}
{{- if gt (int .Values.embedder.replicas) $partitions }}
embedder.replicas ({{ .Values.embedder.replicas }}) is more than kafka.jobPartitions ({{ $partitions }}): the rest would never have work. Set at most {{ $partitions }}.
{{- end }}
{{- else }}
{{- if gt (int $scaling.embedder.maxReplicas) $partitions }}
autoscaling.embedder.maxReplicas ({{ $scaling.embedder.maxReplicas }}) is more than kafka.jobPartitions ({{ $partitions }}): the rest would never have work. Set at most {{ $partitions }}.
{{- end }}
{{- range $name, $limits := pick $scaling "embedder" "ingestApi" }}
{{- if gt (int $limits.minReplicas) (int $limits.maxReplicas) }}
autoscaling.{{ $name }}.minReplicas ({{ $limits.minReplicas }}) is more than its maxReplicas ({{ $limits.maxReplicas }}). Lower it.
{{- end }}
{{- if lt (int $limits.minReplicas) 1 }}
autoscaling.{{ $name }}.minReplicas must be 1 or more: with none, searches have no embedder and uploads no API.
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq .Values.model.source "volume") (not .Values.model.existingClaim) }}
model.source is volume: set model.existingClaim to the claim that holds the exported model.
{{- end }}
{{- if and .Values.model.existingClaim (ne .Values.model.source "volume") }}
model.existingClaim is set, but model.source is {{ .Values.model.source }}. Set model.source to volume, or leave the claim empty.
{{- end }}
{{- if and .Values.tracing.enabled (not .Values.tracing.endpoint) }}
tracing is enabled: set tracing.endpoint, as http://collector:4318.
{{- end }}
{{- if and .Values.auth.existingSecret .Values.tests.enabled (not .Values.tests.existingSecret) }}
auth.existingSecret is set, so that the chart has no key for `helm test`: set tests.existingSecret, or tests.enabled to false.
{{- end }}
{{- range $name := list "ingestApi" "embedder" }}
{{- $pdb := (index $.Values $name).pdb }}
{{- if and $pdb.enabled (not (kindIs "invalid" $pdb.minAvailable)) (ne (toString $pdb.minAvailable) "") (not (kindIs "invalid" $pdb.maxUnavailable)) (ne (toString $pdb.maxUnavailable) "") }}
{{ $name }}.pdb has both minAvailable and maxUnavailable, of which Kubernetes takes one. Set the other to "".
{{- end }}
{{- end }}
{{- end -}}

{{- define "kartoteka.problems.traffic" -}}
{{- if .Values.httpRoute.enabled }}
{{- if not .Values.httpRoute.parentRefs }}
httpRoute is enabled: set httpRoute.parentRefs to the Gateway that it belongs to.
{{- end }}
{{- end }}
{{- if .Values.ingress.enabled }}
{{- if not .Values.ingress.hosts }}
ingress is enabled: set ingress.hosts.
{{- end }}
{{- $hosts := list }}
{{- range .Values.ingress.hosts }}{{ $hosts = append $hosts .host }}{{ end }}
{{- range .Values.ingress.tls }}
{{- range .hosts }}
{{- if not (has . $hosts) }}
ingress.tls names {{ . }}, which is none of ingress.hosts. Add it there, or remove it here.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* One kind that the cluster must know; call with (list $ "keda.sh/v1alpha1" "autoscaling.engine keda" "KEDA"). */}}
{{- define "kartoteka.problems.crd" -}}
{{- $context := index . 0 -}}
{{- if and $context.Values.crdCheck (not ($context.Capabilities.APIVersions.Has (index . 1))) }}
{{ index . 2 }} needs {{ index . 3 }}: the cluster does not know {{ index . 1 }}. Install it first; for rendering without a cluster set crdCheck to false.
{{- end }}
{{- end -}}

{{- define "kartoteka.problems.crds" -}}
{{- if eq .Values.kafka.mode "strimzi" }}
{{- include "kartoteka.problems.crd" (list . "kafka.strimzi.io/v1" "kafka.mode strimzi" "Strimzi's operator") }}
{{- end }}
{{- if eq .Values.autoscaling.engine "keda" }}
{{- include "kartoteka.problems.crd" (list . "keda.sh/v1alpha1" "autoscaling.engine keda" "KEDA") }}
{{- end }}
{{- if or .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled .Values.alerts.enabled }}
{{- include "kartoteka.problems.crd" (list . "monitoring.coreos.com/v1" "metrics.serviceMonitor, metrics.podMonitor or alerts" "the Prometheus operator") }}
{{- end }}
{{- if .Values.httpRoute.enabled }}
{{- include "kartoteka.problems.crd" (list . "gateway.networking.k8s.io/v1" "httpRoute" "the Gateway API") }}
{{- end }}
{{- end -}}

{{/* What is recorded of an installation, as JSON. */}}
{{- define "kartoteka.installed" -}}
{{- toJson (dict
  "kafka.mode" .Values.kafka.mode
  "kafka.jobPartitions" (.Values.kafka.jobPartitions | int | toString)
  "qdrant.mode" .Values.qdrant.mode
  "qdrant.collection" .Values.qdrant.collection
  "objectStorage.mode" .Values.objectStorage.mode
  "objectStorage.url" (include "kartoteka.objects.url" .)
) -}}
{{- end -}}

{{/*
The record of this installation as JSON, under whatever name; nothing where there is none.
*/}}
{{- define "kartoteka.record" -}}
{{- $name := printf "%s-install" (include "kartoteka.fullname" .) -}}
{{- $record := dict -}}
{{- range (lookup "v1" "ConfigMap" .Release.Namespace "" | default dict).items | default list -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $ours := and (eq (index $labels "app.kubernetes.io/part-of" | toString) "kartoteka") (eq (index $labels "app.kubernetes.io/component" | toString) "install") -}}
{{- if and $ours (eq (index $labels "app.kubernetes.io/instance" | toString) $.Release.Name) (or (not $record) (eq .metadata.name $name)) -}}
{{- $record = . -}}
{{- end -}}
{{- end -}}
{{- toJson $record -}}
{{- end -}}

{{/*
What tells that a store's data are still where the chart would look; call with (list $ "kafka" MODE).
*/}}
{{- define "kartoteka.dataRemain" -}}
{{- $context := index . 0 -}}
{{- $namespace := $context.Release.Namespace -}}
{{- $name := include "kartoteka.fullname" $context -}}
{{- if eq (index . 2) "builtin" -}}
{{- if lookup "v1" "PersistentVolumeClaim" $namespace (printf "data-%s-%s-0" $name (index . 1 | kebabcase)) }}true{{ end -}}
{{- else if $context.Capabilities.APIVersions.Has "kafka.strimzi.io/v1" -}}
{{- if lookup "kafka.strimzi.io/v1" "Kafka" $namespace (include "kartoteka.kafka.strimziCluster" $context) }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* What a StatefulSet asks a disk for can never be changed; a message for each store that would. */}}
{{- define "kartoteka.problems.storage" -}}
{{- range $store := list "kafka" "qdrant" "objectStorage" }}
{{- $values := index $.Values $store }}
{{- if eq $values.mode "builtin" }}
{{- $name := printf "%s-%s" (include "kartoteka.fullname" $) ($store | kebabcase) }}
{{- range (dig "spec" "volumeClaimTemplates" list (lookup "apps/v1" "StatefulSet" $.Release.Namespace $name)) }}
{{- $size := .spec.resources.requests.storage | toString }}
{{- $class := .spec.storageClassName | default "" }}
{{- $storage := $values.builtin.storage }}
{{- if or (ne $class ($storage.storageClass | default "")) (ne (include "kartoteka.bytes" $size) (include "kartoteka.bytes" $storage.size)) }}
{{ $store }}.builtin.storage was {{ $size }} of class "{{ $class }}" and cannot become {{ $storage.size }} of class "{{ $storage.storageClass }}" while its StatefulSet is there. Set it back; or give its claim data-{{ $name }}-0 the new size yourself, then kubectl -n {{ $.Release.Namespace }} delete sts {{ $name }} --cascade=orphan, which leaves pod and data, and upgrade. Another class is another disk: the data must be copied.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
What may not change while there are data. A store may be left for an external one, to which somebody
has brought the data, and taken back as long as what it left is there; else, or from one built-in
kind to another, empty volumes would be mounted.
*/}}
{{- define "kartoteka.problems.changes" -}}
{{- $name := printf "%s-install" (include "kartoteka.fullname" .) -}}
{{- $found := include "kartoteka.record" . | fromJson -}}
{{- $record := $found.data | default dict -}}
{{- with $found.metadata }}
{{- $label := index .labels "app.kubernetes.io/name" }}
{{- if ne .name $name }}
The objects of {{ $.Release.Name }} were called {{ trimSuffix "-install" .name }} and cannot be called {{ trimSuffix "-install" $name }}: all would begin with empty volumes. Set fullnameOverride and nameOverride back. To begin anew without the old data, delete the ConfigMap {{ .name }} first.
{{- else if ne $label (include "kartoteka.name" $) }}
nameOverride was {{ $label }} and cannot become {{ include "kartoteka.name" $ }}: pods are selected by it. Set it back.
{{- end }}
{{- end }}
{{- $now := include "kartoteka.installed" . | fromJson -}}
{{- $anew := printf "To begin anew without the old data, delete the ConfigMap %s first." $name -}}
{{- with index $record "kafka.jobPartitions" }}
{{- if ne . (index $now "kafka.jobPartitions") }}
kafka.jobPartitions was {{ . }} and cannot become {{ index $now "kafka.jobPartitions" }}: work of one document would be done out of order. Set it to {{ . }}. {{ $anew }}
{{- end }}
{{- end }}
{{- with index $record "qdrant.collection" }}
{{- if ne . (index $now "qdrant.collection") }}
qdrant.collection was {{ . }} and cannot become {{ index $now "qdrant.collection" }}: all documents would be missing. Set it to {{ . }}. {{ $anew }}
{{- end }}
{{- end }}
{{- range list "kafka" "qdrant" "objectStorage" }}
{{- $was := index $record (printf "%s.mode" .) }}
{{- $is := index $now (printf "%s.mode" .) }}
{{- if and $was (ne $was $is) (ne $is "external") }}
{{- if ne $was "external" }}
{{ . }}.mode was {{ $was }} and cannot become {{ $is }}: it would begin with empty volumes. Set it to {{ $was }}. {{ $anew }}
{{- else if not (include "kartoteka.dataRemain" (list $ . $is)) }}
{{ . }}.mode was external and cannot become {{ $is }}: nothing is left of what it held before, {{ if eq $is "strimzi" }}the Kafka {{ include "kartoteka.kafka.strimziCluster" $ }}{{ else }}the claim data-{{ include "kartoteka.fullname" $ }}-{{ kebabcase . }}-0{{ end }}, so that it would begin with empty volumes. Set it to external. {{ $anew }}
{{- end }}
{{- end }}
{{- end }}
{{- $was := index $record "objectStorage.url" }}
{{- if and $was (eq (index $record "objectStorage.mode") "builtin") (eq (index $now "objectStorage.mode") "builtin") (ne $was (index $now "objectStorage.url")) }}
objectStorage.bucket and prefix were {{ $was }} and cannot become {{ index $now "objectStorage.url" }}: the documents' files would be missing. Set them back. {{ $anew }}
{{- end }}
{{- end -}}
