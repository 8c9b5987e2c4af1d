// The Kubernetes provider for Pulumi.
//
// Its own main embeds two files that are generated and that its Go module lacks. They are copies of two that the module
// has: the toolchain writes them beside this file, with the version put in, and builds there.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var mapping []byte

func main() {
	provider.Serve("kubernetes", version.Version, schema, mapping)
}
