// Package peers holds the scripts that start and stop the targets of other people.
// Each is run as "sh -s start", which prints the address of its RAM unit and the
// process, and "sh -s stop"; variables whose names begin with the name of the peer
// in capitals say where: PORT, CONTROL, CORE, MIB, FILE and DIR. The unit in the
// file, when one is named, has the next number after the RAM unit.
//
// Owner: none; the scripts are text.
package peers

import (
	"embed"
	"fmt"
)

//go:embed *.sh
var scripts embed.FS

// Script is the text of a peer's script, for a POSIX shell.
func Script(name string) (string, error) {
	b, err := scripts.ReadFile(name + ".sh")
	if err != nil {
		return "", fmt.Errorf("peers: there is no script for %q; the peers are tgt, istgt and gotgt", name)
	}
	return string(b), nil
}
