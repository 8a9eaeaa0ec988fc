{{- define "oomkit.name" -}}
{{- if contains "oomkit" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-oomkit" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "oomkit.selector" -}}
app.kubernetes.io/name: oomkit
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "oomkit.labels" -}}
{{ include "oomkit.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "oomkit.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "oomkit.kills" -}}
{{- if ne .Values.policy "noop" }}true{{ end }}
{{- end }}

{{/* The configuration file. */}}
{{- define "oomkit.config" -}}
{{- $guard := dict "targets" .Values.targets "recursive" true "output" "json" "listen" "0.0.0.0:9101" "policy" .Values.policy }}
{{- if .Values.mode }}{{ $_ := set $guard "mode" .Values.mode }}{{ end }}
{{- if .Values.receivers.kubernetesEvents }}{{ $_ := set $guard "kubernetes-events" true }}{{ end }}
{{- if .Values.rules }}{{ $_ := set $guard "rule" .Values.rules }}{{ end }}
{{- $guard = mergeOverwrite $guard .Values.receivers.options .Values.config }}
{{- toToml (dict "guard" $guard) }}
{{- end }}

{{/* Kubernetes before 1.30 has an annotation instead of the field. */}}
{{- define "oomkit.appArmorField" -}}
{{- if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version }}true{{ end }}
{{- end }}
