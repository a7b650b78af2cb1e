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
	"errors"
	"fmt"
)

//go:embed *.sh
var scripts embed.FS

// Script is the text of a peer's script, for a POSIX shell: what is its own, and
// what all of them do alike.
func Script(name string) (string, error) {
	own, err := scripts.ReadFile(name + ".sh")
	verbs, missing := scripts.ReadFile("verbs.sh")
	if err = errors.Join(err, missing); err != nil || name == "verbs" {
		return "", fmt.Errorf("peers: there is no script for %q; the peers are tgt, istgt and gotgt", name)
	}
	return string(own) + "\n" + string(verbs), nil
}
