{{- define "showoff.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "showoff.selector" -}}
app.kubernetes.io/name: showoff
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "showoff.labels" -}}
{{ include "showoff.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The port of an address such as 0.0.0.0:7000; nothing of "off". */}}
{{- define "showoff.port" -}}
{{- if and . (ne . "off") -}}{{ regexFind "[0-9]+$" . }}{{- end -}}
{{- end }}

{{/* Every port of config.tcp.ports, one a line. */}}
{{- define "showoff.tcpPorts" -}}
{{- $count := 0 -}}
{{- range (.Values.config.tcp | default dict).ports | default list -}}
{{- $ends := splitList "-" (toString .) -}}
{{- range untilStep (first $ends | int) (add1 (last $ends | int) | int) 1 }}
{{ . }}
{{- $count = add1 $count -}}
{{- end -}}
{{- end -}}
{{- if gt (int $count) 200 }}{{ fail "config.tcp.ports: a Service can't list more than 200 ports" }}{{ end -}}
{{- end }}
