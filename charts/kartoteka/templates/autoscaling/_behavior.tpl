{{/*
How fast the embedders' number changes. Each change is a rebalance of the consumer group, so pods
come in large steps and go one by one, late.
*/}}
{{- define "kartoteka.embedderScaling" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - {type: Percent, value: 100, periodSeconds: 60}
    - {type: Pods, value: 4, periodSeconds: 60}
  selectPolicy: Max
scaleDown:
  stabilizationWindowSeconds: {{ .Values.autoscaling.embedder.scaleDownStabilizationSeconds }}
  policies:
    - {type: Pods, value: 1, periodSeconds: 120}
  selectPolicy: Max
{{- end -}}
