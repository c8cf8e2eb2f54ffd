{{/* Environment and pods of our own containers. What every workload shares stands here once. */}}

{{/* Settings that all processes of ours have. */}}
{{- define "kartoteka.commonEnv" -}}
- {name: LOG_LEVEL, value: {{ .Values.log.level | quote }}}
- {name: LOG_FORMAT, value: {{ .Values.log.format | quote }}}
{{- end -}}

{{/* Settings of what a document's trace goes through. */}}
{{- define "kartoteka.tracingEnv" -}}
{{- if .Values.tracing.enabled }}
- {name: TRACING_ENABLED, value: "true"}
- {name: TRACING_ENDPOINT, value: {{ .Values.tracing.endpoint | quote }}}
- {name: TRACING_SAMPLE_RATIO, value: {{ .Values.tracing.sampleRatio | quote }}}
{{- end }}
{{- end -}}

{{/* The model's identity: the same in whatever reads or writes the index. */}}
{{- define "kartoteka.modelEnv" -}}
- {name: MODEL_BACKEND, value: {{ .Values.model.backend | quote }}}
{{- with .Values.model.name }}
- {name: MODEL_NAME, value: {{ . | quote }}}
{{- end }}
- {name: MODEL_CACHE, value: /models}
{{- end -}}

{{/*
A list of environment variables without duplicates, which a server-side apply refuses; the last of
a name wins, in the first one's place. Call with (dict "own" LISTS "settings" MAP "extra" LIST),
where own is a list of YAML texts. Whole numbers are written in full: YAML makes 1073741824 a float.
*/}}
{{- define "kartoteka.env" -}}
{{- $names := list -}}
{{- $entries := dict -}}
{{- range $text := .own -}}
{{- range $entry := fromYamlArray $text -}}
{{- if not (kindIs "map" $entry) -}}{{- fail (printf "not a list of variables: %v in %s" $entry $text) -}}{{- end -}}
{{- $names = append $names $entry.name -}}
{{- $_ := set $entries $entry.name $entry -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := .settings -}}
{{- $text := toString $value -}}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) -}}{{- $text = int64 $value | toString -}}{{- end -}}
{{- $names = append $names $name -}}
{{- $_ := set $entries $name (dict "name" $name "value" $text) -}}
{{- end -}}
{{- range $entry := .extra -}}
{{- $names = append $names $entry.name -}}
{{- $_ := set $entries $entry.name $entry -}}
{{- end -}}
{{- $merged := list -}}
{{- range $name := uniq $names -}}
{{- $merged = append $merged (get $entries $name) -}}
{{- end -}}
{{- toYaml $merged -}}
{{- end -}}

{{/* Bytes of a quantity as 3Gi or 512M. */}}
{{- define "kartoteka.bytes" -}}
{{- $text := toString . -}}
{{- if kindIs "float64" . -}}{{- $text = int64 . | toString -}}{{- end -}}
{{- $unit := regexReplaceAll "^[0-9.]+" $text "" -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (hasKey $units $unit) -}}{{- fail (printf "%s is no amount of bytes as 512Mi or 3Gi" $text) -}}{{- end -}}
{{- mulf (float64 (regexFind "^[0-9.]+" $text)) (float64 (get $units $unit)) | floor | int64 -}}
{{- end -}}

