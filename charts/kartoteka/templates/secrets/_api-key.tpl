{{/* The text of a new API key, as ingest-api makes them: ktk_<id>_<secret><checksum>. */}}
{{- define "kartoteka.newApiKey" -}}
{{- $id := regexReplaceAll "[^a-km-np-z2-9]" (randAlphaNum 200 | lower) "" | trunc 10 -}}
{{- $body := printf "ktk_%s_%s" $id (randAlphaNum 32) -}}
{{- printf "%s%s" $body (include "kartoteka.apiKeyChecksum" $body) -}}
{{- end -}}

{{/* Six digits of base 62 of a text's CRC-32. */}}
{{- define "kartoteka.apiKeyChecksum" -}}
{{- $alphabet := "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" -}}
{{- $number := include "kartoteka.crc32" . | int64 -}}
{{- $digits := "" -}}
{{- range until 6 -}}
{{- $digit := mod $number 62 | int -}}
{{- $digits = printf "%s%s" (substr $digit (add1 $digit | int) $alphabet) $digits -}}
{{- $number = div $number 62 -}}
{{- end -}}
{{- $digits -}}
{{- end -}}

{{/*
CRC-32 of an ASCII text, as a decimal number. Templates have no bitwise operators, so the register
is a list of eight half-bytes, the lowest first, and their exclusive or is looked up.
*/}}
{{- define "kartoteka.crc32" -}}
{{- $xor := list
  (list 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
  (list 1 0 3 2 5 4 7 6 9 8 11 10 13 12 15 14)
  (list 2 3 0 1 6 7 4 5 10 11 8 9 14 15 12 13)
  (list 3 2 1 0 7 6 5 4 11 10 9 8 15 14 13 12)
  (list 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11)
  (list 5 4 7 6 1 0 3 2 13 12 15 14 9 8 11 10)
  (list 6 7 4 5 2 3 0 1 14 15 12 13 10 11 8 9)
  (list 7 6 5 4 3 2 1 0 15 14 13 12 11 10 9 8)
  (list 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7)
  (list 9 8 11 10 13 12 15 14 1 0 3 2 5 4 7 6)
  (list 10 11 8 9 14 15 12 13 2 3 0 1 6 7 4 5)
  (list 11 10 9 8 15 14 13 12 3 2 1 0 7 6 5 4)
  (list 12 13 14 15 8 9 10 11 4 5 6 7 0 1 2 3)
  (list 13 12 15 14 9 8 11 10 5 4 7 6 1 0 3 2)
  (list 14 15 12 13 10 11 8 9 6 7 4 5 2 3 0 1)
  (list 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0)
-}}
{{/* What the register becomes for each half-byte that leaves it, the reflected polynomial 0xEDB88320. */}}
{{- $table := list
  (list 0 0 0 0 0 0 0 0)
  (list 4 6 0 1 7 11 13 1)
  (list 8 12 0 2 14 6 11 3)
  (list 12 10 0 3 9 13 6 2)
  (list 0 9 1 4 12 13 6 7)
  (list 4 15 1 5 11 6 11 6)
  (list 8 5 1 6 2 11 13 4)
  (list 12 3 1 7 5 0 0 5)
  (list 0 2 3 8 8 11 13 14)
  (list 4 4 3 9 15 0 0 15)
  (list 8 14 3 10 6 13 6 13)
  (list 12 8 3 11 1 6 11 12)
  (list 0 11 2 12 4 6 11 9)
  (list 4 13 2 13 3 13 6 8)
  (list 8 7 2 14 10 0 0 10)
  (list 12 1 2 15 13 11 13 11)
-}}
{{- $register := list 15 15 15 15 15 15 15 15 -}}
{{- $text := . -}}
{{- range $position := until (len $text) -}}
{{- $byte := index $text $position | int -}}
{{- range list (mod $byte 16) (div $byte 16) -}}
{{- $leaving := index $xor (int (index $register 0)) (int .) -}}
{{- $shifted := append (rest $register) 0 -}}
{{- $next := list -}}
{{- range $place := until 8 -}}
{{- $next = append $next (index $xor (index $table $leaving $place) (int (index $shifted $place))) -}}
{{- end -}}
{{- $register = $next -}}
{{- end -}}
{{- end -}}
{{- $number := 0 -}}
{{- range reverse $register -}}
{{- $number = add (mul $number 16) (sub 15 (int .)) -}}
{{- end -}}
{{- $number -}}
{{- end -}}
