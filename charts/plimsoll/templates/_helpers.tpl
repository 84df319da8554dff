{{- define "plimsoll.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "plimsoll.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "plimsoll.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- $full | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "plimsoll.selector" -}}
app.kubernetes.io/name: {{ include "plimsoll.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "plimsoll.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "plimsoll.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "plimsoll.image" -}}
{{- $repository := required "image.repository must be given: the repository from which your nodes pull Plimsoll, such as --set image.repository=registry.example.com/plimsoll" .Values.image.repository }}
{{- $image := $repository }}
{{- if or .Values.image.tag (not .Values.image.digest) }}
{{- $image = printf "%s:%s" $image (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- with .Values.image.digest }}
{{- $image = printf "%s@%s" $image . }}
{{- end }}
{{- $image }}
{{- end }}

{{- /* The Secret with the certificate of the user or of cert-manager; empty if Plimsoll is its own CA. */}}
{{- define "plimsoll.tlsSecret" -}}
{{- if and .Values.certificates.existingSecret .Values.certificates.certManager.enabled }}
{{- fail "certificates.existingSecret and certificates.certManager.enabled exclude each other: leave one out" }}
{{- end }}
{{- if .Values.certificates.certManager.enabled }}
{{- printf "%s-tls" (include "plimsoll.fullname" .) }}
{{- else }}
{{- .Values.certificates.existingSecret }}
{{- end }}
{{- end }}

{{- /* An upgrade keeps the version of the first install, so that it denies nothing new. */}}
{{- define "plimsoll.policiesAsOf" -}}
{{- $first := regexFind "^[0-9]+\\.[0-9]+" .Chart.AppVersion }}
{{- $stored := lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-policies" (include "plimsoll.fullname" .)) }}
{{- with $stored }}
{{- $first = dig "metadata" "annotations" "plimsoll.dev/policies-as-of" $first . }}
{{- end }}
{{- default $first .Values.policySet.policiesAsOf }}
{{- end }}
