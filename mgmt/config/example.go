package config

import _ "embed"

// Example is a whole configuration file with comments.
//
//go:embed example.toml
var Example []byte
