{{/*
Where the stores are and how they are spoken to, in all modes: the one place that knows it.

For a pod of ours, each with (dict "context" $ "kafka" true "qdrant" true "objects" true), the last
three as needed:
  kartoteka.storeEnv           list of env entries: KAFKA_*, QDRANT_*, OBJECT_STORE_*, SOURCE_*
  kartoteka.storeVolumes       list of volumes, or nothing
  kartoteka.storeVolumeMounts  list of their mounts, or nothing
*/}}

{{/* Names of stores end in .namespace.svc: what reads Kafka's lag may run in another namespace, and
a broker's clients go where it says that it is. */}}
{{- define "kartoteka.kafka.bootstrapServers" -}}
{{- $kafka := .Values.kafka -}}
{{- $here := printf "%s.svc" .Release.Namespace -}}
{{- if eq $kafka.mode "external" -}}
{{- $kafka.external.bootstrapServers -}}
{{- else if eq $kafka.mode "strimzi" -}}
{{- printf "%s-kafka-bootstrap.%s:%d" (include "kartoteka.kafka.strimziCluster" .) $here (ternary 9093 9092 $kafka.tls.enabled) -}}
{{- else -}}
{{- printf "%s-kafka.%s:9092" (include "kartoteka.fullname" .) $here -}}
{{- end -}}
{{- end -}}

{{/* The operator itself adds -kafka-bootstrap and more to this name. */}}
{{- define "kartoteka.kafka.strimziCluster" -}}
{{- include "kartoteka.fullname" . -}}
{{- end -}}

{{- define "kartoteka.kafka.securityProtocol" -}}
{{- $kafka := .Values.kafka -}}
{{- printf "%s%s" (ternary "SASL_" "" $kafka.sasl.enabled) (ternary "SSL" "PLAINTEXT" $kafka.tls.enabled) -}}
{{- end -}}

{{/* Strimzi's users have SCRAM-SHA-512 and nothing else. */}}
{{- define "kartoteka.kafka.saslMechanism" -}}
{{- eq .Values.kafka.mode "strimzi" | ternary "SCRAM-SHA-512" .Values.kafka.sasl.mechanism -}}
{{- end -}}

{{/* The user that Strimzi's operator makes, and the Secret that it puts its password into. */}}
{{- define "kartoteka.kafka.strimziUser" -}}
{{- printf "%s-kafka-user" (include "kartoteka.fullname" .) -}}
{{- end -}}

{{/* Secret with user and password, whoever made it. */}}
{{- define "kartoteka.kafka.saslSecret" -}}
{{- if eq .Values.kafka.mode "strimzi" -}}
{{- include "kartoteka.kafka.strimziUser" . -}}
{{- else -}}
{{- .Values.kafka.sasl.existingSecret | default (printf "%s-kafka" (include "kartoteka.fullname" .)) -}}
{{- end -}}
{{- end -}}

