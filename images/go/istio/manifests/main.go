// Manifests writes what an Istio is made of as JSON, rendered from the charts of its module as `istioctl manifest
// generate` renders them: a file with an IstioOperator, and then path=value for what that file cannot know.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"istio.io/istio/operator/pkg/render"
)

func main() {
	if err := write(os.Args[1], os.Args[2:]); err != nil {
		// Istio takes the usual log for itself, and to standard output.
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(file string, more []string) error {
	sets, _, err := render.GenerateManifest([]string{file}, more, false, nil, nil)
	if err != nil {
		return err
	}
	objects := []map[string]any{}
	for _, set := range sets {
		for _, manifest := range set.Manifests {
			objects = append(objects, manifest.Object)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(objects)
}
