//go:build tools

package tools

import _ "github.com/thomaspoignant/go-feature-flag/cmd/relayproxy"
