{{/* metadata of an object that an operator selects by labels; as kartoteka.metadata, with "labels". */}}
{{- define "kartoteka.monitoring.metadata" -}}
name: {{ printf "%s-%s" (include "kartoteka.fullname" .context) .component }}
namespace: {{ .context.Release.Namespace }}
labels:
  {{- merge (dict) .labels (include "kartoteka.labels" . | fromYaml) | toYaml | nindent 2 }}
{{- with .context.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
