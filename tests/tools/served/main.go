// Command served prints the kinds of Kubernetes' own API with their releases: group, version, kind, first and last
// release (a dash: not known or none), and the replacement. The rows come from the life cycles in the types. To write
// the table:
//
//	go run . > ../../../webhook/src/registry/served/table.txt
package main

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// Kinds that the API server serves from other modules, and removed kinds that k8s.io/api no longer has. The removals
// are those of https://kubernetes.io/docs/reference/using-api/deprecation-guide/
var further = []string{
	"apiextensions.k8s.io v1 CustomResourceDefinition 1.16 - -",
	"apiextensions.k8s.io v1beta1 CustomResourceDefinition 1.7 1.21 apiextensions.k8s.io/v1",
	"apiregistration.k8s.io v1 APIService 1.10 - -",
	"apiregistration.k8s.io v1beta1 APIService 1.7 1.21 apiregistration.k8s.io/v1",
	"autoscaling v2beta1 HorizontalPodAutoscaler 1.8 1.24 autoscaling/v2",
	"autoscaling v2beta2 HorizontalPodAutoscaler 1.12 1.25 autoscaling/v2",
	"batch v2alpha1 CronJob 1.5 1.20 batch/v1",
	"extensions v1beta1 PodSecurityPolicy 1.2 1.15 policy/v1beta1",
	"policy v1beta1 PodSecurityPolicy 1.10 1.24 -",
	"internal.apiserver.k8s.io v1alpha1 StorageVersion 1.20 - -",
	"settings.k8s.io v1alpha1 PodPreset 1.6 1.19 -",
	"auditregistration.k8s.io v1alpha1 AuditSink 1.13 1.18 -",
}

func main() {
	rows := append([]string(nil), further...)
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal || !isObject(typ) || strings.HasSuffix(gvk.Kind, "List") {
			continue
		}
		object := reflect.New(typ).Interface()
		first, last, replacement := "-", "-", "-"
		if is, ok := object.(interface{ APILifecycleIntroduced() (int, int) }); ok {
			major, minor := is.APILifecycleIntroduced()
			first = fmt.Sprintf("%d.%d", major, minor)
		}
		// An alpha version without a stated life cycle is not served by any supported release.
		if first == "-" && strings.Contains(gvk.Version, "alpha") {
			continue
		}
		if is, ok := object.(interface{ APILifecycleRemoved() (int, int) }); ok {
			major, minor := is.APILifecycleRemoved()
			last = fmt.Sprintf("%d.%d", major, minor-1)
		}
		if is, ok := object.(interface {
			APILifecycleReplacement() schema.GroupVersionKind
		}); ok {
			gvk := is.APILifecycleReplacement()
			replacement = gvk.GroupVersion().String()
		}
		group := gvk.Group
		if group == "" {
			group = "-"
		}
		rows = append(rows, strings.Join([]string{group, gvk.Version, gvk.Kind, first, last, replacement}, " "))
	}
	sort.Strings(rows)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	fmt.Fprintln(out, "# Written by tests/tools/served: group, version, kind, first and last release, replacement.")
	for i, row := range rows {
		if i == 0 || row != rows[i-1] {
			fmt.Fprintln(out, row)
		}
	}
}

// Objects of manifests have metadata. Options, reviews of a list, and events of a watch have none.
func isObject(typ reflect.Type) bool {
	field, found := typ.FieldByName("ObjectMeta")
	return found && field.Anonymous
}
