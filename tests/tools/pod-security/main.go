// Command pod-security reads Pods as JSON values from standard input. For each it prints a JSON object with the checks
// of the Pod Security Standards: the name of a check, and whether the Pod passes. The checks are Kubernetes' own.
//
//	pod-security 1.36 < pods.json
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func main() {
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pod-security:", err)
		os.Exit(1)
	}
}

func run(version string, in io.Reader, out io.Writer) error {
	wanted, err := api.ParseVersion("v" + version)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(in)
	writer := bufio.NewWriter(out)
	defer writer.Flush()
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var pod corev1.Pod
		answer := map[string]bool{}
		// An object that is no Pod is refused before any check, and has no results.
		if json.Unmarshal(raw, &pod) == nil {
			for _, check := range policy.DefaultChecks() {
				if function := checkOf(check, wanted); function != nil {
					result := function(&pod.ObjectMeta, &pod.Spec)
					answer[strings.ToLower(string(check.ID))] = result.Allowed
				}
			}
		}
		if err := json.NewEncoder(writer).Encode(answer); err != nil {
			return err
		}
	}
}

// The newest version of a check that is not newer than the requested version.
func checkOf(check policy.Check, wanted api.Version) policy.CheckPodFn {
	var function policy.CheckPodFn
	for _, version := range check.Versions {
		if !wanted.Older(version.MinimumVersion) {
			function = version.CheckPod
		}
	}
	return function
}
