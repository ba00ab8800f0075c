// Package suite names the SDK whose own tests are run against the server: `cargo xtask conformance go-tfe` compiles
// them from this module's pinned version. There is no code here, so that there is one driver in one language.
package suite

import (
	_ "github.com/hashicorp/go-tfe"
)
