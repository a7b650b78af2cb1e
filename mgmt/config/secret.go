package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxSecretFile bounds what is read of a file that is to hold a secret, in bytes.
const maxSecretFile = 4096

// secret fetches what a reference names. References keep secrets out of a document
// that is shown, copied and versioned:
//
//	file:PATH        the content of a file that others cannot read, without a line
//	                 end behind it
//	env:NAME         an environment variable
//	credential:NAME  a file in $CREDENTIALS_DIRECTORY, as systemd's LoadCredential=
//	                 leaves it
func secret(reference string) ([]byte, error) {
	kind, name, ok := strings.Cut(reference, ":")
	switch {
	case !ok || name == "":
	case kind == "file":
		return secretFile(name)
	case kind == "env":
		v, found := os.LookupEnv(name)
		if !found {
			return nil, fmt.Errorf("secret: environment variable %s is not set; set it for the daemon", name)
		}
		return []byte(v), nil
	case kind == "credential":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" || !filepath.IsLocal(name) {
			return nil, fmt.Errorf("secret: there is no credential %q; name it in LoadCredential= of the systemd unit", name)
		}
		return secretFile(filepath.Join(dir, name))
	}
	// The value may be a secret, so it is not shown.
	return nil, errors.New("secret: give a reference, not the secret itself: file:PATH, env:NAME or credential:NAME")
}

func secretFile(path string) ([]byte, error) {
	// O_NONBLOCK keeps a FIFO of that name from holding up whoever loads.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	defer func() { _ = f.Close() }() // read only: nothing to lose
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("secret: %s is no regular file; put the secret into one", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("secret: %s is open to others (mode %04o); chmod 600 it", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if len(b) > maxSecretFile {
		return nil, fmt.Errorf("secret: %s is larger than %d bytes; it holds something else", path, maxSecretFile)
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}
