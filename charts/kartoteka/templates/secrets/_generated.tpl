{{/*
What the chart makes up itself, and keeps: a Secret that is in the cluster stays as it is, unless
values say otherwise, and `helm uninstall` leaves it, as it leaves the volumes that it opens.

`lookup` finds nothing in `helm template`, in client-side dry runs and in what renders so, as Argo CD
does: there every sync would make new keys. Name your own Secrets there (auth, qdrant.apiKey,
objectStorage.credentials: existingSecret).

All files that show a Secret, its checksum too, must see one and the same: it is made once for each
run and remembered in the values.
*/}}
{{- define "kartoteka.generated" -}}
{{- if not (hasKey .Values "generatedSecrets") -}}
{{- $name := include "kartoteka.fullname" . -}}
{{- $made := dict
      "api-keys" (include "kartoteka.apiKeysData" (dict "context" . "found" (include "kartoteka.foundSecret" (list . "api-keys") | fromJson)) | fromJson)
      "qdrant" (include "kartoteka.qdrantData" (dict "context" . "found" (include "kartoteka.foundSecret" (list . "qdrant") | fromJson)) | fromJson)
      "object-storage" (include "kartoteka.objectsData" (dict "context" . "found" (include "kartoteka.foundSecret" (list . "object-storage") | fromJson)) | fromJson)
-}}
{{- $_ := set .Values "generatedSecrets" $made -}}
{{- end -}}
{{- end -}}

{{/* A Secret of ours as it is in the cluster, in clear text, as JSON; call with (list $ "qdrant"). */}}
{{- define "kartoteka.foundSecret" -}}
{{- $context := index . 0 -}}
{{- $found := lookup "v1" "Secret" $context.Release.Namespace (printf "%s-%s" (include "kartoteka.fullname" $context) (index . 1)) -}}
{{- $clear := dict -}}
{{- range $key, $value := ($found | default dict).data | default dict -}}
{{- $_ := set $clear $key ($value | b64dec) -}}
{{- end -}}
{{- toJson $clear -}}
{{- end -}}

{{/* A Secret that stays; call with (dict "context" $ "component" "qdrant" "data" (dict …)). */}}
{{- define "kartoteka.keptSecret" -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "kartoteka.metadata" (dict "context" .context "component" .component "annotations" (dict "helm.sh/resource-policy" "keep")) | nindent 2 }}
type: Opaque
data:
  {{- range $key, $value := .data }}
  {{ $key }}: {{ $value | b64enc | quote }}
  {{- end }}
{{- end -}}

{{/* Whoever changed keys.json in the cluster keeps the change: all is taken over as it is. */}}
{{- define "kartoteka.apiKeysData" -}}
{{- if index .found "keys.json" -}}
{{- toJson .found -}}
{{- else -}}
{{- $key := include "kartoteka.newApiKey" .context -}}
{{- $entry := dict
      "id" (index (splitList "_" $key) 1)
      "name" "admin"
      "sha256" (sha256sum $key)
      "scopes" (list "ingest" "search" "read" "delete" "admin")
      "cabinets" "*"
      "created_at" (dateInZone "2006-01-02T15:04:05Z" now "UTC")
-}}
{{- toJson (dict "admin-key" $key "keys.json" (dict "keys" (list $entry) | toPrettyJson)) -}}
{{- end -}}
{{- end -}}

{{- define "kartoteka.qdrantData" -}}
{{- $key := .context.Values.qdrant.apiKey.value | default (index .found "api-key") | default (randAlphaNum 40) -}}
{{- toJson (dict "api-key" $key) -}}
{{- end -}}

{{- define "kartoteka.objectsData" -}}
{{- $given := .context.Values.objectStorage.credentials -}}
{{- $id := $given.accessKeyId | default (index .found "access-key-id") | default (randAlphaNum 20 | upper) -}}
{{- $secret := $given.secretAccessKey | default (index .found "secret-access-key") | default (randAlphaNum 40) -}}
{{- toJson (dict "access-key-id" $id "secret-access-key" $secret) -}}
{{- end -}}