{{/* Secret with the authority of the brokers' certificates; nothing: the system's. */}}
{{- define "kartoteka.kafka.caSecret" -}}
{{- if .Values.kafka.tls.enabled -}}
{{- if .Values.kafka.tls.caSecret -}}
{{- .Values.kafka.tls.caSecret -}}
{{- else if eq .Values.kafka.mode "strimzi" -}}
{{- printf "%s-cluster-ca-cert" (include "kartoteka.kafka.strimziCluster" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kartoteka.qdrant.url" -}}
{{- if eq .Values.qdrant.mode "external" -}}
{{- .Values.qdrant.external.url -}}
{{- else -}}
{{- printf "http://%s-qdrant.%s.svc:6333" (include "kartoteka.fullname" .) .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{/* Secret with the api-key; nothing where an external Qdrant has none. */}}
{{- define "kartoteka.qdrant.apiKeySecret" -}}
{{- $key := .Values.qdrant.apiKey -}}
{{- if $key.existingSecret -}}
{{- $key.existingSecret -}}
{{- else if $key.value -}}
{{- printf "%s-qdrant-given" (include "kartoteka.fullname" .) -}}
{{- else if ne .Values.qdrant.mode "external" -}}
{{- printf "%s-qdrant" (include "kartoteka.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "kartoteka.qdrant.apiKeySecretKey" -}}
{{- .Values.qdrant.apiKey.existingSecret | empty | ternary "api-key" .Values.qdrant.apiKey.existingSecretKey -}}
{{- end -}}

{{- define "kartoteka.objects.url" -}}
{{- $objects := .Values.objectStorage -}}
{{- if and (eq $objects.mode "external") $objects.external.url -}}
{{- $objects.external.url -}}
{{- else -}}
{{- printf "s3://%s%s" $objects.bucket (empty $objects.prefix | ternary "" (printf "/%s" (trimAll "/" $objects.prefix))) -}}
{{- end -}}
{{- end -}}

{{- define "kartoteka.objects.endpoint" -}}
{{- if eq .Values.objectStorage.mode "external" -}}
{{- .Values.objectStorage.external.endpoint -}}
{{- else -}}
{{- printf "http://%s-object-storage.%s.svc:8333" (include "kartoteka.fullname" .) .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{/* Secret with the access key; nothing: the platform's own credentials. */}}
{{- define "kartoteka.objects.secret" -}}
{{- $credentials := .Values.objectStorage.credentials -}}
{{- if $credentials.existingSecret -}}
{{- $credentials.existingSecret -}}
{{- else if $credentials.accessKeyId -}}
{{- printf "%s-object-storage-given" (include "kartoteka.fullname" .) -}}
{{- else if ne .Values.objectStorage.mode "external" -}}
{{- printf "%s-object-storage" (include "kartoteka.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Call with (dict "context" $ "which" "accessKeyId"). */}}
{{- define "kartoteka.objects.secretKey" -}}
{{- $credentials := .context.Values.objectStorage.credentials -}}
{{- if eq .which "accessKeyId" -}}
{{- $credentials.existingSecret | empty | ternary "access-key-id" $credentials.accessKeyIdKey -}}
{{- else -}}
{{- $credentials.existingSecret | empty | ternary "secret-access-key" $credentials.secretAccessKeyKey -}}
{{- end -}}
{{- end -}}

{{/* One env entry from a Secret; call with (list "NAME" "secret" "key"). */}}
{{- define "kartoteka.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom: {secretKeyRef: {name: {{ index . 1 | quote }}, key: {{ index . 2 | quote }}}}
{{- end -}}

{{- define "kartoteka.storeEnv" -}}
{{- $parts := list -}}
{{- if .kafka }}{{- $parts = append $parts (include "kartoteka.kafkaEnv" .context) -}}{{- end -}}
{{- if .qdrant }}{{- $parts = append $parts (include "kartoteka.qdrantEnv" .context) -}}{{- end -}}
{{- if .objects }}{{- $parts = append $parts (include "kartoteka.objectsEnv" .context) -}}{{- end -}}
{{- join "\n" $parts -}}
{{- end -}}

{{- define "kartoteka.kafkaEnv" -}}
{{- $kafka := .Values.kafka -}}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ include "kartoteka.kafka.bootstrapServers" . | quote }}
- name: KAFKA_JOB_PARTITIONS
  value: {{ $kafka.jobPartitions | int | quote }}
- name: KAFKA_REPLICATION_FACTOR
  value: {{ $kafka.replicationFactor | int | quote }}
- name: KAFKA_MIN_INSYNC_REPLICAS
  value: {{ $kafka.minInsyncReplicas | int | quote }}
- name: KAFKA_SECURITY_PROTOCOL
  value: {{ include "kartoteka.kafka.securityProtocol" . }}
{{- if include "kartoteka.kafka.caSecret" . }}
- name: KAFKA_SSL_CAFILE
  value: /etc/kartoteka/kafka-ca/ca.crt
{{- end }}
{{- if and $kafka.tls.enabled $kafka.tls.clientSecret }}
- name: KAFKA_SSL_CERTFILE
  value: /etc/kartoteka/kafka-client/tls.crt
- name: KAFKA_SSL_KEYFILE
  value: /etc/kartoteka/kafka-client/tls.key
{{- end }}
{{- if $kafka.sasl.enabled }}
{{- $secret := include "kartoteka.kafka.saslSecret" . }}
- name: KAFKA_SASL_MECHANISM
  value: {{ include "kartoteka.kafka.saslMechanism" . }}
{{- if eq $kafka.mode "strimzi" }}
- name: KAFKA_SASL_USERNAME
  value: {{ include "kartoteka.kafka.strimziUser" . }}
{{ include "kartoteka.secretEnv" (list "KAFKA_SASL_PASSWORD" $secret "password") }}
{{- else if $kafka.sasl.existingSecret }}
{{- if $kafka.sasl.username }}
- name: KAFKA_SASL_USERNAME
  value: {{ $kafka.sasl.username | quote }}
{{- else }}
{{ include "kartoteka.secretEnv" (list "KAFKA_SASL_USERNAME" $secret $kafka.sasl.usernameKey) }}
{{- end }}
{{ include "kartoteka.secretEnv" (list "KAFKA_SASL_PASSWORD" $secret $kafka.sasl.passwordKey) }}
{{- else }}
{{ include "kartoteka.secretEnv" (list "KAFKA_SASL_USERNAME" $secret "username") }}
{{ include "kartoteka.secretEnv" (list "KAFKA_SASL_PASSWORD" $secret "password") }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "kartoteka.qdrantEnv" -}}
{{- $qdrant := .Values.qdrant -}}
- name: QDRANT_URL
  value: {{ include "kartoteka.qdrant.url" . | quote }}
- name: QDRANT_COLLECTION
  value: {{ $qdrant.collection | quote }}
- name: QDRANT_SHARDS
  value: {{ $qdrant.shards | int | quote }}
- name: QDRANT_REPLICATION_FACTOR
  value: {{ $qdrant.replicationFactor | int | quote }}
- name: QDRANT_WRITE_CONSISTENCY_FACTOR
  value: {{ $qdrant.writeConsistencyFactor | int | quote }}
{{- with include "kartoteka.qdrant.apiKeySecret" . }}
{{ include "kartoteka.secretEnv" (list "QDRANT_API_KEY" . (include "kartoteka.qdrant.apiKeySecretKey" $)) }}
{{- end }}
{{- if $qdrant.tls.caSecret }}
- name: QDRANT_CA_FILE
  value: /etc/kartoteka/qdrant-ca/ca.crt
{{- end }}
{{- end -}}

{{- define "kartoteka.objectsEnv" -}}
{{- $objects := .Values.objectStorage -}}
{{- $external := eq $objects.mode "external" -}}
- name: OBJECT_STORE_URL
  value: {{ include "kartoteka.objects.url" . | quote }}
{{- with include "kartoteka.objects.endpoint" . }}
- name: OBJECT_STORE_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: OBJECT_STORE_REGION
  value: {{ $objects.external.region | quote }}
- name: OBJECT_STORE_ALLOW_HTTP
  value: {{ or (not $external) $objects.external.allowHttp | quote }}
{{- if not $external }}
# Of writers that create one key at once, SeaweedFS lets each loser wait for seconds.
- name: OBJECT_STORE_TIMEOUT
  value: "60"
{{- end }}
{{- with include "kartoteka.objects.secret" . }}
{{ include "kartoteka.secretEnv" (list "OBJECT_STORE_ACCESS_KEY_ID" . (include "kartoteka.objects.secretKey" (dict "context" $ "which" "accessKeyId"))) }}
{{ include "kartoteka.secretEnv" (list "OBJECT_STORE_SECRET_ACCESS_KEY" . (include "kartoteka.objects.secretKey" (dict "context" $ "which" "secretAccessKey"))) }}
{{- end }}
{{- if and $external $objects.external.caSecret }}
- name: OBJECT_STORE_CA_FILE
  value: /etc/kartoteka/object-storage-ca/ca.crt
{{- end }}
{{- with .Values.sources.allowedUrls }}
- name: SOURCE_ALLOWED_URLS
  value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.sources.existingSecret }}
- name: SOURCE_CREDENTIALS_FILE
  value: /etc/kartoteka/sources/credentials.json
{{- end }}
{{- end -}}

{{/* What is mounted, as YAML: a list of {name, secret, items: {key: file}}. */}}
{{- define "kartoteka.storeFiles" -}}
{{- $values := .context.Values -}}
{{- $files := list -}}
{{- if .kafka -}}
{{- with include "kartoteka.kafka.caSecret" .context -}}
{{- $files = append $files (dict "name" "kafka-ca" "secret" . "items" (dict $values.kafka.tls.caSecretKey "ca.crt")) -}}
{{- end -}}
{{- if and $values.kafka.tls.enabled $values.kafka.tls.clientSecret -}}
{{- $files = append $files (dict "name" "kafka-client" "secret" $values.kafka.tls.clientSecret "items" (dict "tls.crt" "tls.crt" "tls.key" "tls.key")) -}}
{{- end -}}
{{- end -}}
{{- if and .qdrant $values.qdrant.tls.caSecret -}}
{{- $files = append $files (dict "name" "qdrant-ca" "secret" $values.qdrant.tls.caSecret "items" (dict $values.qdrant.tls.caSecretKey "ca.crt")) -}}
{{- end -}}
{{- if .objects -}}
{{- $external := $values.objectStorage.external -}}
{{- if and (eq $values.objectStorage.mode "external") $external.caSecret -}}
{{- $files = append $files (dict "name" "object-storage-ca" "secret" $external.caSecret "items" (dict $external.caSecretKey "ca.crt")) -}}
{{- end -}}
{{- if $values.sources.existingSecret -}}
{{- $files = append $files (dict "name" "sources" "secret" $values.sources.existingSecret "items" (dict $values.sources.existingSecretKey "credentials.json")) -}}
{{- end -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}

{{- define "kartoteka.storeVolumes" -}}
{{- $volumes := list -}}
{{- range include "kartoteka.storeFiles" . | fromYamlArray -}}
{{- $items := list -}}
{{- range $key, $path := .items -}}
{{- $items = append $items (dict "key" $key "path" $path) -}}
{{- end -}}
{{/* Readable by the pod's group, as 0440. */}}
{{- $volumes = append $volumes (dict "name" .name "secret" (dict "secretName" .secret "defaultMode" 288 "items" $items)) -}}
{{- end -}}
{{- with $volumes }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Whole folders, no subPath: what is mounted so follows the Secret. */}}
{{- define "kartoteka.storeVolumeMounts" -}}
{{- $mounts := list -}}
{{- range include "kartoteka.storeFiles" . | fromYamlArray -}}
{{- $mounts = append $mounts (dict "name" .name "mountPath" (printf "/etc/kartoteka/%s" .name) "readOnly" true) -}}
{{- end -}}
{{- with $mounts }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
Of the pod specs of built-in stores; call with (dict "context" $ "store" .Values.kafka.builtin).
Nothing of theirs asks the Kubernetes API, and a Service's environment variables, such as KAFKA_PORT,
would be taken for settings.
*/}}
{{- define "kartoteka.builtinPodSpec" -}}
{{- $defaults := .context.Values.podDefaults -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .context.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ .name }}{{ end }}
  {{- end }}
{{- end }}
{{- with .store.nodeSelector | default $defaults.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .store.tolerations | default $defaults.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .store.affinity | default $defaults.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $defaults.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $defaults.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{/*
volumeClaimTemplates and what goes with them; call with (dict "context" $ "component" "kafka"
"storage" .Values.kafka.builtin.storage). They can never be changed: no label of a version or of
somebody's choice. Deleting a release, or scaling it to nothing, deletes no data.
*/}}
{{- define "kartoteka.builtinClaim" -}}
persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
volumeClaimTemplates:
  - metadata:
      name: data
      labels:
        {{- include "kartoteka.selectorLabels" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .storage.storageClass }}
      storageClassName: {{ . | quote }}
      {{- end }}
      resources:
        requests:
          storage: {{ .storage.size }}
{{- end -}}

{{/* Labels of a built-in store's pods: no version, since a new chart alone is no reason to restart
what there is only one of. Call as kartoteka.labels. */}}
{{- define "kartoteka.builtinPodLabels" -}}
{{ include "kartoteka.selectorLabels" . }}
app.kubernetes.io/part-of: kartoteka
{{- with merge (dict) .context.Values.podDefaults.podLabels .context.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