{{/* Name of a component's ServiceAccount; (dict "context" $ "component" … "workload" …). */}}
{{- define "kartoteka.serviceAccountName" -}}
{{- $account := .workload.serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (printf "%s-%s" (include "kartoteka.fullname" .context) .component) -}}
{{- else -}}
{{- $account.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "kartoteka.serviceAccount" -}}
{{- if .workload.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "kartoteka.metadata" (dict "context" .context "component" .component "name" (include "kartoteka.serviceAccountName" .) "annotations" .workload.serviceAccount.annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{/* Secret with the API keys. */}}
{{- define "kartoteka.apiKeysSecret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-api-keys" (include "kartoteka.fullname" .)) -}}
{{- end -}}

{{/*
A hash of what opens the stores: processes read passwords once, so that another one must start them
anew, together with the store. Values, and what the chart made, as it is in the cluster: without one
(`helm template`) it is made anew each time. Secrets of the user's are only named, and keys of the
API are no part of it: their file is watched.
*/}}
{{- define "kartoteka.storesChecksum" -}}
{{- $v := .Values -}}
{{- include "kartoteka.generated" . -}}
{{- $made := dict -}}
{{- range $component, $secret := dict "qdrant" (include "kartoteka.qdrant.apiKeySecret" .) "object-storage" (include "kartoteka.objects.secret" .) -}}
{{- if eq $secret (printf "%s-%s" (include "kartoteka.fullname" $) $component) -}}
{{- $_ := set $made $component (index $v "generatedSecrets" $component) -}}
{{- end -}}
{{- end -}}
{{- list $made $v.kafka.sasl $v.kafka.tls $v.qdrant.apiKey $v.qdrant.tls $v.objectStorage.credentials $v.objectStorage.external.caSecret $v.sources.existingSecret | toJson | sha256sum -}}
{{- end -}}

{{/* metadata of a pod; (dict "context" $ "component" … "workload" … "annotations" DICT). */}}
{{- define "kartoteka.podMetadata" -}}
{{- $defaults := .context.Values.podDefaults -}}
{{- $checksum := dict "checksum/stores" (include "kartoteka.storesChecksum" .context) -}}
{{- $fixed := include "kartoteka.selectorLabels" . | fromYaml -}}
{{- $about := dict "app.kubernetes.io/version" (toString .context.Chart.AppVersion) "app.kubernetes.io/part-of" "kartoteka" -}}
labels:
  {{- merge (dict) $fixed (.workload.podLabels | default dict) $defaults.podLabels .context.Values.commonLabels $about | toYaml | nindent 2 }}
annotations:
  {{- merge (dict) (.workload.podAnnotations | default dict) $defaults.podAnnotations (.annotations | default dict) $checksum | toYaml | nindent 2 }}
{{- end -}}

{{/* Where pods run, and what may pull their images; (dict "context" $ "workload" …). */}}
{{- define "kartoteka.podSpecDefaults" -}}
{{- $defaults := .context.Values.podDefaults -}}
{{- $workload := .workload | default dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $workload $key | default (get $defaults $key) }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $key := list "priorityClassName" "runtimeClassName" }}
{{- with get $workload $key | default (get $defaults $key) }}
{{ $key }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .context.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ ternary . (get (ternary (dict) . (kindIs "string" .)) "name") (kindIs "string" .) | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Spread over nodes and zones where there are several; each revision for itself. */}}
{{- define "kartoteka.topologySpread" -}}
{{- range $level, $key := dict "node" "kubernetes.io/hostname" "zone" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: {{ get $.context.Values.podDefaults.topologySpreadMode $level }}
  labelSelector:
    matchLabels:
      {{- include "kartoteka.selectorLabels" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* Three probes with a path each, of which none asks a store; liveness never depends on load. */}}
{{- define "kartoteka.probes" -}}
startupProbe:
  httpGet: {path: /healthz/startup, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ .startupTries }}
readinessProbe:
  httpGet: {path: /healthz/ready, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /healthz/live, port: http}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
{{- end -}}

{{/*
The spec of a pod of ours. Call with a dict:
  context, component, workload (the values with resources, extraEnv, …), image (values of the image)
  serviceAccountName, command and args (lists), env (list of YAML texts), settings (map, optional)
  qdrant, objects: whether it speaks to them; Kafka it always does
  tmpSize; volumes, volumeMounts (YAML texts); container (YAML text: ports, probes, lifecycle)
  automount, restartPolicy, graceSeconds, spread: optional
  isMute, isTraced: whether it does not log, and whether a document's trace goes through it
*/}}
{{- define "kartoteka.podSpec" -}}
{{- $workload := .workload -}}
{{- $stores := dict "context" .context "kafka" true "qdrant" (default false .qdrant) "objects" (default false .objects) -}}
{{- $own := concat (list (include "kartoteka.storeEnv" $stores)) (.env | default list) -}}
{{- if .isTraced -}}{{- $own = prepend $own (include "kartoteka.tracingEnv" .context) -}}{{- end -}}
{{- if not .isMute -}}{{- $own = prepend $own (include "kartoteka.commonEnv" .context) -}}{{- end -}}
serviceAccountName: {{ .serviceAccountName }}
automountServiceAccountToken: {{ default false .automount }}
# Service links would set KAFKA_PORT and the like, which read as settings.
enableServiceLinks: false
{{- with .restartPolicy }}
restartPolicy: {{ . }}
{{- end }}
{{- with .graceSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
securityContext:
  {{- include "kartoteka.podSecurityContext" (dict) | nindent 2 }}
{{- include "kartoteka.podSpecDefaults" . }}
{{- if .spread }}
topologySpreadConstraints:
  {{- include "kartoteka.topologySpread" . | trim | nindent 2 }}
{{- end }}
{{- with $workload.initContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "kartoteka.image" (dict "context" .context "image" .image "own" true) | quote }}
    imagePullPolicy: {{ .context.Values.image.pullPolicy }}
    command: {{ toJson .command }}
    args: {{ toJson .args }}
    securityContext:
      {{- include "kartoteka.containerSecurityContext" .context | nindent 6 }}
    env:
      {{- include "kartoteka.env" (dict "own" $own "settings" (.settings | default dict) "extra" ($workload.extraEnv | default list)) | nindent 6 }}
    {{- with $workload.extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .container }}
    {{- . | nindent 4 }}
    {{- end }}
    resources:
      {{- toYaml $workload.resources | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- with .volumeMounts }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with include "kartoteka.storeVolumeMounts" $stores | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with $workload.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  {{- with $workload.sidecars }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: {{ .tmpSize }}}
  {{- with .volumes }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "kartoteka.storeVolumes" $stores | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $workload.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* How Jobs judge a failed pod; (dict "component" …). A wrong setting stays wrong: exit code 2. */}}
{{- define "kartoteka.podFailurePolicy" -}}
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions:
        - {type: DisruptionTarget, status: "True"}
    - action: FailJob
      onExitCodes:
        containerName: {{ .component }}
        operator: In
        values: [2]
{{- end -}}
