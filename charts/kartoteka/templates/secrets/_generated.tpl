{{/*
What the chart makes up itself, and keeps: a Secret that is in the cluster stays as it is, and
`helm uninstall` leaves it, as it leaves the volumes that it opens. It belongs to no revision, or a
rollback would bring back old keys: a hook makes it where there is none, and nothing shows it again.
What values give is in a Secret of another name, with the suffix -given, as any other object.

`lookup` finds nothing in `helm template`, in client-side dry runs and in what renders so, as Argo CD
does: there every sync would make new keys. Name your own Secrets there (auth, qdrant.apiKey,
objectStorage.credentials: existingSecret).

All files that show a Secret, its checksum too, must see one and the same: it is made once for each
run and remembered in the values.
*/}}
{{- define "kartoteka.generated" -}}
{{- if not (hasKey .Values "generatedSecrets") -}}
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

{{/*
A Secret of the chart's; call with (dict "context" $ "component" "qdrant" "name" NAME), where the name
tells which: nothing for none, and what was made is shown only as long as it is not there. The
hook's annotations of an owner let Helm take it over all the same, should it ever be an object again.
*/}}
{{- define "kartoteka.ownSecret" -}}
{{- $made := printf "%s-%s" (include "kartoteka.fullname" .context) .component -}}
{{- $annotations := dict -}}
{{- if eq .name $made -}}
{{- $annotations = dict
      "helm.sh/hook" "pre-install,pre-upgrade"
      "helm.sh/hook-weight" "-10"
      "helm.sh/resource-policy" "keep"
      "meta.helm.sh/release-name" .context.Release.Name
      "meta.helm.sh/release-namespace" .context.Release.Namespace
-}}
{{- end -}}
{{- $there := and (eq .name $made) (lookup "v1" "Secret" .context.Release.Namespace .name) -}}
{{- if and (has .name (list $made (printf "%s-given" $made))) (not $there) -}}
{{- include "kartoteka.generated" .context -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "kartoteka.metadata" (merge (dict "annotations" $annotations) .) | nindent 2 }}
type: Opaque
data:
  {{- range $key, $value := index .context.Values "generatedSecrets" .component }}
  {{ $key }}: {{ $value | b64enc | quote }}
  {{- end }}
{{- end -}}
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
