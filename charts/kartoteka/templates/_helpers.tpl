{{/* Names, labels and images. A component is one of ingest-api, embedder, scheduler, reconcile, … */}}

{{- define "kartoteka.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* 30 characters at most: a CronJob's name may have 52, and ours add up to 21. */}}
{{- define "kartoteka.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "kartoteka.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 30 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels of any object; call with (dict "context" $ "component" "embedder"). */}}
{{- define "kartoteka.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "kartoteka.selectorLabels" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
app.kubernetes.io/part-of: kartoteka
{{- with .context.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels that select a component's pods; never change them, selectors are immutable. */}}
{{- define "kartoteka.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kartoteka.name" .context }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* metadata of an object; call with (dict "context" $ "component" … "name" … "annotations" …). */}}
{{- define "kartoteka.metadata" -}}
name: {{ .name | default (printf "%s-%s" (include "kartoteka.fullname" .context) .component) }}
namespace: {{ .context.Release.Namespace }}
labels:
  {{- include "kartoteka.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .context.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* An image; call with (dict "context" $ "image" .Values.embedder.image), "own" true for our three. */}}
{{- define "kartoteka.image" -}}
{{- $shared := ternary .context.Values.image (dict) (default false .own) -}}
{{- $registry := .context.Values.global.imageRegistry | default .image.registry | default $shared.registry -}}
{{- $tag := .image.tag | default $shared.tag | default (ternary .context.Chart.AppVersion "" (default false .own)) -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}{{ with $tag }}:{{ . }}{{ end }}@{{ .image.digest }}{{ else }}:{{ $tag }}{{ end -}}
{{- end -}}

{{/* Security context of every pod: Pod Security restricted. */}}
{{- define "kartoteka.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .uid | default 10001 }}
runAsGroup: {{ .uid | default 10001 }}
fsGroup: {{ .uid | default 10001 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Security context of every container. */}}
{{- define "kartoteka.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}
