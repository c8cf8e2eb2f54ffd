{{/*
Rules of NetworkPolicies, as YAML lists. A rule that names pods names them by the chart's own
labels, so it holds within this release only.
*/}}

{{/* A peer: one component's pods. Call with (dict "context" $ "component" "embedder"). */}}
{{- define "kartoteka.network.peer" -}}
- podSelector:
    matchLabels:
      {{- include "kartoteka.selectorLabels" . | nindent 6 }}
{{- end -}}

{{/* Peers: several components' pods. Call with (dict "context" $ "components" (list …)). */}}
{{- define "kartoteka.network.peers" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "kartoteka.name" .context }}
      app.kubernetes.io/instance: {{ .context.Release.Name }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}
{{- end -}}

{{/* The port of an address as host:port or url, as text; of a url without one its scheme's. */}}
{{- define "kartoteka.network.port" -}}
{{- $scheme := regexFind "^[a-z][a-z0-9+.-]*://" . -}}
{{- $rest := trimPrefix $scheme . -}}
{{- $authority := regexFind "^[^/?#]*" $rest -}}
{{- $port := regexFind ":[0-9]+$" $authority | trimPrefix ":" -}}
{{- if $port -}}{{ $port }}
{{- else if eq $scheme "https://" -}}443
{{- else if eq $scheme "http://" -}}80
{{- end -}}
{{- end -}}

{{/* Ports of external stores: those named in values, and those in the stores' own addresses. */}}
{{- define "kartoteka.network.storePorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.storePorts -}}{{- $ports = append $ports (toString .) -}}{{- end -}}
{{- $addresses := list -}}
{{- if eq .Values.kafka.mode "external" -}}
{{- range splitList "," .Values.kafka.external.bootstrapServers -}}{{- $addresses = append $addresses (trim .) -}}{{- end -}}
{{- end -}}
{{- if eq .Values.qdrant.mode "external" -}}{{- $addresses = append $addresses .Values.qdrant.external.url -}}{{- end -}}
{{- if eq .Values.objectStorage.mode "external" -}}{{- $addresses = append $addresses .Values.objectStorage.external.endpoint -}}{{- end -}}
{{- range $addresses -}}
{{- with include "kartoteka.network.port" . -}}{{- $ports = append $ports . -}}{{- end -}}
{{- end -}}
{{- range uniq $ports }}
- {protocol: TCP, port: {{ . }}}
{{- end -}}
{{- end -}}

{{/*
Egress to stores. Call with (dict "context" $ "kafka" true "qdrant" true "objects" true "sources"
true); what is left out is not allowed. Sources are other people's buckets, so they count as
external stores.
*/}}
{{- define "kartoteka.network.storeEgress" -}}
{{- $values := .context.Values -}}
{{- $external := false -}}
{{- if .kafka -}}
{{- if eq $values.kafka.mode "builtin" }}
- to:
    {{- include "kartoteka.network.peer" (dict "context" .context "component" "kafka") | nindent 4 }}
  ports: [{protocol: TCP, port: 9092}]
{{- else if eq $values.kafka.mode "strimzi" }}
# Strimzi's operator labels its pods itself, with the name of the Kafka object.
- to:
    - podSelector:
        matchLabels: {strimzi.io/cluster: {{ include "kartoteka.kafka.strimziCluster" .context }}}
  ports: [{protocol: TCP, port: {{ ternary 9093 9092 $values.kafka.tls.enabled }}}]
{{- else -}}
{{- $external = true -}}
{{- end -}}
{{- end -}}
{{- if .qdrant -}}
{{- if eq $values.qdrant.mode "builtin" }}
- to:
    {{- include "kartoteka.network.peer" (dict "context" .context "component" "qdrant") | nindent 4 }}
  ports: [{protocol: TCP, port: 6333}]
{{- else -}}
{{- $external = true -}}
{{- end -}}
{{- end -}}
{{- if .objects -}}
{{- if eq $values.objectStorage.mode "builtin" }}
- to:
    {{- include "kartoteka.network.peer" (dict "context" .context "component" "object-storage") | nindent 4 }}
  ports: [{protocol: TCP, port: 8333}]
{{- else -}}
{{- $external = true -}}
{{- end -}}
{{- end -}}
{{- $own := and .objects (not (include "kartoteka.objects.secret" .context)) -}}
{{- if or $own (and .sources $values.sources.allowedUrls (not $values.sources.existingSecret)) }}
# The platform's own credentials come from its metadata service, on the node.
- to:
    - ipBlock: {cidr: 169.254.0.0/16}
    - ipBlock: {cidr: "fd00:ec2::/32"}
  ports: [{protocol: TCP, port: 80}, {protocol: TCP, port: 988}]
{{- end -}}
{{- if and .sources $values.sources.allowedUrls -}}
{{- $external = true -}}
{{- end -}}
{{- if $external }}
- ports:
    {{- include "kartoteka.network.storePorts" .context | trim | nindent 4 }}
  {{- with $values.networkPolicy.storesTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Egress to the collector of traces: policies see the port behind its Service. */}}
{{- define "kartoteka.network.tracingEgress" -}}
{{- if and .Values.tracing.enabled .Values.tracing.endpoint }}
{{- $ports := list -}}
{{- range .Values.networkPolicy.tracingPorts -}}{{- $ports = append $ports (toString .) -}}{{- end -}}
{{- $ports = append $ports (include "kartoteka.network.port" .Values.tracing.endpoint) }}
- ports:
    {{- range uniq $ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}
{{- end -}}

{{/*
Egress to the Kubernetes API. Its address is the node's or a provider's, which no selector names;
policies see the port behind the Service, so both are there.
*/}}
{{- define "kartoteka.network.apiServerEgress" -}}
- ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .Values.networkPolicy.apiServerTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Head of a component's policy. Call with (dict "context" $ "component" "embedder"). */}}
{{- define "kartoteka.network.head" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "kartoteka.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "kartoteka.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}
